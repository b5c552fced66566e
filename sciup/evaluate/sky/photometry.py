"""Apertures, centroids and isolation of sources, and total fluxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal.windows import tukey

from sciup.errors import MissingPackageError
from sciup.evaluate.metrics import block_mean
from sciup.physics.psf import SIGMA_TO_FWHM

Array = NDArray[np.float64]


def aperture_fluxes(
    image: Array,
    places: Array,
    radius: float,
    annulus: tuple[float, float] | None = None,
) -> Array:
    """Fluxes in circular apertures with exact pixel fractions.

    Parameters
    ----------
    image : ndarray (h, w)
        Flux per pixel.
    places : ndarray (n, 2)
        Centres as (y, x), pixel centres at integers.
    radius : float
        Pixels.
    annulus : (float, float), optional
        Inner and outer radius of a ring whose median is subtracted.

    Returns
    -------
    ndarray (n,)
    """
    try:
        from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture
    except ImportError:
        raise MissingPackageError(
            "photometry needs photutils", fix="pip install 'sciup[train]'"
        ) from None
    if len(places) == 0:
        return np.empty(0)
    centres = places[:, ::-1]
    disc = CircularAperture(centres, r=radius)
    sums = disc.do_photometry(image, method="exact")[0]
    if annulus is not None:
        ring = ApertureStats(image, CircularAnnulus(centres, *annulus), sum_method="center")
        sums = sums - ring.median * disc.area
    return np.asarray(sums, float)


def windowed_centroid(image: Array, y: float, x: float, fwhm: float) -> tuple[float, float]:
    """Centre of light under a Gaussian window that follows it; NaN if it runs away.

    The iteration ``c <- c + 2 sum(w I (r - c)) / sum(w I)`` of windowed positions (Bertin & Arnouts
    1996, A&AS 117, 393, and the SExtractor manual, XWIN_IMAGE).

    Parameters
    ----------
    image : ndarray (h, w)
        Background-subtracted.
    y, x : float
        Where to start.
    fwhm : float
        Of the window, in pixels.

    Returns
    -------
    (float, float)
        (y, x).
    """
    sigma = fwhm / SIGMA_TO_FWHM
    reach = int(np.ceil(3.5 * sigma))
    y0, x0 = round(y) - reach, round(x) - reach
    side = 2 * reach + 1
    lost = (float("nan"), float("nan"))
    if min(y0, x0) < 0 or y0 + side > image.shape[0] or x0 + side > image.shape[1]:
        return lost
    stamp = image[y0 : y0 + side, x0 : x0 + side]
    rows, cols = np.mgrid[y0 : y0 + side, x0 : x0 + side].astype(float)
    cy, cx = float(y), float(x)
    for _ in range(50):
        weight = np.exp(-0.5 * ((rows - cy) ** 2 + (cols - cx) ** 2) / sigma**2) * stamp
        total = weight.sum()
        if not total > 0:
            return lost
        dy = 2 * float((weight * (rows - cy)).sum() / total)
        dx = 2 * float((weight * (cols - cx)).sum() / total)
        cy, cx = cy + dy, cx + dx
        if not np.hypot(cy - y, cx - x) < fwhm:
            return lost
        if np.hypot(dy, dx) < 1e-5:
            break
    return cy, cx


def to_input(places: Array, scale: int) -> Array:
    """Positions on the fine grid as positions on the input grid, pixel centres at integers.

    Examples
    --------
    >>> to_input(np.array([0.5, 2.5]), 2).tolist()
    [0.0, 1.0]
    """
    return np.asarray((places + 0.5) / scale - 0.5)


def to_fine(places: Array, scale: int) -> Array:
    """Inverse of `to_input`."""
    return np.asarray((places + 0.5) * scale - 0.5)


def isolated(
    places: Array, fluxes: Array, distance: float, share: float = 0.1
) -> NDArray[np.bool_]:
    """Which sources have no neighbour within `distance` that is brighter than `share` of them."""
    out = np.ones(len(places), bool)
    for i, (place, flux) in enumerate(zip(places, fluxes, strict=True)):
        near = np.hypot(*(places - place).T) < distance
        near[i] = False
        out[i] = not (fluxes[near] > share * flux).any()
    return out


def catalogue(sources: Sequence[dict[str, Any]]) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Places (n, 2), fluxes and "is a star" of a list of sources."""
    places = np.array([[s["y"], s["x"]] for s in sources], float).reshape(-1, 2)
    fluxes = np.array([s["flux"] for s in sources], float)
    return places, fluxes, np.array([s["kind"] == "star" for s in sources], bool)


def peaks(image: Array, sigma: Array, threshold: float = 5.0, reach: int = 4) -> Array:
    """Places (n, 2) of local maxima of a lightly smoothed image, `threshold` sigmas high.

    Only maxima in a square of 2 `reach` + 1 pixels that lie further than that from the edges.
    """
    from scipy.ndimage import gaussian_filter, maximum_filter

    smooth = gaussian_filter(image / sigma, 0.8)
    # white noise keeps 1 / (2 sqrt(pi) 0.8) of its deviation
    top = (smooth == maximum_filter(smooth, 2 * reach + 1)) & (smooth > threshold * 0.35)
    rim = reach + 1
    inner = np.zeros_like(top)
    inner[rim:-rim, rim:-rim] = True
    return np.argwhere(top & inner).astype(float)


def total_flux(values: Array, mean: Array, sigma: Array) -> dict[str, float]:
    """Total of mean against that of the input: relative difference, and in sigmas of the sum.

    Sharpening moves light across the edges of an image. A weight that falls to 0 there over a
    quarter of each side leaves that out.
    """
    scale = mean.shape[0] // values.shape[0]
    coarse = block_mean(mean, scale) * scale**2
    weight = np.outer(*(tukey(n, 0.5) for n in values.shape))
    weight = np.where(np.isfinite(values) & np.isfinite(coarse), weight, 0)
    total = float((weight * np.nan_to_num(values)).sum())
    difference = float((weight * np.nan_to_num(coarse - values)).sum())
    return {
        "flux_difference": difference / total,
        "flux_sigmas": difference / float(np.sqrt(((weight * sigma) ** 2).sum())),
    }
