"""The PSF of a microscope from images of beads: one in a stack, or several side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import fourier_shift, label, maximum_filter

from sciup.physics.psf_image import core_centre

Array = NDArray[np.float64]

ALIKE = 0.3
"""Peaks that are brighter than this share of the brightest are beads too; the rings of an Airy
pattern have 2 %, the lobes of a bad objective 10 %."""

CROWDED = 0.05
"""A peak of this share of a bead's spoils its image if it is near."""

HALF = 4
"""Half a side of a bead's image, FWHM."""

PEDESTAL = 0.02
"""Share of its peak at the rim above which a PSF image has a background: a Moffat profile of
exponent 2.5 falls to 0.2 % within 3 FWHM."""


def sharpest(planes: Sequence[Array]) -> int:
    """Index of the sharpest plane of a stack of beads.

    The same light in fewer pixels has the larger sum of squares.
    """
    return int(np.argmax([((p - np.median(p)) ** 2).sum() for p in planes]))


def background(image: Array) -> float:
    """Median of the outermost two pixels."""
    rim = np.ones(image.shape, bool)
    rim[2:-2, 2:-2] = False
    return float(np.median(image[rim]))


def bead_psf(image: Array) -> tuple[Array, list[str]]:
    """A PSF image from an image of one or more beads, and what was done for it.

    Isolated beads are moved by their Fourier series so that their centres fall together; the result
    is their median at equal light, so that a clump of beads has no say.

    Parameters
    ----------
    image : ndarray (M, N)
        On the input grid.

    Returns
    -------
    image : ndarray
        As it was if there is one peak and its rim is dark.
    notes : list of str
        One for each thing that was done.
    """
    level = background(image)
    top = float(image.max()) - level
    beads = _beads(image) if top > 0 and min(image.shape) > 3 else []
    if len(beads) > 1:
        return np.median(beads, axis=0), [f"median of {len(beads)} isolated beads, background off"]
    if top > 0 and abs(level) > PEDESTAL * top:
        return image - level, [f"background of {level:.4g} taken off"]
    return image, []


def _beads(image: Array) -> list[Array]:
    """Images of isolated beads, centred and of equal light."""
    values = image - np.median(image)
    noise = 1.4826 * float(np.median(np.abs(values)))
    peak = np.unravel_index(int(values.argmax()), values.shape)
    bright, _ = label(values > values[peak] / 2)
    fwhm = max(2.0, 2 * float(np.sqrt((bright == bright[peak]).sum() / np.pi)))
    half = int(np.ceil(HALF * fwhm))
    tops = (values == maximum_filter(values, 2 * round(fwhm) + 1)) & (values > 10 * noise)
    places = np.argwhere(tops & (values > ALIKE * CROWDED * values[peak]))
    light = values[tuple(places.T)]
    beads = []
    for (y, x), flux in zip(places, light, strict=True):
        near = np.abs(places - (y, x)).max(1) <= 1.5 * half
        crowded = (near & (light > CROWDED * flux)).sum() > 1
        inside = half <= y < values.shape[0] - half and half <= x < values.shape[1] - half
        if flux < ALIKE * values[peak] or flux < 20 * noise or crowded or not inside:
            continue
        stamp = values[y - half : y + half + 1, x - half : x + half + 1]
        saturated = (stamp > 0.99 * flux).sum() > 1
        if not saturated:
            beads.append(_centred(stamp - background(stamp), fwhm))
    return beads


def _centred(stamp: Array, fwhm: float) -> Array:
    """A bead with its centre on the middle pixel, sum 1."""
    middle = stamp.shape[0] // 2
    y, x = core_centre(stamp, fwhm / 2.35)
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(stamp), (middle - y, middle - x))).real
    return np.asarray(moved / moved.sum())


__all__ = ["background", "bead_psf", "sharpest"]
