"""``sciup calibrate``: what the risk map of a model promises, and whether it keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from sciup.console import command_line, console
from sciup.errors import ModelError, OptionError

if TYPE_CHECKING:
    from sciup.calibrate.fields import Source
    from sciup.evaluate.tables import Table
    from sciup.risk.calibration import Calibration

Opt = typer.Option


def calibrate(
    model: Annotated[str, typer.Argument(help="model name or folder", metavar="MODEL")],
    data: Annotated[
        Path,
        typer.Argument(
            help="folder of images, with MANIFEST.tsv or without; night sky: GalSim COSMOS folder",
            metavar="DATA",
        ),
    ],
    out: Annotated[
        Path, Opt("--out", help="folder for evidence and tables; a stopped run goes on from it")
    ] = Path("calibration"),
    check: Annotated[
        bool, Opt("--check", help="do not calibrate: see what the calibration is worth on a split")
    ] = False,
    stress: Annotated[
        bool, Opt("--stress", help="see what risk and badge say of fields spoilt in many ways")
    ] = False,
    existence: Annotated[
        bool, Opt("--existence", help="calibrate the chances of `sciup detect` instead of the risk")
    ] = False,
    measurements: Annotated[
        bool,
        Opt(
            "--measurements",
            help="calibrate the intervals of `sciup measure` instead; --check: see their coverage",
        ),
    ] = False,
    limit: Annotated[
        float, Opt("--limit", help="with --existence: S/N of the faintest source that counts")
    ] = 5.0,
    split: Annotated[
        str | None,
        Opt("--split", help="of MANIFEST.tsv; default: calibrate; with --check, --stress: test"),
    ] = None,
    scenes: Annotated[
        Path | None, Opt("--scenes", help="night sky: pack of rendered scenes (.npy with .json)")
    ] = None,
    every: Annotated[int, Opt("--every", help="take every n-th image", min=1)] = 1,
    samples: Annotated[
        int | None, Opt("--samples", help="voting samples; default: 16, --existence: 64", min=4)
    ] = None,
    seed: Annotated[int, Opt("--seed", help="of draws and folds", min=0)] = 0,
    known: Annotated[
        bool, Opt("--known", help="with --check: tell the runs PSF and noise")
    ] = False,
    precision: Annotated[str, Opt("--precision", help="auto, fp32 or bf16")] = "auto",
) -> None:
    """Learn from fields of known truth how often MODEL is wrong, and certify it.

    Every image is made coarse and noisy and restored; the instrument is estimated by the program,
    as in use. One part of the independent units shapes the risk map, the other certifies it. The
    result is calibration.json in the folder of the model; with --existence it is existence.json,
    how often what `sciup detect` finds in draws is true; with --measurements it is
    measurements.json, how far off the values of `sciup measure` are.

    [bold]Examples[/bold]

      sciup calibrate fluorescence-x4 microscopy --out calibration

      sciup calibrate fluorescence-x4 microscopy --check --out check

      sciup calibrate fluorescence-x4 microscopy --stress --every 6 --out stress

      sciup calibrate night-sky-x2 cosmos_galsim --scenes sky_calibrate.npy

      sciup calibrate fluorescence-x4 microscopy --existence --limit 5 --out existence

      sciup calibrate night-sky-x2 cosmos_galsim --scenes sky_calibrate.npy --measurements
    """
    from sciup.calibrate.fields import Source
    from sciup.generators.facts import ModelFacts
    from sciup.resources import find_model

    facts = ModelFacts.read(find_model(model))
    number = samples or (64 if existence else 16)
    source = Source(facts, data, scenes, number, every, precision, seed)
    if known and not check:
        raise OptionError(
            "--known was given without --check",
            fix="a calibration must know no more than a user's run",
        )
    if check + stress + existence > 1 or (measurements and (stress or existence or known)):
        raise OptionError(
            "--check, --stress, --existence, --measurements or --known were given together",
            "one of them, or --check with --measurements or --known",
        )
    if measurements:
        _measurements(source, out, split or ("test" if check else "calibrate"), check)
    elif existence:
        _existence(source, out, split or "calibrate", limit)
    elif check:
        _check(source, out, split or "test", "all" if known else "nothing")
    elif stress:
        _stress(source, out, split or "test")
    else:
        _calibrate(source, out, split or "calibrate")


def _calibrate(source: Source, out: Path, split: str) -> None:
    """Evidence, calibration, tables."""
    from sciup.calibrate import validate
    from sciup.calibrate.run import Collection, make, uncalibrated
    from sciup.risk.calibration import FILE

    with _counter() as progress, uncalibrated(source) as plain:
        collection = Collection(plain, out / "evidence", split, progress)
        found, evidence = make(collection, source.conditions, data=source.words)
    path = source.model.folder / FILE
    found.write(path)
    for reason in collection.skipped[:10]:
        console.print(f"[yellow]skipped[/yellow]  {escape(reason)}")
    tables = [
        validate.promises(found, evidence),
        validate.alarms(found),
        validate.repeated(evidence),
        validate.intervals(evidence),
        validate.vote_scales(evidence),
    ]
    _report(out, f"Calibration of {source.model.name}", tables)
    console.print(f"[green]done[/green]  {escape(str(path))}")


def _existence(source: Source, out: Path, split: str, limit: float) -> None:
    """Curves for the chances of `sciup detect`, and tables of what they are worth."""
    from sciup.calibrate.existence import Gathering, make
    from sciup.calibrate.run import uncalibrated
    from sciup.existence.curves import FILE, Existence

    model = source.model
    try:
        known = Existence.of_model(model.folder, model.key)
    except ModelError as error:
        known = f"curves that are there are left out: {error}"
        console.print(f"[yellow]warning[/yellow]  {escape(known)}")
    with _counter() as progress, uncalibrated(source) as plain:
        gathering = Gathering(plain, out / "existence", limit, split, progress)
        found, tables = make(gathering)
    path = model.folder / FILE
    found.joined(known).write(path)
    for reason in gathering.skipped[:10]:
        console.print(f"[yellow]skipped[/yellow]  {escape(reason)}")
    _report(out, f"P(exists) of {model.name}", tables)
    console.print(f"[green]done[/green]  {escape(str(path))}")


def _measurements(source: Source, out: Path, split: str, check: bool) -> None:
    """Intervals of `sciup measure`, or what they are worth on a split that had no part."""
    from sciup.calibrate.run import uncalibrated
    from sciup.science.coverage.fit import fit, strata_table, table
    from sciup.science.coverage.gather import Gathering
    from sciup.science.coverage.rivals import rivals_table
    from sciup.science.measure.measurements import FILE, Measurements

    model = source.model
    known = Measurements.of_model(model.folder, model.key) if check else None
    if isinstance(known, str):
        raise OptionError(known, fix="calibrate first, without --check")
    with _counter() as progress, uncalibrated(source) as plain:
        gathering = Gathering(plain, out / "measurements", split, progress)
        errors = gathering.errors()
    for reason in gathering.skipped[:10]:
        console.print(f"[yellow]skipped[/yellow]  {escape(reason)}")
    found = known or fit(errors, source)
    if known is None:
        found.write(model.folder / FILE)
        console.print(f"[green]done[/green]  {escape(str(model.folder / FILE))}")
    title = f"Intervals of measurements of {model.name} on {split} fields"
    shown = table(errors, found, split, model.domain) if check else strata_table(found)
    _report(out, title, [shown, rivals_table(errors, split)])


def _check(source: Source, out: Path, split: str, told: Any) -> None:
    """Tables of usefulness."""
    from sciup.calibrate.check import usefulness

    calibration = _read(source)
    with _counter() as progress:
        tables = usefulness(source, calibration, split=split, told=told, progress=progress)
    _report(out, f"Risk of {source.model.name} on {split} fields", tables)


def _stress(source: Source, out: Path, split: str) -> None:
    """Tables of spoilt fields."""
    from sciup.calibrate.stress import stress

    calibration = _read(source)
    with _counter() as progress:
        tables = stress(source, calibration, split=split, progress=progress)
    _report(out, f"Risk of {source.model.name} on spoilt {split} fields", tables)


def _read(source: Source) -> Calibration:
    """The calibration of a model, for as many samples as asked."""
    from sciup.risk.calibration import FILE, Calibration

    model = source.model
    path = model.folder / FILE
    if not path.is_file():
        raise OptionError(f"{model.name} has no calibration", fix=f"sciup calibrate {model.name}")
    calibration = Calibration.read(path)
    calibration.belongs(model.key, model.name)
    if calibration.samples != source.samples:
        raise OptionError(
            f"{model.name} is not calibrated for --samples {source.samples}",
            str(calibration.samples),
        )
    return calibration


def _report(out: Path, title: str, tables: list[Table]) -> None:
    from sciup.evaluate import report

    page = report.write(out, title, [command_line()], tables)
    for table in tables:
        if len(table.rows) <= report.LONG:
            typer.echo(table.markdown())
    console.print(f"[green]done[/green]  {escape(str(page))}")


@contextmanager
def _counter() -> Iterator[Callable[[str, int], None]]:
    """How many fields of which condition are done."""
    with console.status("fields") as status:
        yield lambda condition, done: status.update(f"{condition}: {done} fields")
