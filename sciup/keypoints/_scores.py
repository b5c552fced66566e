"""How many keypoints of an image are those of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from sciup.keypoints._places import Keypoints


@dataclass(frozen=True)
class Score:
    """How many keypoints of an image are those of another; scores of images add up.

    Attributes
    ----------
    hits, found, true : int
        Pairs, what was found, what is true.

    Examples
    --------
    >>> (Score(2, 3, 2) + Score(0, 1, 2)).f1
    0.5
    """

    hits: int = 0
    found: int = 0
    true: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(self.hits + other.hits, self.found + other.found, self.true + other.true)

    @property
    def precision(self) -> float:
        """Share of what was found that is true; 1 if nothing was found."""
        return self.hits / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of what is true that was found; 1 if there was nothing to find."""
        return self.hits / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 if both images have no keypoint."""
        both = self.found + self.true
        return 2 * self.hits / both if both else 1.0


def compare(found: Keypoints, truth: Keypoints, radius: float) -> Score:
    """Pair keypoints of the same kind, each at most once: as many pairs as can be.

    Parameters
    ----------
    found, truth : Keypoints
        Of one domain and one image.
    radius : float
        Largest distance of a pair, px.

    Returns
    -------
    Score
        Of all kinds together; use `Keypoints.of` for one.

    Examples
    --------
    >>> one = Keypoints(np.array([0, 0]), np.array([[3.0, 4.0], [3.0, 5.0]]), np.ones(2))
    >>> compare(one, one.of(0), radius=2.0).hits, compare(one, one.of(1), radius=2.0).hits
    (2, 0)
    """
    hits = 0
    for kind in np.intersect1d(found.kind, truth.kind):
        one, two = found.of(int(kind)).place, truth.of(int(kind)).place
        distance = np.hypot(*np.moveaxis(one[:, None] - two, -1, 0))
        # a pair too far apart costs more than all others together
        cost = np.where(distance <= radius, distance, (1 + radius) * (1 + min(distance.shape)))
        hits += int((distance[linear_sum_assignment(cost)] <= radius).sum())
    return Score(hits, len(found), len(truth))
