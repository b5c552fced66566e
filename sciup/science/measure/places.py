"""Where is measured: regions, catalogues, labels, or the whole result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sciup.errors import InputError, OptionError
from sciup.image import Plane
from sciup.results.draws import Draws
from sciup.science.measure.ds9 import parse
from sciup.science.measure.frame import Frame
from sciup.science.measure.labels import label_regions
from sciup.science.measure.shapes import Region, Whole
from sciup.science.measure.tables import catalogue, napari_shapes, read_table

WAYS = "--regions FILE, --catalog FILE or --labels FILE"


def find_regions(
    draws: Draws,
    plane: Plane,
    largest: int,
    *,
    regions: Any = None,
    catalog: Any = None,
    labels: Any = None,
    radius: str | float | None = None,
) -> list[Region]:
    """The regions asked for.

    Parameters
    ----------
    draws : Draws
    plane : tuple of int
        Labels and shapes of napari may differ from plane to plane.
    largest : int
        Output pixels of a region that can be measured.
    regions, catalog, labels : optional
        One of them, see `sciup.measure`; the whole result without any.
    radius : float or str, optional
        Of the circles of a catalogue and of points.

    Raises
    ------
    OptionError
        If several are given, or none and the result is large.
    InputError
        If what is given cannot be used.
    """
    given = [name for name, x in (("regions", regions), ("catalog", catalog), ("labels", labels))
             if x is not None]  # fmt: skip
    if len(given) > 1:
        raise OptionError(f"{' and '.join(f'--{g}' for g in given)} were given", f"one of {WAYS}")
    frame = Frame(draws)
    size = frame.radius(radius)
    if labels is not None:
        found, name = label_regions(labels, draws, plane), "the label image"
    elif catalog is not None:
        table = read_table(Path(catalog)) if isinstance(catalog, str | Path) else catalog
        name = str(catalog) if table is not catalog else "the catalogue"
        found = catalogue(table, frame, name, size, plane)
    elif regions is not None:
        found, name = _drawn(regions, frame, plane, size)
    else:
        return _whole(draws, largest)
    if not found:
        raise InputError(f"{name} holds nothing to measure", "one region or more")
    return found


def _drawn(source: Any, frame: Frame, plane: Plane, radius: float | None) -> Any:
    """Regions of DS9 or of napari, by the content, or as they are; and their name."""
    if not isinstance(source, str | Path):
        return list(source), "the list of regions"
    text = str(source)
    if isinstance(source, str) and ("(" in source or "\n" in source):
        return parse(text, frame, "the regions", radius), "the list of regions"
    path = Path(source)
    if path.suffix.lower() == ".csv":
        table = read_table(path)
        if "shape-type" in table.colnames:
            return napari_shapes(table, frame, text, plane), text
        return catalogue(table, frame, text, radius, plane), text
    try:
        return parse(path.read_text(encoding="utf-8"), frame, text, radius), text
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the regions {path} cannot be read: {error}", "a region file of DS9, or napari's CSV"
        ) from None


def _whole(draws: Draws, largest: int) -> list[Region]:
    h, w = draws.plane_shape
    if h * w > largest:
        raise OptionError(
            f"{draws.name} has {h} x {w} px, too many for one region",
            f"{WAYS}; without, results of up to {largest} px",
        )
    return [Region("all", Whole((h, w)))]


__all__ = ["find_regions"]
