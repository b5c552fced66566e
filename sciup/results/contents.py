"""A finished result as something that can be written again: layout, values, PSF, provenance."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sciup.engine.settings import ADDED
from sciup.errors import InputError
from sciup.geometry import Box, shards
from sciup.image import Float, Image, PixelGrid, Plane
from sciup.io._check import input_errors
from sciup.io._journal import agrees, checksum
from sciup.io._tiff_result import read_psf
from sciup.io._writer import ILLUSTRATIVE, SHARD, Layout
from sciup.results.about import map_units
from sciup.results.finished import Finished
from sciup.results.verify import place

RECORD = "image"
"""Key of the provenance for what a container has no place for; see `Contents.record`."""


@dataclass(frozen=True)
class Contents:
    """All of a finished result, read window by window.

    Attributes
    ----------
    done : Finished
    layout : Layout
        Of its own pixels: scale 1, with the origin that the result states.
    """

    done: Finished
    layout: Layout

    @classmethod
    def of(cls, done: Finished) -> Contents:
        """Those of a result."""
        told = done.facts.get(RECORD)
        maps = tuple(name for name in done.maps if not name.startswith("samples"))
        units = told["units"] if told else {n.split("/")[0]: u for n, u in map_units(done).items()}
        layout = Layout(
            image=_image(done, told),
            region=Box.of_shape(done.plane_shape),
            scale=1,
            maps=maps,
            units=units,
            samples=int(done.settings["keep"]),
            labels=dict.fromkeys(ADDED, ILLUSTRATIVE),
            origin=(str(done.facts["source"]), done.scale, done.region),
        )
        return cls(done, layout)

    @cached_property
    def record(self) -> dict[str, Any]:
        """What FITS and TIFF have no place for, JSON-ready: axes, pixel grid, channels, units."""
        image, layout = self.layout.image, self.layout
        kept = {key: v for key in ("axes", "channels") if (v := image.metadata.get(key))}
        return {
            "axes": image.axes,
            "grid": asdict(image.grid),
            "header": image.header is not None,
            "metadata": kept,
            "units": {name: layout.units.get(name) for name in layout.names},
        }

    @property
    def psf(self) -> Float | None:
        """The declared PSF of the output, if it is stored."""
        with input_errors(f"the PSF of {self.done.path} cannot be read"):
            read = {"fits": _fits_psf, "ome-zarr": _zarr_psf, "ome-tiff": read_psf}
            return read[self.done.container](self.done.path)

    @property
    def side(self) -> int:
        """Side of the shards that have checksums, output pixels."""
        return int(self.done.facts.get("checksums", {}).get("shard", SHARD))

    @property
    def parts(self) -> list[tuple[str, Plane, Box, str | None]]:
        """Map, plane, box and stated checksum of every shard, in the order of the maps."""
        stated = self.done.facts.get("checksums", {}).get("maps", {})
        boxes = [box for _, box in shards(self.layout.plane_shape, self.side)]
        return [
            (name, plane, box, sums[number][i] if sums else None)
            for name in self.layout.names
            for sums in [stated.get(name)]
            for number, plane in enumerate(np.ndindex(self.layout.shape_of(name)[:-2]))
            for i, box in enumerate(boxes)
        ]

    def shards(self) -> Iterator[tuple[str, Plane, Box, Float, str]]:
        """Map, plane, box, values and checksum of every shard.

        Raises
        ------
        InputError
            If one is not what was written: a copy would hide it.
        """
        for name, plane, box, stated in self.parts:
            values = self.values(name, plane, box)
            if stated is not None and not agrees(values, stated):
                raise InputError(
                    f"{self.done.path} is damaged at {place(name, plane, box)}",
                    fix=f"list all that is damaged with: sciup verify {self.done.path}",
                )
            yield name, plane, box, values, stated or checksum(values)

    def values(self, name: str, plane: Plane, box: Box) -> Float:
        """A window of a map; for ``samples``, `plane` is ``(k, *plane)``."""
        maps = self.done.maps
        if name == "samples" and name not in maps:
            name, plane = f"samples/{plane[0]}", plane[1:]
        with input_errors(f"the map {name} of {self.done.path} cannot be read"):
            return maps[name].values(plane, box)


class Sums:
    """Checksums of the shards of a copy, gathered while they are written.

    Parameters
    ----------
    side : int
        Of the shards, output pixels.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self._maps: dict[str, dict[Plane, list[str]]] = {}

    def add(self, name: str, plane: Plane, stated: str) -> None:
        """That of the next shard of a plane."""
        self._maps.setdefault(name, {}).setdefault(plane, []).append(stated)

    def as_json(self) -> dict[str, Any]:
        """As the provenance has them."""
        maps = {name: list(planes.values()) for name, planes in self._maps.items()}
        return {"shard": self._side, "maps": maps}


