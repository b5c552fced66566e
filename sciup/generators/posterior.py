"""The posterior sampler: a trunk on the input grid, a mean head, and a cheap head that draws.

All convolutions are valid, in training and in use: there is no padding whose edge could show, and
the halo is what the shapes say. The interpolated input stays in float32, at any precision.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciup.generators.spec import PLANES, Features, GeneratorSpec
from sciup.image import Domain
from sciup.physics.projection import Trust, bend

COARSE = 1
"""Channels of coarse noise (input grid / 8), with which draws can disagree about whole regions."""


Activation = Literal["relu", "silu"]


class _Crop(torch.autograd.Function):
    """A slice whose gradient keeps the channels-last layout: half the time of a training step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, margin: int) -> Tensor:
        """Cut the rim."""
        ctx.margin, ctx.shape = margin, x.shape
        return x[..., margin : x.shape[-2] - margin, margin : x.shape[-1] - margin]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Put zeros where the rim was."""
        (grad,), m = grads, ctx.margin
        layout = torch.channels_last if grad.dim() == 4 else torch.contiguous_format
        whole = torch.empty(ctx.shape, dtype=grad.dtype, device=grad.device, memory_format=layout)
        for rim in (whole[..., :m, :], whole[..., -m:, :], whole[..., :m], whole[..., -m:]):
            rim.zero_()
        whole[..., m:-m, m:-m] = grad
        return whole, None


def crop(x: Tensor, margin: int) -> Tensor:
    """Cut `margin` pixels from every side of the last two axes."""
    if not margin:
        return x
    cut: Tensor = _Crop.apply(x, margin)  # type: ignore[no-untyped-call]
    return cut


def _small(conv: nn.Conv2d, gain: float = 0.1) -> nn.Conv2d:
    """Start a residual branch near zero."""
    with torch.no_grad():
        conv.weight.mul_(gain)
        if conv.bias is not None:
            conv.bias.zero_()
    return conv


class Block(nn.Module):
    """Two 3 x 3 convolutions added to their cropped input; loses 2 pixels on each side."""

    def __init__(self, channels: int, activation: Activation) -> None:
        super().__init__()
        self.act = getattr(F, activation)
        self.first = nn.Conv2d(channels, channels, 3)
        self.second = _small(nn.Conv2d(channels, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, n, n) to (B, C, n - 4, n - 4)."""
        out: Tensor = self.second(self.act(self.first(self.act(x))))
        return out + crop(x, 2)


def equal_phases(conv: nn.Conv2d, scale: int) -> None:
    """Make all phases of what a pixel shuffle gets the same (Aitken et al. 2017, 1707.02937)."""
    with torch.no_grad():
        phase = conv.weight[:: scale**2].clone()
        conv.weight.copy_(phase.repeat_interleave(scale**2, 0))
        if conv.bias is not None:
            conv.bias.zero_()


class Upsample(nn.Module):
    """To the fine grid by pixel shuffle, then a 3 x 3 convolution there.

    The last convolution at full resolution and equal phases at the start (Aitken et al. 2017,
    arXiv 1707.02937) keep the period of the shuffle out of the image. Loses 2 input pixels.
    """

    def __init__(self, channels: int, scale: int, activation: Activation, width: int = 4) -> None:
        super().__init__()
        self.scale, self.act = scale, getattr(F, activation)
        self.spread = nn.Conv2d(channels, width * scale**2, 3)
        self.last = _small(nn.Conv2d(width, 1, 3))
        equal_phases(self.spread, scale)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, n, n) to (B, 1, s (n - 4), s (n - 4))."""
        fine = self.act(F.pixel_shuffle(self.spread(x), self.scale))
        return crop(self.last(fine), self.scale - 1)


class PosteriorSampler(nn.Module):
    """Draws sharp images that could have given the window.

    Parameters
    ----------
    name : str
        Name of the model.
    scale : int
        Output pixels per input pixel.
    domain : {"night-sky", "fluorescence"}
        Domain of the training data.
    target_fwhm : float
        FWHM of the declared output PSF in output pixels.
    trust : Trust, optional
        How far the data overrule its pre-draws.
    channels, blocks : int
        Width and depth of the trunk.
    head_channels, head_blocks : int
        Width and depth of the draw head.
    activation : {"relu", "silu"}
        ReLU is exact at any precision and number of threads, and cheap in memory.
    floor : float, optional
        Pre-draws lie above this, in network units: light is not negative, and a head that may go
        below nothing digs holes beside what it paints.

    References
    ----------
    Residual trunk without normalisation: Lim et al. (2017), arXiv 1707.02921. Noise fed to a
    generator trained by proper scoring rules: Lang et al. (2024), arXiv 2412.15832.
    """

    architecture = "posterior"
    draw_lost = 2  # input pixels that the way to the fine grid loses on each side

    def __init__(
        self,
        name: str,
        scale: int,
        domain: Domain,
        target_fwhm: float,
        trust: Trust | None = None,
        channels: int = 64,
        blocks: int = 8,
        head_channels: int = 32,
        head_blocks: int = 2,
        activation: Activation = "relu",
        floor: float | None = None,
    ) -> None:
        super().__init__()
        self.floor = floor
        head_margin = 1 + 2 * head_blocks + self.draw_lost
        self.head_margin = head_margin
        self.spec = GeneratorSpec(
            name=name,
            architecture=self.architecture,
            scale=scale,
            margin=1 + 2 * blocks + head_margin,
            fine_noise=scale**2,
            domain=domain,
            target_fwhm=target_fwhm,
            trust=trust or Trust(),
        )
        self.entry = nn.Conv2d(len(PLANES), channels, 3)
        self.trunk = nn.Sequential(*(Block(channels, activation) for _ in range(blocks)))
        self.mean_head: nn.Module = Upsample(channels, scale, activation, width=8)
        self.share = nn.Conv2d(channels, head_channels, 1)
        self.noise = nn.Conv2d(scale**2 + COARSE, head_channels, 3)
        self.head = nn.Sequential(*(Block(head_channels, activation) for _ in range(head_blocks)))
        self.draw_head: nn.Module = Upsample(head_channels, scale, activation)

    def see(self, planes: Tensor) -> Tensor:
        """What the trunk makes of windows (B, planes, n + 2 margin, n + 2 margin)."""
        features: Tensor = self.trunk(self.entry(planes.to(self.entry.weight.dtype)))
        return features

    def encode(self, planes: Tensor, seen: Tensor | None = None) -> Features:
        """Features and mean of windows; `seen` is what `see` made of them, if it is at hand."""
        image = crop(planes[:, :1].float(), self.spec.margin - 2)
        base = crop(
            F.interpolate(image, scale_factor=self.spec.scale, mode="bicubic"), 2 * self.spec.scale
        )
        features = self.see(planes) if seen is None else seen
        mean = self.mean_head(crop(features, self.head_margin - 2))
        shared = crop(self.share(features), 1)
        return Features(base + mean.float(), shared)

    def draw(self, features: Features, noise: Tensor) -> Tensor:
        """One draw; noise (B, s^2 + 1, n + 2 head_margin, n + 2 head_margin)."""
        hidden = features.shared + self.noise(noise.to(self.noise.weight.dtype))
        delta: Tensor = self.draw_head(self.head(hidden))
        draw = features.mean.detach() + delta.float()
        if self.floor is None:
            return draw
        return bend(draw, self.floor)
