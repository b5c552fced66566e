"""OME-Zarr 0.4 for programs that read nothing newer: Zarr 2, plain chunks, no shards.

It holds the same images at the same paths as a result, but is none: `sciup.io._zarr_writer` is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from sciup.geometry import Box
from sciup.image import Plane
from sciup.io._check import index_of
from sciup.io._ome_metadata import multiscales, omero
from sciup.io._ome_xml import ome_xml
from sciup.io._pyramid import level_shapes
from sciup.io._writer import CHUNK, Layout
from sciup.io._zarr_writer import ZarrWriter, json_ready, window

VERSION = "0.4"
CONTAINER = {"bioformats2raw.layout": 3}


class Zarr04Writer:
    """Fills ``result.ome.zarr`` in a folder, level by level, from one process.

    Parameters
    ----------
    work : Path
        Existing folder.
    layout : Layout
    dtype : str
    masked : float
        Fill value.
    """

    def __init__(self, work: Path, layout: Layout, dtype: str, masked: float) -> None:
        self.path, self.layout = work / "result.ome.zarr", layout
        self.images = ZarrWriter(work, layout).images()
        self.shapes = level_shapes(layout.plane_shape)
        self._arrays = {
            (image, level): self._create(image, axes, level, dtype, masked)
            for image, axes in self.images.items()
            for level in range(len(self.shapes))
        }

    def _create(self, image: str, axes: Any, level: int, dtype: str, masked: float) -> Any:
        from numcodecs import Blosc

        shape = (
            *self.layout.shape_of(image.partition("/")[0])[-len(axes) : -2],
            *self.shapes[level],
        )
        chunks = (1,) * (len(shape) - 2) + tuple(min(CHUNK, n) for n in shape[-2:])
        return zarr.create_array(
            LocalStore(self.path / image / str(level)), shape=shape, dtype=dtype, chunks=chunks,
            compressors=Blosc(cname="zstd", clevel=1, shuffle=Blosc.SHUFFLE), fill_value=masked,
            zarr_format=2, chunk_key_encoding={"name": "v2", "separator": "/"},
            config={"write_empty_chunks": True},
        )  # fmt: skip

    def write(self, name: str, plane: Plane, level: int, box: Box, stored: NDArray[Any]) -> None:
        """Write a window of one level of a map, as it is to be stored."""
        if (name, level) not in self._arrays:
            name, plane = f"{name}/{plane[0]}", plane[1:]
        self._arrays[name, level][index_of(plane, box)] = stored

    def finish(
        self, provenance: Mapping[str, Any], encodings: Mapping[str, Any], header: str | None
    ) -> None:
        """Write the metadata of the images, then those of the root."""
        for image, axes in self.images.items():
            name, _, sample = image.partition("/")
            if sample:
                _group(self.path / name, CONTAINER)
            scales = multiscales(self.layout.title(image), axes, self.layout, len(self.shapes))
            ours = {"map": name, "unit": self.layout.units.get(name), "encoding": encodings[name]}
            windows = self._windows(image, axes)
            _group(self.path / image, {
                "multiscales": [{**scales[0], "version": VERSION}],
                "omero": {**omero(self.layout.title(image), self.layout.image, windows),
                          "version": VERSION},
                "sciup": ours,
            })  # fmt: skip
        _group(self.path / "OME", {"series": list(self.images)})
        shapes = {image: self._arrays[image, 0].shape for image in self.images}
        (self.path / "OME" / "METADATA.ome.xml").write_bytes(ome_xml(self.images, shapes))
        about: dict[str, Any] = {"provenance": json_ready(provenance), "maps": list(self.images)}
        about |= {"fits_header": header} if header is not None else {}
        _group(self.path, {**CONTAINER, "sciup": about})

    def _windows(self, image: str, axes: Any) -> list[tuple[float, float, float, float]]:
        """Rendering window of every channel, in stored numbers, from the coarsest level."""
        kinds = [axis["type"] for axis in axes]
        array = self._arrays[image, len(self.shapes) - 1]
        where = kinds.index("channel") if "channel" in kinds else None
        count = 1 if where is None else array.shape[where]
        return [window(array, where, channel) for channel in range(count)]


def _group(folder: Path, attributes: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".zattrs").write_text(json.dumps(dict(attributes), indent=1, allow_nan=False))
    (folder / ".zgroup").write_text(json.dumps({"zarr_format": 2}))


__all__ = ["Zarr04Writer"]
