"""A deterministic head on the frozen trunk of a posterior sampler: plausible texture, one image.

EnhanceNet trains a whole network; a sampler that runs anyway has seen the window already, so that
what is left to learn is small: a few convolutions from its features to the fine grid.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from sciup.generators.posterior import COARSE, Block, PosteriorSampler, _small, crop, equal_phases
from sciup.generators.spec import PLANES

FINE = 2
"""Convolutions on the fine grid; each loses one fine pixel on each side."""

AROUND = 5
"""Side of the squares whose mean decides whether there is light, input px."""

LIT = (5.0, 10.0)
"""S/N of that mean below which nothing is added, and from which everything."""


def lit(planes: Tensor) -> Tensor:
    """Where the sky has measured light: 0 to 1, (B, 1, n - 4, n - 4) from planes (B, ., n, n).

    The sky itself is at 0 in network units. Noise that neighbours share with a correlation of c
    makes means of squares noisier by about 1 + 2 c.
    """
    index = PLANES.index
    image, noise = planes[:, :1].float(), 3 * planes[:, index("log_noise")][:, None].float()
    shared = 1 + 2 * planes[:, index("noise_correlation")][:, None].float()
    mean, noise, shared = (F.avg_pool2d(x, AROUND, stride=1) for x in (image, noise.exp(), shared))
    low, high = LIT
    t = ((AROUND * mean / (noise * shared) - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


class Fine(nn.Module):
    """To the fine grid by pixel shuffle, then two 3 x 3 convolutions there.

    Two, because a texture is made of details smaller than an input pixel; with equal phases at the
    start (Aitken et al. 2017, arXiv 1707.02937). Loses 1 input pixel and `lost` more.
    """

    def __init__(self, channels: int, scale: int, width: int) -> None:
        super().__init__()
        self.scale, self.lost = scale, -(-FINE // scale)
        self.spread = nn.Conv2d(channels, width * scale**2, 3)
        self.mix = nn.Conv2d(width, width, 3)
        self.last = _small(nn.Conv2d(width, 1, 3))
        equal_phases(self.spread, scale)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, n, n) to (B, 1, s m, s m) with m = n - 2 - 2 `lost`."""
        fine = F.relu(F.pixel_shuffle(self.spread(x), self.scale))
        return crop(self.last(F.relu(self.mix(fine))), self.scale * self.lost - FINE)


class TextureHead(nn.Module):
    """Adds texture to what the mean head of a sampler says.

    It sees the features of the sampler's trunk, the measurement itself, and on request the noise
    field from which sample 0 is drawn. Without that field the same features give the same motif
    wherever the data say little, and a texture that repeats itself is seen at once.

    Parameters
    ----------
    name : str
        Name of the model.
    sampler : PosteriorSampler
        On whose trunk it stands; it is neither kept nor changed.
    channels, blocks : int
        Width and depth on the input grid.
    fine : int
        Channels on the fine grid.
    noise : bool
        Whether it gets the noise field.
    lit : bool
        Night sky only: add nothing where no light was measured, so that no source is made up there.

    Raises
    ------
    ValueError
        For `lit` in another domain, whose background is not known here; if it would need more
        of the window than the sampler's own head; or at scale 1.

    References
    ----------
    Sajjadi, Schoelkopf & Hirsch (2017), EnhanceNet, arXiv 1612.07919: a feed-forward network whose
    output is a residual on an interpolation; here on the mean of the posterior.
    """

    def __init__(
        self,
        name: str,
        sampler: PosteriorSampler,
        channels: int = 48,
        blocks: int = 2,
        fine: int = 16,
        noise: bool = False,
        lit: bool = False,
    ) -> None:
        super().__init__()
        base = sampler.spec
        if base.scale == 1:
            raise ValueError("at scale 1 there is no texture to add: use scale 2 or 4")
        if lit and base.domain != "night-sky":
            raise ValueError("lit is for the night sky: elsewhere the background is not known")
        self.lit = lit
        self.entry = nn.Conv2d(sampler.entry.out_channels, channels, 3)
        self.look = nn.Conv2d(1, channels, 3, bias=False)
        fields = base.fine_noise + COARSE
        self.chance = nn.Conv2d(fields, channels, 3, bias=False) if noise else None
        self.body = nn.Sequential(*(Block(channels, "relu") for _ in range(blocks)))
        self.fine = Fine(channels, base.scale, fine)
        margin = 1 + 2 * blocks + 1 + self.fine.lost
        if margin > sampler.head_margin:
            raise ValueError(
                f"the head sees {margin} px around a pixel, the sampler's {sampler.head_margin}: "
                "use fewer blocks"
            )
        self.rim = sampler.head_margin - margin
        self.outer = base.margin - margin
        self.spec = replace(base, name=name, architecture="texture", fine_noise=0, stochastic=False)

    def forward(self, planes: Tensor, seen: Tensor, mean: Tensor, noise: Tensor | None) -> Tensor:
        """The image (B, 1, s n, s n), float32, network units.

        Parameters
        ----------
        planes : Tensor (B, planes, n + 2 margin, n + 2 margin)
            As the sampler got them.
        seen : Tensor
            What the sampler's trunk made of them, `PosteriorSampler.see`.
        mean : Tensor (B, 1, s n, s n)
            What its mean head says.
        noise : Tensor (B, s^2 + 1, m, m) or None
            The field of the sampler's draw head, m as in `seen`; a head without `noise` ignores it.
        """
        dtype = self.entry.weight.dtype
        hidden = self.entry(crop(seen, self.rim).to(dtype))
        hidden = hidden + self.look(crop(planes[:, :1], self.outer).to(dtype))
        if self.chance is not None:
            if noise is None:
                raise ValueError("this head was trained with a noise field and needs one")
            hidden = hidden + self.chance(crop(noise, self.rim).to(dtype))
        delta: Tensor = self.fine(self.body(hidden))
        return mean + delta.float() * self.share(planes)

    def share(self, planes: Tensor) -> Tensor | float:
        """How much of what it says is added, (B, 1, s n, s n)."""
        if not self.lit:
            return 1.0
        near = crop(lit(planes), self.spec.margin - AROUND // 2 - 1)
        fine = F.interpolate(near, scale_factor=self.spec.scale, mode="bilinear")
        return crop(fine, self.spec.scale)
