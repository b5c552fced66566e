"""P(exists) made honest: a rising curve from what draws say to how often it was true."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from sciup.errors import InputError, ModelError
from sciup.risk.plain import checked, numbers

Array = NDArray[np.float64]

FILE = "existence.json"
"""Beside the weights of a model."""

VERSION = 1

LEAST = 30
"""Candidates without which no curve is fitted."""


@dataclass(frozen=True)
class Curve:
    """What turns the raw P(exists) of one detector into a calibrated one.

    Attributes
    ----------
    kind : str
        What was looked for.
    limit : float
        S/N of the faintest point source that counts.
    samples : int
        K, the number of draws that vote.
    raw, calibrated : tuple of float
        Knots of a rising curve, straight between them.
    candidates, units : int
        What it was fitted to, and how many independent fields they come from.
    reliability : tuple of dict
        On fields that the curve had not seen: per class of P how often candidates existed.
    """

    kind: str
    limit: float
    samples: int
    raw: tuple[float, ...]
    calibrated: tuple[float, ...]
    candidates: int
    units: int
    reliability: tuple[dict[str, Any], ...] = ()

    def __call__(self, p_raw: ArrayLike) -> Array:
        """Calibrated chance of candidates."""
        return np.asarray(np.interp(np.asarray(p_raw, float), self.raw, self.calibrated))

    @classmethod
    def fit(
        cls,
        p_raw: ArrayLike,
        exists: ArrayLike,
        *,
        kind: str,
        limit: float,
        samples: int,
        units: Sequence[str],
    ) -> Curve:
        """Fit a curve to candidates, each of which counts alike.

        Both ends stay off 0 and 1 by what n candidates can tell: (n + 1/2) / (n + 1) of those that
        lie there together.

        Parameters
        ----------
        p_raw : array_like (n,)
            As the draws say.
        exists : array_like (n,) of bool
        kind, limit, samples
            Of the detector.
        units : sequence of str (n,)
            The independent field of each candidate.

        Raises
        ------
        InputError
            For fewer than `LEAST` candidates.

        References
        ----------
        Zadrozny & Elkan (2002), KDD: isotonic regression of scores to probabilities.

        Examples
        --------
        >>> said, true = [0.1] * 40 + [0.9] * 40, [0] * 30 + [1] * 10 + [1] * 40
        >>> curve = Curve.fit(said, true, kind="point", limit=5, samples=64, units=["a"] * 80)
        >>> curve([0.1, 0.9]).round(3).tolist()
        [0.25, 0.988]
        """
        p, true = np.asarray(p_raw, float), np.asarray(exists, float)
        if len(p) < LEAST:
            raise InputError(
                f"{len(p)} candidates of kind {kind!r} were found", f"{LEAST} or more", "more data"
            )
        knots, index = np.unique(p, return_inverse=True)
        number = np.bincount(index).astype(float)
        rate = np.bincount(index, true) / number
        rising = isotonic_regression(rate, weights=number).x
        low, high = (number[rising == end].sum() for end in (rising[0], rising[-1]))
        rising = np.clip(rising, 0.5 / (low + 1), (high + 0.5) / (high + 1))
        curve = tuple(knots.tolist()), tuple(np.asarray(rising).tolist())
        return cls(kind, float(limit), samples, *curve, len(p), len(set(units)))


@dataclass(frozen=True)
class Existence:
    """The curves of a model.

    Attributes
    ----------
    weights : str
        Checksum of the weights that they belong to.
    projection : dict
        The recipe's trust, which decides draws, too.
    curves : tuple of Curve
    about : dict
        Data, day, conditions.
    """

    weights: str
    projection: dict[str, Any]
    curves: tuple[Curve, ...]
    about: dict[str, Any] = field(default_factory=dict)

    def curve(self, kind: str, limit: float, samples: int) -> Curve | str:
        """The curve of a detector, or why there is none."""
        of_kind = [c for c in self.curves if c.kind == kind]
        for c in of_kind:
            if c.samples == samples and np.isclose(c.limit, limit):
                return c
        if not of_kind:
            return f"the model is not calibrated for kind {kind!r}"
        known = ", ".join(f"--limit {c.limit:g} --samples {c.samples}" for c in of_kind)
        return f"the model is calibrated for {known} only"

    @classmethod
    def of_model(cls, folder: Path, weights: str, projection: Mapping[str, Any]) -> Existence | str:
        """What lies beside a model, or why it cannot be used.

        Raises
        ------
        ModelError
            If the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return f"{folder.name} has no {FILE}: sciup calibrate {folder.name} DATA --existence"
        found = cls.read(path)
        if found.weights != weights or found.projection != dict(projection):
            return f"{FILE} of {folder.name} belongs to other weights or another recipe"
        return found

    def joined(self, other: Existence | str) -> Existence:
        """With the curves of another one for what this one has none; a word for none is ignored."""
        if isinstance(other, str):
            return self
        mine = {(c.kind, c.limit, c.samples) for c in self.curves}
        rest = [c for c in other.curves if (c.kind, c.limit, c.samples) not in mine]
        return replace(self, curves=(*self.curves, *rest))

    def write(self, path: Path) -> None:
        """Write as JSON: all of it or nothing."""
        part = path.with_suffix(".part")
        part.write_text(json.dumps({"version": VERSION} | asdict(self), allow_nan=False) + "\n")
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Existence:
        """Read ``existence.json``.

        Raises
        ------
        ModelError
            If it is damaged or of another version.
        """
        try:
            data = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read: {error}") from None
        keys = ("version", "weights", "projection", "curves", "about")
        found = checked(data, keys, FILE)
        if found["version"] != VERSION:
            raise ModelError(f"{path} has version {found['version']!r}", str(VERSION))
        curves = tuple(_curve(part) for part in found["curves"])
        return cls(found["weights"], dict(found["projection"]), curves, dict(found["about"]))


def _curve(data: Mapping[str, Any]) -> Curve:
    part = dict(checked(data, Curve.__dataclass_fields__, f"curve of {FILE}"))
    for key in ("raw", "calibrated"):
        part[key] = tuple(numbers(part[key], key, 0, 1))
    raw, calibrated = part["raw"], part["calibrated"]
    rises = np.all(np.diff(raw) > 0) and np.all(np.diff(calibrated) >= 0)
    if not raw or len(raw) != len(calibrated) or not rises:
        raise ModelError(
            f"a curve of {FILE} does not rise",
            "as many calibrated as raw chances, both in order",
            "write it again: sciup calibrate --existence",
        )
    part["reliability"] = tuple(part["reliability"])
    return Curve(**part)


__all__ = ["FILE", "LEAST", "Curve", "Existence"]
