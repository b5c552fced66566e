"""The block function: one window in, the maps of its core out, for serial runs and Dask alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

from sciup.engine.settings import Settings
from sciup.engine.units import WorkingUnits
from sciup.generators.noise import coarse_field, correlate, noise_key, normal_field
from sciup.generators.posterior import PosteriorSampler, crop
from sciup.geometry import Box, Tile
from sciup.image import Image, Plane
from sciup.physics.instrument import Instrument
from sciup.physics.planes import NoiseModel, local_mean, make_planes
from sciup.physics.projection import REACH_A, REACH_U, Projection, kernel_side, lock_weight
from sciup.physics.psf import moments

CORE = 128
"""Side of the core of every window in input pixels; divides every shard."""

RIM = REACH_A + REACH_U + 1
"""Input pixels that the projection needs around the core, and one more for 3 px means."""

EXACT_ROUNDS = 4
"""Times that noise-free data are fed back: each round removes most of what is left."""

Values = NDArray[np.float32]


def halo_of(net: PosteriorSampler) -> int:
    """Input pixels around the core that decide its values."""
    return net.spec.margin + RIM + 1  # one more for the local mean of the noise plane


@dataclass
class PlaneSampler:
    """Draws of one plane of one image with one generator: everything a window needs.

    Attributes
    ----------
    net : PosteriorSampler
        On its device and in its precision.
    image, plane, instrument, settings
        What to work on, and how.
    units : WorkingUnits
        Input units to working units and back.
    digest : str
        Digest of the image, part of the noise key.
    plane_number : int
        Row-major number of the plane, part of the noise counter.
    """

    net: PosteriorSampler
    image: Image
    plane: Plane
    instrument: Instrument
    settings: Settings
    units: WorkingUnits
    digest: str
    plane_number: int = 0

    def __post_init__(self) -> None:
        spec = self.net.spec
        side = CORE + 2 * RIM
        kernel = self.instrument.relative_kernel(
            spec.scale, spec.target_fwhm, kernel_side(spec.scale)
        )
        self.device = next(self.net.parameters()).device
        built = Projection.build([kernel], spec.scale, side, spec.trust)
        self.projection = built.to(self.device)
        fwhm, e1, e2 = moments(kernel)
        self.psf = torch.tensor([[fwhm / spec.scale, e1, e2]], device=self.device)
        self.correlation = float(self.instrument.correlation.value or 0.0)

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None].to(
            self.device
        )

    def maps(self, tile: Tile, samples: Sequence[int] | None = None) -> dict[str, Values]:
        """All maps of one core in output units; masked pixels are NaN.

        Parameters
        ----------
        tile : Tile
            A tile of the plan; its window is `halo_of` wider than its core.
        samples : sequence of int, optional
            Only these samples, as ``sample_K``, instead of all maps.

        Returns
        -------
        dict of str to ndarray of shape (s core, s core), float32
        """
        window = Window.read(self, tile)
        if samples is not None:
            drawn = {f"sample_{k}": self._core(window.draw(k)) for k in samples}
            return {n: self._masked(window, self._inverse(v, tile)) for n, v in drawn.items()}
        return self._statistics(window, tile)

    def _core(self, x: Tensor) -> Values:
        """Cut the one input pixel that only the 3 px means need."""
        return np.asarray(crop(x, self.net.spec.scale)[0, 0].cpu().numpy())

    def _inverse(self, v: Values, tile: Tile) -> Values:
        return self.units.inverse(v, tile.core, self.net.spec.scale)

    def _masked(self, window: Window, values: Values) -> Values:
        s = self.net.spec.scale
        keep = window.core_footprint.repeat(s, 0).repeat(s, 1)
        return np.where(keep, values, np.float32(np.nan))

    def _statistics(self, window: Window, tile: Tile) -> dict[str, Values]:
        """Stream K + 1 draws into the maps; memory does not depend on K."""
        st, s = self.settings, self.net.spec.scale
        whole = window.project(0)
        shown = window.inner(whole)
        tolerance = window.tolerance(shown)
        first = self._core(shown)
        total, squares = np.zeros_like(first), np.zeros_like(first)
        votes = np.zeros(first.shape, np.int32)
        kept = {"samples_0": self._inverse(first, tile)} if st.keep else {}
        for k in range(1, st.samples + 1):
            draw = window.draw(k)
            difference = draw - shown
            d = self._core(difference)
            total += d
            squares += d * d
            far = F.avg_pool2d(difference, 3, stride=1).abs() > tolerance
            votes += crop(far, s - 1)[0, 0].cpu().numpy()
            if k < st.keep:
                kept[f"samples_{k}"] = self._inverse(self._core(draw), tile)
        n = st.samples + 1
        variance = np.maximum(squares - total * total / n, 0) / (n - 1)
        out = {
            "sample": self._inverse(first, tile),
            "mean": self._inverse(first + total / np.float32(n), tile),
            "std": self.units.width(np.sqrt(variance), tile.core, s),
            "risk_raw": ((votes + 0.5) / n).astype(np.float32),
        }
        if "support" in st.maps:
            out["support"] = self._core(window.inner(window.support(whole)))
        out = {name: out[name] for name in st.maps} | kept
        return {name: self._masked(window, values) for name, values in out.items()}


@dataclass
class Window:
    """One window, read, stretched and encoded: ready to draw."""

    sampler: PlaneSampler
    box: Box  # projection region, input pixels
    noise_box: Box  # region of the draw head's noise
    features: Any
    measured: Tensor
    sigma: Tensor
    signal: Tensor
    mask: Tensor
    core_footprint: NDArray[np.bool_]

    @classmethod
    def read(cls, sampler: PlaneSampler, tile: Tile) -> Window:
        """Read, bring to working units, stretch, and run the trunk once."""
        net, units = sampler.net, sampler.units
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
            sampler.psf,
            torch.tensor([sampler.correlation], device=sampler.device),
        )
        with torch.inference_mode():
            features = net.encode(planes.to(memory_format=torch.channels_last))
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
            box,
            box.grown(net.head_margin),
            features,
            measured,
            sigma,
            signal,
            mask,
            footprint[halo:-halo, halo:-halo],
        )

    def draw(self, k: int) -> Tensor:
        """Sample k in working units on the core and one input pixel around it."""
        return self.inner(self.project(k))

    def inner(self, whole: Tensor) -> Tensor:
        """Cut a projected window to the core and one input pixel around it."""
        return crop(whole, (RIM - 1) * self.sampler.net.spec.scale)

    def project(self, k: int) -> Tensor:
        """Sample k on the whole projection region; exact on `inner` only."""
        s = self.sampler
        key = noise_key(s.settings.seed, s.digest, k)
        channels = s.net.spec.fine_noise
        fine = normal_field(key, s.plane_number, self.noise_box, channels)
        coarse = coarse_field(key, s.plane_number, self.noise_box)
        noise = torch.from_numpy(np.concatenate([fine, coarse[None]]))[None].to(s.device)
        with torch.inference_mode():
            pre = s.net.draw(self.features, noise.to(memory_format=torch.channels_last))
            v = s.units.stretch.inverse(pre)
            y = self.measured - self._error(key)
            signal = self.signal - s.units.background
            lock = lock_weight(signal, self.sigma, s.projection.trust.lock)
            locked = s.projection.lock_flux(v.contiguous(), y, self.mask, lock, s.units.background)
            if not s.settings.noise_free:
                return s.projection.project(locked, y, self.mask, lock)
            for _ in range(EXACT_ROUNDS):
                locked = s.projection.project(locked, y, self.mask, None)
            return locked

    def _error(self, key: tuple[int, int]) -> Tensor | float:
        """The noise of the instrument as sample k imagines it."""
        s = self.sampler
        if s.settings.noise_free:
            return 0.0
        # its own counter: the same key must not give the head and the instrument the same numbers
        white = normal_field(key, s.plane_number + (2 << 24), self.box.grown(1), 1)
        return s._tensor(correlate(white[0], s.correlation)) * self.sigma

    def _fine(self, x: Tensor) -> Tensor:
        """Input-grid field to the fine grid of a draw, by repetition."""
        s = self.sampler.net.spec.scale
        return crop(x, RIM - 1).repeat_interleave(s, -1).repeat_interleave(s, -2)

    def tolerance(self, shown: Tensor) -> Tensor:
        """Tau in working units where 3 px means exist."""
        tolerance = self.sampler.settings.tolerance
        sigma = self._fine(self.sigma)
        if tolerance.unit == "sigma":
            tau = tolerance.value * sigma
        else:
            local = F.avg_pool2d(F.pad(shown, (4, 4, 4, 4), mode="replicate"), 9, stride=1)
            tau = torch.maximum(
                tolerance.value / 100 * (local - self.sampler.units.background).abs(), sigma
            )
        return crop(tau, 1)

    def support(self, whole: Tensor) -> Tensor:
        r"""Share of the local detail of the shown image that was measured above the noise.

        With d the detail (image minus its Gaussian mean, sigma 1.5 input pixels), W = U A what the
        optics pass back, and E, N the local energies of A d and of the noise:
        ``<d, W d> / <d, d> * E / (E + N)``, in the same Gaussian neighbourhoods.
        """
        s = self.sampler
        scale = s.net.spec.scale
        width = 1.5 * scale

        def local(t: Tensor) -> NDArray[np.float32]:
            return np.asarray(gaussian_filter(t[0, 0].cpu().numpy(), width, mode="nearest"))

        x = whole[0, 0].cpu().numpy()
        detail = s._tensor(x - gaussian_filter(x, width, mode="nearest"))
        seen = s.projection.observe(detail)
        one = torch.ones_like(seen)
        passed = s.projection.project(torch.zeros_like(detail), seen, one, one)
        optics = local(detail * passed) / np.maximum(local(detail * detail), 1e-12)
        energy, noise = (
            local(x.repeat_interleave(scale, -1).repeat_interleave(scale, -2))
            for x in (seen**2, self.sigma**2)
        )
        return s._tensor(np.clip(optics, 0, 1) * energy / np.maximum(energy + noise, 1e-12))
