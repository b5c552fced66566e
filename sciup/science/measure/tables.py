"""Places from tables: catalogues, and shapes and points as napari saves them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciup.errors import InputError, OptionError
from sciup.image import Plane
from sciup.science.measure.frame import Array, Frame
from sciup.science.measure.shapes import Ellipse, Polygon, Region, Shape

if TYPE_CHECKING:
    from astropy.table import Table

FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits", ".fit": "fits"}
COLUMNS = "columns ra and dec (degrees, ICRS), or y and x (input px from 0); also id and radius"
NOWHERE = (-1e6, -1e6)
"""Far outside of any result."""

NAPARI = ("index", "shape-type", "vertex-index")


def read_table(path: Path) -> Table:
    """A table by its suffix.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    import warnings

    from astropy.table import Table

    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise InputError(f"{path} is no table by its name", ", ".join(FORMATS))
    if not path.is_file():
        raise InputError(f"there is no file {path}", "a table: " + ", ".join(FORMATS))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Table.read(path, format=form)
    except Exception as error:  # noqa: BLE001 - astropy's readers raise what they like
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path} cannot be read as a table: {reason[0]}") from None


def catalogue(
    table: Table, frame: Frame, name: str, radius: float | None, plane: Plane = ()
) -> list[Region]:
    """Circles around the rows of a catalogue.

    Parameters
    ----------
    table : Table
        See `COLUMNS`; small and capital letters are the same. The sky wins where there are world
        coordinates, since it means the same place in every image.
    frame : Frame
    name : str
        For errors.
    radius : float, optional
        Output px; goes before the column.
    plane : tuple of int
        Points of napari on other planes are left out.
    """
    columns = {str(c).lower(): table[c] for c in table.colnames}
    places = _places(columns, frame, name)
    radii = _radii(columns, frame, name, len(table), radius)
    ids = columns.get("id", np.arange(1, len(table) + 1))
    found = []
    steps = _steps(columns, name)
    for i, (number, place, size) in enumerate(zip(ids, places, radii, strict=True)):
        if steps is not None and _elsewhere(steps[i : i + 1], plane):
            continue
        # a row that says no place is kept, so that the table has the rows of the catalogue
        known = np.isfinite(place).all() and np.isfinite(size) and size > 0
        centre = (float(place[0]), float(place[1])) if known else NOWHERE
        r = float(size) if known else 1.0
        found.append(Region(str(number), Ellipse(centre, r, r)))
    return found


def _places(columns: dict[str, Any], frame: Frame, name: str) -> Array:
    """Output px (n, 2)."""
    if {"ra", "dec"} <= set(columns) and (frame.draws.sky or "y" not in columns):
        from astropy.coordinates import SkyCoord

        # tables of other programs, and early ones of sciup, say so where they are FK5
        told = str(getattr(columns["ra"], "description", "") or "")
        pair = [_numbers(columns[c], name, "deg") for c in ("ra", "dec")]
        if not ((np.abs(pair[1]) <= 90) | np.isnan(pair[1])).all():
            raise InputError(f"{name} has declinations beyond 90 degrees", COLUMNS)
        return frame.from_sky(SkyCoord(*pair, unit="deg", frame="fk5" if "FK5" in told else "icrs"))
    if {"y", "x"} <= set(columns):
        return frame.from_input(np.stack([_numbers(columns[c], name) for c in ("y", "x")], -1))
    axes = _axes(columns)
    if len(axes) >= 2:
        return frame.from_input(np.stack([_numbers(columns[c], name) for c in axes[-2:]], -1))
    raise InputError(f"{name} has the columns {', '.join(columns) or '(none)'}", COLUMNS)


def _axes(names: Iterable[str]) -> list[str]:
    """Columns of napari: axis-0 and so on, y and x last."""
    return sorted((c for c in names if re.fullmatch(r"axis-\d+", c)), key=lambda c: int(c[5:]))


