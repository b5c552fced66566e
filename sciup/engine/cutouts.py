"""Cut-outs: many small boxes of one image; windows that several share are computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from sciup.engine.calibrated import SCORES
from sciup.engine.job import Job, Task, Worker
from sciup.engine.margins import CORE, halo_of
from sciup.geometry import Box, Tile, plan_tiles
from sciup.image import Bool, Float, Image, Plane
from sciup.io._journal import checksum
from sciup.io._salvage import Part, about
from sciup.io._writer import Layout

BLOCK = 8 * CORE
"""Stamps whose first corners lie in a block of so many input px a side are made together."""

TOGETHER = 128e6
"""Bytes of stamps that are made together at most."""

Maps = dict[str, Float]


@dataclass(eq=False)
class Stamps(Image):
    """What writers ask of the image whose maps are stacks of stamps: axes, shape, grid, unit."""

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Nobody reads it: stamps are read from the image that they are cut out of."""
        raise NotImplementedError

    @classmethod
    def of(cls, image: Image, count: int, size: int) -> Stamps:
        """`count` stamps of `size` input px a side of every plane of an image."""
        axes = {"n": {"name": "stamp", "type": "stamp"}} | dict(image.metadata.get("axes") or {})
        facts = about(image) | {
            "axes": "n" + image.axes,
            "shape": (count, *image.shape[:-2], size, size),
            "grid": replace(image.grid, origin=(0.0, 0.0)),
            "metadata": {**image.metadata, "axes": axes},
            "header": None,  # every stamp has coordinates of its own
            "part_of": None,
        }
        return cls(**facts)


