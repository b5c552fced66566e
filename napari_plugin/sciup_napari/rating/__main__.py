"""``python -m sciup_napari.rating``: the results of a study on the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from sciup.errors import OutputError, SciupError
from sciup.evaluate.tables import Table, cell
from sciup_napari.rating import scores
from sciup_napari.rating.study import open_study

Opt = typer.Option

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def rating(
    folder: Annotated[Path, typer.Argument(help="study with answers", metavar="FOLDER")],
    out: Annotated[
        Path | None, Opt("--out", help="folder for the tables as Markdown, CSV and JSON")
    ] = None,
    check: Annotated[
        bool, Opt("--check", help="read every image of the study, and show no results")
    ] = False,
) -> None:
    """Print mean opinion scores, tests and fooling rates of a blind rating.

    This unblinds: run it when everybody has finished.

    [bold]Examples[/bold]

      python -m sciup_napari.rating my_study

      python -m sciup_napari.rating my_study --out tables

      python -m sciup_napari.rating my_study --check
    """
    console = Console(highlight=False)
    if check:
        study = open_study(folder)
        number = sum(1 for _ in study.check(pixels=True))
        console.print(f"{number} images by {len(study.methods)} methods can be shown")
        return
    tables = scores.results(folder)
    for table in tables:
        show(console, table)
    if out is not None:
        write(tables, out)
        console.print(f"[green]written[/green]  {escape(str(out))}")


def show(console: Console, table: Table) -> None:
    """Print a table with its title and notes."""
    console.print(escape(table.title), style="bold")
    grid = Grid(box=None, pad_edge=False)
    for name in table.keys:
        text = all(isinstance(row[name], str) for row in table.rows)
        grid.add_column(escape(name), justify="left" if text else "right", overflow="fold")
    for row in table.rows:
        grid.add_row(*(escape(cell(row[name])) for name in table.keys))
    console.print(grid)
    for note in table.notes:
        console.print(escape(note), style="dim")
    console.print()


def write(tables: list[Table], folder: Path) -> None:
    """Write all tables.

    Raises
    ------
    OutputError
        If the folder cannot be written to.
    """
    try:
        for table in tables:
            table.write(folder)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {error.strerror}", "a folder", "choose another"
        ) from None


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 2 for what cannot be used."""
    try:
        app(args=arguments, prog_name="python -m sciup_napari.rating")
    except SciupError as error:
        console = Console(stderr=True, highlight=False)
        console.print(f"[bold red]{type(error).__name__}[/bold red]: {escape(str(error))}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
