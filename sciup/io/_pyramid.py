"""Coarser levels of a map: NaN-aware 2 x 2 means, shard by shard, in constant memory.

The first of them are written together with the shard that they follow from, see `storage`; here
are the means, and the levels beyond.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr

from sciup.geometry import Box, iterate, shards
from sciup.image import Float
from sciup.io._check import index_of
from sciup.io._shards import create_array, open_array_rw
from sciup.io._writer import CHUNK

SMALLEST = 256
"""The pyramid ends at the first level whose plane fits in this many pixels."""


def level_shapes(plane_shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Planes of all levels, level 0 first.

    Examples
    --------
    >>> level_shapes((1000, 300))
    [(1000, 300), (500, 150), (250, 75)]
    """
    shapes = [plane_shape]
    while max(shapes[-1]) > SMALLEST:
        height, width = shapes[-1]
        shapes.append((-(-height // 2), -(-width // 2)))
    return shapes


def halve(values: Float) -> Float:
    """Mean of every 2 x 2 pixels, NaN left out; NaN where all are NaN.

    At an odd far edge the mean is over the pixels that are there.

    Parameters
    ----------
    values : ndarray of shape (h, w), float32

    Returns
    -------
    ndarray of shape (ceil(h / 2), ceil(w / 2)), float32

    Examples
    --------
    >>> halve(np.array([[1, 3, 5], [np.nan, 5, np.nan]], np.float32)).tolist()
    [[3.0, 5.0]]
    """
    height, width = values.shape
    valid = np.isfinite(values)
    if valid.all() and height % 2 == width % 2 == 0:
        # Quarters before the sum keep values near the float32 limit from overflowing.
        quarters = values * np.float32(0.25)
        mean = quarters[::2, ::2] + quarters[::2, 1::2]
        mean += quarters[1::2, ::2]
        mean += quarters[1::2, 1::2]
        return mean
    filled = np.where(valid, values, np.float32(0))
    total = np.zeros((-(-height // 2), -(-width // 2)), np.float32)
    count = np.zeros(total.shape, np.uint8)
    for y in (0, 1):
        for x in (0, 1):
            part = filled[y::2, x::2]
            total[: part.shape[0], : part.shape[1]] += part * np.float32(0.25)
            count[: part.shape[0], : part.shape[1]] += valid[y::2, x::2]
    out = np.full(total.shape, np.float32(np.nan))
    np.divide(total, count * np.float32(0.25), out=out, where=count > 0)
    return out


def build_pyramid(path: Path, axes: list[str], ready: int = 0) -> int:
    """Write the levels of the map at `path` that are not complete yet.

    Parameters
    ----------
    path : Path
        Folder of the map; level 0 is the array ``0`` in it.
    axes : list of str
        Dimension names of the arrays.
    ready : int
        The last level that is complete.

    Returns
    -------
    int
        Number of levels, level 0 included.
    """
    source = open_array_rw(path / str(ready))
    shapes = level_shapes((source.shape[-2], source.shape[-1]))
    for level, plane_shape in enumerate(shapes[1:], start=ready + 1):
        target = create_array(path / str(level), (*source.shape[:-2], *plane_shape), axes, level)
        side = max((target.shards or target.chunks)[-2:])
        for plane in iterate(Box.of_shape(source.shape[:-2])):
            for _, box in shards(plane_shape, side):
                target[index_of(plane, box)] = coarse(source, plane, box)
        source = target
    return ready + len(shapes)


def coarse(source: zarr.Array[Any], plane: tuple[int, ...], box: Box) -> Float:
    """One shard of the next level, from strips of the level before: at most CHUNK output rows."""
    fine = box.scaled(2).intersect(Box.of_shape((source.shape[-2], source.shape[-1])))
    out = np.empty(box.shape, np.float32)
    for top in range(0, box.shape[0], CHUNK):
        first = fine.start[0] + 2 * top
        strip = Box((first, fine.start[1]), (first + 2 * CHUNK, fine.stop[1])).intersect(fine)
        values = np.asarray(source[index_of(plane, strip)], np.float32)
        out[top : top + CHUNK] = halve(values)
    return out


__all__ = ["build_pyramid", "coarse", "halve", "level_shapes"]
