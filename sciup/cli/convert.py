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
    ome_zarr: Annotated[
        str, Opt(help="version of OME-Zarr: 0.5, or 0.4 for programs that read only that")
    ] = "0.5",
    dtype: Annotated[
        str,
        Opt(
            help="float32; with a stated scale uint16 (OME-Zarr 0.4, TIFF), float16 (OME-Zarr 0.4)"
        ),
    ] = "float32",
    overwrite: Annotated[bool, Opt("--overwrite", help="replace an existing file")] = False,
) -> None:
    """Write the finished result OUT into another container: all maps, with how they were made.

    FITS, OME-Zarr and OME-TIFF hold the same values bit for bit and are finished results
    themselves; in OME-TIFF the maps are channels. OME-Zarr 0.4, uint16 and float16 are copies for
    other programs: there is no way back from them. What the new container has no place for is
    printed, and so is what --dtype loses.

    [bold]Examples[/bold]

      sciup convert out.ome.zarr out.fits

      sciup convert out.fits out.ome.zarr

      sciup convert out.ome.zarr out.ome.tif

      sciup convert out.ome.tif back.ome.zarr

      sciup convert out.ome.zarr small.ome.tif --dtype uint16

      sciup convert out.ome.zarr small.ome.zarr --ome-zarr 0.4 --dtype float16
    """
    from sciup.results.convert import convert as write

    with bar("converting", "shards") as progress:
        notes = write(
            result, new, ome_zarr=ome_zarr, dtype=dtype, overwrite=overwrite, progress=progress
        )
    for line in notes:
        console.print(f"[yellow]note[/yellow]  {escape(line)}")
    console.print(f"[green]done[/green]  {escape(str(new))}")


__all__ = ["convert"]
