"""Windows out of larger blocks that are read at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from sciup.engine.margins import CORE
from sciup.geometry import Box
from sciup.image import Bool, Float, Image, Plane
from sciup.io._salvage import about


@dataclass(eq=False)
class ReadAhead(Image):
    """An image that reads larger blocks and serves windows from the last one, to one at a time."""

    base: Image = field(kw_only=True)
    tile: int = field(kw_only=True)
    halo: int = field(kw_only=True)
    _key: Any = None
    _values: Any = None
    _lock: Any = field(default_factory=Lock)

    @classmethod
    def of(cls, base: Image, tile: int, halo: int) -> ReadAhead:
        """Wrap an image."""
        return cls(**about(base), base=base, tile=tile, halo=halo)

    @property
    def sky_source(self) -> Image:
        """Of the base, where that is another image; else read from the blocks kept here."""
        other = self.base.sky_source
        return self if other is self.base else other

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Window from the buffer; the buffer is read anew when the window is not in it."""
        with self._lock:
            return self._load(plane, box)

    def _load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
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
        with self._lock:
            return self.base.load_sigma(plane, box)


__all__ = ["ReadAhead"]
