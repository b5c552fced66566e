"""What a block of an image looks like, in a few numbers that need no network.

Micrographs of fluorescence and the night sky show bright things on a dark ground; stained tissue
and electron micrographs do not. A network that was never shown the difference does not feel it.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter

Array = NDArray[np.float64]

SIDES = (3, 7, 15, 31)
"""Of the boxes whose differences are the bands [input px]."""
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
COUNT = 12
LEAST_SHARE = 1 / 16
"""Of a block that must have data."""
FLOOR = 1e-3
"""Of the noise variance: the least energy of a band."""


def appearance(values: ArrayLike, sigma: ArrayLike, footprint: ArrayLike) -> Array:
    """Asymmetry and peakedness of three bands, their energies, and where the grey values lie.

    Parameters
    ----------
    values, sigma : array_like (h, w)
        Data and their noise.
    footprint : array_like of bool (h, w)
        True where there are data; elsewhere the median is put.

    Returns
    -------
    ndarray (12,)
        For the bands between boxes of 3, 7, 15 and 31 px arcsinh of the skewness and logarithm of
        the kurtosis; logarithms of the two ratios of their energies; where the quartiles lie
        between the 1st and the 99th percentile; logarithm of the distance of these over the noise.
        It does not change if values and sigma are multiplied by a number, or if a number is added
        to the values. NaN with too few pixels.

    Examples
    --------
    >>> spots = np.zeros((64, 64))
    >>> spots[::16, ::16] = 100
    >>> bright, dark = (appearance(x, np.ones_like(x), x == x) for x in (spots, -spots))
    >>> bool(bright[0] > 1 > -1 > dark[0])
    True
    """
    v, good = np.asarray(values, np.float64), np.asarray(footprint, bool)
    if good.sum() < LEAST_SHARE * good.size or not good.any():
        return np.full(COUNT, np.nan)
    noise = float(np.mean(np.asarray(sigma, np.float64)[good] ** 2))
    v = np.where(good, v, np.median(v[good]))
    smooth = [uniform_filter(v, side, mode="nearest") for side in SIDES]
    bands = [(fine - wide)[good] for fine, wide in itertools.pairwise(smooth)]
    shapes = np.array([_shape(band, FLOOR * noise) for band in bands])
    low, *quartiles, high = np.quantile(smooth[0][good], QUANTILES)
    reach = max(float(high - low), float(np.sqrt(FLOOR * noise)), 1e-30)
    return np.concatenate(
        [
            shapes[:, :2].ravel(),
            -np.diff(shapes[:, 2]),
            (np.array(quartiles) - low) / reach,
            [np.log(reach / np.sqrt(max(noise, 1e-30)))],
        ]
    )


def _shape(band: Array, floor: float) -> tuple[float, float, float]:
    """Skewness and kurtosis, tamed, and the logarithm of the energy."""
    x = band - band.mean()
    square = x * x  # numpy's powers above it are ten times slower than products
    energy = float(np.mean(square)) + max(floor, 1e-60)
    skewness = float(np.mean(square * x)) / energy**1.5
    kurtosis = float(np.mean(square * square)) / energy**2
    return float(np.arcsinh(skewness)), float(np.log(kurtosis + FLOOR)), float(np.log(energy))
