"""A view of an image that keeps one channel, one time or one z of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from sciup.errors import OptionError
from sciup.geometry import Box
from sciup.image import Bool, Float, Image, Plane
from sciup.io._channels import channel_facts

logger = logging.getLogger(__name__)

OPTIONS = {"c": "channel", "t": "time", "z": "z"}


class SelectedImage(Image):
    """One index on some leading axes of another image; the axes stay, with length 1.

    Parameters
    ----------
    base : Image
        The image to look at.
    picks : mapping of str to int
        Index for every axis that is narrowed.

    Examples
    --------
    >>> import numpy as np
    >>> from sciup.io._array import open_array
    >>> stack = open_array(np.zeros((3, 8, 8), "u1"), axes="zyx")
    >>> SelectedImage(stack, {"z": 2}).shape
    (1, 8, 8)
    """

    def __init__(self, base: Image, picks: Mapping[str, int]) -> None:
        leading = base.axes[:-2]
        lengths = zip(leading, base.shape[:-2], strict=True)
        super().__init__(
            axes=base.axes,
            shape=(*(1 if a in picks else n for a, n in lengths), *base.plane_shape),
            dtype=base.dtype,
            source=base.source,
            format=base.format,
            grid=base.grid,
            unit=base.unit,
            flux_per_pixel=base.flux_per_pixel,
            domain=base.domain,
            facts=channel_facts(base, picks["c"]) if "c" in picks else base.facts,
            header=base.header,
            metadata=_metadata(base.metadata, picks),
            random_access=base.random_access,
            part_of=base.in_whole(tuple(picks.get(axis, 0) for axis in leading))[:2],
        )
        self.base = base
        self.offset = tuple(picks.get(axis, 0) for axis in leading)

    def _in_base(self, plane: Plane) -> Plane:
        return tuple(i + o for i, o in zip(plane, self.offset, strict=True))

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Values and footprint of a box inside the image, shape (h, w)."""
        return self.base.load(self._in_base(plane), box)

    def load_sigma(self, plane: Plane, box: Box) -> Float | None:
        """One-sigma noise of a box inside the image, if the file brings it."""
        return self.base.load_sigma(self._in_base(plane), box)


def _metadata(metadata: Mapping[str, Any], picks: Mapping[str, int]) -> dict[str, Any]:
    """Metadata with the picked channel only, and the axes' origins moved to the picked index."""
    out = dict(metadata)
    if "c" in picks and out.get("channels"):
        out["channels"] = list(out["channels"])[picks["c"] : picks["c"] + 1]
    if out.get("axes"):
        out["axes"] = {name: dict(axis) for name, axis in out["axes"].items()}
        for name, index in picks.items():
            if name in out["axes"]:
                axis = out["axes"][name]
                axis["translation"] = axis.get("translation", 0.0) + index * axis.get("scale", 1.0)
    return out


def select(
    image: Image,
    *,
    channel: int | str | None = None,
    time: int | str | None = None,
    z: int | str | None = None,
) -> Image:
    """Narrow an image to one channel, one time or one z.

    Parameters
    ----------
    image : Image
        Any image.
    channel : int or str, optional
        Index from 0, or the name of a channel.
    time, z : int or str, optional
        Index from 0.

    Returns
    -------
    Image
        A view with the same axes; narrowed axes have length 1.

    Raises
    ------
    OptionError
        If the axis is not there, the index is outside, or the name is unknown or not unique.
    """
    picks: dict[str, int] = {}
    for axis, value in (("c", channel), ("t", time), ("z", z)):
        if value is not None:
            index = _index(image, axis, value)
            if axis in image.axes:
                picks[axis] = index
    return SelectedImage(image, picks) if picks else image


def _index(image: Image, axis: str, value: int | str) -> int:
    length = image.shape[image.axes.index(axis)] if axis in image.axes else 1
    labels = [str(c.get("label", "")) for c in image.metadata.get("channels") or []]
    if axis != "c":
        labels = []
    index = _by_name(value, labels)
    if index is None or not 0 <= index < length:
        names = f" or one of {', '.join(map(repr, labels))}" if any(labels) else ""
        have = f"axis {axis!r} of length {length}" if axis in image.axes else f"no axis {axis!r}"
        raise OptionError(
            f"{OPTIONS[axis]} {value!r} was asked of {image.source}, which has {have} "
            f"(axes {image.axes}, shape {image.shape})",
            f"0 to {length - 1}{names}",
        )
    return index


def _by_name(value: int | str, labels: list[str]) -> int | None:
    """Index of a name or a number; None if there is no such name."""
    if isinstance(value, str):
        for word, names in ((value, labels), (value.lower(), [x.lower() for x in labels])):
            hits = [i for i, name in enumerate(names) if name == word]
            if len(hits) > 1:
                raise OptionError(
                    f"channels {hits} are all called {value!r}", "", "give the number instead"
                )
            if hits:
                return hits[0]
        return int(value) if value.strip().isdecimal() else None
    return int(value)


__all__ = ["SelectedImage", "select"]
