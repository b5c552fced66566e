"""``sciup measure``: a quantity of a result on every draw, as a table."""

from __future__ import annotations

import json as codec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.markup import escape

from sciup.cli.options import Again, Json, Made, Measuring, Source, grouped
from sciup.console import console

Opt = typer.Option

SHOWN = 20
"""Rows that are printed."""


@grouped
def measure(
    result: Made,
    opening: Source,
    again: Again,
    what: Measuring,
    out: Annotated[Path | None, Opt("--out", help="table to write: .ecsv, .csv or .fits")] = None,
    overwrite: Annotated[bool, Opt("--overwrite", help="replace an existing table")] = False,
    json: Json = False,
) -> None:
    """Measure a quantity on every draw of the finished result OUT: a value with intervals.

    Without regions, catalogue or labels all of a small result is one region. Draws that are not
    stored are drawn again from the input: give the options with which it was opened. What cannot
    be measured has a row with empty numbers and a flag that says why.

    [bold]Examples[/bold]

      sciup measure out.fits --with photometry --catalog stars.csv --radius 3 --out fluxes.ecsv

      sciup measure out.ome.zarr --with count --regions cells.reg

      sciup measure out.ome.zarr --with my.py:roundness --labels nuclei.tif --out round.csv
    """
    from sciup.results.finished import sources_of
    from sciup.results.tables import check_place, write_table
    from sciup.science.measure.run import measure as run

    if out is not None:
        read = (result, *sources_of(result), again.source, *opening.files, *what.files)
        check_place(out, *read, overwrite=overwrite)
    with _bar() as progress:
        table = run(
            result, **what.options(), source=again.source, model=again.model,
            opener=opening.open, progress=progress,
        )  # fmt: skip
    if json:
        typer.echo(codec.dumps({"meta": dict(table.meta), "rows": _rows(table)}, indent=2))
    else:
        _tell(table)
    if out is not None:
        write_table(out, table, overwrite=overwrite)
        console.print(f"[green]done[/green]  {escape(str(out))}")


def _bar() -> Any:
    """A bar of measured regions."""
    from contextlib import contextmanager

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    @contextmanager
    def bar() -> Any:
        columns = (
            TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=console, transient=True) as shown:
            task = shown.add_task("measuring", total=None)
            yield lambda done, total: shown.update(task, completed=done, total=total)

    return bar()


def _rows(table: Any) -> list[dict[str, Any]]:
    """Rows as JSON knows them: no NaN."""
    return [{name: _plain(row[name]) for name in table.colnames} for row in table]


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else str(value)


def _tell(table: Any) -> None:
    """The first rows: place, value and interval of 95 %."""
    from rich.table import Table

    values = [name.removesuffix("_lo95") for name in table.colnames if name.endswith("_lo95")]
    shown = Table("id", "y, x (input px)", *(_title(table, name) for name in values), "flag")
    for row in table[:SHOWN]:
        numbers = [
            f"{row[v]:.5g}  [{row[f'{v}_lo95']:.5g}, {row[f'{v}_hi95']:.5g}]" for v in values
        ]
        cells = [str(row["id"]), f"{row['y']:.2f}, {row['x']:.2f}", *numbers, str(row["flag"])]
        shown.add_row(*(escape(cell) for cell in cells))
    console.print(shown)
    if len(table) > SHOWN:
        console.print(f"and {len(table) - SHOWN} more")
    meta = table.meta
    for words in (
        f"values: {meta['value']}; background: {meta['background']}",
        f"95 % intervals: {meta['interval_95']}",
        f"they assume: {meta['interval_assumes']}",
        f"coverage: {meta['coverage']}",
    ):
        console.print(escape(words))


def _title(table: Any, name: str) -> str:
    unit = table[name].unit
    return escape(f"{name} [{unit}]" if unit else name)
