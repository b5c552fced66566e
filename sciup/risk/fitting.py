"""Make a calibration of evidence: fitted on one fold of units, certified on the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.errors import OptionError
from sciup.risk.badge import Domain, field_score, pick_blocks
from sciup.risk.calibration import EVERYTHING, Calibration, Promise
from sciup.risk.certificate import Certificate, certify
from sciup.risk.control import Alarm, Interval, alarm_threshold, interval_scaling
from sciup.risk.evidence import (
    INTERVAL_SCALES,
    KINDS,
    PRODUCTS,
    SCALINGS,
    STRATA,
    TOLERANCES,
    Evidence,
    cells,
)
from sciup.risk.familiar import Familiar, strangest
from sciup.risk.folds import DELTA, by_unit, split
from sciup.risk.isotonic import RiskMap, fit
from sciup.risk.stored import Key
from sciup.risk.votes import SCALES

Array = NDArray[np.float64]

ALPHA = 0.1
"""Largest mean share of a field's wrong pixels that the alarm leaves unflagged."""

FALSE_ALARMS = 0.05
"""How often the badge fires on a block, or calls a field foreign, that is not."""

COVERAGES = (0.8, 0.9, 0.95)

THRESHOLDS = np.concatenate([[0.0], np.geomspace(1e-4, 1, 161)])
"""Of the risk, tried for the alarm."""


def calibrate(
    evidence: Evidence,
    familiar: Familiar,
    key: Key,
    *,
    samples: int,
    about: Mapping[str, Any],
    seed: int = 0,
    delta: float = DELTA,
) -> Calibration:
    """Fit on fold 1, certify on fold 2.

    Parameters
    ----------
    evidence : Evidence
        Of fields that were neither trained on nor tuned on.
    familiar : Familiar
        What fields of the training look like.
    key : Key
        What the evidence was measured with.
    samples : int
        K, of the evidence.
    about : mapping
        Kept for people.
    seed : int
        Of the folds and of the badge's blocks.
    delta : float
        Probability that a promise is broken, over the choice of units.

    Raises
    ------
    InputError
        With too few units.
    """
    if (evidence.samples != samples).any():
        raise OptionError(f"evidence of {evidence.draws} draws", f"{samples} draws")
    first = split(evidence.unit.tolist(), evidence.group.tolist(), seed)
    fitting, testing = evidence.take(first), evidence.take(~first)
    domain = badge(fitting, familiar, seed)
    passed = ~domain.fires(surprise(testing, familiar))
    promises = {}
    for product in PRODUCTS:
        voters = samples + (product == "mean")
        for t, tolerance in enumerate(TOLERANCES):
            maps = {}
            for kind in KINDS:
                _, table = unit_tables(fitting, product, kind, t)
                maps[kind] = risk_map(table, voters)
            found = maps["risk"]
            promises[f"{product} {tolerance}"] = Promise(
                maps,
                certificate(testing, passed, found, product, t, delta),
                alarm(testing, found, product, t),
            )
    intervals = {f"{c:g}": interval(testing, c, 1, delta) for c in COVERAGES}
    return Calibration(
        key=key,
        about=dict(about),
        samples=samples,
        seed=seed,
        promises=promises,
        intervals=intervals,
        familiar=familiar,
        domain=domain,
    )


def shares(evidence: Evidence, values: ArrayLike, pixels: ArrayLike) -> tuple[list[str], Array]:
    """Counts of blocks as shares of the pixels of their field, averaged inside each unit.

    Parameters
    ----------
    evidence : Evidence
        Of n blocks.
    values : array_like (n, ...)
        Counts.
    pixels : array_like (n,)
        Pixels that they are counted from.

    Returns
    -------
    units : list of str
    means : ndarray (units, ...)
    """
    names = np.char.add(np.char.add(evidence.field, "\0"), evidence.condition)
    _, first, index = np.unique(
        np.char.add(np.char.add(evidence.unit, "\0"), names), return_index=True, return_inverse=True
    )
    counts = np.asarray(values, np.float64)
    total, whole = np.zeros((len(first), *counts.shape[1:])), np.zeros(len(first))
    np.add.at(total, index, counts)
    np.add.at(whole, index, np.asarray(pixels, np.float64))
    whole = np.maximum(whole, 1).reshape(-1, *[1] * (counts.ndim - 1))
    return by_unit(total / whole, evidence.unit[first].tolist())


