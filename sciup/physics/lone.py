"""Pixels of a camera that stand alone: hot and dead ones, which no optics makes."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

EXTREME = 0.01
"""Share of the brightest pixels, and of the darkest, that are looked at."""
LONE = 8.0
"""A pixel stands alone so many ranges of its neighbours away from them: that of a point under a PSF
of 1 px is 7 away. Noise never is, and the ranges are at least one step of the values, so that
single photons are not."""

Values = NDArray[np.float32]


def without_lone(block: Values) -> Values:
    """Give hot and dead pixels the level of their neighbours.

    One such pixel can have more power than all of an image, and a spectrum without fall: the PSF
    that is found comes out sharp. Where there is none the block itself is returned.

    Parameters
    ----------
    block : ndarray (h, w), float32
        NaN where masked.

    Returns
    -------
    ndarray (h, w), float32

    Examples
    --------
    >>> block = np.random.default_rng(0).normal(100, 5, (32, 32)).astype(np.float32)
    >>> without_lone(block) is block
    True
    >>> block[9, 9] = 4000
    >>> bool(80 < without_lone(block)[9, 9] < 120)
    True
    """
    valid = block[np.isfinite(block)]
    if not valid.size:
        return block
    low, high = np.quantile(valid, [EXTREME, 1 - EXTREME], method="nearest")
    y, x = np.nonzero((block < low) | (block > high))
    step = float(np.diff(np.unique(valid)).min(initial=np.inf))
    lone, level = _alone(block, y, x, step)
    if not lone.any():
        return block
    filled = block.copy()
    filled[y[lone], x[lone]] = level[lone]
    return filled


def _alone(
    block: Values, y: NDArray[np.intp], x: NDArray[np.intp], step: float
) -> tuple[NDArray[np.bool_], Values]:
    """Which of some pixels stand alone, and the median of the neighbours of each."""
    wide = np.pad(block, 1, constant_values=np.nan)
    steps = [(dy, dx) for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
    around = np.stack([wide[y + dy, x + dx] for dy, dx in steps])
    with warnings.catch_warnings():  # of pixels whose neighbours are all masked
        warnings.simplefilter("ignore", RuntimeWarning)
        level, most, least = (f(around, 0) for f in (np.nanmedian, np.nanmax, np.nanmin))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.abs(block[y, x] - level) > LONE * np.maximum(most - least, step), level


__all__ = ["without_lone"]
