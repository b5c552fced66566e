"""An OME-TIFF that holds all of a result: its maps, read window by window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.image import Bool, Float, Image, PixelGrid, Plane
from sciup.io._check import input_errors
from sciup.io._tiff import TiffImage
from sciup.io._tiff_note import read_note, read_provenance
from sciup.io._tiff_order import MapOrder
from sciup.io._tiff_pages import Order, check_chain

AXES = "tczyx"


@dataclass(frozen=True)
class TiffPixels:
    """A map of an OME-TIFF result.

    Attributes
    ----------
    pages : TiffImage
        All pages, those of other maps included.
    order : MapOrder
    name : str
        A map, or ``samples``.
    """

    pages: TiffImage
    order: MapOrder
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the map."""
        leading = (self.order.samples,) if self.name == "samples" else ()
        return (*leading, *self.order.shape)

    def values(self, plane: Plane, box: Box) -> Float:
        """Window (h, w) of a plane; NaN where masked.

        Raises
        ------
        InputError
            If a tile is missing or cannot be decoded.
        """
        values, footprint = self.pages.load(self.order.page(self.name, plane), box)
        if (np.isfinite(values) & ~footprint).any():
            raise InputError("a tile is missing")
        return values


class TiffMap(Image):
    """A map as an image; see `Image`."""

    def __init__(self, pixels: TiffPixels, **about: Any) -> None:
        super().__init__(
            axes=pixels.order.axes, shape=pixels.shape, dtype=np.dtype("f4"), format="tiff", **about
        )
        self.pixels = pixels

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Values and footprint of a box inside the image, shape (h, w)."""
        values = self.pixels.values(plane, box)
        return values, np.isfinite(values)


def map_order(facts: dict[str, Any]) -> MapOrder:
    """Which page is which, by the provenance of a result."""
    prints, told = facts["fingerprint"], facts["image"]
    (y0, x0), (y1, x1) = prints["region"]
    scale, names = int(facts["scale"]), tuple(told["units"])
    plane = (scale * (y1 - y0), scale * (x1 - x0))
    samples = int(prints["settings"]["keep"])
    maps = tuple(name for name in names if name != "samples")
    return MapOrder(told["axes"], (*prints["shape"][:-2], *plane), maps, samples)


def page_order(order: MapOrder, plane_shape: tuple[int, int]) -> Order:
    """All pages of a level as one image."""
    return Order(AXES, AXES, (*order.sizes, *plane_shape))


def open_tiff_result(path: Path) -> tuple[TiffMap, dict[str, TiffPixels]]:
    """The first map as an image, and all maps.

    Raises
    ------
    InputError
        If it is no result, or its pages are not those of its maps.
    """
    facts = read_provenance(path)
    with input_errors(f"what {path} says of itself cannot be understood"):
        order, told = map_order(facts), facts["image"]
        stored = page_order(order, (order.shape[-2], order.shape[-1]))
        grid = told["grid"]
        size = tuple(grid["size"]) if grid["size"] else None
        about: dict[str, Any] = {
            "source": str(path), "grid": PixelGrid(size, grid["unit"], tuple(grid["origin"])),
            "unit": told["units"].get(order.maps[0]), "metadata": told["metadata"],
            "header": read_header(path),
        }  # fmt: skip
    _check_pages(path, order)
    pages = TiffImage(path, stored, axes=AXES, shape=stored.shape, dtype=np.dtype("f4"))
    names = (*order.maps, "samples") if order.samples else order.maps
    maps = {name: TiffPixels(pages, order, name) for name in names}
    return TiffMap(maps[order.maps[0]], **about), maps


def _check_pages(path: Path, order: MapOrder) -> None:
    """Refuse pages of another size, number or type than the maps have."""
    import tifffile

    what = f"the pages of {path} cannot be read: it may be cut off"
    with input_errors(what), tifffile.TiffFile(path) as tiff:
        check_chain(tiff, path)
        page, count = tiff.series[0].keyframe, len(tiff.series[0])
        got = (count, (page.imagelength, page.imagewidth), str(page.dtype))
    wanted = (int(np.prod(order.sizes)), order.shape[-2:], "float32")
    if got != wanted:
        raise InputError(
            f"{path} has {got[0]} pages of {got[1]} {got[2]}, its maps have {wanted[0]} of"
            f" {wanted[1]} {wanted[2]}"
        )


def read_header(path: Path) -> Any:
    """The FITS header that a result of a FITS image carries; None for others."""
    from astropy.io import fits

    text = (read_note(path) or {}).get("fits_header")
    return None if text is None else fits.Header.fromstring(text, sep="\n")


def read_psf(path: Path) -> Float | None:
    """The declared PSF of the output, if it is stored."""
    values = (read_note(path) or {}).get("psf")
    return None if values is None else np.asarray(values, np.float32)


__all__ = [
    "TiffMap", "TiffPixels", "map_order", "open_tiff_result", "page_order", "read_header",
    "read_psf",
]  # fmt: skip