def _steps(columns: dict[str, Any], name: str) -> Array | None:
    """Places (n, axes) of points of napari, which lie on planes; None for other catalogues."""
    axes = _axes(columns)
    if len(axes) < 3 or {"ra", "dec"} <= set(columns) or {"y", "x"} <= set(columns):
        return None
    return np.stack([_numbers(columns[c], name) for c in axes], -1)


def _radii(columns: Any, frame: Frame, name: str, n: int, radius: float | None) -> Array:
    if radius is not None:
        return np.full(n, radius)
    if "radius" not in columns:
        raise OptionError(
            f"{name} has no column radius",
            "--radius for all, or a column radius in input px or with a unit",
        )
    unit = getattr(columns["radius"], "unit", None)
    step = frame.length(1.0, None if unit is None else str(unit))
    return _numbers(columns["radius"], name) * step


def _numbers(column: Any, name: str, unit: str | None = None) -> Array:
    """A column as numbers, NaN where it is masked or empty."""
    try:
        if unit is not None and getattr(column, "unit", None) is not None:
            column = column.to(unit) if hasattr(column, "to") else column.quantity.to(unit)
        plain: Any = np.ma.asarray(getattr(column, "value", column))
        return np.asarray(plain.astype(np.float64).filled(np.nan))
    except (TypeError, ValueError, AttributeError):
        what = getattr(getattr(column, "info", None), "name", "a column")
        raise InputError(f"{name}: {what} holds no numbers", COLUMNS) from None


def napari_shapes(table: Table, frame: Frame, name: str, plane: Plane) -> list[Region]:
    """Shapes as napari saves them: one row for each corner, (y, x) in input px.

    Shapes on other planes of a stack are left out.
    """
    axes = _axes(table.colnames)
    if len(axes) < 2 or "index" not in table.colnames:
        raise InputError(
            f"{name} has the columns {', '.join(table.colnames)}",
            f"a shapes layer as napari saves it: {', '.join(NAPARI)}, axis-0, axis-1",
        )
    corners = np.stack([_numbers(table[c], name) for c in axes], -1)
    index = np.asarray(table["index"])
    found = []
    for number in dict.fromkeys(index.tolist()):
        rows = np.flatnonzero(index == number)
        if _elsewhere(corners[rows], plane):
            continue
        kind = str(table["shape-type"][rows[0]]).strip().lower()
        places = frame.from_input(corners[rows][:, -2:])
        found.append(Region(str(number), shape_of(kind, places, f"{name}, shape {number}")))
    return found


def _elsewhere(corners: Array, plane: Plane) -> bool:
    """Whether a shape says on which plane it is, and that is another one."""
    steps = corners[0, :-2]
    n = min(len(steps), len(plane))
    return bool(n and np.any(np.rint(steps[-n:]) != np.array(plane[-n:])))


def shape_of(kind: str, corners: Array, name: str) -> Shape:
    """A shape of napari.

    Parameters
    ----------
    kind : str
        ``rectangle``, ``ellipse`` or ``polygon``; lines and paths have no area.
    corners : ndarray (n, 2)
        Output px; of an ellipse, those of the rectangle around it.
    name : str
        For errors.

    Raises
    ------
    InputError
        If it cannot be measured.
    """
    if kind in ("line", "path") or kind not in ("rectangle", "ellipse", "polygon"):
        raise InputError(f"{name} is a {kind} and has no area", "rectangle, ellipse, polygon")
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise InputError(f"{name} has {len(corners)} corners", "three or more")
    if kind != "ellipse":
        return Polygon(corners)
    if len(corners) != 4:
        raise InputError(f"{name} has {len(corners)} corners", "four around an ellipse")
    along, across = corners[1] - corners[0], corners[2] - corners[1]
    y, x = corners.mean(0)
    a, b = (float(np.hypot(*side) / 2) for side in (along, across))
    return Ellipse((float(y), float(x)), a, b, float(np.arctan2(along[0], along[1])))


__all__ = ["catalogue", "napari_shapes", "read_table", "shape_of"]
