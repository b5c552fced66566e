"""From truth crops, or measured pairs, to batches with everything the sampler is told."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciup.generators.posterior import crop
from sciup.physics.planes import NoiseModel, local_mean, make_planes
from sciup.physics.projection import REACH_A
from sciup.stretch import AnscombeStretch, Stretch
from sciup.train.data import Pairs, Rng, Truths
from sciup.train.exposure import Exposure, column, fluorescence, measure, night_sky
from sciup.train.kernels import RIM, Kernels
from sciup.train.recipe import Recipe


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
        observe = night_sky if r.domain == "night-sky" else fluorescence
        shot = observe(r, rng, truth, noise_of_truth, self.kernels.true[index])
        correlation = np.where(
            rng.uniform(size=r.batch) < r.degradation.correlated_share,
            rng.uniform(0.05, 0.6, r.batch),
            0.0,
        )
        neighbour = column(correlation)
        return _Seen(measure(rng, shot, neighbour), real, shot, neighbour, index)

    def _paired(self, rng: Rng, pairs: Pairs, window: int) -> _Seen:
        """Crops of measured pairs: nothing is simulated but masks."""
        r = self.recipe
        chosen = rng.choice(len(pairs.low), r.batch, p=pairs.share / pairs.share.sum())
        crops = [pairs.crop(rng, int(k), window, r.core) for k in chosen]
        v = torch.from_numpy(np.stack([c[0] for c in crops])[:, None])
        slope, offset, dark, bright, read, noise = (column(f) for f in pairs.facts[chosen].T)
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
