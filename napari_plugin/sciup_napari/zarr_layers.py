"""OME-Zarr as napari layers: lazy levels, one layer per channel, labels."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.io._ome_zarr import OmeZarrImage, open_ome_zarr
from sciup_napari.fits_layers import LayerData, source_of
from sciup_napari.fits_place import place_keywords
from sciup_napari.lazy import data_of, few, pyramid, robust_limits

logger = logging.getLogger("sciup")

MOST_IMAGES = 12
"""Images of a container that are opened; more would bury the viewer."""
SHOWN_CHANNELS = 6
READABLE = 4 << 20
"""A level of no more values than this is read whole for its contrast limits."""


def attributes_of(path: Path) -> dict[str, Any]:
    """The attributes of a group, those under ``ome`` at the top; empty if it is none."""
    import zarr
    from zarr.storage import LocalStore

    try:
        found = dict(zarr.open_group(LocalStore(path, read_only=True), mode="r").attrs)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    inner = found.get("ome")
    return {**found, **inner} if isinstance(inner, Mapping) else found


def is_result(path: Path) -> bool:
    """Whether sciup wrote the container."""
    ours = attributes_of(path).get("sciup")
    return isinstance(ours, Mapping) and "maps" in ours and "provenance" in ours


def read_zarr(path: str | Path) -> list[LayerData]:
    """The images of an OME-Zarr folder as layers.

    Parameters
    ----------
    path : path
        An image, a container of images, a well (its first field), or a plain array.

    Raises
    ------
    InputError
        If there is no image in it or it is damaged.
    """
    path = Path(path)
    paths, note = images_in(path)
    layers: list[LayerData] = []
    for i, one in enumerate(paths[:MOST_IMAGES]):
        for data, keywords, kind in layers_of(one, path, several=len(paths) > 1):
            keywords["visible"] = keywords.get("visible", True) and i == 0
            if note:
                keywords["metadata"]["sciup"]["notes"].append(note)
            layers.append((data, keywords, kind))
    return layers


def images_in(path: Path) -> tuple[list[Path], str]:
    """The images of a folder, and what was left out in words."""
    about = attributes_of(path)
    if "multiscales" in about:
        return [path], ""
    if isinstance(about.get("well"), Mapping):
        fields = [path / str(field["path"]) for field in about["well"].get("images") or []]
        if not fields:
            raise InputError(f"{path} is a well without fields", "an image or a well with images")
        more = f"first of {len(fields)} fields; open others by their folder"
        return fields[:1], more if len(fields) > 1 else ""
    if "bioformats2raw.layout" in about:
        series = attributes_of(path / "OME").get("series") or sorted(
            (p.name for p in path.iterdir() if p.is_dir() and p.name.isdecimal()), key=int
        )
        found = [path / str(name) for name in series]
        rest = len(found) - MOST_IMAGES
        note = f"{rest} more images in {path.name}; open them by their folder" if rest > 0 else ""
        return found or [path], note
    return [path], ""


def layers_of(path: Path, opened: Path, *, several: bool = False) -> list[LayerData]:
    """One multiscale image as layers: channels, then labels."""
    image = open_ome_zarr(path)
    about = attributes_of(path)
    levels = levels_of(image, about)
    name = opened.name.removesuffix(".zarr").removesuffix(".ome")
    if path != opened:
        name = f"{name} {path.relative_to(opened)}" if several else name
    layers = [
        channel_layer(image, levels, c, name, rendering(about, c))
        for c in range(image.shape[image.axes.index("c")] if "c" in image.axes else 1)
    ]
    for label in attributes_of(path / "labels").get("labels") or []:
        try:
            layers.append(label_layer(path / "labels" / str(label), str(label)))
        except InputError as error:
            logger.warning("labels %s are left out: %s", label, error)
    return layers


def levels_of(image: OmeZarrImage, about: Mapping[str, Any]) -> list[Any]:
    """All levels as lazy arrays of the stored type; for large images without, every n-th pixel."""
    folder, own = Path(image.source), Path(str(image.path))
    listed = (about.get("multiscales") or [{}])[0].get("datasets") or []
    paths = [folder / str(d["path"]) for d in listed] if listed else [own]
    if own not in paths:
        paths = [own]
    levels = [array_at(paths[0])]
    for path in paths[1:]:
        try:
            level = array_at(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("level %s is left out: %s", path, error)
            continue
        if level.ndim == levels[0].ndim and math.prod(level.shape) < math.prod(levels[-1].shape):
            levels.append(level)
    return levels if len(levels) > 1 else [levels[0], *coarse_of(paths[0], levels[0])]


def coarse_of(path: Path, whole: Any) -> list[Any]:
    """Every n-th pixel of a large array without coarser levels; nothing for a small one."""
    array = open_array(path)

    def read(plane: tuple[int, ...], box: Box) -> NDArray[Any]:
        return np.asarray(array[(*plane, *box.slices)])

    return pyramid(read, whole.shape, whole.name, dtype=array.dtype, band=array.chunks[-2])[1:]


def open_array(path: Path) -> Any:
    """A Zarr array on disk, to be read only."""
    import zarr
    from zarr.storage import LocalStore

    return zarr.open_array(LocalStore(path, read_only=True), mode="r")


def array_at(path: Path) -> Any:
    """A dask array over a Zarr array on disk, in its stored chunks."""
    import dask.array as da
    from dask.base import tokenize

    array = open_array(path)
    files = [path / name for name in ("zarr.json", ".zarray") if (path / name).exists()]
    stamp = tokenize(str(path.resolve()), [f.stat().st_mtime_ns for f in files])
    meta = np.empty((0,) * array.ndim, array.dtype)
    return da.from_array(array, chunks=array.chunks, name=f"sciup-{stamp}", asarray=True, meta=meta)


def rendering(about: Mapping[str, Any], channel: int) -> dict[str, Any]:
    """What the file says of showing a channel; empty if nothing."""
    omero = about.get("omero")
    listed = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(listed, Sequence) or channel >= len(listed):
        return {}
    return dict(listed[channel]) if isinstance(listed[channel], Mapping) else {}


def channel_layer(
    image: OmeZarrImage, levels: list[Any], channel: int, name: str, told: Mapping[str, Any]
) -> LayerData:
    """One channel of an image as a layer."""
    axes, count = image.axes, 1
    if "c" in axes:
        at = axes.index("c")
        count = image.shape[at]
        levels = [level[(slice(None),) * at + (channel,)] for level in levels]
        axes = axes.replace("c", "")
    label = str(told.get("label") or "")
    several = count > 1
    keywords: dict[str, Any] = {
        "name": f"{label or f'channel {channel}'} · {name}" if several else name,
        "colormap": color_of(told, channel, count),
        "contrast_limits": window_of(told, image.dtype) or limits_of(levels),
        "blending": "additive" if several else "translucent",
        "visible": bool(told.get("active", True)) and channel < SHOWN_CHANNELS,
        "metadata": {
            "sciup": {
                "role": "input",
                "source": source_of(image, {"channel": channel} if several else {}),
                "unit": image.unit,
                "notes": [],
            }
        },
        **place_keywords(image.grid, axes, image.metadata.get("axes")),
    }
    made = data_of(levels)
    return made.pop("data"), keywords | made, "image"


def color_of(told: Mapping[str, Any], channel: int, count: int) -> str:
    """Colour of a channel: the file's, else grey for one and hues that can be told apart."""
    text = str(told.get("color") or "").lstrip("#")[:6]
    if len(text) == 6 and all(c in "0123456789abcdefABCDEF" for c in text):
        return "gray" if text.upper() == "FFFFFF" else f"#{text.upper()}"
    hues = ("#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#F0E442", "#D55E00")
    return "gray" if count == 1 else hues[channel % len(hues)]


