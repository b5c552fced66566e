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

from sciup.engine.calibrated import SCORES, Calibrated
from sciup.engine.margins import CORE, RIM, SEEN
from sciup.engine.mean import Moments, steadied
from sciup.engine.settings import KEYPOINTS, PROGRESSIVE, STEPS, USUAL_RAW, Settings
from sciup.engine.units import WorkingUnits
from sciup.engine.votes import Votes
from sciup.generators.noise import (
    coarse_field,
    correlate,
    noise_key,
    normal_field,
    quantiles,
    ranks,
)
from sciup.generators.posterior import PosteriorSampler, crop
from sciup.generators.spec import Steps
from sciup.generators.texture import TextureHead
from sciup.geometry import Box, Tile
from sciup.image import Image, Plane
from sciup.physics.instrument import Instrument
from sciup.physics.planes import NoiseModel, local_mean, make_planes
from sciup.physics.projection import REACH_A, Projection, kernel_side, lock_weight
from sciup.physics.psf import moments
from sciup.risk.votes import LEVEL_WIDTH

NEIGHBOURHOOD = 1.5
"""Width (sigma) of the neighbourhoods of `support` in input pixels."""

EXACT_ROUNDS = 4
"""Times that noise-free data are fed back: each round removes most of what is left."""

Values = NDArray[np.float32]


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
    calibration : Calibrated, optional
        What turns votes into calibrated risk.
    texture : TextureHead, optional
        Makes the map `texture` from what the trunk sees.
    """

    net: PosteriorSampler
    image: Image
    plane: Plane
    instrument: Instrument
    settings: Settings
    units: WorkingUnits
    digest: str
    plane_number: int = 0
    calibration: Calibrated | None = None
    texture: TextureHead | None = None

    def __post_init__(self) -> None:
        spec = self.net.spec
        side = CORE + 2 * RIM
        kernel = self.instrument.relative_kernel(
            spec.scale, spec.target_fwhm, kernel_side(spec.scale)
        )
        weight = next(self.net.parameters())
        self.device = weight.device
        # rounded once, not for every number
        self.quantiles = torch.from_numpy(quantiles()).to(weight)
        built = Projection.build([kernel], spec.scale, side, spec.trust)
        self.projection = built.to(self.device)
        fwhm, e1, e2 = moments(kernel)
        self.psf = torch.tensor([[fwhm / spec.scale, e1, e2]], device=self.device)
        self.correlation = float(self.instrument.correlation.value or 0.0)

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32))[None, None].to(
            self.device
        )

    @torch.inference_mode()
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
            return {f"sample_{k}": self.shown(window, window.draw(k), tile) for k in samples}
        return self._statistics(window, tile)

    def _core(self, x: Tensor) -> Tensor:
        """Cut what only local means need."""
        return crop(x, SEEN * self.net.spec.scale)

    def _values(self, x: Tensor, tile: Tile) -> Values:
        """A core in working units as output values."""
        v = np.asarray(x[0, 0].cpu().numpy())
        return self.units.inverse(v, tile.core, self.net.spec.scale)

    def shown(self, window: Window, draw: Tensor, tile: Tile) -> Values:
        """A draw on `Window.inner` as output values of the core; masked pixels are NaN."""
        return self._masked(window, self._values(self._core(draw), tile))

    def _masked(self, window: Window, values: Values) -> Values:
        if window.core_footprint.all():
            return values
        s = self.net.spec.scale
        keep = window.core_footprint.repeat(s, 0).repeat(s, 1)
        return np.where(keep, values, np.float32(np.nan))

    def _statistics(self, window: Window, tile: Tile) -> dict[str, Values]:
        """Stream K + 1 draws into the maps; memory depends on K for `risk_mean` only."""
        st, s = self.settings, self.net.spec.scale
        around = SEEN * s - 1  # but for the one pixel that 3 px means need
        whole = window.project(0)
        shown = window.inner(whole)
        wanted = st.maps or USUAL_RAW
        votes = Votes(9 * window.tolerance(shown), keep="risk_mean" in wanted)
        first = self._core(shown)
        moments, difference = Moments(shown), torch.empty_like(shown)
        kept = {"samples_0": self._values(first, tile)} if st.keep else {}
        for k in range(1, st.samples + 1):
            draw = window.draw(k)
            if k < st.keep:
                kept[f"samples_{k}"] = self._values(self._core(draw), tile)
            # what is written again and again stays in the cache
            torch.sub(draw, shown, out=difference)
            moments.add(difference)
            votes.add(sums(crop(difference, around)))
        mean = steadied(window, moments)
        width = np.asarray(self._core(moments.variance).sqrt()[0, 0].cpu().numpy())
        out = {
            "sample": self._values(first, tile),
            "mean": self._values(self._core(mean), tile),
            "std": self.units.width(width, tile.core, s),
            "risk_raw": ((votes.missed + votes.invented + 0.5) / moments.count)[0, 0].cpu().numpy(),
        }
        if "support" in wanted:
            out["support"] = self._core(window.inner(window.support(whole)))[0, 0].cpu().numpy()
        if "tolerance" in wanted:
            tau = np.asarray((votes.limit / 9)[0, 0].cpu().numpy())
            out["tolerance"] = self.units.width(tau, tile.core, s)
        for name in set(wanted) & set(PROGRESSIVE):
            out[name] = self._progressive(window, name, tile)
        if window.texture is not None:
            out["texture"] = self._values(self._core(window.textured()), tile)
        if "snr" in wanted:
            snr = np.asarray(crop(window.snr, RIM)[0, 0].cpu().numpy())
            out["snr"] = snr.repeat(s, 0).repeat(s, 1)
        if self.calibration is not None:
            counts = votes.counts(sums(crop(mean - shown, around)))
            votes_of = {k: v[0, 0].cpu().numpy().astype(np.intp) for k, v in counts.items()}
            out |= self.calibration.maps(window, votes_of, wanted)
            half = self.calibration.stretch * out["std"]
            out |= {"lower": out["mean"] - half, "upper": out["mean"] + half}
        made = {name: out[name] for name in wanted} | kept
        masked = {name: self._masked(window, values) for name, values in made.items()}
        return masked | ({SCORES: out[SCORES]} if SCORES in out else {})

    def _progressive(self, window: Window, name: str, tile: Tile) -> Values:
        """One map of what a progressive sampler says beside its draws, on the core."""
        steps: Steps = window.features.steps
        s = self.net.spec.scale
        if name in STEPS:
            k = STEPS[name]
            image = self.units.stretch.inverse({2: steps.two, 4: steps.four}[k])
            v = np.asarray(crop(image, RIM * k)[0, 0].cpu().numpy())
            v = v.repeat(s // k, 0).repeat(s // k, 1)
            return self.units.inverse(v, tile.core, s)
        index = KEYPOINTS[self.net.spec.domain].index(name)
        found = crop(steps.keypoints[:, index : index + 1], RIM * s)
        return np.asarray(found.sigmoid()[0, 0].cpu().numpy())


def sums(x: Tensor) -> Tensor:
    """Sums over 3 x 3 pixels; loses 1 pixel on each side.

    Examples
    --------
    >>> sums(torch.ones(3, 4))
    tensor([[9., 9.]])
    """
    rows = x[..., :-2, :] + x[..., 1:-1, :]
    rows += x[..., 2:, :]
    # in one dimension, with sums across the ends of the rows that nobody asks for: twice as quick
    line = rows.flatten()
    both = torch.empty_like(rows)
    inner = both.view(-1)[:-2]
    torch.add(line[:-2], line[1:-1], out=inner)
    inner += line[2:]
    return both[..., :-2]


@dataclass
class Window:
    """One window, read, stretched and encoded: ready to draw."""

    sampler: PlaneSampler
    box: Box  # projection region, input pixels
    noise_box: Box  # region of the draw head's noise
    features: Any
    measured: Tensor
    sigma: Tensor
    snr: Tensor  # of local means of the measurement
    lock: Tensor  # weight of the data where they are bright
    mask: Tensor
    core_footprint: NDArray[np.bool_]
    texture: Tensor | None = None  # what the texture head says, network units

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
        planes = planes.to(memory_format=torch.channels_last)
        seen = net.see(planes)
        features = net.encode(planes, seen)
        head = sampler.texture
        texture = None if head is None else head(planes, seen, features.mean)
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
            (signal - units.background) / sigma,
            lock_weight(signal - units.background, sigma, sampler.projection.trust.lock),
            mask,
            footprint[halo:-halo, halo:-halo],
            texture,
        )

    def draw(self, k: int) -> Tensor:
        """Sample k in working units on the core and `SEEN` input pixels around it."""
        return self.inner(self.project(k))

    def inner(self, whole: Tensor) -> Tensor:
        """Cut a projected window to the core and `SEEN` input pixels around it."""
        return crop(whole, (RIM - SEEN) * self.sampler.net.spec.scale)

    def project(self, k: int) -> Tensor:
        """Sample k on the whole projection region; exact on `inner` only."""
        s = self.sampler
        key = noise_key(s.settings.seed, s.digest, k)
        v = s.units.stretch.inverse_(s.net.draw(self.features, self._noise(key)))
        return self._agreeing(v, self.measured - self._error(key))

    def textured(self) -> Tensor:
        """What the texture head says, made to agree with the measurement, on `inner`.

        Without noise of the instrument: there is one image, not a draw of many.
        """
        if self.texture is None:
            raise ValueError("the window was read without a texture head")
        v = self.sampler.units.stretch.inverse(self.texture)
        return self.inner(self._agreeing(v, self.measured))

    def _agreeing(self, v: Tensor, y: Tensor) -> Tensor:
        """A pre-draw in working units, projected on the data `y`."""
        s, background = self.sampler, self.sampler.units.background
        if not s.settings.noise_free:
            return s.projection.agree(v.contiguous(), y, self.mask, self.lock, background)
        locked = s.projection.lock_flux(v.contiguous(), y, self.mask, self.lock, background)
        for _ in range(EXACT_ROUNDS):
            locked = s.projection.project(locked, y, self.mask, None)
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

        def local(t: Tensor) -> Tensor:
            return s._tensor(gaussian_filter(t[0, 0].cpu().numpy(), NEIGHBOURHOOD, mode="nearest"))

        def fine(t: Tensor) -> Tensor:
            return F.interpolate(t, scale_factor=scale, mode="bilinear")

        detail = whole - fine(local(F.avg_pool2d(whole, scale)))
        seen = s.projection.observe(detail)
        one = torch.ones_like(seen)
        passed = s.projection.project(torch.zeros_like(detail), seen, one, one)
        through, total = (local(F.avg_pool2d(detail * x, scale)) for x in (passed, detail))
        energy, noise = local(seen**2), local(self.sigma**2)
        optics = (through / total.clamp(min=1e-12)).clamp(0, 1)
        return fine(optics * energy / (energy + noise).clamp(min=1e-12))
