"""The field blank, as it is and with injections, searched by every method, and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result
from sciup.existence.believed import Believed
from sciup.existence.target import point_limit
from sciup.results.draws import Draws
from sciup.science.inject.blank import blank, pixels
from sciup.science.inject.field import injected
from sciup.science.inject.light import Optics, Patch
from sciup.science.inject.methods import OURS, Classical, Found, ours
from sciup.science.inject.places import Sources
from sciup.science.inject.recover import FEWEST, equal_threshold, false_number, matched, recovered
from sciup.science.inject.risk import maps_of, risk_at
from sciup.science.inject.rows import Recovery, Spurious, sources_table, summary_table
from sciup.science.inject.words import assumptions

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]
"""Called with what is done, and how much of it of all."""


@dataclass(frozen=True)
class Injections:
    """What became of the injections.

    Attributes
    ----------
    sources : Table
        One row for each, in their order.
    summary : Table
        One row for each method and class of S/N.
    assumptions : tuple of str
        All that the numbers rest on.
    """

    sources: Table
    summary: Table
    assumptions: tuple[str, ...]

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write tables and figures; see `sciup.science.inject.write.save`."""
        from sciup.science.inject.write import save

        return save(self, Path(folder), overwrite=overwrite)


@dataclass(frozen=True)
class Detected:
    """Catalogues of one run by method, and its risk at some places.

    Attributes
    ----------
    found : mapping of str to Found
    risk : mapping of str to ndarray
        By map.
    calibrated : str
        Whether P(exists) is.
    """

    found: Mapping[str, Found]
    risk: Mapping[str, Array]
    calibrated: str


