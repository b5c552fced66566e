"""The command line: thin, and never a traceback for bad input."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sciup.cli.batch import batch
from sciup.cli.bench import bench
from sciup.cli.calibrate import calibrate
from sciup.cli.check import check
from sciup.cli.compare import compare
from sciup.cli.convert import convert
from sciup.cli.cutouts import cutouts
from sciup.cli.detect import detect
from sciup.cli.evaluate import evaluate
from sciup.cli.explore import explore
from sciup.cli.figure import figure
from sciup.cli.info import info
from sciup.cli.inject import inject
from sciup.cli.measure import measure
from sciup.cli.models import app as models
from sciup.cli.options import (
    Drawing,
    Input,
    Json,
    Machines,
    Physics,
    PsfError,
    Roi,
    Source,
    grouped,
    read_psf_error,
)
from sciup.cli.report import report
from sciup.cli.robustness import robustness
from sciup.cli.stopped import Stoppable
from sciup.cli.train import pack, simulate, train
from sciup.cli.verify import verify
from sciup.console import console
from sciup.errors import SciupError

IMAGES, MODELS = "Images", "Models"
"""Panels of the help."""

app = typer.Typer(
    name="sciup",
    help="Super-resolution that scientists can trust, for microscopy and astronomy.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Opt = typer.Option


@app.command(rich_help_panel=IMAGES)
@grouped
def upscale(
    input: Input,  # noqa: A002 - the name that --help shows
    output: Annotated[Path, typer.Argument(help=".fits file or .ome.zarr folder")],
    source: Source,
    physics: Physics,
    drawing: Drawing,
    machines: Machines,
    resume: Annotated[bool, Opt("--resume", help="start, go on, or return if complete")] = False,
    overwrite: Annotated[bool, Opt("--overwrite", help="replace an existing output")] = False,
    dry_run: Annotated[
        bool, Opt("--dry-run", help="print plan, time, memory and disk only")
    ] = False,
) -> None:
    """Draw sharp images that agree with INPUT and write them, with uncertainty, to OUTPUT.

    [bold]Examples[/bold]

      sciup upscale field.fits out.fits

      sciup upscale cells.ome.zarr out.ome.zarr --channel 0 --psf-fwhm 2.6 --samples 32

      sciup upscale cells.ome.zarr out.ome.zarr --psf-fwhm DAPI=2.1 --psf-fwhm GFP=2.4

      sciup upscale field.fits out.fits --psf-fwhm 2.4 --psf-error 10%

      sciup upscale huge.fits out.fits --roi 0:4096,0:4096 --dry-run

      sciup upscale huge.fits out.fits --roi "150.1 2.2 30arcsec"

      sciup upscale huge.fits out.fits --roi cluster.reg

      sciup upscale mosaic.ome.zarr out.ome.zarr --cluster slurm.yaml --resume
    """
    from sciup import api, show
    from sciup.science.measure.roi import region_of

    image = source.open(input)
    drawn = drawing.options() | {"roi": region_of(drawing.roi, image)}
    result = api.upscale(image, **physics.options(), **drawn)
    show.beliefs(console, result, "you" if physics.model else "the domain of the file")
    if dry_run:
        show.plan(console, result, output)
        return
    with machines.client(result.job.device) as client:
        show.workers(console, client)
        with show.progress(console) as progress:
            path = result.save(
                output, resume=resume, overwrite=overwrite, progress=progress, client=client
            )
    console.print(f"[green]done[/green]  {escape(str(path))}")


@app.command(rich_help_panel=IMAGES)
@grouped
def inspect(
    input: Input,  # noqa: A002 - the name that --help shows
    source: Source,
    physics: Physics,
    roi: Roi = None,
    psf_error: PsfError = None,
    json: Json = False,
) -> None:
    """Show what INPUT is, what is believed about its instrument, and what upscaling would cost.

    [bold]Examples[/bold]

      sciup inspect field.fits

      sciup inspect plate.ome.zarr --json

      sciup inspect huge.fits --roi "150.1 2.2 30arcsec"
    """
    from sciup import api, show
    from sciup.science.measure.roi import region_of

    image = source.open(input)
    region = region_of(roi, image)
    result = api.upscale(
        image, roi=region, psf_error=read_psf_error(psf_error), **physics.options()
    )
    facts = show.facts(result)
    if json:
        import json as codec

        typer.echo(codec.dumps(facts, indent=2))
        return
    show.inspection(console, result, facts)


@app.command(rich_help_panel=IMAGES)
def demo(
    out: Annotated[Path, typer.Argument(help="folder for the results")] = Path("demo_output"),
    samples: Annotated[int, Opt("--samples", help="voting samples")] = 16,
    device: Annotated[str, Opt("--device", help="auto, cpu or cuda")] = "auto",
) -> None:
    """Upscale a real Hubble field and a real micrograph that were made coarse and noisy.

    The truth is known, so the figures can show it beside the result. The images ship with
    scikit-image and were never trained on.

    [bold]Example[/bold]

      sciup demo demo_output
    """
    from sciup import demo as demonstration

    demonstration.run(out, samples=samples, device=device, console=console)


PANELS = {
    "What a result says": (
        info,
        verify,
        report,
        figure,
        detect,
        measure,
        check,
    ),
    "Questions to an image": (
        robustness,
        inject,
        explore,
        compare,
    ),
    MODELS: (
        train,
        pack,
        simulate,
        evaluate,
        calibrate,
    ),
    "This machine": (bench,),
}

app.command(rich_help_panel=IMAGES)(batch)
app.command(rich_help_panel=IMAGES)(convert)
app.command(rich_help_panel=IMAGES)(cutouts)
for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(models, rich_help_panel=MODELS)


@app.command(rich_help_panel="This machine")
def version() -> None:
    """Print the versions that decide a result.

    [bold]Example[/bold]

      sciup version
    """
    from importlib.metadata import version as of

    for name in ("sciup", "torch", "numpy", "astropy", "zarr", "tifffile", "dask"):
        typer.echo(f"{name} {of(name)}")


for every in (*app.registered_commands, *models.registered_commands):
    every.cls = Stoppable


def main(arguments: list[str] | None = None) -> None:
    """Run the command line.

    Exit codes: 0, 2 (refused), 3 (batch: some images failed; explore: a region has no answer;
    verify: the result is damaged), 75 (interrupted, can go on), 130 (Ctrl-C, by Typer,
    after a line by `sciup.cli.stopped`).
    """
    from rich.logging import RichHandler

    handler = RichHandler(console=console, show_time=False, show_level=False, show_path=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("sciup").setLevel(logging.INFO)
    try:
        app(args=arguments, standalone_mode=True)
    except SciupError as error:
        console.print(f"[bold red]{type(error).__name__}[/bold red]: {escape(str(error))}")
        sys.exit(error.exit_code)
