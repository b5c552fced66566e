"""Intervals made of errors on fields of known truth, whatever the sampler does.

Between the order statistics of n scores of rank ``floor((n + 1) a)`` and ``ceil((n + 1) (1 - a))``
one more score lies with probability ``1 - 2 a`` or more, if it is of the same kind: split conformal
prediction [1]_. Scores are errors in units of the spread of the draws.

References
----------
.. [1] Lei, G'Sell, Rinaldo, Tibshirani, Wasserman (2018), "Distribution-free predictive inference
   for regression", J. Am. Stat. Assoc. 113, 1094, section 5.2 (scores in units of the local
   spread), arXiv:1604.04173.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from sciup.risk.ranks import rank

Array = NDArray[np.float64]
Ends = Callable[[Array, float], tuple[float, float]]

LEAST = 79
"""Scores without which there is no interval: that of 95 % then leaves out one at either end."""

UNITS = 20
"""Independent fields that they come from, at least."""


def ends(scores: Array, level: float) -> tuple[float, float]:
    """Order statistics between which one more score lies with this probability or more.

    Examples
    --------
    >>> ends(np.arange(1.0, 80.0), 0.95)
    (2.0, 78.0)
    """
    at = math.floor(rank(len(scores), level))
    if at < 1:
        return -math.inf, math.inf
    ordered = np.sort(scores)
    return float(ordered[at - 1]), float(ordered[len(scores) - at])


def below(scores: Array, level: float) -> tuple[float, float]:
    """0, and the order statistic below which one more score lies; scores are 0 or more.

    Examples
    --------
    >>> below(np.arange(1.0, 100.0), 0.95)
    (0.0, 95.0)
    """
    rank = math.ceil(round((len(scores) + 1) * level, 9))
    return 0.0, math.inf if rank > len(scores) else float(np.sort(scores)[rank - 1])


def crossed(
    scores: Array, units: Sequence[str], levels: Sequence[float], made: Ends = ends
) -> tuple[float, ...]:
    """Coverage of each field by intervals whose ends all other fields gave.

    Parameters
    ----------
    scores : ndarray (n,)
    units : sequence of str (n,)
        The independent field of each.
    levels : sequence of float
    made : callable
        `ends` or `below`.

    Examples
    --------
    >>> scores = np.arange(100.0)
    >>> crossed(scores, [str(i % 50) for i in range(100)], (0.5,))
    (0.52,)
    """
    fields, hits = np.asarray(units), np.zeros((len(scores), len(levels)), bool)
    for unit in np.unique(fields):
        mine = fields == unit
        for i, level in enumerate(levels):
            low, high = made(scores[~mine], level)
            hits[mine, i] = (low <= scores[mine]) & (scores[mine] <= high)
    return tuple(hits.mean(0).tolist())


__all__ = ["LEAST", "UNITS", "Ends", "below", "crossed", "ends"]
