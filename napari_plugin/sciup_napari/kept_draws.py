"""Draws that are kept for the next question about the same place; in the child process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sciup.engine.margins import CORE
from sciup.geometry import Box
from sciup.image import Plane
from sciup.results.draws import Array, Draws

ROOM = 2**29
"""Bytes of draws that are kept."""


def _nothing() -> None:
    """Before a part: go on."""


@dataclass
class KeptDraws(Draws):
    """Draws in parts, one for each core of the network's grid.

    The network draws whole cores anyway, and draws do not depend on how they are cut.

    Attributes
    ----------
    before : callable
        Called before each part that is drawn; what it raises ends the work.
    """

    before: Callable[[], None] = field(repr=False, default=_nothing)
    _parts: OrderedDict[tuple[Plane, Box], Any] = field(repr=False, default_factory=OrderedDict)

    def _drawn(self, plane: Plane, box: Box, count: int) -> Array:
        out = np.empty((count, *box.shape))
        for part in self._cores(box):
            both = box.intersect(part)
            drawn = self._part_of(plane, part, count)[:count]
            out[:, *both.relative_to(box).slices] = drawn[:, *both.relative_to(part).slices]
        return out

    def _part_of(self, plane: Plane, part: Box, count: int) -> Any:
        """At least this many draws of a part."""
        key = plane, part
        if key not in self._parts or len(self._parts[key]) < count:
            self.before()
            drawn = super()._drawn(plane, part, count).astype(np.float32)  # as they were drawn
            self._parts[key] = drawn
        self._parts.move_to_end(key)
        while len(self._parts) > 1 and sum(p.nbytes for p in self._parts.values()) > ROOM:
            self._parts.popitem(last=False)
        return self._parts[key]

    def _cores(self, box: Box) -> Iterator[Box]:
        """Output pixels of the cores that touch a box."""
        coarse = box.coarsened(self.scale).shifted(self.region.start)
        rows, columns = (
            range(a // CORE * CORE, b, CORE) for a, b in zip(coarse.start, coarse.stop, strict=True)
        )
        for y in rows:
            for x in columns:
                core = Box((y, x), (y + CORE, x + CORE)).intersect(self.region)
                yield core.relative_to(self.region).scaled(self.scale)


__all__ = ["KeptDraws"]
