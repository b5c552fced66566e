"""Intervals for a quantity of the truth, from the same quantity of a few draws.

If the sampler is right, the truth is one more draw: truth and draws are exchangeable, and nothing
else is assumed of their distribution, see `sciup.risk.ranks`. Draws that are too few for that are
taken to be normal [1]_.

References
----------
.. [1] Hahn, Meeker (1991), "Statistical intervals", chapter 4: prediction intervals of a normal
   distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciup.risk import ranks
from sciup.risk.conformal import ends
from sciup.risk.ranks import LEVELS, rank

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """What draws say of one quantity.

    Attributes
    ----------
    value : float
        Mean of the draws: of all numbers the one with the least expected squared error, and the
        only one for which the parts of a flux or a count add up to the whole.
    std : float
        Standard deviation of the draws (n - 1); NaN of a single one.
    intervals : tuple of (float, float)
        One for each of `LEVELS`.
    """

    value: float
    std: float
    intervals: tuple[tuple[float, float], ...]


def summarise(values: Array, *, whole: bool = False) -> Summary:
    """Mean, spread and intervals of a quantity.

    Parameters
    ----------
    values : ndarray (n,)
        Finite, one for each draw; nothing is known without any.
    whole : bool
        Whether these are whole numbers; see `interval`.

    Examples
    --------
    >>> summarise(np.array([3.0, 4.0, 4.0, 5.0])).value
    4.0
    """
    value = float(values.mean()) if len(values) else np.nan
    std = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return Summary(value, std, tuple(interval(values, level, whole=whole) for level in LEVELS))


def interval(values: Array, level: float, *, whole: bool = False) -> tuple[float, float]:
    """Central interval that holds one more draw with probability `level`.

    That of `sciup.risk.ranks`, or with fewer draws Student's t for one more value of a normal
    distribution: ``mean +- t(n - 1) std sqrt(1 + 1 / n)``.

    Parameters
    ----------
    values : ndarray (n,)
        Finite.
    level : float
        Between 0 and 1.
    whole : bool
        Go outward to whole numbers: the interval then holds `level` or more.

    Returns
    -------
    (float, float)
        NaN of fewer than two values.

    Examples
    --------
    >>> draws = np.arange(1.0, 40.0)  # 39 draws: the range is the interval of 95 %
    >>> interval(draws, 0.95)
    (1.0, 39.0)
    """
    n = len(values)
    if n < 2:
        return np.nan, np.nan
    if rank(n, level) < 1:
        low, high = _student(values, level)
        return (_least(values, np.floor(low)), float(np.ceil(high))) if whole else (low, high)
    if whole:
        return ends(values, level)
    first, last = ranks.interval(values, level)
    return float(first), float(last)


def words(count: int, level: float) -> str:
    """How the interval of a level is made from this many draws.

    Examples
    --------
    >>> words(17, 0.95)
    'Student t of 17 draws plus one (too few draws for order statistics)'
    """
    if rank(count, level) < 1:
        return f"Student t of {count} draws plus one (too few draws for order statistics)"
    at = f"rank {rank(count, level):.4g} of {count} + 1"
    return f"order statistics of {count} draws at {at} from either end"


def _student(values: Array, level: float) -> tuple[float, float]:
    from scipy.stats import t

    n = len(values)
    half = float(t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / n))
    middle = float(values.mean())
    return middle - half, middle + half


def _least(values: Array, low: float) -> float:
    """Numbers of things do not fall below 0."""
    return float(max(low, 0.0) if values.min() >= 0 else low)


__all__ = ["LEVELS", "Summary", "interval", "summarise", "words"]
