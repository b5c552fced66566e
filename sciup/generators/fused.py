"""The same functions as in training, arranged for speed in use."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciup.generators.posterior import PosteriorSampler, Upsample


class FusedUpsample(nn.Module):
    r"""An `Upsample` whose convolution on the fine grid is done on the input grid.

    A pixel shuffle only renames values, so a 3 x 3 convolution L behind it is a 3 x 3 convolution C
    before it, from all phases to all phases:

    .. math:: C_{(a b),(w p q),u v} = \sum_{d e} L_{w,d e}\,
              [a - 1 + d = s (u - 1) + p]\,[b - 1 + e = s (v - 1) + q]

    Matrix units like its many channels, and one fine channel is shuffled instead of `width`: on a
    CPU a draw takes two thirds of the time. Results differ by rounding.
    """

    def __init__(self, upsample: Upsample) -> None:
        super().__init__()
        self.scale, self.act, self.spread = upsample.scale, upsample.act, upsample.spread
        s, fine = self.scale, upsample.last
        last = nn.Conv2d(fine.in_channels * s * s, s * s, 3)
        weight = torch.zeros(s, s, fine.in_channels, s, s, 3, 3)
        for a, d in torch.cartesian_prod(torch.arange(s), torch.arange(3)).tolist():
            u, p = divmod(a - 1 + d + s, s)
            for b, e in torch.cartesian_prod(torch.arange(s), torch.arange(3)).tolist():
                v, q = divmod(b - 1 + e + s, s)
                weight[a, b, :, p, q, u, v] = fine.weight.detach()[0, :, d, e]
        with torch.no_grad():
            last.weight.copy_(weight.reshape(last.weight.shape))
            last.bias.copy_(fine.bias.expand(s * s))  # type: ignore[union-attr]
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, n, n) to (B, 1, s (n - 4), s (n - 4))."""
        return F.pixel_shuffle(self.last(self.act(self.spread(x))), self.scale)


def fuse(net: PosteriorSampler) -> PosteriorSampler:
    """Rearrange a network in place for use; it can no longer be trained or saved."""
    for name in ("mean_head", "draw_head"):
        setattr(net, name, FusedUpsample(getattr(net, name)))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.eval().requires_grad_(False)
