"""Whether the promises hold: what each bin says and shows, and calibrations repeated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from sciup.evaluate.tables import Table
from sciup.risk.betting import bin_bounds, bin_rates
from sciup.risk.calibration import EVERYTHING, Calibration
from sciup.risk.control import interval_scaling
from sciup.risk.evidence import INTERVAL_SCALES, PRODUCTS, SCALINGS, TOLERANCES, Evidence, cells
from sciup.risk.fitting import COVERAGES, binned, risk_map, shares, surprise, unit_tables
from sciup.risk.folds import DELTA, FIRST, split
from sciup.risk.votes import SCALES

Array = NDArray[np.float64]
Row = dict[str, Any]

CERTAINTY = 0.95
"""Of the Clopper-Pearson intervals."""


def promises(found: Calibration, evidence: Evidence) -> Table:
    """What every bin of risk says, and what the units of fold 2 show."""
    testing = evidence.take(~split(evidence.unit.tolist(), evidence.group.tolist(), found.seed))
    passed = ~found.domain.fires(surprise(testing, found.familiar))
    rows: list[Row] = []
    for product in PRODUCTS:
        for t, tolerance in enumerate(TOLERANCES):
            promise = found.promises[f"{product} {tolerance}"]
            units, table = unit_tables(testing, product, "risk", t, passed=passed)
            units_sums = binned(table, promise.maps["risk"])
            rates, sums = mean_rates(units_sums[..., 1], units_sums[..., 0]), units_sums.sum(0)
            edges = (0.0, *promise.maps["risk"].edges, 1.0)
            for b, bound in enumerate(promise.certificate.bound(EVERYTHING)):
                rows.append(
                    {
                        "product": product,
                        "tolerance": str(tolerance),
                        "from": edges[b],
                        "to": edges[b + 1],
                        "share_of_pixels": sums[b, 0] / len(units),
                        "wrong_pooled": sums[b, 1] / max(sums[b, 0], 1e-12),
                        "wrong": rates[b],
                        "bound": bound,
                    }
                )
    return Table(
        "promises",
        "What each bin of risk promises, and the share of wrong pixels in the units of fold 2",
        rows,
        ["wrong: mean over units, which is bounded; wrong_pooled: over all pixels."],
    )


def mean_rates(wrong: Array, weight: Array) -> Array:
    """Means over the units that show each bin; NaN for a bin that none shows."""
    rates = bin_rates(wrong, weight)
    shown = np.isfinite(rates)
    total = np.where(shown, rates, 0).sum(-2)
    return np.asarray(np.where(shown.any(-2), total / np.maximum(shown.sum(-2), 1), np.nan))


def alarms(found: Calibration) -> Table:
    """Price of the alarm."""
    rows = [
        {"product": name.split()[0], "tolerance": name.split()[1]} | vars(p.alarm)
        for name, p in found.promises.items()
    ]
    return Table("alarms", "Thresholds of the alarm, and its price", rows)


def repeated(
    evidence: Evidence, *, repeats: int = 1000, delta: float = DELTA, seed: int = 0
) -> Table:
    """Calibrations on units drawn with replacement, the units at hand being the population.

    A violation: the bound of any bin lies below the share that is wrong in the population.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for product in PRODUCTS:
        for t, tolerance in enumerate(TOLERANCES):
            _, table = unit_tables(evidence, product, "risk", t)
            broken, gaps = 0, []
            for _ in range(repeats):
                bounds, truth = _once(table, rng, evidence.draws, delta)
                broken += bool((bounds < truth - 1e-12).any())
                gaps.append(np.nanmean(bounds - truth))
            rows.append(
                {"product": product, "tolerance": str(tolerance)}
                | _violations(broken, repeats, delta)
                | {"slack": float(np.mean(gaps))}
            )
    return Table(
        "repeated",
        f"Bounds of {repeats} calibrations on units drawn with replacement",
        rows,
        ["slack: mean of bound minus truth over bins."],
    )


