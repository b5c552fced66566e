"""The commands about models: thin, like `sciup.cli`, which registers them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from sciup.cli.options import Json
from sciup.console import console
from sciup.errors import ModelError, OptionError

Opt = typer.Option
Named = Annotated[str, typer.Argument(help="name of a model, or a model folder", metavar="MODEL")]

app = typer.Typer(name="models", rich_markup_mode="rich")


@app.callback(invoke_without_command=True)
def models(context: typer.Context, json: Json = False) -> None:
    """List the models that come with sciup, show their cards, check and export them.

    [bold]Examples[/bold]

      sciup models

      sciup models show fluorescence-x4
    """
    if context.invoked_subcommand is not None:
        return
    from sciup.catalogue import catalogue

    entries = catalogue()
    if json:
        import json as codec

        rows = [asdict(entry) | {"folder": str(entry.folder)} for entry in entries]
        typer.echo(codec.dumps(rows, indent=2))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("model", "domain", "scale", "size", "weights", "risk"):
        table.add_column(column, overflow="fold", no_wrap=column == "model")
    for e in entries:
        table.add_row(
            e.name,
            e.domain,
            f"{e.scale}x",
            f"{e.size / 1e6:.1f} MB",
            e.weights[:8] or "[red]damaged[/red]",
            e.risk,
        )
    console.print(table)
    for e in entries:
        console.print(f"\n[bold]{e.name}[/bold]: {escape(e.description)}")


@app.command()
def show(model: Named) -> None:
    """Print the card of a model: what it is for, its data, its limits, what was measured.

    [bold]Example[/bold]

      sciup models show fluorescence-x4
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from sciup.catalogue import read_card
    from sciup.resources import find_model

    # what was asked for, unlike messages, goes to standard output
    Console().print(Markdown(read_card(find_model(model))))


@app.command()
def verify(
    model: Annotated[
        str | None, typer.Argument(help="name or folder; default: all", metavar="[MODEL]")
    ] = None,
) -> None:
    """Check that weights are those that were published and fit their recipe.

    [bold]Examples[/bold]

      sciup models verify

      sciup models verify runs/mine
    """
    from sciup import catalogue
    from sciup.resources import find_model, model_folders

    folders = model_folders() if model is None else [find_model(model)]
    failures = []
    for folder in folders:
        try:
            console.print(f"[green]whole[/green]    {folder.name}: {catalogue.verify(folder)}")
        except ModelError as error:
            failures.append(folder.name)
            console.print(f"[red]damaged[/red]  {folder.name}: {escape(str(error))}")
    if failures:
        raise ModelError(
            f"{len(failures)} of {len(folders)} models cannot be used: {', '.join(failures)}",
            fix="restore their files, or reinstall sciup",
        )


@app.command()
def export(
    model: Named,
    out: Annotated[Path, typer.Argument(help="folder, or .zip file, to write")],
    author: Annotated[
        list[str] | None, Opt("--author", help="of a model of your own; may be repeated")
    ] = None,
    licence: Annotated[
        str | None, Opt("--licence", help="SPDX identifier, for a model of your own")
    ] = None,
) -> None:
    """Write a model as a package for bioimage.io tools: the network alone, without the projection.

    [bold]Examples[/bold]

      sciup models export fluorescence-x4 fluorescence-x4.zip

      sciup models export runs/mine package --author "Ada Lovelace" --licence CC-BY-4.0
    """
    from sciup.export import export_model
    from sciup.resources import find_model, model_folders

    folder = find_model(model)
    if folder in model_folders():
        author, licence = author or ["The sciup developers"], licence or "BSD-3-Clause"
    if not author or not licence:
        raise OptionError(
            "nobody but you knows who made this model and how others may use it",
            fix="give --author NAME and --licence SPDX, for example --licence CC-BY-4.0",
        )
    path = export_model(folder, out, author, licence)
    console.print(f"[green]package[/green]  {escape(str(path))}")
