"""Boxes, tiles and plans: integers only.

A *tile* is the unit of work of the network: its `core` is the set of input pixels that it owns,
its `window` is the core grown by the halo. All windows have the same size and lie on one absolute
grid, whatever region, batch or output layout is asked for: this is what makes a tiled result equal
to a whole one bit for bit. A *shard* is the unit of storage: one task writes one shard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A half-open box of pixels, ``start <= index < stop`` on each axis.

    Examples
    --------
    >>> box = Box((2, 0), (4, 3))
    >>> box.shape, box.scaled(2), box.grown(1)
    ((2, 3), Box(start=(4, 0), stop=(8, 6)), Box(start=(1, -1), stop=(5, 4)))
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.start) != len(self.stop):
            raise ValueError(f"start {self.start} and stop {self.stop} differ in length")

    @classmethod
    def of_shape(cls, shape: tuple[int, ...]) -> Box:
        """The box that covers an array of this shape."""
        return cls((0,) * len(shape), tuple(shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent on each axis, never negative."""
        return tuple(max(0, b - a) for a, b in zip(self.start, self.stop, strict=True))

    @property
    def size(self) -> int:
        """Number of pixels."""
        n = 1
        for extent in self.shape:
            n *= extent
        return n

    @property
    def slices(self) -> tuple[slice, ...]:
        """Index for an array; start must not be negative."""
        if any(a < 0 for a in self.start):
            raise ValueError(f"{self} starts outside the array")
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def scaled(self, factor: int) -> Box:
        """The same box on a grid that is `factor` times finer."""
        return Box(tuple(a * factor for a in self.start), tuple(b * factor for b in self.stop))

    def coarsened(self, factor: int) -> Box:
        """The smallest box on a grid `factor` times coarser that covers this one."""
        return Box(
            tuple(a // factor for a in self.start), tuple(-(-b // factor) for b in self.stop)
        )

    def grown(self, margin: int) -> Box:
        """The box grown by `margin` pixels on every side."""
        return Box(tuple(a - margin for a in self.start), tuple(b + margin for b in self.stop))

    def relative_to(self, other: Box) -> Box:
        """The same pixels, counted from the start of `other`."""
        return self.shifted(tuple(-o for o in other.start))

    def shifted(self, offset: tuple[int, ...]) -> Box:
        """The box moved by `offset` pixels."""
        return Box(
            tuple(a + o for a, o in zip(self.start, offset, strict=True)),
            tuple(b + o for b, o in zip(self.stop, offset, strict=True)),
        )

    def intersect(self, other: Box) -> Box:
        """The common pixels; a box of size 0 if there are none."""
        start = tuple(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(min(a, b) for a, b in zip(self.stop, other.stop, strict=True))
        return Box(start, tuple(max(a, b) for a, b in zip(start, stop, strict=True)))

    def contains(self, other: Box) -> bool:
        """Whether every pixel of `other` is in this box."""
        return self.intersect(other) == other


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of work of the network: `index` on the absolute grid, `core`, `window`."""

    index: tuple[int, ...]
    core: Box
    window: Box


@dataclass(frozen=True, slots=True)
class TilePlan:
    """The tiles whose cores cover `region`, in row-major order.

    Attributes
    ----------
    region : Box
        Input pixels asked for.
    core : int
        Side of every core in input pixels.
    halo : int
        Input pixels around the core that the network sees.
    scale : int
        Output pixels per input pixel along each axis.
    """

    region: Box
    core: int
    halo: int
    scale: int

    def __post_init__(self) -> None:
        if self.core < 1 or self.halo < 0 or self.scale < 1:
            raise ValueError(f"impossible plan: {self}")

    @property
    def _index(self) -> Box:
        return self.region.coarsened(self.core)

    def __len__(self) -> int:
        return self._index.size if self.region.size else 0

    def __iter__(self) -> Iterator[Tile]:
        if not self.region.size:
            return
        for index in iterate(self._index):
            core = Box(index, tuple(i + 1 for i in index)).scaled(self.core)
            yield Tile(index, core, core.grown(self.halo))

    @property
    def window_side(self) -> int:
        """Side of every window in input pixels."""
        return self.core + 2 * self.halo


def iterate(box: Box) -> Iterator[tuple[int, ...]]:
    """All indices of a box in row-major order."""
    if not box.start:
        yield ()
        return
    rest = Box(box.start[1:], box.stop[1:])
    for i in range(box.start[0], box.stop[0]):
        for tail in iterate(rest):
            yield (i, *tail)


def plan_tiles(region: Box, core: int, halo: int, scale: int) -> TilePlan:
    """Plan the tiles of a region of an image.

    Parameters
    ----------
    region : Box
        Input pixels wanted, two axes.
    core, halo : int
        Input pixels.
    scale : int
        Output pixels per input pixel.

    Examples
    --------
    >>> plan = plan_tiles(Box((0, 0), (100, 200)), core=128, halo=32, scale=4)
    >>> [tile.core.start for tile in plan], plan.window_side
    ([(0, 0), (0, 128)], 192)
    """
    return TilePlan(region, core, halo, scale)


def shards(shape: tuple[int, ...], side: int) -> Iterator[tuple[tuple[int, ...], Box]]:
    """Index and box of every storage shard of an array, in row-major order.

    Examples
    --------
    >>> list(shards((3, 4), 2))[-1]
    ((1, 1), Box(start=(2, 2), stop=(3, 4)))
    """
    whole = Box.of_shape(shape)
    for index in iterate(whole.coarsened(side)):
        yield index, Box(index, tuple(i + 1 for i in index)).scaled(side).intersect(whole)
