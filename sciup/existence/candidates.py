"""Candidates of an ensemble of draws: what at least one of them shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from sciup.existence.target import Light, Target, brightest, filled
from sciup.existence.union import Array, near, union

INTERVAL = 0.68
"""Share of the draws within the spread of a position."""


@dataclass(frozen=True)
class Candidates:
    """What at least one draw shows, n candidates of `count` draws.

    Attributes
    ----------
    anchor : ndarray (n, 2)
        Where the brightest draw shows it, px.
    place : ndarray (n, 2)
        Mean over the draws that show it, px.
    spread : ndarray (n,)
        Distance from there that holds 68 % of these draws, px; NaN for a single one.
    votes : ndarray (n,) of int
        Draws that show it, without the one of `anchor`.
    fluxes : ndarray (n, count)
        At this place in every draw, those included that show nothing.
    blemish : ndarray (n,)
        Distance to the nearest masked pixel, px; infinite without one.
    """

    anchor: Array
    place: Array
    spread: Array
    votes: NDArray[np.int64]
    fluxes: Array
    blemish: Array

    def __len__(self) -> int:
        return len(self.anchor)

    @property
    def count(self) -> int:
        """Number of draws, K + 1."""
        return int(self.fluxes.shape[1])

    @property
    def p_raw(self) -> Array:
        """Chance that it exists as the draws say: ``(1/2 + n) / (K + 1)`` for n votes of K.

        The mean of a chance of which nothing was known (Jeffreys' prior) after n of K trials.
        """
        return (0.5 + self.votes) / self.count

    def rim(self, shape: tuple[int, ...]) -> Array:
        """Distance of each to the edge of an image (h, w), px."""
        far = np.minimum(self.anchor, np.array(shape) - 1 - self.anchor)
        return np.asarray(far.min(1, initial=np.inf))

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Candidates:
        """Some of them, by mask or index."""
        return Candidates(*(getattr(self, f.name)[which] for f in fields(self)))

    def shifted(self, offset: Sequence[int]) -> Candidates:
        """The same in pixels of an image in which this one begins at `offset`."""
        move = np.asarray(offset, float)
        rest = (getattr(self, f.name) for f in fields(self)[2:])
        return Candidates(self.anchor + move, self.place + move, *rest)

    @classmethod
    def join(cls, parts: Sequence[Candidates]) -> Candidates:
        """All of several parts, in their order."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    @classmethod
    def none(cls, count: int) -> Candidates:
        """No candidate of `count` draws."""
        pairs, one = np.empty((0, 2)), np.empty(0)
        return cls(pairs, pairs, one, np.empty(0, np.int64), np.empty((0, count)), one)


def search(draws: Array, level: Array | float, target: Target) -> Candidates:
    """Union catalogue of the draws of one image.

    Parameters
    ----------
    draws : ndarray (count, h, w)
        Two or more; NaN where masked.
    level : ndarray (h, w) or float
        What is there without any source.
    target : Target
        What is looked for.

    Examples
    --------
    >>> from sciup.testing.toy_images import star
    >>> draws = np.stack([f * star((40, 40), 20, 15, 2.0) for f in (90.0, 100.0, 0.0, 95.0)])
    >>> found = search(draws, 0.0, Target("point", 2.0, reach=2.5, limit=50.0, noise=1.0))
    >>> found.place.round(1).tolist(), found.p_raw.tolist()
    ([[20.0, 15.0]], [0.625])
    """
    above, masked = filled(draws, level, target.domain)
    found = [Light(image, masked, target).found() for image in above]
    anchor, heights, votes = union(found, target.reach)
    if not len(anchor):
        return Candidates.none(len(draws))
    place, spread = _positions(anchor, found, target.reach)
    # what wanders by more than the reach has several anchors, but the same mean place
    kept = first_of(place, np.lexsort((-heights, -votes)), target.reach)
    anchor, place, spread, votes = anchor[kept], place[kept], spread[kept], votes[kept]
    # twice over the draws: maps of all of them at once would not fit where the draws just do
    fluxes = np.stack([Light(image, masked, target).fluxes(place) for image in above], axis=1)
    at = np.clip(np.rint(anchor).astype(np.intp), 0, np.array(masked.shape) - 1)
    blemish = distance_transform_edt(~masked)[tuple(at.T)] if masked.any() else None
    far = np.full(len(anchor), np.inf) if blemish is None else blemish
    return Candidates(anchor, place, spread, votes, fluxes, far)


def first_of(places: Array, order: NDArray[np.intp], reach: float) -> NDArray[np.intp]:
    """Indices, in their order, of those that no earlier one lies within reach of.

    Examples
    --------
    >>> first_of(np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]]), np.array([1, 0, 2]), 1.5).tolist()
    [1]
    """
    free = np.ones(len(places), bool)
    close = KDTree(places).query_ball_point(places, reach) if len(places) else []
    kept = []
    for i in order:
        if free[i]:
            kept.append(int(i))
            free[close[i]] = False
    return np.array(kept, np.intp)


def agreement(
    candidates: Candidates, image: Array, level: Array | float, target: Target
) -> tuple[NDArray[np.bool_], Array, Array]:
    """What another image, such as the truth, has of the candidates, by the same rules.

    Returns
    -------
    exists : ndarray of bool (n,)
        Whether it is found there within reach.
    fluxes : ndarray (n,)
        At the place of each, whether or not it is found.
    away : ndarray (n,)
        From the place of each to what is found there, px; NaN where nothing is.
    """
    above, masked = filled(image[None], level, target.domain)
    light = Light(above[0], masked, target)
    there = light.found()[0]
    exists = near(candidates.anchor, there, target.reach)
    away = KDTree(there).query(candidates.place)[0] if exists.any() else np.nan
    return exists, light.fluxes(candidates.place), np.where(exists, away, np.nan)


def _positions(
    anchor: Array, found: Sequence[tuple[Array, Array]], reach: float
) -> tuple[Array, Array]:
    """Mean place over the draws that show a candidate, and the distance that holds 68 % of them."""
    shown = np.full((len(found), *anchor.shape), np.nan)
    for row, (places, fluxes) in zip(shown, found, strict=True):
        _, index = brightest(anchor, places, fluxes, reach, np.zeros(len(anchor)))
        row[index >= 0] = places[index[index >= 0]]
    place = np.nanmean(shown, axis=0)
    away = np.hypot(*np.moveaxis(shown - place, -1, 0))
    # 68 % of n draws and one more place: with few of them the largest distance is too small
    spread = np.nanquantile(away, INTERVAL, axis=0)
    alone = np.isfinite(away).sum(0) < 2
    return place, np.where(alone, np.nan, spread)


__all__ = ["INTERVAL", "Candidates", "agreement", "first_of", "search"]
