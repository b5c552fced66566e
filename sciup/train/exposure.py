"""What an instrument would have measured of truth crops.

Fluorescence: Gaussian or Airy blur, block mean, Poisson (in a share of crops multiplied, as in an
EMCCD) and read noise, quantisation; the night sky: Gaussian or Moffat blur, block sum, sky-limited
noise with a share of Poisson, correlated (drizzled) noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciup.physics.planes import NoiseModel
from sciup.physics.projection import REACH_A, forward_kernel
from sciup.stretch import AnscombeStretch, AsinhStretch, Stretch
from sciup.train.data import Rng, log_uniform
from sciup.train.recipe import Recipe

BRIGHT_STARS = (300.0, 1e5)
"""Fluxes of the stars that are added, in noise of one input pixel."""


def correlate(white: Tensor, neighbour: Tensor) -> Tensor:
    """`sciup.generators.noise.correlate` for a batch: (B, C, n + 2, n + 2) to (B, C, n, n).

    `neighbour` (B, 1, 1, 1) is the correlation at lag 1; where it is 0 the noise stays white.
    """
    rho = neighbour.clamp(max=0.7)
    a = rho / (1 + (1 - 2 * rho**2).sqrt())
    rows = white[..., 1:-1, :] + a * (white[..., :-2, :] + white[..., 2:, :])
    out: Tensor = rows[..., 1:-1] + a * (rows[..., :-2] + rows[..., 2:])
    return out / (1 + 2 * a**2)


def _observe(truth: Tensor, kernels: NDArray[np.float32], scale: int) -> Tensor:
    """Blur and block mean; the outer `REACH_A` input pixels are cut off."""
    side = truth.shape[-1]
    grids = np.zeros((len(kernels), side, side), np.float32)
    for grid, kernel in zip(grids, kernels, strict=True):
        a = forward_kernel(kernel.astype(np.float64), scale)
        index = np.arange(-(kernel.shape[0] // 2), -(kernel.shape[0] // 2) + a.shape[0]) % side
        grid[index[:, None], index] = a
    spectrum = torch.fft.rfft2(torch.from_numpy(grids))[:, None].conj()
    blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(truth) * spectrum, s=(side, side))
    return blurred[..., ::scale, ::scale][..., REACH_A:-REACH_A, REACH_A:-REACH_A]


def column(values: NDArray[np.float64] | list[float]) -> Tensor:
    """One value per crop, (B, 1, 1, 1)."""
    return torch.tensor(np.asarray(values), dtype=torch.float32).view(-1, 1, 1, 1)


@dataclass(frozen=True)
class Exposure:
    """Truths as an instrument would see them, before noise; (B, 1, ., .) or (B, 1, 1, 1)."""

    truth: Tensor  # working units, fine grid
    clean: Tensor  # working units, input grid
    noise: NoiseModel
    stretch: Stretch
    truth_noise: Tensor
    background: Tensor
    multiplied: Tensor  # true where the electrons went through a multiplying register
    step: Tensor  # of the converter, 0 for a fine one


def fluorescence(
    r: Recipe,
    rng: Rng,
    truth: Tensor,
    noise: NDArray[np.float64],
    kernels: NDArray[np.float32],
) -> Exposure:
    """Micrographs: read noise and photons, hazy and coarsely converted in a share of the crops."""
    d, n = r.degradation, r.batch
    read = rng.uniform(*d.read_noise, n)
    # the noise of the truth, binned, may be at most 0.3 of the noise simulated (whole images by
    # depth, never pixels by brightness): electrons limit (noise p / s)^2 <= 0.09 * 0.2 p
    most = np.where(noise > 0, 0.018 * r.scale**2 / np.maximum(noise, 1e-9) ** 2, np.inf)
    peak = log_uniform(rng, d.peak_electrons, n)
    peak = np.maximum(np.minimum(peak, most), d.peak_electrons[0])
    dark = peak * log_uniform(rng, d.background, n)
    step = np.where(rng.uniform(size=n) < d.quantised_share, rng.uniform(0.1, 1, n), 0.0)
    step = step * np.sqrt(dark + read**2)
    floor = np.sqrt(read**2 + step**2 / 12)
    if d.haze_share:
        truth = truth + _haze(rng, truth, d.haze_share)
    v_true = truth * column(peak) + column(dark)
    # what the engine estimates as the bright end of an image varies with its blur and content
    bright = dark + peak * log_uniform(rng, (0.5, 1.3), n)
    return Exposure(
        truth=v_true,
        clean=_observe(v_true, kernels, r.scale),
        noise=NoiseModel(column(floor), 1.0),
        stretch=AnscombeStretch.between(column(dark), column(bright), column(floor)),
        truth_noise=column(noise * peak),
        background=column(dark),
        multiplied=column(d.multiplied_share - rng.uniform(size=n)) > 0,
        step=column(step),
    )


def _haze(rng: Rng, truth: Tensor, share: float) -> Tensor:
    """Out-of-focus light of another crop: measured light, so it stays in the truth."""
    coarse = torch.nn.functional.avg_pool2d(truth.roll(1, 0), 16)
    coarse = torch.nn.functional.avg_pool2d(coarse, 3, 1, 1, count_include_pad=False)
    blurred = torch.nn.functional.interpolate(coarse, size=truth.shape[-2:], mode="bilinear")
    amount = np.where(rng.uniform(size=len(truth)) < share, rng.uniform(0.1, 0.6, len(truth)), 0)
    return blurred.flip(-1) * column(amount)


def night_sky(
    r: Recipe,
    rng: Rng,
    truth: Tensor,
    noise: NDArray[np.float64],
    kernels: NDArray[np.float32],
) -> Exposure:
    """Fields limited by the noise of the sky; `noise` is that of the truths."""
    d, n = r.degradation, r.batch
    depth = log_uniform(rng, d.depth, n)
    level = rng.normal(0, 0.2, n)  # the estimated background is never quite right
    v_true = truth * (column(depth) * r.scale**2) + column(level)
    if d.bright_star_share:
        v_true = v_true + _bright_stars(r, rng, truth.shape[-1])
    electrons = log_uniform(rng, d.electrons_per_sigma, n)
    floor = np.exp(rng.normal(0, 0.05, n))
    return Exposure(
        truth=v_true,
        clean=_observe(v_true, kernels, r.scale),
        noise=NoiseModel(column(floor), column(1 / electrons)),
        stretch=AsinhStretch(),
        truth_noise=column(noise * depth * r.scale**2),
        background=column(np.zeros(n)),
        multiplied=column(np.zeros(n)) > 0,
        step=column(np.zeros(n)),
    )


def _bright_stars(r: Recipe, rng: Rng, side: int) -> Tensor:
    """One bright star in or near the loss region of a share of the crops, (B, 1, side, side).

    Catalogues have few of them, and whoever has not learned their shape draws rings into the wings.
    What they are is never in doubt, so that their density, unlike that of faint ones, is free.
    """
    inner = r.core * r.scale
    narrow = 4 * np.log(2) / r.target_fwhm**2
    # also beyond the edge, where only wings are seen
    at = rng.uniform(-0.3 * inner, 1.3 * inner, (2, r.batch, 1))
    y, x = np.exp(-narrow * (np.arange(side) - (side - inner) / 2 - at) ** 2)
    flux = log_uniform(rng, BRIGHT_STARS, r.batch)
    flux = np.where(rng.uniform(size=r.batch) < r.degradation.bright_star_share, flux, 0)
    peak = flux * r.scale**2 * narrow / np.pi
    stars = peak[:, None, None] * y[:, :, None] * x[:, None, :]
    return torch.from_numpy(stars[:, None].astype(np.float32))


def measure(rng: Rng, shot: Exposure, correlation: Tensor) -> Tensor:
    """Poisson and Gaussian noise, quantised; correlated noise is Gaussian of the same variance.

    A multiplying register doubles the variance of each electron; with half of the electrons, which
    is what photon transfer finds, variance equals mean again and only the tail is another.
    """
    c, floor = shot.clean.numpy(), np.asarray(shot.noise.floor)
    per_signal = np.broadcast_to(np.asarray(shot.noise.per_signal), (len(c), 1, 1, 1))
    light = np.maximum(c, 0) / per_signal
    multiplied = rng.standard_gamma(rng.poisson(2 * light)) / 2
    counts = np.where(shot.multiplied.numpy(), multiplied, rng.poisson(light))
    # rounding adds the variance step^2 / 12, which the floor already contains
    step = shot.step.numpy()
    read = np.sqrt(floor**2 - step**2 / 12)
    white = counts * per_signal + np.minimum(c, 0) + read * rng.standard_normal(c.shape)
    rounded = np.rint(white / np.maximum(step, 1e-9)) * step
    white = np.where(step > 0, rounded, white)
    n = c.shape[-1] + 2
    noise = torch.from_numpy(rng.standard_normal((len(c), 1, n, n), np.float32))
    drizzled = shot.clean + shot.noise.sigma(shot.clean) * correlate(noise, correlation)
    single = torch.from_numpy(white.astype(np.float32))
    return torch.where(correlation > 0, drizzled, single)
