"""``sciup inject``: sources of known light put into a real image, and found again or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sciup.cli.options import Input, Physics, PsfError, Roi, Source, grouped, read_psf_error
from sciup.console import console
from sciup.errors import OptionError

if TYPE_CHECKING:
    from sciup.science.inject.plan import Injections

Opt = typer.Option


@grouped
def inject(
    field: Input,
    source: Source,
    physics: Physics,
    random: Annotated[
        int | None, Opt("--random", help="sources at random places of the footprint")
    ] = None,
    catalog: Annotated[
        Path | None, Opt("--catalog", help="CSV, ECSV or FITS: y, x or ra, dec; flux or snr")
    ] = None,
    stamp: Annotated[
        Path | None, Opt("--stamp", help="image of a source on the output grid; default: a point")
    ] = None,
    snr: Annotated[
        str | None, Opt("--snr", help="range of random sources, LOW:HIGH; default: 3:50")
    ] = None,
    limit: Annotated[
        float, Opt("--limit", help="S/N of the faintest point source that a detection shows")
    ] = 5.0,
    threshold: Annotated[float, Opt("--threshold", help="least P(exists) of a detection")] = 0.5,
    match: Annotated[
        float | None, Opt("--match", help="input px; default: half the FWHM of the PSF")
    ] = None,
    samples: Annotated[int, Opt("--samples", help="draws that vote")] = 16,
    seed: Annotated[int, Opt("--seed", help="of places, photons and draws")] = 0,
    roi: Roi = None,
    psf_error: PsfError = None,
    out: Annotated[Path, Opt("--out", help="folder for tables and figure")] = Path("injection"),
    overwrite: Annotated[bool, Opt("--overwrite", help="replace an earlier injection")] = False,
) -> None:
    """Put sources of known light into INPUT, and see which of them are found again.

    They go through the PSF, the noise and the mask of the image. Told are completeness, bias of the
    flux and risk at their places, and how much is found on a simulated sky without sources; and the
    same for the same detector on bicubic and Richardson-Lucy pictures.

    [bold]Examples[/bold]

      sciup inject field.fits --random 100 --out injection

      sciup inject mosaic.fits --roi 0:400,0:400 --catalog stars.csv

      sciup inject cells.ome.zarr --channel 0 --random 60 --snr 2:20

      sciup inject field.fits --stamp galaxy.fits --random 40

      sciup inject field.fits --roi cluster.reg --random 20 --psf-error 10%
    """
    from sciup import api, show
    from sciup.science.inject.run import check_options
    from sciup.science.inject.run import inject as run
    from sciup.science.inject.write import check_folder
    from sciup.science.measure.roi import region_of

    asked: dict[str, Any] = {
        "random": random, "catalog": catalog, "stamp": stamp, "limit": limit, "seed": seed,
        "snr": None if snr is None else _span(snr), "threshold": threshold, "match": match,
    }  # fmt: skip
    check_options(**asked, samples=samples)
    check_folder(out, field, *source.files, catalog, stamp, *physics.files, overwrite=overwrite)
    image = source.open(field)
    result = api.upscale(
        image, samples=samples, seed=seed, roi=region_of(roi, image),
        psf_error=read_psf_error(psf_error), **physics.options(),
    )  # fmt: skip
    show.beliefs(console, result, "you" if physics.model else "the domain of the file")
    with _bar() as progress:
        found = run(result, **asked, progress=progress)
    _tell(found)
    path = found.save(out, overwrite=overwrite)
    console.print(f"[green]done[/green]  {escape(str(path))}")


def _span(text: str) -> tuple[float, float]:
    """A range as given on the command line.

    Examples
    --------
    >>> _span("3:50")
    (3.0, 50.0)
    """
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        raise OptionError(f"--snr {text!r}", "LOW:HIGH, such as 3:50") from None
    return low, high


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar of the parts of each run."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("parts"),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        tasks: dict[str, Any] = {}

        def tick(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield tick


def _tell(found: Injections) -> None:
    """What the numbers rest on, and the numbers."""
    for line in found.assumptions:
        console.print(f"[dim]-[/dim] {escape(line)}")
    console.print(
        "[bold]completeness[/bold], and false detections per Mpx of a sky without sources; 95 %"
    )
    console.print(_completeness(found))
    console.print("[bold]sciup[/bold]: of what it finds, and risk of all places")
    console.print(_quality(found))


def _completeness(found: Injections) -> Any:
    """Methods beside each other."""
    from rich import box
    from rich.table import Table

    methods = list(dict.fromkeys(found.summary["method"]))
    shown = Table("S/N", "n", *map(str, methods), box=box.MARKDOWN)
    by_class: dict[tuple[float, float], list[Any]] = {}
    for row in found.summary:
        by_class.setdefault((row["snr_low"], row["snr_high"]), []).append(row)
    for rows in by_class.values():
        cells = [
            f"{r['completeness']:.2f} ({r['completeness_lo95']:.2f}-{r['completeness_hi95']:.2f})"
            for r in rows
        ]
        shown.add_row(_span_of(rows[0]), str(rows[0]["n"]), *cells)
    false = [
        f"{r['false_per_mpx']:.3g} ({r['false_lo95']:.3g}-{r['false_hi95']:.3g})" for r in rows
    ]
    shown.add_row("false per Mpx", "", *false)
    return shown


def _quality(found: Injections) -> Any:
    """Fluxes and risk of the draws."""
    from rich import box
    from rich.table import Table

    columns = {
        "flux bias": "flux_bias", "16 %": "flux_p16", "84 %": "flux_p84",
        "in 68 %": "flux_in68",
    }  # fmt: skip
    columns |= {n: n for n in found.summary.colnames if n in ("risk", "risk_invented", "risk_raw")}
    shown = Table("S/N", *columns, box=box.MARKDOWN)
    for row in found.summary:
        if row["method"] == "sciup":
            shown.add_row(_span_of(row), *(_text(row[name]) for name in columns.values()))
    return shown


def _span_of(row: Any) -> str:
    """A class of S/N."""
    return f"{row['snr_low']:g}-{row['snr_high']:g}"


def _text(value: float) -> str:
    """A cell; an empty one for NaN.

    Examples
    --------
    >>> _text(0.25), _text(float("nan"))
    ('0.250', '')
    """
    return "" if value != value else f"{value:.3f}"