@dataclass(frozen=True)
class CutoutJob(Job):
    """A job whose result is a stack of stamps of one size.

    Attributes
    ----------
    size : int
        Side of a stamp in input pixels.
    corners : tuple of (int, int)
        First input pixel (y, x) of every stamp; may lie outside of the image.
    finish : callable
        Writes what belongs beside the maps into a finished output.
    """

    size: int = field(kw_only=True)
    corners: tuple[tuple[int, int], ...] = field(kw_only=True)
    finish: Callable[[Path], None] = field(kw_only=True)

    @property
    def layout(self) -> Layout:
        """Shape, names and units of the stacks."""
        return replace(
            super().layout,
            image=Stamps.of(self.image, len(self.corners), self.size),
            region=Box.of_shape((self.size, self.size)),
            origin=(self.image.source, self.model.scale, self.region),
        )

    @property
    def covers(self) -> dict[str, Any]:
        """Size and number of the stamps, and a checksum of their corners."""
        digest = checksum(np.array(self.corners, np.float32).reshape(-1, 2))
        said = {"size": self.size, "stamps": len(self.corners), "corners": digest}
        return super().covers | {"cutouts": said}

    def box(self, stamp: int) -> Box:
        """Input pixels of a stamp that lie on the image."""
        start = self.corners[stamp]
        whole = Box(start, tuple(a + self.size for a in start))
        return whole.intersect(Box.of_shape(self.image.plane_shape))

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Stamps that are made together: neighbours, and few enough for the memory."""

        def place(stamp: int) -> tuple[Any, ...]:
            y, x = self.box(stamp).start
            return (y // BLOCK, x // BLOCK), (y // CORE, x // CORE), stamp

        layout = super().layout
        bytes_each = 4 * (self.size * self.model.scale) ** 2 * (len(layout.maps) + layout.samples)
        most = max(1, int(TOGETHER / bytes_each))
        found: list[list[int]] = []
        block = None
        for where, _, stamp in sorted(map(place, range(len(self.corners)))):
            if where != block or len(found[-1]) == most:
                found.append([])
            block = where
            found[-1].append(stamp)
        return tuple(map(tuple, found))

    @cached_property
    def _group_of(self) -> dict[int, tuple[int, ...]]:
        return {stamp: group for group in self.groups for stamp in group}

    def group_of(self, task: Task) -> tuple[int, ...]:
        """The stamps that are made with this one."""
        return self._group_of[task.index[0]]

    def tasks(self) -> Iterator[Task]:
        """All stamps of all planes, group by group."""
        box = Box.of_shape(self.layout.plane_shape)
        for number, plane in enumerate(self.image.planes):
            for group in self.groups:
                for stamp in group:
                    yield Task(number, (stamp, *plane), (stamp,), box)

    def input_box(self, task: Task) -> Box:
        """Input pixels of a stamp that lie on the image."""
        return self.box(task.index[0])

    def tiles(self, group: tuple[int, ...], halo: int = 0) -> list[Tile]:
        """The tiles that the stamps of a group lie on, each once."""
        scale = self.model.scale
        found = {
            tile.index: tile
            for stamp in group
            for tile in plan_tiles(self.box(stamp), CORE, halo, scale)
        }
        side = max(self.tile, CORE)
        return sorted(found.values(), key=lambda t: (*(a // side for a in t.core.start), t.index))

    def windows_of(self, task: Task) -> int:
        """Those of its group count for its first stamp."""
        group = self.group_of(task)
        return len(self.tiles(group)) if task.index[0] == group[0] else 0

    def worker(self) -> Worker:
        """What computes stamps."""
        return CutoutWorker(self)

    def complete(self, path: Path) -> None:
        """Add the table of the stamps."""
        self.finish(path)


class CutoutWorker(Worker):
    """Computes the stamps of a group together and hands them out one by one."""

    job: CutoutJob

    def __init__(self, job: CutoutJob) -> None:
        super().__init__(job)
        self._ready: dict[tuple[int, int], tuple[Maps, dict[tuple[int, ...], list[float]]]] = {}

    def compute(self, task: Task, samples: tuple[int, ...] | None = None, done: Any = None) -> Maps:
        """All maps of one stamp; NaN where it sticks out of the image."""
        key = task.number, task.index[0]
        if key not in self._ready:
            self._ready = {}  # what nobody has asked for was there already
            self._make(task, done)
        maps, self.scores = self._ready.pop(key)
        return maps

    def _make(self, task: Task, done: Any) -> None:
        """The stamps of a group; every window is computed once."""
        job = self.job
        names = (*job.maps, *(f"samples_{k}" for k in range(job.settings.keep)))
        group = {stamp: job.box(stamp) for stamp in job.group_of(task)}
        for stamp in group:
            empty = {name: np.full(task.box.shape, np.nan, np.float32) for name in names}
            self._ready[task.number, stamp] = empty, {}
        sampler = self.sampler(task.number, task.plane[1:])
        tiles = job.tiles(tuple(group), halo_of(self.net))
        with closing(self._flight.over(tiles, partial(sampler.maps, samples=None))) as found:
            for tile, maps in found:
                scores = maps.pop(SCORES, None)
                for stamp, box in group.items():
                    stack, seen = self._ready[task.number, stamp]
                    part = tile.core.intersect(box)
                    if not part.size:
                        continue
                    if scores is not None:
                        seen[tile.core.start] = scores.tolist()
                    _paste(stack, maps, part, tile.core.start, job.corners[stamp], job.model.scale)
                if done is not None:
                    done()

    def unreadable(self, task: Task) -> list[Part]:
        """Parts of the input that a stamp would have needed and that could not be read."""
        if not self.job.input_box(task).size:
            return []
        return super().unreadable(replace(task, plane=task.plane[1:]))


def _paste(
    stack: Maps,
    maps: Maps,
    part: Box,
    core: tuple[int, ...],
    corner: tuple[int, int],
    scale: int,
) -> None:
    """Copy a part of a core into a stamp."""
    source, target = (
        part.shifted(tuple(-a for a in start)).scaled(scale).slices for start in (core, corner)
    )
    for name, values in stack.items():
        values[target] = maps[name][source]


__all__ = ["CutoutJob", "Stamps"]
