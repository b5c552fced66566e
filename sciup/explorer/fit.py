"""Whether an image agrees with the data: chi^2, in the whole region and block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sciup.explorer.latents import BLOCK, Stamp
from sciup.generators.noise import second_lag

ALLOWED = 2.0
"""An image is accepted where chi^2 is at most so many of its deviations from the number of data."""

LOCAL = 5.0
"""The same for every block of 8 x 8 px: a hole in the right place must not hide in the whole."""

EXACT = 1e-3
"""Largest relative error of exact data (Menon et al. 2020, section 5)."""

HIDDEN = 3.0
"""Significance of a source-like residual above which a search turns back."""

NEGATIVE = 1.0
"""Sigmas below no light that a search does not mind: draws of empty sky scatter."""

LEAST_DATA = 16
"""Pixels with data below which nothing can be judged."""


@dataclass(frozen=True)
class Fit:
    """Agreement of B images with the data of a region.

    Attributes
    ----------
    chi2 : Tensor (B,)
        Sum of ((y - A x) / sigma)^2.
    count : int
        Pixels with data, which is what chi^2 should be.
    spread : float
        Expected standard deviation of chi^2: sqrt(2 N) for independent noise.
    blocks : Tensor (B, n)
        Excess of chi^2 of every block of 8 x 8 input px, in its expected deviations.
    relative : Tensor (B,)
        ``rms(A x - y) / rms(y)``, for exact data.
    matched : Tensor (B, n)
        Residual seen through the PSF at every pixel, in its deviations: a source that was taken
        away or painted in leaves a hole or a bump of this significance.
    dark : Tensor (B, m)
        By how many noise sigmas fine pixels are below no light at all; 0 for the others.
    """

    chi2: Tensor
    count: int
    spread: float
    blocks: Tensor
    relative: Tensor
    matched: Tensor
    dark: Tensor
    noise_free: bool = False

    @property
    def excess(self) -> Tensor:
        """Chi^2 minus N in its expected deviations, (B,)."""
        return (self.chi2 - self.count) / self.spread

    @property
    def accepted(self) -> Tensor:
        """Which images agree with the data, (B,) bool."""
        if self.noise_free:
            return self.relative <= EXACT
        return self.badness <= 1

    @property
    def badness(self) -> Tensor:
        """What must be at most 1 to be accepted, (B,)."""
        if self.noise_free:
            return self.relative / EXACT
        return torch.maximum(self.excess.abs() / ALLOWED, self.blocks.abs().amax(-1) / LOCAL)

    @property
    def loss(self) -> Tensor:
        """What a search drives to 0, (B,).

        Both ends count: images that leave less than the noise have painted it.
        """
        if self.noise_free:
            return torch.relu(self.badness - 0.5) + self._unlit
        whole = torch.relu(self.excess.abs() - ALLOWED / 2)
        local = torch.relu(self.blocks.abs() - 2).mean(-1)
        hidden = (torch.relu(self.matched.abs() - HIDDEN) ** 2).sum(-1)
        return whole**2 + local**2 + hidden + self._unlit

    @property
    def _unlit(self) -> Tensor:
        """What images with less than no light cost, (B,): data permit them, light does not."""
        return (torch.relu(self.dark - NEGATIVE) ** 2).sum(-1) / 4

    def facts(self, index: int) -> dict[str, Any]:
        """One image's agreement, JSON-ready."""
        worst = self.blocks[index].abs().argmax()
        return {
            "chi2": float(self.chi2[index]),
            "pixels": self.count,
            "excess_sigma": float(self.excess[index]),
            "worst_8px_block_sigma": float(self.blocks[index][worst]),
            "worst_source_like_residual_sigma": float(self.matched[index].abs().max()),
            "darkest_pixel_sigma": float(-self.dark[index].max()),
            "relative_error": float(self.relative[index]),
            "accepted": bool(self.accepted[index]),
        }


def judge(stamp: Stamp, whole: Tensor) -> Fit:
    """The agreement of images on a stamp's window, (B, 1, s n, s n)."""
    free = stamp.sampler.settings.noise_free
    residual = stamp.cut(stamp.residual(whole))
    mask = stamp.cut(stamp.window.mask)
    square = residual**2
    count = int(mask.sum())
    factor = inflation(stamp.sampler.correlation)
    # averages over blocks times their area are sums, at the ragged edges too
    n = F.avg_pool2d(mask, BLOCK, ceil_mode=True, divisor_override=1)
    sums = F.avg_pool2d(square, BLOCK, ceil_mode=True, divisor_override=1)
    blocks = (sums - n) / (2 * factor * n.clamp(min=1)).sqrt()
    blocks = torch.where(n >= LEAST_DATA, blocks, torch.zeros_like(blocks)).flatten(1)
    seen = stamp.cut(stamp.window.measured) * mask
    error = residual * stamp.cut(stamp.window.sigma)
    relative = ((error**2).flatten(1).sum(1) / (seen**2).sum().clamp(min=1e-30)).sqrt()
    s = stamp.scale
    fine = stamp.cut(stamp.window.sigma).repeat_interleave(s, -1).repeat_interleave(s, -2)
    dark = torch.relu((stamp.unlit - stamp.cut_fine(whole)) / fine).flatten(1)
    spread = (2 * factor * max(count, 1)) ** 0.5
    return Fit(
        chi2=square.flatten(1).sum(1),
        count=count,
        spread=spread,
        blocks=blocks,
        relative=relative,
        matched=_matched(stamp, residual),
        dark=dark,
        noise_free=free,
    )


def _matched(stamp: Stamp, residual: Tensor) -> Tensor:
    """Significance of PSF-shaped residuals, (B, n); the noise counts as independent."""
    kernel = stamp.pixel_psf
    reach = kernel.shape[-1] // 2
    through: Tensor = F.conv2d(residual, kernel, padding=reach)
    scaled: Tensor = through / inflation(stamp.sampler.correlation) ** 0.5
    return scaled.flatten(1)


def inflation(correlation: float) -> float:
    """Factor on the variance of chi^2 where noise is correlated: sum of its squared correlations.

    Examples
    --------
    >>> inflation(0.0), round(inflation(0.5), 2)
    (1.0, 2.28)
    """
    if correlation <= 0:
        return 1.0
    rho = min(correlation, 0.7)
    return float((1 + 2 * rho**2 + 2 * second_lag(rho) ** 2) ** 2)


__all__ = ["ALLOWED", "EXACT", "LEAST_DATA", "LOCAL", "Fit", "inflation", "judge"]
