"""Maxima of a field: where they are between pixels, which to keep, and blobs.

References
----------
.. [1] Lindeberg (1998), "Feature detection with automatic scale selection", IJCV 30, 79,
   doi:10.1023/A:1008045108935: blobs are maxima of sigma^2 |LoG| in place and scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates, maximum_filter
from scipy.spatial import KDTree

from sciup.keypoints._places import Array, Found, Index
from sciup.keypoints._waves import Waves

APART = 3.0
"""Least distance of two keypoints of a kind, px."""


def vertex(field: Array, index: tuple[Index, ...]) -> Found:
    """Tops (N, ndim) and heights (N,) of parabolas along each axis through maxima at `index`."""
    mid = field[index]
    tops, height = [], mid.copy()
    for axis, (i, n) in enumerate(zip(index, field.shape, strict=True)):
        low, high = (
            field[(*index[:axis], np.clip(i + step, 0, n - 1), *index[axis + 1 :])]
            for step in (-1, 1)
        )
        bend = 2 * (2 * mid - low - high)
        shift = np.divide(high - low, bend, out=np.zeros_like(bend), where=bend > 0)
        shift = np.clip(shift, -0.5, 0.5)
        tops.append(i + shift)
        height += shift * (high - low) / 4
    return np.stack(tops, axis=-1), height


def maxima(field: Array) -> tuple[Index, Index]:
    """Pixels above 0 that no other within 2 px exceeds."""
    y, x = np.nonzero((field > 0) & (field == maximum_filter(field, 5, mode="nearest")))
    return y, x


def apart(place: Array, strength: Array, radius: Array) -> Found:
    """The strongest that are at least `radius` (N,) px from every stronger one kept."""
    order = np.argsort(-strength, kind="stable")
    keep = np.ones(len(place), bool)
    near = KDTree(place).query_ball_point(place, radius) if len(place) else []
    for i in order:
        if keep[i]:
            keep[near[i]] = False
            keep[i] = True
    order = order[keep[order]]
    return place[order], strength[order]


def between(field: Array, place: Array) -> Array:
    """Values at places (..., 2) between pixels."""
    where = np.moveaxis(place, -1, 0)
    return np.asarray(map_coordinates(field, where, order=1, mode="reflect"))


def alone(soft: Array, place: Array, radius: Array, bridges: int) -> Array:
    """How far places rise above the circle about them: its least drop relative to the mean drop.

    The `bridges` least of 16 drops do not count: a nucleus may touch others.
    """
    angles = (np.arange(16) + 0.5) * np.pi / 8
    ring = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    drop = between(soft, place)[:, None] - between(
        soft, place[:, None] + radius[:, None, None] * ring
    )
    mean = drop.mean(1)
    least = np.sort(drop, axis=1)[:, bridges]
    return np.asarray(np.divide(least, mean, out=np.zeros_like(mean), where=mean > 0))


@dataclass(frozen=True)
class Blobs:
    """Maxima of -LoG in place and scale.

    Attributes
    ----------
    place : ndarray (N, 2) of float64
        y, x in px.
    width : ndarray (N,) of float64
        Scale, px.
    height : ndarray (N,) of float64
        Of the filtered image.
    gain : ndarray (N,) of float64
        Its noise per noise of a pixel.
    """

    place: Array
    width: Array
    height: Array
    gain: Array


def blobs(waves: Waves, sigmas: Array, coarser: int) -> Blobs:
    """Maxima in place and scale [1]_, on a grid `coarser` times coarser."""
    layers, gains = zip(*(waves.blob(s, coarser) for s in sigmas), strict=True)
    stack = np.stack(layers)
    top = (stack > 0) & (stack == maximum_filter(stack, 3, mode="nearest"))
    top[[0, -1]] = False
    at = tuple(np.nonzero(top))
    tops, height = vertex(stack, at)
    place = (tops[:, 1:] + 0.5) * (np.array(waves.shape) / stack.shape[1:]) - 0.5
    width = np.exp(np.interp(tops[:, 0], np.arange(len(sigmas)), np.log(sigmas)))
    return Blobs(place, width, height, np.array(gains)[at[0]])