def window_of(told: Mapping[str, Any], dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """The contrast window of the file; None if it has none or only spans what the type can hold."""
    window = told.get("window")
    if not isinstance(window, Mapping):
        return None
    try:
        low, high = float(window["start"]), float(window["end"])
    except (KeyError, TypeError, ValueError):
        return None
    widest = np.iinfo(dtype) if dtype.kind in "iu" else None
    if widest and dtype.itemsize > 1 and low <= max(widest.min, 0) and high >= widest.max:
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) and high > low else None


def limits_of(levels: list[Any]) -> tuple[float, float]:
    """Robust limits from the coarsest level if it is small, else from a few blocks of level 0."""
    last = levels[-1]
    plane = math.prod(last.shape[-2:])
    if len(levels) > 1 and plane <= READABLE and "every" not in str(last.name):
        middle = tuple(n // 2 for n in last.shape[:-2])
        return robust_limits(np.asarray(last[middle], np.float64))

    def read(index: tuple[int, ...], box: Box) -> NDArray[Any]:
        return np.asarray(levels[0][(*index, *box.slices)])

    return robust_limits(few(read, levels[0].shape))


def label_layer(path: Path, name: str) -> LayerData:
    """Segmented objects as a layer of labels."""
    image = open_ome_zarr(path)
    levels, axes = levels_of(image, attributes_of(path)), image.axes
    if image.dtype.kind not in "iub":
        raise InputError(f"{path} holds {image.dtype}", "whole numbers for labels")
    if "c" in axes:
        at = axes.index("c")
        levels = [level[(slice(None),) * at + (0,)] for level in levels]
        axes = axes.replace("c", "")
    # Labels of napari are whole numbers; booleans and levels that were read as float are not.
    whole = image.dtype if image.dtype.kind in "iu" else np.dtype(np.uint8)
    made = data_of([level.astype(whole) for level in levels])
    keywords = place_keywords(image.grid, axes, image.metadata.get("axes"))
    about = {"role": "labels", "path": str(path.absolute()), "notes": []}
    return (
        made.pop("data"),
        {"name": name, "metadata": {"sciup": about}, **keywords, **made},
        "labels",
    )


__all__ = [
    "array_at",
    "attributes_of",
    "channel_layer",
    "images_in",
    "is_result",
    "layers_of",
    "levels_of",
    "limits_of",
    "open_array",
    "read_zarr",
    "rendering",
]
