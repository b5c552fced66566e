"""One window of the engine: read, stretched and encoded once, then drawn from sample by sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from sciup.engine.margins import RIM, SEEN
from sciup.generators.noise import coarse_field, correlate, noise_key, normal_field, ranks
from sciup.generators.posterior import crop
from sciup.geometry import Box, Tile
from sciup.physics.planes import NoiseModel, local_mean, make_planes, with_psf
from sciup.physics.projection import REACH_A, lock_weight
from sciup.risk.votes import LEVEL_WIDTH

if TYPE_CHECKING:
    from sciup.engine.block import PlaneSampler
    from sciup.engine.optics import Optics
    from sciup.physics.psf_cells import Cell

NEIGHBOURHOOD = 1.5
"""Width (sigma) of the neighbourhoods of `support` in input pixels."""

EXACT_ROUNDS = 4
"""Times that noise-free data are fed back: each round removes most of what is left."""


@dataclass
class Window:
    """One window, read, stretched and encoded: ready to draw."""

    sampler: PlaneSampler
    cell: Cell | None  # of the PSF
    box: Box  # projection region, input pixels
    noise_box: Box  # region of the draw head's noise
    planes: Tensor  # what the trunk saw
    features: Any  # and made of it, with the believed PSF
    measured: Tensor
    sigma: Tensor
    snr: Tensor  # of local means of the measurement
    lock: Tensor  # weight of the data where they are bright
    mask: Tensor
    core_footprint: NDArray[np.bool_]
    seen: Tensor | None = None  # what the trunk made of them, for a texture head
    _others: dict[int, Any] = field(default_factory=dict)  # features with other PSFs, by node
    _optics: dict[int, Optics] = field(default_factory=dict)  # by node

    @classmethod
    def read(cls, sampler: PlaneSampler, tile: Tile) -> Window:
        """Read, bring to working units, stretch, and run the trunk once."""
        net, units = sampler.net, sampler.units
        cell = sampler.optics.cell(tile.core)
        values, footprint = sampler.image.read(sampler.plane, tile.window)
        v = units.forward(values, tile.window)
        v = np.where(np.isfinite(v), v, np.float32(units.background))
        vt, ft = sampler._tensor(v), sampler._tensor(footprint)
        signal = local_mean(vt, ft)
        noise = units.noise(tile.window.grown(-1))
        sigma = noise.sigma(signal) if isinstance(noise, NoiseModel) else sampler._tensor(noise)
        planes = make_planes(
            crop(vt, 1),
            crop(ft, 1),
            signal,
            sigma,
            units.stretch,
            sampler.optics.at(cell).psf,
            torch.tensor([sampler.correlation], device=sampler.device),
        )
        planes = planes.to(memory_format=torch.channels_last)
        seen = net.see(planes)
        features = net.encode(planes, seen)
        margin = net.spec.margin
        measured, sigma, signal, inner = (
            crop(x, margin) for x in (crop(vt, 1), sigma, signal, crop(ft, 1))
        )
        mask = torch.zeros_like(inner)
        rim = np.s_[..., REACH_A:-REACH_A, REACH_A:-REACH_A]
        mask[rim] = inner[rim]
        halo = (tile.window.shape[0] - tile.core.shape[0]) // 2
        box = tile.core.grown(RIM)
        return cls(
            sampler,
            cell,
            box,
            box.grown(net.head_margin),
            planes,
            features,
            measured,
            sigma,
            (signal - units.background) / sigma,
            lock_weight(signal - units.background, sigma, net.spec.trust.lock),
            mask,
            footprint[halo:-halo, halo:-halo],
            None if sampler.texture is None else seen,
        )

    def optics(self, node: int = 0) -> Optics:
        """Of its place, with the width of a node; kept, however many cells others are in."""
        if node not in self._optics:
            self._optics[node] = self.sampler.optics.at(self.cell, node)
        return self._optics[node]

    def draw(self, k: int) -> Tensor:
        """Sample k in working units on the core and `SEEN` input pixels around it."""
        return self.inner(self.project(k))

    def inner(self, whole: Tensor) -> Tensor:
        """Cut a projected window to the core and `SEEN` input pixels around it."""
        return crop(whole, (RIM - SEEN) * self.sampler.net.spec.scale)

    def project(self, k: int) -> Tensor:
        """Sample k on the whole projection region; exact on `inner` only."""
        s = self.sampler
        node, key = s.optics.node(k), noise_key(s.settings.seed, s.digest, k)
        v = s.units.stretch.inverse_(s.net.draw(self._features(node), self._noise(key)))
        return self._agreeing(v, self.measured - self._error(key), node)

    def _features(self, node: int) -> Any:
        """What the trunk makes of the window with the PSF of a node, once for each."""
        if node == 0:
            return self.features
        if node not in self._others:
            net = self.sampler.net
            self._others[node] = net.encode(with_psf(self.planes, self.optics(node).psf))
        return self._others[node]

    def textured(self) -> Tensor:
        """What the texture head says, made to agree with the measurement, on `inner`.

        With the noise field of sample 0, but without noise of the instrument: there is one image,
        not a draw of many.
        """
        v = self.sampler.units.stretch.inverse(self._texture())
        return self.inner(self._agreeing(v, self.measured))

    def _texture(self) -> Tensor:
        """What the texture head says, network units."""
        s, head = self.sampler, self.sampler.texture
        if head is None or self.seen is None:
            raise ValueError("the window was read without a texture head")
        drawn = head.chance is not None
        noise = self._noise(noise_key(s.settings.seed, s.digest, 0)) if drawn else None
        said: Tensor = head(self.planes, self.seen, self.features.mean, noise)
        return said

    def _agreeing(self, v: Tensor, y: Tensor, node: int = 0) -> Tensor:
        """A pre-draw in working units, projected on the data `y` with the PSF of a node."""
        s, background = self.sampler, self.sampler.units.background
        projection = self.optics(node).projection
        if not s.settings.noise_free:
            return projection.agree(v.contiguous(), y, self.mask, self.lock, background)
        locked = projection.lock_flux(v.contiguous(), y, self.mask, self.lock, background)
        for _ in range(EXACT_ROUNDS):
            locked = projection.project(locked, y, self.mask, None)
        return locked

    def _noise(self, key: tuple[int, int]) -> Tensor:
        """The noise from which the head draws, in the precision and layout of its network."""
        s, count = self.sampler, self.sampler.net.spec.fine_noise
        noise = torch.empty(
            (1, count + 1, *self.noise_box.shape),
            dtype=s.quantiles.dtype,
            device=s.device,
            memory_format=torch.channels_last,
        )
        rank = ranks(key, s.plane_number, self.noise_box, count)
        index = torch.from_numpy(rank.astype(np.int32)).to(s.device)
        fine = s.quantiles.index_select(0, index.flatten()).view(index.shape)
        noise[0, :count] = fine.permute(2, 0, 1)
        coarse = coarse_field(key, s.plane_number, self.noise_box)
        noise[0, count] = torch.from_numpy(coarse).to(s.device)
        return noise

    def _error(self, key: tuple[int, int]) -> Tensor | float:
        """The noise of the instrument as sample k imagines it."""
        s = self.sampler
        if s.settings.noise_free:
            return 0.0
        # its own counter: the same key must not give the head and the instrument the same numbers
        white = normal_field(key, s.plane_number + (2 << 24), self.box.grown(1), 1)
        return s._tensor(correlate(white[0], s.correlation)) * self.sigma

    def fine(self, x: Tensor) -> Tensor:
        """Input-grid field to the fine grid of a draw, by repetition."""
        s = self.sampler.net.spec.scale
        return crop(x, RIM - SEEN).repeat_interleave(s, -1).repeat_interleave(s, -2)

    def tolerance(self, shown: Tensor) -> Tensor:
        """Tau in working units on the core, from the shown image on `inner`."""
        tolerance, scale = self.sampler.settings.tolerance, self.sampler.net.spec.scale
        sigma = crop(self.fine(self.sigma), SEEN * scale)
        if tolerance.unit == "sigma":
            return tolerance.value * sigma
        around = crop(shown, SEEN * scale - LEVEL_WIDTH // 2)
        rows = F.avg_pool2d(around, (LEVEL_WIDTH, 1), stride=1)
        local = F.avg_pool2d(rows, (1, LEVEL_WIDTH), stride=1)
        level = (local - self.sampler.units.background).abs()
        return torch.maximum(tolerance.value / 100 * level, sigma)

    def support(self, whole: Tensor) -> Tensor:
        r"""Share of the local detail of the shown image that was measured above the noise.

        With d the detail (image minus its local mean), W = U A what the optics pass back, and E, N
        the local energies of A d and of the noise: ``<d, W d> / <d, d> * E / (E + N)``. Local means
        are Gaussian, sigma `NEIGHBOURHOOD`, and are evaluated at the input pixels.
        """
        s, scale = self.sampler, self.sampler.net.spec.scale
        projection = self.optics().projection

        def local(t: Tensor) -> Tensor:
            return s._tensor(gaussian_filter(t[0, 0].cpu().numpy(), NEIGHBOURHOOD, mode="nearest"))

        def fine(t: Tensor) -> Tensor:
            return F.interpolate(t, scale_factor=scale, mode="bilinear")

        detail = whole - fine(local(F.avg_pool2d(whole, scale)))
        seen = projection.observe(detail)
        one = torch.ones_like(seen)
        passed = projection.project(torch.zeros_like(detail), seen, one, one)
        through, total = (local(F.avg_pool2d(detail * x, scale)) for x in (passed, detail))
        energy, noise = local(seen**2), local(self.sigma**2)
        optics = (through / total.clamp(min=1e-12)).clamp(0, 1)
        return fine(optics * energy / (energy + noise).clamp(min=1e-12))


__all__ = ["EXACT_ROUNDS", "NEIGHBOURHOOD", "Window"]
