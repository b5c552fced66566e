"""OME-TIFF: tiled, compressed, with a pyramid, in constant memory.

One image of axes ``TCZYX`` whose channels are the maps. What OME cannot hold, such as world
coordinates, stands as JSON in an annotation. The OME-XML is known before the pixels are: it lies at
the begin of the file, so that a file that is cut off still tells what it was.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciup.geometry import Box, shards
from sciup.image import Float, PixelGrid
from sciup.io._pyramid import halve, level_shapes
from sciup.io._tiff_note import NAMESPACE, PLACE, with_note
from sciup.io._tiff_order import Address

TILE = 512
UNITS = {
    "meter": "m", "centimeter": "cm", "millimeter": "mm", "micrometer": "\u00b5m",
    "nanometer": "nm", "picometer": "pm", "angstrom": "\u00c5",
}  # fmt: skip
"""Lengths of OME-Zarr as OME-XML writes them; it has no angles on the sky."""


@dataclass(frozen=True)
class Pages:
    """What is written.

    Attributes
    ----------
    sizes : (int, int, int)
        Number of times, channels and z.
    plane_shape : (int, int)
    channels : sequence of str
        A name for each channel.
    read : callable
        Values of a window of a page.
    stored : callable
        Values of a channel as they are stored.
    dtype : str
        Of what is stored.
    """

    sizes: Address
    plane_shape: tuple[int, int]
    channels: Sequence[str]
    read: Callable[[Address, Box], Float]
    stored: Callable[[int, Float], NDArray[Any]]
    dtype: str

    @property
    def addresses(self) -> list[Address]:
        """All pages in the order of the file."""
        return [(t, c, z) for t, c, z in np.ndindex(self.sizes)]


class Levels:
    """The coarser levels of all pages in scratch files, filled window by window.

    Parameters
    ----------
    folder : Path
        Where the scratch files are.
    pages : Pages

    Raises
    ------
    OSError
        If the disk has no room for them.
    """

    def __init__(self, folder: Path, pages: Pages) -> None:
        self.shapes = level_shapes(pages.plane_shape)
        self._folder, self._sizes = folder, pages.sizes
        for number in range(1, len(self.shapes)):
            with self._file(number).open("wb") as file:
                # A write to a map of a file with holes kills the process where the disk is full.
                os.posix_fallocate(file.fileno(), 0, 4 * math.prod(self._shape(number)))

    def _file(self, number: int) -> Path:
        return self._folder / f"level{number}"

    def _shape(self, number: int) -> tuple[int, ...]:
        return (*self._sizes, *self.shapes[number])

    def _open(self, number: int, mode: Literal["r", "r+"]) -> Any:
        """A level, opened anew each time: a map that stays open keeps all it touched in memory."""
        return np.memmap(self._file(number), np.float32, mode, shape=self._shape(number))

    def add(self, page: Address, box: Box, values: Float) -> None:
        """Put in a window of level 0 that begins at multiples of the coarsest pixels."""
        for number in range(1, len(self.shapes)):
            box, values = box.coarsened(2), halve(values)
            self._open(number, "r+")[page][box.slices] = values

    def read(self, number: int, page: Address, box: Box) -> Float:
        """A window of a level above 0."""
        return np.array(self._open(number, "r")[page][box.slices])


def write_ome_tiff(path: Path, pages: Pages, levels: Levels, xml: str) -> None:
    """Write all pages of all levels.

    Parameters
    ----------
    path : Path
    pages : Pages
    levels : Levels
        Filled already.
    xml : str
        What `ome_tiff_xml` gives.
    """
    import tifffile

    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for number, shape in enumerate(levels.shapes):
            side = min(TILE, -(-max(shape) // 16) * 16)
            more: dict[str, Any] = {"subfiletype": 1}
            if number == 0:
                more = {"subifds": len(levels.shapes) - 1, "description": xml.encode()}
            tiff.write(
                _tiles(pages, levels, number, side), shape=(*pages.sizes, *shape),
                dtype=pages.dtype, tile=(side, side), compression="zlib",
                photometric="minisblack", metadata=None, maxworkers=1, **more,
            )  # fmt: skip


def _tiles(pages: Pages, levels: Levels, number: int, side: int) -> Iterator[NDArray[Any]]:
    """All tiles of a level in the order of the file, masked beyond the far edges."""
    for page in pages.addresses:
        for _, box in shards(levels.shapes[number], side):
            values = levels.read(number, page, box) if number else pages.read(page, box)
            tile = np.full((side, side), np.nan, np.float32)
            tile[: box.shape[0], : box.shape[1]] = values
            yield pages.stored(page[1], tile)


def ome_tiff_xml(
    name: str, pages: Pages, grid: PixelGrid, axes: Mapping[str, Any], about: dict[str, Any]
) -> str:
    """OME-XML of the image.

    Parameters
    ----------
    name : str
        Of the image.
    pages : Pages
    grid : PixelGrid
        Sizes that are lengths are written.
    axes : mapping
        ``scale`` and ``unit`` of the axes ``t`` and ``z``, if they are known.
    about : dict
        For the annotation: how the result was made.
    """
    import tifffile

    facts = _sizes(grid, axes) | {
        "axes": "TCZYX", "Name": name, "Channel": {"Name": list(pages.channels)},
        "CommentAnnotation": {"Namespace": NAMESPACE, "Value": PLACE},
    }  # fmt: skip
    xml, count = tifffile.OmeXml(), math.prod(pages.sizes)
    height, width = pages.plane_shape
    stored = (count, 1, 1, height, width, 1)
    xml.addimage(pages.dtype, (*pages.sizes, height, width), stored, **facts)
    return with_note(xml.tostring(declaration=True), about)


def _sizes(grid: PixelGrid, axes: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes that are lengths and times, as tifffile writes them."""
    about: dict[str, Any] = {}
    if grid.size is not None and grid.unit in UNITS:
        for axis, size in zip("YX", grid.size, strict=True):
            about |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": UNITS[grid.unit]}
    z, t = axes.get("z", {}), axes.get("t", {})
    if z.get("unit") in UNITS:
        about |= {"PhysicalSizeZ": z["scale"], "PhysicalSizeZUnit": UNITS[z["unit"]]}
    if t.get("unit") == "second":
        about |= {"TimeIncrement": t["scale"], "TimeIncrementUnit": "s"}
    return about


__all__ = ["Levels", "Pages", "ome_tiff_xml", "write_ome_tiff"]
