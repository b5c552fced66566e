"""The same functions as in training, arranged for speed in use."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciup.generators.posterior import PosteriorSampler, Upsample, binomial


class FusedUpsample(nn.Module):
    r"""An `Upsample` whose filters on the fine grid are applied on the input grid.

    A pixel shuffle only renames values, so a filter L behind it, here the 3 x 3 convolution and the
    binomial one in one kernel of reach r, is a convolution C before it, from all phases to all:

    .. math:: C_{(a b),(w p q),u v} = \sum_{d e} L_{w,d e}\,
              [a - r + d = s (u - t) + p]\,[b - r + e = s (v - t) + q],
              \quad t = \lceil r/s \rceil

    Matrix units like its many channels, and one fine channel is shuffled instead of `width`: on a
    CPU a draw takes two thirds of the time. Results differ by rounding.
    """

    def __init__(self, upsample: Upsample) -> None:
        super().__init__()
        self.scale, self.act, self.spread = upsample.scale, upsample.act, upsample.spread
        s, reach, fine = self.scale, upsample.reach, upsample.last
        kernel = fine.weight.detach()[0]
        if upsample.smooth:  # full convolution: one pixel more on each side
            kernel = binomial(F.pad(kernel, (2, 2, 2, 2)))
        rim = upsample.margin - 1
        last = nn.Conv2d(fine.in_channels * s * s, s * s, 2 * rim + 1)
        weight = torch.zeros(s, s, fine.in_channels, s, s, 2 * rim + 1, 2 * rim + 1)
        taps = torch.arange(2 * reach + 1)
        for a, d in torch.cartesian_prod(torch.arange(s), taps).tolist():
            u, p = divmod(a - reach + d + s * rim, s)
            for b, e in torch.cartesian_prod(torch.arange(s), taps).tolist():
                v, q = divmod(b - reach + e + s * rim, s)
                weight[a, b, :, p, q, u, v] = kernel[:, d, e]
        with torch.no_grad():
            last.weight.copy_(weight.reshape(last.weight.shape))
            last.bias.copy_(fine.bias.expand(s * s))  # type: ignore[union-attr]
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, n, n) to (B, 1, s (n - 2 margin), s (n - 2 margin))."""
        return F.pixel_shuffle(self.last(self.act(self.spread(x))), self.scale)


def fuse(net: PosteriorSampler) -> PosteriorSampler:
    """Rearrange a network in place for use; it can no longer be trained or saved."""
    for name in ("mean_head", "draw_head"):
        setattr(net, name, FusedUpsample(getattr(net, name)))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.eval().requires_grad_(False)
