"""The calibration of a model: fitted on one fold of units, certified on the other, kept in JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.errors import ModelError, OptionError
from sciup.risk.badge import Domain, field_score, pick_blocks
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
)
from sciup.risk.folds import DELTA, by_unit, split
from sciup.risk.isotonic import RiskMap, fit
from sciup.risk.outside import Familiar, strangest
from sciup.risk.plain import checked, numbers
from sciup.risk.stored import Key, Stored
from sciup.risk.votes import SCALES

Array = NDArray[np.float64]

EVERYTHING = "all"
"""The group of all calibration units together."""

ALPHA = 0.1
"""Largest mean share of a field's wrong pixels that the alarm leaves unflagged."""

FALSE_ALARMS = 0.05
"""How often the badge fires on a block, or calls a field foreign, that is not."""

COVERAGES = (0.8, 0.9, 0.95)

THRESHOLDS = np.concatenate([[0.0], np.geomspace(1e-4, 1, 161)])
"""Of the risk, tried for the alarm."""

FILE = "calibration.json"
VERSION = 4
"""Raised whenever the same draws would give other numbers: 3 is the mean of docs/design/0021."""


@dataclass(frozen=True)
class Promise:
    """Everything about one image that can be shown and one tolerance.

    Attributes
    ----------
    maps : dict of str to RiskMap
        By kind: risk, invented, missed. Only the bins of risk are certified.
    certificate : Certificate
        Of the bins of risk, per group.
    alarm : Alarm
    """

    maps: dict[str, RiskMap]
    certificate: Certificate
    alarm: Alarm

    def tables(self, group: str = EVERYTHING) -> dict[str, Array]:
        """What is painted for each stratum of S/N and number of votes, (strata, K + 2).

        By kind the calibrated probability, and as ``bound`` the certified bound of its bin.
        """
        draws = self.maps["risk"].draws
        score, snr = (x.reshape(len(STRATA) + 1, -1) for x in cells(draws))
        found = {kind: m.probability(score, snr) for kind, m in self.maps.items()}
        bounds = np.asarray(self.certificate.bound(group))
        return found | {"bound": bounds[self.maps["risk"].bin(found["risk"])]}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "maps": {kind: m.to_dict() for kind, m in self.maps.items()},
            "certificate": self.certificate.to_dict(),
            "alarm": vars(self.alarm),
        }

    @classmethod
    def from_dict(cls, data: object) -> Promise:
        """Read what `to_dict` wrote; ModelError for anything else."""
        found = checked(data, ("maps", "certificate", "alarm"), "promise")
        maps = checked(found["maps"], KINDS, "table of risk maps")
        alarm = checked(found["alarm"], Alarm.__dataclass_fields__, "alarm")
        return cls(
            {kind: RiskMap.from_dict(maps[kind]) for kind in KINDS},
            Certificate.from_dict(found["certificate"]),
            Alarm(**_numbers(alarm, "alarm")),
        )


@dataclass(frozen=True, kw_only=True)
class Calibration(Stored):
    """What ``calibration.json`` holds.

    Attributes
    ----------
    key : Key
    about : dict
        For people: sets, units, conditions, program version, day.
    samples : int
        Voting draws K.
    seed : int
        Of the folds and of the badge's blocks.
    promises : dict of str to Promise
        By ``PRODUCT TOLERANCE``.
    intervals : dict of str to Interval
        By coverage: how far the spread about the mean is stretched.
    familiar : Familiar
        What fields of the training look like.
    domain : Domain
        Of the badge.
    """

    file = FILE
    version = VERSION
    command = ""

    samples: int
    seed: int
    promises: dict[str, Promise]
    intervals: dict[str, Interval]
    familiar: Familiar
    domain: Domain

    @cached_property
    def digest(self) -> str:
        """Of everything in it."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def promise(self, product: str, tolerance: object) -> Promise | None:
        """Of a product and a tolerance, if they were calibrated."""
        return self.promises.get(f"{product} {tolerance}")

    @property
    def tolerances(self) -> str:
        """Those of the sample, for messages."""
        return ", ".join(n.split()[1] for n in self.promises if n.startswith("sample "))

    def belongs(self, key: Key, name: str) -> None:
        """Refuse a calibration of something else.

        Raises
        ------
        ModelError
            Naming what differs.
        """
        if against := self.key.against(key):
            raise ModelError(
                f"the calibration of {name} is for {against}",
                fix=f"run `sciup calibrate` for this model as it is, or remove {FILE}",
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "version": self.version,
            "key": vars(self.key),
            "about": self.about,
            "samples": self.samples,
            "seed": self.seed,
            "promises": {name: p.to_dict() for name, p in self.promises.items()},
            "intervals": {name: vars(i) for name, i in self.intervals.items()},
            "familiar": self.familiar.to_dict(),
            "domain": self.domain.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read what `to_dict` wrote; ModelError for anything else."""
        found = cls.parts(data)
        intervals = {
            name: Interval(
                **_numbers(checked(i, Interval.__dataclass_fields__, "interval"), "interval")
            )
            for name, i in dict(found["intervals"]).items()
        }
        return cls(
            key=Key(**checked(found["key"], Key.__dataclass_fields__, "key of the calibration")),
            about=dict(found["about"]),
            samples=int(numbers([found["samples"]], "samples", 1)[0]),
            seed=int(numbers([found["seed"]], "seed", 0)[0]),
            promises={name: Promise.from_dict(p) for name, p in dict(found["promises"]).items()},
            intervals=intervals,
            familiar=Familiar.from_dict(found["familiar"]),
            domain=Domain.from_dict(found["domain"]),
        )


def _numbers(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The same, if all of it are finite numbers, none below 0."""
    for key, value in found.items():
        if not np.isfinite(numbers([value], f"{key} of the {name}", 0)).all():
            raise ModelError(f"{key} of the {name} is {value!r}", "a number", Calibration.again())
    return found


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
    if evidence.draws != samples:
        raise OptionError(f"evidence of {evidence.draws} draws", f"{samples} draws")
    first = split(evidence.unit.tolist(), evidence.group.tolist(), seed)
    fitting, testing = evidence.take(first), evidence.take(~first)
    domain = badge(fitting, familiar, seed)
    passed = ~domain.fires(surprise(testing, familiar))
    promises = {}
    for product in PRODUCTS:
        for t, tolerance in enumerate(TOLERANCES):
            maps = {}
            for kind in KINDS:
                _, table = unit_tables(fitting, product, kind, t)
                maps[kind] = risk_map(table, evidence.draws)
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


def cells(draws: int) -> tuple[Array, Array]:
    """Raw score and a representative S/N of every cell of `votes_of`."""
    inner = np.asarray(STRATA)
    middles = np.concatenate([[inner[0] / 2], (inner[1:] + inner[:-1]) / 2, [inner[-1] * 2]])
    score = np.minimum((np.arange(draws + 2) + 0.5) / (draws + 1), 1.0)
    snr, r = np.meshgrid(middles, score, indexing="ij")
    return r.ravel(), snr.ravel()


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
    score, snr = cells(draws)
    rate = found[:, 1] / np.maximum(found[:, 0], 1e-300)
    return fit(score, rate, found[:, 0], snr, draws=draws, strata=STRATA)


def binned(units: ArrayLike, found: RiskMap) -> Array:
    """`unit_tables` summed over the cells of each bin: (units, bins, 2)."""
    score, snr = cells(found.draws)
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
    score, snr = cells(evidence.draws)
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
