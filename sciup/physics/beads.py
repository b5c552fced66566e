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

BRIGHT = 10
"""Sigmas of the noise in one pixel that the peak of a bead has at least."""

FLAT = 2 / 3
"""Light in the corners as a share of that in the middles of the sides: wings that fall with the
square of the radius have a half, steeper ones less, a background all."""

SHARE = 0.01
"""Backgrounds with less than this share of the light are left in."""


def sharpest(planes: Sequence[Array]) -> int:
    """Index of the sharpest plane of a stack of beads.

    The same light in fewer pixels has the larger sum of squares.
    """
    return int(np.argmax([((p - np.median(p)) ** 2).sum() for p in planes]))


def _background(image: Array) -> float:
    """Level of the rim if its corners are as bright as its sides, so that it is no wing; else 0."""
    side = max(2, min(image.shape) // 8)
    rows, cols = ([slice(0, side), _middle(n, side), slice(n - side, n)] for n in image.shape)
    corners = np.array([image[y, x] for y in (rows[0], rows[2]) for x in (cols[0], cols[2])])
    places = ((0, 1), (1, 0), (1, 2), (2, 1))
    sides = float(np.median([image[rows[i], cols[j]] for i, j in places]))
    level = float(np.median(corners))
    error = 1.25 * float(corners.std()) / np.sqrt(corners.size)
    flat = level / sides > FLAT if sides else False
    return _rim(image) if flat and abs(level) > 3 * error else 0.0


def _middle(n: int, side: int) -> slice:
    return slice((n - side) // 2, (n + side) // 2)


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
    if min(image.shape) < 8 or not image.max() > image.min():
        return image, []
    beads, peaks = _beads(image)
    if peaks > 1 and beads:
        return np.median(beads, axis=0), [f"median of {len(beads)} isolated beads"]
    notes = [f"{peaks} peaks, none of them isolated, taken as one PSF"] if peaks > 1 else []
    level = _background(image)
    if abs(level) * image.size < SHARE * (image - level).sum():
        return image, notes
    return image - level, [*notes, f"background of {level:.4g} taken off"]


def _beads(image: Array) -> tuple[list[Array], int]:
    """Images of isolated beads, centred and of equal light; and how many there are in all."""
    values = image - np.median(image)
    noise = 1.4826 * float(np.median(np.abs(values)))
    peak = np.unravel_index(int(values.argmax()), values.shape)
    bright, _ = label(values > values[peak] / 2)
    fwhm = max(2.0, 2 * float(np.sqrt((bright == bright[peak]).sum() / np.pi)))
    half = int(np.ceil(HALF * fwhm))
    tops = (values == maximum_filter(values, 2 * round(fwhm) + 1)) & (values > BRIGHT * noise)
    places = np.argwhere(tops & (values > ALIKE * CROWDED * values[peak]))
    light = values[tuple(places.T)]
    beads, peaks = [], int((light > ALIKE * values[peak]).sum())
    for (y, x), flux in zip(places, light, strict=True):
        near = np.abs(places - (y, x)).max(1) <= 1.5 * half
        crowded = (near & (light > CROWDED * flux)).sum() > 1
        inside = half <= y < values.shape[0] - half and half <= x < values.shape[1] - half
        if flux < ALIKE * values[peak] or crowded or not inside:
            continue
        stamp = values[y - half : y + half + 1, x - half : x + half + 1]
        if (stamp > 0.99 * flux).sum() == 1:  # else it is saturated
            beads.append(_centred(stamp - _rim(stamp), fwhm))
    return beads, peaks


def _rim(stamp: Array) -> float:
    """Median of the outermost two pixels."""
    rim = np.ones(stamp.shape, bool)
    rim[2:-2, 2:-2] = False
    return float(np.median(stamp[rim]))


def _centred(stamp: Array, fwhm: float) -> Array:
    """A bead with its centre on the middle pixel, sum 1."""
    middle = stamp.shape[0] // 2
    y, x = core_centre(stamp, fwhm / 2.35)
    moved = np.fft.ifft2(fourier_shift(np.fft.fft2(stamp), (middle - y, middle - x))).real
    return np.asarray(moved / moved.sum())


__all__ = ["bead_psf", "sharpest"]
