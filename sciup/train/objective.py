"""One step's forward pass: draws as they will be in use, their scores, and how honest they are."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sciup.generators.noise import COARSE_STEP
from sciup.generators.posterior import PosteriorSampler, crop
from sciup.generators.spec import Features
from sciup.physics.projection import Projection, lock_weight
from sciup.train.degrade import Batch
from sciup.train.exposure import correlate
from sciup.train.imprint import imprint
from sciup.train.kernels import RIM
from sciup.train.losses import total
from sciup.train.progressive import attended
from sciup.train.recipe import Recipe


def generator(seed: int, step: int, device: str) -> torch.Generator:
    """Random numbers of one step: a function of seed, step and kind of device."""
    key = np.random.SeedSequence([seed, 9, step]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(key >> np.uint64(1)))


def random_noise(rng: torch.Generator, count: int, channels: int, side: int) -> Tensor:
    """Noise like that of `sciup.generators.noise`, without its addresses.

    Shape (count, channels + 1, side, side); the last channel is the coarse one.
    """
    device, step = rng.device, COARSE_STEP
    fine = torch.randn(count, channels, side, side, generator=rng, device=device)
    nodes = side // step + 3
    coarse = torch.randn(count, nodes, nodes, generator=rng, device=device)
    mats = []
    for phase in torch.randint(step, (2,), generator=rng, device=device):
        position = torch.arange(side, device=device) + phase
        weight = (position % step + 0.5) / step
        norm = (weight**2 + (1 - weight) ** 2).sqrt()
        mat = torch.zeros(side, nodes, device=device)
        mat.scatter_(1, (position // step)[:, None], ((1 - weight) / norm)[:, None])
        mat.scatter_(1, (position // step + 1)[:, None], (weight / norm)[:, None])
        mats.append(mat)
    return torch.cat([fine, (mats[0] @ coarse @ mats[1].T)[:, None]], 1)


def draws_of(
    net: PosteriorSampler, batch: Batch, bank: Projection, count: int, rng: torch.Generator
) -> tuple[Tensor, Features]:
    """Projected draws (B, M, h, w) in working units on the loss region, and the features.

    Parameters
    ----------
    net : PosteriorSampler
    batch : Batch
        On the device of the network.
    bank : Projection
        The projections of this batch.
    count : int
        Draws M per crop.
    rng : torch.Generator
        Of the same device.
    """
    with torch.autocast(rng.device.type, torch.bfloat16):
        features = net.encode(batch.planes)
        mean, shared = (t.repeat_interleave(count, 0) for t in features[:2])
        repeated = Features(mean, shared)
        side = features.shared.shape[-1] + 2
        pre = net.draw(repeated, random_noise(rng, len(repeated.shared), net.spec.fine_noise, side))
    v = batch.stretch.inverse(pre.unflatten(0, (-1, count)).flatten(1, 2))
    n = batch.measured.shape[-1] + 2
    white = torch.randn(len(v), count, n, n, generator=rng, device=v.device)
    y = batch.measured - correlate(white, batch.correlation) * batch.sigma
    lock = lock_weight(batch.signal - batch.background, batch.sigma, bank.trust.lock)
    projected = bank.agree(v, y, batch.mask, lock, batch.background)
    edge = RIM * net.spec.scale
    return projected[..., edge:-edge, edge:-edge], features


def objective(
    net: PosteriorSampler, batch: Batch, bank: Projection, recipe: Recipe, rng: torch.Generator
) -> tuple[Tensor, dict[str, float], Tensor]:
    """Loss, its terms, and the draws in network units; arguments as in `draws_of`."""
    v, features = draws_of(net, batch, bank, recipe.draws, rng)
    mean = crop(features.mean, RIM * recipe.scale)
    f = batch.stretch.forward
    u, truth = f(v), f(batch.truth)
    # a noisy truth is compared with draws that carry fresh noise of the same size
    e = torch.randn(u.shape, generator=rng, device=u.device)
    u_noisy = u + e * batch.truth_noise * batch.stretch.slope(v.detach())
    s = recipe.scale
    signal, sigma = (x[..., RIM:-RIM, RIM:-RIM] for x in (batch.signal, batch.sigma))
    size = (sigma**2 + (0.05 * (signal - batch.background)) ** 2) ** 0.5 * s
    size = size.repeat_interleave(s, -1).repeat_interleave(s, -2)
    attention, beside = attended(features.steps, batch, recipe)
    loss, terms = total(u_noisy, truth, mean, v, batch.truth, size, recipe.loss, attention)
    for name, term in beside.items():
        loss, terms[name] = loss + term, float(term.detach())
    if recipe.loss.imprint and s > 1:
        term = recipe.loss.imprint * imprint(u, v / size, s)
        loss, terms["imprint"] = loss + term, float(term.detach())
    return loss, terms, u.detach()


def bicubic(batch: Batch, scale: int) -> Tensor:
    """The measurement on the output grid, network units, loss region."""
    y = batch.stretch.forward(batch.measured)
    edge = RIM * scale
    up: Tensor = F.interpolate(y, scale_factor=scale, mode="bicubic")
    return up[..., edge:-edge, edge:-edge]


def gain(made: Tensor, truth: Tensor, base: Tensor) -> float:
    """How many dB the squared error of `made` is smaller than that of `base`."""
    own, other = ((x - truth).square().mean() for x in (made, base))
    return 10 * math.log10(float(other) / max(float(own), 1e-12))


def diagnose(u: Tensor, batch: Batch, scale: int) -> dict[str, float]:
    """Gain in dB over bicubic of the mean, and spread/skill at 1, 4, 16 px, in network units.

    The noise of the truth itself is taken out of the skill.
    """
    truth, m = batch.stretch.forward(batch.truth), u.shape[1]
    own = (batch.truth_noise * batch.stretch.slope(batch.truth)).square().mean()
    out = {"gain": gain(u.mean(1, keepdim=True), truth, bicubic(batch, scale))}
    for k in (1, 4, 16):
        d, t = (F.avg_pool2d(x, k) for x in (u, truth))
        error = (d.mean(1, keepdim=True) - t).square().mean() - own / k**2
        spread = d.var(1).mean() * (m + 1) / m
        out[f"skill{k}"] = float((spread / error.clamp(min=1e-12)).sqrt())
    return out
