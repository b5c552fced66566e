"""From truth crops to what an instrument would have measured, with everything the sampler is told.

Fluorescence: Gaussian or Airy blur, block mean, Poisson (in a share of crops multiplied, as in an
EMCCD) and read noise, quantisation; the night sky: Gaussian or Moffat blur, block sum, sky-limited
noise with a share of Poisson, correlated (drizzled) noise, masks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciup.generators.noise import correlate
from sciup.physics import psf as shapes
from sciup.physics.planes import NoiseModel, local_mean, make_planes
from sciup.physics.projection import (
    REACH_A,
    Projection,
    forward_kernel,
    kernel_side,
)
from sciup.stretch import AnscombeStretch, AsinhStretch, Stretch
from sciup.train.data import Rng, Truths
from sciup.train.recipe import Degradation, Recipe
from sciup.train.sky_optics import draw_optics

RIM = 5
"""Input pixels around the loss region; residuals within it wrap around and are not counted."""

BANK = 256
"""Number of different kernels of a run: spectra are prepared once."""


@dataclass(frozen=True)
class Kernels:
    """The kernels of a run with all their spectra.

    Attributes
    ----------
    true : list of ndarray
        What blurs the truth.
    psf : ndarray (BANK, 3)
        FWHM [input px] and ellipticities that the sampler is told.
    projection : Projection
        The instrument as the sampler is told.
    """

    true: list[NDArray[np.float64]]
    psf: NDArray[np.float32]
    projection: Projection

    @classmethod
    def draw(cls, recipe: Recipe) -> Kernels:
        """Draw the bank from the recipe's ranges and seed."""
        d, s = recipe.degradation, recipe.scale
        rng = np.random.default_rng([recipe.seed, 77])
        true, told, facts = [], [], []
        for _ in range(BANK):
            if recipe.domain == "night-sky":
                pair = draw_optics(rng, d, s, recipe.target_fwhm)
                true.append(pair[0])
                told.append(pair[1])
                continue
            true.append(_kernel(rng, d, s))
            guessed = rng.uniform() < d.guessed_psf_share
            told.append(_guess(rng, true[-1], s) if guessed else true[-1])
        for kernel in told:
            fwhm, e1, e2 = shapes.moments(kernel)
            facts.append((fwhm / s, e1, e2))
        projection = Projection.build(told, s, recipe.core + 2 * RIM, recipe.trust)
        return cls(true, np.array(facts, np.float32), projection)

    def pick(self, index: NDArray[np.intp]) -> Projection:
        """The projection of a batch."""
        p, i = self.projection, torch.from_numpy(index)
        return Projection(p.scale, p.side, p.a[i], p.wiener[i], p.strong[i], p.trust)


def _kernel(rng: Rng, d: Degradation, scale: int) -> shapes.Kernel:
    """A relative kernel of the recipe's shapes, widths and ellipticities."""
    side, fwhm = kernel_side(scale), float(_log_uniform(rng, d.psf_fwhm, 1)[0]) * scale
    names, shares = list(d.shapes), np.array(list(d.shapes.values()))
    size, angle = d.ellipticity * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
    e = (size * np.cos(angle), size * np.sin(angle))
    match names[rng.choice(len(names), p=shares / shares.sum())]:
        case "gaussian":
            return shapes.gaussian(side, fwhm, *e)
        case "moffat":
            return shapes.moffat(side, fwhm, rng.uniform(2.5, 4.5), *e)
        case _:
            return shapes.airy(side, fwhm, *e)


def _guess(rng: Rng, kernel: shapes.Kernel, scale: int) -> shapes.Kernel:
    """What a user who knows a width only would say: a round Gaussian, wrong by some per cent."""
    fwhm = max(shapes.moments(kernel)[0] * np.exp(rng.normal(0, 0.1)), 0.5)
    return shapes.gaussian(kernel_side(scale), float(fwhm))


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
    correlation: NDArray[np.float64]
    stretch: Stretch
    projection: Projection


