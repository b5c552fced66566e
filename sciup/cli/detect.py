"""``sciup detect``: what is there, and how likely it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sciup.cli.options import ROI, Again, Json, Made, Source, grouped
from sciup.console import console

if TYPE_CHECKING:
    from astropy.table import Table

Opt = typer.Option

SHOWN = 20
"""Rows that are printed where no file was asked for."""


@grouped
def detect(
    result: Made,
    opening: Source,
    again: Again,
    kind: Annotated[
        str | None,
        Opt("--kind", help="point, extended (sky), spot, nucleus, filament; default: by domain"),
    ] = None,
    limit: Annotated[
        float, Opt("--limit", help="S/N, in the input, of the faintest point source that counts")
    ] = 5.0,
    samples: Annotated[
        int, Opt("--samples", help="draws that vote; those not stored are drawn again")
    ] = 64,
    out: Annotated[
        Path | None, Opt("--out", help="catalogue to write: .ecsv, .csv or .fits")
    ] = None,
    regions: Annotated[
        Path | None, Opt("--regions", help="regions for DS9 to write, coloured by the chance")
    ] = None,
    roi: Annotated[str | None, Opt("--roi", help=f"{ROI}; default: all")] = None,
    plane: Annotated[
        str | None, Opt("--plane", help="indices before y and x, such as 0,2; default: all")
    ] = None,
    json: Json = False,
    overwrite: Annotated[bool, Opt("--overwrite", help="replace existing files")] = False,
) -> None:
    """Find sources or structures in every draw of OUT, each with the chance that it exists.

    To exist means: there in a truth as sharp as OUT, and brighter than the limit. The chance is
    calibrated where the model has an existence.json for kind, limit and number of draws (see
    calibrate --existence) and the program found out PSF, noise and background; else it is said
    not to be. Fluxes are over all draws, with intervals of 68 and 95 %. Give the options with
    which the input was opened: draws are made again from it.

    [bold]Examples[/bold]

      sciup detect out.fits --out sources.ecsv --regions sources.reg

      sciup detect cells.ome.zarr --kind nucleus --plane 0 --out nuclei.csv

      sciup detect out.fits --roi 0:200,0:200 --limit 8 --json

      sciup detect out.fits --roi "150.1 2.2 30arcsec" --out cluster.ecsv
    """
    from sciup.results.finished import sources_of
    from sciup.results.tables import check_place as check_table
    from sciup.results.tables import write_table
    from sciup.science.detect.regions import check_place, write_regions
    from sciup.science.detect.run import detect as run

    writes = out is not None or regions is not None
    read = (result, again.source, *opening.files, *(sources_of(result) if writes else ()))
    if out is not None:
        check_table(out, *read, overwrite=overwrite)
    if regions is not None:
        check_place(regions, *read, out, overwrite=overwrite)
    with _bar() as progress:
        found = run(
            result, kind, limit=limit, samples=samples, roi=roi, plane=plane,
            source=again.source, model=again.model, opener=opening.open, progress=progress,
        )  # fmt: skip
    _tell(found, quiet=json or out is not None)
    if out is not None:
        path = write_table(out, found, overwrite=overwrite)
        console.print(f"[green]catalogue[/green]  {escape(str(path))}")
    if regions is not None:
        path = write_regions(regions, found, overwrite=overwrite)
        console.print(f"[green]regions[/green]    {escape(str(path))}")
    if json:
        _say_json(found)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A bar of the parts of the result that are done."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("detecting"), BarColumn(), MofNCompleteColumn(), TextColumn("parts"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("detecting", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(found: Table, *, quiet: bool) -> None:
    """How many were found, whether chances are calibrated, and the first of them."""
    from rich.table import Table as Shown

    from sciup.science.detect.rows import words_of

    count, calibrated = words_of(found)
    console.print(f"[bold]found[/bold]  {count}")
    colour = "green" if calibrated.startswith("calibrated") else "yellow"
    console.print(f"[bold]P[/bold]      [{colour}]{escape(calibrated)}[/{colour}]")
    if quiet or not len(found):
        return
    names = [n for n in ("id", "x", "y", "ra", "dec", "p_exists", "flux", "snr", "flag")
             if n in found.colnames]  # fmt: skip
    shown = Shown(*names, box=None, pad_edge=False)
    for row in found[:SHOWN]:
        shown.add_row(*(_text(name, row[name]) for name in names))
    console.print(shown)
    if len(found) > SHOWN:
        console.print(f"... and {len(found) - SHOWN} more: --out writes all")


def _text(name: str, value: Any) -> str:
    """A cell of the table.

    Examples
    --------
    >>> _text("id", 3), _text("ra", 150.1234567), _text("flux", 1234.5678)
    ('3', '150.12346', '1235')
    """
    if name in ("ra", "dec"):
        return f"{float(value):.5f}"
    return f"{float(value):.4g}" if isinstance(value, float) else escape(str(value))


def _say_json(found: Table) -> None:
    """Meta and rows on standard output; NaN, which JSON lacks, becomes null."""
    import json as codec
    import math

    def plain(value: Any) -> Any:
        value = value.item() if hasattr(value, "item") else value
        return None if isinstance(value, float) and not math.isfinite(value) else value

    rows = [{name: plain(row[name]) for name in found.colnames} for row in found]
    typer.echo(codec.dumps({"meta": dict(found.meta), "rows": rows}, indent=2))
