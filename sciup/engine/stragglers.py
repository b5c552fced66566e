"""Which workers hang, from when they last finished a shard."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from threading import Lock

PATIENCE, LEAST = 8.0, 120.0
"""A worker hangs when it finishes nothing for so many times what a shard takes, and so many
seconds at least: the first shard of a process also pays for its imports and the network."""


class Watch:
    """Who finished a shard when, and how long shards take; runs of several threads may share it.

    Examples
    --------
    >>> watch, since = Watch(), {"a": 0.0, "b": 0.0}
    >>> watch.hanging(since, now=0.0)
    set()
    >>> watch.finished("a", took=30.0, now=1000.0)
    >>> watch.hanging(since, now=1001.0)
    {'b'}
    >>> watch.finished("b", took=1000.0, now=1002.0)
    >>> watch.hanging(since, now=1003.0)
    set()
    """

    def __init__(self) -> None:
        self._took: list[float] = []
        self._last: dict[str, float] = {}
        self._hanging: set[str] = set()
        self._lock = Lock()

    def finished(self, worker: str, took: float | None, now: float) -> None:
        """A worker has made a shard, in so many seconds; None if it found the shard made."""
        with self._lock:
            self._last[worker] = now
            self._hanging.discard(worker)
            if took is not None:
                self._took = [*self._took, took][-999:]  # of the last hours, not of days ago

    def hanging(self, since: Mapping[str, float], now: float) -> set[str]:
        """Workers that hang, of those with something to do since then and those that hung before.

        Who hung counts so until it finishes something, however little it was given since.
        """
        with self._lock:
            if self._took:
                limit = max(PATIENCE * median(self._took), LEAST)
                last = {w: max(begun, self._last.get(w, begun)) for w, begun in since.items()}
                self._hanging |= {w for w in last if now - last[w] > limit}
            return set(self._hanging)
