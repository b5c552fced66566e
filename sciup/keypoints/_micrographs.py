"""Spots, nuclei and filaments of micrographs."""

from __future__ import annotations

import numpy as np

from sciup.keypoints._filaments import filaments
from sciup.keypoints._maxima import APART, alone, apart, between, blobs, maxima, vertex
from sciup.keypoints._places import Array, Found
from sciup.keypoints._waves import TINY, Waves, noise_of

SIGMA = 5.0
"""A spot rises this many standard deviations of the filtered noise above 0."""

RARE = 3.0
"""A spot's filtered height relative to the local root mean square of the filtered image."""

STEEP = 0.15
"""A spot's filtered height relative to the local standard deviation of the image."""

NUCLEI = 4.0 * 2 ** (np.arange(6) / 2)
"""Scales of nuclei, px; radius / 1.41. The first and last only tell that one is out of range."""


def micrograph(waves: Waves, noise: float, fwhm: float) -> list[Found]:
    """Spots, nuclei, filaments."""
    bend, gain = waves.blob(fwhm / 2)
    sigma = noise_of(bend, noise * gain)
    spread = waves.spread(8 * fwhm)
    square, inner = waves.near(bend**2, 6 * fwhm, 2 * fwhm)
    # not less than in the whole image: what stands out in a dark corner only is no spot
    level = np.sqrt(np.maximum(square, (bend**2).mean()))
    rough = np.sqrt(np.maximum(inner - sigma**2, 0))
    least = np.maximum(np.maximum(RARE * level, STEEP * spread), SIGMA * sigma)
    return [
        _spots(waves, bend / least, fwhm),
        _nuclei(waves, noise, spread, rough),
        filaments(waves, sigma / max(gain, TINY), fwhm, spread),
    ]


def _spots(waves: Waves, height: Array, fwhm: float) -> Found:
    """Maxima of -LoG at the resolution, `height` in units of the least, that stand alone."""
    y, x = maxima(np.where(height > 1, height, 0))
    place, strength = vertex(height, (y, x))
    free = alone(waves.blur(fwhm / 4), place, np.full(len(place), 1.5 * fwhm), 0) > 0.5
    return apart(place[free], strength[free], np.full(int(free.sum()), APART))


def _nuclei(waves: Waves, noise: float, spread: Array, rough: Array) -> Found:
    """Blobs that are smooth inside, darker almost all around, and rise above the local contrast."""
    found = blobs(waves, NUCLEI, 4)
    place, width, height = found.place, found.width, found.height
    inside = np.minimum(place, np.array(waves.shape) - 1 - place).min(1) > width / 2
    good = inside & (height > SIGMA * noise * found.gain) & (height > 1.2 * between(spread, place))
    good &= between(rough, place) < 0.25 * height
    good &= alone(waves.blur(2.0), place, 2.2 * width, 4) > 0.75
    strength = height / np.maximum(between(spread, place), TINY)
    return apart(place[good], strength[good], 1.4 * width[good])
