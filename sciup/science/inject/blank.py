"""The field without any source: what a run believes of level and noise, and nothing else.

Whatever is found in it is not there. In a real field nobody knows what is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from sciup.api import Result
from sciup.engine.units import LEAST_NOISE, Electrons, WorkingUnits, working_units
from sciup.geometry import Box, iterate
from sciup.image import Bool, Float, Image, Plane
from sciup.io._salvage import about
from sciup.physics.instrument import Instrument

BLOCK = 256
"""Side of the squares that have noise of their own seed, input px."""


@dataclass(eq=False)
class Blank(Image):
    """A lazy image of the believed level and its noise, with the mask of another image.

    Night sky: Gaussian noise of the mesh of the sky. Micrographs: photons and read noise where it
    is darkest. Independent from pixel to pixel, and the same in whatever window it is read.

    Attributes
    ----------
    base : Image
    kind : str
        Domain of the model.
    instrument : Instrument
    seed : int
    """

    base: Image = field(kw_only=True)
    kind: str = field(kw_only=True)
    instrument: Instrument = field(kw_only=True)
    seed: int = field(kw_only=True)

    @property
    def sky_source(self) -> Image:
        """What is believed of the sky stays as it is."""
        return self.base.sky_source

    @cached_property
    def units(self) -> WorkingUnits:
        """In which the noise is drawn."""
        return working_units(self.base, next(self.planes), self.kind, self.instrument)

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Level and noise; the footprint of the other image."""
        footprint = self.base.load(plane, box)[1]
        out = np.empty(box.shape, np.float32)
        for index in iterate(box.coarsened(BLOCK)):
            block = Box(index, tuple(i + 1 for i in index)).scaled(BLOCK)
            part = block.intersect(box)
            drawn = self._drawn(index)[part.relative_to(block).slices]
            out[part.relative_to(box).slices] = self.units.inverse(drawn, part, 1)
        return out, footprint

    def _drawn(self, index: tuple[int, ...]) -> Float:
        """Working units of a block."""
        rng, shape, units = (
            np.random.default_rng([self.seed, 3, *index]),
            (BLOCK, BLOCK),
            self.units,
        )
        noise = rng.standard_normal(shape)
        if isinstance(units, Electrons):
            sigma = float(self.instrument.noise_sigma.value) * units.gain
            photons = rng.poisson(max(sigma**2 - units.read_noise**2, 0.0), shape)
            noise = photons + noise * max(units.read_noise, LEAST_NOISE)
        return noise.astype(np.float32)


def blank(result: Result, seed: int) -> Result:
    """The same run with the same beliefs where nothing is."""
    job = result.job
    image = Blank(
        **about(job.image) | {"dtype": np.dtype(np.float32), "facts": {}},
        base=job.image, kind=job.model.domain, instrument=result.instrument, seed=seed,
    )  # fmt: skip
    return Result(replace(job, image=image))


def pixels(result: Result) -> int:
    """Input pixels with data in the region of a run."""
    job, count = result.job, 0
    for index in iterate(job.region.coarsened(2 * BLOCK)):
        box = Box(index, tuple(i + 1 for i in index)).scaled(2 * BLOCK).intersect(job.region)
        count += int(job.image.read(next(job.image.planes), box)[1].sum())
    return count


def garwood(count: int) -> tuple[float, float]:
    """The exact 95 % interval of a Poisson mean (Garwood 1936, Biometrika 28, 437).

    Examples
    --------
    >>> [round(end, 2) for end in garwood(0)], [round(end, 2) for end in garwood(10)]
    ([0.0, 3.69], [4.8, 18.39])
    """
    from scipy.stats import chi2

    low = float(chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(0.975, 2 * count + 2)) / 2


__all__ = ["Blank", "blank", "garwood", "pixels"]
