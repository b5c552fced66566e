"""Out of domain: where a field does not look like those of the calibration.

Three statistics of absolute blocks of the input: chi-squared and whiteness of the innovation (what
the data have that the model's image, before its projection, does not explain), and the distance of
the trunk's features. A large value is strange; how strange, `sciup.risk.badge` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.errors import InputError, ModelError
from sciup.risk.plain import checked, numbers

Array = NDArray[np.float64]

BLOCK = 128
"""Side of a block of input px, counted from the first pixel of the whole image."""

LEAST_PIXELS = BLOCK * BLOCK // 16
"""Blocks with less footprint are not judged."""

STATISTICS = ("chi_squared", "whiteness", "features")
"""What a block is judged by, in this order."""

LEAST_BLOCKS = 8
"""Of the training, to say what is familiar."""

LAGS = ((0, 1), (1, 0), (0, 2), (2, 0))


def chi_squared(z: ArrayLike) -> float:
    """Two-sided misfit: the size of the log of the mean of z^2.

    Parameters
    ----------
    z : array_like (h, w)
        Innovation over its sigma, NaN outside of the footprint.

    Returns
    -------
    float
        0 where the innovation is as large as its sigma says; NaN with too few pixels.

    Examples
    --------
    >>> round(chi_squared(np.full((64, 64), 2.0)), 3)
    1.386
    """
    x = np.asarray(z, np.float64)
    x = x[np.isfinite(x)]
    if x.size < LEAST_PIXELS:
        return float("nan")
    return abs(float(np.log(max(float(np.mean(x * x)), 1e-30))))


def whiteness(z: ArrayLike, expected: tuple[float, float] = (0.0, 0.0)) -> float:
    r"""How far the innovation's autocorrelation is from the instrument's.

    :math:`\sqrt{\sum_l n_l (\rho_l - e_l)^2}` over lags of 1 and 2 px along both axes, with
    :math:`n_l` pairs of pixels: the root of a Box-Pierce statistic about what is expected. The
    mean is not subtracted, since an innovation has none.

    Parameters
    ----------
    z : array_like (h, w)
        Innovation over its sigma, NaN outside of the footprint.
    expected : (float, float)
        Autocorrelation of the instrument's noise at lags of 1 and 2 px.

    Returns
    -------
    float
        About 2 for noise as expected; NaN with too few pixels.

    References
    ----------
    Box & Pierce (1970), J. Am. Stat. Assoc. 65, 1509.

    Examples
    --------
    >>> white = np.random.default_rng(0).standard_normal((128, 128))
    >>> whiteness(white) < 5 < whiteness(white + np.roll(white, 1, 0))
    True
    """
    x = np.asarray(z, np.float64)
    valid = np.isfinite(x)
    if valid.sum() < LEAST_PIXELS:
        return float("nan")
    power = max(float(np.mean(x[valid] ** 2)), 1e-30)
    total = 0.0
    for dy, dx in LAGS:
        products = x[dy:, dx:] * x[: x.shape[0] - dy, : x.shape[1] - dx]
        pairs = products[np.isfinite(products)]
        if pairs.size:
            total += pairs.size * (float(pairs.mean()) / power - expected[dy + dx - 1]) ** 2
    return float(np.sqrt(total))


def block_scores(
    innovation: ArrayLike,
    sigma: ArrayLike,
    footprint: ArrayLike,
    expected: tuple[float, float] = (0.0, 0.0),
) -> Array:
    """`chi_squared` and `whiteness` of one block.

    Parameters
    ----------
    innovation, sigma : array_like (h, w)
        Data minus what the model's image predicts before its projection, and its noise.
    footprint : array_like of bool (h, w)
        True where there are data.
    expected : (float, float)
        Autocorrelation of the instrument's noise at lags of 1 and 2 px.

    Returns
    -------
    ndarray (2,)
        NaN with too few pixels.
    """
    y, noise = np.asarray(innovation, np.float64), np.asarray(sigma, np.float64)
    good = np.asarray(footprint, bool) & (noise > 0)
    z = np.where(good, y, np.nan) / np.where(good, noise, 1.0)
    return np.array([chi_squared(z), whiteness(z, expected)])


@dataclass(frozen=True)
class Features:
    """Mean and shrunk covariance of feature vectors, from fold 1.

    Attributes
    ----------
    mean : ndarray (d,)
    covariance : ndarray (d, d)
        Positive definite.
    """

    mean: Array
    covariance: Array

    @classmethod
    def fit(cls, vectors: ArrayLike) -> Features:
        """Mean and covariance of (n, d) vectors, each from another unit.

        The correlation matrix is shrunk towards the identity by the weight that is best for white
        targets (Ledoit & Wolf), so that n may be below d.

        Raises
        ------
        InputError
            With fewer than 2 vectors or a value that is not finite.

        References
        ----------
        Ledoit & Wolf (2004), J. Multivar. Anal. 88, 365, doi 10.1016/S0047-259X(03)00096-4.
        """
        x = np.asarray(vectors, np.float64)
        if x.ndim != 2 or len(x) < 2 or not np.isfinite(x).all():
            raise InputError(f"features of shape {x.shape}", "(2 or more units, features), finite")
        mean, spread = x.mean(0), x.std(0)
        # a feature that never varies keeps a scale, so that any change of it is far away
        spread = np.maximum(spread, 1e-6 * max(float(np.abs(x).max()), 1e-30))
        unit = (x - mean) / spread
        sample = unit.T @ unit / len(unit)
        target = np.trace(sample) / len(sample) * np.eye(len(sample))
        distance = float(((sample - target) ** 2).sum())
        noise = float(
            ((unit**2).sum(1) ** 2).sum() / len(unit) ** 2 - (sample**2).sum() / len(unit)
        )
        weight = min(noise / distance, 1.0) if distance > 0 else 1.0
        # never quite 0: the covariance must have an inverse
        shrunk = sample + max(weight, 1e-6) * (target - sample)
        return cls(mean, shrunk * np.outer(spread, spread))

    def distance(self, vector: ArrayLike) -> Array:
        """Mahalanobis distance of vectors (..., d) from the mean.

        Examples
        --------
        >>> float(Features(np.zeros(2), np.diag([4.0, 1.0])).distance([2.0, 0.0]))
        1.0
        """
        offset = np.asarray(vector, np.float64) - self.mean
        solved = np.linalg.solve(self.covariance, offset[..., None])[..., 0]
        return np.asarray(np.sqrt(np.maximum((offset * solved).sum(-1), 0.0)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"mean": self.mean.tolist(), "covariance": self.covariance.tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Features:
        """Read what `to_dict` wrote; ModelError for anything else."""
        found = checked(data, ("mean", "covariance"), "feature statistics")
        mean = np.array(numbers(found["mean"], "mean"))
        rows = [numbers(row, "covariance") for row in found["covariance"]]
        if [len(row) for row in rows] != [len(mean)] * len(mean):
            raise ModelError("the covariance of the features is not square", f"{len(mean)} rows")
        return cls(mean, np.array(rows))


@dataclass(frozen=True)
class Familiar:
    """What fields of the training look like: puts the three statistics on one scale, surprise.

    A surprise of 2 means that one in a hundred blocks of the training is as strange. It refers to
    the training, not to the calibration, so that ranks among the units of the calibration stay
    ranks.

    Attributes
    ----------
    features : Features
    known : ndarray (n, 3)
        `STATISTICS` of blocks of the training, each column ascending. Distances of fields that
        the features were fitted to would be too small: these are across two halves.
    """

    features: Features
    known: Array

    @classmethod
    def fit(cls, innovation: ArrayLike, vectors: ArrayLike) -> Familiar:
        """From the scores (n, 2) of `block_scores` and the features (n, d) of n blocks.

        Raises
        ------
        InputError
            With fewer than 8 blocks.
        """
        x, v = np.asarray(innovation, np.float64), np.asarray(vectors, np.float64)
        if len(x) != len(v) or len(v) < LEAST_BLOCKS:
            raise InputError(f"{len(v)} blocks of the training", f"{LEAST_BLOCKS} or more")
        distance = np.empty(len(v))
        for half in (0, 1):
            distance[half::2] = Features.fit(v[1 - half :: 2]).distance(v[half::2])
        return cls(Features.fit(v), np.sort(np.column_stack([x, distance]), 0))

    def scores(self, innovation: ArrayLike, vectors: ArrayLike) -> Array:
        """Surprise at each of `STATISTICS` of blocks, (..., 3); NaN where not judged."""
        distance = self.features.distance(vectors)[..., None]
        return self.surprise(np.concatenate([np.asarray(innovation, np.float64), distance], -1))

    def surprise(self, statistics: ArrayLike) -> Array:
        """Minus the decimal logarithm of the share of blocks of the training as large as this."""
        s, n = np.asarray(statistics, np.float64), len(self.known)
        rank = [np.searchsorted(column, s[..., i]) for i, column in enumerate(self.known.T)]
        share = (1 + n - np.stack(rank, -1)) / (n + 1)
        return np.where(np.isnan(s), np.nan, -np.log10(share))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"features": self.features.to_dict(), "known": self.known.tolist()}

    @classmethod
    def from_dict(cls, data: object) -> Familiar:
        """Read what `to_dict` wrote; ModelError for anything else."""
        found = checked(data, ("features", "known"), "familiar")
        known = np.array([numbers(row, "known") for row in found["known"]])
        return cls(Features.from_dict(found["features"]), known)


def strangest(scores: ArrayLike) -> Array:
    """The largest of the statistics, along the last axis; NaN where there is none.

    Examples
    --------
    >>> strangest([[1.0, 4.0, np.nan], [np.nan, np.nan, np.nan]])
    array([ 4., nan])
    """
    x = np.asarray(scores, np.float64)
    found = np.where(np.isfinite(x), x, -np.inf).max(-1)
    return np.where(np.isfinite(found), found, np.nan)
