"""Out of domain: where a field does not look like those of the training.

Five statistics of absolute blocks of the input: three of the innovation, and how far the trunk's
features, and what the data look like, are from the training. A large value is strange; how strange
among the fields of the calibration, `sciup.risk.badge` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.errors import InputError, ModelError
from sciup.risk.appearance import COUNT
from sciup.risk.plain import checked, numbers

Array = NDArray[np.float64]

STATISTICS = ("chi_squared", "whiteness", "spikes", "appearance", "features")
"""What a block is judged by, in this order."""

INNOVATION = 3
"""Statistics of the innovation, which come first."""

LEAST_BLOCKS = 8
"""Of the training, to say what is familiar."""

MOST_BLOCKS = 1000
"""That are kept."""


@dataclass(frozen=True)
class Features:
    """Feature vectors of blocks of the training; the question is how far away the nearest is.

    Nearest neighbours and not the distance from one centre: the training has several kinds of
    images, and what lies between two kinds is not familiar.

    Attributes
    ----------
    vectors : ndarray (n, d)

    References
    ----------
    Sun et al. (2022), ICML, arXiv 2204.06507.
    """

    vectors: Array

    def __post_init__(self) -> None:
        x = self.vectors
        if x.ndim != 2 or len(x) < 2 or not np.isfinite(x).all():
            raise InputError(f"features of shape {x.shape}", "(2 or more blocks, features), finite")

    @cached_property
    def _white(self) -> tuple[Array, Array]:
        """Matrix that gives the vectors a unit covariance, and the vectors so treated."""
        root = np.linalg.cholesky(np.linalg.inv(shrunk_covariance(self.vectors)))
        return root, self.vectors @ root

    def distance(self, vector: ArrayLike) -> Array:
        """Distance of vectors (..., d) to the nearest one, in units of the spread; NaN from NaN.

        Examples
        --------
        >>> rng = np.random.default_rng(0)
        >>> known = Features(rng.standard_normal((500, 2)) * [1, 100])
        >>> known.distance([[0.0, 0.0], [0.0, 2000.0]]).round(0)
        array([ 0., 18.])
        """
        root, known = self._white
        x = np.asarray(vector, np.float64) @ root
        squares = [((known - row) ** 2).sum(-1).min() for row in x.reshape(-1, x.shape[-1])]
        return np.asarray(np.sqrt(np.reshape(squares, x.shape[:-1])))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"vectors": [[float(f"{v:.5g}") for v in row] for row in self.vectors]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Features:
        """Read what `to_dict` wrote; ModelError for anything else."""
        found = checked(data, ("vectors",), "feature vectors")
        rows = [numbers(row, "vectors") for row in found["vectors"]]
        if len({len(row) for row in rows}) != 1:
            raise ModelError("the feature vectors differ in length", "one length")
        return cls(np.array(rows))


def shrunk_covariance(vectors: ArrayLike) -> Array:
    """Covariance (d, d) of vectors (n, d), of which n may be below d.

    The correlation matrix is shrunk towards the identity by the weight that is best for white
    targets.

    References
    ----------
    Ledoit & Wolf (2004), J. Multivar. Anal. 88, 365, doi 10.1016/S0047-259X(03)00096-4.
    """
    x = np.asarray(vectors, np.float64)
    spread = x.std(0)
    # a feature that never varies keeps a scale, so that any change of it is far away
    spread = np.maximum(spread, 1e-6 * max(float(np.abs(x).max()), 1e-30))
    unit = (x - x.mean(0)) / spread
    sample = unit.T @ unit / len(unit)
    target = np.trace(sample) / len(sample) * np.eye(len(sample))
    distance = float(((sample - target) ** 2).sum())
    noise = float(((unit**2).sum(1) ** 2).sum() / len(unit) ** 2 - (sample**2).sum() / len(unit))
    weight = min(noise / distance, 1.0) if distance > 0 else 1.0
    # never quite 0: the covariance must have an inverse
    shrunk = sample + max(weight, 1e-6) * (target - sample)
    return np.asarray(shrunk * np.outer(spread, spread))


@dataclass(frozen=True)
class Familiar:
    """What fields of the training look like: puts the statistics on one scale, surprise.

    A surprise of 2 means that one in a hundred blocks of the training is as strange. It refers to
    the training, not to the calibration, so that ranks among the units of the calibration stay
    ranks. A row of raw statistics has `block_scores`, then
    `sciup.risk.appearance.appearance`, then the features.

    Attributes
    ----------
    appearance, features : Features
    known : ndarray (n, 5)
        `STATISTICS` of blocks of the training, each column ascending. Distances of fields that
        the features were fitted to would be too small: these are across two halves of the units.
    """

    appearance: Features
    features: Features
    known: Array

    @classmethod
    def fit(cls, rows: ArrayLike, units: ArrayLike) -> Familiar:
        """From raw statistics (n, 3 + 12 + d) of n blocks and the unit of each.

        Raises
        ------
        InputError
            With fewer than 8 blocks, or blocks of one unit only.
        """
        x, names = np.asarray(rows, np.float64), np.asarray(units)
        several = np.unique(names)
        if len(x) != len(names) or len(x) < LEAST_BLOCKS or len(several) < 2:
            raise InputError(
                f"{len(x)} blocks of {len(several)} units of the training",
                f"{LEAST_BLOCKS} blocks or more, of 2 units or more",
            )
        # blocks of one unit resemble each other more than those of a new field will
        half = np.isin(names, several[::2])
        innovation, *parts = _parts(x)
        distances = np.empty((len(x), len(parts)))
        for j, part in enumerate(parts):
            for here in (half, ~half):
                distances[here, j] = Features(part[~here]).distance(part[here])
        known = np.sort(np.concatenate([innovation, distances], -1), 0)
        thin = slice(None, None, -(-len(x) // MOST_BLOCKS))
        looks, vectors = (Features(part[thin]) for part in parts)
        return cls(looks, vectors, known[thin])

    def scores(self, rows: ArrayLike) -> Array:
        """Surprise at each of `STATISTICS` of blocks, (..., 5); NaN where not judged."""
        innovation, looks, vectors = _parts(np.asarray(rows, np.float64))
        distances = self.appearance.distance(looks), self.features.distance(vectors)
        return self.surprise(np.concatenate([innovation, np.stack(distances, -1)], -1))

    def surprise(self, statistics: ArrayLike) -> Array:
        """Minus the decimal logarithm of the share of blocks of the training as large as this."""
        s, n = np.asarray(statistics, np.float64), len(self.known)
        rank = [np.searchsorted(column, s[..., i]) for i, column in enumerate(self.known.T)]
        share = (1 + n - np.stack(rank, -1)) / (n + 1)
        return np.where(np.isnan(s), np.nan, -np.log10(share))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "appearance": self.appearance.to_dict(),
            "features": self.features.to_dict(),
            "known": self.known.tolist(),
        }

    @classmethod
    def from_dict(cls, data: object) -> Familiar:
        """Read what `to_dict` wrote; ModelError for anything else."""
        found = checked(data, ("appearance", "features", "known"), "familiar")
        known = np.array([numbers(row, "known") for row in found["known"]])
        looks, vectors = (Features.from_dict(found[name]) for name in ("appearance", "features"))
        return cls(looks, vectors, known)


def _parts(rows: Array) -> tuple[Array, Array, Array]:
    """Innovation, appearance and features of rows of raw statistics."""
    first, second = INNOVATION, INNOVATION + COUNT
    return rows[..., :first], rows[..., first:second], rows[..., second:]


def strangest(scores: ArrayLike) -> Array:
    """One surprise of five, (..., 5) to (...); NaN where not judged.

    Is the noise as large as stated, has it the texture stated, are there spikes, does the image
    look familiar: the answer that is strangest. What the block looks like to the eye and to the
    network is one question, answered twice, so these add up (Fisher's way to combine).

    Examples
    --------
    >>> strangest([[1.0, 0.5, 0.0, 1.0, 0.5], [2.0, 0.1, 0.1, 0.1, 0.3], [np.nan] * 5])
    array([1.5, 2. , nan])
    """
    x = np.asarray(scores, np.float64)
    innovation, looks = x[..., :INNOVATION], x[..., INNOVATION:]
    return np.asarray(np.maximum(innovation.max(-1), looks.sum(-1)))


__all__ = [
    "INNOVATION",
    "STATISTICS",
    "Familiar",
    "Features",
    "shrunk_covariance",
    "strangest",
]
