"""The union of what several draws show: one candidate for every group of detections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

Array = NDArray[np.float64]


def union(
    found: Sequence[tuple[Array, Array]], reach: float
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Union catalogue of the detections of several draws.

    The brightest detection that is left becomes a candidate, and those of all draws that lie within
    reach of it belong to it.

    Parameters
    ----------
    found : sequence of (ndarray (n, 2), ndarray (n,))
        Places and fluxes, one pair per draw.
    reach : float
        Largest distance of a match, px.

    Returns
    -------
    places : ndarray (m, 2)
    fluxes : ndarray (m,)
        Of the brightest, in falling order.
    votes : ndarray (m,) of int
        How many *other* draws have a detection within reach: the one that a candidate comes from
        does not vote for it.

    Examples
    --------
    >>> one, none = (np.array([[3.0, 4.0]]), np.array([9.0])), (np.empty((0, 2)), np.empty(0))
    >>> places, _, votes = union([one, one, none], 1.0)
    >>> places.tolist(), votes.tolist()
    ([[3.0, 4.0]], [1])
    """
    places = np.concatenate([f[0] for f in found])
    fluxes = np.concatenate([f[1] for f in found])
    if not len(places):
        return places, fluxes, np.empty(0, np.int64)
    owner = np.concatenate([np.full(len(f[1]), i) for i, f in enumerate(found)])
    close = KDTree(places).query_ball_point(places, reach)
    free, kept, votes = np.ones(len(places), bool), [], []
    for i in np.argsort(-fluxes):
        if not free[i]:
            continue
        free[close[i]] = False
        kept.append(int(i))
        votes.append(len({int(owner[j]) for j in close[i]} - {int(owner[i])}))
    return places[kept], fluxes[kept], np.array(votes, np.int64)


def near(places: Array, others: Array, reach: float) -> NDArray[np.bool_]:
    """Which places have one of the others within reach.

    Examples
    --------
    >>> near(np.array([[0.0, 0.0], [9.0, 9.0]]), np.array([[1.0, 0.0]]), 2.0).tolist()
    [True, False]
    """
    if not len(places) or not len(others):
        return np.zeros(len(places), bool)
    return np.asarray(KDTree(others).query(places)[0] <= reach)


__all__ = ["near", "union"]
