r"""Certified upper bounds of a share of wrong pixels, by betting.

A unit (an independent field) has the share w of its pixels in a bin, and the share h of its pixels
in the bin and wrong: :math:`0 \le h \le w \le 1`. What is bounded is the ratio
:math:`\rho = E[h] / E[w]` over units, the share of wrong pixels in the bin with every unit weighing
alike.

**The test.** For a candidate u let :math:`X_i = h_i - u w_i`. If :math:`\rho \ge u`, then
:math:`E[X_i] \ge 0`. A gambler who stakes on the opposite with a fraction f has the wealth

.. math:: K_n(u, f) = \prod_i \left(1 - \frac{f}{1 - u} X_i\right), \qquad 0 \le f \le 1.

The bound used is :math:`X_i \le 1 - u`, reached by a unit that lies in the bin as a whole and is
wrong throughout, so every factor is at least :math:`1 - f \ge 0`, and with independent units
:math:`E[K_n] \le 1`. The fractions are fixed before any unit is seen, hence predictable, and so is
their mixture :math:`K_n(u) = \sum_j p_j K_n(u, f_j)`: a test supermartingale. By Markov's
inequality :math:`P(K_n(u) \ge 1/\delta) \le \delta`, and u is rejected then.

**The scan.** Each factor grows with u, for :math:`(u w - h)/(1 - u)` has the derivative
:math:`(w - h)/(1 - u)^2 \ge 0`. What is rejected is therefore an interval that ends at 1, and
scanning u down from 1 to the first value that is not rejected is a bisection. The bound lies below
:math:`\rho` only if :math:`\rho` itself was rejected: probability at most :math:`\delta`.

**The order.** A product does not depend on the order of the units, so there is no permutation to
store and no seed to try until the bound looks better. Letting the gambler stop at the best moment
(Ville's inequality) would need both, and lowers the bounds by at most 0.004 (measured).

Weights are never capped: the average that is bounded would be another one. The price is that a bin
with a small share of pixels needs many units (`sciup.risk.folds.certifiable`).

References
----------
Waudby-Smith & Ramdas (2024), J. R. Stat. Soc. B 86, 1, arXiv 2010.09686: bounds by betting, also
with several fixed fractions. Angelopoulos et al. (2022), arXiv 2202.05265: such bounds for images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from sciup.errors import InputError, OptionError

Array = NDArray[np.float64]

FRACTIONS = np.array([1 / 32, 1 / 8, 1 / 2, 1])
"""Stakes as fractions of the largest one that cannot lose more than all."""

PRIOR = np.array([1, 1, 1, 3]) / 6
"""Shares of the first wealth: half of it bets all, which is best where no error is seen."""

STEPS = 1024
"""Candidates per unit of u."""


def check_level(level: float, name: str = "level") -> None:
    """Raise OptionError unless the probability of a wrong statement is above 0 and below 1."""
    if not 0 < level < 1:
        raise OptionError(f"the {name} {level:g} is no probability", "above 0 and below 1")


def log_wealth(wrong: ArrayLike, weight: ArrayLike, bound: ArrayLike) -> Array:
    """Log of the gambler's wealth against "E[wrong] / E[weight] is at least the bound".

    Parameters
    ----------
    wrong, weight : array_like (..., n)
        h and w of n independent units.
    bound : array_like (...)
        u, from 0 to below 1.

    Returns
    -------
    ndarray (...)
        The statement is rejected at a level where this reaches -log(level).

    Examples
    --------
    Two units without error double what is staked twice:

    >>> round(float(np.exp(log_wealth([0, 0], [1, 1], 0.5))), 2)
    2.76
    """
    h, w = np.asarray(wrong, np.float64), np.asarray(weight, np.float64)
    u = np.asarray(bound, np.float64)[..., None]
    gain = (u * w - h) / (1 - u)
    # rounding must not take a total loss below nothing
    with np.errstate(divide="ignore"):
        logs = [np.log1p(np.maximum(f * gain, -1.0)).sum(-1) for f in FRACTIONS]
    return np.asarray(logsumexp(np.stack(logs), 0, PRIOR.reshape(-1, *[1] * logs[0].ndim)))


def upper_bound(wrong: ArrayLike, weight: ArrayLike, level: float) -> Array:
    """Upper bound of E[wrong] / E[weight] that is too low with probability `level` at most.

    Parameters
    ----------
    wrong, weight : array_like (..., n)
        Per independent unit: the share of its pixels that is in the bin and wrong, and the share
        that is in the bin, ``0 <= wrong <= weight <= 1``.
    level : float
        Probability, over the choice of units, that the bound is below the truth.

    Returns
    -------
    ndarray (...)
        On a grid of 1/1024; 1 where nothing can be said.

    Raises
    ------
    InputError
        If shares are not ordered as above, or there is no unit.
    OptionError
        If `level` is no probability.

    Examples
    --------
    Twelve units without any error, at the level of one of seven bins:

    >>> round(float(upper_bound(np.zeros(12), np.ones(12), 0.1 / 7)), 2)
    0.34
    """
    check_level(level)
    h, w = np.broadcast_arrays(np.asarray(wrong, np.float64), np.asarray(weight, np.float64))
    if h.ndim == 0 or h.shape[-1] == 0:
        raise InputError("there is no unit to certify anything with", "one or more units")
    if not ((h >= 0) & (h <= w) & (w <= 1)).all():
        raise InputError(
            "shares of pixels of a unit are out of order",
            "0 <= wrong <= in the bin <= 1, none of them NaN",
            "give what sciup.risk.calibration.binned returns",
        )
    low = np.zeros(h.shape[:-1], np.int64)
    high = np.full(h.shape[:-1], STEPS, np.int64)
    while (high - low > 1).any():
        middle = (low + high) // 2
        rejected = log_wealth(h, w, middle / STEPS) >= -np.log(level)
        low, high = np.where(rejected, low, middle), np.where(rejected, middle, high)
    return np.asarray(high / STEPS)


def bin_bounds(wrong: ArrayLike, weight: ArrayLike, delta: float) -> Array:
    """Upper bounds of all bins, which hold together with probability 1 - delta.

    Each bin is tested at the level delta / bins, so that the bounds hold together (Bonferroni); a
    running maximum makes them rise with the bins, which keeps them valid.

    Parameters
    ----------
    wrong, weight : array_like (..., n, bins)
        Shares per unit, as in `upper_bound`.
    delta : float
        Probability that any of the bounds is below the truth.

    Returns
    -------
    ndarray (..., bins)
        NaN for a bin that no unit has a pixel in: nothing was seen, nothing is certified.

    Examples
    --------
    >>> weight = np.tile([0.5, 0.5, 0.0], (50, 1))
    >>> bin_bounds(weight * [0, 0.2, 0], weight, 0.1).round(2)
    array([0.14, 0.32,  nan])
    """
    check_level(delta, "delta")
    h, w = (np.swapaxes(np.asarray(x, np.float64), -1, -2) for x in (wrong, weight))
    bounds = upper_bound(h, w, delta / h.shape[-2])
    seen = (w > 0).any(-1)
    rising = np.fmax.accumulate(np.where(seen, bounds, np.nan), -1)
    return np.where(seen, rising, np.nan)
