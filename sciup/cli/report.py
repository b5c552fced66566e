"""``sciup report``: one page that shows what a finished result is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sciup.cli.options import ROI, Again, Made, Source, grouped
from sciup.console import console

Opt = typer.Option


@grouped
def report(
    result: Made,
    opening: Source,
    again: Again,
    out: Annotated[
        Path | None, Opt("--out", help="page to write; default: OUT_report.html beside OUT")
    ] = None,
    roi: Annotated[
        str | None, Opt("--roi", help=f"what to enlarge: {ROI}; default: the middle")
    ] = None,
) -> None:
    """Write one page about the finished result OUT: samples, risk, residual, PSF, methods.

    The page holds everything in one file. Beside it go a picture, and the places where more
    exposure would help most as a table and as regions for DS9. Samples that are not stored are
    drawn again from the input: give the options with which it was opened.

    [bold]Examples[/bold]

      sciup report out.fits

      sciup report out.ome.zarr --out report.html --roi 0:200,0:200

      sciup report out.fits --roi "150.1 2.2 30arcsec"
    """
    from sciup.report.write import write_report

    paths = write_report(
        result, out, roi=roi, model=again.model, source=again.source, opener=opening.open
    )
    for name, path in zip(("report", "picture", "table", "regions"), paths, strict=True):
        console.print(f"[green]{name}[/green]  {escape(str(path))}")
