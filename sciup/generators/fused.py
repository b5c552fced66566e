"""The same functions as in training, arranged for speed in use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciup.generators.posterior import Block, PosteriorSampler, Upsample, crop


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
        return shuffle(self.last(activated(self.spread, self.act, x)), self.scale)


class FusedBlock(nn.Module):
    """A `Block` that activates within its first convolution and adds in place: the same bits.

    Input that is more exact than the weights is overwritten with the sum: to take and give back
    room for float32 in every block would cost more than the sum itself.
    """

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.act, self.first, self.second = block.act, block.first, block.second

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, n, n) to (B, C, n - 4, n - 4)."""
        inner = self.act(x.to(self.first.weight.dtype))
        out: Tensor = self.second(activated(self.first, self.act, inner))
        rest = crop(x, 2)
        return out.add_(rest) if out.dtype == rest.dtype else rest.add_(out)


def activated(conv: nn.Conv2d, act: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``act(conv(x))``, in one go over the memory where oneDNN can.

    A maximum with 0 commutes with rounding: the bits are the same.
    """
    if act is F.relu and x.device.type == "cpu" and _has_pointwise(x.dtype):
        return _pointwise(conv, x)
    return act(conv(x))


def _pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A convolution and its ReLU as one call of oneDNN, which torch.compile uses, too."""
    y: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, conv.groups,
        "relu", [], "",
    )  # fmt: skip
    return y


@cache
def _has_pointwise(dtype: torch.dtype) -> bool:
    """Whether this machine and this torch have the call; it is no public one."""
    conv = nn.Conv2d(16, 16, 3).to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.ones((1, 16, 8, 8), dtype=dtype).to(memory_format=torch.channels_last)
    try:
        return torch.equal(_pointwise(conv, x), F.relu(conv(x)))
    except (AttributeError, RuntimeError):
        return False


def shuffle(x: Tensor, scale: int) -> Tensor:
    """`torch.nn.functional.pixel_shuffle` to one channel.

    With the channels last, the s phases of a row of a pixel lie next to each other, as they do in
    the result: they are moved as one number. Ten times quicker than pixel by pixel.
    """
    wide = WIDE.get(scale * x.element_size())
    last = x.permute(0, 2, 3, 1)
    if wide is None or not last.is_contiguous():
        return F.pixel_shuffle(x, scale)
    rows = last.view(wide).transpose(2, 3).contiguous()  # (B, n, s, n)
    return rows.view(x.dtype).view(len(x), 1, scale * x.shape[2], scale * x.shape[3])


WIDE = {2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.complex128}
"""Types by their bytes: what is only moved may be called anything."""


EXACT = 2
"""Blocks whose sums stay in float32 in bf16: most of the gain, for a quarter of the price."""


class Rounding(nn.Module):
    """From float32 sums to the bf16 of all that follows."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x.bfloat16()


def rounded(net: PosteriorSampler) -> PosteriorSampler:
    """Make a fused network work in bf16, in place, but for what float32 costs little.

    A bright pixel has a value near 20 in network units, which bf16 rounds by up to 0.06: many times
    its noise. So the first convolution is in float32, with the planes that it sees, and so are the
    sums of the first blocks (docs/design/0045-bf16.md).
    """
    for part in net.children():
        if part is not net.entry:
            part.bfloat16()
    net.trunk.insert(min(EXACT, len(net.trunk)), Rounding())
    return net


def fuse(net: PosteriorSampler) -> PosteriorSampler:
    """Rearrange a network in place for use; it can no longer be trained or saved."""
    for part in [*net.modules()]:
        for name, child in part.named_children():
            if isinstance(child, Upsample):
                setattr(part, name, FusedUpsample(child))
            elif isinstance(child, Block):
                setattr(part, name, FusedBlock(child))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.eval().requires_grad_(False)
