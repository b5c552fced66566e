"""Write a catalogue: FITS holds less than a table does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciup.results.tables import write_table

if TYPE_CHECKING:
    from astropy.table import Table


def write_catalogue(path: Path, catalogue: Table, *, overwrite: bool = False) -> Path:
    """Write a catalogue of `sciup.detect` as ECSV, CSV or FITS, by its suffix.

    FITS knows fewer units (no electrons, for one) and only ASCII: a unit that it lacks is left to
    the keyword FLUXUNIT, and other letters become question marks. CSV keeps the columns only.

    Examples
    --------
    >>> import tempfile
    >>> from astropy.table import Column, Table
    >>> flux = Column([9.0], unit="electron")
    >>> catalogue = Table({"flux": flux}, meta={"fluxunit": "electron"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_catalogue(Path(folder) / "found.fits", catalogue)
    ...     Table.read(path).meta["FLUXUNIT"]
    'electron'
    """
    fits = path.suffix.lower() == ".fits"
    return write_table(path, for_fits(catalogue) if fits else catalogue, overwrite=overwrite)


def for_fits(catalogue: Table) -> Table:
    """A copy that FITS can hold without a warning."""
    plain = catalogue.copy()
    for column in plain.itercols():
        if column.unit is not None:
            try:
                column.unit.to_string("fits")
            except ValueError:
                column.unit = None
    plain.meta = {key: _ascii(value) for key, value in plain.meta.items()}
    return plain


def _ascii(value: Any) -> Any:
    return value.encode("ascii", "replace").decode() if isinstance(value, str) else value


__all__ = ["for_fits", "write_catalogue"]