def _image(done: Finished, told: Mapping[str, Any] | None) -> Image:
    """The output pixels as an image: axes, grid, header, names of channels."""
    image = copy.copy(done.image)
    if told:
        grid = told["grid"]
        size = tuple(grid["size"]) if grid["size"] else None
        image.axes, image.metadata = told["axes"], told["metadata"]
        image.grid = PixelGrid(size, grid["unit"], tuple(grid["origin"]))
        image.header = image.header if told["header"] else None
    elif done.container == "ome-zarr":
        image.header = _zarr_header(done.path)
        image.metadata = {"axes": image.metadata.get("axes", {})} | _channels(done)
        image.grid = image.grid if image.grid.unit else PixelGrid()  # it counted input pixels
    else:
        image.grid = _fits_grid(done)
    return image


def _fits_grid(done: Finished) -> PixelGrid:
    """The grid with its origin: stated for lengths; for the sky that of the input is 0."""
    grid, header = done.image.grid, done.image.header
    if grid.size is None:
        return grid
    if str(header.get("CTYPE1")) == "LINEAR" and "CRVAL1" in header:
        y, x = (
            size / header[f"CDELT{axis}"] * header[f"CRVAL{axis}"]
            for axis, size in ((2, grid.size[0]), (1, grid.size[1]))
        )
        return PixelGrid(grid.size, grid.unit, (y, x))
    size = (grid.size[0] * done.scale, grid.size[1] * done.scale)
    start = (done.region.start[0], done.region.start[1])
    return PixelGrid(size, grid.unit).scaled(done.scale, start)


def _attributes(path: Path) -> Any:
    """What is ours in the attributes of a group."""
    import zarr
    from zarr.storage import LocalStore

    return zarr.open_group(LocalStore(path, read_only=True), mode="r").attrs["sciup"]


def _channels(done: Finished) -> dict[str, Any]:
    """Names and colours of the input's channels; the rendering of a map names the map, too."""
    about = _attributes(done.path / next(iter(done.maps)))
    return {"channels": about["channels"]} if "channels" in about else {}


def _zarr_header(path: Path) -> Any:
    """The header that an OME-Zarr result of a FITS image carries; None for others."""
    from astropy.io import fits

    text = _attributes(path).get("fits_header")
    return None if text is None else fits.Header.fromstring(text, sep="\n")


def _zarr_psf(path: Path) -> Float | None:
    import zarr
    from zarr.storage import LocalStore

    if not (path / "psf" / "zarr.json").is_file():
        return None
    array: Any = zarr.open_array(LocalStore(path / "psf", read_only=True), mode="r")
    return np.asarray(array[...], np.float32)


def _fits_psf(path: Path) -> Float | None:
    from sciup.io._fits_clean import open_hdus, quiet

    with quiet(str(path)), open_hdus(str(path), memmap=False) as hdus:
        return np.asarray(hdus["PSF"].data, np.float32) if "PSF" in hdus else None


__all__ = ["RECORD", "Contents", "Sums"]
