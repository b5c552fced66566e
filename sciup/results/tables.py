"""Tables beside a result: ECSV, CSV or FITS by their suffix, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sciup.errors import OptionError, OutputError

if TYPE_CHECKING:
    from astropy.table import Table

FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits"}
"""ECSV keeps units, descriptions and provenance; FITS as comments; CSV keeps columns only."""


def check_place(path: Path, *, overwrite: bool, keep: str | Path | None = None) -> str:
    """Refuse a table that cannot be written, before anything is computed; returns its format.

    Parameters
    ----------
    path : Path
    overwrite : bool
        Whether an existing file may be replaced.
    keep : path, optional
        What is measured: never replaced.

    Raises
    ------
    OptionError
        If the suffix says no format, or this is what is measured.
    OutputError
        If there is such a file already, or no such folder.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise OptionError(f"{path} is no name for a table", ", ".join(FORMATS) + " at its end")
    if keep is not None and path.exists() and Path(keep).exists() and path.samefile(keep):
        raise OptionError(f"--out {path} is what is measured", "another name")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already", fix="choose another --out or add --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}", fix=f"make it: mkdir {path.parent}")
    return form


def write_table(path: Path, table: Table, *, overwrite: bool = False) -> Path:
    """Write a table, complete before it gets its name.

    Parameters
    ----------
    path : Path
        With a suffix of `FORMATS`.
    table : astropy.table.Table
        ``meta`` travels with ECSV and FITS.
    overwrite : bool
        Replace an existing file.

    Examples
    --------
    >>> import tempfile
    >>> from astropy.table import Table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_table(Path(folder) / "t.csv", Table({"flux": [1.5, 2.0]}))
    ...     path.read_text().split()
    ['flux', '1.5', '2.0']
    """
    form = check_place(path, overwrite=overwrite)
    growing = path.with_name(f".{path.name}.partial")
    table = for_fits(table) if form == "fits" else table
    try:
        table.write(growing, format=form, overwrite=True)
        growing.replace(path)
    except OSError as error:
        growing.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {error}") from error
    return path


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


__all__ = ["FORMATS", "check_place", "for_fits", "write_table"]
