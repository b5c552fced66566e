"""What was measured as one table: copied, or written by the library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QWidget

from sciup_napari.measure_messages import Catalogue, Cell
from sciup_napari.measuring import Row

FILES = "ECSV: units and how it was made (*.ecsv);;CSV (*.csv);;FITS (*.fits)"


def joined(rows: Sequence[Row]) -> Catalogue:
    """The rows that are up to date as one table; what one of them lacks is NaN.

    Numbers of the first column are those of the layer, from 1.
    """
    known = [(row.index, row.answer.row) for row in rows if row.fresh and row.answer]
    known = [(index, row) for index, row in known if row.columns]
    heads = {name: head for _, row in known for name, head in row.heads.items()}
    columns: dict[str, list[Cell]] = {
        name: [row.columns.get(name, [math.nan])[0] for _, row in known] for name in heads
    }
    if known:
        columns["id"] = [str(index + 1) for index, _ in known]
    return Catalogue(heads, columns, known[0][1].meta if known else {})


def standing(rows: Sequence[Row]) -> str:
    """What the intervals that are up to date are worth, in one or two sentences."""
    known = [(r.index + 1, r.answer.row) for r in rows if r.fresh and r.answer]
    known = [(number, row) for number, row in known if row.columns]
    good = [str(number) for number, row in known if is_calibrated(row)]
    if not good:
        return str(known[0][1].meta["coverage"]) if known else ""
    which, others = "All intervals", ""
    if len(good) < len(known):
        which = f"Intervals of {', '.join(good)}"
        others = " The others hold the spread of the draws as such."
    return (
        f"{which} are calibrated on regions of known truth: of the errors of the sampler, not of"
        f" zero points or of the region itself.{others}"
    )


def is_calibrated(row: Catalogue) -> bool:
    """Whether all numbers of a row have intervals that were tried on regions of known truth."""
    names = [name for name in row.heads if f"{name}_lo68" in row.heads]
    shares = [row.columns.get(f"{name}_covered68", [math.nan])[0] for name in names]
    return all(math.isfinite(float(share)) for share in shares)


def ask_for_file(parent: QWidget) -> Path | None:
    """Where a table is to be written; its name ends as the format that was chosen."""
    path, chosen = QFileDialog.getSaveFileName(parent, "Save the table", "", FILES)
    if not path:
        return None
    known = Path(path).suffix
    return Path(path if known else path + chosen.partition("(*")[2].rstrip(")"))


def save(table: Catalogue, path: Path) -> Path:
    """Write a table by the library's own writer; the user has agreed to replace a file.

    Raises
    ------
    OutputError, OptionError
        If it cannot be written, or not with that name.
    """
    from astropy import units
    from astropy.table import Column, Table

    from sciup.results.tables import write_table

    made = Table(meta=dict(table.meta))
    for name, head in table.heads.items():
        unit = units.Unit(head.unit) if head.unit else None
        made[name] = Column(table.columns[name], unit=unit, description=head.words or None)
    return write_table(path, made, overwrite=True)


def text_of(table: Catalogue) -> str:
    r"""A table for a spreadsheet: columns apart by tabs, units in the header.

    Examples
    --------
    >>> from sciup_napari.measure_messages import Head
    >>> text_of(Catalogue({"flux": Head("electron", "")}, {"flux": [1.5]}))
    'flux [electron]\n1.5'
    """
    head = [f"{name} [{h.unit}]" if h.unit else name for name, h in table.heads.items()]
    rows = zip(*(table.columns[name] for name in table.heads), strict=True)
    return "\n".join("\t".join(str(cell) for cell in row) for row in [head, *rows])


__all__ = ["ask_for_file", "is_calibrated", "joined", "save", "standing", "text_of"]
