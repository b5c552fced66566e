"""Which workers hang, from when they last finished a shard."""

from __future__ import annotations

from collections.abc import Collection
from statistics import median

PATIENCE, LEAST = 8.0, 120.0
"""A worker hangs when it finishes nothing for so many times what a shard takes, and so many
seconds at least: the first shard of a process also pays for its imports and the network."""


class Watch:
    """Who finished a shard when, and how long shards take.

    Examples
    --------
    >>> watch = Watch()
    >>> watch.hanging({"a", "b"}, now=0.0)
    set()
    >>> watch.finished("a", took=30.0, now=1000.0)
    >>> watch.hanging({"a", "b"}, now=1001.0)
    {'b'}
    >>> watch.finished("b", took=1000.0, now=1002.0)
    >>> watch.hanging({"a", "b"}, now=1003.0)
    set()
    """

    def __init__(self) -> None:
        self._took: list[float] = []
        self._last: dict[str, float] = {}
        self._hanging: set[str] = set()

    def finished(self, worker: str, took: float | None, now: float) -> None:
        """A worker has made a shard, in so many seconds; None if it found the shard made."""
        self._last[worker] = now
        self._hanging.discard(worker)
        if took is not None:
            self._took = [*self._took, took][-999:]  # of the last hours, not of days ago

    def hanging(self, busy: Collection[str], now: float) -> set[str]:
        """Workers that hang, of those that have something to do and those that hung before.

        Who hung counts so until it finishes something, however little it was given since.
        """
        self._last = {worker: self._last.get(worker, now) for worker in {*busy, *self._hanging}}
        if self._took:
            limit = max(PATIENCE * median(self._took), LEAST)
            self._hanging |= {w for w in busy if now - self._last[w] > limit}
        return set(self._hanging)
