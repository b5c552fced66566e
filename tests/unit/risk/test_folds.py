"""Units stay together, folds are stable, and errors say what can be certified."""

import numpy as np
import pytest

from sciup.errors import InputError
from sciup.risk.folds import (
    FIRST,
    by_unit,
    certifiable,
    check_units,
    field_shares,
    split,
    units_needed,
)

UNITS = [f"{g}{i}" for g in "ab" for i in range(30)] * 2
GROUPS = [name[0] for name in UNITS]


def test_units_stay_together_and_every_group_is_in_both_folds():
    first = split(UNITS, GROUPS, seed=1, first=1 / 3)
    assert (first[:60] == first[60:]).all()
    for group in "ab":
        assert first[np.array(GROUPS) == group].sum() == 20


def test_folds_depend_on_names_and_seed_only():
    first = split(UNITS, GROUPS, seed=1)
    order = np.random.default_rng(0).permutation(len(UNITS))
    shuffled = split([UNITS[i] for i in order], [GROUPS[i] for i in order], seed=1)
    np.testing.assert_array_equal(shuffled, first[order])
    alone = split(UNITS[:30], GROUPS[:30], seed=1)
    np.testing.assert_array_equal(alone, first[:30])
    assert (split(UNITS, GROUPS, seed=2) != first).any()


def test_a_unit_of_two_groups_is_in_one_fold():
    units = [f"u{i}" for i in range(12)] * 2
    first = split(units, ["nuclei"] * 12 + ["actin"] * 12, seed=0)
    assert (first[:12] == first[12:]).all()
    assert first.sum() == 2 * round(FIRST * 12)


def test_too_few_units_are_refused_with_what_they_certify():
    with pytest.raises(InputError, match="1 unit cannot be split"):
        split(["a", "a"], ["x", "x"], 0)
    with pytest.raises(InputError, match="2 units but 1 groups"):
        split(["a", "b"], ["x"], 0)
    best, need = certifiable(12, bins=7), units_needed(0.2, bins=7)
    with pytest.raises(InputError, match=f"at most {best:.2f} even.*{need} units or more"):
        check_units(12, 0.2, bins=7)
    with pytest.raises(InputError, match="0 independent units"):
        check_units(0, 0.2)
    check_units(need, 0.2, bins=7)
    assert certifiable(need, bins=7) <= 0.2 < certifiable(need - 1, bins=7)


def test_conditions_of_a_unit_are_averaged():
    names, means = by_unit([[1.0, 0.0], [3.0, 1.0], [5.0, 5.0]], ["b", "b", "a"])
    assert names == ["a", "b"]
    np.testing.assert_array_equal(means, [[5, 5], [2, 0.5]])
    with pytest.raises(InputError):
        by_unit([1.0], ["a", "b"])


def test_shares_count_what_is_known_and_shown():
    bins = [[0, 0, 1], [1, -1, 1]]
    wrong = [[0, -1, 1], [np.nan, 1, 0]]
    h, w = field_shares(bins, wrong, 3)
    np.testing.assert_array_equal(h, [0.25, 0.25, 0])
    np.testing.assert_array_equal(w, [0.5, 0.5, 0])
    h, w = field_shares(bins, wrong, 3, [[True, False, True], [True, True, False]])
    np.testing.assert_array_equal(h, [0, 0.25, 0])
    np.testing.assert_array_equal(w, [0.25, 0.25, 0])
    for empty in field_shares([-1, 0], [1, np.nan], 2):
        np.testing.assert_array_equal(empty, [0, 0])
