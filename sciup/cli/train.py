"""The commands that train: thin, like `sciup.cli`, which registers them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sciup.console import console
from sciup.errors import OptionError

if TYPE_CHECKING:
    from sciup.train import loop
    from sciup.train.pack import Pack

Opt = typer.Option
LARGE = 60.0
"""MiB above which a packed file is awkward to carry to another machine."""

RecipeFile = Annotated[Path, typer.Argument(help="recipe.yaml")]
Data = Annotated[Path, Opt("--data", help="folder of the training images")]
Split = Annotated[
    float | None, Opt("--split", help="share of own files to hold out; default: the recipe's")
]


def train(
    recipe: Annotated[Path | None, typer.Argument(help="recipe.yaml")] = None,
    data: Annotated[Path | None, Opt("--data", help="folder of the training images")] = None,
    out: Annotated[
        Path | None, Opt("--out", help="folder of the run, continued if it is one")
    ] = None,
    minutes: Annotated[float | None, Opt("--minutes", help="stop (resumable) after this")] = None,
    split: Split = None,
    batch: Annotated[
        int | None, Opt("--batch", help="crops per step; default: the recipe's")
    ] = None,
    workers: Annotated[int, Opt("--workers", help="processes that make batches")] = 0,
    threads: Annotated[int | None, Opt("--threads", help="CPU threads; default: all")] = None,
    device: Annotated[str, Opt("--device", help="auto, cpu or cuda")] = "auto",
    new: Annotated[str | None, Opt("--new", help="write NAME.yaml, a recipe to begin with")] = None,
    domain: Annotated[str, Opt("--domain", help="with --new")] = "fluorescence",
    scale: Annotated[int, Opt("--scale", help="with --new: 1, 2 or 4")] = 2,
    quick: Annotated[bool, Opt("--quick", help="with --new: a small model for a try")] = False,
) -> None:
    """Train a generator from a recipe, or go on where a run stopped.

    The folder of the run is a model: [bold]sciup upscale --model RUN[/bold]. It also holds curves
    and sheets of samples to look at. Ctrl-C stops it and keeps what was learned.

    [bold]Examples[/bold]

      sciup train --new mine --domain fluorescence --scale 2

      sciup train mine.yaml --data images --out runs/mine --minutes 60
    """
    if new is not None:
        from sciup.train.scaffold import write_recipe

        path = write_recipe(new, domain, scale, quick=quick)
        console.print(f"[green]recipe[/green]  {escape(str(path))}; now")
        console.print(f"  sciup train {escape(str(path))} --data FOLDER --out runs/{escape(new)}")
        return
    if recipe is None or data is None or out is None:
        raise OptionError(
            "RECIPE, --data or --out is missing",
            "sciup train RECIPE.yaml --data FOLDER --out RUN",
            "`sciup train --new NAME` writes a recipe to begin with",
        )
    import torch

    from sciup.engine.settings import choose_device
    from sciup.train import loop

    if threads is not None:
        torch.set_num_threads(threads)
    packed = _read(recipe, data, out, split).with_batch(batch)
    _list_files(packed, out)
    settings = loop.Settings(minutes=minutes, device=choose_device(device), workers=workers)
    with _bar(packed.recipe.steps) as progress:
        weights = loop.train(packed, out, settings, progress)
    console.print(f"[green]weights[/green]  {escape(str(weights))}")


def pack(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Argument(help="file to write, .safetensors")],
    data: Data,
    limit: Annotated[
        float | None, Opt("--limit", help="MiB; crops are left out until it fits")
    ] = None,
    split: Split = None,
) -> None:
    """Put all that training needs into one file, for a machine with torch and numpy only.

    There, [bold]python -m sciup.train PACKED --out RUN[/bold] trains, with a copy of sciup but
    without pydantic, scipy, astropy, Zarr and the other readers.

    [bold]Example[/bold]

      sciup pack mine.yaml mine.safetensors --data images --limit 60
    """
    from sciup.train.pack import MIB, thinned

    packed = _read(recipe, data, out.parent, split)
    if limit is not None:
        before = packed.truths.nbytes
        packed = thinned(packed, limit)
        left = 100 * packed.truths.nbytes / before
        console.print(f"{left:.0f} % of the pixels fit into {limit:g} MiB")
    size = packed.save(out) / MIB
    console.print(f"[green]packed[/green]  {escape(str(out))}, {size:.1f} MiB")
    if size > LARGE:
        console.print(
            f"[yellow]more than {LARGE:g} MiB[/yellow]: --limit MIB leaves out crops at random"
        )


def simulate(
    recipe: RecipeFile,
    data: Data,
    out: Annotated[Path, Opt("--out", help="folder to write to")],
    count: Annotated[int, Opt("--count", help="number of pairs")] = 10,
    side: Annotated[int, Opt("--side", help="side of an input image, px")] = 64,
) -> None:
    """Write pairs of measured image and truth, made as training makes them.

    TIFF for micrographs; FITS with noise, PSF and mask for the sky. A JSON file per pair says what
    was drawn. The same recipe, images and seed give the same pairs.

    [bold]Example[/bold]

      sciup simulate mine.yaml --data images --out pairs --count 20
    """
    from sciup.train.recipe_file import load_recipe
    from sciup.train.simulate import simulate as write_pairs

    loaded = load_recipe(recipe)
    _check_data(data)
    write_pairs(loaded, data, out, count, side)
    console.print(f"[green]{count} pairs[/green]  {escape(str(out))}")


def _check_data(data: Path) -> None:
    if not data.is_dir():
        raise OptionError(f"--data {data} is not a folder", "the folder of the training images")


def _read(recipe: Path, data: Path, cache: Path, split: float | None) -> Pack:
    """A recipe and its images."""
    from dataclasses import replace

    from sciup.train.pack import make_pack
    from sciup.train.recipe_file import load_recipe

    loaded = load_recipe(recipe)
    _check_data(data)
    if split is not None:
        if not 0 <= split < 1:
            raise OptionError(f"--split {split:g}", "0 to below 1, for example 0.2")
        loaded = replace(loaded, held_out=split)
    return make_pack(loaded, data, cache, recipe.read_text())


def _list_files(packed: Pack, run: Path) -> None:
    """Say in the run what became of every file, and link what was held out for the evaluation."""
    from sciup.train.listing import list_files

    skipped = list_files(packed.files, run)
    if skipped:
        console.print(f"[yellow]{skipped} files skipped[/yellow]: {escape(str(run / 'files.tsv'))}")


def _scores(row: dict[str, float]) -> str:
    """The last line of the curves in short."""
    parts = [f"gain {row['gain']:.1f} dB"] if row else []
    if "skill1" in row:
        skills = "/".join(f"{row[f'skill{side}']:.2f}" for side in (1, 4, 16))
        parts.append(f"spread/skill {skills}")
    if "spectrum" in row:
        parts.append(f"spectrum {row['spectrum']:.1f} dB off")
    return ", ".join(parts)


@contextmanager
def _bar(steps: int) -> Iterator[loop.Progress]:
    """A line with rate, remaining time, gain and spread/skill."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[scores]}"),
    )
    with Progress(*columns, console=console, speed_estimate_period=120) as progress:
        task = progress.add_task("", total=steps, rate="", scores="")

        def tell(step: int, row: dict[str, float]) -> None:
            """Show a row of the curves."""
            if progress.tasks[task].completed == 0 and step > 1:  # resumed: not done just now
                progress.reset(task, completed=step)
            speed = progress.tasks[task].speed
            rate = "" if not speed else f"{speed:.2g}/s" if speed > 1 else f"{1 / speed:.2g} s each"
            progress.update(task, completed=step, rate=rate, scores=_scores(row))

        yield tell
