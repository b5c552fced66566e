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


def field_score(scores: ArrayLike) -> float:
    """Score of a field: the upper quartile of those of its blocks; NaN if none was judged.

    Examples
    --------
    >>> field_score([1.0, 3.0, np.nan])
    2.5
    """
    x = np.asarray(scores, np.float64)
    x = x[np.isfinite(x)]
    return float(np.quantile(x, FIELD_QUANTILE)) if x.size else float("nan")


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
    block : ndarray (units,)
        Score of one random block of each unit, large is strange.
    field : ndarray (units,)
        `field_score` of one field of each unit.
    alpha : float
        How often a field of the domain is called outside of it, and how often a block is. A block
        is judged by itself, so that a tile says what the whole image would.
    """

    block: Array
    field: Array
    alpha: float = 0.1

    def __post_init__(self) -> None:
        (units,) = self.block.shape
        if self.field.shape != self.block.shape:
            raise InputError(
                f"scores of blocks {self.block.shape} and fields {self.field.shape}",
                "one of each per unit",
            )
        if 1 / (units + 1) > self.alpha:
            raise InputError(
                f"with {units} units the badge could never fire: its least p-value is"
                f" {1 / (units + 1):.2g}, above {self.alpha:g}",
                f"{int(np.ceil(1 / self.alpha)) - 1} units or more",
                "add fields of other specimens, wells or pointings, or ship without a badge",
            )

    def fires(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """On which blocks with scores (...) the certified bound must not be shown."""
        return np.asarray(conformal_p(scores, self.block) <= self.alpha)

    def judge(self, scores: ArrayLike) -> Verdict:
        """Judge a field by its blocks' scores (blocks,), NaN where not judged.

        Examples
        --------
        >>> calm = np.random.default_rng(0).random(39)
        >>> found = Domain(calm, calm).judge([0.5, 7.0])
        >>> found.fired, found.outside
        (0.5, True)
        """
        s = np.atleast_1d(np.asarray(scores, np.float64))
        judged = np.isfinite(s)
        field_p = float(conformal_p(field_score(s), self.field))
        fired = float(self.fires(s[judged]).mean()) if judged.any() else float("nan")
        return Verdict(int(judged.sum()), fired, field_p, field_p <= self.alpha)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"block": jsonable(self.block), "field": jsonable(self.field), "alpha": self.alpha}

    @classmethod
    def from_dict(cls, data: object) -> Domain:
        """Read what `to_dict` wrote; ModelError for anything else."""
        found = checked(data, ("block", "field", "alpha"), "domain")
        block, field = (np.array(numbers(found[name], name)) for name in ("block", "field"))
        return cls(block, field, numbers([found["alpha"]], "alpha", 0, 1)[0])
