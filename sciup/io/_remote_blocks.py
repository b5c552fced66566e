"""The blocks of a remote file that are kept, and which of them are fetched for a window."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future

Range = tuple[int, int]
Place = tuple[int, memoryview]

BLOCK = 1 << 16
"""Bytes that are asked for at least: a request costs as long as some 100 kB."""

GAP = 4
"""Blocks between two wanted ones that are fetched with them, rather than to ask twice."""

SPAN = 16 << 20
"""Bytes of one request at most, and those that are worked on at a time."""

CACHE = 64 << 20
"""Bytes that are kept, so that the windows of one row of the plan fetch every row once."""


class Blocks:
    """A cache of blocks; safe in several threads, which wait for each other's blocks.

    Parameters
    ----------
    fetch : callable
        From ranges of bytes, which may reach over the end of the file, to their content.
    """

    def __init__(self, fetch: Callable[[Sequence[Range]], Sequence[bytes]]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._coming: dict[int, Future[bytes]] = {}

    def fill(self, places: Sequence[Place]) -> None:
        """Fill buffers with the bytes from some positions on, in rising order."""
        for part in _parts(places):
            blocks = self._get(_with_gaps([n for place in part for n in _numbers(place)]))
            for at, buffer in part:
                for number in _numbers((at, buffer)):
                    first = number * BLOCK
                    start, stop = max(at, first), min(at + len(buffer), first + BLOCK)
                    buffer[start - at : stop - at] = blocks[number][start - first : stop - first]

    def _get(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Blocks by number; the lock is not held while they come."""
        with self._lock:
            found = {n: self._kept[n] for n in numbers if n in self._kept}
            others = {n: self._coming[n] for n in numbers if n in self._coming}
            mine = {n: Future[bytes]() for n in numbers if n not in found and n not in others}
            self._coming |= mine
        try:
            fresh = self._fetch_all(list(mine))
        except BaseException as error:
            with self._lock:
                for number, future in mine.items():
                    del self._coming[number]
                    future.set_exception(error)
            raise
        with self._lock:
            self._keep(found | fresh)
            for number, future in mine.items():
                del self._coming[number]
                future.set_result(fresh[number])
        return found | fresh | {n: future.result() for n, future in others.items()}

    def _fetch_all(self, numbers: Sequence[int]) -> dict[int, bytes]:
        """Neighbours come with one request."""
        runs: list[list[int]] = []
        for number in numbers:
            if runs and number == runs[-1][-1] + 1 and len(runs[-1]) < max(SPAN // BLOCK, 1):
                runs[-1].append(number)
            else:
                runs.append([number])
        got = self._fetch([(run[0] * BLOCK, (run[-1] + 1) * BLOCK) for run in runs]) if runs else []
        return {
            number: data[i * BLOCK : (i + 1) * BLOCK]
            for run, data in zip(runs, got, strict=True)
            for i, number in enumerate(run)
        }

    def _keep(self, blocks: dict[int, bytes]) -> None:
        for number, data in blocks.items():
            self._kept[number] = data
            self._kept.move_to_end(number)
        while len(self._kept) * BLOCK > CACHE:
            self._kept.popitem(last=False)


def _numbers(place: Place) -> range:
    """Numbers of the blocks that hold a buffer's bytes."""
    at, buffer = place
    return range(at // BLOCK, -(-(at + len(buffer)) // BLOCK))


def _parts(places: Sequence[Place]) -> Iterator[list[Place]]:
    """Groups of places, and pieces of long ones, whose blocks need no more than about `SPAN`."""
    part: list[Place] = []
    blocks = 0
    for at, buffer in places:
        for first in range(0, len(buffer), SPAN):
            place = at + first, buffer[first : first + SPAN]
            blocks += len(_numbers(place))
            if part and blocks * BLOCK > SPAN:
                yield part
                part, blocks = [], len(_numbers(place))
            part.append(place)
    if part:
        yield part


def _with_gaps(numbers: Sequence[int]) -> list[int]:
    """Rising numbers without repeats, and those of short gaps between them."""
    out: list[int] = []
    for number in numbers:
        if out and number - out[-1] <= GAP + 1:
            out += range(out[-1] + 1, number + 1)
        else:
            out.append(number)
    return out


__all__ = ["BLOCK", "Blocks"]
