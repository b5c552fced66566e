r"""Certified upper bounds of a share of wrong pixels, by betting.

An independent unit (a field) in which a bin covers a share w of the pixels, and in which a share h
of the pixels is in the bin and wrong, has the rate :math:`r = h / w`. What is bounded is the mean
of the rates, :math:`\rho = E[r \mid w \ge w_0]`: every field that shows the colour counts once, as
it does for somebody who looks at one field. Fields that show hardly any of it do not count; whether
they do is decided by w alone, before any truth is looked at.

The other average, :math:`E[h] / E[w]`, in which a field counts by how much of the colour it has, is
the one of a pixel chosen at random. For bins of 1 to 10 % of the pixels its bounds are useless with
100 units: a single unit could fill a bin with errors, and the test must allow for it.

**The test.** For a candidate u let :math:`X_i = r_i - u`. If :math:`\rho \ge u`, then
:math:`E[X_i] \ge 0`. A gambler who stakes on the opposite with a fraction f has the wealth

.. math:: K_n(u, f) = \prod_i \left(1 - \frac{f}{1 - u} X_i\right), \qquad 0 \le f \le 1.

As :math:`X_i \le 1 - u`, every factor is at least :math:`1 - f \ge 0`, and with independent units
:math:`E[K_n] \le 1`. The fractions are fixed before any unit is seen, hence predictable, and so is
their mixture :math:`K_n(u) = \sum_j p_j K_n(u, f_j)`: a test supermartingale. By Markov's
inequality :math:`P(K_n(u) \ge 1/\delta) \le \delta`, and u is rejected then.

**The scan.** Each factor grows with u, for :math:`(u - r)/(1 - u)` has the derivative
:math:`(1 - r)/(1 - u)^2 \ge 0`. What is rejected is therefore an interval that ends at 1, and
scanning u down from 1 to the first value that is not rejected is a bisection. The bound lies below
:math:`\rho` only if :math:`\rho` itself was rejected: probability at most :math:`\delta`.

**The order.** A product does not depend on the order of the units, so there is no permutation to
store and no seed to try until the bound looks better. Letting the gambler stop at the best moment
(Ville's inequality) would need both, and lowers the bounds by at most 0.004 (measured).

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

LEAST_SHARE = 1e-3
"""Of a field's pixels: a field with fewer of a colour does not count for it."""


def check_level(level: float, name: str = "level") -> None:
    """Raise OptionError unless the probability of a wrong statement is above 0 and below 1."""
    if not 0 < level < 1:
        raise OptionError(f"the {name} {level:g} is no probability", "above 0 and below 1")


def log_wealth(rates: ArrayLike, bound: ArrayLike) -> Array:
    """Log of the gambler's wealth against "the mean of the rates is at least the bound".

    Parameters
    ----------
    rates : array_like (..., n)
        r of n independent units; NaN for one that does not count.
    bound : array_like (...)
        u, from 0 to below 1.

    Returns
    -------
    ndarray (...)
        The statement is rejected at a level where this reaches -log(level).

    Examples
    --------
    Two units without error double what is staked twice:

    >>> round(float(np.exp(log_wealth([0, 0], 0.5))), 2)
    2.76
    """
    r, u = np.asarray(rates, np.float64), np.asarray(bound, np.float64)[..., None]
    gain = np.nan_to_num((u - r) / (1 - u))
    # rounding must not take a total loss below nothing
    with np.errstate(divide="ignore"):
        logs = [np.log1p(np.maximum(f * gain, -1.0)).sum(-1) for f in FRACTIONS]
    return np.asarray(logsumexp(np.stack(logs), 0, PRIOR.reshape(-1, *[1] * logs[0].ndim)))


def upper_bound(rates: ArrayLike, level: float) -> Array:
    """Upper bound of the mean of rates that is too low with probability `level` at most.

    Parameters
    ----------
    rates : array_like (..., n)
        Of independent units, from 0 to 1; NaN for one that does not count.
    level : float
        Probability, over the choice of units, that the bound is below the truth.

    Returns
    -------
    ndarray (...)
        On a grid of 1/1024; 1 where nothing can be said.

    Raises
    ------
    InputError
        If a rate is none, or there is no unit.
    OptionError
        If `level` is no probability.

    Examples
    --------
    Twelve units without any error, at the level of one of seven bins:

    >>> round(float(upper_bound(np.zeros(12), 0.1 / 7)), 2)
    0.34
    """
    check_level(level)
    r = np.asarray(rates, np.float64)
    if r.ndim == 0 or r.shape[-1] == 0:
        raise InputError("there is no unit to certify anything with", "one or more units")
    if ((r < 0) | (r > 1)).any():
        raise InputError(
            f"rates of wrong pixels reach {np.nanmin(r):g} and {np.nanmax(r):g}", "0 to 1"
        )
    low = np.zeros(r.shape[:-1], np.int64)
    high = np.full(r.shape[:-1], STEPS, np.int64)
    while (high - low > 1).any():
        middle = (low + high) // 2
        rejected = log_wealth(r, middle / STEPS) >= -np.log(level)
        low, high = np.where(rejected, low, middle), np.where(rejected, middle, high)
    return np.asarray(high / STEPS)


def bin_rates(wrong: ArrayLike, weight: ArrayLike) -> Array:
    """Share of wrong pixels of each unit and bin.

    Parameters
    ----------
    wrong, weight : array_like (..., n, bins)
        Per independent unit: the share of its pixels that is in the bin and wrong, and the share
        that is in the bin, ``0 <= wrong <= weight <= 1``.

    Returns
    -------
    ndarray (..., n, bins)
        NaN where the bin covers less than `LEAST_SHARE` of the unit.

    Raises
    ------
    InputError
        If shares are not ordered as above.
    """
    h, w = (np.asarray(x, np.float64) for x in (wrong, weight))
    if not ((h >= 0) & (h <= w) & (w <= 1)).all():
        raise InputError(
            "shares of pixels of a unit are out of order",
            "0 <= wrong <= in the bin <= 1, none of them NaN",
            "give what sciup.risk.fitting.binned returns",
        )
    shown = w >= LEAST_SHARE
    return np.where(shown, h / np.where(shown, w, 1), np.nan)


def bin_bounds(wrong: ArrayLike, weight: ArrayLike, delta: float) -> Array:
    """Upper bounds of the mean rates of all bins, which hold together with probability 1 - delta.

    Each bin is tested at the level delta / bins, so that the bounds hold together (Bonferroni); a
    running maximum makes them rise with the bins, which keeps them valid.

    Parameters
    ----------
    wrong, weight : array_like (..., n, bins)
        Shares per unit, as in `bin_rates`.
    delta : float
        Probability that any of the bounds is below the truth.

    Returns
    -------
    ndarray (..., bins)
        NaN for a bin that no unit shows: nothing was seen, nothing is certified.

    Examples
    --------
    >>> weight = np.tile([0.5, 0.02, 0.0], (50, 1))
    >>> bin_bounds(weight * [0, 0.2, 0], weight, 0.1).round(2)
    array([0.08, 0.26,  nan])
    """
    check_level(delta, "delta")
    rates = np.swapaxes(bin_rates(wrong, weight), -1, -2)
    bounds = upper_bound(rates, delta / rates.shape[-2])
    seen = np.isfinite(rates).any(-1)
    rising = np.fmax.accumulate(np.where(seen, bounds, np.nan), -1)
    return np.where(seen, rising, np.nan)
