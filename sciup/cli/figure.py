"""``sciup figure``: the panel that a paper needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sciup.cli.options import ROI, Again, Made, Source, grouped
from sciup.console import console

Opt = typer.Option


@grouped
def figure(
    result: Made,
    opening: Source,
    again: Again,
    roi: Annotated[
        str | None, Opt("--roi", help=f"what to show: {ROI}; default: the middle")
    ] = None,
    out: Annotated[
        list[Path] | None,
        Opt("--out", help=".pdf, .svg or .png, several are allowed; default: OUT_figure.pdf, .png"),
    ] = None,
    width: Annotated[float, Opt(help="mm")] = 180.0,
    overwrite: Annotated[bool, Opt("--overwrite", help="replace existing figures")] = False,
) -> None:
    """Draw a figure for a paper: input, three unselected draws, mean, risk, residual, PSFs.

    All images share one stretch; there are a scale bar and, for the sky, a compass. The caption
    lies beside the figure as text. Samples that are not stored are drawn again from the input: give
    the options with which it was opened.

    [bold]Examples[/bold]

      sciup figure out.fits

      sciup figure out.ome.zarr --roi 100:200,50:150 --out cells.pdf --width 85

      sciup figure out.fits --roi cluster.reg
    """
    from sciup.report.figure import write_figures

    for path in write_figures(
        result,
        out,
        roi=roi,
        width=width,
        model=again.model,
        source=again.source,
        opener=opening.open,
        overwrite=overwrite,
    ):
        console.print(f"[green]{path.suffix[1:]}[/green]  {escape(str(path))}")
