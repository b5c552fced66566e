"""The kernels of a run: what blurs the truths, and what the sampler is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciup.physics.projection import Projection, kernel_side
from sciup.train.data import Rng, log_uniform
from sciup.train.recipe import Recipe
from sciup.train.recipe_parts import Degradation

if TYPE_CHECKING:
    from sciup.physics.psf import Kernel

BANK = 256
"""Number of different kernels of a run: spectra are prepared once."""

RIM = 5
"""Input pixels around the loss region; residuals within it wrap around and are not counted."""


@dataclass(frozen=True)
class Kernels:
    """A bank of kernels on the fine grid.

    Attributes
    ----------
    true, told : ndarray (K, n, n), float32
        What blurs the truth, and the instrument as the sampler is told.
    psf : ndarray (K, 3), float32
        FWHM [input px] and ellipticities of `told`.
    """

    true: NDArray[np.float32]
    told: NDArray[np.float32]
    psf: NDArray[np.float32]

    @classmethod
    def draw(cls, recipe: Recipe) -> Kernels:
        """Draw the bank from the recipe's ranges and seed."""
        from sciup.physics.psf import moments
        from sciup.train.sky.optics import draw_optics

        d, s = recipe.degradation, recipe.scale
        rng = np.random.default_rng([recipe.seed, 77])
        if recipe.domain == "night-sky":
            pairs = [draw_optics(rng, d, s, recipe.target_fwhm) for _ in range(BANK)]
        else:
            pairs = [_draw_pair(rng, d, s) for _ in range(BANK)]
        true, told = (np.array([p[i] for p in pairs], np.float32) for i in (0, 1))
        facts = [moments(kernel) for _, kernel in pairs]
        psf = [(fwhm / s, e1, e2) for fwhm, e1, e2 in facts]
        return cls(true, told, np.array(psf, np.float32))

    def projection(self, recipe: Recipe) -> Projection:
        """Spectra of `told`, for the projection region of a batch."""
        told = self.told.astype(np.float64)
        told /= told.sum((1, 2), keepdims=True)
        return Projection.build(list(told), recipe.scale, recipe.core + 2 * RIM, recipe.trust)


def pick(bank: Projection, index: NDArray[np.intp]) -> Projection:
    """The projection of a batch from that of all kernels."""
    a, wiener, strong = (t[index] for t in (bank.a, bank.wiener, bank.strong))
    return Projection(bank.scale, bank.side, a, wiener, strong, bank.trust)


def _draw_pair(rng: Rng, d: Degradation, scale: int) -> tuple[Kernel, Kernel]:
    true = _kernel(rng, d, scale)
    guessed = rng.uniform() < d.guessed_psf_share
    return true, _guess(rng, true, scale) if guessed else true


def _kernel(rng: Rng, d: Degradation, scale: int) -> Kernel:
    """A relative kernel of the recipe's shapes, widths and ellipticities."""
    from sciup.physics import psf as shapes

    side, fwhm = kernel_side(scale), float(log_uniform(rng, d.psf_fwhm, 1)[0]) * scale
    names, shares = list(d.shapes), np.array(list(d.shapes.values()))
    size, angle = d.ellipticity * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
    e = (size * np.cos(angle), size * np.sin(angle))
    match names[rng.choice(len(names), p=shares / shares.sum())]:
        case "gaussian":
            return shapes.gaussian(side, fwhm, *e)
        case "moffat":
            return shapes.moffat(side, fwhm, rng.uniform(2.5, 4.5), *e)
        case _:
            return shapes.airy(side, fwhm, *e)


def _guess(rng: Rng, kernel: Kernel, scale: int) -> Kernel:
    """What a user who knows a width only would say: a round Gaussian, wrong by some per cent."""
    from sciup.physics import psf as shapes

    fwhm = max(shapes.moments(kernel)[0] * np.exp(rng.normal(0, 0.1)), 0.5)
    return shapes.gaussian(kernel_side(scale), float(fwhm))
