"""The block function: one window in, the maps of its core out, for serial runs and Dask alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciup.engine.calibrated import SCORES, Calibrated
from sciup.engine.margins import CORE, RIM, SEEN
from sciup.engine.mean import Moments, steadied
from sciup.engine.optics import PlaneOptics
from sciup.engine.settings import KEYPOINTS, PROGRESSIVE, RISKS, STEPS, USUAL_RAW, Settings
from sciup.engine.units import WorkingUnits
from sciup.engine.votes import Votes
from sciup.engine.window import Window
from sciup.generators.noise import quantiles
from sciup.generators.posterior import PosteriorSampler, crop
from sciup.generators.spec import Steps
from sciup.generators.texture import TextureHead
from sciup.geometry import Tile
from sciup.image import Image, Plane
from sciup.physics.instrument import Instrument
from sciup.physics.projection import Projection

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
    side : int
        Input pixels per side of the core of its windows.
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
    side: int = CORE

    def __post_init__(self) -> None:
        weight = self.net.noise.weight
        self.device = weight.device
        # rounded once, not for every number
        self.quantiles = torch.from_numpy(quantiles()).to(weight)
        side = self.side + 2 * RIM
        self.optics = PlaneOptics(self.instrument, self.net.spec, side, self.device)
        self.correlation = float(self.instrument.correlation.value or 0.0)

    @property
    def projection(self) -> Projection:
        """On the data, with the believed PSF, that of one place where it varies."""
        return self.optics.at().projection

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
        """The maps that are wanted; memory depends on K for `risk_mean` only."""
        st, s = self.settings, self.net.spec.scale
        whole = window.project(0)
        shown = window.inner(whole)
        wanted = st.maps or USUAL_RAW
        tolerance = window.tolerance(shown)
        risky = set(wanted) & set(RISKS)
        votes = Votes(9 * tolerance, keep="risk_mean" in risky) if risky else None
        moments, kept = self._stream(window, shown, votes, tile)
        mean = steadied(window, moments)
        width = np.asarray(self._core(moments.variance).sqrt()[0, 0].cpu().numpy())
        out = {
            "sample": self._values(self._core(shown), tile),
            "mean": self._values(self._core(mean), tile),
            "std": self.units.width(width, tile.core, s),
        }
        if "support" in wanted:
            out["support"] = self._core(window.inner(window.support(whole)))[0, 0].cpu().numpy()
        if "tolerance" in wanted:
            tau = np.asarray(tolerance[0, 0].cpu().numpy())
            out["tolerance"] = self.units.width(tau, tile.core, s)
        for name in set(wanted) & set(PROGRESSIVE):
            out[name] = self._progressive(window, name, tile)
        if self.texture is not None:
            out["texture"] = self._values(self._core(window.textured()), tile)
        if "snr" in wanted:
            snr = np.asarray(crop(window.snr, RIM)[0, 0].cpu().numpy())
            out["snr"] = snr.repeat(s, 0).repeat(s, 1)
        out |= self._risks(window, wanted, votes, mean - shown)
        if self.calibration is not None:
            half = self.calibration.stretch * out["std"]
            out |= {"lower": out["mean"] - half, "upper": out["mean"] + half}
        made = {name: out[name] for name in wanted} | kept
        masked = {name: self._masked(window, values) for name, values in made.items()}
        return masked | ({SCORES: out[SCORES]} if SCORES in out else {})

    def _stream(
        self, window: Window, shown: Tensor, votes: Votes | None, tile: Tile
    ) -> tuple[Moments, dict[str, Values]]:
        """Make the K other draws, one by one; the first ones are kept where that is asked for."""
        st, around = self.settings, self._around
        moments, difference = Moments(shown), torch.empty_like(shown)
        kept = {"samples_0": self._values(self._core(shown), tile)} if st.keep else {}
        for k in range(1, st.samples + 1):
            draw = window.draw(k)
            if k < st.keep:
                kept[f"samples_{k}"] = self._values(self._core(draw), tile)
            # what is written again and again stays in the cache
            torch.sub(draw, shown, out=difference)
            moments.add(difference)
            if votes is not None:
                votes.add(sums(crop(difference, around)))
        return moments, kept

    @property
    def _around(self) -> int:
        """What only local means need, but for the one pixel that 3 px means need, output px."""
        return SEEN * self.net.spec.scale - 1

    def _risks(
        self, window: Window, wanted: Sequence[str], votes: Votes | None, shift: Tensor
    ) -> dict[str, Values]:
        """Risk without and with calibration; `shift` is the mean less the delivered sample."""
        out = {} if votes is None else {"risk_raw": votes.share()}
        if self.calibration is None:
            return out
        said = on_mean = None
        if votes is not None:
            said = votes.on_image()
            if "risk_mean" in wanted:
                on_mean = votes.on_another(sums(crop(shift, self._around)))
        return out | self.calibration.maps(window, wanted, said, on_mean)

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


__all__ = ["PlaneSampler", "Window", "sums"]
