"""The region of interest that a region file of DS9 names."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.image import Image
from sciup.io._sky_roi import celestial
from sciup.results.sky import Sky
from sciup.science.measure.ds9 import parse
from sciup.science.measure.frame import Frame

logger = logging.getLogger("sciup")

ALLOWED = "one box, circle, ellipse or polygon of DS9, in image, fk5, icrs or galactic coordinates"
SHOWN = 5
"""Regions that an error names."""


@dataclass(frozen=True)
class OnImage:
    """The pixels of an image, for a `Frame`: scale 1, all of it."""

    name: str
    sky: Sky | None
    region: Box
    pixel: tuple[float, str] | None = None
    scale: int = 1

    @classmethod
    def of(cls, image: Image) -> OnImage:
        """Those of an image; sky None without celestial coordinates."""
        wcs = celestial(image)
        sky = None if wcs is None else Sky(wcs)
        size, unit = image.grid.size, image.grid.unit
        pixel = None if size is None or unit is None else ((size[0] * size[1]) ** 0.5, unit)
        return cls(image.source, sky, Box.of_shape(image.plane_shape), pixel)


def region_of(text: str | None, image: Image) -> str | Box | None:
    """The box around the region of a file ``NAME.reg``; any other text as it is.

    Parameters
    ----------
    text : str or None
        As given to ``--roi``.
    image : Image

    Returns
    -------
    Box, str or None
        All input pixels that the region touches, cut off at the rim of the image; what is no
        region file is left to `sciup.upscale`.

    Raises
    ------
    InputError
        If the file cannot be read.
    OptionError
        If it holds no region or several, or one that is not on the image.
    """
    if text is None or not text.lower().endswith(".reg"):
        return text
    path = Path(text).expanduser()
    try:
        words = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the regions {path} cannot be read: {error}", ALLOWED) from None
    try:
        found = parse(words, Frame(OnImage.of(image)), text)
    except InputError as error:  # measuring gives points a size
        raise InputError(error.what.replace(": give --radius", ""), ALLOWED) from None
    if len(found) != 1:
        names = ", ".join(r.id for r in found[:SHOWN]) + (" ..." if len(found) > SHOWN else "")
        raise OptionError(
            f"--roi {text} holds {len(found)} regions" + (f": {names}" if names else ""), ALLOWED,
            "keep one of them; for many places see sciup cutouts",
        )  # fmt: skip
    return _on(image, text, found[0].shape.box)


def _on(image: Image, text: str, wide: Box) -> Box:
    """The part of a box that lies on the image."""
    box = wide.intersect(Box.of_shape(image.plane_shape))
    (y0, x0), (y1, x1) = wide.start, wide.stop
    if not box.size:
        h, w = image.plane_shape
        raise OptionError(
            f"--roi {text} is not on the image of {h} x {w} px: it is {y0}:{y1},{x0}:{x1}",
            "regions on the image; `sciup inspect` shows its size",
        )
    if box != wide:
        logger.warning("--roi %s sticks out of the image and is cut off at its rim", text)
    (y0, x0), (y1, x1) = box.start, box.stop
    logger.info("--roi %s: %d:%d,%d:%d in input px", text, y0, y1, x0, x1)
    return box


__all__ = ["region_of"]
