"""The score is votes first; among equal votes the spread of the draws decides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from sciup.risk.evidence import scored
from sciup.risk.score import LEVELS, LOWEST, MIDDLES, STEP, level, tail

votes = st.integers(0, 16)
chances = st.floats(0, 1)


@given(votes, votes, chances, chances)
def test_votes_come_first(n, m, p, q):
    """A draw more outweighs everything that a spread can say."""
    first, second = level([n, m], [p, q], 16)
    if n < m or (n == m and p <= q):
        assert first <= second


@given(votes, st.floats(1e-4, 1 - 1e-4))
def test_a_level_holds_its_score(n, p):
    score = (n + p) / 17
    odds = np.log(score / (1 - score))
    found = int(level(n, p, 16))
    low = LOWEST + STEP * found
    assert low - 1e-4 <= odds or found == 0
    assert odds <= low + STEP + 1e-4 or found == LEVELS - 1


def test_middles_lie_in_their_levels():
    share = MIDDLES * 17
    np.testing.assert_array_equal(level(np.floor(share), share % 1, 16), np.arange(LEVELS))


def test_nothing_is_lost_at_the_ends():
    assert level([0, 0, 16, np.nan], [0, 1e-30, 1, 0.5], 16).tolist() == [0, 0, LEVELS - 1, 0]


def test_tails_are_those_of_the_next_of_normal_draws():
    """The share of further draws beyond the tolerance, on average over sets of draws."""
    rng = np.random.default_rng(0)
    draws = rng.normal(1.0, 2.0, (16, 20000))
    invented, missed = tail(draws.mean(0), draws.std(0, ddof=1), 2.5, 16)
    assert invented.mean() == pytest.approx(norm(1, 2).sf(2.5), abs=0.01)
    assert missed.mean() == pytest.approx(norm(1, 2).cdf(-2.5), abs=0.01)


@pytest.mark.parametrize("far", [5.0, np.float32(500)])
def test_equal_draws_are_certain(far):
    same = np.zeros(3, np.float32)
    invented, missed = tail(np.array([far, 0, -far]), same, np.float32(3), 16)
    assert invented.tolist() == [1, 0, 0]
    assert missed.tolist() == [0, 0, 1]


def test_one_voter_leaves_the_half_vote():
    assert [x.item() for x in tail(9.0, 0.0, 3.0, 1)] == [0.25, 0.25]
    differences = np.array([[[5.0, 0.0]]])
    risk, invented, missed = scored(differences, np.full((1, 1, 2), 3.0))
    assert risk.ravel().tolist() == level([1, 0], [0.5, 0.5], 1).tolist()
    assert invented.ravel().tolist() == level([1, 0], [0.25, 0.25], 1).tolist()
    assert missed.ravel().tolist() == level([0, 0], [0.25, 0.25], 1).tolist()


def test_float32_stays():
    """The engine counts in it."""
    x = np.ones(3, np.float32)
    assert all(y.dtype == np.float32 for y in tail(x, x, x, 16))
