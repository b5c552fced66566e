"""Results as OME-Zarr 0.5: one multiscale image per map, under one root."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import LocalStore

from sciup.errors import InputError, OutputError
from sciup.geometry import Box
from sciup.image import Float, Plane
from sciup.io._check import index_of, input_errors
from sciup.io._ome_metadata import (
    VERSION,
    axes_of,
    is_fraction,
    multiscales,
    omero,
    samples_axes,
)
from sciup.io._ome_xml import ome_xml
from sciup.io._pyramid import build_pyramid, halve, level_shapes
from sciup.io._shards import (
    CONFIG,
    codec,
    create_array,
    open_array_anew,
    open_array_rw,
    own_levels,
    storage,
)
from sciup.io._writer import SHARD, Layout
from sciup.io._zarr_sums import OWN, own_sum, small_files

Opener = Callable[[Path], zarr.Array[Any]]
CONTAINER = {"version": VERSION, "bioformats2raw.layout": 3}
PLANES_FOR_WINDOW = 64
MOST_AT_A_TIME = 4
"""Images whose pyramids are built at a time: each takes the memory of a shard."""


class ZarrWriter:
    """Fills ``result.ome.zarr`` in a working folder; see `sciup.io._writer.Writer`.

    Level 0 of the maps and the next ones, whose shards follow from one of its shards each, are
    created first and filled shard by shard. Groups, the levels beyond and all OME metadata come
    last, so that an unfinished result does not open as an image.

    Parameters
    ----------
    work : Path
        Working folder; it must exist.
    layout : Layout
        Shapes, names and units of the maps.
    """

    def __init__(self, work: Path, layout: Layout) -> None:
        self._path = Path(work) / "result.ome.zarr"
        self.layout = layout
        self._axes = axes_of(layout.image)
        self._samples_axes = samples_axes(self._axes)
        # levels above 0 that are written shard by shard with it
        self._own = min(own_levels(), len(level_shapes(layout.plane_shape)) - 1)
        self._arrays: dict[tuple[Path, Opener], zarr.Array[Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}

    @property
    def path(self) -> Path:
        """The folder inside the working folder that is moved to the final place."""
        return self._path

    def images(self) -> dict[str, list[dict[str, Any]]]:
        """Path inside the result and OME axes of every image that is stored."""
        out = dict.fromkeys(self.layout.maps, self._axes)
        if self.layout.samples and self._samples_axes:
            out["samples"] = self._samples_axes
        elif self.layout.samples:
            out |= {f"samples/{k}": self._axes for k in range(self.layout.samples)}
        return out

    def create(self) -> None:
        """Create level 0 of all maps, and the levels that are written with it.

        Arrays that are there already must have the same layout.
        """
        for image, axes in self.images().items():
            shape = self._shape_of(image, len(axes))
            names = [axis["name"] for axis in axes]
            for level, plane in enumerate(level_shapes(self.layout.plane_shape)[: self._own + 1]):
                _create(self._path / image / str(level), (*shape[:-2], *plane), names, level)

    def write(self, name: str, plane: Plane, box: Box, values: Float) -> None:
        """Write one shard of one map, and its part of the coarser levels.

        Parameters
        ----------
        name : str
            One of ``layout.names``.
        plane : tuple of int
            Index on the axes before ``yx``; for ``samples`` it is ``(k, *plane)``.
        box : Box
            Output pixels, aligned to `SHARD` (shorter at the far edges).
        values : ndarray of shape box.shape, float32
            NaN where masked.
        """
        full = Box.of_shape(self.layout.plane_shape)
        ends = zip(box.stop, full.stop, strict=True)
        aligned = all(a % SHARD == 0 for a in box.start)
        if not (aligned and full.contains(box) and all(b % SHARD == 0 or b == n for b, n in ends)):
            raise ValueError(f"{box} is not made of whole shards of {SHARD} px in {full}")
        if values.shape != box.shape:
            raise ValueError(f"values of shape {values.shape} for {box}")
        self._write(name, plane, box, np.asarray(values, np.float32), 0)

    def derive(self, name: str, plane: Plane, box: Box, values: Float) -> None:
        """Write the coarser levels of a shard that is there: nobody has looked at them."""
        if self._own:
            self._write(name, plane, box.coarsened(2), halve(values), 1)

    def _write(self, name: str, plane: Plane, box: Box, values: Float, level: int) -> None:
        """Write a level of a shard and all coarser ones that are its own."""
        array, index = self._array(name, plane, open_array_anew, level)
        with output_errors(self._path):
            array[index_of(index, box)] = values
        if level < self._own:
            self._write(name, plane, box.coarsened(2), halve(values), level + 1)

    def read(self, name: str, plane: Plane, box: Box) -> Float:
        """Read back what was written; NaN where nothing was."""
        array, plane = self._array(name, plane, open_array_rw, 0)
        with input_errors(f"{self._path / name} cannot be read at plane {plane}, {box}"):
            return np.asarray(array[index_of(plane, box)], np.float32)

    def _array(
        self, name: str, plane: Plane, how: Opener, level: int
    ) -> tuple[zarr.Array[Any], Plane]:
        """One level of a map and the index in it; kept open in this process."""
        image = name
        if name == "samples" and not self._samples_axes:
            image, plane = f"samples/{plane[0]}", plane[1:]
        folder = self._path / image / str(level)
        if (folder, how) not in self._arrays:
            with output_errors(folder):
                self._arrays[folder, how] = how(folder)
        return self._arrays[folder, how], plane

    def finish(self, provenance: Mapping[str, Any], extras: Mapping[str, Any]) -> None:
        """Pyramids, small arrays, then the metadata of the maps and of the root.

        Parameters
        ----------
        provenance : mapping
            Anything that JSON can hold; stored in the root under ``sciup``.
        extras : mapping of str to array_like
            Small arrays to store as ``OUT/<name>``, such as the output PSF ``psf``.
        """
        with output_errors(self._path):
            levels = self._build_pyramids()
            for name, values in extras.items():
                self._write_extra(name, np.asarray(values))
            for image, axes in self.images().items():
                self._write_image(image, axes, levels[image])
            series = {"version": VERSION, "series": list(levels)}
            write_group(self._path / "OME", {"ome": series})
            shapes = {i: self._shape_of(i, len(axes)) for i, axes in self.images().items()}
            (self._path / "OME" / "METADATA.ome.xml").write_bytes(ome_xml(self.images(), shapes))
            about = self._about(provenance)
            about["files"] = small_files(self._path, levels, extras)
            root = {"ome": CONTAINER, "sciup": about}
            about[OWN] = own_sum(root)
            write_group(self._path, root)

    def _build_pyramids(self) -> dict[str, int]:
        """Number of levels of every image, which are made here, some images at a time."""
        names = {i: [axis["name"] for axis in axes] for i, axes in self.images().items()}
        with ThreadPoolExecutor(min(MOST_AT_A_TIME, len(os.sched_getaffinity(0)))) as pool:
            made = pool.map(lambda i: build_pyramid(self._path / i, names[i], self._own), names)
            return dict(zip(names, made, strict=True))

    def _shape_of(self, image: str, axes: int) -> tuple[int, ...]:
        """Shape of a stored image: a sample of its own lacks the leading axis of ``samples``."""
        return self.layout.shape_of(image.partition("/")[0])[-axes:]

    def _about(self, provenance: Mapping[str, Any]) -> dict[str, Any]:
        layout = self.layout
        about: dict[str, Any] = {
            "provenance": json_ready(provenance),
            "maps": list(self.images()),
            "units": {name: layout.units.get(name) for name in layout.names},
        }
        if layout.image.header is not None:
            from sciup.io._wcs import scale_header

            start = (layout.region.start[-2], layout.region.start[-1])
            header = scale_header(layout.image.header, layout.scale, start)
            about["fits_header"] = header.tostring(sep="\n", endcard=False, padding=False)
        return about

    def _write_extra(self, name: str, values: Any) -> None:
        array = zarr.create_array(
            LocalStore(self._path / name), shape=values.shape, dtype="float32",
            chunks=values.shape, compressors=codec(), fill_value=np.nan, overwrite=True,
            config=CONFIG, attributes={"sciup": {"extra": name, "grid": "output pixels"}},
        )  # fmt: skip
        array[...] = values.astype(np.float32)

    def _write_image(self, image: str, axes: list[dict[str, Any]], levels: int) -> None:
        name, _, sample = image.partition("/")
        windows = self._windows(image, axes, levels)
        ome = {
            "version": VERSION,
            "multiscales": multiscales(self.layout.title(image), axes, self.layout, levels),
            "omero": omero(self.layout.title(image), self.layout.image, windows),
        }
        ours: dict[str, Any] = {"map": name, "unit": self.layout.units.get(name)}
        if name in self.layout.labels:
            ours["label"] = self.layout.labels[name]
        if self.layout.image.metadata.get("channels"):
            ours["channels"] = json_ready(self.layout.image.metadata["channels"])
        if sample:
            ours["sample"] = int(sample)
            write_group(self._path / name, {"ome": CONTAINER, "sciup": {"map": name}})
        write_group(self._path / image, {"ome": ome, "sciup": ours})

    def _windows(
        self, image: str, axes: list[dict[str, Any]], levels: int
    ) -> list[tuple[float, float, float, float]]:
        """Rendering window (min, max, start, end) of every channel, from the coarsest level."""
        kinds = [axis["type"] for axis in axes]
        array = open_array_rw(self._path / image / str(levels - 1))
        where = kinds.index("channel") if "channel" in kinds else None
        count = 1 if where is None else array.shape[where]
        if is_fraction(image):
            return [(0.0, 1.0, 0.0, 1.0)] * count
        return [window(array, where, channel) for channel in range(count)]


def window(
    array: zarr.Array[Any], where: int | None, channel: int
) -> tuple[float, float, float, float]:
    """Limits and 0.5 to 99.8 % percentiles of one channel, over at most 64 of its planes."""
    planes = list(np.ndindex(array.shape[:-2]))
    planes = [p for p in planes if where is None or p[where] == channel]
    step = math.ceil(len(planes) / PLANES_FOR_WINDOW)
    parts = [np.asarray(array[(*p, slice(None), slice(None))]) for p in planes[::step]]
    values = np.concatenate([part[np.isfinite(part)] for part in parts])
    if not values.size:
        return 0.0, 1.0, 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    start, end = (float(v) for v in np.percentile(values.astype(np.float64), (0.5, 99.8)))
    if not end > start:
        start, end = low, high if high > low else low + 1.0
    return low, max(high, end), start, end


def _create(folder: Path, shape: tuple[int, ...], axes: list[str], level: int) -> None:
    """Create an array, unless it is there with this layout."""
    with output_errors(folder):
        if not (folder / "zarr.json").exists():
            create_array(folder, shape, axes, level)
            return
        have = open_array_rw(folder)
    if have.shape != shape or (have.shards or ())[-2:] != storage(shape, level)[0][-2:]:
        raise OutputError(
            f"{folder} holds an array of shape {have.shape}, not {shape}", "",
            "the unfinished result belongs to another job: remove it or give another path",
        )  # fmt: skip


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Say in our words that the disk is full or read-only."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error})", "", "check free space and permissions"
        ) from error


def write_group(folder: Path, attributes: dict[str, Any]) -> None:
    """Write the metadata of a group; nothing that lies under it is touched."""
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "zarr.json.part"
    part.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    part.replace(folder / "zarr.json")


def json_ready(value: Any) -> Any:
    """A copy of plain dicts, lists, numbers and strings; not finite numbers become null."""
    if isinstance(value, Mapping):
        return {str(k): json_ready(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return json_ready(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [json_ready(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance stored in a finished OME-Zarr result.

    Raises
    ------
    InputError
        If the path is not a result of sciup.
    """
    path = Path(path)
    try:
        attributes = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        if plate := attributes["sciup"].get("plate"):
            first = path / str(plate["fields"][0])
            raise InputError(f"{path} is a plate of results", "one of its fields", f"give {first}")
        return dict(attributes["sciup"]["provenance"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no provenance of sciup", "a finished result") from error


__all__ = [
    "ZarrWriter",
    "json_ready",
    "output_errors",
    "read_provenance",
    "window",
    "write_group",
]
