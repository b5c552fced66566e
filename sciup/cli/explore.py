"""``sciup explore``: the images of a region that the data permit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sciup.cli.options import Input, Json, Physics, Source, grouped
from sciup.console import console
from sciup.errors import InputError, OptionError

Opt = typer.Option

SOME_FAILED = 3


@grouped
def explore(
    input: Input,  # noqa: A002 - the name that --help shows
    source: Source,
    physics: Physics,
    out: Annotated[
        Path, Opt("--out", help="stem of the files; .fits or .ome.zarr chooses their format")
    ],
    goal: Annotated[
        str,
        Opt("--goal", help="distinct, brightest, faintest, one-or-two, farthest or sketch"),
    ] = "distinct",
    roi: Annotated[
        list[str] | None,
        Opt(
            "--roi",
            help="Y0:Y1,X0:X1 in input px, on the sky 'RA DEC SIZE', or a DS9 region FILE.reg;"
            " up to 128 x 128; repeatable",
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        Opt("--at", help="Y,X of aperture or object, input px; one for each --roi"),
    ] = None,
    radius: Annotated[float | None, Opt("--radius", help="of the aperture, input px")] = None,
    answers: Annotated[int, Opt("--answers", help="images to look for")] = 4,
    sketch: Annotated[
        Path | None, Opt("--sketch", help="drawing of the region (PNG, TIFF, FITS), output px")
    ] = None,
    steps: Annotated[int, Opt("--steps", help="evaluations of each search")] = 100,
    reach: Annotated[
        float, Opt("--reach", help="how far a draw's noise may be moved, standard deviations")
    ] = 5.0,
    seed: Annotated[int, Opt("--seed", help="seed of the noise, as in upscale")] = 0,
    noise_free: Annotated[bool, Opt("--noise-free", help="treat the input as exact")] = False,
    overwrite: Annotated[bool, Opt("--overwrite", help="replace existing files")] = False,
    json: Json = False,
) -> None:
    """Look for images of a region of INPUT that agree with the data and answer a question.

    Writes OUT.explore.json, the answers and their residuals as FITS or OME-Zarr, and a figure.
    Answers are possible, not probable. Goals: as different as the data allow (distinct), the range
    of a flux (brightest, faintest), one point source or two (one-or-two), as far as possible from
    sample 0 (farthest), near a drawing (sketch). --scale 8 to 64 runs several samplers one after
    the other: nearly everything is then invented. The PSF counts as known: answers agree with the
    data for one PSF, so try others with --psf-fwhm. Exit code 3: a region has no answer.

    [bold]Examples[/bold]

      sciup explore field.fits --roi 100:132,40:72 --out found

      sciup explore field.fits --goal brightest --at 116.2,56.8 --radius 3 --out flux

      sciup explore cells.ome.zarr --channel 0 --goal one-or-two --at 40,52 --out pair.ome.zarr

      sciup explore cells.tif --roi 0:16,0:16 --scale 64 --answers 2 --out sixtyfour
    """
    from sciup.explorer import run
    from sciup.explorer.write import check_place
    from sciup.science.measure.roi import region_of

    image = source.open(input)
    places = [_place(text) for text in at or []]
    check_place(out, overwrite, len(roi or places or [0]), image.format, image.source)
    with _bar() as progress:
        found = run.explore(
            image,
            roi=[region_of(text, image) or text for text in roi or []],
            goal=goal,
            answers=answers,
            at=places or None,
            radius=radius,
            sketch=None if sketch is None else _drawing(sketch),
            steps=steps,
            reach=reach,
            seed=seed,
            noise_free=noise_free,
            progress=progress,
            **physics.options(),
        )
    path = found.save(out, overwrite=overwrite)
    _tell(found, path)
    if json:
        typer.echo(path.read_text(encoding="utf-8"))
    if not found.found:
        sys.exit(SOME_FAILED)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A bar of evaluated images with the time that is left."""
    columns = (
        TextColumn("exploring"), BarColumn(), MofNCompleteColumn(), TextColumn("evaluations"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("exploring", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _tell(found: Any, path: Path) -> None:
    """The result of every region in words."""
    from sciup.explorer.answers import POSSIBLE

    for region in found.regions:
        mark = "[green]found[/green]" if region.found else "[red]nothing found[/red]"
        console.print(f"{mark}  {region.roi}  {escape(region.words)}")
        for answer in region.answers:
            f = answer.facts
            console.print(
                f"  {answer.name}  {escape(answer.title)}; chi^2 {f['chi2']:.1f} for {f['pixels']}"
                f" pixels, worst 8 px block {f['worst_8px_block_sigma']:+.1f} sigma, noise moved"
                f" by {f['typicality']['moved_sigma']:.1f} sigma"
            )
    console.print(POSSIBLE)
    if found.cascade.risk:
        console.print(f"[bold red]{escape(found.cascade.risk)}[/bold red]")
    console.print(f"[green]done[/green]  {escape(str(path))}")


def _place(text: str) -> tuple[float, float]:
    """Read ``Y,X``.

    Examples
    --------
    >>> _place("12.5,40")
    (12.5, 40.0)
    """
    try:
        y, x = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(
            f"--at {text!r} cannot be read", "Y,X in input px", "for example --at 12.5,40"
        ) from None
    return y, x


def _drawing(path: Path) -> Any:
    """A drawing as an array: PNG by its brightness, else the first plane of an image."""
    if not path.is_file() and not path.is_dir():
        raise InputError(f"there is no file {path}", "a PNG, TIFF or FITS image")
    if path.suffix.lower() == ".png":
        from matplotlib.image import imread

        try:
            values = imread(path)
        except (OSError, ValueError, SyntaxError) as error:
            raise InputError(f"{path} cannot be read as PNG: {error}") from None
        return values[..., :3].mean(-1) if values.ndim == 3 else values
    from sciup.geometry import Box
    from sciup.io import open_image

    image = open_image(path)
    return image.read(next(image.planes), Box.of_shape(image.plane_shape))[0]
