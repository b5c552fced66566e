"""The innovation of absolute blocks: whether the noise has the size and texture that is stated.

The innovation is what the data have that the model's image, before its projection, does not
explain, over its noise. Chi-squared, whiteness and spikes: a large value is strange; how strange,
`sciup.risk.familiar` says.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

BLOCK = 128
"""Side of a block of input px, counted from the first pixel of the whole image."""

LEAST_PIXELS = BLOCK * BLOCK // 16
"""Blocks with less footprint are not judged."""

NEIGHBOURS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0))

ALLOWED = 0.3
"""Sigma of a spike for each unit of local S/N."""

LAGS = ((0, 1), (1, 0), (0, 2), (2, 0))


def chi_squared(z: ArrayLike) -> float:
    """Two-sided misfit: the size of the log of the mean of z^2.

    Parameters
    ----------
    z : array_like (h, w)
        Innovation over its sigma, NaN outside of the footprint.

    Returns
    -------
    float
        0 where the innovation is as large as its sigma says; NaN with too few pixels.

    Examples
    --------
    >>> round(chi_squared(np.full((64, 64), 2.0)), 3)
    1.386
    """
    x = np.asarray(z, np.float64)
    x = x[np.isfinite(x)]
    if x.size < LEAST_PIXELS:
        return float("nan")
    return abs(float(np.log(max(float(np.mean(x * x)), 1e-30))))


def whiteness(z: ArrayLike, expected: tuple[float, float] = (0.0, 0.0)) -> float:
    r"""How far the innovation's autocorrelation is from the instrument's.

    :math:`\sqrt{\sum_l n_l (\rho_l - e_l)^2}` over lags of 1 and 2 px along both axes, with
    :math:`n_l` pairs of pixels: the root of a Box-Pierce statistic about what is expected. The
    mean is not subtracted, since an innovation has none.

    Parameters
    ----------
    z : array_like (h, w)
        Innovation over its sigma, NaN outside of the footprint.
    expected : (float, float)
        Autocorrelation of the instrument's noise at lags of 1 and 2 px.

    Returns
    -------
    float
        About 2 for noise as expected; NaN with too few pixels.

    References
    ----------
    Box & Pierce (1970), J. Am. Stat. Assoc. 65, 1509.

    Examples
    --------
    >>> white = np.random.default_rng(0).standard_normal((128, 128))
    >>> whiteness(white) < 5 < whiteness(white + np.roll(white, 1, 0))
    True
    """
    x = np.asarray(z, np.float64)
    valid = np.isfinite(x)
    if valid.sum() < LEAST_PIXELS:
        return float("nan")
    power = max(float(np.mean(x[valid] ** 2)), 1e-30)
    total = 0.0
    for dy, dx in LAGS:
        products = x[dy:, dx:] * x[: x.shape[0] - dy, : x.shape[1] - dx]
        pairs = products[np.isfinite(products)]
        if pairs.size:
            total += pairs.size * (float(pairs.mean()) / power - expected[dy + dx - 1]) ** 2
    return float(np.sqrt(total))


def spikes(z: ArrayLike, snr: ArrayLike) -> float:
    """The largest excess of a pixel over its eight neighbours: hot pixels, cosmic rays.

    A share of the local S/N is allowed for: where it is bright, a PSF that is a little wrong leaves
    peaks, too.

    Parameters
    ----------
    z : array_like (h, w)
        Innovation over its sigma, NaN outside of the footprint.
    snr : array_like (h, w)
        S/N of the local mean of the data.

    Returns
    -------
    float
        Standard deviations; NaN with too few pixels.

    Examples
    --------
    >>> z = np.random.default_rng(0).standard_normal((128, 128))
    >>> calm = spikes(z, np.zeros_like(z))
    >>> z[30, 40] += 12
    >>> calm < 6 < spikes(z, np.zeros_like(z))
    True
    """
    x = np.asarray(z, np.float64)
    if np.isfinite(x).sum() < LEAST_PIXELS:
        return float("nan")
    inside = np.s_[1:-1, 1:-1]
    around = np.stack([np.roll(x, (dy, dx), (0, 1))[inside] for dy, dx in NEIGHBOURS])
    share = 1 + ALLOWED * np.maximum(np.asarray(snr, np.float64)[inside], 0)
    excess = (x[inside] - around.mean(0)) / share
    known = excess[np.isfinite(excess)]
    return float(known.max()) if known.size else float("nan")


def block_scores(
    innovation: ArrayLike,
    sigma: ArrayLike,
    footprint: ArrayLike,
    snr: ArrayLike,
    expected: tuple[float, float] = (0.0, 0.0),
) -> Array:
    """`chi_squared`, `whiteness` and `spikes` of one block.

    Parameters
    ----------
    innovation, sigma : array_like (h, w)
        Data minus what the model's image predicts before its projection, and its noise.
    footprint : array_like of bool (h, w)
        True where there are data.
    snr : array_like (h, w)
        S/N of the local mean of the data.
    expected : (float, float)
        Autocorrelation of the instrument's noise at lags of 1 and 2 px.

    Returns
    -------
    ndarray (3,)
        NaN with too few pixels.
    """
    y, noise = np.asarray(innovation, np.float64), np.asarray(sigma, np.float64)
    good = np.asarray(footprint, bool) & (noise > 0)
    z = np.where(good, y, np.nan) / np.where(good, noise, 1.0)
    return np.array([chi_squared(z), whiteness(z, expected), spikes(z, snr)])


__all__ = ["BLOCK", "block_scores", "chi_squared", "spikes", "whiteness"]
