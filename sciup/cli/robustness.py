"""``sciup robustness``: a measurement with one belief changed at a time."""

from __future__ import annotations

import json as codec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.markup import escape

from sciup.cli.options import Input, Json, Measuring, Physics, Source, grouped
from sciup.console import console

Opt = typer.Option


@grouped
def robustness(
    source: Input,
    opening: Source,
    physics: Physics,
    what: Measuring,
    other_model: Annotated[
        list[str] | None, Opt("--other-model", help="try this model, too; may be repeated")
    ] = None,
    seed: Annotated[int, Opt("--seed", help="of the run as it is")] = 0,
    out: Annotated[Path | None, Opt("--out", help="table to write: .ecsv, .csv or .fits")] = None,
    overwrite: Annotated[bool, Opt("--overwrite", help="replace an existing table")] = False,
    json: Json = False,
) -> None:
    """Measure as it is, with the PSF 10 % narrower and wider, 1.2 times the noise, other seeds.

    Only the surroundings of the regions are drawn. A shift is given in standard deviations of the
    draws: what moves by more than 1 hangs on a belief about the instrument, and its interval is
    too short.

    [bold]Examples[/bold]

      sciup robustness field.fits --with photometry --catalog stars.csv --radius 3

      sciup robustness cells.ome.zarr --with count --regions cells.reg --out robust.ecsv
    """
    from sciup.api import upscale
    from sciup.results.tables import check_place, write_table
    from sciup.science.robustness.run import robustness as run
    from sciup.science.robustness.run import summary

    if out is not None:
        check_place(out, source, *opening.files, *what.files, overwrite=overwrite)
    result = upscale(opening.open(source), seed=seed, **physics.options())
    with console.status("") as status:
        table = run(
            result, **what.options(), models=other_model or (),
            progress=lambda name: status.update(f"measuring: {escape(name)}"),
        )  # fmt: skip
    found = summary(table)
    if json:
        rows = [dict(zip(table.colnames, map(_plain, row), strict=True)) for row in table]
        clean = [{key: _plain(value) for key, value in row.items()} for row in found]
        typer.echo(codec.dumps({"summary": clean, "rows": rows}, indent=2, allow_nan=False))
    else:
        _tell(table, found)
    if out is not None:
        write_table(out, table, overwrite=overwrite)
        console.print(f"[green]done[/green]  {escape(str(out))}")


def _plain(value: Any) -> Any:
    """As JSON knows it: neither NaN nor infinity."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _tell(table: Any, found: list[dict[str, Any]]) -> None:
    """How far values move, and the ones that move farthest."""
    from rich.table import Table

    shown = Table("variation", "values", "median shift", "largest", "moved > 1 std", "inside 95 %")
    for row in found:
        shares = (f"{100 * row[k]:.0f} %" for k in ("shifted", "inside"))
        shifts = (f"{row[k]:.2f} std" for k in ("median", "largest"))
        shown.add_row(escape(row["variation"]), str(row["values"]), *shifts, *shares)
    console.print(shown)
    shifts = np.abs(np.nan_to_num(np.asarray(table["shift_std"], float)))
    worst = table[int(shifts.argmax())] if shifts.any() else None
    if worst is not None:
        console.print(
            f"farthest: {escape(str(worst['quantity']))} of {escape(str(worst['id']))} with"
            f" {escape(str(worst['variation']))}: {worst['shift']:+.4g}"
            f" ({worst['shift_std']:+.2f} std)"
        )
