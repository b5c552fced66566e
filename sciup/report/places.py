"""Where more exposure would help most, as a table and as regions for DS9."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from sciup.geometry import Box
from sciup.report.survey import Place
from sciup.results.finished import Finished
from sciup.results.sky import Sky

COLUMNS = (
    "rank", "plane", "y", "x", "y0", "y1", "x0", "x1", "area", "summed_risk", "mean_risk",
    "peak_risk", "ra", "dec",
)  # fmt: skip
"""Of the CSV file. Positions and areas are in input pixels, counted from 0; degrees are ICRS."""


def input_pixel(done: Finished, y: float, x: float) -> tuple[float, float]:
    """Position in input pixels, counted from 0, of a position in output pixels."""
    start, s = done.region.start, done.scale
    return (y + 0.5) / s - 0.5 + start[0], (x + 0.5) / s - 0.5 + start[1]


def input_box(done: Finished, box: Box) -> Box:
    """Input pixels that hold a box of output pixels."""
    return box.coarsened(done.scale).shifted(done.region.start)


def rows(done: Finished, places: list[Place], sky: Sky | None) -> list[dict[str, Any]]:
    """One row per place, keys from `COLUMNS`."""
    found = []
    for rank, place in enumerate(places, 1):
        y, x = input_pixel(done, *place.centre)
        box = input_box(done, place.box)
        ra, dec = sky.degrees(*place.centre) if sky else (None, None)
        values = (
            rank,
            " ".join(map(str, place.plane)),
            round(y, 2),
            round(x, 2),
            *(box.start[0], box.stop[0], box.start[1], box.stop[1]),
            round(place.area / done.scale**2, 2),
            round(place.total, 1),
            round(place.mean, 3),
            round(place.peak, 3),
            "" if ra is None else round(ra, 6),
            "" if dec is None else round(dec, 6),
        )
        found.append(dict(zip(COLUMNS, values, strict=True)))
    return found


def write_csv(path: Path, table: list[dict[str, Any]]) -> None:
    """The table, one line per place."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def write_regions(path: Path, done: Finished, places: list[Place], sky: Sky | None) -> None:
    """Regions for DS9: on the sky, or pixels of the input counted from 1."""
    lines = ["# Region file format: DS9", "icrs" if sky else "image"]
    for rank, place in enumerate(places, 1):
        plane = f", plane {' '.join(map(str, place.plane))}" if place.plane else ""
        label = f"# text={{{rank}: risk {place.mean:.2f}{plane}}}"
        lines.append(f"{_corners(done, place.box, sky)} {label}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _corners(done: Finished, box: Box, sky: Sky | None) -> str:
    """The outline of a box in the words of DS9."""
    if sky is None:
        part = input_box(done, box)
        (y0, x0), (y1, x1) = part.start, part.stop
        return f"box({(x0 + x1 + 1) / 2:g},{(y0 + y1 + 1) / 2:g},{x1 - x0},{y1 - y0},0)"
    (y0, x0), (y1, x1) = box.start, box.stop
    edges = [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]
    turned = [sky.degrees(y - 0.5, x - 0.5) for y, x in edges]
    return "polygon(" + ",".join(f"{a:.7f},{d:.7f}" for a, d in turned) + ")"
