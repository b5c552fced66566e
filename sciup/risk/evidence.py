"""What fields with a known truth show of the draws' honesty: counts by score, S/N and block.

Everything that a calibration fits, certifies and reports is a function of these counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.errors import InputError
from sciup.risk.columns import Columns
from sciup.risk.innovation import BLOCK
from sciup.risk.score import LEVELS, MIDDLES, level, tail
from sciup.risk.tolerance import Tolerance
from sciup.risk.votes import SCALES, block_mean, mean_at

Array = NDArray[np.float64]

PRODUCTS = ("sample", "mean")
"""Images that can be shown: a draw, on which the others vote, and their mean."""

KINDS = ("risk", "invented", "missed")

TOLERANCES = tuple(Tolerance.parse(text) for text in ("3sigma", "1sigma", "10%"))
"""Fixed before any calibration was looked at."""

STRATA = (2.0, 5.0, 15.0)
"""Inner edges of the strata in local S/N."""

INTERVAL_SCALES = (1, 4, 16)
SCALINGS = np.concatenate([[0.0], np.geomspace(0.25, 32, 99)])
"""By how much the spread of the draws can be stretched."""


@dataclass(frozen=True)
class Evidence(Columns):
    """Counts of n blocks of input pixels; rows of one unit are not independent.

    Attributes
    ----------
    unit, group, field, condition : ndarray of str (n,)
        Highest independent cluster; modality and structure; image; how it was degraded.
    samples : ndarray of int (n,)
        K, how many draws voted on the delivered one.
    votes : ndarray (n, products, kinds, tolerances, scales, strata, levels, 2)
        Pixels with such a score (`sciup.risk.score`), and those of them that are wrong.
    outside : ndarray (n, interval scales, scalings)
        Pixels whose truth is farther from the mean than so many spreads.
    pixels, width : ndarray (n, interval scales)
        Pixels in all; sum of their spreads in units of the input noise.
    statistics : ndarray (n, d)
        Of the block, for the badge; see `sciup.risk.familiar.Familiar`.
    """

    unit: NDArray[np.str_]
    group: NDArray[np.str_]
    field: NDArray[np.str_]
    condition: NDArray[np.str_]
    samples: NDArray[np.int32]
    votes: NDArray[np.int32]
    outside: NDArray[np.int32]
    pixels: NDArray[np.int32]
    width: Array
    statistics: Array

    @property
    def draws(self) -> int:
        """K, the same for all."""
        return int(self.samples[0])

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Rows of several fields."""
        if not parts:
            raise InputError("no field with a truth was found", "one or more")
        return super().join(parts)


def tally(
    draws: ArrayLike,
    truth: ArrayLike,
    *,
    level: ArrayLike,
    sigma: ArrayLike,
    snr: ArrayLike,
    scale: int,
    statistics: ArrayLike,
    labels: Mapping[str, str],
    truth_noise: float = 0.0,
    mean: ArrayLike | None = None,
) -> Evidence:
    """Count one field.

    Parameters
    ----------
    draws : array_like (K + 1, s h, s w)
        The first is the delivered one; NaN where masked.
    truth : array_like (s h, s w)
        In the unit of the draws. Its own noise counts as error of the draws.
    level, sigma, snr : array_like (s h, s w)
        Background and noise of the input pixel, in the unit of the draws, and its local S/N.
    scale : int
        s, output px per input px; s h and s w are multiples of 16.
    statistics : array_like (rows, columns, d)
        Of every block of `BLOCK` input px, see `Evidence`.
    labels : mapping
        unit, group, field and condition.
    truth_noise : float
        One-sigma noise of the truth's pixels, which intervals need not cover.
    mean : array_like (s h, s w), optional
        What is offered as the mean of the draws; their average unless given.
    """
    d, t = np.asarray(draws, np.float64), np.asarray(truth, np.float64)
    middle = d.mean(0) if mean is None else np.asarray(mean, np.float64)
    if d.ndim != 3 or d.shape[1:] != t.shape:
        raise InputError(
            f"draws of shape {d.shape} and a truth of shape {t.shape}", "(K + 1, y, x) and (y, x)"
        )
    dark, noise, local = (np.asarray(x, np.float64) for x in (level, sigma, snr))
    grid = np.asarray(statistics, np.float64)
    count, side = grid.shape[0] * grid.shape[1], BLOCK * scale
    outside, pixels, width = _intervals(d, middle, t, noise, truth_noise, side, grid.shape[:2])
    return Evidence(
        unit=np.full(count, labels["unit"]),
        group=np.full(count, labels["group"]),
        field=np.full(count, labels["field"]),
        condition=np.full(count, labels["condition"]),
        samples=np.full(count, len(d) - 1, np.int32),
        votes=_votes(d, middle, t, dark, noise, local, side, grid.shape[:2]),
        outside=outside,
        pixels=pixels,
        width=width,
        statistics=grid.reshape(count, -1),
    )


