"""Regions of an image by a place on the sky: ``RA DEC SIZE``."""

from __future__ import annotations

import logging
import math
import re
from typing import Any

from sciup.errors import OptionError
from sciup.geometry import Box
from sciup.image import Image, parse_roi
from sciup.io._fits_clean import quiet

logger = logging.getLogger("sciup")

ALLOWED = (
    "Y0:Y1,X0:X1 in input px, or RA DEC SIZE (ICRS, RA in degrees or as hours 10:00:24.5) such as"
    " '150.1 2.2 30arcsec'"
)
LARGEST = 360 * 3600
"""Arcsec: all around the sky."""
SIZE = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(arcsec|arcmin|deg|\"|'|d)", re.IGNORECASE)
CLOSE = 0.5
"""Input px by which a place may be missed: more means that no place was found."""
ARCSEC = {"arcsec": 1.0, '"': 1.0, "arcmin": 60.0, "'": 60.0, "deg": 3600.0, "d": 3600.0}
LOOKUP = re.compile(r"(CPDIS|CQDIS|CPERR|D2IMDIS|D2IMERR|DP|DQ|D2IM)\d.*|AXISCORR")


def find_roi(text: str, image: Image) -> Box:
    """Input pixels (y, x) of a region in pixels or on the sky.

    Parameters
    ----------
    text : str
        ``Y0:Y1,X0:X1``, or ``RA DEC SIZE``: a square of this side along the pixel axes, cut off
        at the rim of the image.
    image : Image
        With a celestial WCS for a place on the sky.

    Raises
    ------
    OptionError
        If it cannot be read, is not on the image, or the image has no sky.
    """
    words = text.split()
    if "," in text or len(words) != 3:
        return parse_roi(text, image.plane_shape)
    size = SIZE.fullmatch(words[2])
    side = float(size[1]) * ARCSEC[size[2].lower()] if size else 0
    if not 0 < side <= LARGEST:
        raise OptionError(f"--roi {text!r} ends in no size", ALLOWED)
    wcs, place = _wcs(text, image), _place(text, words[:2])
    with quiet(image.source):
        box = _box(text, image, wcs, _centre(text, image, wcs, place), side)
    (y0, x0), (y1, x1) = box.start, box.stop
    logger.info("--roi %s: %d:%d,%d:%d in input px", text, y0, y1, x0, x1)
    return box


def celestial(image: Image) -> Any:
    """The celestial WCS of an image, without lookup tables, which shift by a few px; or None."""
    from astropy.wcs import WCS

    if image.header is None:
        return None
    header = image.header.copy()
    for key in {key for key in header if LOOKUP.fullmatch(key)}:
        header.remove(key, remove_all=True)
    with quiet(image.source):
        found = WCS(header).celestial
    return found if found.has_celestial else None


def _wcs(text: str, image: Image) -> Any:
    found = celestial(image)
    if found is None:
        raise OptionError(
            f"--roi {text!r} is on the sky, but {image.source} has no celestial coordinates",
            "Y0:Y1,X0:X1 in input px",
        )
    return found


def _place(text: str, words: list[str]) -> Any:
    from astropy.coordinates import SkyCoord

    hours = bool(set(words[0]) & set(":hH"))
    try:
        return SkyCoord(words[0], words[1], unit=("hourangle" if hours else "deg", "deg"))
    except ValueError as error:
        raise OptionError(f"--roi {text!r} cannot be read ({error})", ALLOWED) from None


def _centre(text: str, image: Image, wcs: Any, place: Any) -> tuple[float, float]:
    """Pixels (y, x) of a place; NaN where the distortions cannot be inverted."""
    from astropy.wcs.utils import proj_plane_pixel_scales

    try:
        x, y = wcs.world_to_pixel(place)
        there = wcs.pixel_to_world(x, y)
    except ValueError:  # of frames that astropy does not know
        kinds = " and ".join(str(kind) for kind in wcs.wcs.ctype)
        raise OptionError(
            f"--roi {text!r} cannot be found on {image.source}, whose coordinates are {kinds}",
            "Y0:Y1,X0:X1 in input px",
        ) from None
    found = there.separation(place).deg < CLOSE * min(proj_plane_pixel_scales(wcs))
    return (float(y), float(x)) if found else (math.nan, math.nan)


def _box(text: str, image: Image, wcs: Any, centre: tuple[float, float], side: float) -> Box:
    from astropy.wcs.utils import proj_plane_pixel_scales

    whole = Box.of_shape(image.plane_shape)
    if all(map(math.isfinite, centre)):
        halves = [side / (3600 * scale) / 2 for scale in proj_plane_pixel_scales(wcs)[::-1]]
        start = tuple(math.floor(c - h + 0.5) for c, h in zip(centre, halves, strict=True))
        stop = tuple(math.ceil(c + h + 0.5) for c, h in zip(centre, halves, strict=True))
        box = Box(start, stop).intersect(whole)
        if box.size:
            if box != Box(start, stop):
                logger.warning("--roi %s sticks out of the image and is cut off at its rim", text)
            return box
    height, width = image.plane_shape
    raise OptionError(
        f"--roi {text!r} is not on the image of {height} x {width} px: its centre would be at"
        f" y {centre[0]:.0f}, x {centre[1]:.0f}",
        "places on the image; `sciup inspect` shows its size",
    )


__all__ = ["celestial", "find_roi"]
