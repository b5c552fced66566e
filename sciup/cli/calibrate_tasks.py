"""What ``sciup calibrate`` does, by the flags that ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer
from rich.markup import escape

from sciup.console import command_line, console
from sciup.errors import ModelError, OptionError

if TYPE_CHECKING:
    from sciup.calibrate.fields import Source, Told
    from sciup.evaluate.tables import Table
    from sciup.risk.calibration import Calibration
    from sciup.science.coverage.gather import Errors


TOLD = 10
"""Fields that were left out and are named."""


class Order(NamedTuple):
    """What a task works on: fields, folder of its report, split of the fields, least S/N."""

    source: Source
    out: Path
    split: str
    limit: float


def _calibrate(order: Order) -> None:
    """Evidence, calibration, tables."""
    from sciup.calibrate import validate
    from sciup.calibrate.gathering import Gathering
    from sciup.calibrate.run import make, uncalibrated
    from sciup.risk.calibration import FILE

    source = order.source
    with _left_out() as skipped, _counter() as progress, uncalibrated(source) as plain:
        gathering = Gathering(plain, order.out / "evidence", order.split, progress, skipped)
        found, evidence = make(gathering, source.conditions, data=source.words)
    path = source.model.folder / FILE
    found.write(path)
    tables = [
        validate.promises(found, evidence),
        validate.alarms(found),
        validate.repeated(evidence),
        validate.intervals(evidence),
        validate.score_scales(evidence),
    ]
    _report(order.out, f"Calibration of {source.model.name}", tables)
    console.print(f"[green]done[/green]  {escape(str(path))}")


def _existence(order: Order) -> None:
    """Curves for the chances of `sciup detect`, and tables of what they are worth."""
    from sciup.calibrate.existence import make
    from sciup.calibrate.gathering import Gathering
    from sciup.calibrate.run import uncalibrated
    from sciup.existence.curves import FILE, Existence

    model = order.source.model
    try:
        known = Existence.of_model(model.folder, model.key)
    except ModelError as error:
        known = f"curves that are there are left out: {error}"
        console.print(f"[yellow]warning[/yellow]  {escape(known)}")
    with _left_out() as skipped, _counter() as progress, uncalibrated(order.source) as plain:
        gathering = Gathering(plain, order.out / "existence", order.split, progress, skipped)
        found, tables = make(gathering, order.limit)
    path = model.folder / FILE
    found.joined(known).write(path)
    _report(order.out, f"P(exists) of {model.name}", tables)
    console.print(f"[green]done[/green]  {escape(str(path))}")


def _measurements(order: Order) -> None:
    """Intervals of `sciup measure`."""
    from sciup.science.coverage.fit import fit, strata_table
    from sciup.science.measure.measurements import FILE

    errors = _errors(order)
    found = fit(errors, order.source)
    path = order.source.model.folder / FILE
    found.write(path)
    console.print(f"[green]done[/green]  {escape(str(path))}")
    _report_measurements(order, errors, strata_table(found))


def _check_measurements(order: Order) -> None:
    """What the intervals of `sciup measure` are worth on a split that had no part."""
    from sciup.science.coverage.fit import table
    from sciup.science.measure.measurements import Measurements

    model = order.source.model
    known = Measurements.of_model(model.folder, model.key)
    if isinstance(known, str):
        raise OptionError(known, fix="calibrate first, without --check")
    errors = _errors(order)
    _report_measurements(order, errors, table(errors, known, order.split, model.domain))


def _errors(order: Order) -> Errors:
    """Measurements on the draws of fields of known truth."""
    from sciup.calibrate.gathering import Gathering
    from sciup.calibrate.run import uncalibrated
    from sciup.science.coverage.gather import errors_of

    with _left_out() as skipped, _counter() as progress, uncalibrated(order.source) as plain:
        return errors_of(
            Gathering(plain, order.out / "measurements", order.split, progress, skipped)
        )


def _report_measurements(order: Order, errors: Errors, shown: Table) -> None:
    from sciup.science.coverage.rivals import rivals_table

    title = f"Intervals of measurements of {order.source.model.name} on {order.split} fields"
    _report(order.out, title, [shown, rivals_table(errors, order.split)])


def _check(order: Order, told: Told) -> None:
    """Tables of usefulness."""
    from sciup.calibrate.check import usefulness

    source, calibration = order.source, _read(order.source)
    with _left_out() as skipped, _counter() as progress:
        tables = usefulness(
            source, calibration, split=order.split, told=told, progress=progress,
            skipped=skipped.append,
        )  # fmt: skip
    _report(order.out, f"Risk of {source.model.name} on {order.split} fields", tables)


def _stress(order: Order) -> None:
    """Tables of spoilt fields."""
    from sciup.calibrate.stress import stress

    source, calibration = order.source, _read(order.source)
    with _left_out() as skipped, _counter() as progress:
        tables = stress(
            source, calibration, split=order.split, progress=progress, skipped=skipped.append
        )
    _report(order.out, f"Risk of {source.model.name} on spoilt {order.split} fields", tables)


class Task(NamedTuple):
    """What flags ask for: what it does, the split and the number of draws unless told otherwise."""

    run: Callable[[Order], None]
    split: str = "calibrate"
    samples: int = 16


TASKS: dict[frozenset[str], Task] = {
    frozenset(): Task(_calibrate),
    frozenset({"--check"}): Task(partial(_check, told="nothing"), "test"),
    frozenset({"--check", "--known"}): Task(partial(_check, told="all"), "test"),
    frozenset({"--stress"}): Task(_stress, "test"),
    frozenset({"--existence"}): Task(_existence, samples=64),
    frozenset({"--measurements"}): Task(_measurements),
    frozenset({"--measurements", "--check"}): Task(_check_measurements, "test"),
}
"""By flags of the command; other combinations are refused."""


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


@contextmanager
def _left_out() -> Iterator[list[str]]:
    """Tell at the end of a task, also of one that fails, which fields were left out, and why."""
    reasons: list[str] = []
    try:
        yield reasons
    finally:
        different = [*dict.fromkeys(reasons)]
        for reason in different[:TOLD]:
            console.print(f"[yellow]skipped[/yellow]  {escape(reason)}")
        if len(different) > TOLD:
            console.print(f"[yellow]skipped[/yellow]  and {len(different) - TOLD} more")


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


__all__ = ["TASKS", "Order", "Task"]
