"""``sciup evaluate``: the tables and figures that README and model cards quote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from sciup.cli.bar import bar
from sciup.console import command_line, console
from sciup.errors import ModelError, OptionError, OutputError

Opt = typer.Option

BASELINE = "e"
"""Folder in that of a texture model with the same head, trained with squared errors alone."""


def evaluate(
    model: Annotated[str, typer.Argument(help="model name or folder", metavar="MODEL")],
    data: Annotated[
        Path | None,
        typer.Argument(help="folder of images, with MANIFEST.tsv or without", metavar="DATA"),
    ] = None,
    out: Annotated[Path, Opt("--out", help="folder for tables and figures")] = Path("evaluation"),
    condition: Annotated[
        list[str] | None,
        Opt("--condition", help="SIGMA:PEAK, fine px and electrons; repeatable; default by scale"),
    ] = None,
    split: Annotated[
        str, Opt("--split", help="split of MANIFEST.tsv; night sky: role of scenes")
    ] = "test",
    every: Annotated[int, Opt("--every", help="take every n-th image", min=1)] = 1,
    draws: Annotated[int, Opt("--draws", help="draws per image", min=3)] = 17,
    seed: Annotated[int, Opt("--seed", help="seed of the draws", min=0)] = 0,
    twin: Annotated[
        str | None, Opt("--twin", help="model folder: the same trunk trained with squared errors")
    ] = None,
    real: Annotated[
        bool, Opt("--real/--no-real", help="real noise too, where DATA has repeated frames")
    ] = True,
    scenes: Annotated[
        Path | None, Opt("--scenes", help="night sky: pack of test scenes (.npy with .json)")
    ] = None,
    galsim: Annotated[
        Path | None, Opt("--galsim", help="night sky: GalSim COSMOS folder to render scenes from")
    ] = None,
    count: Annotated[int, Opt("--count", help="night sky: simulated fields; 0 for none")] = 60,
    pairs: Annotated[
        int, Opt("--pairs", help="night sky: N x N pairs of close stars; 0 for none", min=0)
    ] = 0,
    device: Annotated[str, Opt("--device", help="auto, cpu or cuda")] = "auto",
    precision: Annotated[str, Opt("--precision", help="auto, fp32 or bf16")] = "auto",
) -> None:
    """Measure what MODEL is worth, and whether its spread is honest, on the images in DATA.

    Fluorescence: every image is made coarse and noisy, restored by the model and by classical
    methods, and compared with itself. Without MANIFEST.tsv each file, also in subfolders, counts as
    an independent field. Night sky: simulated fields of known truth, and the real images in DATA.

    [bold]Examples[/bold]

      sciup evaluate fluorescence-x4 my_images --out report

      sciup evaluate fluorescence-x4 microscopy --out report --condition 2:200 --every 2

      sciup evaluate texture-fluorescence-x4 microscopy --out report --no-real

      sciup evaluate night-sky-x2 astronomy/test --scenes sky_test.npy --out report

      sciup evaluate night-sky-x2 --pairs 8 --out pairs

      sciup evaluate runs/my-sky-texture --scenes sky_test.npy --out report
    """
    from sciup.generators.registry import ModelFacts
    from sciup.resources import find_model

    facts, heads = _textured(ModelFacts.read(find_model(model)))
    _writable(out)
    about: dict[str, Any] = {"every": every, "precision": precision, "seed": seed}
    if facts.domain == "night-sky":
        _refuse({"--condition": condition, "--twin": twin}, facts)
        simulated = {"scenes": scenes, "data": galsim, "count": count, "role": split}
        if heads:
            alone = data is None and not pairs
            _sky_textures(facts, heads, out, simulated | about, alone=alone)
            return
        _sky(facts, data, out, simulated=simulated, pairs=pairs, about=about)
        return
    _refuse({"--scenes": scenes, "--galsim": galsim, "--pairs": pairs or None}, facts)
    if data is None:
        raise OptionError("DATA is missing", "a folder of images")
    other = ModelFacts.read(find_model(twin)) if twin else None
    if other is not None and (other.domain, other.scale) != (facts.domain, facts.scale):
        raise ModelError(
            f"--twin {other.name} is for {other.domain} at {other.scale}x",
            f"a model for {facts.domain} at {facts.scale}x",
        )
    _fluorescence(
        facts, data, out, condition, heads=heads, twin=other, split=split, draws=draws, real=real,
        device=device, about=about,
    )  # fmt: skip


def _fluorescence(
    facts: Any,
    data: Path,
    out: Path,
    condition: Sequence[str] | None,
    *,
    heads: Sequence[Any],
    twin: Any,
    split: str,
    draws: int,
    real: bool,
    device: str,
    about: dict[str, Any],
) -> None:
    """Run, tabulate and draw."""
    from sciup.evaluate import report
    from sciup.evaluate.fluorescence import plots, summary
    from sciup.evaluate.fluorescence import run as fluorescence
    from sciup.evaluate.fluorescence.methods import Options
    from sciup.evaluate.fluorescence.protocol import DEFAULTS, Condition

    texts = condition or DEFAULTS.get(facts.scale, ())
    if not texts:
        raise OptionError(
            f"{facts.name} is a {facts.scale}x model: there is no usual condition",
            "SIGMA:PEAK",
            "give --condition",
        )
    plan = fluorescence.Plan(
        facts,
        data,
        [Condition.parse(text, facts.scale) for text in texts],
        split,
        about["every"],
        Options(draws, about["seed"], about["precision"], device),
        twin,
        real,
        heads,
    )
    with bar("evaluating", "cases") as progress:
        found = fluorescence.evaluate(plan, progress)
    tables = summary.tables(found, plan)
    page = report.write(
        out, f"Evaluation of {facts.name}", _words(found), tables, plots.figures(found)
    )
    for table in tables:
        if table.name in SHOWN:
            _show(table, *SHOWN[table.name])
    if found.skipped:
        console.print(f"[yellow]skipped[/yellow]  {len(found.skipped)} images:")
        for row in found.skipped[:10]:
            console.print(f"  {escape(row['image'])}: {escape(row['reason'])}")
    console.print(f"[green]done[/green]  {escape(str(page))}")


def _sky(
    facts: Any,
    data: Path | None,
    out: Path,
    *,
    simulated: dict[str, Any],
    pairs: int,
    about: dict[str, Any],
) -> None:
    """Simulated fields, pairs of stars, and real images where a folder is given."""
    from sciup.evaluate import report
    from sciup.evaluate.sky import pairs as sky_pairs
    from sciup.evaluate.sky import real as sky_real
    from sciup.evaluate.sky import run as sky
    from sciup.evaluate.tables import Table

    tables: list[Table] = []
    figures: dict[str, Any] = {}
    if simulated["count"] and (simulated["scenes"] or simulated["data"]):
        with bar("evaluating", "fields") as progress:
            tables, figures = sky.evaluate(facts, **simulated, progress=progress, **about)
    if pairs:
        precision = about["precision"]
        with bar("evaluating", "pairs") as progress:
            tables.append(
                sky_pairs.table(facts, across=pairs, precision=precision, progress=progress)
            )
    if data is not None:
        with bar("evaluating", "images") as progress:
            tables += sky_real.evaluate(facts, data, progress=progress, **about)
    if not tables:
        raise OptionError(
            "there is nothing to evaluate on",
            "DATA, --scenes, --galsim or --pairs",
            "give one of them",
        )
    page = report.write(out, f"Evaluation of {facts.name}", [command_line()], tables, figures)
    console.print(f"[green]done[/green]  {escape(str(page))}")


def _sky_textures(
    facts: Any, heads: Sequence[Any], out: Path, options: dict[str, Any], *, alone: bool
) -> None:
    """Texture models of the night sky; `alone`: nothing but simulated fields was asked for."""
    from sciup.evaluate import report
    from sciup.evaluate.sky import textures

    if not alone or not (options["scenes"] or options["data"]):
        raise OptionError(
            "textures of the night sky are evaluated on simulated fields alone",
            "--scenes or --galsim, without DATA and --pairs",
        )
    with bar("evaluating", "fields") as progress:
        tables, figures = textures.evaluate(facts, heads, progress=progress, **options)
    title = f"Evaluation of {heads[-1].name}"
    page = report.write(out, title, [command_line()], tables, figures)
    _show(tables[0], "texture models, the baseline first", TEXTURES)
    console.print(f"[green]done[/green]  {escape(str(page))}")


def _textured(facts: Any) -> tuple[Any, list[Any]]:
    """The sampler of a model, and texture models to evaluate beside it, the baseline first."""
    from sciup.generators.facts import TEXTURE, ModelFacts, TextureFacts
    from sciup.resources import find_model, is_trained

    if facts.architecture != TEXTURE:
        return facts, []
    base = ModelFacts.read(find_model(TextureFacts.read(facts.folder).sampler))
    folders = [facts.folder / BASELINE, facts.folder]
    return base, [TextureFacts.beside(base, f) for f in folders if is_trained(f)]


def _words(found: Any) -> list[str]:
    """Paragraphs below the heading."""
    images = len({(r["set"], r["image"]) for r in found.rows})
    units = len({(r["set"], r["unit"]) for r in found.rows})
    skipped = f"; {len(found.skipped)} could not be used" if found.skipped else ""
    return [command_line(), f"{images} images of {units} independent units{skipped}."]


def _refuse(options: dict[str, object], facts: Any) -> None:
    """Options of the other domain are a mistake that would go unseen."""
    for name, value in options.items():
        if value:
            raise OptionError(
                f"{name} was given, but {facts.name} is a model for {facts.domain}",
                fix=f"leave {name} out, or choose another MODEL",
            )


def _writable(out: Path) -> None:
    """Fail before the work, not after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".sciup"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"--out {out} cannot be written: {error.strerror}", "a folder", "choose another"
        ) from None


TEXTURES = ("method", "fields", "gain", "lsd", "pyramid", "imprint", "false_per_Mpx")
"""Columns of the table of the night sky's textures."""

SHOWN = {
    "paired": (
        "gain of the mean over the best rival, dB",
        ("condition", "set", "rival", "units", "difference", "low", "high"),
    ),
    "texture": (
        "texture models, the baseline first",
        ("condition", "set", "method", "gain", "loss", "lsd / first", "pyramid / first", "imprint",
         "false_per_Mpx"),
    ),
}  # fmt: skip
"""Title and columns of the tables that are shown on standard output."""


def _show(table: Any, title: str, keys: Sequence[str]) -> None:
    """A table on standard output; of `paired` the first model against the best baseline."""
    from rich.table import Table

    from sciup.evaluate.tables import cell

    shown = Table(title=title, title_justify="left", box=None)
    for key in keys:
        shown.add_column(key)
    first: dict[str, str] = {}
    for row in table.rows:
        model = row.get("model")
        if first.setdefault(row.get("condition", ""), model) == model:
            shown.add_row(*(escape(cell(row[key])) for key in keys))
    Console(highlight=False).print(shown)
