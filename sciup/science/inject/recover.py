"""Which injections are found, and how much is found where nothing is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciup.existence.target import brightest
from sciup.science.inject.methods import Found

Array = NDArray[np.float64]
Index = NDArray[np.int64]

RISE = 0.5
"""Share of its flux by which an injection must brighten what was there before, to count."""

FEWEST = 10
"""False detections of the draws from which on those of others can be made as many."""


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


def false_number(blank: Found, threshold: float) -> int:
    """Detections of a field without sources."""
    return int((blank.score >= threshold).sum())


def equal_threshold(blank: Found, count: int) -> float:
    """The lowest threshold with no more than `count` detections in a field without sources.

    Examples
    --------
    >>> flux, nan = np.array([2.0, 7.0, 4.0]), np.full(3, np.nan)
    >>> empty = Found(np.zeros((3, 2)), flux, flux, nan, nan)
    >>> [false_number(empty, equal_threshold(empty, n)) for n in (0, 2, 9)]
    [0, 2, 3]
    """
    scores = np.sort(blank.score)[::-1]
    return float(np.nextafter(scores[count], np.inf)) if len(scores) > count else -np.inf


__all__ = ["RISE", "equal_threshold", "false_number", "matched", "recovered"]
