"""What people see of a run: curves, sheets of samples, a warning when the spread drifts."""

from __future__ import annotations

import csv
import logging
import math
from collections import deque
from pathlib import Path

import torch

from sciup.errors import OutputError
from sciup.physics.projection import Projection
from sciup.train.degrade import Batch, Degrader
from sciup.train.files import write
from sciup.train.kernels import pick
from sciup.train.objective import generator
from sciup.train.state import Row, State

log = logging.getLogger("sciup")

CURVES, PICTURE, SHEETS = "curves.csv", "curves.png", "samples"

SKILLS = ("skill1", "skill4", "skill16")

HONEST = (0.8, 1.25)
"""Spread/skill within these limits is no reason to worry."""

MEMORY = 10
"""Lines of the curves in a running mean."""

SETTLED = 500
"""Steps before which nobody is warned: spread and skill still change with every step."""

SHOWN = 4
"""Crops of a sheet."""

WATCHED = 2**31
"""Number of the batch that sheets show: no run has so many steps."""


class Watch:
    """Keeps the curves of a run and looks at them.

    Parameters
    ----------
    run : Path
        Folder of the run.
    degrader : Degrader
        Makes the crops of the sheets, held-out ones where there are any.
    bank : Projection
        Projections of all kernels, on the device of the run.
    every : int
        Steps between two sheets; 0: none.

    Attributes
    ----------
    latest : dict
        The last line of the curves.
    """

    def __init__(self, run: Path, degrader: Degrader, bank: Projection, every: int) -> None:
        self.run, self.degrader, self.bank, self.every = run, degrader, bank, every
        self.latest: Row = {}
        self.recent: dict[str, deque[float]] = {k: deque(maxlen=MEMORY) for k in SKILLS}
        self.warned: set[str] = set()

    def resume(self, step: int) -> None:
        """Forget the lines of steps that will be done again."""
        rows = [row for row in read_curves(self.run) if row["step"] <= step]
        if (self.run / CURVES).is_file():
            write(self.run / CURVES, lambda part: _write_rows(part, rows))
        for row in rows:
            self._remember(row)

    def line(self, row: Row) -> None:
        """Add a line to the curves and warn of a spread that is not honest."""
        path = self.run / CURVES
        try:
            with path.open("a", newline="") as file:
                writer = csv.DictWriter(file, list(row))
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow({k: f"{v:.6g}" for k, v in row.items()})
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from None
        shown = ("step", "loss", "gain", *SKILLS, "spectrum", "accuracy")
        log.info(" ".join(f"{k} {row[k]:.4g}" for k in shown if k in row))
        self._remember(row)
        if row["step"] >= SETTLED:
            self._warn()

    def _remember(self, row: Row) -> None:
        self.latest = row
        for name, values in self.recent.items():
            if math.isfinite(row.get(name, math.nan)):
                values.append(row[name])

    def _warn(self) -> None:
        for name, values in self.recent.items():
            mean = sum(values) / max(len(values), 1)
            if HONEST[0] <= mean <= HONEST[1]:
                self.warned.discard(name)
            elif len(values) == MEMORY and name not in self.warned:
                self.warned.add(name)
                log.warning(
                    "spread/skill at %s px is %.2f on average, outside %g to %g: draws vary too "
                    "%s; if it stays, raise `block_means` or `linear` under loss, or train longer",
                    name.removeprefix("skill"),
                    mean,
                    *HONEST,
                    "little" if mean < 1 else "much",
                )

    def pictures(self, state: State) -> None:
        """Draw the curves, and a sheet of samples; without matplotlib nothing."""
        try:
            from sciup.train import pictures
        except ModuleNotFoundError:
            log.info("no matplotlib here: curves.csv only, no pictures")
            self.every = 0
            return
        rows = read_curves(self.run)
        if rows:
            write(self.run / PICTURE, lambda part: pictures.curves(part, rows))
        folder = self.run / SHEETS
        panels, scores = self._panels(state)
        shown = ", ".join(f"{k} {v:.3g}" for k, v in scores.items())
        log.info("averaged weights on the crops of the sheets: %s", shown)
        path = folder / f"step_{state.step:06d}.png"
        write(path, lambda part: pictures.sheet(part, panels))

    def _panels(self, state: State) -> tuple[dict[str, torch.Tensor], Row]:
        """Titles and pictures of a few crops, and scores."""
        batch: Batch = self.degrader.batch(WATCHED).to(state.device)
        rng = generator(state.recipe.seed, WATCHED, state.device)
        panels, scores = state.shown(batch, pick(self.bank, batch.kernel), rng)
        return {title: panel[:SHOWN].cpu() for title, panel in panels.items()}, scores


def read_curves(run: Path) -> list[Row]:
    """All lines of the curves of a run."""
    path = run / CURVES
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def _write_rows(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        if rows:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in rows)
