"""Fluxes that point sources would have, pixel by pixel, and their maxima."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter, uniform_filter

Array = NDArray[np.float64]

SIGMA_TO_FWHM = float(2 * np.sqrt(2 * np.log(2)))


def point_flux(image: Array, fwhm: float) -> Array:
    """Flux that a point source with a Gaussian PSF would have at each pixel, by least squares.

    ``sum(G x) / sum(G^2)``, what a fit of the PSF G alone gives for white noise (King 1983, PASP
    95, 163).

    Parameters
    ----------
    image : ndarray (h, w)
        Nothing but sources.
    fwhm : float
        Of the PSF, px.

    Examples
    --------
    >>> from sciup.testing.toy_images import star
    >>> round(float(point_flux(50 * star((33, 33), 16, 16, 3.0), 3.0)[16, 16]), 0)
    49.0
    """
    sigma = fwhm / SIGMA_TO_FWHM
    # sum(G^2) = 1 / (4 pi sigma^2) for a Gaussian of unit sum
    return np.asarray(gaussian_filter(image, sigma) * 4 * np.pi * sigma**2)


def local_flux(image: Array, fwhm: float) -> Array:
    """The same, where the source lies on a level that is found beside it.

    Least squares for PSF and a constant in a square D of n pixels:
    ``sum(G (x - mean x)) / (sum(G^2) - 1 / n)``, because G adds up to 1 in D.

    Parameters
    ----------
    image : ndarray (h, w)
    fwhm : float
        Of the PSF, px; the square reaches two of them to each side.

    Examples
    --------
    >>> from sciup.testing.toy_images import star
    >>> image = 50 * star((33, 33), 16, 16, 3.0)
    >>> bool(abs(local_flux(image, 3.0) - local_flux(image + 7, 3.0)).max() < 1e-9)
    True
    """
    sigma, side = fwhm / SIGMA_TO_FWHM, 2 * int(np.ceil(2 * fwhm)) + 1
    above = gaussian_filter(image, sigma) - uniform_filter(image, side)
    return np.asarray(above / (1 / (4 * np.pi * sigma**2) - 1 / side**2))


def detections(flux: Array, limit: float, rim: int = 0) -> tuple[Array, Array]:
    """Places (n, 2) and fluxes of local maxima of a map of point fluxes above a limit.

    Parameters
    ----------
    flux : ndarray (h, w)
        NaN nowhere.
    limit : float
        Maxima are higher.
    rim : int
        Pixels at the edges that are left out.

    Examples
    --------
    >>> flux = np.zeros((9, 9))
    >>> flux[4, 5] = 3
    >>> detections(flux, 2.0)[0].tolist()
    [[4.0, 5.0]]
    """
    top = (flux == maximum_filter(flux, 5)) & (flux > limit)
    if rim:
        top[:rim] = top[-rim:] = top[:, :rim] = top[:, -rim:] = False
    places = np.argwhere(top)
    return places.astype(float), flux[tuple(places.T)]


__all__ = ["SIGMA_TO_FWHM", "detections", "local_flux", "point_flux"]
