"""Which objects share a window: each part of a plane is drawn once, and only where it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sciup.geometry import Box
from sciup.science.measure.shapes import Region

SIDE = 512
"""Output pixels per side within which objects share their draws."""

VALUES = 2**26
"""Values of all draws of one window: half a gigabyte."""


@dataclass(frozen=True)
class Place:
    """One region and where its pixels are.

    Attributes
    ----------
    index : int
        In the list of regions.
    region : Region
    box : Box
        Output pixels that the measurement sees: the region and what it needs around.
    """

    index: int
    region: Region
    box: Box


@dataclass(frozen=True)
class Group:
    """Places that share a window."""

    box: Box
    places: list[Place]


def largest(count: int) -> int:
    """Output pixels of a window of which this many draws fit into memory.

    Examples
    --------
    >>> largest(64)
    1048576
    """
    return VALUES // count


def grouped(places: list[Place], most: int) -> Iterator[Group]:
    """Places by the part of the plane that they are in, and no window of more than `most` pixels.

    Parameters
    ----------
    places : list of Place
        Each with a box of at most `most` pixels.
    most : int

    Examples
    --------
    >>> list(grouped([], 100))
    []
    """
    parts: dict[tuple[int, ...], list[Place]] = {}
    for place in places:
        middle = tuple(
            (a + b) // 2 // SIDE for a, b in zip(place.box.start, place.box.stop, strict=True)
        )
        parts.setdefault(middle, []).append(place)
    for _, near in sorted(parts.items()):
        window, inside = near[0].box, [near[0]]
        for place in near[1:]:
            both = _around(window, place.box)
            if both.size > max(most, window.size):
                yield Group(window, inside)
                window, inside = place.box, [place]
            else:
                window, inside = both, [*inside, place]
        yield Group(window, inside)


def _around(one: Box, two: Box) -> Box:
    return Box(
        tuple(map(min, one.start, two.start)),
        tuple(map(max, one.stop, two.stop)),
    )


__all__ = ["SIDE", "Group", "Place", "grouped", "largest"]
