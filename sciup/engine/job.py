"""A job: everything that decides an output, and the function that computes one shard of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from sciup.engine.ahead import ReadAhead
from sciup.engine.block import PlaneSampler
from sciup.engine.calibrated import SCORES, Calibrated
from sciup.engine.flight import Flight
from sciup.engine.heap import room, share_heap
from sciup.engine.margins import CORE, halo_of
from sciup.engine.settings import ADDED, MAPS, PROGRESSIVE, STEPS, USUAL_RAW, VALUES, Settings
from sciup.engine.threads import alone, pool, threads_of_torch
from sciup.engine.units import working_units
from sciup.generators.fused import fuse, rounded
from sciup.generators.posterior import PosteriorSampler
from sciup.generators.registry import ModelFacts, TextureFacts, load_generator, load_texture
from sciup.generators.texture import TextureHead
from sciup.geometry import Box, Tile, plan_tiles, shards
from sciup.image import Float, Image, Plane
from sciup.io._salvage import Part, Salvaged
from sciup.io._writer import ILLUSTRATIVE, SHARD, Layout
from sciup.physics.instrument import Instrument
from sciup.physics.mesh import BLOCK as MESH

T = TypeVar("T")

share_heap()  # now, because threads that are there already, such as Zarr's, keep theirs

MOST_MODELS = 8
"""Networks that a process keeps at hand: channels may have models of their own."""


@dataclass(frozen=True, slots=True)
class Task:
    """One shard of one plane; `box` in output pixels of the result."""

    number: int
    plane: Plane
    index: tuple[int, ...]
    box: Box


@dataclass(frozen=True)
class Chosen:
    """A model as a run uses it, with what belongs to it; see `Job`."""

    model: ModelFacts
    calibration: Calibrated | str = "not asked for"
    texture: TextureFacts | None = None


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
    threads : int, optional
        Windows that are computed at a time; affects memory, never values. None for as many as
        torch has threads; one on a GPU.
    calibration : Calibrated or str
        What turns votes into calibrated risk, or why there is none.
    texture : TextureFacts, optional
        The model that adds the map `texture`.
    known : tuple of str
        Names of the planes that the model was trained on, in the order of the planes; empty for
        others.
    chosen : tuple of Chosen
        Of every plane, where channels have models of their own; else empty. `model`, `calibration`
        and `texture` are then those of the first plane; scale, domain, output PSF and maps are
        those of all.
    """

    image: Image
    model: ModelFacts
    region: Box
    settings: Settings
    instruments: tuple[Instrument, ...]
    digests: tuple[str, ...]
    device: str = "cpu"
    tile: int = 512
    threads: int | None = None
    calibration: Calibrated | str = "not asked for"
    texture: TextureFacts | None = None
    known: tuple[str, ...] = ()
    chosen: tuple[Chosen, ...] = ()

    def at(self, number: int) -> Job:
        """The job as it is for one plane: with the model of its channel."""
        return replace(self, chosen=(), **vars(self.chosen[number])) if self.chosen else self

    @property
    def models(self) -> tuple[ModelFacts, ...]:
        """Models of all planes, where channels have models of their own; else the one model."""
        return tuple(c.model for c in self.chosen) or (self.model,)

    @property
    def calibrated(self) -> Calibrated | None:
        """The calibration, if there is one."""
        return self.calibration if isinstance(self.calibration, Calibrated) else None

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the maps that are made."""
        return self.settings.maps or USUAL_RAW

    @property
    def layout(self) -> Layout:
        """Shape, names and units of the result."""
        return Layout(
            image=self.image,
            region=self.region,
            scale=self.model.scale,
            maps=self.maps,
            units={m: self.image.unit if m in VALUES else None for m in MAPS}
            | dict.fromkeys(PROGRESSIVE)
            | dict.fromkeys((*ADDED, *STEPS, "samples"), self.image.unit),
            samples=self.settings.keep,
            labels=dict.fromkeys(ADDED, ILLUSTRATIVE),
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
        return sum(self.windows_of(task) for task in self.tasks())

    def windows_of(self, task: Task) -> int:
        """Number of windows of one shard."""
        return len(plan_tiles(self.input_box(task), CORE, 0, self.model.scale))

    @property
    def covers(self) -> dict[str, Any]:
        """Which pixels of the input the result shows, JSON-ready: part of the fingerprint."""
        return {"region": [list(self.region.start), list(self.region.stop)]}

    def worker(self) -> Worker:
        """What computes shards of this job in this process."""
        return Worker(self)

    def complete(self, path: Path) -> None:
        """Add what belongs beside the maps to a finished output that has not its name yet."""


@lru_cache(maxsize=MOST_MODELS)
def _network(folder: Path, weights: str, device: str, precision: str) -> PosteriorSampler:
    """The network of a model, once per process; other weights are another network."""
    del weights
    net = fuse(load_generator(folder))
    net = rounded(net) if precision == "bf16" else net
    return net.to(device=torch.device(device))


@lru_cache(maxsize=MOST_MODELS)
def _texture(facts: TextureFacts, folder: Path, weights: str, device: str, precision: str) -> Any:
    """The texture head of a job, once per process, beside the network of `_network`."""
    net = _network(folder, weights, device, precision)
    dtype = net.share.weight.dtype
    return load_texture(facts, net).to(device=torch.device(device), dtype=dtype)


class Worker:
    """Computes shards of one job; keeps the network and the plane at hand.

    Attributes
    ----------
    scores : dict
        How strange the windows of the last shard are, by their first pixel.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        if isinstance(job.image, Salvaged):
            job.image.forget()
        self._take(job.at(0))
        self._sampler: PlaneSampler | None = None
        self._number = -1
        self._flight = Flight[Tile, dict[str, Float]](self.submit, self.threads)
        self.scores: dict[tuple[int, ...], list[float]] = {}

    def _take(self, job: Job) -> None:
        """Take the network that a job has at one plane."""
        place = (job.model.folder, job.model.weights, job.device, job.settings.precision)
        self.net = _network(*place)
        wanted = job.texture is not None and set(ADDED) & set(job.maps)
        self.texture: TextureHead | None = _texture(job.texture, *place) if wanted else None
        self._image = ReadAhead.of(job.image, job.tile, halo_of(self.net))

    def sampler(self, number: int, plane: Plane) -> PlaneSampler:
        """The draws of one plane; from now on `net` and `tiles` are those of its model."""
        if self._sampler is None or self._number != number:
            self._number, job = number, self.job.at(number)
            if job is not self.job:
                self._take(job)
            instrument = job.instruments[number]
            units = working_units(self._image, plane, job.model.domain, instrument)
            self._sampler = PlaneSampler(
                net=self.net,
                image=self._image,
                plane=plane,
                instrument=instrument,
                settings=job.settings,
                units=units,
                digest=job.digests[number],
                plane_number=self._image.in_whole(plane)[2],
                calibration=job.calibrated,
                texture=self.texture,
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
            Called without arguments after every window, in the calling thread.
        """
        job, scale = self.job, self.job.model.scale
        region = job.input_box(task)
        sampler = self.sampler(task.number, task.plane)
        out: dict[str, Float] = {}
        self.scores = {}
        function = partial(sampler.maps, samples=samples)
        with closing(self._flight.over(self.tiles(region), function)) as found:
            for tile, maps in found:
                part = tile.core.intersect(region)
                source = part.relative_to(tile.core).scaled(scale).slices
                target = part.relative_to(region).scaled(scale).slices
                if SCORES in maps:
                    self.scores[tile.core.start] = maps.pop(SCORES).tolist()
                for name in list(maps):
                    if name not in out:
                        out[name] = room(task.box.shape)
                    out[name][target] = maps.pop(name)[source]
                if done is not None:
                    done()
        return out

    def tiles(self, region: Box) -> list[Tile]:
        """The tiles of a region, those next to each other that are read together."""
        side = max(self.job.tile, CORE)
        plan = plan_tiles(region, CORE, halo_of(self.net), self.job.model.scale)
        return sorted(plan, key=lambda tile: tuple(a // side for a in tile.core.start))

    def unreadable(self, task: Task) -> list[Part]:
        """Parts of the input that a shard would have needed and that could not be read."""
        image = self.job.image
        if not isinstance(image, Salvaged):
            return []
        # the mesh of the sky looks two of its blocks farther than a window does
        seen = self.job.input_box(task).grown(halo_of(self.net) + CORE + 2 * MESH)
        return image.unreadable_in(task.plane, seen.intersect(Box.of_shape(image.plane_shape)))

    @property
    def threads(self) -> int:
        """Windows that are computed at a time."""
        many = 1 if self.job.device == "cuda" else threads_of_torch()
        return self.job.threads or many

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Call a function in a thread for windows."""
        return pool(self.threads).submit(alone, function, *arguments)


__all__ = ["Chosen", "Job", "Task", "Worker"]
