"""Point spread functions of the night sky in training, and what a sampler is told about them.

Widths in a recipe are those of the *whole* PSF before pixel integration; what is left of it beyond
the target follows by Fourier division, as it does at run time.
"""

from __future__ import annotations

import numpy as np

from sciup.physics import psf as shapes
from sciup.physics.projection import kernel_side
from sciup.train.data import Rng
from sciup.train.recipe_parts import Degradation

BETAS = (2.0, 5.0)
"""Moffat exponents: 2.1 fits PSF images of NIRCam F444W, 4.765 pure Kolmogorov turbulence (Trujillo
et al. 2001, MNRAS 328, 977); real seeing lies between."""


def draw_optics(
    rng: Rng, d: Degradation, scale: int, target_fwhm: float
) -> tuple[shapes.Kernel, shapes.Kernel]:
    """A relative kernel that blurs the truth, and the one that the sampler is told.

    In a share `guessed_psf_share` of kernels the latter is what a user without a PSF image has: a
    round PSF fitted to stars, with errors of 2 % in width and 10 % in the exponent, or, in 3 of 10
    cases, a width from elsewhere that errs by 5 %, with the exponent `shapes.ASSUMED_BETA`.
    More than that would not teach it to doubt: it is not told which PSFs are guesses.
    """
    names, shares = list(d.shapes), np.array(list(d.shapes.values()))
    name = names[rng.choice(len(names), p=shares / shares.sum())]
    fwhm = scale * float(np.exp(rng.uniform(*np.log(d.psf_fwhm))))
    beta = float(rng.uniform(*BETAS))
    size, angle = d.ellipticity * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
    e = (size * np.cos(angle), size * np.sin(angle))
    true = _relative(name, fwhm, beta, e, scale, target_fwhm)
    guessed, fitted = rng.uniform(size=2) < (d.guessed_psf_share, 0.7)
    if not guessed:
        return true, true
    wrong_fwhm, wrong_beta = np.exp(rng.normal(0, (0.02, 0.1) if fitted else (0.05, 0.0))).tolist()
    if not fitted:
        name, beta = "moffat", shapes.ASSUMED_BETA
    told = (name, fwhm * wrong_fwhm, beta * wrong_beta, (0.0, 0.0))
    return true, _relative(*told, scale, target_fwhm)


def _relative(
    name: str, fwhm: float, beta: float, e: tuple[float, float], scale: int, target_fwhm: float
) -> shapes.Kernel:
    side = kernel_side(scale)
    wide = 4 * side + 1
    fwhm = max(fwhm, shapes.SHARPEST * target_fwhm)
    match name:
        case "gaussian":
            total = shapes.gaussian(wide, fwhm, *e)
        case "moffat":
            total = shapes.moffat(wide, fwhm, beta, *e)
        case _:
            total = shapes.airy(wide, fwhm, *e)
    return shapes.relative_analytic(total, side, target_fwhm)
