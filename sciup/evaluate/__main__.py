"""``python -m sciup.evaluate``: the tables that README and model cards quote."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sciup.errors import ModelError, OptionError, SciupError
from sciup.evaluate.tables import Table
from sciup.generators.registry import ModelFacts
from sciup.resources import find_model

app = typer.Typer(
    help="Tables of figures of merit, as Markdown, CSV and JSON.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console(stderr=True, highlight=False)

ModelName = Annotated[str, typer.Option("--model", help="model name or folder")]
Data = Annotated[Path, typer.Option("--data", help="data folder")]
Out = Annotated[Path, typer.Option("--out", help="folder for the tables")]
Every = Annotated[int, typer.Option("--every", help="take every n-th image", min=1)]
Precision = Annotated[str, typer.Option("--precision", help="auto, fp32 or bf16")]
Seed = Annotated[int, typer.Option("--seed", help="seed of the draws")]


@app.command()
def fluorescence(
    data: Data,
    out: Out,
    model: ModelName = "fluorescence-x4",
    condition: Annotated[
        list[str] | None,
        typer.Option("--condition", help="SIGMA:PEAK, fine px and electrons; repeatable"),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="split of MANIFEST.tsv")] = "test",
    every: Every = 1,
    precision: Precision = "auto",
    seed: Seed = 0,
) -> None:
    """The reference protocol on micrographs, with baselines.

    Example: python -m sciup.evaluate fluorescence --data microscopy --condition 2:200 --every 4
    --out tables
    """
    from sciup.evaluate import fluorescence as module
    from sciup.evaluate.protocol import Condition

    facts = _model(model, "fluorescence")
    texts = condition or list(module.CONDITIONS)
    try:
        conditions = [Condition.parse(text) for text in texts]
    except ValueError:
        raise OptionError(
            f"--condition {' '.join(texts)}", "SIGMA:PEAK, for example 2:200"
        ) from None
    with _bar("cases") as progress:
        tables = module.evaluate(
            facts,
            data,
            conditions=conditions,
            split=split,
            every=every,
            precision=precision,
            seed=seed,
            progress=progress,
        )
    _finish(tables, out, {"fluorescence"})


@app.command()
def sky(
    out: Out,
    model: ModelName = "night-sky-x2",
    data: Annotated[
        Path | None, typer.Option("--data", help="folder with folders of real FITS images")
    ] = None,
    scenes: Annotated[
        Path | None, typer.Option("--scenes", help="pack of test scenes (.npy with .json)")
    ] = None,
    galsim: Annotated[
        Path | None, typer.Option("--galsim", help="GalSim COSMOS folder to render scenes from")
    ] = None,
    count: Annotated[int, typer.Option("--count", help="simulated fields; 0 for none")] = 60,
    every: Every = 1,
    precision: Precision = "auto",
    seed: Seed = 0,
) -> None:
    """Photometry, positions and honesty of draws, on simulated fields and on real images.

    Example: python -m sciup.evaluate sky --scenes sky_test.npy --data astronomy/test --every 2
    --out tables
    """
    from sciup.evaluate import sky as simulated
    from sciup.evaluate import sky_real

    facts = _model(model, "night-sky")
    tables: list[Table] = []
    about: dict[str, Any] = {"every": every, "precision": precision, "seed": seed}
    if count:
        with _bar("fields") as progress:
            tables += simulated.evaluate(
                facts, galsim, scenes=scenes, count=count, progress=progress, **about
            )
    if data is not None:
        with _bar("images") as progress:
            tables += sky_real.evaluate(facts, data, progress=progress, **about)
    _finish(tables, out, {t.name for t in tables} - {"sky_fields", "sky_real_images"})


def _model(name: str, domain: str) -> ModelFacts:
    facts = ModelFacts.read(find_model(name))
    if facts.domain != domain:
        raise ModelError(f"{facts.name!r} is a model for {facts.domain}", f"a model for {domain}")
    return facts


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, and the time that it took."""
    from rich.progress import Progress

    start = time.perf_counter()
    with Progress(console=console) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance
    console.print(f"{what}: {time.perf_counter() - start:.0f} s")


def _finish(tables: Sequence[Table], out: Path, shown: set[str]) -> None:
    """Write all tables and print the short ones."""
    for table in tables:
        table.write(out)
        if table.name in shown:
            typer.echo(table.markdown())
    console.print(f"written to {out}")


def main() -> None:
    """Run, and tell what went wrong without a traceback."""
    try:
        app()
    except SciupError as error:
        console.print(f"error: {error}", markup=False)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
