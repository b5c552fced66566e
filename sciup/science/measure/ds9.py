"""Regions of DS9: circles, ellipses, boxes, polygons and points, in pixels or on the sky."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from sciup.errors import InputError
from sciup.science.measure.frame import Array, Frame
from sciup.science.measure.shapes import Ellipse, Polygon, Region, Shape

PIXELS = ("image", "physical")
REFUSED = "physical coordinates may be binned or shifted: save the regions in image or fk5"
FRAMES = {"fk5": "fk5", "j2000": "fk5", "icrs": "icrs", "galactic": "galactic"}
SIZES = {"circle": (3,), "ellipse": (5,), "box": (4, 5), "point": (2,), "polygon": range(6, 10000)}
UNITS = {'"': "arcsec", "'": "arcmin", "d": "deg", "r": "rad", "i": None}

ALLOWED = (
    "circle(x,y,r), ellipse(x,y,a,b,angle), box(x,y,w,h,angle), polygon(x1,y1,...) and point(x,y)"
    " in image (input px, from 1), fk5, icrs or galactic"
)
LINE = re.compile(
    r"(?P<sign>[+-]?)\s*(?P<shape>[a-z]+)\s*[(\s]\s*(?P<numbers>[^)]*)\)?$", re.IGNORECASE
)
TEXT = re.compile(r"text\s*=\s*(?:\{([^}]*)\}|\"([^\"]*)\"|'([^']*)')")


def parse(text: str, frame: Frame, name: str, radius: float | None = None) -> list[Region]:
    """The regions of a file of DS9.

    Parameters
    ----------
    text : str
        Content of the file.
    frame : Frame
    name : str
        Of the file, for errors.
    radius : float, optional
        For points, output px.

    Raises
    ------
    InputError
        With the number of the first line that cannot be used.
    """
    found: list[Region] = []
    for number, system, words, label in _lines(text):
        try:
            shape = _shape(words, system, frame, radius)
        except (ValueError, InputError) as error:
            what = error.what if isinstance(error, InputError) else str(error)
            raise InputError(f"{name}, line {number}, {words!r}: {what}", ALLOWED) from None
        found.append(Region(label or str(len(found) + 1), shape))
    return found


def _lines(text: str) -> Iterator[tuple[int, str, str, str]]:
    """Number, coordinate system, words and label of every region."""
    system = "image"
    for number, line in enumerate(text.splitlines(), 1):
        words, _, properties = line.partition("#")
        named = TEXT.search(properties)
        for part in (p.strip() for p in words.split(";")):
            low = part.lower()
            if low in (*PIXELS, *FRAMES):
                system = low
            elif part and not low.startswith("global"):
                label = next((g for g in named.groups() if g is not None), "") if named else ""
                yield number, system, part, label


def _shape(words: str, system: str, frame: Frame, radius: float | None) -> Shape:
    found = LINE.fullmatch(words)
    if found is None or found["shape"].lower() not in SIZES:
        raise ValueError("no region that can be measured")
    if system == "physical" or re.search(r"[\d.]p\b", found["numbers"]):
        raise ValueError(REFUSED)
    if found["sign"] == "-":
        raise ValueError("regions to leave out are not known here")
    kind, numbers = found["shape"].lower(), re.split(r"[,\s]+", found["numbers"].strip())
    if len(numbers) not in SIZES[kind] or (kind == "polygon" and len(numbers) % 2):
        raise ValueError(f"{len(numbers)} numbers")
    places = numbers if kind == "polygon" else numbers[:2]
    sky = None if system in PIXELS else _sky(places, FRAMES[system])
    at = frame.from_sky(sky) if sky is not None else frame.from_input(_pixels(places))
    if not np.isfinite(at).all():
        raise ValueError("it is not on this part of the sky")
    if kind == "polygon":
        return Polygon(at)
    centre = (float(at[0, 0]), float(at[0, 1]))
    if kind == "point":
        if radius is None:
            raise ValueError("a point has no size: give --radius")
        return Ellipse(centre, radius, radius)
    axes = None if sky is None else frame.jacobian(sky[0])
    turned = kind == "ellipse" or len(numbers) == 5
    lengths = [_length(n, frame, axes) for n in (numbers[2:-1] if turned else numbers[2:])]
    return _turned(kind, centre, lengths, float(numbers[-1]) if turned else 0.0, axes)


def _turned(
    kind: str, centre: tuple[float, float], lengths: list[float], degrees: float, axes: Array | None
) -> Shape:
    """A shape whose axes are turned from x, or from west where `axes` says where that is."""
    if not all(n > 0 for n in lengths):
        raise ValueError("a size that is not above 0")
    if kind == "circle":
        return Ellipse(centre, lengths[0], lengths[0])
    # DS9 turns against the clock: from x to y in pixels, from west to north on the sky
    turn = np.radians(degrees)
    along = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    ways = along[::-1] if axes is None else axes @ along
    ways = ways / np.linalg.norm(ways, axis=0)
    if kind == "ellipse":
        return Ellipse(centre, lengths[0], lengths[1], float(np.arctan2(*ways[:, 0])))
    steps = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * np.array(lengths) / 2
    return Polygon(np.array(centre) + steps @ ways.T)


def _pixels(numbers: list[str]) -> Array:
    """Input px (n, 2) as (y, x) from 0, of x, y from 1."""
    return np.array([float(n.rstrip("i")) for n in numbers]).reshape(-1, 2)[:, ::-1] - 1


def _sky(numbers: list[str], system: str) -> Any:
    from astropy.coordinates import SkyCoord

    hours = system != "galactic" and any(mark in numbers[0] for mark in ":h")
    pairs = [n if set(n) & set(":hms") else n.rstrip("d") for n in numbers]
    unit = ("hourangle" if hours else "deg", "deg")
    try:
        return SkyCoord(pairs[0::2], pairs[1::2], unit=unit, frame=system)
    except TypeError as error:  # of a longitude that says N or S
        raise ValueError(str(error)) from None


def _length(text: str, frame: Frame, axes: Array | None) -> float:
    """A size in output px; plain numbers are pixels, or degrees where there are `axes`.

    Examples
    --------
    >>> round(_length("0.1d", None, np.diag([200.0, 50.0])), 9)
    10.0
    """
    from astropy import units

    if not text:
        raise ValueError("a size is missing")
    plain = text[-1] not in UNITS
    value = float(text if plain else text[:-1])
    unit = (None if axes is None else "deg") if plain else UNITS[text[-1]]
    if unit is None or axes is None:
        return frame.length(value, unit)
    degrees = float((value * units.Unit(unit)).to_value("deg"))
    return degrees * float(np.sqrt(abs(np.linalg.det(axes))))


__all__ = ["parse"]
