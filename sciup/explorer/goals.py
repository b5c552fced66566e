"""What can be asked of the images that the data permit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sciup.explorer.latents import Stamp

GOALS = ("distinct", "brightest", "faintest", "one-or-two", "farthest", "sketch")
"""Names of the goals, as the command line takes them."""


def apart(stamp: Stamp, a: Tensor, b: Tensor) -> Tensor:
    """Distance of images in the region: rms of 3 px means of their difference, in noise sigmas.

    Parameters
    ----------
    stamp : Stamp
    a, b : Tensor (B, 1, s n, s n)
        On the window, working units; they broadcast.

    Returns
    -------
    Tensor (B,)
        In sigmas of the noise of an input pixel.
    """
    difference = F.avg_pool2d(stamp.cut_fine(a - b), 3, stride=1)
    sigma = stamp.cut(stamp.window.sigma)
    mask = stamp.cut(stamp.window.mask)
    s = stamp.scale
    weight = (mask / sigma**2).repeat_interleave(s, -1).repeat_interleave(s, -2)[..., 1:-1, 1:-1]
    area = (weight > 0).sum().clamp(min=1)
    return ((difference**2 * weight).flatten(1).sum(1) / area + 1e-12).sqrt()


def pairs(stamp: Stamp, images: Tensor) -> Tensor:
    """Distances of all pairs of B images, (B (B - 1) / 2,)."""
    n = len(images)
    rows, cols = torch.triu_indices(n, n, 1, device=images.device)
    return apart(stamp, images[rows], images[cols])


@dataclass(frozen=True)
class Distinct:
    """Images as different from one another as the data allow.

    Attributes
    ----------
    unit : float
        Distance of two ordinary draws.
    """

    unit: float

    def loss(self, stamp: Stamp, whole: Tensor) -> Tensor:
        """Minus the mean logarithm of the distances to the others."""
        n = len(whole)
        logs = torch.log(pairs(stamp, whole) / self.unit)
        rows, cols = torch.triu_indices(n, n, 1, device=whole.device)
        total = torch.zeros(n, device=whole.device).index_add(0, rows, logs)
        return -total.index_add(0, cols, logs) / max(n - 1, 1)

    def joint(self) -> bool:
        """They are one answer."""
        return True


@dataclass(frozen=True)
class Farthest:
    """Images as far as the data allow from a given one, (1, 1, s n, s n)."""

    reference: Tensor
    unit: float

    def loss(self, stamp: Stamp, whole: Tensor) -> Tensor:
        """Minus the logarithm of the distance."""
        return -torch.log(apart(stamp, whole, self.reference) / self.unit)

    def joint(self) -> bool:
        """Each for itself."""
        return False


@dataclass(frozen=True)
class Nearest:
    """Images as near as the data allow to a drawing, (1, 1, s n, s n)."""

    reference: Tensor
    unit: float

    def loss(self, stamp: Stamp, whole: Tensor) -> Tensor:
        """The distance."""
        return 4 * apart(stamp, whole, self.reference) / self.unit

    def joint(self) -> bool:
        """Each for itself."""
        return False


@dataclass(frozen=True)
class Held:
    """Images in which a quantity keeps its value.

    Attributes
    ----------
    weight : Tensor (1, 1, s n, s n)
        The quantity is the sum of image times weight.
    value : Tensor (B,)
    unit : Tensor (B,)
        A change of one such unit matters.
    """

    weight: Tensor
    value: Tensor
    unit: Tensor

    def loss(self, stamp: Stamp, whole: Tensor) -> Tensor:
        """Squared change."""
        return (((whole * self.weight).flatten(1).sum(1) - self.value) / self.unit) ** 2

    def joint(self) -> bool:
        """Each for itself."""
        return False


__all__ = ["GOALS", "Distinct", "Farthest", "Held", "Nearest", "apart", "pairs"]
