"""Where more exposure would help most, as a table and as regions for DS9."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciup.geometry import Box
from sciup.report.finished import Finished
from sciup.report.survey import Place

COLUMNS = (
    "rank", "plane", "y", "x", "y0", "y1", "x0", "x1", "area", "summed_risk", "mean_risk",
    "peak_risk", "ra", "dec",
)  # fmt: skip
"""Of the CSV file. Positions and areas are in input pixels, counted from 0; degrees of FK5."""


@dataclass(frozen=True)
class Sky:
    """World coordinates of the output pixels."""

    wcs: Any

    @classmethod
    def of(cls, done: Finished) -> Sky | None:
        """Those of the result; None without, or where they cannot be read."""
        from astropy.wcs import WCS

        from sciup.io._fits_clean import open_hdus, quiet

        try:
            with quiet(str(done.path)):
                if done.path.is_dir():
                    wcs = WCS(_header(done.path)).celestial
                else:
                    first = next(name for name in done.maps if name != "samples")
                    with open_hdus(str(done.path), memmap=False) as hdus:
                        wcs = WCS(hdus[first.upper()].header, hdus).celestial
        except (ValueError, KeyError, AttributeError, TypeError):
            return None
        return cls(wcs) if wcs.has_celestial else None

    def degrees(self, y: float, x: float) -> tuple[float, float]:
        """Right ascension and declination, FK5, of an output pixel counted from 0."""
        from sciup.io._fits_clean import quiet

        with quiet("world coordinates"):
            place = self.wcs.pixel_to_world(x, y).fk5
        return float(place.ra.deg), float(place.dec.deg)


def _header(path: Path) -> Any:
    """The header that an OME-Zarr result of a FITS image carries."""
    import zarr
    from astropy.io import fits
    from zarr.storage import LocalStore

    about: Any = zarr.open_group(LocalStore(path, read_only=True), mode="r").attrs["sciup"]
    return fits.Header.fromstring(about["fits_header"], sep="\n")


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
    lines = ["# Region file format: DS9", "fk5" if sky else "image"]
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
