"""Tables beside a result: ECSV, CSV or FITS by their suffix, whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sciup.errors import OptionError, OutputError

if TYPE_CHECKING:
    from astropy.table import Table

FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits"}
"""ECSV keeps units, descriptions and provenance; FITS as comments; CSV keeps columns only."""


def check_place(path: Path, *keep: str | Path | None, overwrite: bool) -> str:
    """Refuse a table that cannot be written, before anything is computed; returns its format.

    Parameters
    ----------
    path : Path
    keep : paths, optional
        What is read: never replaced, whatever `overwrite` says. Texts that are no path are none.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OptionError
        If the suffix says no format, or this is what is read.
    OutputError
        If there is such a file already, or no such folder.
    """
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise OptionError(f"{path} is no name for a table", ", ".join(FORMATS) + " at its end")
    check_other(path, *keep)
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already", fix="choose another --out or add --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}", fix=f"make it: mkdir {path.parent}")
    return form


def check_other(path: Path, *keep: str | Path | None, option: str = "--out") -> None:
    """Refuse to write where something is read from, or written by another option.

    Raises
    ------
    OptionError
    """
    for other in keep:
        if other is not None and any(_same(path, place) for place in _places(str(other))):
            raise OptionError(
                f"{option} {path} is what is measured, or read or written here", "another name"
            )


def _places(text: str) -> tuple[str, str]:
    """What a text may mean: a path, or a path and an HDU of it."""
    return text, re.sub(r"\[[^]]*\]$", "", text)


def _same(path: Path, other: str) -> bool:
    try:
        place = Path(other).expanduser()
        return place.resolve() == path.expanduser().resolve() or path.samefile(place)
    except (OSError, ValueError, RuntimeError):  # not there, or a list of regions and no path
        return False


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
        raise OutputError(f"{path} cannot be written: {error}") from error
    finally:
        growing.unlink(missing_ok=True)
    return path


def for_fits(table: Table) -> Table:
    """The table with all that FITS has no cards for as comments: provenance, and units.

    Texts and names hold ASCII only; ``?`` stands for other letters.

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
    for name in out.colnames:
        if out[name].dtype.kind in "UO":
            texts = [_ascii(value) for value in np.ma.filled(out[name], "")]
            out[name] = np.array(texts, dtype="U") if texts else np.empty(0, "U1")
        plain = _ascii(name)
        if plain != name:
            while plain in out.colnames:
                plain += "_"
            out.rename_column(name, plain)
    out.meta = {"comments": [_ascii(line) for line in told]}
    return out


def _ascii(text: object) -> str:
    return str(text).encode("ascii", "replace").decode()


__all__ = ["FORMATS", "check_other", "check_place", "for_fits", "write_table"]