def _once(table: Array, rng: np.random.Generator, draws: int, delta: float) -> tuple[Array, Array]:
    """Bounds of one calibration, and the shares that they bound in the population."""
    units = len(table)
    first = round(FIRST * units)
    picked = table[rng.integers(units, size=units)]
    found = risk_map(picked[:first], draws)
    sums = binned(picked[first:], found)
    bounds = bin_bounds(sums[..., 1], sums[..., 0], delta)
    everything = binned(table, found)
    return bounds, mean_rates(everything[..., 1], everything[..., 0])


def _violations(broken: int, repeats: int, promised: float) -> Row:
    low = beta.ppf((1 - CERTAINTY) / 2, broken, repeats - broken + 1) if broken else 0.0
    high = beta.ppf((1 + CERTAINTY) / 2, broken + 1, repeats - broken) if broken < repeats else 1.0
    return {
        "violations": broken / repeats,
        "ci_low": float(low),
        "ci_high": float(high),
        "promised": promised,
        "ok": bool(low <= promised),
    }


def intervals(evidence: Evidence, *, repeats: int = 1000, seed: int = 0) -> Table:
    """Coverage of the draws' own intervals, and how often certified ones hold less than promised.

    At 1, 4 and 16 px; the units at hand are the population from which calibrations are drawn.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for j, scale in enumerate(INTERVAL_SCALES):
        _, outside = shares(evidence, evidence.outside[:, j], evidence.pixels[:, j])
        _, width = shares(evidence, evidence.width[:, j], evidence.pixels[:, j])
        for coverage in COVERAGES:
            plain = _plain(outside, coverage, evidence.draws)
            broken, lengths = 0, []
            for _ in range(repeats):
                pick = rng.integers(len(width), size=len(width))
                found = interval_scaling(outside[pick], width[pick], SCALINGS, 1 - coverage)
                at = int(np.flatnonzero(found.scaling == SCALINGS)[0])
                broken += bool(outside[:, at].mean() > 1 - coverage + 1e-12)
                lengths.append(found.length)
            rows.append(
                {"px": scale, "nominal": coverage}
                | plain
                | _violations(broken, repeats, DELTA)
                | {"length_sigma": float(np.mean(lengths))}
            )
    return Table(
        "intervals",
        f"Intervals of {repeats} calibrations on units drawn with replacement",
        rows,
        ["plain: coverage of mean -+ t x std of the draws, not calibrated."],
    )


def _plain(outside: Array, coverage: float, draws: int) -> Row:
    """Coverage of the normal interval of the draws, and whether it is as near as it should be."""
    from scipy.stats import t

    z = float(t.ppf((1 + coverage) / 2, draws)) * np.sqrt(1 + 1 / (draws + 1))
    inside = [1 - float(np.interp(z, SCALINGS, row)) for row in outside]
    error = float(np.std(inside, ddof=1) / np.sqrt(len(inside)))
    mean = float(np.mean(inside))
    return {
        "plain": mean,
        "plain_error": error,
        "plain_ok": abs(mean - coverage) <= 0.02 + 2 * error,
    }


def score_scales(evidence: Evidence) -> Table:
    """What scores say and what is wrong, at 3, 4 and 16 px: before any calibration."""
    rows = []
    for product in PRODUCTS:
        for t, tolerance in enumerate(TOLERANCES):
            for scale in SCALES:
                _, table = unit_tables(evidence, product, "risk", t, scale)
                total = table.sum(0)
                score, _ = cells()
                rows.append(
                    {
                        "product": product,
                        "tolerance": str(tolerance),
                        "px": scale,
                        "wrong": total[:, 1].sum() / total[:, 0].sum(),
                        "said": (score * total[:, 0]).sum() / total[:, 0].sum(),
                    }
                )
    return Table("raw_scores", "What scores say, and what is wrong; units weigh alike", rows)
