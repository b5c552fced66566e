"""``sciup bench``: how fast this machine is."""

from __future__ import annotations

import json as codec
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sciup.cli.options import Json
from sciup.console import console
from sciup.errors import OptionError

Opt = typer.Option

MEANS = {
    "trunk": "what the network does once per window",
    "one head": "what it does once per sample",
    "forward": "trunk and all heads: the most there can be",
    "draws": "read, trunk, noise, heads, projection",
    "maps without risk": "the same with sample, mean, std and support",
    "maps": "the same with votes and calibrated risk",
    "Zarr to Zarr": "the whole way, with pyramid and checksums",
}


def bench(
    model: Annotated[str, typer.Option("--model", help="model name or folder")] = "fluorescence-x4",
    samples: Annotated[int, Opt("--samples", help="voting samples", min=1)] = 16,
    side: Annotated[int, Opt("--side", help="input px of the made image, per side")] = 512,
    threads: Annotated[int | None, Opt("--threads", help="windows at a time", min=1)] = None,
    precision: Annotated[str, Opt("--precision", help="auto, fp32 or bf16")] = "auto",
    device: Annotated[str, Opt("--device", help="auto, cpu or cuda")] = "auto",
    out: Annotated[Path | None, Opt("--out", help="write the figures as JSON")] = None,
    json: Json = False,
) -> None:
    """Measure how many output megapixels per second this machine makes, and where the time goes.

    [bold]Examples[/bold]

      sciup bench

      sciup bench --model night-sky-x2 --samples 1 --device cuda --json
    """
    from sciup import bench as benches
    from sciup.engine.margins import CORE
    from sciup.generators.facts import ModelFacts
    from sciup.resources import find_model

    if side < CORE or side % CORE:
        raise OptionError(f"--side {side}", f"multiples of {CORE}")
    facts = ModelFacts.read(find_model(model))
    with console.status("timing") as status:
        found = benches.measure(
            facts,
            samples=samples,
            side=side,
            threads=threads,
            precision=precision,
            device=device,
            told=lambda name: status.update(f"timing: {name}"),
        )
    forward = next(step.rate for step in found if step.name == "forward")
    plain = {
        "model": facts.name,
        "weights": facts.weights,
        "samples": samples,
        "side": side,
        "threads": threads,
        "precision": precision,
        "steps": [asdict(step) | {"share": step.rate / forward} for step in found],
    }
    if out is not None:
        out.write_text(codec.dumps(plain, indent=2))
    if json:
        typer.echo(codec.dumps(plain, indent=2))
        return
    table = Table("", "output Mpx/s", "of the forward limit", "what it is")
    for step in found:
        share = "" if step.name in ("trunk", "one head") else f"{step.rate / forward:.0%}"
        table.add_row(step.name, f"{step.rate:.3g}", share, MEANS[step.name])
    console.print(
        f"{facts.name}, {samples} + 1 samples, {side} x {side} input px at {facts.scale}x"
    )
    console.print(table)