def votes_of(evidence: Evidence, product: str, kind: str, tolerance: int, scale: int) -> Array:
    """Counts (n, cells, 2) of one question; `cells` gives score and S/N of each."""
    p, k, s = PRODUCTS.index(product), KINDS.index(kind), SCALES.index(scale)
    table = evidence.votes[:, p, k, tolerance, s]
    return table.reshape(len(table), -1, 2).astype(np.float64)


def unit_tables(
    evidence: Evidence,
    product: str,
    kind: str,
    tolerance: int,
    scale: int = SCALES[0],
    passed: NDArray[np.bool_] | None = None,
) -> tuple[list[str], Array]:
    """Shares of the pixels in each cell, all and wrong, of each unit: (units, cells, 2).

    Blocks that the badge does not let pass count as pixels of no cell.
    """
    table = votes_of(evidence, product, kind, tolerance, scale)
    pixels = table[..., 0].sum(1)
    counted = table if passed is None else table * passed[:, None, None]
    return shares(evidence, counted, pixels)


def risk_map(units: ArrayLike, draws: int) -> RiskMap:
    """Curves and bins of `unit_tables`, every unit with the same weight."""
    found = np.asarray(units, np.float64).sum(0)
    score, snr = cells()
    rate = found[:, 1] / np.maximum(found[:, 0], 1e-300)
    return fit(score, rate, found[:, 0], snr, draws=draws, strata=STRATA)


def binned(units: ArrayLike, found: RiskMap) -> Array:
    """`unit_tables` summed over the cells of each bin: (units, bins, 2)."""
    score, snr = cells()
    member = np.eye(found.bins)[found.bin(found.probability(score, snr))]
    sums = np.einsum("ucx,cb->ubx", np.asarray(units, np.float64), member)
    # rounding can leave a little more than everything
    weight = np.minimum(sums[..., :1], 1.0)
    return np.concatenate([weight, np.minimum(sums[..., 1:], weight)], -1)


def certificate(
    evidence: Evidence,
    passed: NDArray[np.bool_],
    found: RiskMap,
    product: str,
    tolerance: int,
    delta: float,
) -> Certificate:
    """Bounds of the bins, for all units together and group by group.

    Parameters
    ----------
    evidence : Evidence
        Of fold 2.
    passed : ndarray of bool (n,)
        Blocks on which the badge does not fire.
    found : RiskMap
        From fold 1.
    """
    groups = {EVERYTHING: np.ones(len(evidence), bool)}
    groups |= {name: evidence.group == name for name in np.unique(evidence.group).tolist()}
    rows = {}
    for name, here in groups.items():
        part = evidence.take(here)
        _, table = unit_tables(part, product, "risk", tolerance, passed=passed[here])
        sums = binned(table, found)
        rows[name] = (sums[..., 1], sums[..., 0])
    return certify(rows, delta)


def alarm(
    evidence: Evidence, found: RiskMap, product: str, tolerance: int, alpha: float = ALPHA
) -> Alarm:
    """Threshold of the risk that flags all but a share alpha of a field's wrong pixels."""
    score, snr = cells()
    low = found.probability(score, snr)[:, None] < THRESHOLDS
    table = votes_of(evidence, product, "risk", tolerance, SCALES[0])
    _, flagged = shares(evidence, table[..., 0] @ ~low, table[..., 0].sum(1))
    _, unflagged = shares(evidence, table[..., 1] @ low, table[..., 1].sum(1))
    return alarm_threshold(unflagged, flagged, THRESHOLDS, alpha)


def interval(evidence: Evidence, coverage: float, scale: int, delta: float) -> Interval:
    """How far the spread about the mean must be stretched to hold so many of the pixels."""
    j = INTERVAL_SCALES.index(scale)
    pixels = evidence.pixels[:, j]
    _, outside = shares(evidence, evidence.outside[:, j], pixels)
    _, width = shares(evidence, evidence.width[:, j], pixels)
    return interval_scaling(outside, width, SCALINGS, 1 - coverage, delta)


def surprise(evidence: Evidence, familiar: Familiar) -> Array:
    """How strange each block is, (n,)."""
    return strangest(familiar.scores(evidence.statistics))


def badge(evidence: Evidence, familiar: Familiar, seed: int) -> Domain:
    """What blocks and fields of fold 1 look like: one of each per unit."""
    chosen = pick_blocks(evidence.unit.tolist(), seed)
    found = surprise(evidence, familiar)
    same = [
        (evidence.unit == evidence.unit[i])
        & (evidence.field == evidence.field[i])
        & (evidence.condition == evidence.condition[i])
        for i in chosen
    ]
    fields = np.array([field_score(found[rows]) for rows in same])
    return Domain(found[chosen], fields, FALSE_ALARMS)