@dataclass(frozen=True)
class Plan:
    """What is put where, in which round, and what counts as found.

    Attributes
    ----------
    result : Result
        Without injections.
    optics : Optics
    believed : Believed
        What a point source is.
    sources : Sources
    rounds : list of ndarray of int
        Sources of each.
    apart, reach : float
        Least distance of sources of a round, and largest of a detection, input px.
    limit, threshold : float
        Of the detector, S/N and P(exists).
    seed : int
        Of the photons, and of the noise of the field without sources.
    """

    result: Result
    optics: Optics
    believed: Believed
    sources: Sources
    rounds: list[NDArray[np.intp]]
    apart: float
    reach: float
    limit: float
    threshold: float
    seed: int

    def run(self, progress: Progress) -> Injections:
        """Search the field blank, as it is and with every round of injections."""
        methods = Classical.all(self.result, self.optics, self.believed)
        search = partial(self._search, methods, progress)
        nothing = blank(self.result, self.seed)
        false = search(nothing, np.empty((0, 2)), "simulated sky without sources").found
        limits = {m.label: self._limit(m.noise(nothing, self.believed)) for m in methods}
        before = search(self.result, self.sources.places, "field as it is")
        after = [
            search(
                injected(self.result, self._patches(members)),
                self.sources.places[members],
                f"round {k + 1} of {len(self.rounds)}",
            )
            for k, members in enumerate(self.rounds)
        ]
        return self._told(methods, Thresholds(false, limits, self.threshold), before, after)

    def _limit(self, noise: float) -> float:
        """Flux of the S/N limit in the noise of a method."""
        return point_limit(self.limit, noise, 1.0, self.believed.gain)

    def _search(
        self, methods: Sequence[Classical], progress: Progress, result: Result, places: Array,
        what: str,
    ) -> Detected:  # fmt: skip
        samples = self.result.job.settings.samples
        catalogue, calibrated = ours(result, self.limit, samples, partial(progress, what))
        found, rest = {OURS: catalogue}, f"{what}: other pictures, risk"
        for i, m in enumerate(methods):
            found[m.label] = m.find(result)
            progress(rest, i + 1, len(methods) + 1)
        risk = risk_at(result, places)
        progress(rest, len(methods) + 1, len(methods) + 1)
        return Detected(found, risk, calibrated)

    def _told(
        self, methods: Sequence[Classical], thresholds: Thresholds, before: Detected,
        after: Sequence[Detected],
    ) -> Injections:  # fmt: skip
        """Tables of what was found."""
        held = {m.label: m.held for m in methods} | {OURS: self.optics.held(self.believed.target)}
        area = pixels(self.result)
        recoveries = {
            n: self._recovery(n, before, after, t, Spurious.of(thresholds.number(n), area), held[n])
            for n, t in thresholds.all.items()
        }
        best = _best(methods, recoveries)
        recoveries = {OURS: recoveries[OURS]} | {m.name: recoveries[m.label] for m in best}
        risk = {}
        for name in maps_of(self.result):
            risk[name] = self._joined([a.risk[name] for a in after])
            risk[f"{name}_before"] = before.risk[name]
        words = assumptions(self, best, recoveries, before.calibrated)
        draws = Draws.of_result(self.result)
        meta = dict(draws.about) | {f"assume{i + 1}": line for i, line in enumerate(words)}
        of_round = self._joined([np.full(len(r), k + 1) for k, r in enumerate(self.rounds)])
        table = sources_table(self.sources, of_round, recoveries, risk, draws, meta)
        summary = summary_table(self.sources, recoveries, risk, meta)
        return Injections(table, summary, tuple(words))

    def _patches(self, members: NDArray[np.intp]) -> list[Patch]:
        """Light of the sources of a round; their photons do not depend on it."""
        s = self.sources
        return [
            self.optics.patch(
                (float(s.places[i, 0]), float(s.places[i, 1])),
                float(s.fluxes[i]),
                (self.seed, 2, int(i)),
            )
            for i in members
        ]

    def _joined(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Values of the rounds in the order of the sources."""
        out = np.empty(len(self.sources), parts[0].dtype)
        for members, values in zip(self.rounds, parts, strict=True):
            out[members] = values
        return out

    def _recovery(
        self, name: str, before: Detected, after: Sequence[Detected], threshold: float,
        false: Spurious, held: float,
    ) -> Recovery:  # fmt: skip
        """What became of the injections by one method."""
        was = before.found[name]
        rows = [
            self._round(members, a.found[name], was, threshold, held)
            for members, a in zip(self.rounds, after, strict=True)
        ]
        found, known, score, flux, low, high = (
            self._joined(parts) for parts in zip(*rows, strict=True)
        )
        return Recovery(threshold, found, known, score, flux, low, high, held, false)

    def _round(
        self, members: NDArray[np.intp], now: Found, was: Found, threshold: float, held: float
    ) -> tuple[NDArray[Any], ...]:
        places, fluxes = self.sources.places[members], held * self.sources.fluxes[members]
        found, index, known = recovered(places, fluxes, now, was, self.reach, threshold)
        # what is below the threshold is told, too
        index = np.where(index >= 0, index, matched(places, now, self.reach, -np.inf))
        told = (np.append(x, np.nan)[index] for x in (now.score, now.flux, now.low, now.high))
        return found, known >= 0, *told


@dataclass(frozen=True)
class Thresholds:
    """Those of every method, from what each finds in a field without sources.

    Attributes
    ----------
    false : mapping of str to Found
    limits : mapping of str to float
        Flux of the S/N limit in the noise of each of the other methods.
    ours : float
        P(exists).
    """

    false: Mapping[str, Found]
    limits: Mapping[str, float]
    ours: float

    @cached_property
    def all(self) -> dict[str, float]:
        """The same number of false detections, or the limit where there are too few to compare."""
        count = false_number(self.false[OURS], self.ours)
        equal = {
            n: max(t, equal_threshold(self.false[n], count)) if count >= FEWEST else t
            for n, t in self.limits.items()
        }
        return {OURS: self.ours} | equal

    def number(self, name: str) -> int:
        """False detections of a method."""
        return false_number(self.false[name], self.all[name])


def _best(methods: Sequence[Classical], recoveries: Mapping[str, Recovery]) -> list[Classical]:
    """Of the same method with several settings the one that finds most."""
    found: dict[str, Classical] = {}
    for m in methods:
        other = found.get(m.name)
        if other is None or recoveries[m.label].found.sum() > recoveries[other.label].found.sum():
            found[m.name] = m
    return list(found.values())


__all__ = ["Injections", "Plan", "Progress", "Thresholds"]
