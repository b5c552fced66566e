r"""The range of a flux that the data permit, by its profile over the noise.

An image is a function of independent standard normal numbers z: the noise of the draw head and that
of the instrument, ``y - A x``, which the image has to explain. So :math:`|z|^2` is the chi^2 of the
data and of what was invented together, and a flux f is permitted where

.. math:: \min_{z:\,f(x(z)) = f} |z|^2 - \min_z |z|^2 \le 3.84.

With f nearly linear in z near a draw, the minimum lies along the gradient u of f: the ends are
``f(z_perp +- 1.96 u)``, z_perp the draw's noise without its part along u (line sampling:
Koutsourelakis et al. 2004, Probabilistic Engineering Mechanics 19, 463). As a profile is over
everything else that may be so, the ends are the extremes over several draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciup.errors import OptionError
from sciup.explorer.latents import Latents, Stamp
from sciup.explorer.search import Step

RISE = 1.96
"""Square root of the rise of chi^2 at the ends of a range of 95 %."""

DRAWS = 8
"""Draws from which the ends are looked for."""

TURNS = 3
"""Times that the direction is corrected."""


@dataclass(frozen=True)
class Aperture:
    """Where a flux is measured.

    Attributes
    ----------
    at : (float, float), optional
        Centre (y, x) in input px, pixel centres at integers; None for the whole region.
    radius : float, optional
        Input px.
    """

    at: tuple[float, float] | None = None
    radius: float | None = None

    def mask(self, stamp: Stamp) -> NDArray[np.float32]:
        """Share of every fine pixel of the window that is inside, 0 where there are no data."""
        s, box = stamp.scale, stamp.window.box.scaled(stamp.scale)
        inside = np.zeros(box.shape, np.float32)
        cut = stamp.roi.scaled(s).relative_to(box).slices
        inside[cut] = stamp.footprint.repeat(s, 0).repeat(s, 1)
        if self.at is None or self.radius is None:
            return inside
        (y, x), (y0, x0) = self.at, box.start
        rows, cols = np.mgrid[: box.shape[0], : box.shape[1]]
        distance = np.hypot(rows + y0 - (s * (y + 0.5) - 0.5), cols + x0 - (s * (x + 0.5) - 0.5))
        disc = np.clip(self.radius * s - distance + 0.5, 0, 1)
        if (disc[inside == 0] > 0).any():
            raise OptionError(
                f"the aperture at {y:g},{x:g} with radius {self.radius:g} px sticks out of the"
                f" region {words(stamp)} or lies on masked pixels",
                fix="choose a larger --roi or a smaller --radius",
            )
        return np.asarray(disc, np.float32)

    def weight(self, stamp: Stamp) -> Tensor:
        """What to multiply an image of working units with and sum, for a flux in output units.

        The flux is above the sky (night sky) or above the pedestal (fluorescence). An intensity is
        integrated over input pixels.
        """
        mask = self.mask(stamp)
        width = stamp.sampler.units.width(np.ones_like(mask), stamp.window.box, stamp.scale)
        if not stamp.sampler.image.flux_per_pixel:
            width = width / np.float32(stamp.scale**2)
        return torch.from_numpy(mask * width)[None, None].to(stamp.sampler.device)


def words(stamp: Stamp) -> str:
    """A region as the command line takes it."""
    (y0, x0), (y1, x1) = stamp.roi.start, stamp.roi.stop
    return f"{y0}:{y1},{x0}:{x1}"


@dataclass(frozen=True)
class Range:
    """The permitted range of a flux, and the images at its ends.

    Attributes
    ----------
    low, high, middle : float
        Ends and middle, output units.
    spread : float
        Mean of a quarter of the lengths: about one standard deviation.
    faintest, brightest : Latents
        Of the images at the ends.
    bases : Latents
        Of the draws from which the two set out.
    """

    low: float
    high: float
    middle: float
    spread: float
    faintest: Latents
    brightest: Latents
    bases: Latents


def flux(whole: Tensor, weight: Tensor) -> Tensor:
    """Flux of images, (B,)."""
    return (whole * weight).flatten(1).sum(1)


def flux_range(
    stamp: Stamp, weight: Tensor, *, draws: int = DRAWS, step: Step | None = None
) -> Range:
    """The range of a flux that the data permit.

    Parameters
    ----------
    stamp : Stamp
    weight : Tensor (1, 1, s n, s n)
        From `Aperture.weight`.
    draws : int
        Draws to set out from, at least 1.
    step : callable, optional
        Called after each evaluation.
    """
    start = Latents.cat([stamp.latents(k) for k in range(draws)])
    value, slope = _slope(stamp, start, weight)
    del value
    if step is not None:
        step()
    first = _unit(slope)
    ends = {sign: _end(stamp, start, first, weight, sign, step) for sign in (-1.0, 1.0)}
    (low, zl), (high, zh) = ends[-1.0], ends[1.0]
    i, j = int(low.argmin()), int(high.argmax())
    return Range(
        low=float(low[i]),
        high=float(high[j]),
        middle=float((low.mean() + high.mean()) / 2),
        spread=float((high - low).mean()) / (2 * RISE),
        faintest=zl.one(i),
        brightest=zh.one(j),
        bases=Latents.cat([start.one(i), start.one(j)]),
    )


def _end(
    stamp: Stamp, start: Latents, first: Latents, weight: Tensor, sign: float, step: Step | None
) -> tuple[Tensor, Latents]:
    """Most extreme flux of every draw at one end, and its noise."""
    direction, where = first, start
    best = torch.full_like(start.fine[:, 0, 0, 0], -sign * torch.inf)
    for _ in range(TURNS):
        along = (sign * RISE - start.dot(direction)).view(-1, 1, 1, 1)
        z = start.map(lambda a, b, t=along: a + t * b, direction)
        value, slope = _slope(stamp, z, weight)
        if step is not None:
            step()
        better = (sign * value > sign * best).view(-1, 1, 1, 1)
        best = torch.where(better.flatten(), value, best)
        where = where.map(lambda a, b, pick=better: torch.where(pick, b, a), z)
        # half the way: the slope at the end, where a source may just have gone, says little else
        direction = _unit(direction.map(torch.add, _unit(slope)))
    return best, where


@torch.enable_grad()
def _slope(stamp: Stamp, z: Latents, weight: Tensor) -> tuple[Tensor, Latents]:
    """Fluxes and their gradients."""
    free = z.map(lambda t: t.detach().requires_grad_())
    value = flux(stamp.whole(free), weight)
    # exact data leave the instrument no noise
    parts = torch.autograd.grad(value.sum(), list(free), allow_unused=True)
    pairs = zip(parts, free, strict=True)
    return value.detach(), Latents(*(t * 0 if g is None else g.detach() for g, t in pairs))  # type: ignore[redundant-expr]


def _unit(z: Latents) -> Latents:
    length = z.dot(z).clamp(min=1e-30).sqrt().view(-1, 1, 1, 1)
    return z.map(lambda t: t / length)


__all__ = ["DRAWS", "RISE", "TURNS", "Aperture", "Range", "flux", "flux_range", "words"]
