"""A job: everything that decides an output, and the function that computes one shard of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sciup.engine.block import CORE, PlaneSampler, halo_of
from sciup.engine.settings import MAPS, Settings
from sciup.engine.units import working_units
from sciup.errors import OptionError
from sciup.generators.fused import fuse
from sciup.generators.posterior import PosteriorSampler
from sciup.generators.registry import ModelFacts, load_generator
from sciup.geometry import Box, iterate, plan_tiles, shards
from sciup.image import Bool, Float, Image, Plane
from sciup.io._writer import SHARD, Layout
from sciup.physics.instrument import Given, Instrument, resolve


@dataclass(frozen=True, slots=True)
class Task:
    """One shard of one plane; `box` in output pixels of the result."""

    number: int
    plane: Plane
    index: tuple[int, ...]
    box: Box


@dataclass(frozen=True)
class Job:
    """What is to be computed, picklable, without pixels and without weights.

    Attributes
    ----------
    image : Image
    model : ModelFacts
    region : Box
        Input pixels that the result covers.
    settings : Settings
    instruments, digests : list
        One per plane, row-major.
    device : {"cpu", "cuda"}
    tile : int
        Input pixels per side that are read at a time; affects memory, never values.
    """

    image: Image
    model: ModelFacts
    region: Box
    settings: Settings
    instruments: tuple[Instrument, ...]
    digests: tuple[str, ...]
    device: str = "cpu"
    tile: int = 512

    @property
    def layout(self) -> Layout:
        """Shape, names and units of the result."""
        return Layout(
            image=self.image,
            region=self.region,
            scale=self.model.scale,
            maps=self.settings.maps,
            units={m: self.image.unit if m in MAPS[:3] else None for m in MAPS}
            | {"samples": self.image.unit},
            samples=self.settings.keep,
        )

    def tasks(self) -> Iterator[Task]:
        """All shards of all planes, in the order in which they are computed."""
        for number, plane in enumerate(self.image.planes):
            for index, box in shards(self.layout.plane_shape, SHARD):
                yield Task(number, plane, index, box)

    def input_box(self, task: Task) -> Box:
        """Input pixels of a task."""
        coarse = task.box.coarsened(self.model.scale)
        return coarse.shifted(self.region.start)

    @property
    def windows(self) -> int:
        """Number of windows that the network will see."""
        return sum(
            plan_tiles(self.input_box(t), CORE, 0, self.model.scale)._index.size
            for t in self.tasks()
        )


def make_job(
    image: Image,
    model: ModelFacts,
    settings: Settings,
    given: Given,
    *,
    region: Box | None = None,
    device: str = "cpu",
    tile: int = 512,
) -> Job:
    """Resolve the instrument of every plane and put the job together."""
    whole = Box.of_shape(image.plane_shape)
    if region is not None and not (region.size and whole.contains(region)):
        raise OptionError(
            f"the region {region} is empty or sticks out of the image", f"boxes inside {whole}"
        )
    found = [resolve(image, plane, _domain(model), given) for plane in image.planes]
    return Job(
        image=image,
        model=model,
        region=region or whole,
        settings=settings,
        instruments=tuple(f[0] for f in found),
        digests=tuple(f[1] for f in found),
        device=device,
        tile=tile,
    )


def _domain(model: ModelFacts) -> Any:
    return model.domain


@lru_cache(maxsize=2)
def _network(folder: Path, weights: str, device: str, precision: str) -> PosteriorSampler:
    """The network of a model, once per process; other weights are another network."""
    del weights
    net = fuse(load_generator(folder))
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return net.to(device=torch.device(device), dtype=dtype)


@dataclass(eq=False)
class ReadAhead(Image):
    """An image that reads larger blocks and serves windows from the last one."""

    base: Image = field(kw_only=True)
    tile: int = field(kw_only=True)
    halo: int = field(kw_only=True)
    _key: Any = None
    _values: Any = None

    @classmethod
    def of(cls, base: Image, tile: int, halo: int) -> ReadAhead:
        """Wrap an image."""
        return cls(
            axes=base.axes,
            shape=base.shape,
            dtype=base.dtype,
            source=base.source,
            format=base.format,
            grid=base.grid,
            unit=base.unit,
            flux_per_pixel=base.flux_per_pixel,
            domain=base.domain,
            facts=base.facts,
            base=base,
            tile=tile,
            halo=halo,
        )

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Window from the buffer; the buffer is read anew when the window is not in it."""
        if self._key is None or self._key[0] != plane or not self._key[1].contains(box):
            side = max(self.tile, CORE)
            start = tuple((a + self.halo) // side * side for a in box.start)
            whole = Box.of_shape(self.plane_shape)
            wide = Box(start, tuple(a + side for a in start)).grown(self.halo).intersect(whole)
            wide = wide if wide.contains(box) else box
            self._key, self._values = (plane, wide), self.base.load(plane, wide)
        inner = box.relative_to(self._key[1]).slices
        values, footprint = self._values
        return values[inner], footprint[inner]

    def load_sigma(self, plane: Plane, box: Box) -> Float | None:
        """Not buffered."""
        return self.base.load_sigma(plane, box)


class Worker:
    """Computes shards of one job; keeps the network and the plane at hand."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.net = _network(job.model.folder, job.model.weights, job.device, job.settings.precision)
        self._image = ReadAhead.of(job.image, job.tile, halo_of(self.net))
        self._sampler: PlaneSampler | None = None

    def sampler(self, number: int, plane: Plane) -> PlaneSampler:
        """The draws of one plane."""
        if self._sampler is None or self._sampler.plane_number != number:
            instrument = self.job.instruments[number]
            units = working_units(self._image, plane, self.job.model.domain, instrument)
            self._sampler = PlaneSampler(
                net=self.net,
                image=self._image,
                plane=plane,
                instrument=instrument,
                settings=self.job.settings,
                units=units,
                digest=self.job.digests[number],
                plane_number=number,
            )
        return self._sampler

    def compute(
        self, task: Task, samples: tuple[int, ...] | None = None, done: Any = None
    ) -> dict[str, Float]:
        """All maps of one shard, or only some samples as ``sample_K``.

        Parameters
        ----------
        task : Task
        samples : tuple of int, optional
            Only these samples.
        done : callable, optional
            Called without arguments after every window.
        """
        job, scale = self.job, self.job.model.scale
        region = job.input_box(task)
        sampler = self.sampler(task.number, task.plane)
        out: dict[str, Float] = {}
        for tile in plan_tiles(region, CORE, halo_of(self.net), scale):
            maps = sampler.maps(tile, samples)
            part = tile.core.intersect(region)
            source = part.relative_to(tile.core).scaled(scale).slices
            target = part.relative_to(region).scaled(scale).slices
            for name, values in maps.items():
                if name not in out:
                    out[name] = np.full(task.box.shape, np.nan, np.float32)
                out[name][target] = values[source]
            if done is not None:
                done()
        return out


__all__ = ["Job", "Task", "Worker", "iterate", "make_job"]
