"""The out-of-domain badge: ranks among calibration units, and what fires.

Ranks make p-values of scores without any assumption on their distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.errors import InputError
from sciup.risk.plain import checked, jsonable, numbers

Array = NDArray[np.float64]

FIELD_QUANTILE = 0.75
"""Of the blocks: a wrong PSF shows only where there is structure."""


def pick_blocks(units: Sequence[str], seed: int) -> NDArray[np.int64]:
    """One random block of each unit, units in alphabetical order.

    Blocks of one unit resemble each other: taking more of them would promise more than the
    number of units can hold.

    Parameters
    ----------
    units : sequence of str, length n
        Unit of each block.
    seed : int
        Stored with the calibration.

    Returns
    -------
    ndarray of int (units,)
        Positions in `units`.
    """
    names = np.asarray(units)
    generator = np.random.default_rng(seed)
    return np.array([generator.choice(np.flatnonzero(names == u)) for u in np.unique(names)])


def conformal_p(score: ArrayLike, calibration: ArrayLike) -> Array:
    r"""p-values :math:`(1 + \#\{s_i \ge s\}) / (n + 1)` against one score per calibration unit.

    Parameters
    ----------
    score : array_like (...)
        Large is strange; NaN gives NaN.
    calibration : array_like (n,)
        Scores of n units; NaN counts as larger than any, which is the cautious way round.

    Returns
    -------
    ndarray (...)
        At most t with a probability of at most t for a block like those of the calibration.

    References
    ----------
    Bates et al. (2023), Ann. Stat. 51, arXiv 2104.08279.

    Examples
    --------
    >>> conformal_p([0.0, 2.5, 9.0], [1.0, 2.0, 3.0])
    array([1.  , 0.5 , 0.25])
    """
    s = np.asarray(score, np.float64)
    ranked = np.sort(np.nan_to_num(np.asarray(calibration, np.float64), nan=np.inf))
    p = (1 + len(ranked) - np.searchsorted(ranked, s, "left")) / (len(ranked) + 1)
    return np.where(np.isnan(s), np.nan, p)


def bonferroni(p: ArrayLike) -> Array:
    """One p-value of several along the last axis: the least times their number.

    An unknown one (NaN) is never the least but counts, or what is missing could choose the level.

    Examples
    --------
    >>> bonferroni([[0.01, 0.5, np.nan], [np.nan, np.nan, np.nan]])
    array([0.03,  nan])
    """
    x = np.asarray(p, np.float64)
    least = np.where(np.isfinite(x), x, np.inf).min(-1)
    return np.where(np.isfinite(least), np.minimum(1.0, x.shape[-1] * least), np.nan)


def field_scores(scores: ArrayLike) -> Array:
    """Scores of a field: the upper quartile of those of its blocks, statistic by statistic.

    Parameters
    ----------
    scores : array_like (blocks, statistics)
        NaN where a block was not judged.

    Returns
    -------
    ndarray (statistics,)
        NaN where no block was judged.

    Examples
    --------
    >>> field_scores([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    array([2.5, nan])
    """
    columns = [x[np.isfinite(x)] for x in np.asarray(scores, np.float64).T]
    return np.array([np.quantile(x, FIELD_QUANTILE) if x.size else np.nan for x in columns])


@dataclass(frozen=True)
class Verdict:
    """What the badge says of a field.

    Attributes
    ----------
    blocks : int
        That were judged.
    fired : float
        Share of them that the badge fires on.
    field_p : float
        p-value of the field.
    outside : bool
        Whether the field as a whole is out of domain.
    """

    blocks: int
    fired: float
    field_p: float
    outside: bool


@dataclass(frozen=True)
class Domain:
    """What the fields of the calibration look like.

    It decides which pixels a certificate counts, so it comes from fold 1 and the certificate from
    fold 2: a gate that knew the units of fold 2 would make them depend on each other. Features get
    their mean and covariance from other fields still (those of the training do, for no truth is
    needed), or fields of the calibration would look more familiar than new ones.

    Attributes
    ----------
    block : ndarray (units, statistics)
        Scores of one random block of each unit.
    field : ndarray (units, statistics)
        `field_scores` of one field of each unit.
    alpha : float
        How often a field of the domain is called outside of it, and how often a block is. A block
        is judged by itself, so that a tile says what the whole image would.
    """

    block: Array
    field: Array
    alpha: float = 0.1

    def __post_init__(self) -> None:
        units, statistics = self.block.shape
        if self.field.shape != self.block.shape:
            raise InputError(
                f"scores of blocks {self.block.shape} and fields {self.field.shape}",
                "one of each per unit",
            )
        if statistics / (units + 1) > self.alpha:
            raise InputError(
                f"with {units} units the badge could never fire: its least p-value is"
                f" {statistics / (units + 1):.2g}, above {self.alpha:g}",
                f"{int(np.ceil(statistics / self.alpha)) - 1} units or more",
                "add fields of other specimens, wells or pointings, or ship without a badge",
            )

    def p_values(self, scores: ArrayLike) -> Array:
        """p-values of blocks with scores (..., statistics): ranks, Bonferroni over statistics."""
        return bonferroni(self._ranked(np.asarray(scores, np.float64), self.block))

    def fires(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """On which blocks with scores (..., statistics) the certified bound must not be shown."""
        return np.asarray(self.p_values(scores) <= self.alpha)

    def judge(self, scores: ArrayLike) -> Verdict:
        """Judge a field by its blocks' scores (blocks, statistics), NaN where not judged.

        Examples
        --------
        >>> calm = np.random.default_rng(0).random((39, 2))
        >>> found = Domain(calm, calm).judge([[0.4, 0.5], [0.3, 7.0]])
        >>> found.fired, found.outside
        (0.5, True)
        """
        s = np.atleast_2d(np.asarray(scores, np.float64))
        judged = np.isfinite(s).any(-1)
        field_p = float(bonferroni(self._ranked(field_scores(s), self.field)))
        fired = float(self.fires(s[judged]).mean()) if judged.any() else float("nan")
        return Verdict(int(judged.sum()), fired, field_p, field_p <= self.alpha)

    def _ranked(self, scores: Array, calibration: Array) -> Array:
        columns = [conformal_p(scores[..., i], c) for i, c in enumerate(calibration.T)]
        return np.stack(columns, -1)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        rows = {name: [jsonable(row) for row in getattr(self, name)] for name in ("block", "field")}
        return rows | {"alpha": self.alpha}

    @classmethod
    def from_dict(cls, data: object) -> Domain:
        """Read what `to_dict` wrote; ModelError for anything else."""
        found = checked(data, ("block", "field", "alpha"), "domain")
        block, field = (
            np.array([numbers(row, name) for row in found[name]]) for name in ("block", "field")
        )
        return cls(block, field, numbers([found["alpha"]], "alpha", 0, 1)[0])
