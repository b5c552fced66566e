"""What the command line prints: tables of beliefs and plans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from sciup.api import Result
from sciup.engine.channels import COMPARED, channel_rows, names_of_planes
from sciup.engine.cost import estimate
from sciup.engine.run import output_format
from sciup.image import Image
from sciup.io._writer import ILLUSTRATIVE
from sciup.physics.instrument import Instrument
from sciup.risk.words import together, widths

UNITS = {
    "psf_fwhm": "input px",
    "psf_step": "input px",
    "psf_error": "of the width",
    "psf_cell": "input px",
    "star_fwhm": "input px",
    "electrons_per_unit": "electron per unit",
    "read_noise": "electron",
    "background": "input units",
    "noise_sigma": "input units",
    "correlation": "lag 1",
    "dark": "input units",
    "bright": "input units",
}
PLAIN: dict[str, Any] = {"title_justify": "left", "box": None, "pad_edge": False}
COLOURS = {"given": "green", "header": "green", "estimated": "yellow", "assumed": "red"}


def beliefs(console: Console, result: Result, chosen_by: str) -> None:
    """One line for input, model and output each, and the table of the instrument."""
    job = result.job
    image, model = job.image, job.model
    console.print(f"[bold]input[/bold]   {escape(image.source)}  {describe(image)}")
    told = {m.weights: f"{m.name}, {m.scale}x, weights {m.weights[:12]}" for m in job.models}
    console.print(f"[bold]model[/bold]   {'; '.join(told.values())} (chosen by {chosen_by})")
    kept = (
        "flux per pixel: block sum kept" if image.flux_per_pixel else "intensity: block mean kept"
    )
    unit = image.unit or "no unit in the file"
    console.print(
        f"[bold]output[/bold]  {' x '.join(map(str, result.shape))}, {unit}, {kept}; declared PSF "
        f"FWHM {model.target_fwhm:g} output px; {job.settings.samples} + 1 samples, "
        f"tolerance {job.settings.tolerance}"
    )
    console.print(f"[bold]risk[/bold]    {escape(risk_words(result))}")
    if job.texture is not None:
        console.print(
            f"[bold]texture[/bold] {job.texture.name}, weights {job.texture.weights[:12]}: "
            f"{ILLUSTRATIVE}, no part of what was calibrated"
        )
    console.print(instrument_table(result))


def risk_words(result: Result) -> str:
    """Whether the risk map is calibrated, and by what."""
    found = result.job.calibration
    several = any(i.psf_error.value for i in result.job.instruments)
    more = f". {widths(not isinstance(found, str))}" if several else ""
    if isinstance(found, str):
        return f"not calibrated, raw votes only: {found}{more}"
    every = {m.folder: result.job.at(k).calibrated for k, m in enumerate(result.job.models)}
    about = together([one.calibration.about for one in every.values() if one])
    return f"calibrated on {about['units']} independent fields ({about['data']}){more}"


def describe(image: Image) -> str:
    """Format, axes, type and pixel size in one line."""
    size = image.grid.size
    pixel = (
        f"pixel {size[0]:.5g} x {size[1]:.5g} {image.grid.unit or ''}".rstrip()
        if size
        else "pixel size unknown"
    )
    shape = " x ".join(map(str, image.shape))
    return f"{image.format}, {image.axes} {shape}, {image.dtype}, {pixel}"


def instrument_table(result: Result) -> Group:
    """The instrument of the first plane, with the origin of each value, and all channels."""
    job = result.job
    models = [model.name for model in job.models] if job.chosen else []
    return instrument_tables(job.instruments, names_of_planes(job.image), models)


def instrument_tables(
    instruments: Sequence[Instrument], channels: Sequence[str], models: Sequence[str] = ()
) -> Group:
    """The first plane with the origin of each value, and a line for each of several channels.

    `channels` and `models` are those of every plane; `models` only where they differ.
    """
    tables = [instrument_rows(instruments[0], len(instruments))]
    if rows := channel_rows(channels, instruments, models):
        tables.append(Table(title="channels, each in its first plane", **PLAIN))
        for heading in ("channel", *COMPARED.values(), *(["model"] if models else [])):
            tables[-1].add_column(escape(heading))
        for row in rows:
            tables[-1].add_row(*map(escape, row))
    return Group(*tables)


def instrument_rows(instrument: Instrument, planes: int) -> Table:
    """An instrument, the first of `planes`, with the origin of each value."""
    title = "instrument" + (f" of the first of {planes} planes" if planes > 1 else "")
    table = Table(title=title, **PLAIN)
    for column in ("value", "", "unit", "origin", "how"):
        table.add_column(column)
    for name, value, origin, note in instrument.rows():
        colour = COLOURS[origin]
        table.add_row(
            name, value, UNITS.get(name, ""), f"[{colour}]{origin}[/{colour}]", escape(note)
        )
    return table


def plan(console: Console, result: Result, output: Path) -> None:
    """What would be done, and what it would cost."""
    cost = estimate(result.job, output)
    console.print(f"[bold]plan[/bold]    {cost.windows} windows of the network, no output written")
    console.print(f"[bold]format[/bold]  {output_format(output, result.job)}")
    console.print(f"[bold]time[/bold]    about {duration(cost.seconds)} on this machine")
    console.print(f"[bold]memory[/bold]  about {cost.memory / 1e9:.1f} GB")
    console.print(
        f"[bold]disk[/bold]    up to {cost.disk / 1e9:.3f} GB, {cost.free / 1e9:.1f} GB free"
    )


def duration(seconds: float) -> str:
    """Seconds in words: ``45 s``, ``12 min``, ``3.5 h``.

    Examples
    --------
    >>> duration(45), duration(720), duration(12600)
    ('45 s', '12 min', '3.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A bar with windows done, rate and remaining time."""
    columns = (
        TextColumn("upscaling"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("windows  {task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("upscaling", total=None, rate="")

        def update(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:.2f}/s" if speed else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield update


def workers(console: Console, client: Any) -> None:
    """Who computes, and where to watch them."""
    if client is None:
        return
    threads = client.nthreads()
    who = f"{len(threads)} with {sum(threads.values())} threads" if threads else "none yet"
    console.print(f"[bold]workers[/bold] {who}; dashboard {client.dashboard_link or 'off'}")


def masked_share(image: Image) -> float:
    """Share of pixels without data in the sampled blocks of the first plane."""
    from sciup.physics.estimate import probe

    blocks = probe(image, next(image.planes)).blocks
    total = sum(b.size for b in blocks)
    return float(1 - sum(int(np.isfinite(b).sum()) for b in blocks) / max(total, 1))


def facts(result: Result) -> dict[str, Any]:
    """Everything that `inspect` shows, JSON-ready."""
    image = result.job.image
    cost = estimate(result.job, Path("out.fits" if image.format == "fits" else "out.ome.zarr"))
    return {
        "source": image.source,
        "format": image.format,
        "axes": image.axes,
        "shape": list(image.shape),
        "dtype": str(image.dtype),
        "pixel_size": list(image.grid.size) if image.grid.size else None,
        "pixel_unit": image.grid.unit,
        "unit": image.unit,
        "values": "flux per pixel" if image.flux_per_pixel else "intensity",
        "masked_share": masked_share(image),
        "domain": image.domain,
        "model": " + ".join(dict.fromkeys(model.name for model in result.job.models)),
        "scale": result.job.model.scale,
        "region": _region(result),
        "output_shape": list(result.shape),
        "expected_seconds": cost.seconds,
        "expected_disk_bytes": cost.disk,
        "instrument": [i.as_json() for i in result.job.instruments],
        "channels": names_of_planes(image),
        "in_training": list(result.job.known),
    }


def _region(result: Result) -> str:
    """Input pixels that would be upscaled."""
    (y0, x0), (y1, x1) = result.job.region.start, result.job.region.stop
    return f"{y0}:{y1},{x0}:{x1}"


def inspection(console: Console, result: Result, data: dict[str, Any]) -> None:
    """The same for people."""
    image = result.job.image
    console.print(f"[bold]input[/bold]    {escape(image.source)}  {describe(image)}")
    console.print(
        f"[bold]values[/bold]   {image.unit or 'no unit in the file'}, {data['values']}; "
        f"{100 * data['masked_share']:.2f} % of the sampled pixels have no data"
    )
    for name, label in (("channels", "channels"), ("other_series", "also in the file")):
        if image.metadata.get(name):
            console.print(f"[bold]{label}[/bold] {escape(str(image.metadata[name]))}")
    if result.job.region.shape != image.plane_shape:
        console.print(f"[bold]region[/bold]   {data['region']} in input px")
    console.print(
        f"[bold]suggest[/bold]  {data['model']} ({data['scale']}x): "
        f"{' x '.join(map(str, data['output_shape']))}, "
        f"about {duration(data['expected_seconds'])}, "
        f"up to {data['expected_disk_bytes'] / 1e9:.3f} GB"
    )
    console.print(instrument_table(result))


__all__ = ["beliefs", "facts", "inspection", "plan", "progress"]
