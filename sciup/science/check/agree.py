"""Whether a distribution of images holds another image, at several scales."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from sciup.evaluate.metrics import block_mean

Array = NDArray[np.float64]

SIDES = (1, 4, 16)
"""Pixels per side over which is averaged."""

LEVELS = (0.68, 0.95)
FEWEST = 20
"""Blocks below which nothing is said."""


def agreement(draws: Array, other: Array, sigma: Array) -> list[dict[str, Any]]:
    """Differences from the mean of the draws, in units of what they should be.

    If image and draws are one distribution, ``z = (other - mean) / sqrt((1 + 1/K) s^2 + sigma^2)``
    has mean 0 and deviation 1, s^2 being the variance of the K draws and sigma the noise of the
    other image. Where the spread of the draws counts, it follows Student's t with K - 1 degrees of
    freedom, so that intervals take its quantiles in proportion.

    Parameters
    ----------
    draws : ndarray (K, h, w)
    other, sigma : ndarray (h, w)
        NaN where there are no data; noise is taken to be white.

    Returns
    -------
    list of dict
        For each of `SIDES`: ``side``, ``blocks``, ``bias`` (mean z), ``deviation`` (of z),
        ``noise_only`` (the same without the spread), ``cover_68``, ``cover_95``, ``spread_share``
        (of the variance).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = rng.normal(size=(18, 80, 80))
    >>> row = agreement(images[1:], images[0], np.full((80, 80), 1e-3))[0]
    >>> abs(row["deviation"] - 1) < 0.1, abs(row["cover_95"] - 0.95) < 0.02
    (True, True)
    """
    return [row for side in SIDES if (row := _at(draws, other, sigma, side)) is not None]


def _at(draws: Array, other: Array, sigma: Array, side: int) -> dict[str, Any] | None:
    h, w = (n // side * side for n in other.shape)
    if min(h, w) < side:
        return None

    def blocks(x: Array) -> Array:
        return block_mean(x[:h, :w], side).ravel()

    seen = blocks(other)
    known = np.isfinite(seen)
    if known.sum() < FEWEST:
        return None
    ours = np.stack([blocks(d) for d in draws])[:, known]
    noise = (blocks(sigma**2) / side**2)[known]
    count = len(ours)
    spread = (1 + 1 / count) * ours.var(0, ddof=1)
    error = seen[known] - ours.mean(0)
    z = error / np.sqrt(spread + noise)
    share = spread / (spread + noise)
    row = {
        "side": side,
        "blocks": int(known.sum()),
        "bias": float(z.mean()),
        "deviation": float(z.std()),
        "noise_only": float((error / np.sqrt(noise)).std()),
        "spread_share": float(share.mean()),
    }
    for level in LEVELS:
        row[f"cover_{100 * level:.0f}"] = float((np.abs(z) < _quantile(level, share, count)).mean())
    return row


def _quantile(level: float, share: Array, count: int) -> Array:
    """Half width of an interval: Welch-Satterthwaite degrees of freedom of both variances.

    References
    ----------
    Welch (1947), Biometrika 34, 28.
    """
    freedom = (count - 1) / np.maximum(share, 1e-3) ** 2
    return np.asarray(student.ppf((1 + level) / 2, freedom))


__all__ = ["LEVELS", "SIDES", "agreement"]
