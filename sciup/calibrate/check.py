"""What a calibrated risk map is worth on fields that had no part in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from itertools import product as product_of
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.calibrate.fields import SKY, Source, Told, none_left
from sciup.calibrate.observe import Observation, observe
from sciup.evaluate.ensembles import auroc, brier, calibration_error, reliability
from sciup.evaluate.tables import Table
from sciup.risk.badge import field_score
from sciup.risk.calibration import Calibration
from sciup.risk.evidence import PRODUCTS, STRATA, TOLERANCES
from sciup.risk.familiar import STATISTICS, strangest
from sciup.risk.fitting import ALPHA
from sciup.risk.folds import by_unit
from sciup.risk.score import tail
from sciup.risk.tolerance import Tolerance
from sciup.risk.votes import sliding_mean, verdict

Array = NDArray[np.float64]
Row = dict[str, Any]
Progress = Callable[[str, int], None]

BRIGHT = 2.0
"""Pixels with less S/N are easy: nothing is there and nothing is claimed."""
EVERY = 7
"""Of the pixels, enough for the scores of a set."""
SNR_BINS = 30


@dataclass(frozen=True)
class Pixels:
    """Pixels of one field at one tolerance.

    Attributes
    ----------
    risk, snr : ndarray (n,)
    wrong : ndarray of bool (n,)
    rivals : dict of str to ndarray (n,)
        What could be taken for risk without any draws or calibration.
    """

    risk: Array
    snr: Array
    wrong: NDArray[np.bool_]
    rivals: dict[str, Array]


def risk_of(
    seen: Observation,
    truth: Array,
    calibration: Calibration,
    tolerance: Tolerance,
    product: str = "sample",
) -> tuple[Array, Array]:
    """Calibrated risk of an image and the event of every pixel; NaN where masked."""
    promise = calibration.promises[f"{product} {tolerance}"]
    tau = tolerance.limit(seen.draws[0], seen.level, seen.sigma)
    shown, first = (seen.draws[0], 1) if product == "sample" else (seen.mean, 0)
    apart = np.stack([sliding_mean(shown - draw) for draw in seen.draws[first:]])
    votes = (np.abs(apart) > tau).sum(0)
    chance = sum(tail(apart.mean(0), apart.std(0, ddof=1), tau, len(apart)))
    table = promise.tables()["risk"]
    stratum = np.searchsorted(STRATA, seen.snr, side="right")
    known = np.isfinite(apart).all(0) & np.isfinite(tau)
    found = table[stratum, promise.column(votes, chance)]
    return np.where(known, found, np.nan), verdict(shown, truth, tau)


def pixels_of(
    seen: Observation,
    truth: Array,
    calibration: Calibration,
    tolerance: Tolerance,
    product: str = "sample",
) -> tuple[Pixels, Row]:
    """A share of the bright pixels, and what the alarm does on all of them."""
    risk, event = risk_of(seen, truth, calibration, tolerance, product)
    promise = calibration.promises[f"{product} {tolerance}"]
    known = np.isfinite(risk) & np.isfinite(event)
    flagged = risk >= promise.alarm.threshold
    wrong = known & (event != 0)
    alarm = {
        "unflagged": float((wrong & ~flagged).sum() / max(wrong.sum(), 1)),
        "flagged": float((known & flagged).sum() / max(known.sum(), 1)),
    }
    tau = tolerance.limit(seen.draws[0], seen.level, seen.sigma)
    mean = sliding_mean(seen.mean)
    rivals = {
        "std": seen.draws.std(0, ddof=1) / tau,
        "gradient": np.hypot(*np.gradient(mean)) / tau,
        "intensity": (mean - seen.level) / tau,
    }
    chosen = np.flatnonzero((known & (seen.snr > BRIGHT)).ravel())[::EVERY]
    return (
        Pixels(
            risk.ravel()[chosen],
            seen.snr.ravel()[chosen],
            event.ravel()[chosen] != 0,
            {name: x.ravel()[chosen] for name, x in rivals.items()},
        ),
        alarm,
    )


def score(parts: list[Pixels]) -> Row:
    """Scores of the pixels of several fields."""
    risk, snr = (np.concatenate([getattr(p, n) for p in parts]) for n in ("risk", "snr"))
    wrong = np.concatenate([p.wrong for p in parts])
    if not len(risk):
        return {"pixels": 0}
    hindsight = _by_snr(snr, wrong)
    base = brier(hindsight, wrong)
    found: Row = {
        "pixels": len(risk),
        "wrong": float(wrong.mean()),
        "said": float(risk.mean()),
        "ece": calibration_error(reliability(risk, wrong)),
        "brier_skill": 1 - brier(risk, wrong) / base if base else float("nan"),
        "auroc": auroc(risk, wrong),
        "ap": average_precision(risk, wrong),
    }
    for name in parts[0].rivals:
        rival = np.concatenate([p.rivals[name] for p in parts])
        found[f"ap_{name}"] = average_precision(rival, wrong)
    return found


def by_stratum(parts: list[Pixels], low: float, high: float) -> list[Pixels]:
    """The pixels of a range of local S/N."""
    found = []
    for part in parts:
        here = (part.snr >= low) & (part.snr < high)
        rivals = {name: x[here] for name, x in part.rivals.items()}
        found.append(Pixels(part.risk[here], part.snr[here], part.wrong[here], rivals))
    return found


def _by_snr(snr: Array, wrong: NDArray[np.bool_]) -> Array:
    """The best that S/N alone could say of these very pixels: their share of wrong ones."""
    edges = np.unique(np.quantile(snr, np.linspace(0, 1, SNR_BINS + 1)[1:-1]))
    cell = np.searchsorted(edges, snr)
    rate = np.bincount(cell, wrong) / np.maximum(np.bincount(cell), 1)
    return np.asarray(rate[cell])


def average_precision(scores: Array, wrong: NDArray[np.bool_]) -> float:
    """Mean precision over the wrong pixels, from the highest score down; ties count together.

    Examples
    --------
    >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    0.8333333333333333
    """
    if not wrong.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(wrong[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    found = np.diff(np.concatenate([[0], hits[last]]))
    return float((found * hits[last] / (last + 1)).sum() / hits[-1])


def usefulness(
    source: Source,
    calibration: Calibration,
    *,
    split: str = "test",
    told: Told = "nothing",
    progress: Progress = lambda _condition, _done: None,
    skipped: Callable[[str], None] = lambda _: None,
) -> list[Table]:
    """Tables of risk, alarm and badge on a split that had no part in the calibration.

    `skipped` gets the name of every field that cannot be used, and why; InputError if it gets all.
    """
    pixels: dict[tuple[str, ...], list[Pixels]] = {}
    alarms: dict[tuple[str, ...], list[Row]] = {}
    badge: list[Row] = []
    for condition in source.conditions:
        for done, one in enumerate(source.fields(condition, split, told, skipped)):
            progress(condition, done + 1)
            seen = observe(one.result, source.samples + 1)
            badge.append(one.labels | verdict_of(seen, calibration))
            places = [("all", "all")]
            if condition != SKY:
                places += [(one.labels["group"], condition), ("all", condition)]
            for product, tolerance in product_of(PRODUCTS, TOLERANCES):
                found, alarm = pixels_of(seen, one.truth, calibration, tolerance, product)
                key = (product, str(tolerance))
                for place in places:
                    pixels.setdefault((*key, *place), []).append(found)
                    alarms.setdefault((*key, *place), []).append(alarm | one.labels)
    if not badge:
        raise none_left(split)
    names = ("product", "tolerance", "set", "condition")
    rows = [
        dict(zip(names, key, strict=True)) | {"fields": len(parts)} | score(parts)
        for key, parts in pixels.items()
    ]
    strata = [
        {"product": product, "tolerance": str(t), "snr_from": low, "snr_to": high}
        | score(by_stratum(parts, low, high))
        for product, t in product_of(PRODUCTS, TOLERANCES)
        for low, high in pairwise((*STRATA, np.inf))
        if (parts := pixels.get((product, str(t), "all", "all")))
    ]
    prices = [dict(zip(names, key, strict=True)) | price(found) for key, found in alarms.items()]
    return [
        Table("usefulness", f"Risk on pixels with S/N > {BRIGHT:g}", rows, [NOTE]),
        Table("strata", "The same by local S/N, all fields together", strata, [NOTE]),
        Table("alarm", "Wrong pixels that the alarm leaves unflagged", prices, [PRICES]),
        Table("badge", "Out-of-domain verdicts", badge),
    ]


NOTE = (
    "brier_skill: over the share of wrong pixels in 30 bins of S/N of these very fields. ap:"
    " average precision; of risk, of std, gradient and intensity over the tolerance."
)
PRICES = (
    "unflagged and flagged: means over units; error: standard error of unflagged. The promise is"
    " kept on average over units as those of the calibration are, not set by set."
)


def price(found: list[Row]) -> Row:
    """What the alarm does, on average over units as it is promised."""
    pairs = [[row["unflagged"], row["flagged"]] for row in found]
    names, means = by_unit(pairs, [row["unit"] for row in found])
    unflagged, flagged = means.mean(0)
    error = means[:, 0].std(ddof=1) / np.sqrt(len(names)) if len(names) > 1 else np.nan
    return {
        "units": len(names),
        "unflagged": float(unflagged),
        "error": float(error),
        "flagged": float(flagged),
        "promised": ALPHA,
    }


def verdict_of(seen: Observation, calibration: Calibration) -> Row:
    """What the badge says of a field."""
    rows = calibration.familiar.scores(seen.statistics).reshape(-1, len(STATISTICS))
    said = calibration.domain.judge(strangest(rows))
    return {
        "outside": said.outside,
        "field_p": said.field_p,
        "fired": said.fired,
        **{name: field_score(column) for name, column in zip(STATISTICS, rows.T, strict=True)},
    }
