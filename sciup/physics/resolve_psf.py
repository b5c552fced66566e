"""What is believed about the PSF: given > header > estimated from the pixels > assumed."""

from __future__ import annotations

import numpy as np

from sciup.errors import OptionError
from sciup.image import Domain, Fact, Image
from sciup.physics import estimate
from sciup.physics.given import Given
from sciup.physics.instrument import NONE
from sciup.physics.psf import ASSUMED_BETA, image_fwhm
from sciup.physics.psf_image import is_guess
from sciup.physics.psf_source import PsfImage
from sciup.physics.sharpness import Blur, blur_fwhm
from sciup.physics.stars import StarPsf, star_psf

ASSUMED_FWHM = {"night-sky": 2.2, "fluorescence": 1.9}
"""Input px; of micrographs the middle of the prior, `sciup.physics.sharpness.SCENES`."""
SPACE_BETA = 2.1
"""Moffat exponent of telescopes in space: fits the PSF images of NIRCam F444W (2.12 to 2.14)."""
SPACE = ("HST", "JWST", "EUCLID", "SPITZER", "GALEX", "CHEOPS", "GAIA", "KEPLER", "TESS")
GUESS = "no seeing, and too few pixels to say what is between them: give it sampled more finely"
NARROWEST, WIDEST = 0.5, 4.0
"""Limits of an estimated PSF of a micrograph, input px: what the generators were trained on."""


def first(given: float | None, image: Image, key: str, option: str) -> Fact | None:
    """What is given, or what the header says; None without either."""
    if given is not None:
        return Fact(float(given), "given", option)
    return image.facts.get(key)


def _picture(image: Image, given: Given) -> tuple[Fact, Fact] | None:
    """FWHM and image of a PSF that is given, or that the file brings; None without one."""
    picture, step = None, 1.0
    if given.psf is not None:
        told = given.psf if isinstance(given.psf, PsfImage) else PsfImage(given.psf)
        picture, step = Fact(told.values, "given", told.note), told.step
    elif given.psf_fwhm is None:
        picture = image.facts.get("psf")
    if picture is None:
        return None
    value = np.asarray(picture.value, np.float64)
    if value.ndim != 2 or min(value.shape) < 3 or not value.sum() > 0:
        raise OptionError(f"the PSF image has shape {value.shape}", "2D with a positive sum")
    fwhm = image_fwhm(value, step) if np.isfinite(value).all() else 0.0
    if not 0.3 < fwhm < 30:
        raise OptionError(
            f"the PSF image has a core of FWHM {fwhm:.3g} px",
            "0.3 to 30 px",
            "subtract its background, and cut it out around one bright star or bead",
        )
    note = "measured on the PSF image"
    if step == 1 and is_guess(value, fwhm):
        note += f"; {GUESS}"
    width = Fact(fwhm, picture.origin, note)
    return width, Fact(value, picture.origin, picture.note)


def psf_step(given: Given) -> Fact:
    """Sampling of a stated PSF image, where it is not that of the input."""
    if not isinstance(given.psf, PsfImage) or given.psf.step == 1:
        return NONE
    return Fact(given.psf.step, "given", "of the PSF image")


def _stated(image: Image, given: Given) -> Fact | None:
    """FWHM of a PSF without an image, by the user or by the header; None without either."""
    return first(given.psf_fwhm, image, "psf_fwhm", "--psf-fwhm")


def _assumed(domain: Domain, why: str) -> Fact:
    """FWHM of a PSF of which nothing else is known."""
    return Fact(ASSUMED_FWHM[domain], "assumed", f"{why}; give --psf-fwhm or --psf if you know")


def sky_psf(image: Image, given: Given, sample: estimate.Probe) -> tuple[Fact, Fact, Fact, Fact]:
    """FWHM, image and Moffat exponent of the PSF of a night-sky image; FWHM of its stars."""
    picture = _picture(image, given)
    if picture is not None:
        return *picture, NONE, NONE
    found = star_psf(sample.blocks)
    if found is not None:
        return _of_stars(image, given, found)
    telescope = str((image.header or {}).get("TELESCOP", "")).upper()
    space = telescope.startswith(SPACE)
    beta = SPACE_BETA if space else ASSUMED_BETA
    where = "wings of NIRCam F444W" if space else "usual seeing"
    note = f"too few stars: {where}; give --psf if you know"
    width = _stated(image, given) or _assumed("night-sky", "too few stars")
    return width, NONE, Fact(beta, "assumed", note), NONE


def _of_stars(image: Image, given: Given, found: StarPsf) -> tuple[Fact, Fact, Fact, Fact]:
    """The same where there are stars: their shape, as wide as was stated or as they are."""
    note = f"Moffat fit to {found.stars} stars"
    if found.lacks is not None:
        note = f"{note}, with rings or elongation that they show"
    stated = _stated(image, given)
    width = stated or Fact(found.fwhm, "estimated", note)
    stars = Fact(found.fwhm, "estimated", f"{found.stars} stars") if stated else NONE
    picture = found.image(float(width.value) if stated else None)
    if picture is not None:
        return width, Fact(picture, "estimated", note), NONE, stars
    return width, NONE, Fact(found.beta, "estimated", note), stars


def micrograph_psf(
    image: Image, given: Given, sample: estimate.Probe, line: estimate.PhotonTransfer | None
) -> tuple[Fact, Fact]:
    """FWHM and image of the PSF of a micrograph; `line` is that of its noise."""
    picture = _picture(image, given)
    return picture or (_stated(image, given) or _of_pixels(sample, line), NONE)


def found_blur(sample: estimate.Probe, line: estimate.PhotonTransfer | None) -> Blur | None:
    """PSF of a micrograph as its pixels tell; None where they are too few for noise or spectrum."""
    if line is None:
        return None
    # near the end of float32 there is no mean, and no answer
    with np.errstate(over="ignore", invalid="ignore"):
        level = float(sample.valid.mean())
    return blur_fwhm(sample.blocks, line.variance(level))


def _of_pixels(sample: estimate.Probe, line: estimate.PhotonTransfer | None) -> Fact:
    """The same as a fact, within what the generators know; else what is assumed."""
    found = found_blur(sample, line)
    if found is None:
        return _assumed("fluorescence", "the pixels do not tell")
    note = f"fall of the power spectrum, +- {100 * found.error:.0f} %; give --psf-fwhm if you know"
    return Fact(float(np.clip(found.fwhm, NARROWEST, WIDEST)), "estimated", note)


__all__ = ["first", "found_blur", "micrograph_psf", "psf_step", "sky_psf"]
