"""From a window in working units to the planes of a generator, the same in training and use."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sciup.stretch import Stretch


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """Variance of a pixel in working units: ``floor^2 + max(v, 0) * per_signal``.

    Fluorescence (electrons): floor is the read noise, per_signal is 1. Night sky (sky sigmas):
    floor is 1, per_signal is 1 / (electrons per sigma). Numbers or tensors (B, 1, 1, 1).
    """

    floor: Tensor | float
    per_signal: Tensor | float

    def sigma(self, v: Tensor) -> Tensor:
        """One-sigma noise at signal `v`, of the same shape."""
        return (self.floor**2 + v.clamp(min=0) * self.per_signal) ** 0.5


def local_mean(v: Tensor, footprint: Tensor) -> Tensor:
    """Mean over 3 x 3 pixels with data; loses 1 pixel on each side; `v` where there are none.

    Both (B, 1, h, w) float32; the result is (B, 1, h - 2, w - 2).
    """
    weight = F.avg_pool2d(footprint, 3, stride=1)
    total = F.avg_pool2d(v * footprint, 3, stride=1)
    return torch.where(weight > 0, total / weight.clamp(min=1e-6), v[..., 1:-1, 1:-1])


def make_planes(
    v: Tensor,
    footprint: Tensor,
    signal: Tensor,
    sigma: Tensor,
    stretch: Stretch,
    psf: Tensor,
    correlation: Tensor,
) -> Tensor:
    """Input planes in the order of `sciup.generators.spec.PLANES`.

    Parameters
    ----------
    v, footprint, signal, sigma : Tensor (B, 1, h, w)
        Image in working units, 1 where there is data, local mean and noise of the image.
    stretch : Stretch
        Working units to network units.
    psf : Tensor (B, 3)
        FWHM [input px] and ellipticities of the relative kernel.
    correlation : Tensor (B,)
        Correlation of the noise with its nearest neighbours.

    Returns
    -------
    Tensor (B, 7, h, w), float32
    """
    shape = v.shape
    log_noise = torch.log(stretch.slope(signal) * sigma).clamp(-8, 3) / 3
    constants = torch.cat([_told(psf), correlation[:, None]], 1)
    return torch.cat(
        [
            stretch.forward(v),
            footprint,
            log_noise,
            constants[:, :, None, None].expand(-1, -1, shape[-2], shape[-1]),
        ],
        1,
    )


def _told(psf: Tensor) -> Tensor:
    """FWHM and ellipticities as the planes say them."""
    return torch.cat([psf[:, :1] / 3, psf[:, 1:]], 1)


def with_psf(planes: Tensor, psf: Tensor) -> Tensor:
    """The planes (B, 7, h, w) of the same image seen through another PSF (B, 3)."""
    other = planes.clone()
    other[:, 3:6] = _told(psf)[:, :, None, None]
    return other
