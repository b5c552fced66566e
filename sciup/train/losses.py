"""Proper scores of a few draws: at the pixel, on block means, in linear flux, on patches.

Shapes: draws (B, M, h, w), truth (B, 1, h, w). Every term is a proper scoring rule, so its minimum
in expectation is the posterior; the terms differ in the scale at which they look hardest.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from sciup.train.recipe_parts import WAVE, LossWeights

ALMOST = 0.95
"""Fairness of the CRPS: 1 is fair; a little less avoids its degenerate flat direction."""


def crps(draws: Tensor, truth: Tensor, attention: Tensor | float = 1.0) -> Tensor:
    """Almost fair continuous ranked probability score, averaged.

    `attention` (B, 1, h, w) says where it counts more. It must be a function of the measurement: a
    weight that knows the truth would teach what the truth is *given* that it counts.

    References
    ----------
    Lang et al. (2024), AIFS-CRPS, arXiv 2412.15832, eq. 4; fair CRPS:
    Ferro (2014), QJRMS 140, 1917.
    """
    members = draws.shape[1]
    skill = ((draws - truth).abs() * attention).mean()
    ordered = draws.sort(1).values
    rank = 2 * torch.arange(1, members + 1, device=draws.device, dtype=draws.dtype) - members - 1
    apart = (rank.view(1, -1, 1, 1) * ordered).sum(1, keepdim=True)  # over all pairs
    spread = (apart * attention).mean() * 2
    eps = (1 - ALMOST) / members
    score: Tensor = skill - (1 - eps) / (2 * members * (members - 1)) * spread
    return score


def energy(draws: Tensor, truth: Tensor, side: int) -> Tensor:
    """Fair energy score of side x side patches, per square root of pixel.

    References
    ----------
    Gneiting & Raftery (2007), JASA 102, 359, eq. 22.
    """
    members = draws.shape[1]

    def patches(x: Tensor) -> Tensor:
        h, w = (n // side * side for n in x.shape[-2:])
        blocks = x[..., :h, :w].unflatten(-2, (h // side, side)).unflatten(-1, (w // side, side))
        flat: Tensor = blocks.transpose(-3, -2).flatten(-2)
        return flat

    def norm(x: Tensor) -> Tensor:
        return (x.square().mean(-1) + 1e-8).sqrt()

    d, t = patches(draws), patches(truth)
    skill = norm(d - t).mean()
    pairs = [norm(d[:, i] - d[:, j]).mean() for i in range(members) for j in range(i)]
    return skill - 0.5 * torch.stack(pairs).mean()


def waves(x: Tensor, side: int = WAVE) -> Tensor:
    """Local Fourier coefficients, (B, M, h, w) to (B, M, side^2 - 1, places).

    Real and imaginary parts in Hann windows of unit norm, half a side apart. Pixels and block means
    leave free how the scatter between them is arranged, in blobs or in streaks; each of these
    numbers has a direction and a period.
    """
    basis = _basis(side).to(x)
    parts = x.unfold(-2, side, side // 2).unfold(-2, side, side // 2).flatten(2, 3).flatten(-2)
    coefficients: Tensor = torch.einsum("bmpn,kn->bmkp", parts, basis)
    return coefficients


def _waves(draws: Tensor, truth: Tensor, octaves: int, weight: float) -> Tensor:
    """CRPS of `waves`, on block means of 1, 2, 4 ... pixels, averaged."""
    if not weight:
        return draws.new_zeros(())
    parts = [
        crps(*(waves(F.avg_pool2d(x, 2**k) if k else x) for x in (draws, truth)))
        for k in range(octaves)
    ]
    return weight * torch.stack(parts).mean()


@cache
def _basis(side: int) -> Tensor:
    """Windowed cosines and sines of all periods but infinity, one row each, of unit norm."""
    n = torch.arange(side, dtype=torch.float64)
    window = torch.sin(torch.pi * (n + 0.5) / side).square()
    window = window[:, None] * window
    rows = []
    for k, m in torch.cartesian_prod(torch.arange(side), torch.arange(side)).tolist():
        opposite = (-k % side, -m % side)
        if (k, m) == (0, 0) or (k, m) > opposite:
            continue
        angle = 2 * torch.pi * (k * n[:, None] + m * n) / side
        rows += [window * angle.cos()] + [window * angle.sin()] * ((k, m) != opposite)
    basis = torch.stack(rows).flatten(1)
    found: Tensor = basis / basis.norm(dim=1, keepdim=True)
    return found.float()


def total(
    draws: Tensor,
    truth: Tensor,
    mean: Tensor,
    linear_draws: Tensor,
    linear_truth: Tensor,
    linear_scale: Tensor,
    weights: LossWeights,
    attention: Tensor | float = 1.0,
) -> tuple[Tensor, dict[str, float]]:
    """Weighted sum of all terms and the value of each.

    `draws`, `truth`, `mean` are in network units; `linear_*` in working units, with
    `linear_scale` (B, 1, h, w) the size of an error that matters there, a function of the
    measurement only; `attention` as in `crps`, of the terms that look at single pixels.
    """
    blocks = sum(crps(F.avg_pool2d(draws, k), F.avg_pool2d(truth, k)) for k in (4, 8, 16)) / 3
    scaled = [x / linear_scale for x in (linear_draws, linear_truth)]
    linear = sum(crps(*(F.avg_pool2d(x, k) for x in scaled)) * k for k in (4, 16)) / 2
    patch = sum(energy(draws, truth, k) for k in (4, 12)) / 2
    terms = {
        "crps": weights.crps * crps(draws, truth, attention),
        "waves": _waves(draws, truth, weights.octaves, weights.waves),
        "blocks": weights.block_means * torch.as_tensor(blocks),
        "linear": weights.linear * torch.as_tensor(linear),
        "energy": weights.energy * torch.as_tensor(patch),
        "mean": weights.mean * ((mean - truth).square() * attention).mean(),
    }
    loss = torch.stack(list(terms.values())).sum()
    return loss, {k: float(v.detach()) for k, v in terms.items()}
