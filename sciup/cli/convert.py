"""``sciup convert``: a finished result in another container."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sciup.cli.bar import bar
from sciup.cli.options import Made
from sciup.console import console

Opt = typer.Option


def convert(
    result: Made,
    new: Annotated[Path, typer.Argument(help=".fits, .ome.zarr or .ome.tif", metavar="NEW")],
    overwrite: Annotated[bool, Opt("--overwrite", help="replace an existing file")] = False,
) -> None:
    """Write the finished result OUT into another container: all maps, with how they were made.

    FITS and OME-Zarr hold the same values bit for bit and are finished results themselves. OME-TIFF
    is for other programs: the maps are its channels. What the new container has no place for is
    printed.

    [bold]Examples[/bold]

      sciup convert out.ome.zarr out.fits

      sciup convert out.fits out.ome.zarr

      sciup convert out.ome.zarr out.ome.tif
    """
    from sciup.results.convert import convert as write

    with bar("converting", "shards") as progress:
        lost = write(result, new, overwrite=overwrite, progress=progress)
    for line in lost:
        console.print(f"[yellow]not kept[/yellow]  {escape(line)}")
    console.print(f"[green]done[/green]  {escape(str(new))}")


__all__ = ["convert"]
