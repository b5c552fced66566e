"""The imprint of the upsampling grid, as a term of the loss.

A generator that works on the input grid can repeat its errors with the period of that grid: as a
pattern in its draws, or as draws that scatter more at some places of the period than at others.
Proper scores hardly see either, since the truth has more noise there than the pattern has power.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SEGMENT = 64
"""Side of the squares whose spectra are looked at, output px."""
NEAR, FAR = 2, 4
"""Neighbours of a frequency: this many steps away; a Hann window reaches one step."""
CELL = 24
"""Side of the cells in which the phases of the grid are compared, input px."""


def lines(x: Tensor, scale: int) -> Tensor:
    """How far the power at the frequencies of the upsampling grid stands out from its neighbours.

    (B, M, h, w) to (frequencies,): mean over the images of the logarithm of power at multiples of
    1/s of the sampling frequency, minus what a parabola through that a few steps of 1/64 away lets
    expect.
    """
    side = min(SEGMENT, *(n // scale * scale for n in x.shape[-2:]))
    window = torch.hann_window(side, device=x.device)
    parts = x.unfold(-2, side, side // 2).unfold(-2, side, side // 2)
    parts = (parts - parts.mean((-1, -2), keepdim=True)) * window[:, None] * window
    power = torch.fft.fft2(parts).abs().square().mean((1, 2, 3)) + 1e-12
    far = torch.arange(-FAR, FAR + 1, device=x.device)
    weights = _expectation(far).to(x.dtype)
    found = []
    for k in range(scale):
        for m in range(scale):
            if (k, m) == (0, 0) or (k, m) > (-k % scale, -m % scale):
                continue  # the mean, and one of each pair of opposite frequencies
            rows, cols = ((n * side // scale + far) % side for n in (k, m))
            near = power[:, rows[:, None], cols].log()
            found.append((near[:, FAR, FAR] - (weights * near).sum((-1, -2))).mean())
    return torch.stack(found)


def _expectation(far: Tensor) -> Tensor:
    """Weights of the square around a frequency that give its value from the ring: least squares."""
    y, x = (v.flatten().double() for v in torch.meshgrid(far, far, indexing="ij"))
    ring = torch.maximum(y.abs(), x.abs()) >= NEAR
    terms = torch.stack([torch.ones_like(y), y, x, y * y, x * y, x * x], 1)
    weights = torch.zeros_like(y)
    weights[ring] = torch.linalg.pinv(terms[ring])[0]
    return weights.view(len(far), len(far))


def uneven(draws: Tensor, scale: int) -> Tensor:
    """Relative variance of the draws' variance between the phases of the output grid.

    In cells of `CELL` x `CELL` input pixels: enough of each phase that their scatter hardly counts.
    """
    variance = F.pixel_unshuffle(draws.var(1, keepdim=True), scale)
    cells = F.avg_pool2d(variance, min(CELL, *variance.shape[-2:]))
    return (cells / (cells.mean(1, keepdim=True) + 1e-12) - 1).square().mean()


def imprint(draws: Tensor, scaled: Tensor, scale: int) -> Tensor:
    """Both imprints of draws (B, M, h, w); 0 where no place on the grid is special.

    `draws` in network units, `scaled` in units of an error that matters.
    """
    high = lines(draws, scale).clamp(min=0)  # less than expected is no pattern
    return F.smooth_l1_loss(high, torch.zeros_like(high)) + uneven(scaled, scale)
