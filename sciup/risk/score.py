"""The score behind calibrated risk: votes of the draws, and what their spread says beside them.

K draws give K + 1 numbers of votes only, and most pixels have none. Among these the spread of the
draws tells which are nearly certain and which were lucky: it takes the place of the half vote
that a share of few votes is usually given (docs/design/0046).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating[Any]]

LOWEST, STEP, LEVELS = -13.0, 0.25, 72
"""Scores are counted in steps of their log odds: first edge, width and number of the steps."""

MIDDLES: NDArray[np.float64] = 1 / (1 + np.exp(-(LOWEST + STEP * (np.arange(LEVELS) + 0.5))))
"""The score in the middle of every level."""


def tail(mean: ArrayLike, std: ArrayLike, limit: ArrayLike, voters: int) -> tuple[Array, Array]:
    r"""Chances that the delivered image is too high and too low, if draws and truth were normal.

    .. math:: p_\pm = \Phi\left(\frac{\pm m - \tau}{s \sqrt{1 + 1/K}}\right)

    Parameters
    ----------
    mean, std : array_like (...)
        m, s: mean and standard deviation (ddof 1) over the K voters of the delivered image less
        a voter, in means over 3 px.
    limit : array_like (...)
        The tolerance, in the same unit.
    voters : int
        K. A single one has no spread and leaves the half vote.

    Returns
    -------
    invented, missed : ndarray (...)

    References
    ----------
    Geisser (1993), Predictive Inference, ch. 2: the next of K normal values has the variance
    s^2 (1 + 1/K); the normal law stands for Student's, which ranks pixels alike.

    Examples
    --------
    >>> invented, missed = tail(3.0, 1.0, 3.0, 16)
    >>> float(invented), bool(missed < 1e-8)
    (0.5, True)
    """
    from scipy.special import ndtr

    m, s, tau = (np.asarray(x) for x in (mean, std, limit))
    if voters < 2:
        half = np.full(np.broadcast_shapes(m.shape, tau.shape), 0.25)
        return half, half.copy()
    # a Python float keeps float32, in which the engine counts
    width = np.maximum(s * float(np.sqrt(1 + 1 / voters)), float(np.finfo(np.float32).tiny))
    with np.errstate(over="ignore"):  # draws that agree: any difference is infinitely many widths
        return ndtr((m - tau) / width), ndtr((-m - tau) / width)


def level(votes: ArrayLike, chance: ArrayLike, voters: int) -> NDArray[np.intp]:
    r"""Level of the score :math:`r = (n + p) / (K + 1)`, from 0 to `LEVELS` - 1.

    Parameters
    ----------
    votes : array_like (...)
        n, how many of the voters contradict the delivered image.
    chance : array_like (...)
        p, of `tail`; of both sides together where votes of both are counted.
    voters : int
        K.

    Examples
    --------
    >>> level([0, 0, 8, 16], [1e-9, 0.5, 0.5, 1.0], 16).tolist()
    [0, 38, 52, 71]
    """
    against = np.asarray(votes, np.float32) + np.asarray(chance, np.float32)
    floor = np.float32(1e-12)
    odds = np.log(np.maximum(against, floor) / np.maximum(np.float32(voters + 1) - against, floor))
    found = (odds - np.float32(LOWEST)) * np.float32(1 / STEP)
    # whole numbers towards 0 are those below, since none is negative
    return np.asarray(np.clip(np.nan_to_num(found), 0, LEVELS - 1), np.intp)


__all__ = ["LEVELS", "MIDDLES", "level", "tail"]
