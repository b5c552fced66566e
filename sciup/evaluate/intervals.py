"""Bootstrap intervals over units: images of one unit stay together.

Everything is a ratio of sums over images, so that a mean is one with a denominator of 1 per image.

References
----------
Davison & Hinkley (1997), Bootstrap Methods and their Application, ch. 3.8 (clusters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REPEATS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimated:
    """A value with its bootstrap replicates; no interval where there is one unit only."""

    value: float
    replicates: Array

    @property
    def ends(self) -> tuple[float, float]:
        """Percentile interval."""
        if not np.isfinite(self.replicates).all() or not self.replicates.size:
            return float("nan"), float("nan")
        low, high = np.quantile(self.replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)

    def mapped(self, function: np.ufunc) -> Estimated:
        """The same for a function of the value."""
        return Estimated(float(function(self.value)), function(self.replicates))


def ratio(
    numerator: Sequence[float], denominator: Sequence[float], units: Sequence[str], seed: int = 0
) -> Estimated:
    """Ratio of sums over images, with replicates that draw units with replacement.

    Images where either is NaN do not count.

    Examples
    --------
    >>> found = ratio([1, 2, 3, 4], [1, 1, 1, 1], ["a", "a", "b", "c"])
    >>> found.value
    2.5
    """
    top, bottom = np.asarray(numerator, float), np.asarray(denominator, float)
    good = np.isfinite(top) & np.isfinite(bottom)
    if not good.any():
        return Estimated(float("nan"), np.empty(0))
    _, index = np.unique(np.asarray(units)[good], return_inverse=True)
    tops, bottoms = (np.bincount(index, x[good]) for x in (top, bottom))
    count = len(tops)
    if count < 2:
        return Estimated(float(tops[0] / bottoms[0]), np.full(REPEATS, np.nan))
    picks = np.random.default_rng(seed).integers(0, count, (REPEATS, count))
    return Estimated(float(tops.sum() / bottoms.sum()), tops[picks].sum(1) / bottoms[picks].sum(1))


def mean_of_sets(parts: Sequence[Estimated]) -> Estimated:
    """Mean over data sets, each of which weighs the same, with units drawn within each."""
    good = [p for p in parts if np.isfinite(p.value)]
    if not good:
        return Estimated(float("nan"), np.empty(0))
    # a set of one unit has no replicates: its value counts as exact
    replicates = [
        p.replicates if np.isfinite(p.replicates).all() else np.full(REPEATS, p.value) for p in good
    ]
    return Estimated(float(np.mean([p.value for p in good])), np.mean(replicates, axis=0))
