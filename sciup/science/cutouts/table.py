"""The table of the stamps, and how it gets into a result."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.io._fits_cards import carried_header
from sciup.io._fits_clean import logger, quiet
from sciup.io._zarr_sums import OWN, file_sum, own_sum
from sciup.results.tables import for_fits

if TYPE_CHECKING:
    from astropy.table import Table

    from sciup.api import Result

NAME = "CUTOUTS"
"""Extension of the table in FITS."""

FIELD = "FIELD"
"""Extension without data whose header has the coordinates of the whole field, output pixels."""

FILE = "cutouts.ecsv"
"""The table in an OME-Zarr result."""

ALTERNATE = re.compile(
    r"(WCS(AXES|NAME)|C(TYPE|RPIX|RVAL|DELT|UNIT|ROTA)\d+|(CD|PC|PV|PS)\d+_\d+)[A-Z]"
)
ROUND = {"y": 4, "x": 4, "ra": 8, "dec": 8}


def field_header(result: Result) -> Any:
    """Header of the whole field in output pixels; None without a celestial WCS.

    World coordinates that need tables are left out, because a stamp would need tables of its own.
    """
    job = result.job
    if job.image.header is None:
        return None
    try:
        with quiet(job.image.source):
            header = carried_header(job.layout)
    except InputError as error:
        logger.warning("the stamps have no world coordinates: %s", error.what)
        return None
    if any(re.match(r"CPDIS|D2IMDIS", key) for key in header):
        logger.warning(
            "the stamps have no world coordinates: those of the input need tables, without which"
            " positions on the sky may be off by a few px"
        )
        return None
    for key in {key for key in header if ALTERNATE.fullmatch(key)}:
        header.remove(key, remove_all=True)
    return header if "CRPIX1" in header else None


def make_table(
    result: Result, ids: list[str], centres: NDArray[np.float64], corners: Any, size: int
) -> Table:
    """One row for each stamp.

    Parameters
    ----------
    result : Result
        Of the whole field.
    ids : list of str
    centres : ndarray (n, 2)
        Input px (y, x); NaN where a row of the catalogue says no place.
    corners : sequence of (int, int)
        First input pixel of every stamp.
    size : int
        Side, input px.
    """
    from astropy.table import Table

    table = Table({"id": np.array(ids, "U") if ids else np.empty(0, "U1")})
    for k, axis in enumerate("yx"):
        table[axis] = np.round(centres[:, k], ROUND[axis])
        table[axis].description = f"position along {axis}, input px from 0"
    for k, axis in enumerate("yx"):
        table[f"{axis}0"] = np.array([corner[k] for corner in corners], np.int64)
        table[f"{axis}0"].description = f"first input px of the stamp along {axis}"
    header = field_header(result)
    if header is not None:
        _add_sky(table, header, result.job.model.scale, centres)
        table.meta["field_header"] = header.tostring(sep="\n", endcard=False, padding=False)
    table["flag"] = _flags(centres, corners, size, result.job.image.plane_shape)
    table["flag"].description = "empty: whole; rim: a part is outside of the image and NaN; outside"
    table.meta["size"] = size
    return table


def _add_sky(table: Table, header: Any, scale: int, centres: NDArray[np.float64]) -> None:
    """Right ascension, declination, and the CRPIX of every stamp."""
    from astropy.wcs import WCS

    with quiet("world coordinates"):
        wcs = WCS(header).celestial
        if not wcs.has_celestial:
            return
        fine = (centres + 0.5) * scale - 0.5
        known = np.isfinite(fine).all(1)
        degrees = np.full(fine.shape, np.nan)
        if known.any():
            place = wcs.pixel_to_world(fine[known, 1], fine[known, 0]).icrs
            degrees[known] = np.stack([place.ra.deg, place.dec.deg], -1)
    for k, name in enumerate(("ra", "dec")):
        table[name] = np.round(degrees[:, k], ROUND[name])
        table[name].unit, table[name].description = "deg", "of the position, ICRS"
    for n, axis in ((1, "x"), (2, "y")):
        table[f"crpix{n}"] = header[f"CRPIX{n}"] - scale * np.asarray(table[f"{axis}0"], float)
        table[
            f"crpix{n}"
        ].description = f"goes in the place of CRPIX{n} of {FIELD}, output px from 1"


def _flags(
    centres: NDArray[np.float64], corners: Any, size: int, shape: tuple[int, int]
) -> NDArray[np.str_]:
    start = np.array(corners, np.int64).reshape(-1, 2)
    outside = ((start + size <= 0) | (start >= shape)).any(1)
    rim = ((start < 0) | (start + size > shape)).any(1)
    unknown = ~np.isfinite(centres).all(1)
    return np.select([unknown, outside, rim], ["no position", "outside", "rim"], "").astype("U11")


def add_table(table: Table, path: Path) -> None:
    """Add the table to a finished result that has not its name yet."""
    (_to_zarr if path.is_dir() else _to_fits)(table, path)


def _to_fits(table: Table, path: Path) -> None:
    from astropy.io import fits

    plain = table.copy()
    text = plain.meta.pop("field_header", None)
    hdus = [fits.table_to_hdu(for_fits(plain))]
    hdus[0].name = NAME
    if text is not None:
        hdus.append(fits.ImageHDU(header=fits.Header.fromstring(text, sep="\n"), name=FIELD))
    with quiet(str(path)), fits.open(path, mode="append", memmap=True) as file:
        for hdu in hdus:
            hdu.add_checksum()
            file.append(hdu)
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def _to_zarr(table: Table, path: Path) -> None:
    """Beside the maps, with a checksum in the root like the other small files."""
    table.write(path / FILE, format="ascii.ecsv", overwrite=True)
    root = path / "zarr.json"
    document = json.loads(root.read_text(encoding="utf-8"))
    about = document["attributes"]["sciup"]
    about["files"][FILE] = file_sum(path / FILE)
    about[OWN] = own_sum(document["attributes"])
    part = path / "zarr.json.part"
    part.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
    part.replace(root)


__all__ = ["FIELD", "FILE", "NAME", "add_table", "make_table"]
