"""The PSF of a night-sky image from its own stars: width and wings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.optimize import least_squares

from sciup.physics.mesh import block_sky
from sciup.physics.psf import ASSUMED_BETA, moments
from sciup.physics.psf_image import core_centre
from sciup.physics.star_shape import correct, image, profiles, width

HALF = 10
"""Stamps are 2 HALF + 1 input px wide."""

RING = np.hypot(*np.mgrid[-HALF : HALF + 1, -HALF : HALF + 1]) > 8
"""Pixels of a stamp that tell the light around its source."""

FEWEST, MOST = 3, 24
"""Stars that a fit needs, and the brightest that it takes.

In quarters of simulated training fields with 3 or 4 stars the width was never wrong by 10 %."""

ENOUGH, ALIKE = 5, 0.06
"""From so many stars on they need not be alike; fewer must have widths within this share, and be
half of all bright peaks: galaxies and cosmic rays are not."""

LIMITS = (0.5, 12.0)
"""Of the width, input px; a fit that ends there is none."""

CORRECTED = 6
"""Stars without which nothing is added to the profile."""

PICTURE = 41
"""Side of the PSF image of corrected stars, input px."""

WING_ERROR = 0.12
"""Prior error of 1 / beta about `ASSUMED_BETA`: from a Gaussian (0) to 2.0."""

MISFIT = 0.01
"""What is no Moffat, as a share of the peak: it keeps rings from deciding on the core."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StarPsf:
    """The PSF that stars have: a Moffat profile (1969, A&A 3, 455), and what it lacks.

    Attributes
    ----------
    fwhm : float
        Full width at half maximum before pixel integration, input px.
    beta : float
        Exponent of the profile; the larger, the fainter the wings.
    stars : int
        Number of point-like sources that were fitted.
    lacks : ndarray, optional
        Amplitudes of rings and elongation, where stars show them; see `sciup.physics.star_shape`.
    """

    fwhm: float
    beta: float
    stars: int
    lacks: Array | None = None
    _moffat: float = 0.0

    def image(self, fwhm: float | None = None) -> Array | None:
        """The PSF on the input grid with pixel integration; None where the Moffat profile says all.

        Parameters
        ----------
        fwhm : float, optional
            A width that was stated: the shape of the stars, this wide.
        """
        if self.lacks is None:
            return None
        return image(self._moffat * (fwhm or self.fwhm) / self.fwhm, self.beta, self.lacks, PICTURE)


