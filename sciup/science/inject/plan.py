"""The field as it is and with its injections, searched by every method, and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result
from sciup.existence.believed import Believed
from sciup.results.draws import Draws
from sciup.science.inject.field import injected
from sciup.science.inject.light import Optics, Patch
from sciup.science.inject.methods import OURS, Classical, Found, ours
from sciup.science.inject.places import Sources
from sciup.science.inject.recover import equal_threshold, false_rate, matched, recovered
from sciup.science.inject.risk import maps_of, risk_at
from sciup.science.inject.rows import Recovery, sources_table, summary_table
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
    """Catalogues of one run by method, and its risk at some places."""

    found: Mapping[str, Found]
    risk: Mapping[str, Array]


@dataclass(frozen=True)
class Plan:
    """What is put where, and in which round.

    Attributes
    ----------
    result : Result
        Without injections.
    sources : Sources
    empty : ndarray (m, 2)
        Places without one.
    rounds : list of ndarray of int
        Sources of each.
    apart, reach : float
        Least distance of sources of a round, and largest of a detection, input px.
    """

    result: Result
    sources: Sources
    empty: Array
    rounds: list[NDArray[np.intp]]
    apart: float
    reach: float

    def run(
        self, optics: Optics, b: Believed, limit: float, threshold: float, seed: int,
        progress: Progress,
    ) -> Injections:  # fmt: skip
        """Search the field as it is and with every round of injections."""
        methods = Classical.all(self.result, optics, b)
        samples = self.result.job.settings.samples
        state: dict[str, str] = {}

        def search(result: Result, places: Array, what: str) -> Detected:
            catalogue, state["p"] = ours(result, limit, samples, partial(progress, what))
            found = {OURS: catalogue} | {m.label: m.find(result) for m in methods}
            return Detected(found, risk_at(result, places))

        of_round = np.zeros(len(self.sources), np.intp)
        before = search(self.result, self.empty, "field as it is")
        after = []
        for k, members in enumerate(self.rounds):
            of_round[members] = k + 1
            lit = injected(self.result, self._patches(members, optics, seed))
            what = f"round {k + 1} of {len(self.rounds)}"
            after.append(search(lit, self.sources.places[members], what))
        rate = false_rate(self.empty, before.found[OURS], self.reach, threshold)
        at = {
            n: threshold if n == OURS else equal_threshold(self.empty, f, self.reach, rate)
            for n, f in before.found.items()
        }
        recoveries = {n: self._recovery(n, before, after, at[n]) for n in at}
        best = _best(methods, recoveries)
        recoveries = {OURS: recoveries[OURS]} | {m.name: recoveries[m.label] for m in best}
        risk = {name: self._joined([a.risk[name] for a in after]) for name in maps_of(self.result)}
        words = assumptions(self, optics, b, limit, best, recoveries, state["p"])
        draws = Draws.of_result(self.result)
        meta = dict(draws.about) | {f"assume{i + 1}": line for i, line in enumerate(words)}
        table = sources_table(self.sources, of_round, recoveries, risk, draws, meta)
        summary = summary_table(self.sources, recoveries, risk, before.risk, meta)
        return Injections(table, summary, tuple(words))

    def _patches(self, members: NDArray[np.intp], optics: Optics, seed: int) -> list[Patch]:
        s = self.sources
        return [
            optics.patch((float(s.places[i, 0]), float(s.places[i, 1])), float(s.fluxes[i]),
                         (seed, 2, int(i)))
            for i in members
        ]  # fmt: skip

    def _joined(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Values of the rounds in the order of the sources."""
        out = np.empty(len(self.sources), parts[0].dtype)
        for members, values in zip(self.rounds, parts, strict=True):
            out[members] = values
        return out

    def _recovery(
        self, name: str, before: Detected, after: Sequence[Detected], threshold: float
    ) -> Recovery:
        """What became of the injections by one method."""
        was = before.found[name]
        rows = [
            self._round(members, a.found[name], was, threshold)
            for members, a in zip(self.rounds, after, strict=True)
        ]
        false = matched(self.empty, was, self.reach, threshold)
        found, known, score, flux, low, high = (
            self._joined(parts) for parts in zip(*rows, strict=True)
        )
        many = len(np.unique(false[false >= 0]))
        return Recovery(threshold, found, known, score, flux, low, high, false >= 0, many)

    def _round(
        self, members: NDArray[np.intp], now: Found, was: Found, threshold: float
    ) -> tuple[NDArray[Any], ...]:
        places, fluxes = self.sources.places[members], self.sources.fluxes[members]
        found, index, known = recovered(places, fluxes, now, was, self.reach, threshold)
        # what is below the threshold is told, too
        index = np.where(index >= 0, index, matched(places, now, self.reach, -np.inf))
        told = (np.append(x, np.nan)[index] for x in (now.score, now.flux, now.low, now.high))
        return found, known >= 0, *told


def _best(methods: Sequence[Classical], recoveries: Mapping[str, Recovery]) -> list[Classical]:
    """Of the same method with several settings the one that finds most."""
    found: dict[str, Classical] = {}
    for m in methods:
        other = found.get(m.name)
        if other is None or recoveries[m.label].found.sum() > recoveries[other.label].found.sum():
            found[m.name] = m
    return list(found.values())


__all__ = ["Injections", "Plan", "Progress"]
