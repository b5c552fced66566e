"""``sciup batch``: many images with the options of one."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sciup.cli.options import Drawing, Machines, Physics, Source, grouped
from sciup.console import console
from sciup.errors import OptionError

if TYPE_CHECKING:
    from sciup.api import Result
    from sciup.batch import Item, Outcome

Opt = typer.Option

SUFFIX = {"fits": ".fits", "ome-zarr": ".ome.zarr"}
SOME_FAILED = 3
"""Exit code where some images failed and the others are done."""

COLOURS = {"done": "green", "failed": "red", "stopped": "yellow"}


class Once(logging.Filter):
    """What holds for all images of a batch is told for the first."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the message is new."""
        message = record.getMessage()
        new = message not in self._told
        self._told.add(message)
        return new


@grouped
def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="images, patterns in quotes, OME-Zarr plates, YAML files of jobs", metavar="INPUT"
        ),
    ],
    source: Source,
    physics: Physics,
    drawing: Drawing,
    machines: Machines,
    out: Annotated[
        Path, Opt("--out", help="folder for the results; NAME.ome.zarr makes a plate of a plate")
    ] = Path("sciup-batch"),
    format: Annotated[  # noqa: A002 - the name that --help shows
        str | None, Opt("--format", help="fits or ome-zarr; default: like the input")
    ] = None,
    overwrite: Annotated[bool, Opt("--overwrite", help="replace results that are there")] = False,
    dry_run: Annotated[bool, Opt("--dry-run", help="list images and results only")] = False,
) -> None:
    """Upscale many images; one that fails does not end the others.

    Results that are there are kept and unfinished ones go on, so the same command again goes on
    after any interruption. A summary is written to batch.json. Exit code 3: some images failed.

    [bold]Examples[/bold]

      sciup batch "night/*.fits" --out sharp --workers 4

      sciup batch plate.ome.zarr --out sharp.ome.zarr --psf-fwhm DAPI=2.1 --psf-fwhm GFP=2.4

      sciup batch plate.ome.zarr --out sharp --channel 0 --cluster slurm.yaml

      sciup batch jobs.yaml --dry-run
    """
    from sciup import batch as batches

    if format is not None and format not in SUFFIX:
        raise OptionError(f"--format {format}", ", ".join(SUFFIX))
    plate = None
    if batches.names_plate(out):
        if format == "fits":
            raise OptionError(f"--format fits with --out {out}", "ome-zarr: a plate is OME-Zarr")
        plate, items = batches.plate_of(inputs, out)
    else:
        items = batches.items_of(inputs, out, SUFFIX.get(format or ""))
    batches.check_options(items, (source, physics, drawing))
    if dry_run:
        for item in items:
            console.print(f"{escape(item.input)}  ->  {escape(str(item.output))}")
        console.print(f"{len(items)} images")
        return

    def upscale(item: Item) -> Result:
        from sciup import api

        opened, known, how = (
            batches.changed(group, item.options) for group in (source, physics, drawing)
        )
        return api.upscale(opened.open(item.input), **known.options(), **how.options())

    from sciup.engine.settings import choose_device

    with machines.client(choose_device(physics.device)) as client:
        _run(items, upscale, out, plate=plate, overwrite=overwrite, client=client)


def _run(
    items: list[Item], upscale: Callable[[Item], Result], out: Path, *, client: Any, **how: Any
) -> None:
    from sciup import batch as batches
    from sciup import show

    show.workers(console, client)
    count = 0

    def told(outcome: Outcome) -> None:
        """One line for each image."""
        nonlocal count
        count += 1
        colour = COLOURS[outcome.status]
        console.print(
            f"[{colour}]{outcome.status}[/{colour}]  {count}/{len(items)}"
            f"  {escape(outcome.input)}  {outcome.seconds:.1f} s"
            + (f"\n        {escape(outcome.error)}" if outcome.error else "")
        )

    log, once = logging.getLogger("sciup.engine.channels"), Once()
    log.addFilter(once)
    try:
        found = batches.run_batch(items, upscale, out, client=client, told=told, **how)
    finally:
        log.removeFilter(once)
    failed = sum(o.status != "done" for o in found)
    console.print(f"{len(found) - failed} done, {failed} failed; {batches.summary_of(out)}")
    if failed:
        sys.exit(SOME_FAILED)
