"""Regions of an image by a place on the sky: ``RA DEC SIZE``."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from sciup.errors import OptionError
from sciup.geometry import Box
from sciup.image import Image, parse_roi
from sciup.io._fits_cards import wcs_tables
from sciup.io._fits_clean import open_hdus, quiet
from sciup.io._fits_files import Hdu
from sciup.io._wcs import lookup_cards

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


@dataclass(frozen=True)
class Ground:
    """Where a region is looked for: on an image, or on a result of a part of it.

    Attributes
    ----------
    name : str
        Of the file, for people.
    words : str
        What it is, for people.
    region : Box
        Input pixels that there are.
    scale : int
        Pixels of the grid on which a region is found, per input pixel along each axis.
    """

    name: str
    words: str
    region: Box
    scale: int = 1

    @classmethod
    def of(cls, image: Image) -> Ground:
        """All of an image."""
        height, width = image.plane_shape
        whole = Box.of_shape(image.plane_shape)
        return cls(image.source, f"the image of {height} x {width} px", whole)

    def inputs(self, text: str, box: Box) -> Box:
        """Input pixels that hold a box of the grid, cut off at the rim; they are told.

        Raises
        ------
        OptionError
            If none is there.
        """
        wide = box.coarsened(self.scale).shifted(self.region.start)
        found = wide.intersect(self.region)
        if not found.size:
            raise OptionError(
                f"--roi {text} is not on {self.words}: it is {_words(wide)}",
                f"places inside {_words(self.region)} in input px",
            )
        if found != wide:
            logger.warning("--roi %s sticks out of %s and is cut off at its rim", text, self.words)
        logger.info("--roi %s: %s in input px", text, _words(found))
        return found


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
    if is_on_sky(text):
        return find_on_sky(text, Ground.of(image), celestial(image))
    return parse_roi(text, image.plane_shape)


def is_on_sky(text: str) -> bool:
    """Whether a region is meant as ``RA DEC SIZE``.

    Examples
    --------
    >>> is_on_sky("150.1 2.2 30arcsec"), is_on_sky("0:20, 0:20")
    (True, False)
    """
    return "," not in text and len(text.split()) == 3


def find_on_sky(text: str, ground: Ground, wcs: Any) -> Box:
    """Input pixels (y, x) of ``RA DEC SIZE``.

    Parameters
    ----------
    text : str
    ground : Ground
    wcs : astropy.wcs.WCS or None
        Celestial, of the pixels of the ground's grid.

    Raises
    ------
    OptionError
        If it cannot be read, is not on the ground, or there is no sky.
    """
    from astropy.wcs.utils import proj_plane_pixel_scales

    words = text.split()
    size = SIZE.fullmatch(words[2])
    side = float(size[1]) * ARCSEC[size[2].lower()] if size else 0
    if not 0 < side <= LARGEST:
        raise OptionError(f"--roi {text!r} ends in no size", ALLOWED)
    if wcs is None:
        raise OptionError(
            f"--roi {text!r} is on the sky, but {ground.name} has no celestial coordinates",
            "Y0:Y1,X0:X1 in input px",
        )
    with quiet(ground.name):
        centre = _centre(text, ground, wcs, _place(text, words[:2]))
        halves = [side / (3600 * pixel) / 2 for pixel in proj_plane_pixel_scales(wcs)[::-1]]
    start = tuple(math.floor(c - h + 0.5) for c, h in zip(centre, halves, strict=True))
    stop = tuple(math.ceil(c + h + 0.5) for c, h in zip(centre, halves, strict=True))
    return ground.inputs(repr(text), Box(start, stop))


def celestial(image: Image) -> Any:
    """The celestial WCS of an image, with its lookup tables; or None.

    Tables that are not there, or of a kind that astropy does not know, are left out and told.
    """
    from astropy.wcs import WCS

    if image.header is None:
        return None
    header, tables = image.header.copy(), wcs_tables(image)
    if not _complete(header, tables):
        cards = {key for key in header if LOOKUP.fullmatch(key)}
        if cards:
            logger.warning(
                "%s: places on the sky are found without lookup tables, and may be off by some px",
                image.source,
            )
        for key in cards:
            header.remove(key, remove_all=True)
    with ExitStack() as stack:
        stack.enter_context(quiet(image.source))
        file = stack.enter_context(open_hdus(tables[0].path, memmap=False)) if tables else None
        found = WCS(header, file).celestial
    return found if found.has_celestial else None


def _complete(header: Any, tables: Sequence[Hdu]) -> bool:
    """Whether all lookup tables are in the file, and are such as astropy reads."""
    cards = [key for key in lookup_cards(header) if not key.startswith("CTYPE")]
    known = all(
        key.startswith(("CPDIS", "D2IMDIS")) and str(header[key]).strip().upper() == "LOOKUP"
        for key in cards
    )
    return known and sum(table.is_image for table in tables) >= len(cards)


def _place(text: str, words: list[str]) -> Any:
    from astropy.coordinates import SkyCoord

    hours = bool(set(words[0]) & set(":hH"))
    try:
        return SkyCoord(words[0], words[1], unit=("hourangle" if hours else "deg", "deg"))
    except ValueError as error:
        raise OptionError(f"--roi {text!r} cannot be read ({error})", ALLOWED) from None


def _centre(text: str, ground: Ground, wcs: Any, place: Any) -> tuple[float, float]:
    """Pixels (y, x) of a place, on the grid of the ground."""
    from astropy.wcs.utils import proj_plane_pixel_scales

    try:
        x, y = wcs.world_to_pixel(place)
        there = wcs.pixel_to_world(x, y)
    except ValueError:  # of frames that astropy does not know
        kinds = " and ".join(str(kind) for kind in wcs.wcs.ctype)
        raise OptionError(
            f"--roi {text!r} cannot be found on {ground.name}, whose coordinates are {kinds}",
            "Y0:Y1,X0:X1 in input px",
        ) from None
    apart = there.separation(place).deg / min(proj_plane_pixel_scales(wcs)) / ground.scale
    if not apart < CLOSE:  # behind the projection, or of distortions that cannot be inverted
        raise OptionError(
            f"--roi {text!r} is not on {ground.words}: its sky does not reach there",
            f"places inside {_words(ground.region)} in input px",
        )
    return float(y), float(x)


def _words(box: Box) -> str:
    (y0, x0), (y1, x1) = box.start, box.stop
    return f"{y0}:{y1},{x0}:{x1}"


__all__ = ["Ground", "celestial", "find_on_sky", "find_roi", "is_on_sky"]
