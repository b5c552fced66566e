"""Which injections are found, and how often something is found where nothing was injected."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciup.existence.target import brightest
from sciup.science.inject.methods import Found

Array = NDArray[np.float64]
Index = NDArray[np.int64]

RISE = 0.5
"""Share of its flux by which an injection must brighten what was there before, to count."""


def matched(places: Array, found: Found, reach: float, threshold: float) -> Index:
    """The brightest detection above a threshold within reach of each place; -1 without one.

    Examples
    --------
    >>> one, nan = np.ones(1), np.full(1, np.nan)
    >>> star = Found(np.array([[5.0, 5.0]]), one * 0.9, one, nan, nan)
    >>> matched(np.array([[5.0, 6.0], [5.0, 9.0]]), star, 1.5, 0.5).tolist()
    [0, -1]
    """
    kept = np.flatnonzero(found.score >= threshold)
    nothing = np.zeros(len(places))
    _, index = brightest(places, found.places[kept], found.flux[kept], reach, nothing)
    return np.where(index >= 0, np.append(kept, -1)[index], -1)


def recovered(
    places: Array, fluxes: Array, after: Found, before: Found, reach: float, threshold: float
) -> tuple[NDArray[np.bool_], Index, Index]:
    """Which injections are found, and the detections at their places with and without them.

    What is there without the injection counts only where it brightens by half of its flux or more.
    """
    now, was = (matched(places, f, reach, threshold) for f in (after, before))
    rise = np.append(after.flux, np.nan)[now] - np.where(
        was >= 0, np.append(before.flux, 0.0)[was], 0.0
    )
    return (now >= 0) & ((was < 0) | (rise >= RISE * fluxes)), now, was


def false_rate(empty: Array, before: Found, reach: float, threshold: float) -> float:
    """Share of empty places with a detection of the field without injections."""
    return float((matched(empty, before, reach, threshold) >= 0).mean())


def equal_threshold(empty: Array, before: Found, reach: float, rate: float) -> float:
    """The lowest threshold whose false rate is not above this one.

    The score must be the flux: then the brightest detection at a place has the highest score.

    Examples
    --------
    >>> empty, nan = np.array([[5.0, 5.0], [9.0, 9.0]]), np.full(2, np.nan)
    >>> field = Found(empty, np.array([2.0, 7.0]), np.array([2.0, 7.0]), nan, nan)
    >>> [equal_threshold(empty, field, 1.0, rate) > 2.0 for rate in (0.5, 1.0)]
    [True, False]
    """
    index = matched(empty, before, reach, -np.inf)
    scores = np.sort(before.score[index[index >= 0]])[::-1]
    count = round(rate * len(empty))
    return float(np.nextafter(scores[count], np.inf)) if len(scores) > count else -np.inf


__all__ = ["RISE", "equal_threshold", "false_rate", "matched", "recovered"]
