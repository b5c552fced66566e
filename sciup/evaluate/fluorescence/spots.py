"""Spots that an image has and its truth has not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from sciup.evaluate.fluorescence.protocol import RIM, Case
from sciup.evaluate.metrics import block_mean
from sciup.existence.points import SIGMA_TO_FWHM, detections, local_flux

Array = NDArray[np.float64]

LIMIT = 5.0
"""S/N, in the input, of the faintest spot that counts."""
EMPTY = 1.0
"""Where the truth has less than this S/N within the reach of a match, there is no spot."""


def false_spots(image: Array, case: Case, target_fwhm: float) -> tuple[int, int]:
    """Number of false spots, and of the pixels without a spot in the truth.

    A spot is a maximum of the light of a point source that a fit of the output PSF and a constant
    gives. Its noise is that of a fit of the input's PSF to the input (King 1983, PASP 95, 163).

    Parameters
    ----------
    image : ndarray (h, w)
        On the grid of the truth and in its units.
    case : Case
        With a known instrument.
    target_fwhm : float
        Of the output PSF, px of the truth.
    """
    s = case.scale // case.bins
    truth, found = (_electrons(x, case) / s**2 for x in (case.truth, image))
    width = np.hypot(case.fwhm, target_fwhm / s) / SIGMA_TO_FWHM
    area = 4 * np.pi * (width**2 + 1 / 12)  # 1 / sum(p^2), with the input pixel
    light = block_mean(_electrons(case.truth, case), s)
    noise = np.sqrt((np.maximum(light, 0) + case.light.read_noise**2) * area)
    noise = noise.repeat(s, 0).repeat(s, 1)
    snr, true = (local_flux(x, target_fwhm) / noise for x in (found, truth))
    reach = 2 * int(np.ceil(case.fwhm * s / 2)) + 1
    empty = maximum_filter(true, reach) < EMPTY
    places, _ = detections(snr, LIMIT, RIM)
    inner = np.s_[RIM:-RIM, RIM:-RIM]
    return int(empty[tuple(places.astype(int).T)].sum()), int(empty[inner].sum())


def _electrons(values: Array, case: Case) -> Array:
    return case.light.electrons(np.asarray(values, np.float64))
