"""From truth crops to what an instrument would have measured, with everything the sampler is told.

Fluorescence: Gaussian or Airy blur, block mean, Poisson (in a share of crops multiplied, as in an
EMCCD) and read noise, quantisation; the night sky: Gaussian or Moffat blur, block sum, sky-limited
noise with a share of Poisson, correlated (drizzled) noise, masks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciup.generators.posterior import crop
from sciup.physics.planes import NoiseModel, local_mean, make_planes
from sciup.physics.projection import REACH_A, forward_kernel
from sciup.stretch import AnscombeStretch, AsinhStretch, Stretch
from sciup.train.data import Pairs, Rng, Truths, log_uniform
from sciup.train.kernels import RIM, Kernels
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


@dataclass(frozen=True)
class Batch:
    """All that one training step needs; (B, 1, ., .) float32 unless said otherwise."""

    planes: Tensor  # (B, 7, n + 2 margin, ...)
    truth: Tensor  # loss region, fine grid, working units
    truth_noise: Tensor  # (B, 1, 1, 1) one sigma of the truth itself, working units
    measured: Tensor  # projection region, input grid, working units
    sigma: Tensor  # noise there
    signal: Tensor  # local mean there
    background: Tensor  # (B, 1, 1, 1) working units
    mask: Tensor  # footprint there, 0 in the rim
    correlation: Tensor  # (B, 1, 1, 1) of the noise of neighbouring pixels
    stretch: Stretch
    noise: NoiseModel
    kernel: NDArray[np.intp]  # (B,) indices into the bank
    keypoints: Tensor | None = None  # (B, kinds, ., .) heatmaps of the truth, if wanted

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        moved: Batch = _moved(self, device)
        return moved


def _moved(x: Any, device: torch.device | str) -> Any:
    """Tensors, and dataclasses of tensors, on another device."""
    if isinstance(x, Tensor):
        return x.to(device, non_blocking=True)
    if is_dataclass(x) and not isinstance(x, type):
        return replace(x, **{f.name: _moved(getattr(x, f.name), device) for f in fields(x)})
    return x


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


def _masks(rng: Rng, real: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """Dead pixels, columns, rows and rectangles in a share of the crops."""
    footprint = real.copy()
    n = footprint.shape[-1]
    for plane in footprint:
        if rng.uniform() >= share:
            continue
        plane[rng.uniform(size=plane.shape) < rng.choice([0, 0.001, 0.01])] = False
        if rng.uniform() < 0.3:
            plane[:, rng.integers(n)] = False
        if rng.uniform() < 0.3:
            y, x, h, w = rng.integers(0, n, 4)
            plane[y : y + h // 4 + 1, x : x + w // 4 + 1] = False
    return footprint


class _Seen(NamedTuple):
    """What instruments measured, before the sampler is told of it."""

    v: Tensor  # (B, 1, window, window) working units
    real: NDArray[np.bool_]  # (B, window, window) False where the image ends
    shot: Exposure
    neighbour: Tensor  # (B, 1, 1, 1) correlation of the noise
    kernel: NDArray[np.intp]  # (B,) indices into the bank


@dataclass(frozen=True)
class Degrader:
    """Makes batch i of a run, a pure function of (seed, i)."""

    recipe: Recipe
    truths: Truths
    kernels: Kernels
    margin: int
    pairs: Pairs | None = None

    def batch(self, i: int) -> Batch:
        """Batch i."""
        r = self.recipe
        rng = np.random.default_rng([r.seed, i])
        window = r.core + 2 * RIM + 2 * self.margin + 2  # one more pixel for the local mean
        if self.pairs is not None and rng.uniform() < self.pairs.share.sum():
            return self._told(rng, self._paired(rng, self.pairs, window))
        return self._told(rng, self._simulated(rng, window))

    def _simulated(self, rng: Rng, window: int) -> _Seen:
        r, s = self.recipe, self.recipe.scale
        crops = [
            self.truths.crop(rng, (window + 2 * REACH_A) * s, r.core * s, s) for _ in range(r.batch)
        ]
        truth = torch.from_numpy(np.stack([c[0] for c in crops])[:, None])
        real = np.stack([c[1] for c in crops])
        edge = REACH_A * s
        real = real[:, edge:-edge:s, edge:-edge:s]  # mirrored edges fall between input pixels
        noise_of_truth = np.array([self.truths.noise[c[2]] for c in crops])
        own = 0 if self.pairs is None else len(self.pairs.low)  # the last kernels are theirs
        index = rng.integers(0, len(self.kernels.true) - own, r.batch)
        observe = _sky if r.domain == "night-sky" else _fluorescence
        shot = observe(r, rng, truth, noise_of_truth, self.kernels.true[index])
        correlation = np.where(
            rng.uniform(size=r.batch) < r.degradation.correlated_share,
            rng.uniform(0.05, 0.6, r.batch),
            0.0,
        )
        neighbour = _column(correlation)
        return _Seen(_measure(rng, shot, neighbour), real, shot, neighbour, index)

    def _paired(self, rng: Rng, pairs: Pairs, window: int) -> _Seen:
        """Crops of measured pairs: nothing is simulated but masks."""
        r = self.recipe
        chosen = rng.choice(len(pairs.low), r.batch, p=pairs.share / pairs.share.sum())
        crops = [pairs.crop(rng, int(k), window, r.core) for k in chosen]
        v = torch.from_numpy(np.stack([c[0] for c in crops])[:, None])
        slope, offset, dark, bright, read, noise = (_column(f) for f in pairs.facts[chosen].T)
        high = np.stack([c[2] for c in crops])[:, None].astype(np.float32)
        shot = Exposure(
            truth=torch.from_numpy(high) * self.truths.quantum * slope + offset,
            clean=v,
            noise=NoiseModel(read, 1.0),
            stretch=AnscombeStretch.between(dark, bright, read),
            truth_noise=noise * slope,
            background=dark,
            multiplied=dark < dark,
            step=0 * dark,
        )
        index = len(self.kernels.true) - len(pairs.low) + chosen
        return _Seen(v, np.stack([c[1] for c in crops]), shot, 0 * dark, index)

    def _told(self, rng: Rng, seen: _Seen) -> Batch:
        """Masks, and all that the sampler is told."""
        r, s = self.recipe, self.recipe.scale
        v, real, shot, neighbour, index = seen
        background = shot.background
        footprint = _masks(rng, real, r.degradation.masked_share)
        f = torch.from_numpy(footprint[:, None].astype(np.float32))
        v = torch.where(f > 0, v, torch.where(torch.from_numpy(real[:, None]), background, v))
        signal = local_mean(v, f)
        inner, f_inner = v[..., 1:-1, 1:-1], f[..., 1:-1, 1:-1]
        sigma = shot.noise.sigma(signal)
        planes = make_planes(
            inner,
            f_inner,
            signal,
            sigma,
            shot.stretch,
            torch.from_numpy(self.kernels.psf[index]),
            neighbour.flatten(),
        )
        m = self.margin
        measured, sigma, signal, inside = (
            x[..., m:-m, m:-m] for x in (inner, sigma, signal, f_inner)
        )
        mask = torch.zeros_like(inside)
        mask[..., RIM:-RIM, RIM:-RIM] = inside[..., RIM:-RIM, RIM:-RIM]
        outer = (shot.truth.shape[-1] - r.core * s) // 2
        keypoints = None
        if r.architecture == "progressive" and r.progressive.heatmaps:
            from sciup.train.progressive import taught

            keypoints = taught(r, shot.truth, shot.truth_noise, outer)
        return Batch(
            planes=planes,
            truth=crop(shot.truth, outer),
            truth_noise=shot.truth_noise,
            measured=measured,
            sigma=sigma,
            signal=signal,
            background=background,
            mask=mask,
            correlation=neighbour,
            stretch=shot.stretch,
            noise=shot.noise,
            kernel=index,
            keypoints=keypoints,
        )


def _column(values: NDArray[np.float64] | list[float]) -> Tensor:
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


def _fluorescence(
    r: Recipe,
    rng: Rng,
    truth: Tensor,
    noise: NDArray[np.float64],
    kernels: NDArray[np.float32],
) -> Exposure:
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
    v_true = truth * _column(peak) + _column(dark)
    # what the engine estimates as the bright end of an image varies with its blur and content
    bright = dark + peak * log_uniform(rng, (0.5, 1.3), n)
    return Exposure(
        truth=v_true,
        clean=_observe(v_true, kernels, r.scale),
        noise=NoiseModel(_column(floor), 1.0),
        stretch=AnscombeStretch.between(_column(dark), _column(bright), _column(floor)),
        truth_noise=_column(noise * peak),
        background=_column(dark),
        multiplied=_column(d.multiplied_share - rng.uniform(size=n)) > 0,
        step=_column(step),
    )


def _haze(rng: Rng, truth: Tensor, share: float) -> Tensor:
    """Out-of-focus light of another crop: measured light, so it stays in the truth."""
    coarse = torch.nn.functional.avg_pool2d(truth.roll(1, 0), 16)
    coarse = torch.nn.functional.avg_pool2d(coarse, 3, 1, 1, count_include_pad=False)
    blurred = torch.nn.functional.interpolate(coarse, size=truth.shape[-2:], mode="bilinear")
    amount = np.where(rng.uniform(size=len(truth)) < share, rng.uniform(0.1, 0.6, len(truth)), 0)
    return blurred.flip(-1) * _column(amount)


def _sky(
    r: Recipe,
    rng: Rng,
    truth: Tensor,
    noise: NDArray[np.float64],
    kernels: NDArray[np.float32],
) -> Exposure:
    d, n = r.degradation, r.batch
    depth = log_uniform(rng, d.depth, n)
    level = rng.normal(0, 0.2, n)  # the estimated background is never quite right
    v_true = truth * (_column(depth) * r.scale**2) + _column(level)
    if d.bright_star_share:
        v_true = v_true + _bright_stars(r, rng, truth.shape[-1])
    electrons = log_uniform(rng, d.electrons_per_sigma, n)
    floor = np.exp(rng.normal(0, 0.05, n))
    return Exposure(
        truth=v_true,
        clean=_observe(v_true, kernels, r.scale),
        noise=NoiseModel(_column(floor), _column(1 / electrons)),
        stretch=AsinhStretch(),
        truth_noise=_column(noise * depth * r.scale**2),
        background=_column(np.zeros(n)),
        multiplied=_column(np.zeros(n)) > 0,
        step=_column(np.zeros(n)),
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


def _measure(rng: Rng, shot: Exposure, correlation: Tensor) -> Tensor:
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
