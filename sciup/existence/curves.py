"""P(exists) made honest: a rising curve from what draws say to how often it was true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from sciup.errors import InputError, ModelError
from sciup.risk.stored import STRICT, Stored

Array = NDArray[np.float64]

FILE = "existence.json"
"""Beside the weights of a model."""

VERSION = 3
"""3: the truth is measured above its own sky, no longer above the one that was believed."""

LEAST = 30
"""Candidates without which no curve is fitted."""


@dataclass(frozen=True)
class Errors:
    """How far off fluxes or places of candidates were, in one class of S/N.

    Attributes
    ----------
    low, high : float or None
        Class of S/N; None: no end.
    candidates, units : int
        How many, and of how many independent fields.
    ends : tuple of (float, float)
        Errors in spreads of the draws between which the truth lies, for each of
        `sciup.risk.ranks.LEVELS`.
    plain, covered : tuple of float
        Share of the truths inside the interval of the draws as such, None where there is none; and
        inside the one that all other fields gave, field by field.
    """

    __pydantic_config__ = STRICT

    low: float | None
    high: float | None
    candidates: int
    units: int
    ends: tuple[tuple[float, float], tuple[float, float]]
    plain: tuple[float | None, float | None]
    covered: tuple[float, float]

    def holds(self, snr: Array) -> NDArray[np.bool_]:
        """Which candidates belong here."""
        low = -np.inf if self.low is None else self.low
        return np.asarray((snr >= low) & (snr < (np.inf if self.high is None else self.high)))

    def check(self) -> None:
        """Refuse what no calibration writes."""
        shares = [share for share in (*self.plain, *self.covered) if share is not None]
        right = all(0 <= share <= 1 for share in shares)
        if not right or not all(low <= high for low, high in self.ends):
            raise ModelError(
                f"the errors from S/N {self.low} of {FILE} are damaged",
                "ends in order, and shares from 0 to 1",
                Existence.again(),
            )


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
    fluxes, places : tuple of Errors
        Of the flux of all candidates, and of the place of those that exist (a distance).
    """

    __pydantic_config__ = STRICT

    kind: str
    limit: float
    samples: int
    raw: tuple[float, ...]
    calibrated: tuple[float, ...]
    candidates: int
    units: int
    reliability: tuple[dict[str, Any], ...] = ()
    fluxes: tuple[Errors, ...] = ()
    places: tuple[Errors, ...] = ()

    def check(self) -> None:
        """Refuse what no fit gives."""
        raw, calibrated = (np.array(x) for x in (self.raw, self.calibrated))
        rises = np.all(np.diff(raw) > 0) and np.all(np.diff(calibrated) >= 0)
        chances = np.all((raw >= 0) & (raw <= 1)) and np.all((calibrated >= 0) & (calibrated <= 1))
        if not len(raw) or len(raw) != len(calibrated) or not rises or not chances:
            raise ModelError(
                f"a curve of {FILE} does not rise",
                "as many calibrated as raw chances from 0 to 1, both in order",
                Existence.again(),
            )
        for errors in (*self.fluxes, *self.places):
            errors.check()

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


@dataclass(frozen=True, kw_only=True)
class Existence(Stored):
    """The curves of a model, as ``existence.json`` keeps them.

    Attributes
    ----------
    key : Key
    about : dict
        Data, day, conditions.
    curves : tuple of Curve
    """

    file = FILE
    version = VERSION
    command = "--existence"

    curves: tuple[Curve, ...]

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

    def joined(self, other: Existence | str) -> Existence:
        """With the curves of another one for what this one has none; a word for none is ignored."""
        if isinstance(other, str):
            return self
        mine = {(c.kind, c.limit, c.samples) for c in self.curves}
        rest = [c for c in other.curves if (c.kind, c.limit, c.samples) not in mine]
        return replace(self, curves=(*self.curves, *rest))

    def check(self) -> None:
        """Refuse curves that do not rise."""
        for curve in self.curves:
            curve.check()


__all__ = ["FILE", "LEAST", "Curve", "Errors", "Existence"]
