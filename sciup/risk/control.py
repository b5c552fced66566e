"""Alarm threshold and error intervals with promised error rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.errors import InputError, OptionError
from sciup.risk.betting import check_level, log_wealth
from sciup.risk.folds import DELTA, check_units

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Alarm:
    """Pixels whose risk is at least `threshold` are flagged.

    Attributes
    ----------
    threshold : float
        Of the calibrated probability.
    alpha : float
        Promised share of a field's wrong pixels that stay unflagged: on average over fields and
        over calibrations.
    unflagged, flagged : float
        Mean over the calibration units of that share, and of the share of all pixels that are
        flagged: the price.
    units : int
        Calibration units.
    """

    threshold: float
    alpha: float
    unflagged: float
    flagged: float
    units: int


@dataclass(frozen=True)
class Interval:
    """By how much the interval of the draws is stretched about its centre.

    Attributes
    ----------
    scaling : float
        New distance from the centre over the old one.
    alpha, delta : float
        Promise: with probability 1 - delta over the choice of calibration units, the mean share
        of pixels outside is at most alpha.
    outside : float
        Mean share of pixels outside in the calibration units.
    length : float
        Mean length of the stretched intervals, in the unit of the widths given.
    units : int
        Calibration units.
    """

    scaling: float
    alpha: float
    delta: float
    outside: float
    length: float
    units: int


def _checked_axis(values: ArrayLike, name: str) -> Array:
    axis = np.asarray(values, np.float64)
    if axis.ndim != 1 or not axis.size or axis[0] < 0 or not (np.diff(axis) > 0).all():
        raise OptionError(f"the {name} are {values!r}", "ascending numbers from 0 on")
    return axis


def _checked_losses(values: ArrayLike, count: int, sign: int) -> Array:
    losses = np.asarray(values, np.float64)
    if losses.ndim != 2 or losses.shape[1] != count or not losses.size:
        raise InputError(f"losses of shape {losses.shape}", f"(units, {count}), 1 unit or more")
    if not ((losses >= 0) & (losses <= 1)).all() or (sign * np.diff(losses) < -1e-12).any():
        way = "rising" if sign > 0 else "falling"
        raise InputError("losses out of order", f"shares from 0 to 1, {way} along each row")
    return losses


def unflagged_shares(
    risk: ArrayLike, wrong: ArrayLike, thresholds: ArrayLike
) -> tuple[Array, Array]:
    """Share of a field's wrong pixels that no flag marks, and share of pixels flagged.

    Parameters
    ----------
    risk : array_like (...)
        Probability per pixel, NaN where masked.
    wrong : array_like (...)
        The event: 0 is right, anything else wrong, NaN unknown.
    thresholds : array_like (t,)
        Ascending; a pixel is flagged where its risk is at least the threshold.

    Returns
    -------
    unflagged, flagged : ndarray (t,)
        `unflagged` is 0 for a field without a wrong pixel.

    Examples
    --------
    >>> unflagged_shares([0.1, 0.2, 0.6, 0.9], [0, 1, 0, 1], [0.0, 0.5, 1.0])
    (array([0. , 0.5, 1. ]), array([1. , 0.5, 0. ]))
    """
    p, h = np.asarray(risk, np.float64), np.asarray(wrong, np.float64)
    known = np.isfinite(p) & np.isfinite(h)
    everything, errors = (np.sort(p[x]) for x in (known, known & (h != 0)))
    below, missed = (np.searchsorted(x, thresholds, "left") for x in (everything, errors))
    flagged = (everything.size - below) / max(everything.size, 1)
    return missed / max(errors.size, 1), np.asarray(flagged)


def alarm_threshold(
    unflagged: ArrayLike, flagged: ArrayLike, thresholds: ArrayLike, alpha: float
) -> Alarm:
    r"""Highest threshold that leaves at most the share alpha of wrong pixels unflagged.

    Conformal risk control: the mean R over n units meets

    .. math:: \frac{n}{n + 1} R + \frac{B}{n + 1} \le \alpha, \qquad B = 1,

    which promises a mean loss of at most alpha in a further field, on average over fields and
    calibrations. It promises nothing for one calibration or one field.

    Parameters
    ----------
    unflagged, flagged : array_like (n, t)
        Per unit, of `unflagged_shares`, averaged inside the unit.
    thresholds : array_like (t,)
        Fixed on fold 1, ascending, the first 0 (flags everything).
    alpha : float
        Allowed mean share.

    Returns
    -------
    Alarm

    Raises
    ------
    InputError
        If 1 / (n + 1) is above alpha already, or losses are not shares that rise.
    OptionError
        If thresholds do not rise from 0.

    References
    ----------
    Angelopoulos et al. (2022), arXiv 2208.02814, theorem 1.

    Examples
    --------
    >>> losses, flags = np.tile([0.0, 0.0, 0.5], (99, 1)), np.tile([1.0, 0.2, 0.0], (99, 1))
    >>> found = alarm_threshold(losses, flags, [0.0, 0.3, 0.6], 0.1)
    >>> found.threshold, round(found.flagged, 2)
    (0.3, 0.2)
    """
    check_level(alpha, "alpha")
    axis = _checked_axis(thresholds, "thresholds")
    losses = _checked_losses(unflagged, len(axis), 1)
    flags = np.asarray(flagged, np.float64)
    if axis[0] != 0 or losses[:, 0].any():
        raise OptionError(f"the lowest threshold is {axis[0]:g}", "0, which flags every pixel")
    units = len(losses)
    if 1 / (units + 1) > alpha:
        raise InputError(
            f"{units} units allow a share of unflagged wrong pixels of {1 / (units + 1):.2g} at"
            f" best, not {alpha:g}",
            f"{int(np.ceil(1 / alpha)) - 1} units or more",
            "add fields of other specimens, wells or pointings",
        )
    risk = losses.mean(0)
    good = (units * risk + 1) / (units + 1) <= alpha
    at = int(np.flatnonzero(good)[-1])
    return Alarm(float(axis[at]), alpha, float(risk[at]), float(flags[:, at].mean()), units)


def outside_shares(
    centre: ArrayLike, lower: ArrayLike, upper: ArrayLike, truth: ArrayLike, scalings: ArrayLike
) -> Array:
    """Share of pixels outside of the stretched interval, for each scaling.

    Parameters
    ----------
    centre, lower, upper, truth : array_like (...)
        In one unit, ``lower <= centre <= upper``, NaN where masked.
    scalings : array_like (t,)
        Ascending; the interval goes from ``centre - s (centre - lower)`` to
        ``centre + s (upper - centre)``.

    Returns
    -------
    ndarray (t,)
        0 for a field without a pixel.

    Examples
    --------
    >>> outside_shares(0, -1, 2, [-1.5, 0, 3, 9], [1.0, 2.0])
    array([0.75, 0.25])
    """
    c, low, high, x = np.broadcast_arrays(
        *(np.asarray(v, np.float64) for v in (centre, lower, upper, truth))
    )
    offset = x - c
    width = np.where(offset < 0, c - low, high - c)
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(offset == 0, 0.0, np.abs(offset) / width)
    needed = np.sort(needed[np.isfinite(offset) & np.isfinite(width)])
    inside = np.searchsorted(needed, scalings, "right")
    return np.asarray((needed.size - inside) / max(needed.size, 1))


def interval_scaling(
    outside: ArrayLike,
    widths: ArrayLike,
    scalings: ArrayLike,
    alpha: float,
    delta: float = DELTA,
) -> Interval:
    """Least scaling for which coverage is certified: a risk-controlling prediction set.

    From the widest interval down, the statement "more than alpha of the pixels are outside" is
    tested by betting at the level delta. The scan stops at the first that is not rejected and
    keeps the previous. As the share outside falls with the scaling, the one test at the border
    decides, and no level is shared out.

    Parameters
    ----------
    outside : array_like (n, t)
        Per unit, of `outside_shares`, averaged inside the unit.
    widths : array_like (n,)
        Mean width of the intervals of the draws (scaling 1) per unit.
    scalings : array_like (t,)
        Fixed on fold 1, ascending.
    alpha : float
        Allowed mean share of pixels outside: 0.1 for 90 % intervals.
    delta : float
        Probability, over the choice of calibration units, that more are outside.

    Returns
    -------
    Interval

    Raises
    ------
    InputError
        If there are too few units for alpha and delta, or the widest scaling is too narrow.
    OptionError
        If scalings do not rise from 0 on.

    References
    ----------
    Angelopoulos et al. (2022), arXiv 2202.05265; bound: see `sciup.risk.betting`.

    Examples
    --------
    >>> losses = np.tile([0.5, 0.12, 0.06, 0.0], (100, 1))
    >>> found = interval_scaling(losses, np.full(100, 2.0), [0.5, 1.0, 1.5, 2.0], 0.1)
    >>> found.scaling, found.length
    (1.5, 3.0)
    """
    check_level(alpha, "alpha")
    check_level(delta, "delta")
    axis = _checked_axis(scalings, "scalings")
    losses = _checked_losses(outside, len(axis), -1)
    units = len(losses)
    check_units(units, alpha, delta)
    certain = log_wealth(losses.T, np.full(len(axis), alpha)) >= -np.log(delta)
    if not certain[-1]:
        raise InputError(
            f"even intervals stretched {axis[-1]:g} times leave {losses[:, -1].mean():.2g} of the"
            f" pixels outside, too many for {alpha:g}",
            "a largest scaling that holds nearly every pixel",
            "give larger scalings, or wider intervals",
        )
    refused = np.flatnonzero(~certain)
    at = int(refused[-1]) + 1 if refused.size else 0
    length = float(axis[at] * np.asarray(widths, np.float64).mean())
    mean = float(losses[:, at].mean())
    return Interval(float(axis[at]), alpha, delta, mean, length, units)
