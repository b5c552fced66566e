"""What a texture head makes of a batch, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciup.generators.fused import fuse
from sciup.generators.posterior import PosteriorSampler
from sciup.generators.texture import TextureHead
from sciup.physics.projection import Projection, lock_weight
from sciup.train.degrade import Batch
from sciup.train.kernels import RIM
from sciup.train.objective import bicubic, random_noise
from sciup.train.pack import STANDS_ON, Pack
from sciup.train.recipe import Recipe
from sciup.train.state import build


def frozen(pack: Pack) -> PosteriorSampler:
    """The sampler of a pack, as it is in use."""
    weights = {
        k.removeprefix(STANDS_ON): torch.as_tensor(v)
        for k, v in pack.start.items()
        if k.startswith(STANDS_ON)
    }
    net = build(pack.recipe)
    net.load_state_dict(weights)
    return fuse(net)


def head_of(recipe: Recipe, sampler: PosteriorSampler) -> TextureHead:
    """A head with the sizes of a recipe."""
    size = recipe.texture
    return TextureHead(
        recipe.name, sampler, size.channels, size.blocks, size.fine, size.noise, size.lit
    )


@dataclass(frozen=True)
class Seen:
    """What the sampler sees of a batch: the same whenever it comes back."""

    features: Tensor
    mean: Tensor


@dataclass(frozen=True)
class Made:
    """An image and what it is compared with; (B, 1, h, w) on the loss region.

    Attributes
    ----------
    u : Tensor
        Network units, projected.
    noise : Tensor
        One sigma of the truth's own noise there.
    truth, guide : Tensor
        Truth and interpolated measurement, network units.
    share : Tensor or float
        How much of what the head says is in `u`.
    """

    u: Tensor
    noise: Tensor
    truth: Tensor
    guide: Tensor
    share: Tensor | float

    def judged(self, x: Tensor) -> Tensor:
        """An image as critic and statistics see it, `normalised`.

        Where the head may add nothing they see the interpolated measurement: what only the truth
        has there, faint sources, is not to be rewarded anywhere.
        """
        return self.normalised(self.guide + self.share * (x - self.guide))

    def normalised(self, x: Tensor) -> Tensor:
        """In units in which the interpolated measurement has mean 0 and variance 1, by crop.

        A function of the measurement only: crops of few photons count as much as bright ones.
        """
        centre = self.guide.mean((-1, -2), keepdim=True)
        size = self.guide.std((-1, -2), keepdim=True)
        return (x - centre) / (size + 1e-3)


def made_of(
    head: TextureHead,
    sampler: PosteriorSampler,
    batch: Batch,
    bank: Projection,
    seen: Seen,
    rng: torch.Generator,
) -> Made:
    """The head's image, projected without noise of the instrument, as in use."""
    noise = None
    if head.chance is not None:
        count, side = seen.features.shape[0], seen.features.shape[-1]
        noise = random_noise(rng, count, sampler.spec.fine_noise, side)
    with torch.autocast(batch.planes.device.type, torch.bfloat16):
        u = head(batch.planes, seen.features, seen.mean, noise)
    v = batch.stretch.inverse(u)
    lock = lock_weight(batch.signal - batch.background, batch.sigma, bank.trust.lock)
    edge, share = RIM * sampler.spec.scale, head.share(batch.planes)
    v = bank.agree(v, batch.measured, batch.mask, lock, batch.background)
    v = v[..., edge:-edge, edge:-edge]
    return Made(
        batch.stretch.forward(v),
        batch.truth_noise * batch.stretch.slope(v.detach()),
        batch.stretch.forward(batch.truth),
        bicubic(batch, sampler.spec.scale),
        share[..., edge:-edge, edge:-edge] if isinstance(share, Tensor) else share,
    )
