"""A posterior sampler for 8x: three steps of 2x, with an image and keypoints on the way.

In the spirit of progressive super-resolution with attention to landmarks (Kim et al. 2019): every
step has an image of its own, and heatmaps of keypoints are learned beside the last one. Here the
image of a step is the mean of what it could be, and the last step draws.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciup.generators.posterior import (
    Activation,
    Block,
    PosteriorSampler,
    Upsample,
    _small,
    crop,
    equal_phases,
)
from sciup.generators.spec import Features, Steps
from sciup.image import KEYPOINT_KINDS

SCALE = 8

WIDTHS = (32, 24, 12)
"""Channels at 2x, 4x and 8x of what leads to the mean and the keypoints."""

DRAW_WIDTHS = (16, 8)
"""Channels at 2x and 4x of what leads to a draw."""

RARE = -4.0
"""Logit of a keypoint before anything is learned: they are rare."""

LOST = 4
"""Input pixels that the steps lose on each side."""


class Grow(nn.Module):
    """To a grid twice as fine by pixel shuffle; loses 1 pixel on each side before."""

    def __init__(self, channels: int, width: int, activation: Activation) -> None:
        super().__init__()
        self.act = getattr(F, activation)
        self.spread = nn.Conv2d(channels, 4 * width, 3)
        equal_phases(self.spread, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, n, n) to (B, width, 2 n - 4, 2 n - 4)."""
        out: Tensor = self.act(F.pixel_shuffle(self.spread(x), 2))
        return out


def _twice(image: Tensor, cut: int) -> Tensor:
    """Bicubic interpolation by 2; `cut` at least 4, where it has looked beyond the edge."""
    return crop(F.interpolate(image, scale_factor=2, mode="bicubic"), cut)


class MeanSteps(nn.Module):
    """From features to the mean, step by step, and to keypoints; loses `LOST` input pixels.

    Attributes
    ----------
    fade : (float, float)
        Weights of what the second and the third step add. While training they grow from 0 to 1:
        a step begins as an interpolation of the one before (Karras et al. 2018, arXiv 1710.10196).
    """

    def __init__(self, channels: int, kinds: int, activation: Activation) -> None:
        super().__init__()
        two, four, eight = WIDTHS
        self.grow = nn.ModuleList(
            Grow(*sizes, activation) for sizes in ((channels, two), (two, four), (four, eight))
        )
        self.body = nn.ModuleList(Block(width, activation) for width in (two, four))
        self.image = nn.ModuleList(_small(nn.Conv2d(width, 1, 3)) for width in (two, four))
        self.last = _small(nn.Conv2d(eight, 1 + kinds, 3))
        with torch.no_grad():
            cast(Tensor, self.last.bias)[1:] = RARE
        self.fade = (1.0, 1.0)

    def forward(self, x: Tensor, image: Tensor) -> tuple[Tensor, Steps]:
        """The mean (B, 1, 8 n, 8 n) and what came before it, in network units, float32.

        Parameters
        ----------
        x : Tensor (B, C, n + 8, n + 8)
            Features of the trunk.
        image : Tensor (B, 1, n + 8, n + 8), float32
            The measurement.
        """
        hidden = self.body[0](self.grow[0](x))
        two = _twice(image, 5) + self.image[0](hidden).float()
        hidden = self.body[1](self.grow[1](hidden))
        four = _twice(two, 4) + self.fade[0] * crop(self.image[1](hidden), 1).float()
        last = crop(self.last(self.grow[2](hidden)), 5).float()
        eight = _twice(four, 4) + self.fade[1] * last[:, :1]
        return eight, Steps(crop(two, 3), crop(four, 2), last[:, 1:])


class DrawSteps(nn.Module):
    """From the hidden layer of a draw to its difference from the mean; loses 4 input pixels."""

    def __init__(self, channels: int, activation: Activation) -> None:
        super().__init__()
        two, four = DRAW_WIDTHS
        self.grow = nn.ModuleList([Grow(channels, two, activation), Grow(two, four, activation)])
        self.body = nn.ModuleList(Block(width, activation) for width in (two, four))
        self.last: nn.Module = Upsample(four, 2, activation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, n, n) to (B, 1, 8 (n - 8), 8 (n - 8))."""
        for grow, body in zip(self.grow, self.body, strict=True):
            x = body(grow(x))
        out: Tensor = self.last(crop(x, 2))
        return out


class ProgressiveSampler(PosteriorSampler):
    """Posterior sampler for 8x with steps of 2x; arguments as for `PosteriorSampler`.

    Examples
    --------
    >>> import torch
    >>> net = ProgressiveSampler("toy", 8, "fluorescence", 2.0, blocks=1, channels=8)
    >>> planes = torch.zeros(1, 7, 16 + 2 * net.spec.margin, 16 + 2 * net.spec.margin)
    >>> features = net.encode(planes)
    >>> features.mean.shape, features.steps.two.shape, features.steps.keypoints.shape
    (torch.Size([1, 1, 128, 128]), torch.Size([1, 1, 32, 32]), torch.Size([1, 3, 128, 128]))

    References
    ----------
    Kim, Kim, Kwon & Kim (2019), Progressive face super-resolution via attention to facial
    landmark, arXiv 1908.08239.
    """

    architecture = "progressive"
    draw_lost = LOST

    def __init__(self, name: str, scale: int, *args: Any, **sizes: Any) -> None:
        if scale != SCALE:
            raise ValueError(f"a progressive sampler has scale {SCALE}, not {scale}")
        super().__init__(name, scale, *args, **sizes)
        activation: Activation = sizes.get("activation", "relu")
        kinds = len(KEYPOINT_KINDS[self.spec.domain])
        self.mean_head = MeanSteps(self.entry.out_channels, kinds, activation)
        self.draw_head = DrawSteps(self.share.out_channels, activation)

    def encode(self, planes: Tensor, seen: Tensor | None = None) -> Features:
        """Features, mean and steps of windows; `seen` is what `see` made of them."""
        image = crop(planes[:, :1].float(), self.spec.margin - LOST)
        features = self.see(planes) if seen is None else seen
        mean, steps = self.mean_head(crop(features, self.head_margin - LOST), image)
        return Features(mean, crop(self.share(features), 1), steps)


__all__ = ["SCALE", "DrawSteps", "MeanSteps", "ProgressiveSampler"]
