"""From votes to calibrated risk, window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.engine.margins import RIM
from sciup.engine.strangeness import statistics
from sciup.engine.votes import Tally
from sciup.generators.facts import ModelFacts
from sciup.generators.posterior import crop
from sciup.physics.instrument import Instrument
from sciup.risk.badge import field_score
from sciup.risk.calibration import EVERYTHING, FILE, Calibration, Promise
from sciup.risk.evidence import PRODUCTS, STRATA
from sciup.risk.familiar import STATISTICS, strangest
from sciup.risk.plain import jsonable
from sciup.risk.words import meaning

if TYPE_CHECKING:
    from sciup.engine.block import Window
    from sciup.engine.settings import Settings

Values = NDArray[np.float32]

COVERAGE = 0.9
"""Of the interval from `lower` to `upper`."""


SCORES = "scores"
"""Key of the window's strangeness among its maps."""


@dataclass(frozen=True)
class Calibrated:
    """The calibration of a model as a run uses it: one tolerance.

    Attributes
    ----------
    calibration : Calibration
    promise, mean : Promise
        Of the run's tolerance, for the delivered sample and for the mean.
    """

    calibration: Calibration
    promise: Promise
    mean: Promise

    @classmethod
    def find(cls, model: ModelFacts, settings: Settings) -> Calibrated | str:
        """The calibration that fits a run, or why there is none.

        Raises
        ------
        ModelError
            If the model's calibration is damaged or of other weights.
        """
        calibration = calibration_of(model)
        if calibration is None:
            return f"{model.name} has no calibration (`sciup calibrate` makes one)"
        if settings.samples != calibration.samples:
            return (
                f"{model.name} is calibrated for --samples {calibration.samples}, not"
                f" {settings.samples}"
            )
        if settings.noise_free:
            return f"{model.name} is calibrated for noisy data, not for --noise-free"
        promise, mean = (calibration.promise(x, settings.tolerance) for x in PRODUCTS)
        if promise is None or mean is None:
            return f"{model.name} is calibrated for other tolerances: {calibration.tolerances}"
        return cls(calibration, promise, mean)

    @property
    def stretch(self) -> float:
        """Half of the interval over the spread of the draws."""
        return self.calibration.intervals[f"{COVERAGE:g}"].scaling

    def scores(self, window: Window) -> NDArray[np.float64]:
        """How strange the window is, (statistics,)."""
        return self.calibration.familiar.scores(statistics(window))

    def maps(
        self,
        window: Window,
        wanted: Sequence[str],
        sample: Tally | None = None,
        mean: Tally | None = None,
    ) -> dict[str, Values]:
        """Those of the calibrated maps of the core that are wanted.

        The strangeness of the window is always among them, as `SCORES`.

        Parameters
        ----------
        window : Window
        wanted : sequence of str
        sample : Tally, optional
            On the delivered sample, where a risk is asked for.
        mean : Tally, optional
            On the mean, where its risk is asked for.
        """
        scores = self.scores(window)
        strange = bool(self.calibration.domain.fires(strangest(scores)))
        strange |= bool(window.sampler.instrument.contradiction)
        scale = window.sampler.net.spec.scale
        snr = crop(window.snr, RIM)[0, 0].cpu().numpy()
        stratum = np.searchsorted(STRATA, snr, side="right")
        stratum = stratum.repeat(scale, 0).repeat(scale, 1)
        made = {SCORES: scores.astype(np.float32)}
        if "ood" in wanted:
            made["ood"] = np.full(stratum.shape, strange, np.float32)
        if sample is None:
            return made
        tables, against = self.promise.tables(), _column(self.promise, sample)

        def look(table: NDArray[np.float64], column: NDArray[np.intp]) -> NDArray[np.float64]:
            return np.asarray(table.ravel().take(stratum * table.shape[1] + column))

        def one(kind: str, votes: ArrayLike, chance: ArrayLike) -> NDArray[np.float64]:
            return look(tables[kind], self.promise.column(votes, chance))

        def bound() -> NDArray[np.float64]:
            return np.full(stratum.shape, np.nan) if strange else look(tables["bound"], against)

        makers: dict[str, Callable[[], NDArray[Any]]] = {
            "risk": lambda: look(tables["risk"], against),
            "risk_invented": lambda: one("invented", sample.invented, sample.tail_invented),
            "risk_missed": lambda: one("missed", sample.missed, sample.tail_missed),
            "risk_bound": bound,
            "alarm": lambda: look(tables["risk"], against) >= self.promise.alarm.threshold,
        }
        if mean is not None:
            makers["risk_mean"] = lambda: look(self.mean.tables()["risk"], _column(self.mean, mean))
        return made | {n: m().astype(np.float32) for n, m in makers.items() if n in wanted}

    def verdict(
        self, scores: dict[int, NDArray[np.float64]], instruments: Sequence[Instrument]
    ) -> list[dict[str, Any]]:
        """What the badge says of each plane, JSON-ready."""
        found = []
        for plane, rows in sorted(scores.items()):
            said = self.calibration.domain.judge(strangest(rows))
            against = instruments[plane].contradiction
            found.append(
                {
                    "plane": plane,
                    "outside": said.outside or bool(against),
                    "contradiction": against,
                    "p": said.field_p,
                    "blocks": said.blocks,
                    "fired": said.fired,
                    "scores": dict(
                        zip(STATISTICS, jsonable(map(field_score, rows.T)), strict=True)
                    ),
                }
            )
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """What is promised, JSON-ready."""
        c, p = self.calibration, self.promise
        certificate = p.certificate
        return {
            "words": meaning(certificate.delta),
            "delta": certificate.delta,
            "units": certificate.units,
            "bounds": [None if np.isnan(b) else b for b in certificate.bound(EVERYTHING)],
            "bins": list(p.maps["risk"].edges),
            "alarm": vars(p.alarm),
            "interval": vars(c.intervals[f"{COVERAGE:g}"]),
            "about": c.about,
        }


def calibration_of(model: ModelFacts) -> Calibration | None:
    """What lies in the folder of a model; None without one.

    Raises
    ------
    ModelError
        If it is damaged, or of other weights.
    """
    path = model.folder / FILE
    if not path.is_file():
        return None
    calibration = Calibration.read(path)
    calibration.belongs(model.key, model.name)
    return calibration


def _column(promise: Promise, said: Tally) -> NDArray[np.intp]:
    """Where votes of both kinds stand in the tables of a promise."""
    return promise.column(said.invented + said.missed, said.tail_invented + said.tail_missed)
