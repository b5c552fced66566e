"""Two tables: every injection, and completeness, flux bias and risk by S/N and method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units
from astropy.table import Column, Table
from numpy.typing import NDArray

from sciup.results.draws import Draws
from sciup.science.detect.rows import flux_unit
from sciup.science.inject.blank import garwood
from sciup.science.inject.methods import OURS
from sciup.science.inject.places import Sources
from sciup.science.measure.frame import Frame

if TYPE_CHECKING:
    from astropy.units import UnitBase

Array = NDArray[np.float64]

CLASSES = (0.0, 3.0, 5.0, 7.0, 10.0, 15.0, 25.0, 50.0, np.inf)
"""Edges of the classes of S/N, the lower one included."""

WORDS = {
    "method": "whose catalogue it is",
    "threshold": "of P(exists), or of the flux in the unit of the sources",
    "false": "different detections on a simulated sky without sources, as large as the field",
    "false_per_mpx": "of them per 1e6 px of the input",
    "false_lo95": "lower end of its 95 % Poisson interval (Garwood)",
    "false_hi95": "upper end of its 95 % Poisson interval (Garwood)",
    "snr_low": "least S/N of the class",
    "snr_high": "S/N below which the class ends",
    "n": "places",
    "found": "of them, with a detection",
    "completeness": "found / n",
    "completeness_lo95": "lower end of the 95 % Wilson interval",
    "completeness_hi95": "upper end of the 95 % Wilson interval",
    "flux_bias": "median of flux / expected flux - 1 of what was found, where nothing was before",
    "flux_p16": "16th percentile of the same",
    "flux_p84": "84th percentile of the same",
    "flux_in68": "share of the same whose 68 % interval holds the expected flux",
    "risk": "mean of the map risk at the places",
    "risk_invented": "mean of the map risk_invented at the places",
    "risk_raw": "mean of the map risk_raw at the places, an uncalibrated vote",
}
WORDS |= {f"{n}_before": f"{WORDS[n]}, without the injections" for n in WORDS if "risk" in n}


@dataclass(frozen=True)
class Spurious:
    """Detections where nothing is.

    Attributes
    ----------
    number : int
    per_mpx, low, high : float
        Per 1e6 px of the input, with the ends of the 95 % interval.
    """

    number: int
    per_mpx: float
    low: float
    high: float

    @classmethod
    def of(cls, number: int, pixels: int) -> Spurious:
        """So many in so many input px."""
        return cls(number, *(n * 1e6 / pixels for n in (number, *garwood(number))))


@dataclass(frozen=True)
class Recovery:
    """What became of the injections in the catalogue of one method.

    Attributes
    ----------
    threshold : float
    found, known : ndarray of bool (n,)
        Recovered; there already without the injection.
    score, flux, low, high : ndarray (n,)
        Of the detection there, NaN without one.
    held : float
        Expected flux over the true one: what the detector gives for a source without noise.
    false : Spurious
    """

    threshold: float
    found: NDArray[np.bool_]
    known: NDArray[np.bool_]
    score: Array
    flux: Array
    low: Array
    high: Array
    held: float
    false: Spurious


def wilson(found: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22, 209).

    Examples
    --------
    >>> [round(end, 3) for end in wilson(5, 10)]
    [0.237, 0.763]
    """
    from astropy.stats import binom_conf_interval

    low, high = binom_conf_interval(found, n, confidence_level=0.95, interval="wilson")
    return float(low), float(high)


