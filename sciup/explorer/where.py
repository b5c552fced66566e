"""Where to look: regions and places, as the command line or Python give them, checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sciup.errors import OptionError
from sciup.geometry import Box

Place = tuple[float, float]

LARGEST = 128
"""Input pixels per side of a region: all of it is searched at once."""

AROUND = 16
"""Input pixels around a place that are explored where no region is given."""


def regions(
    boxes: Sequence[Box] | None,
    places: Sequence[Place],
    shape: tuple[int, int],
) -> list[Box]:
    """The regions asked for, checked.

    Examples
    --------
    >>> regions(None, [(3, 50)], (64, 64))
    [Box(start=(0, 34), stop=(20, 64))]
    """
    whole = Box.of_shape(shape)
    if not boxes:
        if not places:
            raise OptionError("neither --roi nor --at was given", "Y0:Y1,X0:X1, or a place Y,X")
        wide = [Box(_pixel(p), tuple(a + 1 for a in _pixel(p))).grown(AROUND) for p in places]
        boxes = [box.intersect(whole) for box in wide]
    if places and len(places) != len(boxes):
        raise OptionError(
            f"{len(places)} places were given for {len(boxes)} regions", "one for each region"
        )
    for box in boxes:
        if not (box.size and whole.contains(box)):
            raise OptionError(f"the region {box} is empty or sticks out of the image", str(whole))
        if max(box.shape) > LARGEST:
            raise OptionError(
                f"the region of {box.shape[0]} x {box.shape[1]} px is too large to search",
                f"up to {LARGEST} x {LARGEST} input px",
                "ask for several regions: --roi may be repeated",
            )
    for place, box in zip(places, boxes, strict=False):
        if not box.contains(Box(_pixel(place), tuple(a + 1 for a in _pixel(place)))):
            raise OptionError(
                f"the place {place[0]:g},{place[1]:g} is not in the region",
                f"Y,X inside {box.start[0]}:{box.stop[0]},{box.start[1]}:{box.stop[1]}",
            )
    return list(boxes)


def _pixel(place: Place) -> tuple[int, int]:
    return round(place[0]), round(place[1])


def places_of(at: Place | Sequence[Place] | None) -> list[Place]:
    """One or several places as a list."""
    if at is None:
        return []
    try:
        many = np.asarray(at, float).reshape(-1, 2)
    except (ValueError, TypeError):
        many = np.array([[np.nan, np.nan]])
    if not np.isfinite(many).all():
        raise OptionError(f"--at {at!r} cannot be read", "Y,X in input px")
    return [(float(y), float(x)) for y, x in many]


__all__ = ["AROUND", "LARGEST", "Place", "places_of", "regions"]
