"""Every part of a large result once, in constant memory.

Detection looks at *cells*. They lie on one absolute grid of the input, each with a halo, whatever
part is asked for and however much fits into memory: how the work is cut never shows.

Cells lie a halo above and left of the windows of the network. So a row of cells needs no pixel
below its row of windows, the rows that it shares with the one above are kept, and nothing is drawn
twice but the column of windows left of a band.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from sciup.engine.margins import CORE
from sciup.existence.target import Target
from sciup.existence.union import Array
from sciup.geometry import Box
from sciup.image import Plane
from sciup.results.draws import Draws

ROOM = 2**30
"""Bytes that the draws of a block may take."""

HALO = 48
"""Output px around a cell, at least: the rules for structures look around that far."""


@dataclass(frozen=True)
class Cell:
    """Detections in `core` count, `window` is looked at; output pixels of the result."""

    core: Box
    window: Box


def halo_of(target: Target) -> int:
    """Pixels around a cell that may decide what is found in it."""
    return max(HALO, int(np.ceil(target.seen + 4 * target.reach + 2 * target.fwhm)))


def spans(start: int, length: int, side: int, halo: int) -> list[tuple[int, int, int, int]]:
    """Cores and windows along an axis of a result that begins at `start` on the absolute grid.

    Slivers at both ends go with their neighbours: in a narrow window the rules that find structures
    would see too little around them.

    Returns
    -------
    list of (int, int, int, int)
        Core and window from and to, counted from the start of the result.

    Examples
    --------
    >>> spans(0, 200, 100, 10)
    [(0, 90, 0, 100), (90, 200, 80, 200)]
    """
    first, last = (start + halo) // side, -(-(start + length + halo) // side)
    edges = [i * side - halo - start for i in range(first, last + 1)]
    edges[0], edges[-1] = 0, length
    if len(edges) > 2 and edges[-1] - edges[-2] < side / 2:
        del edges[-2]
    if len(edges) > 2 and edges[1] - edges[0] < side / 2:
        del edges[1]
    return [(a, b, max(a - halo, 0), min(b + halo, length)) for a, b in pairwise(edges)]


def cells(draws: Draws, target: Target, part: Box) -> list[list[Cell]]:
    """Rows of the cells whose cores touch a part of the result."""
    halo, side = halo_of(target), CORE * draws.scale
    rows, columns = (
        [
            span
            for span in spans(draws.region.start[i] * draws.scale, n, side, halo)
            if span[0] < part.stop[i] and span[1] > part.start[i]
        ]
        for i, n in enumerate(draws.plane_shape)
    )
    return [
        [Cell(Box((a, c), (b, d)), Box((e, g), (f, h))) for c, d, g, h in columns]
        for a, b, e, f in rows
    ]


def bands(rows: list[list[Cell]], count: int, wide: int | None = None) -> Iterator[list[Cell]]:
    """Neighbours in a row that are drawn together: all of a band from top to bottom, then the next.

    Parameters
    ----------
    rows : list of list of Cell
    count : int
        Number of draws.
    wide : int, optional
        Cells side by side; as many as there is room for by default.
    """
    if not rows or not rows[0]:
        return
    if wide is None:
        height = max(row[0].window.shape[0] for row in rows)
        width = max(cell.window.shape[1] for cell in rows[0])
        # twice, in double precision: while they are drawn, and while they are looked at
        wide = max(1, int(ROOM / (16 * count * height * width)))
    for i in range(0, len(rows[0]), wide):
        for row in rows:
            yield row[i : i + wide]


@dataclass
class Strips:
    """Reads windows of the draws from top to bottom and keeps the rows that come again."""

    draws: Draws
    plane: Plane
    count: int
    _box: Box | None = None
    _kept: Array = field(default_factory=lambda: np.empty(0))

    def read(self, box: Box) -> Array:
        """Draws (count, h, w) of a box."""
        last, top = self._box, box.start[0]
        columns = (box.start[1], box.stop[1])
        goes_on = (
            last is not None
            and (last.start[1], last.stop[1]) == columns
            and last.start[0] <= top < last.stop[0] < box.stop[0]
        )
        if last is not None and goes_on:
            rest = Box((last.stop[0], columns[0]), box.stop)
            old = self._kept[:, top - last.start[0] :]
            found = np.concatenate([old, self.draws.window(self.plane, rest, self.count)], axis=1)
        else:
            found = self.draws.window(self.plane, box, self.count)
        self._box, self._kept = box, found
        return found


__all__ = ["Cell", "Strips", "bands", "cells", "halo_of", "spans"]
