"""The centre of light under a window that follows it, and does not tell how wide a region is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciup.science.measure.context import Array, Mask

WIDE = 2.0
"""FWHM of the window over that of the PSF: it holds all of a point, and hardly its neighbours."""

REACH, LEAST = 6.0, 3.0
"""Sigmas of the window that are summed, and that must lie in the image."""

STEPS = 500
CLOSE = 1e-6
"""Last step in px: a wide source is approached slowly, the last step is less than the error."""

TO_FWHM = float(np.sqrt(8 * np.log(2)))
LOST = (float("nan"), float("nan"))


def start(
    light: Array, mask: Mask, centre: tuple[float, float], fwhm: float
) -> tuple[float, float]:
    """The brightest pixel of a region at the PSF's resolution; near its middle counts for more.

    Brightness falls to a half at a quarter of the side of the region from its middle.
    """
    from scipy.ndimage import gaussian_filter

    rows, columns = np.nonzero(mask)
    smooth = gaussian_filter(light, fwhm / TO_FWHM)[rows, columns]
    sigma = max(np.sqrt(4 / np.pi * mask.sum()) / 2, WIDE * fwhm) / TO_FWHM
    away = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / sigma**2
    best = int(np.argmax(smooth * np.exp(-away / 2)))
    return float(rows[best]), float(columns[best])


def follow(light: Array, first: tuple[float, float], fwhm: float) -> tuple[float, float]:
    """Centre (y, x) under the window; NaN if it does not come to rest within one window's FWHM.

    A window of sigma w shows a Gaussian of sigma t shifted by 1 / (1 + t^2 / w^2) of how far it is
    off: each step goes back by that factor, so that a point takes a single one.

    Parameters
    ----------
    light : ndarray (h, w)
        Above the background.
    first : (float, float)
        Where to start.
    fwhm : float
        Of the PSF, px.

    Examples
    --------
    >>> y, x = np.mgrid[:41, :41]
    >>> light = np.exp(-((y - 20.4) ** 2 + (x - 19.7) ** 2) / 2)
    >>> [round(c, 4) for c in follow(light, (20.0, 20.0), 2.355)]
    [20.4, 19.7]
    """
    sigma, factor = WIDE * fwhm / TO_FWHM, 1 + 1 / WIDE**2
    at = np.array(first)
    for _ in range(STEPS):
        if not ((at >= LEAST * sigma) & (at <= np.array(light.shape) - 1 - LEAST * sigma)).all():
            return LOST
        (y, wy), (x, wx) = (_window(c, sigma, n) for c, n in zip(at, light.shape, strict=True))
        part = light[y[0] : y[-1] + 1, x[0] : x[-1] + 1]
        rows, columns = part @ wx, wy @ part
        total = float(wy @ rows)
        if not total > 0:
            return LOST
        step = np.array([(wy * (y - at[0])) @ rows, (wx * (x - at[1])) @ columns]) * factor / total
        at = at + step
        if not np.hypot(*(at - first)) < WIDE * fwhm:
            return LOST
        if np.hypot(*step) < CLOSE:
            return float(at[0]), float(at[1])
    return LOST


def _window(centre: float, sigma: float, length: int) -> tuple[NDArray[np.int64], Array]:
    """Pixels along an axis and their weights."""
    reach = int(np.ceil(REACH * sigma))
    at = np.arange(max(0, round(centre) - reach), min(length, round(centre) + reach + 1))
    return at, np.exp(-(((at - centre) / sigma) ** 2) / 2)


__all__ = ["follow", "start"]