def _observe(truth: Tensor, kernels: list[NDArray[np.float64]], scale: int) -> Tensor:
    """Blur and block mean; the outer `REACH_A` input pixels are cut off."""
    side = truth.shape[-1]
    grids = np.zeros((len(kernels), side, side), np.float32)
    for grid, kernel in zip(grids, kernels, strict=True):
        a = forward_kernel(kernel, scale)
        index = np.arange(-(kernel.shape[0] // 2), -(kernel.shape[0] // 2) + a.shape[0]) % side
        grid[index[:, None], index] = a
    spectrum = torch.fft.rfft2(torch.from_numpy(grids))[:, None].conj()
    blurred: Tensor = torch.fft.irfft2(torch.fft.rfft2(truth) * spectrum, s=(side, side))
    return blurred[..., ::scale, ::scale][..., REACH_A:-REACH_A, REACH_A:-REACH_A]


def _noise(rng: Rng, side: int, correlation: NDArray[np.float64]) -> NDArray[np.float32]:
    white = rng.standard_normal((len(correlation), 1, side + 2, side + 2), np.float32)
    return np.stack([correlate(w, float(c)) for w, c in zip(white, correlation, strict=True)])


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


@dataclass(frozen=True)
class Degrader:
    """Makes batch i of a run, a pure function of (seed, i)."""

    recipe: Recipe
    truths: Truths
    kernels: Kernels
    margin: int

    def batch(self, i: int) -> Batch:
        """Batch i."""
        r = self.recipe
        s, rng = r.scale, np.random.default_rng([r.seed, i])
        region = r.core + 2 * RIM
        window = region + 2 * self.margin + 2  # one more pixel for the local mean
        crops = [
            self.truths.crop(rng, (window + 2 * REACH_A) * s, r.core * s, s) for _ in range(r.batch)
        ]
        truth = torch.from_numpy(np.stack([c[0] for c in crops])[:, None])
        real = np.stack([c[1] for c in crops])
        edge = REACH_A * s
        real = real[:, edge:-edge:s, edge:-edge:s]  # mirrored edges fall between input pixels
        noise_of_truth = np.array([self.truths.noise[c[2]] for c in crops])
        index = rng.integers(0, BANK, r.batch)
        observe = _sky if r.domain == "night-sky" else _fluorescence
        shot = observe(r, rng, truth, noise_of_truth, [self.kernels.true[k] for k in index])
        background = shot.background
        correlation = np.where(
            rng.uniform(size=r.batch) < r.degradation.correlated_share,
            rng.uniform(0.05, 0.6, r.batch),
            0.0,
        )
        v = _measure(rng, shot, correlation)
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
            torch.from_numpy(correlation.astype(np.float32)),
        )
        m = self.margin
        measured, sigma, signal, inside = (
            x[..., m:-m, m:-m] for x in (inner, sigma, signal, f_inner)
        )
        mask = torch.zeros_like(inside)
        mask[..., RIM:-RIM, RIM:-RIM] = inside[..., RIM:-RIM, RIM:-RIM]
        outer = (shot.truth.shape[-1] - r.core * s) // 2
        return Batch(
            planes=planes,
            truth=shot.truth[..., outer:-outer, outer:-outer],
            truth_noise=shot.truth_noise,
            measured=measured,
            sigma=sigma,
            signal=signal,
            background=background,
            mask=mask,
            correlation=correlation,
            stretch=shot.stretch,
            projection=self.kernels.pick(index),
        )


def _log_uniform(rng: Rng, ends: tuple[float, float], count: int) -> NDArray[np.float64]:
    return np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]), count))


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
    kernels: list[NDArray[np.float64]],
) -> Exposure:
    d, n = r.degradation, r.batch
    read = rng.uniform(*d.read_noise, n)
    # the noise of the truth, binned, may be at most 0.3 of the noise simulated (whole images by
    # depth, never pixels by brightness): electrons limit (noise p / s)^2 <= 0.09 * 0.2 p
    most = np.where(noise > 0, 0.018 * r.scale**2 / np.maximum(noise, 1e-9) ** 2, np.inf)
    peak = _log_uniform(rng, d.peak_electrons, n)
    peak = np.maximum(np.minimum(peak, most), d.peak_electrons[0])
    dark = peak * _log_uniform(rng, d.background, n)
    step = np.where(rng.uniform(size=n) < d.quantised_share, rng.uniform(0.1, 1, n), 0.0)
    step = step * np.sqrt(dark + read**2)
    floor = np.sqrt(read**2 + step**2 / 12)
    if d.haze_share:
        truth = truth + _haze(rng, truth, d.haze_share)
    v_true = truth * _column(peak) + _column(dark)
    # what the engine estimates as the bright end of an image varies with its blur and content
    bright = dark + peak * _log_uniform(rng, (0.5, 1.3), n)
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
    kernels: list[NDArray[np.float64]],
) -> Exposure:
    d, n = r.degradation, r.batch
    depth = _log_uniform(rng, d.depth, n)
    level = rng.normal(0, 0.2, n)  # the estimated background is never quite right
    v_true = truth * (_column(depth) * r.scale**2) + _column(level)
    electrons = _log_uniform(rng, d.electrons_per_sigma, n)
    floor = np.exp(rng.normal(0, 0.05, n))
    return Exposure(
        truth=v_true,
        clean=_observe(v_true, kernels, r.scale),
        noise=NoiseModel(_column(floor), _column(1 / electrons)),
        stretch=AsinhStretch(),
        truth_noise=_column(noise * depth),
        background=_column(np.zeros(n)),
        multiplied=_column(np.zeros(n)) > 0,
        step=_column(np.zeros(n)),
    )


def _measure(rng: Rng, shot: Exposure, correlation: NDArray[np.float64]) -> Tensor:
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
    drizzled = c + shot.noise.sigma(shot.clean).numpy() * _noise(rng, c.shape[-1], correlation)
    chosen = np.where(correlation.reshape(-1, 1, 1, 1) > 0, drizzled, white)
    return torch.from_numpy(chosen.astype(np.float32))
