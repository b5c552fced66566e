"""From raw scores to probabilities and bins, fitted on fold 1 and never touched again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

from sciup.errors import InputError, ModelError, OptionError
from sciup.risk.plain import checked, numbers

Array = NDArray[np.float64]

BINS = 5
"""Most bins of a risk map; each costs every other some of its certainty (docs/design/0017)."""

SMALLEST = 0.01
"""Least share of all pixels in a bin."""

KEYS = ("draws", "strata", "scores", "probabilities", "edges")


@dataclass(frozen=True)
class RiskMap:
    """What turns a raw score into a probability and a bin.

    Attributes
    ----------
    draws : int
        K, the number of voting draws that the scores come from.
    strata : tuple of float
        Inner edges of the strata in local S/N, ascending.
    scores, probabilities : tuple of tuple of float
        Per stratum the knots of a rising curve, straight between them.
    edges : tuple of float
        Inner edges of the bins in probability, ascending.
    """

    draws: int
    strata: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]
    edges: tuple[float, ...]

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.edges) + 1

    def probability(self, score: ArrayLike, snr: ArrayLike) -> Array:
        """Calibrated probability that the delivered image is wrong.

        Parameters
        ----------
        score, snr : array_like (...)
            Score of `sciup.risk.score` and local S/N, NaN where masked.

        Returns
        -------
        ndarray (...)
            0 to 1, rising with the score within a stratum; NaN where either is NaN.
        """
        r, s = np.broadcast_arrays(np.asarray(score, np.float64), np.asarray(snr, np.float64))
        stratum = np.searchsorted(self.strata, s, side="right")
        found = np.full(r.shape, np.nan)
        for index, (x, y) in enumerate(zip(self.scores, self.probabilities, strict=True)):
            here = (stratum == index) & np.isfinite(r) & np.isfinite(s)
            found[here] = np.interp(r[here], x, y)
        return found

    def bin(self, probability: ArrayLike) -> NDArray[np.int64]:
        """Bin of every probability, from 0; -1 where it is NaN."""
        p = np.asarray(probability, np.float64)
        return np.where(np.isnan(p), -1, np.searchsorted(self.edges, p, side="right"))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "draws": self.draws,
            "strata": list(self.strata),
            "scores": [list(x) for x in self.scores],
            "probabilities": [list(x) for x in self.probabilities],
            "edges": list(self.edges),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RiskMap:
        """Read what `to_dict` wrote.

        Raises
        ------
        ModelError
            For unknown or missing keys and for curves that do not rise.
        """
        found = checked(data, KEYS, "risk map")
        if not isinstance(found["draws"], int) or found["draws"] < 1:
            raise ModelError(f"the risk map has {found['draws']!r} draws", "1 or more")
        curves = [
            tuple(tuple(numbers(row, key, 0, 1)) for row in found[key])
            for key in ("scores", "probabilities")
        ]
        strata = tuple(numbers(found["strata"], "strata"))
        edges = tuple(numbers(found["edges"], "edges", 0, 1))
        read = cls(found["draws"], strata, curves[0], curves[1], edges)
        read._check()
        return read

    def _check(self) -> None:
        shapes = [[len(row) for row in rows] for rows in (self.scores, self.probabilities)]
        good = (
            shapes[0] == shapes[1]
            and len(shapes[0]) == len(self.strata) + 1
            and all(shapes[0])
            and all(np.all(np.diff(x) > 0) for x in (self.strata, self.edges, *self.scores))
            and all(np.all(np.diff(y) >= 0) for y in self.probabilities)
        )
        if not good:
            raise ModelError(
                "the curves of the risk map do not fit together",
                "one rising curve per stratum of S/N, edges in order",
                "write it again with this version of sciup",
            )


def fit(
    score: ArrayLike,
    wrong: ArrayLike,
    weight: ArrayLike,
    snr: ArrayLike,
    *,
    draws: int,
    strata: Sequence[float],
    smallest: float = SMALLEST,
    bins: int = BINS,
) -> RiskMap:
    """Fit curves and bins to the pixels of fold 1.

    Parameters
    ----------
    score, wrong, weight, snr : array_like (n,)
        Per pixel, or per group of equal pixels: raw score, whether (or which share) is wrong,
        weight and local S/N. Weights that add up to 1 in every unit let units weigh alike.
        Entries with a NaN do not count.
    draws : int
        K, the number of voting draws.
    strata : sequence of float
        Inner edges of the strata in S/N. A stratum without pixels takes the curve of all.
    smallest : float
        Least share of all weight in a bin.
    bins : int
        Most bins.

    Raises
    ------
    InputError
        If no entry counts.
    OptionError
        If strata are not ascending.

    References
    ----------
    Zadrozny & Elkan (2002), KDD: isotonic regression of scores to probabilities.

    Examples
    --------
    >>> m = fit([0.1, 0.5, 0.9], [0, 1, 0], [2, 1, 1], [9, 9, 9],
    ...         draws=16, strata=[2.0], smallest=0.2)
    >>> m.probability([0.1, 0.9], 9.0), m.edges
    (array([0. , 0.5]), (0.25,))
    """
    if np.any(np.diff(strata) <= 0):
        raise OptionError(f"edges of the S/N strata {list(strata)}", "ascending numbers")
    columns = [np.asarray(x, np.float64) for x in (score, wrong, weight, snr)]
    rows = np.stack(np.broadcast_arrays(*columns))
    r, h, w, s = rows[:, np.isfinite(rows).all(0) & (rows[2] > 0)]
    if not r.size:
        raise InputError("no pixel of fold 1 has a score and a truth", "one or more")
    stratum = np.searchsorted(strata, s, side="right")
    curves = [
        _curve(r[here], h[here], w[here]) if (here := stratum == index).any() else _curve(r, h, w)
        for index in range(len(strata) + 1)
    ]
    scores, probabilities = zip(*curves, strict=True)
    plain = RiskMap(draws, tuple(map(float, strata)), scores, probabilities, ())
    p = plain.probability(r, s)
    edges = bin_edges(p, w, smallest, bins)
    return RiskMap(draws, plain.strata, scores, probabilities, edges)


def _curve(
    score: Array, wrong: Array, weight: Array
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    knots, index = np.unique(score, return_inverse=True)
    total = np.bincount(index, weight)
    rate = np.bincount(index, weight * wrong) / total
    rising = np.clip(isotonic_regression(rate, weights=total).x, 0, 1)
    return tuple(knots.tolist()), tuple(rising.tolist())


def bin_edges(
    probability: ArrayLike, weight: ArrayLike, smallest: float = SMALLEST, bins: int = BINS
) -> tuple[float, ...]:
    """Edges of bins that lose least of the spread of the probabilities.

    As many bins as can hold the smallest share, at most `bins`, with the least weighted squared
    distance to the mean of their bin: what a Brier score loses by showing bins. Edges lie midway
    between probabilities that occur, so that rounding moves none across.

    Parameters
    ----------
    probability, weight : array_like (n,)
        Of pixels or groups of pixels.
    smallest : float
        Least share of all weight in a bin.
    bins : int
        Most bins.

    Returns
    -------
    tuple of float
        Inner edges, ascending.

    References
    ----------
    Fisher (1958), J. Am. Stat. Assoc. 53, 789: grouping for maximum homogeneity.

    Examples
    --------
    >>> bin_edges([0, 0.2, 0.25, 0.75], [0.5, 0.2, 0.2, 0.1], 0.1, 3)
    (0.1, 0.5)
    """
    # curves of several strata can differ by rounding only
    rounded: Array = np.asarray(np.round(np.asarray(probability, np.float64), 9))
    p, index = np.unique(rounded, return_inverse=True)
    share = np.bincount(index, np.asarray(weight, np.float64))
    share = share / share.sum()
    cost = _grouping_cost(p, share, smallest)
    # best[j]: least cost of the first j probabilities in the current number of bins
    best, tracks = cost[0], []
    found: list[int] = []
    for _ in range(1, bins):
        paths = best[:, None] + cost
        tracks.append(paths.argmin(0))
        best = paths.min(0)
        if not np.isfinite(best[-1]):
            break
        end, found = len(p), []
        for track in reversed(tracks):
            end = int(track[end])
            found.append(end)
    return tuple(float(p[k - 1] + p[k]) / 2 for k in reversed(found))


def _grouping_cost(p: Array, share: Array, smallest: float) -> Array:
    """Cost (i, j) of one bin of the probabilities i to j - 1; infinite where it is too small."""
    sums = np.stack([np.concatenate([[0.0], np.cumsum(share * p**k)]) for k in range(3)])
    mass, mean, square = sums[:, None, :] - sums[:, :, None]
    allowed = (mass >= smallest - 1e-12) & (mass > 0)
    spread = square - mean**2 / np.where(allowed, mass, 1.0)
    return np.where(allowed, np.maximum(spread, 0.0), np.inf)
