"""``sciup info``: what a finished result is and how it was made."""

from __future__ import annotations

import json as codec
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from sciup.cli.options import Json, Made
from sciup.console import console

if TYPE_CHECKING:
    from sciup.results.plate import Plate


def info(result: Made, json: Json = False) -> None:
    """Show what the finished result OUT is: how it was made, what it holds, what was assumed.

    Nothing is computed and no pixel is read. `sciup verify` says whether the pixels are still those
    that were written.

    [bold]Examples[/bold]

      sciup info out.fits

      sciup info out.ome.zarr --json

      sciup info plate.ome.zarr
    """
    from sciup.results.about import about
    from sciup.results.plate import Plate

    plate = Plate.at(result)
    if json:
        told = plate.as_json() if plate else about(result)
        typer.echo(codec.dumps(told, indent=2, allow_nan=False, default=str))
        return
    if plate:
        _plate(plate)
        if not plate.fields:
            return
    facts = about(result if plate is None else plate.path / plate.fields[0])
    for label, text in _lines(facts):
        console.print(f"[bold]{label:<11}[/bold] {escape(text)}", soft_wrap=True)
    console.print(_maps(facts))
    console.print(_instrument(facts))


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Label and text of what is told in one line each."""
    yield "result", f"{facts['path']}  {facts['container']}, {facts['bytes'] / 1e6:.2f} MB"
    yield "made", f"{facts['created']} by sciup {facts['sciup']} on {facts['device']}"
    for step in facts["converted"]:
        yield "converted", f"from {step['from']} to {step['to']} by sciup {step['sciup']}"
    shape = " x ".join(map(str, facts["input_shape"]))
    yield "input", f"{facts['source']}  {shape}, of it {facts['input_region']}"
    yield "model", f"{facts['model']}, {facts['scale']}x, weights {facts['weights']}"
    stored = f", {facts['stored_samples']} stored" if facts["stored_samples"] else ""
    yield "draws", f"{facts['samples']} + 1 samples{stored}, seed {facts['seed']}"
    yield "pixels", _pixels(facts)
    yield "values", f"{facts['unit'] or 'no unit'}, {facts['values']}"
    yield "output PSF", f"FWHM {facts['output_psf_fwhm_px']:g} output px"
    yield "tolerance", f"{facts['tolerance']}" + ("; noise-free" if facts["noise_free"] else "")
    yield "risk", ("calibrated: " if facts["risk_calibrated"] else "") + facts["risk_words"]
    yield from _warnings(facts)


def _plate(plate: Plate) -> None:
    """What there is of a plate; what follows is of its first field."""
    from sciup.io._plate import well_of

    wells = len({well_of(name) for name in plate.fields})
    every = len(plate.fields) + len(plate.missing)
    console.print(f"[bold]plate[/bold]       {escape(str(plate.path))}  of {escape(plate.source)}")
    console.print(
        f"[bold]fields[/bold]      {len(plate.fields)} of {every} finished, in {wells} wells"
    )
    if plate.missing:
        some = ", ".join(plate.missing[:8]) + (", ..." if len(plate.missing) > 8 else "")
        console.print(f"[bold]missing[/bold]     {escape(some)}: {escape(plate.again)}")
    if other := plate.otherwise:
        some = ", ".join(other[:8]) + (", ..." if len(other) > 8 else "")
        console.print(
            f"[bold]otherwise[/bold]   {escape(some)}: made with other options than most;"
            " sciup info of a field tells them"
        )
    if plate.fields:
        console.print(f"[bold]first[/bold]       {plate.fields[0]}, of which this is told:")


def _pixels(facts: dict[str, Any]) -> str:
    words = f"{facts['axes']} {' x '.join(map(str, facts['shape']))}, "
    size, centre = facts["pixel_size"], facts["centre"]
    if size is None:
        return words + "pixel size not known"
    words += f"pixel {size[0]:.5g} x {size[1]:.5g} {facts['pixel_unit'] or 'input px'}"
    return words + (
        f", centre {centre['ra']:.6f} {centre['dec']:+.6f} deg {centre['frame']}" if centre else ""
    )


def _warnings(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What must not be missed."""
    if outside := sum(facts["out_of_domain"] or ()):
        planes = len(facts["out_of_domain"])
        yield "domain", f"{outside} of {planes} planes are unlike those of the calibration"
    if facts["in_training"]:
        yield "training", f"the model was trained on {', '.join(facts['in_training'])}"
    if facts["unreadable_parts"]:
        yield "unreadable", f"{facts['unreadable_parts']} parts of the input are masked"
    if not facts["checksums"]:
        yield "checksums", "none: made before they were stored; only the structure can be verified"


def _maps(facts: dict[str, Any]) -> Table:
    table = Table(title="maps", title_justify="left", box=None, pad_edge=False)
    for column in ("map", "unit", "meaning"):
        table.add_column(column)
    for row in facts["maps"]:
        table.add_row(row["name"], escape(row["unit"] or ""), row["meaning"])
    return table


def _instrument(facts: dict[str, Any]) -> Group:
    """The instrument of the first plane and of every channel, as the run believed it."""
    from sciup.physics.instrument import Instrument
    from sciup.show import instrument_tables

    planes = [Instrument.from_json(told) for told in facts["instrument"]]
    models = [told["model"] for told in facts["provenance"].get("models", ())]
    return instrument_tables(planes, facts["channels"], models)


__all__ = ["info"]
