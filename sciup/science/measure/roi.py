"""The region of interest that ``--roi`` names: in pixels, on the sky, or by a file of DS9."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.image import Image, parse_roi
from sciup.io._sky_roi import Ground, celestial, find_on_sky, is_on_sky
from sciup.results.draws import Draws
from sciup.results.finished import Finished
from sciup.results.sky import Sky
from sciup.science.measure.ds9 import parse
from sciup.science.measure.frame import Frame, Placed

ALLOWED = "one box, circle, ellipse or polygon of DS9, in image, fk5, icrs or galactic coordinates"
SHOWN = 5
"""Regions that an error names."""


@dataclass(frozen=True)
class OnImage:
    """Pixels that have a place, for a `Frame`."""

    name: str
    sky: Sky | None
    region: Box
    pixel: tuple[float, str] | None = None
    scale: int = 1

    @classmethod
    def of(cls, image: Image) -> OnImage:
        """All of an image; sky None without celestial coordinates."""
        wcs = celestial(image)
        sky = None if wcs is None else Sky(wcs)
        size, unit = image.grid.size, image.grid.unit
        pixel = None if size is None or unit is None else ((size[0] * size[1]) ** 0.5, unit)
        return cls(image.source, sky, Box.of_shape(image.plane_shape), pixel)

    @classmethod
    def of_result(cls, done: Finished) -> OnImage:
        """Those of a result."""
        size = None if done.pixel is None else (done.pixel[0] / done.scale, done.pixel[1])
        return cls(str(done.path), Sky.of(done), done.region, size, done.scale)


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
    if text is None or not _names_file(text):
        return text
    return Ground.of(image).inputs(text, _outline(text, Frame(OnImage.of(image))))


def region_of_result(text: str, result: Finished | Draws) -> Box:
    """Input pixels of a result that ``--roi`` names in any of its forms.

    Parameters
    ----------
    text : str
        ``Y0:Y1,X0:X1`` in input px, ``RA DEC SIZE``, or a region file ``NAME.reg``. The latter two
        are found with the world coordinates of the result, and cut off at its rim.
    result : Finished or Draws

    Returns
    -------
    Box
        Inside the result's region, counted from the first pixel of the input.

    Raises
    ------
    InputError
        If the file cannot be read, or is on the sky and the result is not.
    OptionError
        If it cannot be read, is not inside the result, or the result has no sky.
    """
    placed: Placed
    if isinstance(result, Finished):
        placed, shape = OnImage.of_result(result), result.facts["fingerprint"]["shape"][-2:]
    else:
        placed, shape = result, result.input_shape
    (y0, x0), (y1, x1) = placed.region.start, placed.region.stop
    covered = f"{y0}:{y1},{x0}:{x1}"
    ground = Ground(placed.name, f"the result of {covered}", placed.region, placed.scale)
    if _names_file(text):
        return ground.inputs(text, _outline(text, Frame(placed)))
    if is_on_sky(text):
        return find_on_sky(text, ground, placed.sky and placed.sky.wcs)
    box = parse_roi(text, (shape[0], shape[1]))
    if not placed.region.contains(box):
        raise OptionError(f"--roi {text!r} is not inside the result", covered)
    return box


def _names_file(text: str) -> bool:
    return text.lower().endswith(".reg")


def _outline(text: str, frame: Frame) -> Box:
    """The box around the one region of a file, in pixels of the frame."""
    path = Path(text).expanduser()
    try:
        words = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the regions {path} cannot be read: {error}", ALLOWED) from None
    try:
        found = parse(words, frame, text)
    except InputError as error:  # measuring gives points a size
        raise InputError(error.what.replace(": give --radius", ""), ALLOWED) from None
    if len(found) != 1:
        names = ", ".join(r.id for r in found[:SHOWN]) + (" ..." if len(found) > SHOWN else "")
        raise OptionError(
            f"--roi {text} holds {len(found)} regions" + (f": {names}" if names else ""), ALLOWED,
            "keep one of them; for many places see sciup cutouts",
        )  # fmt: skip
    return found[0].shape.box


__all__ = ["OnImage", "region_of", "region_of_result"]