def _blocks(shape: tuple[int, ...], side: int, columns: int) -> NDArray[np.int64]:
    """Number of the block of every pixel."""
    y, x = (np.arange(n) // side for n in shape)
    return y[:, None] * columns + x


def _votes(
    draws: Array,
    mean: Array,
    truth: Array,
    dark: Array,
    sigma: Array,
    snr: Array,
    side: int,
    grid: tuple[int, ...],
) -> NDArray[np.int32]:
    blocks = grid[0] * grid[1]
    shape = (len(TOLERANCES), len(SCALES), len(STRATA) + 1, LEVELS)
    out = np.zeros((blocks, len(PRODUCTS), len(KINDS), *shape, 2), np.int32)
    limits = [tolerance.limit(draws[0], dark, sigma) for tolerance in TOLERANCES]
    for p, (shown, voters) in enumerate(((draws[0], draws[1:]), (mean, draws))):
        for j, scale in enumerate(SCALES):
            block = _blocks(truth.shape, side, grid[1])
            step = 1 if scale == SCALES[0] else scale
            block = block[::step, ::step]
            local = snr if step == 1 else block_mean(snr, step)
            taus = np.stack(limits if step == 1 else [mean_at(x, scale) for x in limits])
            error = mean_at(shown - truth, scale)
            known = np.isfinite(error) & np.isfinite(local) & np.isfinite(taus).all(0)
            found = scored(np.stack([mean_at(shown - v, scale) for v in voters]), taus)
            stratum = np.searchsorted(STRATA, local[known], side="right")
            cell = block[known] * shape[2] + stratum
            wrong = (np.abs(error) > taus, error > taus, error < -taus)
            for i, (levels, bad) in enumerate(zip(found, wrong, strict=True)):
                for m in range(len(TOLERANCES)):
                    index = cell * shape[3] + levels[m][known]
                    for n, weight in enumerate((None, bad[m][known])):
                        total = np.bincount(index, weight, blocks * shape[2] * shape[3])
                        out[:, p, i, m, j, :, :, n] = total.reshape(blocks, shape[2], shape[3])
    return out


def scored(
    differences: Array, limits: Array
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Levels of the scores of risk, invented and missed.

    Parameters
    ----------
    differences : ndarray (K, ...)
        Of the delivered image less each voter, in means over 3 px.
    limits : ndarray (tolerances, ...)

    Returns
    -------
    risk, invented, missed : ndarray of int (tolerances, ...)
    """
    voters = len(differences)
    higher, lower = (np.stack([(s * differences > x).sum(0) for x in limits]) for s in (1, -1))
    std = differences.std(0, ddof=1) if voters > 1 else np.zeros(differences.shape[1:])
    above, below = tail(differences.mean(0), std, limits, voters)
    return (
        level(higher + lower, above + below, voters),
        level(higher, above, voters),
        level(lower, below, voters),
    )


def _intervals(
    draws: Array,
    mean: Array,
    truth: Array,
    sigma: Array,
    noise: float,
    side: int,
    grid: tuple[int, ...],
) -> tuple[NDArray[np.int32], NDArray[np.int32], Array]:
    blocks, sizes = grid[0] * grid[1], len(INTERVAL_SCALES)
    outside = np.zeros((blocks, sizes, len(SCALINGS)), np.int32)
    pixels, width = np.zeros((blocks, sizes), np.int32), np.zeros((blocks, sizes))
    for j, scale in enumerate(INTERVAL_SCALES):
        d, m, t, s = (
            np.stack([block_mean(y, scale) for y in x]) if scale > 1 else x
            for x in (draws, mean[None], truth[None], sigma[None])
        )
        spread = d.std(0, ddof=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            needed = np.abs(t[0] - m[0]) / np.hypot(spread, noise / scale)
        known = np.isfinite(needed)
        block = _blocks(truth.shape, side, grid[1])[::scale, ::scale][known]
        pixels[:, j] = np.bincount(block, minlength=blocks)
        width[:, j] = np.bincount(block, (spread / s[0])[known], blocks)
        inside = np.searchsorted(SCALINGS, needed[known], side="left")
        table = np.bincount(
            block * (len(SCALINGS) + 1) + inside, minlength=blocks * (len(SCALINGS) + 1)
        )
        reached = table.reshape(blocks, -1).cumsum(1)[:, :-1]
        outside[:, j] = pixels[:, j, None] - reached
    return outside, pixels, width


def cells(scores: Array = MIDDLES) -> tuple[Array, Array]:
    """Score and a representative S/N of every cell of a table of scores, flattened."""
    inner = np.asarray(STRATA)
    middles = np.concatenate([[inner[0] / 2], (inner[1:] + inner[:-1]) / 2, [inner[-1] * 2]])
    snr, r = np.meshgrid(middles, scores, indexing="ij")
    return r.ravel(), snr.ravel()
