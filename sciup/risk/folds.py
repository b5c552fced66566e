"""Units, folds and groups: who is independent of whom, and what so many units can certify."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.errors import InputError
from sciup.risk.betting import check_level, upper_bound

Array = NDArray[np.float64]

FIRST = 0.42
"""Share of the units in fold 1, which shapes curves, bins and badge; fold 2 certifies.

Of 148 units of micrographs it leaves the badge 62: with three statistics it cannot fire at 5 % with
fewer than 59.
"""

DELTA = 0.1
"""Probability that a certificate is wrong, over the choice of calibration units."""

MOST_UNITS = 1_000_000


def split(
    units: Sequence[str], groups: Sequence[str], seed: int, first: float = FIRST
) -> NDArray[np.bool_]:
    """Share out the fields over two folds, unit by unit.

    Units with the same groups are split among themselves, so that every group has its share in
    both folds. A unit with fields in several groups stays in one fold. The result depends on
    names and seed, not on the order of the fields or on other groups.

    Parameters
    ----------
    units, groups : sequence of str, length n
        Unit (the highest independent cluster) and group (modality and structure) of each field.
    seed : int
        Stored with the calibration.
    first : float
        Share of the units in fold 1.

    Returns
    -------
    ndarray of bool (n,)
        True in fold 1.

    Raises
    ------
    InputError
        If there are fewer than 2 units, or names that differ in length.

    Examples
    --------
    >>> names = ["a", "a", "b", "c"]
    >>> split(names, ["nuclei"] * 4, seed=0).tolist()
    [False, False, True, False]
    """
    if len(units) != len(groups):
        raise InputError(
            f"{len(units)} units but {len(groups)} groups", "one unit and one group per field"
        )
    member: dict[str, set[str]] = {}
    for unit, group in zip(units, groups, strict=True):
        member.setdefault(unit, set()).add(group)
    if len(member) < 2:
        raise InputError(
            f"{len(member)} unit cannot be split into two folds",
            "2 or more, better 100",
            "add fields of other specimens, wells or pointings",
        )
    cohorts: dict[tuple[str, ...], list[str]] = {}
    for unit in sorted(member):
        cohorts.setdefault(tuple(sorted(member[unit])), []).append(unit)
    chosen: set[str] = set()
    for cohort, names in cohorts.items():
        digest = sha256("\0".join(cohort).encode()).digest()
        generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
        order = generator.permutation(len(names))
        chosen |= {names[i] for i in order[: round(first * len(names))]}
    return np.array([unit in chosen for unit in units])


def by_unit(values: ArrayLike, units: Sequence[str]) -> tuple[list[str], Array]:
    """Average the fields and conditions of each unit.

    Parameters
    ----------
    values : array_like (n, ...)
        Per field.
    units : sequence of str, length n
        Unit of each field.

    Returns
    -------
    names : list of str
        Units in alphabetical order.
    means : ndarray (units, ...)

    Examples
    --------
    >>> by_unit([1.0, 3.0, 5.0], ["b", "b", "a"])
    (['a', 'b'], array([5., 2.]))
    """
    x = np.asarray(values, np.float64)
    if len(x) != len(units) or not len(x):
        raise InputError(f"{len(x)} fields but {len(units)} names of units", "as many, 1 or more")
    names, index = np.unique(np.asarray(units), return_inverse=True)
    total = np.zeros((len(names), *x.shape[1:]))
    np.add.at(total, index, x)
    count = np.bincount(index).reshape(-1, *[1] * (x.ndim - 1))
    return names.tolist(), total / count


def field_shares(
    bins: ArrayLike, wrong: ArrayLike, number: int, passed: ArrayLike | None = None
) -> tuple[Array, Array]:
    """Shares of a field's pixels per bin, all of them and the wrong ones.

    Parameters
    ----------
    bins : array_like of int (...)
        Bin of each pixel, -1 where masked.
    wrong : array_like (...)
        The event: 0 is right, anything else wrong, NaN unknown.
    number : int
        How many bins there are.
    passed : array_like of bool (...), optional
        Where the out-of-domain badge lets the bound be shown.

    Returns
    -------
    wrong, weight : ndarray (number,)
        Of the pixels that are neither masked nor unknown; 0 where there are none.

    Examples
    --------
    >>> field_shares([0, 0, 1, -1], [0, 1, 1, 0], 2)
    (array([0.33333333, 0.33333333]), array([0.66666667, 0.33333333]))
    """
    b, h = np.asarray(bins), np.asarray(wrong, np.float64)
    known = (b >= 0) & np.isfinite(h)
    shown = known if passed is None else known & np.asarray(passed, bool)
    total = max(int(known.sum()), 1)
    weight = np.bincount(b[shown], minlength=number)
    errors = np.bincount(b[shown & (h != 0)], minlength=number)
    return errors / total, weight / total


def certifiable(units: int, delta: float = DELTA, bins: int = 1) -> float:
    """Upper bound of the share of wrong pixels where no unit shows any error.

    Parameters
    ----------
    units : int
        Independent units in fold 2.
    delta : float
        Probability that any of the bounds is too low.
    bins : int
        Bins that are certified together.

    Examples
    --------
    >>> [round(certifiable(n, bins=7), 2) for n in (12, 52, 100)]
    [0.34, 0.09, 0.05]
    """
    return float(upper_bound(np.zeros(units), delta / bins))


def units_needed(bound: float, delta: float = DELTA, bins: int = 1) -> int:
    """Least number of units that can certify a bound, if none shows an error.

    Raises
    ------
    OptionError
        If `bound` is no probability.
    InputError
        If a million units were too few.

    Examples
    --------
    >>> units_needed(0.2, bins=7)
    23
    """
    check_level(bound, "bound")
    enough = 1
    while certifiable(enough, delta, bins) > bound:
        if enough > MOST_UNITS:
            raise InputError(f"a bound of {bound:g} cannot be certified", "0.001 or more")
        enough *= 2
    few = enough // 2
    while enough - few > 1:
        middle = (few + enough) // 2
        if certifiable(middle, delta, bins) > bound:
            few = middle
        else:
            enough = middle
    return enough


def check_units(units: int, bound: float, delta: float = DELTA, bins: int = 1) -> None:
    """Refuse a calibration with too few units to certify a bound.

    Raises
    ------
    InputError
        Saying what so many units can certify and how many are needed.

    Examples
    --------
    >>> check_units(12, 0.2, bins=7)
    Traceback (most recent call last):
        ...
    sciup.errors.InputError: 12 independent units certify a share of wrong pixels of at most 0.34
    even if they show no error at all, not the 0.2 asked for. Allowed: 23 units or more. ...
    """
    best = certifiable(units, delta, bins) if units > 0 else 1.0
    if best > bound:
        raise InputError(
            f"{units} independent units certify a share of wrong pixels of at most {best:.2f} even"
            f" if they show no error at all, not the {bound:g} asked for",
            f"{units_needed(bound, delta, bins)} units or more",
            "add fields of other specimens, wells or pointings, or ship risk_raw only",
        )
