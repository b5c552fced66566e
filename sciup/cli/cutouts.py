"""``sciup cutouts``: stamps around the positions of a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sciup.cli.options import Drawing, Input, Physics, Source, grouped
from sciup.console import console

Opt = typer.Option


@grouped
def cutouts(
    input: Input,  # noqa: A002 - the name that --help shows
    output: Annotated[Path, typer.Argument(help=".fits file or .ome.zarr folder")],
    positions: Annotated[
        Path, Opt("--positions", help="CSV, ECSV or FITS with ra, dec or y, x [id]")
    ],
    size: Annotated[str, Opt("--size", help="side of the stamps: input px, or 5arcsec")],
    source: Source,
    physics: Physics,
    drawing: Drawing,
    resume: Annotated[bool, Opt("--resume", help="start, go on, or return if complete")] = False,
    overwrite: Annotated[bool, Opt("--overwrite", help="replace an existing output")] = False,
) -> None:
    """Upscale stamps around the positions of a catalogue, and write all of them to OUTPUT.

    Every map is a stack of stamps; a table says which is which. The pixels are those of the whole
    result, and parts that stamps share are computed once.

    [bold]Examples[/bold]

      sciup cutouts field.fits stamps.fits --positions galaxies.csv --size 64

      sciup cutouts field.fits stamps.fits --positions galaxies.fits --size 5arcsec --resume
    """
    from sciup import show
    from sciup.results.tables import check_other
    from sciup.science.cutouts.run import cutouts as make

    check_other(output, input, positions, *source.files, option="OUTPUT")
    made = make(source.open(input), positions, size, **physics.options(), **drawing.options())
    show.beliefs(console, made.result, "you" if physics.model else "the domain of the file")
    with show.progress(console) as progress:
        path = made.save(output, resume=resume, overwrite=overwrite, progress=progress)
    console.print(f"[green]done[/green]  {escape(str(path))}: {len(made.table)} stamps")
