"""The raw score of risk: the other draws vote on the delivered one.

Everything here is a function of a pixel and its neighbours within half a window, so that a tile
with a halo of 1 px (2 px for `tolerance_percent`) gives bit for bit what the whole image gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.errors import InputError, OptionError

Array = NDArray[np.float64]

ELEMENT = 3
"""One resolution element, output px."""

SCALES = (ELEMENT, 4, 16)
"""Sizes of the means that are compared: 3 px slides, 4 and 16 px are blocks."""

LEVEL_WIDTH = 5
"""Width of the mean that a tolerance in per cent refers to, px."""


class Votes(NamedTuple):
    """Scores in (0, 1), NaN where masked; `invented` and `missed` add up to `risk`."""

    risk: Array
    invented: Array
    missed: Array


def _window_sum(x: Array, width: int) -> Array:
    # added slice by slice: running sums would round differently in every tile
    for axis in (0, 1):
        size = x.shape[axis]
        padded = np.pad(x, [(width // 2,) * 2 if a == axis else (0, 0) for a in (0, 1)])
        x = sum(
            (padded.take(range(i, i + size), axis) for i in range(1, width)),
            padded.take(range(size), axis),
        )
    return x


def sliding_mean(image: ArrayLike, width: int = ELEMENT) -> Array:
    """Mean over the finite pixels of a square window around every pixel.

    Parameters
    ----------
    image : array_like (h, w)
        NaN where masked.
    width : int
        Odd, px.

    Returns
    -------
    ndarray (h, w)
        NaN where the pixel itself is masked: nothing is said where nothing was measured.

    Examples
    --------
    >>> sliding_mean([[0.0, 3.0, np.nan]])
    array([[1.5, 1.5, nan]])
    """
    x = np.asarray(image, np.float64)
    valid = np.isfinite(x)
    total = _window_sum(np.where(valid, x, 0.0), width)
    count = _window_sum(valid.astype(np.float64), width)
    return np.where(valid, total / np.maximum(count, 1), np.nan)


def block_mean(image: ArrayLike, size: int) -> Array:
    """Mean over the finite pixels of every block of `size` x `size` px.

    Parameters
    ----------
    image : array_like (h, w)
        NaN where masked; the first pixel begins a block.
    size : int
        Side of a block, px; h and w are multiples of it.

    Returns
    -------
    ndarray (h / size, w / size)
        NaN where a block has no finite pixel.

    Raises
    ------
    InputError
        If h or w is no multiple of `size`.

    Examples
    --------
    >>> block_mean([[0.0, 3.0], [np.nan, 3.0]], 2)
    array([[2.]])
    """
    x = np.asarray(image, np.float64)
    h, w = x.shape
    if h % size or w % size:
        raise InputError(
            f"{h} x {w} px cannot be cut into blocks of {size} px",
            f"sides that are multiples of {size}",
            "crop the image on the absolute block grid",
        )
    cut = x.reshape(h // size, size, w // size, size)
    valid = np.isfinite(cut)
    count = valid.sum((1, 3))
    total = np.where(valid, cut, 0.0).sum((1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def tolerance_percent(
    image: ArrayLike, background: ArrayLike, sigma: ArrayLike, percent: float
) -> Array:
    """Tolerance in per cent of the level above the background, and no less than one sigma.

    The floor keeps empty sky, where the level is 0, from a tolerance of 0.

    Parameters
    ----------
    image : array_like (h, w)
        The delivered image; its level is a mean over 5 x 5 px.
    background, sigma : array_like (h, w) or scalar
        Background and noise of an input pixel, on the output grid, in the unit of `image`.
    percent : float
        Of the level above the background.

    Returns
    -------
    ndarray (h, w)
        In the unit of `image`, NaN where it is masked.

    Examples
    --------
    >>> tolerance_percent([[100.0, 100.0]], 20.0, 1.0, 10.0)
    array([[8., 8.]])
    >>> tolerance_percent([[20.0, 20.0]], 20.0, 1.0, 10.0)
    array([[1., 1.]])
    """
    level = np.abs(sliding_mean(image, LEVEL_WIDTH) - np.asarray(background, np.float64))
    return np.maximum(percent / 100 * level, np.asarray(sigma, np.float64))


def mean_at(image: ArrayLike, scale: int = ELEMENT) -> Array:
    """The mean B at one of `SCALES`: sliding at 3 px, of blocks at 4 and 16 px.

    Raises
    ------
    OptionError
        For another scale.
    """
    if scale not in SCALES:
        raise OptionError(
            f"differences at {scale} px were asked for", ", ".join(map(str, SCALES)) + " px"
        )
    return sliding_mean(image) if scale == ELEMENT else block_mean(image, scale)


def verdict(
    delivered: ArrayLike, other: ArrayLike, tolerance: ArrayLike, scale: int = ELEMENT
) -> Array:
    """Whether the delivered image differs from another by more than the tolerance.

    With the truth as the other this is the event H, whose probability is the risk.

    Parameters
    ----------
    delivered, other : array_like (h, w)
        In one unit, NaN where masked.
    tolerance : array_like (h, w)
        In that unit; means of it are taken over blocks.
    scale : {3, 4, 16}
        Size of the mean of the difference, px.

    Returns
    -------
    ndarray (h, w), or one value per block
        1 where the delivered image is higher (invented), -1 where it is lower (missed), else 0;
        NaN where masked.

    Examples
    --------
    >>> verdict([[5.0, 5.0, 5.0]], [[1.0, 1.0, 1.0]], np.full((1, 3), 3.0))
    array([[1., 1., 1.]])
    """
    difference = np.asarray(delivered, np.float64) - np.asarray(other, np.float64)
    mean = mean_at(difference, scale)
    limit = np.asarray(tolerance, np.float64)
    limit = limit if scale == ELEMENT else mean_at(limit, scale)
    unknown = np.isnan(mean) | np.isnan(limit)
    return np.where(unknown, np.nan, np.sign(mean) * (np.abs(mean) > limit))


def vote(
    delivered: ArrayLike, draws: Iterable[ArrayLike], tolerance: ArrayLike, scale: int = ELEMENT
) -> Votes:
    r"""Raw score of risk: the share of other draws that the delivered one contradicts.

    .. math:: r = \frac{1/2 + \#\{k : |B(x_0 - x_k)| > \tau\}}{K + 1}

    If the truth is exchangeable with the draws, r is calibrated up to about 1 / (K + 1). It is so
    for a delivered draw only, not for a mean of draws.

    Parameters
    ----------
    delivered : array_like (h, w)
        The image :math:`x_0` that is shown, NaN where masked.
    draws : iterable of array_like (h, w)
        The K other draws, one at a time.
    tolerance : array_like (h, w)
        :math:`\tau`, in the unit of the images.
    scale : {3, 4, 16}
        Size of the mean B, px.

    Returns
    -------
    Votes
        NaN where the delivered image, the tolerance or any draw is masked. The half vote is
        split evenly between `invented` and `missed`.

    Raises
    ------
    InputError
        If there is no other draw.

    Examples
    --------
    >>> votes = vote([[5.0]], [[[1.0]], [[5.0]], [[9.0]]], [[3.0]])
    >>> float(votes.risk[0, 0]), float(votes.invented[0, 0]), float(votes.missed[0, 0])
    (0.625, 0.3125, 0.3125)
    """
    invented, missed, number = np.zeros(()), np.zeros(()), 0
    for draw in draws:
        found = verdict(delivered, draw, tolerance, scale)
        invented = invented + np.maximum(found, 0)
        missed = missed - np.minimum(found, 0)
        number += 1
    if not number:
        raise InputError(
            "there is no other draw that could vote on the delivered one",
            "at least 1, better 16",
            "use --samples 16",
        )
    parts = [(0.25 + count) / (number + 1) for count in (invented, missed)]
    return Votes(parts[0] + parts[1], *parts)
