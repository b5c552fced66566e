"""Write a table of measurements: FITS holds less than a table does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sciup.results.tables import write_table

if TYPE_CHECKING:
    from astropy.table import Table


def write_measurements(path: Path, table: Table, *, overwrite: bool = False) -> Path:
    """Write a table of `sciup.measure` as ECSV, CSV or FITS, by its suffix."""
    fits = path.suffix.lower() == ".fits"
    return write_table(path, for_fits(table) if fits else table, overwrite=overwrite)


def for_fits(table: Table) -> Table:
    """The table with all that FITS has no cards for as comments: provenance, and units.

    Examples
    --------
    >>> from astropy.table import Table
    >>> table = Table({"flux": [1.5]}, units={"flux": "electron"}, meta={"seed": 3})
    >>> for_fits(table).meta
    {'comments': ['seed: 3', 'flux is in electron']}
    """
    told = [f"{key}: {value}" for key, value in table.meta.items()]
    out = table.copy()
    for name in out.colnames:
        unit = out[name].unit
        try:
            if unit is not None:
                unit.to_string("fits")
        except ValueError:
            told.append(f"{name} is in {unit}")
            out[name].unit = None
    # cards hold ASCII only
    out.meta = {"comments": [line.encode("ascii", "replace").decode() for line in told]}
    return out


__all__ = ["for_fits", "write_measurements"]
