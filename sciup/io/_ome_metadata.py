"""The OME-Zarr 0.5 metadata of our results: axes, placement, rendering, list of images."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sciup.errors import OptionError
from sciup.image import Image, PixelGrid
from sciup.io._check import AXES
from sciup.io._writer import Layout

VERSION = "0.5"
TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
FROM_0_TO_1 = ("risk", "support", "prob", "p_", "exceed")
"""Beginnings of the names of maps whose values are fractions."""


def axes_of(image: Image) -> list[dict[str, Any]]:
    """The OME axes of every map of a result: those of the source.

    Raises
    ------
    OptionError
        If OME-Zarr has no place for the axes: it allows five in the order ``tczyx``, one of which
        may be of a type of its own, before the spatial axes.
    """
    known = image.metadata.get("axes") or {}
    out: list[dict[str, Any]] = []
    for letter in image.axes[:-2]:
        told = known.get(letter, {})
        axis = {"name": str(told.get("name") or letter)}
        axis["type"] = TYPES.get(letter) or str(told.get("type") or axis["name"])
        if told.get("unit"):
            axis["unit"] = str(told["unit"])
        out.append(axis)
    plane: list[dict[str, Any]] = [{"name": name, "type": "space"} for name in "yx"]
    if image.grid.unit and image.grid.size:
        plane = [{**axis, "unit": image.grid.unit} for axis in plane]
    out += plane
    if not _legal([axis["type"] for axis in out], [axis["name"] for axis in out]):
        raise OptionError(
            f"OME-Zarr cannot hold the axes {image.axes!r} of {image.source}",
            f"a part of {AXES} in this order, with at most one other axis before z, y, x",
            "choose one plane of the other axes, or --output-format fits",
        )
    return out


def _legal(types: Sequence[str], names: Sequence[str]) -> bool:
    """The rules of OME-Zarr 0.5: time first, then channel or one custom axis, then space."""
    custom = [t for t in types if t not in ("time", "channel", "space")]
    rank = {"time": 0, "space": 2}
    order = [rank.get(t, 1) for t in types]
    return (
        len(types) <= 5
        and order == sorted(order)
        and len(custom) <= 1
        and types.count("time") <= 1
        and types.count("channel") <= 1
        and types.count("space") in (2, 3)
        and len(set(names)) == len(names)
    )


def samples_axes(axes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
    """Axes of ``samples`` with the leading axis ``sample``; None where OME-Zarr forbids it.

    A time axis must be the first and no image may have six axes: then every sample is stored as
    an image of its own.
    """
    out = [{"name": "sample", "type": "sample"}, *(dict(axis) for axis in axes)]
    fine = _legal([str(a["type"]) for a in out], [str(a["name"]) for a in out])
    return out if fine else None


def output_grid(layout: Layout) -> PixelGrid:
    """Pixel grid of the result; in input pixels where the input does not tell its pixel size."""
    grid, scale, region = layout.image.grid, layout.scale, layout.region
    if grid.size is None:
        grid = replace(grid, size=(1.0, 1.0), unit=None)
        if layout.origin is not None:
            _, scale, region = layout.origin
    return grid.scaled(scale, (region.start[-2], region.start[-1]))


def multiscales(
    name: str, axes: Sequence[Mapping[str, Any]], layout: Layout, levels: int
) -> list[dict[str, Any]]:
    """The ``multiscales`` entry of a map with `levels` levels, level 0 first.

    The first centre of level l lies at t' + p' (2^l - 1) / 2, p' and t' being the pixel size and
    first centre of level 0: a coarse pixel is the mean of 2^l x 2^l fine ones.
    """
    known = layout.image.metadata.get("axes") or {}
    leading = [known.get(letter, {}) for letter in layout.image.axes[:-2]]
    extra = len(axes) - len(leading) - 2
    scale = [1.0] * extra + [float(a.get("scale", 1.0)) for a in leading]
    translation = [0.0] * extra + [float(a.get("translation", 0.0)) for a in leading]
    grid = output_grid(layout)
    sizes = grid.size or (1.0, 1.0)
    datasets = []
    for level in range(levels):
        step = 2**level
        centres = [t + p * (step - 1) / 2 for t, p in zip(grid.origin, sizes, strict=True)]
        steps = [
            {"type": "scale", "scale": [*scale, *(p * step for p in sizes)]},
            {"type": "translation", "translation": [*translation, *centres]},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    return [
        {
            "name": name,
            "axes": [dict(axis) for axis in axes],
            "datasets": datasets,
            "type": "mean",
            "metadata": {
                "method": "sciup: mean of the 2 x 2 pixels of the level before, NaN left out",
                "note": "coarse levels are for display: the mean of std is not the std of a mean",
            },
        }
    ]


def omero(
    name: str, image: Image, windows: Sequence[tuple[float, float, float, float]]
) -> dict[str, Any]:
    """Rendering of a map; `windows` holds (min, max, start, end) of every channel."""
    known = list(image.metadata.get("channels") or [])
    channels = []
    for i, (low, high, start, end) in enumerate(windows):
        told = known[i] if i < len(known) else {}
        label = str(told.get("label") or "")
        several = len(windows) > 1
        channels.append(
            {
                "label": f"{label or i} {name}" if several or label else name,
                "color": _color(told.get("color"), i, len(windows)),
                "active": True,
                "window": {"min": low, "max": high, "start": start, "end": end},
            }
        )
    return {"channels": channels, "rdefs": {"model": "color" if len(windows) > 1 else "greyscale"}}


def _color(told: Any, index: int, count: int) -> str:
    """Six hexadecimal digits: the source's colour, else white or one of the colour circle."""
    text = str(told or "").lstrip("#")[:6]
    if len(text) == 6 and all(c in "0123456789abcdefABCDEF" for c in text):
        return text.upper()
    if count == 1:
        return "FFFFFF"
    return "".join(f"{round(255 * v):02X}" for v in colorsys.hsv_to_rgb(index / count, 1.0, 1.0))


def is_fraction(name: str) -> bool:
    """Whether a map holds fractions, so that its rendering window is fixed to 0..1."""
    return name.lower().startswith(FROM_0_TO_1)


__all__ = [
    "VERSION",
    "axes_of",
    "is_fraction",
    "multiscales",
    "omero",
    "output_grid",
    "samples_axes",
]
