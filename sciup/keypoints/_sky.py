"""Points and extended sources of the night sky."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.spatial import KDTree

from sciup.keypoints._maxima import apart, blobs, maxima, vertex
from sciup.keypoints._places import Found, gaussians
from sciup.keypoints._waves import Waves

POINT_SIGMA, WIDE_SIGMA = 8.0, 5.0
"""Points and extended sources rise this many standard deviations of the filtered noise above 0.

The noise of the sky was spread over several output pixels.
"""

NARROW, WIDE = 1.3, 1.7
"""Width of the widest point and the narrowest extended source, in units of the resolution."""

WIDTHS = 2.0 ** (np.arange(9) / 2 - 0.5)
"""Scales of extended sources, in units of the resolution's sigma, the first and last unused."""

SIGMA_TO_FWHM = float(2 * np.sqrt(2 * np.log(2)))


def noise_for(flux: float, fwhm: float) -> float:
    """Noise of a pixel in which a point of `flux` is just found, in the unit of the image.

    An exact image, such as the truth of a simulation, shows sources of any faintness. With this
    noise `find` takes it for one whose faintest points have that flux, and the same noise makes
    two images comparable.

    Parameters
    ----------
    flux : float
        Of the faintest point.
    fwhm : float
        Resolution of the image, px.

    Examples
    --------
    >>> from sciup.keypoints import find
    >>> y, x = np.mgrid[:48, :48]
    >>> sigma = 4.0 / SIGMA_TO_FWHM
    >>> point = np.exp(-((y - 20) ** 2 + (x - 25) ** 2) / 2 / sigma**2) / (2 * np.pi * sigma**2)
    >>> noise = noise_for(100.0, 4.0)
    >>> [len(find(flux * point, "night-sky", noise, 4.0)) for flux in (95.0, 105.0)]
    [0, 1]
    """
    # -LoG gives flux / (4 pi sigma^2) in the middle of a point, and a noise of 1 becomes
    # 1 / (sqrt(2 pi) sigma): the root of the mean over all waves w of (sigma^2 w^2 G)^2
    return float(flux * SIGMA_TO_FWHM / (POINT_SIGMA * np.sqrt(8 * np.pi) * fwhm))


def night_sky(waves: Waves, noise: float, fwhm: float) -> list[Found]:
    """Points; and blobs wider than those in what is left when they are taken away."""
    sigma = fwhm / SIGMA_TO_FWHM
    place, flux = points = _points(waves, noise, sigma)
    y, x, stamp = gaussians(place, waves.shape, sigma)
    rest = waves.image.copy()
    np.subtract.at(rest, (y, x), stamp * flux[:, None, None] / (2 * np.pi * sigma**2))
    wide = blobs(Waves(rest), sigma * WIDTHS, 2)
    where, width, height = wide.place, wide.width, wide.height
    total = 4 * np.pi * width**2 * height
    if len(place):
        # what a point left is less than the point
        away, which = KDTree(place).query(where)
        total[(away < 2 * width) & (total < flux[which])] = 0
    good = (total > 0) & (height > WIDE_SIGMA * noise * wide.gain) & (width > WIDE * sigma)
    return [points, apart(where[good], total[good], 1.5 * width[good])]


def _points(waves: Waves, noise: float, sigma: float) -> Found:
    """Place and flux of maxima with a profile as narrow as the resolution, a Gaussian of `sigma`.

    -LoG of a Gaussian of flux F and width s is F / (pi (s^2 + sigma^2)^2) in its middle; two scales
    tell s.
    """
    other = 1.6 * sigma
    (fine, gain), (wide, _) = waves.blob(sigma), waves.blob(other)
    # waves end at the finest that pixels hold: bright points have rings, of 2e-4 at most
    rings = 6e-4 * maximum_filter(fine, 2 * int(14 * sigma) + 1, mode="nearest")
    y, x = maxima(np.where(fine > np.maximum(rings, POINT_SIGMA * noise * gain), fine, 0))
    one, two = fine[y, x] / sigma**2, np.maximum(wide[y, x], 0) / other**2
    # sqrt(one / two) = (s^2 + other^2) / (s^2 + sigma^2) is above that of s = NARROW sigma
    most = (NARROW * sigma) ** 2
    narrow = np.sqrt(one) * (most + sigma**2) > np.sqrt(two) * (most + other**2)
    place, height = (part[narrow] for part in vertex(fine, (y, x)))
    flux = 4 * np.pi * sigma**2 * height
    return apart(place, flux, np.full(len(place), 1.5 * sigma))
