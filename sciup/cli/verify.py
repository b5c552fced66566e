"""``sciup verify``: whether a finished result is still what was written."""

from __future__ import annotations

import json as codec

import typer
from rich.markup import escape

from sciup.cli.bar import bar
from sciup.cli.options import Json, Made
from sciup.console import console


def verify(result: Made, json: Json = False) -> None:
    """Check that the finished result OUT is whole: all maps and shards, every value as written.

    All pixels are read and compared with the checksums that the result holds. The exit code is 0,
    or 3 with a list of what is damaged and where, in output pixels. Of a plate all finished fields
    are checked.

    [bold]Examples[/bold]

      sciup verify out.fits

      sciup verify out.ome.zarr --json

      sciup verify plate.ome.zarr
    """
    from sciup.results.plate import Plate, verify_plate
    from sciup.results.verify import verify as check

    plate = Plate.at(result)
    with bar("verifying", "fields" if plate else "maps") as progress:
        verdict = verify_plate(plate, progress) if plate else check(result, progress)
    missing = plate.missing if plate else []
    if json:
        more = {"missing": missing} if plate else {}
        typer.echo(codec.dumps(verdict.as_json() | more, indent=2))
    for damage in () if json else verdict.damage:
        console.print(f"[red]damaged[/red]  {escape(damage.where)}: {escape(damage.what)}")
    if plate and missing and not json:
        told = f"{len(missing)} of {len(missing) + len(plate.fields)} fields, such as {missing[0]}"
        console.print(f"[yellow]not finished[/yellow]  {escape(told)}: {escape(plate.again)}")
    if verdict.damage:
        raise typer.Exit(3)
    if not json:
        done = (
            f"{verdict.shards} shards are as they were written"
            if verdict.stated
            else "it holds no checksums, so that only its structure was checked"
        )
        console.print(f"[green]whole[/green]  {len(verdict.maps)} maps, {done}")


__all__ = ["verify"]
