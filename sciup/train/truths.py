"""One image of a microscope or a telescope as a truth to train on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.image import Image, Plane
from sciup.train.data import robust_noise
from sciup.train.recipe import Recipe

Truth = tuple[NDArray[Any], float]
"""Pixels as stored (uint16 times `QUANTUM`, or float16), and one-sigma noise of a pixel."""

BRIGHTEST = 3.0
"""Truths of micrographs end here; 1 is their 99.9th percentile."""

QUANTUM = BRIGHTEST / 65535

DEEP = 0.3
"""Largest noise of a truth, binned to input pixels, relative to the noise that is simulated."""

WIDER = 1.15
"""A frame whose PSF is this much wider than the target is binned first."""


class SkipError(Exception):
    """Why an image cannot be a truth."""


def least_side(recipe: Recipe) -> int:
    """Output pixels that a truth must have along both axes."""
    return recipe.core * recipe.scale + recipe.scale


def _check_size(recipe: Recipe, values: NDArray[Any]) -> None:
    if min(values.shape) < (least := least_side(recipe)):
        raise SkipError(f"smaller than the {least} px that core x scale needs")


def micrograph(recipe: Recipe, values: NDArray[Any]) -> Truth:
    """0 at the 1st and 1 at the 99.9th percentile.

    Parameters
    ----------
    recipe : Recipe
        Says how large it must be.
    values : ndarray (h, w)
        Finite, in any unit.

    Raises
    ------
    SkipError
        If it is too small or has no contrast.
    """
    _check_size(recipe, values)
    low, high = np.percentile(values, [1, 99.9])
    if not high > low:
        raise SkipError("no contrast")
    scaled = np.clip((values.astype(np.float32) - low) / (high - low), 0, BRIGHTEST)
    return np.rint(scaled / QUANTUM).astype(np.uint16), robust_noise(scaled)


def binned(recipe: Recipe, truth: Truth) -> Truth | None:
    """Mean of 2 x 2 pixels: finer structure, and less noise; None where that is too small."""
    if recipe.binned_share == 0 or recipe.domain != "fluorescence":
        return None
    try:
        return micrograph(recipe, _bin(truth[0].astype(np.float32)))
    except SkipError:
        return None


def _bin(image: NDArray[Any]) -> NDArray[Any]:
    h, w = (n // 2 * 2 for n in image.shape)
    return np.asarray(image[:h, :w].reshape(h // 2, 2, w // 2, 2).mean((1, 3)))


def frame(recipe: Recipe, values: NDArray[Any], image: Image, plane: Plane) -> Truth:
    """A deep frame of the sky at the resolution of the target.

    Background subtracted; binned while its PSF is wider than the target, then blurred to it. Scaled
    so that its own noise, binned to input pixels and at the largest `depth` of the recipe, is
    `DEEP` of the noise simulated: frames are dimmed as a whole, never by brightness.

    Raises
    ------
    SkipError
        If it is too small, has no noise or an unknown PSF.
    """
    from scipy.ndimage import gaussian_filter

    from sciup.geometry import Box
    from sciup.physics.given import Given
    from sciup.physics.mesh import Mesh
    from sciup.physics.psf import SIGMA_TO_FWHM
    from sciup.physics.resolve import resolve

    _check_size(recipe, values)
    facts = resolve(image, plane, "night-sky", Given()).instrument
    if facts.psf_fwhm.origin == "assumed":
        raise SkipError("its PSF is neither stated nor seen in stars")
    level, noise = Mesh(image, plane).fields(Box.of_shape(image.plane_shape))
    flux, sigma, fwhm = values - level, float(np.median(noise)), float(facts.psf_fwhm.value)
    if not sigma > 0:
        raise SkipError("no noise, so its depth is unknown")
    while 0 < WIDER * recipe.target_fwhm < fwhm:
        flux, sigma, fwhm = 4 * _bin(flux), 2 * sigma, fwhm / 2
    _check_size(recipe, flux)
    if (rest := recipe.target_fwhm**2 - fwhm**2) > 0:
        flux = gaussian_filter(flux, np.sqrt(rest) / SIGMA_TO_FWHM, mode="nearest")
    unit = sigma * recipe.scale * recipe.degradation.depth[1] / DEEP
    scaled = np.clip(flux / unit, -6e4, 6e4)
    return scaled.astype(np.float16), robust_noise(scaled)