def sources_table(
    sources: Sources,
    of_round: NDArray[np.intp],
    recoveries: Mapping[str, Recovery],
    risk: Mapping[str, Array],
    draws: Draws,
    meta: dict[str, Any],
) -> Table:
    """One row for each injection."""
    ours, unit = recoveries[OURS], flux_unit(draws)
    out = Table(meta=meta)

    def add(name: str, values: Any, words: str, unit: UnitBase | None = None) -> None:
        out[name] = Column(values, unit=unit, description=words)

    add("id", np.arange(1, len(sources) + 1), "number")
    for axis, name in enumerate("yx"):
        add(name, sources.places[:, axis], "where it was put, input px from 0", units.pix)
    if draws.sky is not None:
        at = Frame(draws).from_input(sources.places)
        degrees = np.array([draws.sky.degrees(*place) for place in at])
        for axis, name in enumerate(("ra", "dec")):
            add(name, degrees[:, axis], "ICRS, where it was put", units.deg)
    add("round", of_round, "run in which it was put in, from 1")
    add("flux_true", sources.fluxes, "sum over input px", unit)
    add("flux_expected", ours.held * sources.fluxes, "of it, in the disc of the detector", unit)
    add("snr", sources.snr, "of this flux in the noise of the background")
    add("found", ours.found, "recovered by the draws")
    add("known", ours.known, "something was detected there without it, too")
    add("p_exists", ours.score, "of the detection there; NaN without one")
    add("flux", ours.flux, "mean over all draws", unit)
    add("flux_lo68", ours.low, "lower end of the 68 % interval", unit)
    add("flux_hi68", ours.high, "upper end of the 68 % interval", unit)
    for name, values in risk.items():
        add(name, values, "of the output pixel that holds the place")
    for name, other in recoveries.items():
        if name != OURS:
            key = column_of(name)
            add(f"found_{key}", other.found, f"recovered by {name}")
            add(f"flux_{key}", other.flux, f"in its picture, {name}", unit)
    return out


def column_of(method: str) -> str:
    """Name of a method as part of a column.

    Examples
    --------
    >>> column_of("Richardson-Lucy")
    'richardson_lucy'
    """
    return method.lower().replace("-", "_")


def summary_table(
    sources: Sources,
    recoveries: Mapping[str, Recovery],
    risk: Mapping[str, Array],
    meta: dict[str, Any],
) -> Table:
    """A row for each method and class of S/N."""
    rows = []
    for name, r in recoveries.items():
        told = {"method": name, "threshold": r.threshold} | _false(r.false)
        for low, high in pairwise(CLASSES):
            part = (sources.snr >= low) & (sources.snr < high)
            if part.any():
                row = told | {"snr_low": low, "snr_high": high} | _class(sources, r, part)
                rows.append(row | _means(risk if name == OURS else {}, risk, part))
    out = Table(rows=rows, meta=meta)
    for column in out.colnames:
        out[column].description = WORDS[column]
    return out


def _false(s: Spurious) -> dict[str, Any]:
    ends = {"false_lo95": s.low, "false_hi95": s.high}
    return {"false": s.number, "false_per_mpx": s.per_mpx} | ends


def _share(found: NDArray[np.bool_]) -> dict[str, Any]:
    k, n = int(found.sum()), len(found)
    low, high = wilson(k, n)
    ends = {"completeness_lo95": low, "completeness_hi95": high}
    return {"n": n, "found": k, "completeness": k / n} | ends


def _class(sources: Sources, r: Recovery, part: NDArray[np.bool_]) -> dict[str, Any]:
    row = _share(r.found[part])
    kept = part & r.found & ~r.known  # what shines there already has light of its own
    true = r.held * sources.fluxes[kept]
    off = r.flux[kept] / true - 1
    percentiles = np.percentile(off, [50, 16, 84]) if len(off) else [np.nan] * 3
    row |= dict(zip(("flux_bias", "flux_p16", "flux_p84"), map(float, percentiles), strict=True))
    told = np.isfinite(r.low[kept])
    inside = (r.low[kept] <= true) & (true <= r.high[kept])
    return row | {"flux_in68": float(inside[told].mean()) if told.any() else np.nan}


def _means(maps: Mapping[str, Array], names: Mapping[str, Array], part: Any) -> dict[str, Any]:
    """Means of the maps that there are, NaN for the others."""
    known = {k: v[part][np.isfinite(v[part])] for k, v in maps.items()}
    return {k: float(known[k].mean()) if k in known and known[k].size else np.nan for k in names}


__all__ = [
    "CLASSES",
    "Recovery",
    "Spurious",
    "column_of",
    "sources_table",
    "summary_table",
    "wilson",
]