def find_stars(blocks: list[NDArray[np.float32]]) -> list[Array]:
    """Stamps of isolated point-like sources with S/N > 20 per pixel, in sigmas of the sky.

    Point-like are those within 10 % of the narrow end of the distribution of adaptive moments.

    Parameters
    ----------
    blocks : list of ndarray (h, w)
        Pixels in any unit, NaN where masked.
    """
    found = [(moments(_centred(s)), s) for block in blocks for s in _stamps(block)]
    # sharper than any pixel lets a point be: cosmic rays
    round_ = [(m[0], s) for m, s in found if 1.1 < m[0] < 8 and np.hypot(m[1], m[2]) < 0.25]
    if len(round_) < FEWEST:
        return []
    widths = np.array([width for width, _ in round_])
    narrow = np.sort(widths)[: max(FEWEST, len(widths) // 2)]
    core = float(np.median(narrow))
    chosen = [(width, stamp) for width, stamp in round_ if abs(width / core - 1) < 0.1]
    if not _trusted(np.array([width for width, _ in chosen]), len(found)):
        return []
    stars = [stamp for _, stamp in chosen]
    stars.sort(key=lambda stamp: -float(stamp[HALF, HALF]))
    return stars[:MOST]


def _trusted(widths: Array, peaks: int) -> bool:
    """Whether sources of these widths are stars: many, or few that are alike and not the least."""
    if len(widths) >= ENOUGH:
        return True
    alike = np.ptp(widths) < ALIKE * np.median(widths) if len(widths) else False
    return len(widths) >= FEWEST and bool(alike) and len(widths) >= peaks / 2


def _stamps(block: NDArray[np.float32]) -> list[Array]:
    """Isolated bright peaks of a block that are neither saturated nor lost in a galaxy."""
    finite = np.isfinite(block)
    if finite.sum() < 1000 or min(block.shape) < 4 * HALF:
        return []
    level, sigma = block_sky(block)
    if not sigma > 0:
        return []
    z = np.where(finite, block - level, 0) / sigma
    top = (z == maximum_filter(z, 15)) & (z > 20) & (uniform_filter((~finite) * 1.0, 15) < 1e-9)
    top[:HALF] = top[-HALF:] = top[:, :HALF] = top[:, -HALF:] = False
    out = []
    for y, x in zip(*np.nonzero(top), strict=True):
        stamp = z[y - HALF : y + HALF + 1, x - HALF : x + HALF + 1].astype(np.float64)
        # light of a galaxy around a star is no part of it, and its noise no star
        around = stamp[RING]
        stamp -= np.median(around)
        spread = 1.4826 * float(np.median(np.abs(around - np.median(around))))
        middle = stamp[HALF, HALF]
        flat = (np.delete(stamp.ravel(), stamp.size // 2) > 0.99 * middle).any()  # saturated
        if middle >= 20 * max(spread, 1.0) and not flat:
            out.append(stamp)
    return out


def _centred(stamp: Array) -> Array:
    """The stamp moved so that the centroid of its core lies on the middle pixel."""
    from scipy.ndimage import shift

    y, x = np.mgrid[-2:3, -2:3]
    core = np.clip(stamp[HALF - 2 : HALF + 3, HALF - 2 : HALF + 3], 0, None)
    offset = (-(core * y).sum() / core.sum(), -(core * x).sum() / core.sum())
    return np.asarray(shift(stamp, offset, order=3))


def star_psf(blocks: list[NDArray[np.float32]]) -> StarPsf | None:
    """PSF that fits the stars of an image; None where there are too few.

    All stars share width and exponent; each has its own flux and level, solved linearly. Errors
    are photon and sky noise and 3 % of the light, for what is no Moffat; 1 / beta has a prior.
    Rings and elongation are added where they hold on stars left out.
    """
    stars = find_stars(blocks)
    if not stars:
        return None
    stack = np.array(stars)
    centres = np.array([core_centre(s, 1.2) for s in stars])
    peak = stack.max((1, 2), keepdims=True)
    model_error = (0.03 * stack) ** 2 + (MISFIT * peak) ** 2
    error = np.sqrt(1 + 0.02 * np.clip(stack, 0, None) + model_error)
    fit = least_squares(
        _residuals,
        (2.5, 1 / ASSUMED_BETA),
        bounds=((LIMITS[0], 0.02), (LIMITS[1], 0.5)),
        loss="soft_l1",
        kwargs={"stack": stack, "error": error, "centres": centres},
    )
    fwhm, beta = float(fit.x[0]), float(1 / fit.x[1])
    if not 1.02 * LIMITS[0] < fwhm < 0.98 * LIMITS[1]:
        return None
    lacks = correct(stack, centres, fwhm, beta) if len(stars) >= CORRECTED else None
    whole = fwhm if lacks is None else width(fwhm, beta, lacks)
    return StarPsf(whole, beta, len(stars), lacks, fwhm)


def _residuals(shape: Any, stack: Array, error: Array, centres: Array) -> Array:
    """Weighted differences of all stars from the profile, and the prior's."""
    fwhm, flatness = float(shape[0]), float(shape[1])
    model = profiles(fwhm, 1 / flatness, centres, stack.shape[-1])
    parts = [[(flatness - 1 / ASSUMED_BETA) / WING_ERROR * np.sqrt(len(stack))]]
    for star, profile, sigma in zip(stack, model, error, strict=True):
        terms = np.stack([(profile / sigma).ravel(), (1 / sigma).ravel()], -1)
        data = (star / sigma).ravel()
        best = np.linalg.lstsq(terms, data, rcond=None)[0]
        parts.append((data - terms @ best).tolist())
    return np.concatenate([np.asarray(p, float) for p in parts])
