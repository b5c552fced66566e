"""The calibration of a model as it is kept in JSON; `sciup.risk.fitting` makes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.errors import ModelError
from sciup.risk.badge import Domain
from sciup.risk.certificate import Certificate
from sciup.risk.control import Alarm, Interval
from sciup.risk.evidence import KINDS, STRATA, cells
from sciup.risk.familiar import Familiar
from sciup.risk.isotonic import RiskMap
from sciup.risk.plain import checked, numbers
from sciup.risk.score import MIDDLES, level
from sciup.risk.stored import Key, Stored

Array = NDArray[np.float64]

EVERYTHING = "all"
"""The group of all calibration units together."""

FILE = "calibration.json"
VERSION = 5
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

    def column(self, votes: ArrayLike, chance: ArrayLike) -> NDArray[np.intp]:
        """Where in the rows of `tables` a pixel is found, by its votes and its `score.tail`."""
        return level(votes, chance, self.maps["risk"].draws)

    def tables(self, group: str = EVERYTHING) -> dict[str, Array]:
        """What is painted for each stratum of S/N and level of the score, (strata, levels).

        By kind the calibrated probability, and as ``bound`` the certified bound of its bin.
        """
        score, snr = (x.reshape(len(STRATA) + 1, -1) for x in cells(MIDDLES))
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
            "version": VERSION,
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


__all__ = ["EVERYTHING", "FILE", "VERSION", "Calibration", "Promise"]
