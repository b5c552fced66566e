"""A folder that shows what was found: one page with tables and figures, and every table alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sciup.errors import OutputError
from sciup.evaluate.tables import Table

PAGE = "report.md"
LONG = 60
"""Tables with more rows are only linked."""


def write(
    folder: Path,
    title: str,
    about: Sequence[str],
    tables: Sequence[Table],
    figures: Mapping[str, Any] | None = None,
) -> Path:
    """Write tables, figures and the page.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    title : str
        Heading of the page.
    about : sequence of str
        Paragraphs below it: the command, the model, what was left out.
    tables : sequence of Table
        As Markdown, CSV and JSON; long ones are linked from the page.
    figures : mapping of str to matplotlib Figure, optional
        By file name without suffix.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    try:
        for table in tables:
            table.write(folder)
        for name, figure in (figures or {}).items():
            figure.savefig(folder / f"{name}.png", dpi=90)
        parts = [f"# {title}", *about, *(f"![{name}]({name}.png)" for name in figures or {})]
        parts += [_section(table) for table in tables]
        page = folder / PAGE
        page.write_text("\n\n".join(parts) + "\n")
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror}", fix="choose another --out"
        ) from None
    return page


def _section(table: Table) -> str:
    head = f"## {table.name}\n\n"
    if len(table.rows) > LONG:
        return f"{head}{table.title} {len(table.rows)} rows: [{table.name}.csv]({table.name}.csv)"
    return f"{head}{table.markdown().rstrip()}"
