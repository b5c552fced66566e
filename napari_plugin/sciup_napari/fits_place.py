"""Where images are in napari's world: pixel sizes, units, and the sky."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciup.image import Image, PixelGrid
from sciup.io._fits_clean import open_hdus, quiet
from sciup.io._fits_files import local_file
from sciup.io._wcs import lookup_cards

logger = logging.getLogger("sciup")

SAME_PLACE = 1e-6
"""Shift in pixels below which two extensions share their grid."""
MISFIT = 2.0
"""Largest misfit in pixels at the corners of an extension that is placed beside the first."""


@dataclass(frozen=True)
class Place:
    """Where the pixels of an image are in napari's world.

    Attributes
    ----------
    grid : PixelGrid
        Size and centre of the first pixel; in pixels where `size` is None.
    note : str
        For people, where something could not be done.
    """

    grid: PixelGrid
    note: str = ""

    def keywords(self, axes: str) -> dict[str, Any]:
        """Scale, translate, units and axis labels of a layer with these axes."""
        return place_keywords(self.grid, axes)


def place_keywords(
    grid: PixelGrid, axes: str, leading: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """Scale, translate, units and axis labels of a layer.

    Parameters
    ----------
    grid : PixelGrid
        Of y and x.
    axes : str
        One letter per axis.
    leading : mapping, optional
        ``name``, ``scale``, ``translation`` and ``unit`` of the axes before ``yx``, by letter.

    Examples
    --------
    >>> place_keywords(PixelGrid((0.5, 0.5), "arcsec"), "zyx")["units"]
    ('pixel', 'arcsec', 'arcsec')
    """
    told = [dict((leading or {}).get(letter, {})) for letter in axes[:-2]]
    size = grid.size or (1.0, 1.0)
    unit = pint_unit(grid.unit if grid.size else None)
    return {
        "scale": (*(float(a.get("scale", 1.0)) for a in told), *size),
        "translate": (*(float(a.get("translation", 0.0)) for a in told), *grid.origin),
        "units": (*(pint_unit(a.get("unit")) for a in told), unit, unit),
        "axis_labels": (
            *(str(a.get("name") or x) for a, x in zip(told, axes, strict=False)),
            *"yx",
        ),
    }


def pint_unit(name: object) -> str:
    """The name if napari's units know it as a length, an angle or a time, else ``pixel``."""
    import pint

    text = str(name or "pixel")
    try:
        kind = pint.Unit(text)
    except (pint.errors.PintError, ValueError, TypeError, AttributeError):
        return "pixel"
    fine = kind.is_compatible_with("m") or kind.is_compatible_with("s")
    angle = text.startswith(("arc", "deg", "rad", "mas", "micro", "milli"))
    return text if fine or (angle and kind.dimensionless) else "pixel"


def celestial(image: Image) -> Any:
    """The WCS of the last two axes if they are on the sky, else None."""
    tables = lookup_cards(image.header) if image.header is not None else ()
    if not tables:
        return sky_of(image.header, image.source)
    with quiet(image.source), open_hdus(local_file(image.source, None), memmap=False) as file:
        return sky_of(image.header, image.source, file)


def sky_of(header: Any, source: str, file: Any = None) -> Any:
    """The celestial part of a header's WCS, if it belongs to the first two FITS axes; else None."""
    from astropy.wcs import WCS

    if header is None:
        return None
    with quiet(source):
        try:
            wcs = WCS(header, fobj=file)
            if not wcs.has_celestial or {wcs.wcs.lng, wcs.wcs.lat} != {0, 1}:
                return None
            wcs = wcs if wcs.naxis == 2 else WCS(header, fobj=file, naxis=2)
            wcs.wcs_pix2world([[0.0, 0.0]], 0)
        except Exception as error:  # noqa: BLE001 - wcslib has many ways to refuse a header
            logger.info("%s: its world coordinates are not used: %s", source, error)
            return None
    return wcs


def place_beside(image: Image, first: Image, sky: Any) -> Place:
    """The place of an extension in the world whose origin is the first pixel of the first one."""
    if image is first or image.metadata["hdu"] == first.metadata["hdu"]:
        return Place(own_grid(image))
    # One unit for all extensions of a file: napari cannot draw others beside each other.
    same = image.grid.size is not None and image.grid.unit == first.grid.unit
    alone = own_grid(image if same else first)
    origin = celestial(first)
    if sky is None or origin is None:
        return Place(alone, "no sky coordinates to place it beside the first extension")
    height, width = image.plane_shape
    x, y = (v.ravel() for v in np.meshgrid([0, (width - 1) / 2, width - 1], [0, height - 1]))
    with quiet(image.source):
        try:
            there = origin.all_world2pix(*sky.all_pix2world(x, y, 0), 0)
        except Exception as error:  # noqa: BLE001 - points behind the projection, no convergence
            logger.info("%s: %s", image.source, error)
            return Place(alone, "it is too far from the first extension to be placed")
    shift_y, shift_x = np.asarray(there[1]) - y, np.asarray(there[0]) - x
    if not float(max(np.ptp(shift_y), np.ptp(shift_x))) <= MISFIT:
        return Place(alone, "other orientation or pixel scale than the first extension")
    dy, dx = (float(v.mean()) for v in (shift_y, shift_x))
    if max(abs(dy), abs(dx)) < SAME_PLACE:
        dy = dx = 0.0
    size = first.grid.size or (1.0, 1.0)
    return Place(PixelGrid(first.grid.size, first.grid.unit, (dy * size[0], dx * size[1])))


def own_grid(image: Image) -> PixelGrid:
    """The image's pixel grid; a plain linear WCS also tells its origin."""
    grid = image.grid
    if grid.size is None or image.header is None or grid.unit == "arcsec":
        return grid
    from astropy.units import Unit, UnitsError

    keys = [(f"CRVAL{i}", f"CRPIX{i}", f"CUNIT{i}") for i in (2, 1)]
    if image.header.get("CTYPE1") != "LINEAR" or any(k[1] not in image.header for k in keys):
        return grid
    try:
        origin = [
            float(image.header[v]) * float(Unit(image.header[u]).to(Unit(grid.unit)))
            + (1 - float(image.header[p])) * size
            for (v, p, u), size in zip(keys, grid.size, strict=True)
        ]
    except (KeyError, ValueError, TypeError, UnitsError):
        return grid
    return PixelGrid(grid.size, grid.unit, (origin[0], origin[1]))


__all__ = [
    "Place",
    "celestial",
    "own_grid",
    "pint_unit",
    "place_beside",
    "place_keywords",
    "sky_of",
]
