"""A catalogue as regions for DS9: circles, coloured by how likely each entry exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sciup.errors import OutputError
from sciup.results.tables import check_other

if TYPE_CHECKING:
    from astropy.table import Table

COLOURS = ((0.95, "green"), (0.5, "yellow"), (0.1, "orange"), (0.0, "red"))
"""Least P(exists) of each colour."""

SUFFIX = ".reg"


def colour(p: float) -> str:
    """Colour of a chance.

    Examples
    --------
    >>> [colour(p) for p in (0.99, 0.5, 0.2, 0.01)]
    ['green', 'yellow', 'orange', 'red']
    """
    return next(name for least, name in COLOURS if p >= least)


def check_place(path: Path, *keep: str | Path | None, overwrite: bool) -> None:
    """Refuse a place that cannot be written to, before anything is computed.

    Raises
    ------
    OptionError
        If it is one of `keep`: what is read, or written elsewhere.
    OutputError
        If there is such a file already, or no such folder.
    """
    check_other(path, *keep, option="--regions")
    if path.exists() and not overwrite:
        raise OutputError(
            f"{path} exists already", fix="choose another --regions or add --overwrite"
        )
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}", fix=f"make it: mkdir {path.parent}")


def lines(catalogue: Table) -> Iterator[str]:
    """The lines of a region file: on the sky, or pixels of the input counted from 1.

    The radius of a circle is how far detections of one source may lie apart.

    Examples
    --------
    >>> from astropy.table import Table
    >>> one = Table({"id": [1], "x": [4.0], "y": [2.0], "p_exists": [0.98]}, meta={"reach": 1.5})
    >>> list(lines(one))[1:]
    ['image', 'circle(5.000,3.000,1.500) # color=green text={1: 0.98}']
    """
    reach = float(catalogue.meta["reach"])
    sky = "ra" in catalogue.colnames
    yield "# Region file format: DS9"
    yield "icrs" if sky else "image"
    for row in catalogue:
        if sky:
            radius = reach * float(catalogue.meta["pixel"])
            ra, dec = row["ra"], row["dec"]
            shape = f'circle({ra:.7f},{dec:.7f},{radius:.3f}")'
        else:
            shape = f"circle({row['x'] + 1:.3f},{row['y'] + 1:.3f},{reach:.3f})"
        plane = f", plane {row['plane']}" if "plane" in catalogue.colnames else ""
        p = float(row["p_exists"])
        yield f"{shape} # color={colour(p)} text={{{row['id']}: {p:.2f}{plane}}}"


def write_regions(path: Path, catalogue: Table, *, overwrite: bool = False) -> Path:
    """Write a region file, complete before it gets its name.

    Parameters
    ----------
    path : Path
    catalogue : astropy.table.Table
        Of `sciup.detect`.
    overwrite : bool
        Replace an existing file.
    """
    check_place(path, overwrite=overwrite)
    growing = path.with_name(f".{path.name}.partial")
    try:
        growing.write_text("\n".join(lines(catalogue)) + "\n", encoding="utf-8")
        growing.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error}") from error
    finally:
        growing.unlink(missing_ok=True)
    return path


__all__ = ["COLOURS", "lines", "write_regions"]
