"""Terms that a texture is trained with: Gram matrices of patches, statistics, a critic's opinion.

All take normalised images (B, 1, h, w), see `sciup.train.made.Made`, and truths with the noise
that they have; the images that are compared with them carry fresh noise of the same size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sciup.train.imprint import lines
from sciup.train.losses import waves

SIDE = 16
"""Side of the patches whose Gram matrices are compared, in pixels of their features."""

LEVELS = 3
"""Octaves of filters and statistics."""

BLOCKS = (2, 4)
"""Sides of the blocks whose means a texture keeps, fine px."""

FAINT = 0.005
"""Root mean square of a feature below which it is none."""

FLOOR = 1e-5
"""Least power in the logarithms of the statistics; images have variance 1."""


def patches(x: Tensor, side: int = SIDE) -> Tensor:
    """Contiguous squares, (B, C, h, w) to (B, squares, C, side^2).

    Contiguous: reshaping in another order gathers every n-th pixel of the whole image into a
    "patch", whose Gram matrix is nearly that of the image and says nothing of the place.
    """
    h, w = (n // side * side for n in x.shape[-2:])
    squares = x[..., :h, :w].unfold(-2, side, side).unfold(-2, side, side)
    return squares.permute(0, 2, 3, 1, 4, 5).flatten(1, 2).flatten(-2)


def gram(x: Tensor, side: int = SIDE) -> Tensor:
    r"""Gram matrices ``F F^T / side^2`` of the features in contiguous patches, (B, squares, C, C).

    References
    ----------
    Gatys, Ecker & Bethge (2015), arXiv 1505.07376, eq. 1; in patches of 16 px: Sajjadi et al.
    (2017), arXiv 1612.07919, eq. 4.
    """
    flat = patches(x.float(), side)
    return flat @ flat.transpose(-1, -2) / flat.shape[-1]


def gram_distance(made: Tensor, truth: Tensor) -> Tensor:
    """Huber distance of Gram matrices of features (B, C, h, w): squares below 1, linear above.

    Every channel is divided by its root mean square in the truth, crop by crop, so that faint
    details count as much as edges; but not by less than `FAINT`, and large differences count
    linearly: one crop without detail would outweigh all others.
    """
    side = min(SIDE, *truth.shape[-2:])
    size = (truth.square().mean((-1, -2), keepdim=True) + FAINT**2).sqrt()
    one, other = (gram(x / size, side) for x in (made, truth))
    return F.smooth_l1_loss(one, other)


@cache
def _oriented() -> Tensor:
    """Derivatives of a Gaussian, two first and three second ones, (5, 1, 7, 7), unit norm.

    A basis of all their directions: Freeman & Adelson (1991), IEEE PAMI 13, 891, table III.
    """
    n = torch.arange(-3.0, 4.0)
    bell = torch.exp(-(n[:, None] ** 2 + n**2) / 2)
    y, x = n[:, None].expand(7, 7), n.expand(7, 7)
    found = [f * bell for f in (y, x, y * y - 1, x * y, x * x - 1)]
    found = [f - f.mean() for f in found]
    return torch.stack([f / f.norm() for f in found])[:, None]


def bands(x: Tensor) -> list[Tensor]:
    """Oriented responses by octave, their positive and negative parts, (B, 10, ., .) each."""
    binomial = torch.tensor([1.0, 4, 6, 4, 1], device=x.device) / 16
    out = []
    for level in range(LEVELS):
        if level:
            x = F.conv2d(x, binomial.view(1, 1, 5, 1))
            x = F.conv2d(x, binomial.view(1, 1, 1, 5))[..., ::2, ::2]
        if min(x.shape[-2:]) < 8:
            break
        response = F.conv2d(x, _oriented().to(x))
        out.append(torch.cat([response.relu(), (-response).relu()], 1))
    return out


def texture(made: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """Mean of the distances of several layers of features."""
    return torch.stack([gram_distance(m, t) for m, t in zip(made, truth, strict=True)]).mean()


def levels(x: Tensor) -> Tensor:
    """Logarithms of mean squares and mean sizes of local Fourier coefficients, (B, numbers).

    By octave, direction and period: a spectrum, and how sparse each part of it is. After Portilla &
    Simoncelli (2000), IJCV 40, 49, with local Fourier coefficients in place of their pyramid.
    """
    out = []
    for level in range(LEVELS):
        part = F.avg_pool2d(x, 2**level)
        if min(part.shape[-2:]) < 16:
            break
        w = waves(part)[:, 0]
        power, size = w.square().mean(-1), w.abs().mean(-1)
        out += [(power + FLOOR).log(), (size.square() + FLOOR).log()]
    return torch.cat(out, 1)


def statistics(made: Tensor, truth: Tensor) -> Tensor:
    """Mean squared difference of `levels`."""
    return (levels(made) - levels(truth)).square().mean()


def content(made: Tensor, truth: Tensor, blocks: Sequence[int]) -> Tensor:
    """Mean squared error of block means."""
    errors = [(F.avg_pool2d(made, k) - F.avg_pool2d(truth, k)).square().mean() for k in blocks]
    return torch.stack(errors).mean()


def grid(made: Tensor, scale: int) -> Tensor:
    """How far the frequencies of the upsampling grid stand out; see `sciup.train.imprint`."""
    high = lines(made, scale).clamp(min=0)
    return F.smooth_l1_loss(high, torch.zeros_like(high))


class Critic(nn.Module):
    """Tells measured textures from made ones, place by place, with the measurement beside them.

    References
    ----------
    Patches: Isola et al. (2017), arXiv 1611.07004.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = [(2, width, 4, 2), (width, 2 * width, 4, 2), (2 * width, 4 * width, 4, 2)]
        sizes.append((4 * width, 4 * width, 3, 1))
        self.layers = nn.ModuleList(nn.Conv2d(i, o, k, stride=s) for i, o, k, s in sizes)
        self.last = nn.Conv2d(4 * width, 1, 1)

    def forward(self, image: Tensor, guide: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Opinions (above 0: measured), and the features of the first two layers.

        Parameters
        ----------
        image, guide : Tensor (B, 1, h, w)
            What is judged, and the interpolated measurement.
        """
        x, features = torch.cat([image, guide], 1), []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        opinion: Tensor = self.last(x).float()
        return opinion, features[:2]


def critic_loss(real: Tensor, made: Tensor) -> Tensor:
    """Logistic loss of the critic (Goodfellow et al. 2014, arXiv 1406.2661)."""
    return F.softplus(-real).mean() + F.softplus(made).mean()


def adversarial(made: Tensor) -> Tensor:
    """Logistic loss of what was made, in the form that does not saturate."""
    return F.softplus(-made).mean()


def r1(critic: Critic, image: Tensor, guide: Tensor) -> Tensor:
    """Squared gradient of the critic's opinion at measured images, per opinion.

    References
    ----------
    Mescheder, Geiger & Nowozin (2018), arXiv 1801.04406, eq. 9.
    """
    image = image.detach().requires_grad_()
    opinion, _ = critic(image, guide)
    (slope,) = torch.autograd.grad(opinion.sum(), image, create_graph=True)
    penalty: Tensor = slope.square().sum() / opinion.numel()
    return penalty


def accuracy(real: Tensor, made: Tensor) -> float:
    """Share of opinions that are right."""
    return float(((real > 0).float().mean() + (made < 0).float().mean()) / 2)
