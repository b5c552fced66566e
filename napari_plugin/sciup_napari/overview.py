"""Coarse levels of large files that have none, filled in the background.

To show the whole of such a file all of its chunks must be decoded once. That takes seconds, and
napari slices on the thread that draws; so a worker fills plain arrays, and the picture completes
strip by strip.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.geometry import Box
from sciup_napari.lazy import Windows, windows_of

MOST_BYTES = 128 << 20
"""Memory of the levels of one layer; finer ones stay lazy."""
FINEST = 4
"""Steps below this are read where they are shown: a screen of them is little."""
PAUSE = 0.4
"""Seconds between two drawings of what is there so far."""

Strip = tuple[NDArray[Any], Windows]


def in_background(viewer: Any, layers: Sequence[Any]) -> list[Any]:
    """Layers whose slow coarse levels are plain arrays, which a worker begins to fill.

    Parameters
    ----------
    viewer : napari.Viewer
    layers : sequence of layer data tuples

    Returns
    -------
    list
        The same tuples, with other data where a level is slow to read.
    """
    out = []
    for data, keywords, kind in layers:
        if keywords.get("multiscale"):
            strips = slow_levels(data)
            made = {id(windows): array for array, windows in strips}
            data = [made.get(id(windows_of(level)), level) for level in data]  # noqa: PLW2901
            if strips:
                _start(viewer, strips)
        out.append((data, keywords, kind))
    return out


def slow_levels(levels: Sequence[Any]) -> list[Strip]:
    """Empty arrays for the levels that are slow to read, with what they are to be filled from."""
    found: list[Strip] = []
    room = MOST_BYTES
    for level in reversed(levels):
        windows = windows_of(level)
        size = int(np.prod(level.shape)) * level.dtype.itemsize
        if windows is None or windows.step < FINEST or level.ndim != 2 or size > room:
            continue
        room -= size
        blank = np.nan if windows.dtype.kind == "f" else 0
        found.append((np.full(windows.shape, blank, windows.dtype), windows))
    return found


def fill(strips: Sequence[Strip]) -> Iterator[None]:
    """Fill all levels from one walk through the file; yields after every strip."""
    first = strips[0][1]
    height, width = first.full
    for top in range(0, height, first.band):
        bottom = min(top + first.band, height)
        block = first.read((), Box((top, 0), (bottom, width)))
        for array, windows in strips:
            rows, cols = (
                np.minimum(np.arange(n) * windows.step + windows.step // 2, m - 1)
                for n, m in zip(array.shape, windows.full, strict=True)
            )
            mine = (rows >= top) & (rows < bottom)
            array[mine] = block[np.ix_(rows[mine] - top, cols)]
        yield


def _start(viewer: Any, strips: list[Strip]) -> None:
    from napari.qt.threading import create_worker

    arrays = {id(array) for array, _ in strips}
    worker = create_worker(fill, strips, _start_thread=False)
    drawn = time.monotonic()

    def draw(*, last: bool = False) -> None:
        nonlocal drawn
        if last or time.monotonic() - drawn > PAUSE:
            for layer in mine():
                layer.refresh(thumbnail=last)
            drawn = time.monotonic()

    def mine() -> list[Any]:
        return [
            layer
            for layer in viewer.layers
            if getattr(layer, "multiscale", False) and {id(level) for level in layer.data} & arrays
        ]

    def stop() -> None:
        if not mine():
            worker.quit()

    worker.yielded.connect(lambda _none=None: draw())
    worker.finished.connect(lambda: draw(last=True))
    viewer.layers.events.removed.connect(stop)
    worker.finished.connect(lambda: viewer.layers.events.removed.disconnect(stop))
    worker.start()


__all__ = ["fill", "in_background", "slow_levels"]
