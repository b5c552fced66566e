"""Scores of the honesty of draws, beyond those in `sciup.evaluate.metrics`.

Draws have the shape (P, h, w), a truth (h, w). A real truth has noise of its own that honest draws
do not have: `perturbed` gives it to them before they are scored.

References
----------
Perturbed ensembles: Saetra, Hersbach, Bidlot & Richardson (2004), Mon. Weather Rev. 132, 1487.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from sciup.evaluate.metrics import block_mean

Array = NDArray[np.float64]
Bool = NDArray[np.bool_]

PATCH = 12


def perturbed(draws: Array, sigma: float, seed: list[int]) -> Array:
    """Draws with fresh white noise of the truth's own level, in the truth's units."""
    return draws + sigma * np.random.default_rng(seed).standard_normal(draws.shape)


def spread_and_error(draws: Array, truth: Array, side: int = 1) -> tuple[float, float]:
    """Variance of block means of the draws, times (P + 1) / P, and squared error of their mean.

    Equal on average when truth and draws are exchangeable (Fortin et al. 2014, J. Hydrometeorol.
    15, 1708). Both are additive, so that images can be pooled before the ratio is taken.
    """
    q, u = block_mean(draws, side), block_mean(truth, side)
    count = len(draws)
    spread = float(q.var(axis=0, ddof=1).mean()) * (count + 1) / count
    return spread, float(((q.mean(0) - u) ** 2).mean())


def rank_histogram(draws: Array, truth: Array, side: int = 1) -> Array:
    """Share of block means of the truth that exceed exactly 0, 1, ... P draws; flat when right.

    References
    ----------
    Hamill (2001), Mon. Weather Rev. 129, 550.

    Examples
    --------
    >>> rank_histogram(np.array([[[0.0]], [[2.0]]]), np.array([[1.0]])).tolist()
    [0.0, 1.0, 0.0]
    """
    rank = (block_mean(draws, side) < block_mean(truth, side)).sum(0).ravel()
    return np.asarray(np.bincount(rank, minlength=len(draws) + 1) / rank.size)


def interval(ordered: Array, level: float) -> tuple[Array, Array]:
    """Ends of the central interval, from draws in ascending order along axis 0.

    Quantiles of rank / (P + 1), which a further exchangeable draw falls below with just that
    probability; with P draws no interval can hold more than (P - 1) / (P + 1).
    """
    count = len(ordered)

    def quantile(q: float) -> Array:
        place = min(max((count + 1) * q - 1, 0.0), count - 1.0)
        i = min(int(place), count - 2)
        return np.asarray(ordered[i] + (place - i) * (ordered[i + 1] - ordered[i]))

    return quantile((1 - level) / 2), quantile((1 + level) / 2)


def energy_score(draws: Array, truth: Array, side: int = PATCH) -> float:
    """Fair energy score of patches of side x side px, per square root of a pixel.

    References
    ----------
    Gneiting & Raftery (2007), JASA 102, 359, eq. 22.
    """
    h, w = (n // side for n in truth.shape)

    def patches(x: Array) -> Array:
        cut = x[..., : h * side, : w * side].reshape(*x.shape[:-2], h, side, w, side)
        return np.asarray(cut.swapaxes(-3, -2).reshape(*x.shape[:-2], h * w, -1))

    def distance(a: Array, b: Array) -> float:
        return float(np.sqrt(((a - b) ** 2).mean(-1)).sum(0).sum())

    d, t = patches(draws), patches(truth)
    count = len(d)
    error = distance(d, t) / count
    pairs = float(sum(distance(d[j + 1 :], d[j]) for j in range(count - 1)))
    return (error - pairs / (count * (count - 1))) / float(h * w)


def votes(shown: Array, draws: Array, truth: Array, tolerance: float) -> tuple[Array, Bool]:
    """Share of draws that differ from the shown image in a 3 px mean, and whether the truth does.

    Parameters
    ----------
    shown : ndarray (h, w)
        The delivered image.
    draws : ndarray (P, h, w)
        The others; perturbed where the truth has noise.
    truth : ndarray (h, w)
    tolerance : float
        In the units of the images.
    """
    smooth = uniform_filter(shown, 3)
    far = np.abs(uniform_filter(draws, (0, 3, 3)) - smooth) > tolerance
    return far.mean(0), np.abs(uniform_filter(truth, 3) - smooth) > tolerance


def reliability(said: Array, happened: Bool, bins: int = 10) -> Array:
    """By bin of the stated probability: pixels, sum of what was said, number that happened.

    Returns
    -------
    ndarray (3, bins)
    """
    index = np.minimum((said * bins).astype(int), bins - 1).ravel()
    weights = (np.ones(index.size), said.ravel(), happened.ravel().astype(float))
    return np.stack([np.bincount(index, w, bins) for w in weights])


def calibration_error(table: Array) -> float:
    """Expected calibration error of a `reliability` table (Naeini et al. 2015, AAAI, 2901)."""
    return float(np.abs(table[1] - table[2]).sum() / table[0].sum())


def brier(said: Array, happened: Bool) -> float:
    """Mean squared error of a stated probability (Brier 1950, Mon. Weather Rev. 78, 1)."""
    return float(((said - happened) ** 2).mean())


def auroc(score: Array, happened: Bool) -> float:
    """Probability that a pixel where it happened has the higher score; 0.5 for no knowledge.

    NaN where it happened everywhere or nowhere.

    References
    ----------
    Hanley & McNeil (1982), Radiology 143, 29.

    Examples
    --------
    >>> auroc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]))
    0.875
    """
    from scipy.stats import rankdata

    hits = int(happened.sum())
    rest = happened.size - hits
    if not hits or not rest:
        return float("nan")
    ranks = rankdata(score.ravel())[happened.ravel()]
    return float((ranks.sum() - hits * (hits + 1) / 2) / (hits * rest))


def ause(spread: Array, error: Array) -> float:
    """Area between two sparsification curves, over the root mean square error; 0 is best.

    A curve is the root mean square error of the share of pixels that is kept, from the most certain
    pixel to all; the other curve knows the errors.

    References
    ----------
    Ilg et al. (2018), ECCV, arXiv 1802.07095.
    """
    squares = error.ravel() ** 2
    kept = np.arange(1, squares.size + 1)

    def curve(order: NDArray[np.intp]) -> Array:
        return np.asarray(np.sqrt(np.cumsum(squares[order]) / kept))

    ours, best = curve(np.argsort(spread.ravel())), curve(np.argsort(squares))
    return float((ours - best).mean() / max(best[-1], 1e-300))
