"""Intervals of few draws hold one more draw as often as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.science.measure.interval import LEVELS, interval, summarise, words

TRIALS = 6000


def covered(make, n, level, whole=False):
    """Share of trials in which the interval of n draws holds draw n + 1."""
    values = make(np.random.default_rng(n), (TRIALS, n + 1))
    ends = np.array([interval(v[1:], level, whole=whole) for v in values])
    return float(((ends[:, 0] <= values[:, 0]) & (values[:, 0] <= ends[:, 1])).mean())


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [12, 17, 39, 64])
def test_gaussian_truths_are_covered(n, level):
    share = covered(lambda rng, shape: rng.normal(3, 2, shape), n, level)
    assert abs(share - level) < 0.02


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_assumed_of_the_distribution(level):
    """Skewed and heavy-tailed, as faint fluxes are: Student's t would miss the upper tail."""
    share = covered(lambda rng, shape: rng.lognormal(0, 1.2, shape), 64, level)
    assert abs(share - level) < 0.02


def test_plain_quantiles_of_17_draws_would_not_cover():
    """What the + 1 is for."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(TRIALS, 18))
    low, high = np.quantile(values[:, 1:], [0.025, 0.975], axis=1)
    assert ((low <= values[:, 0]) & (values[:, 0] <= high)).mean() < 0.9


@pytest.mark.parametrize("n", [17, 64])
@pytest.mark.parametrize("level", LEVELS)
def test_counts_are_covered_at_least(n, level):
    assert covered(lambda rng, shape: rng.poisson(3.0, shape), n, level, whole=True) > level - 0.01


@given(st.lists(st.integers(0, 30), min_size=2, max_size=70))
@settings(max_examples=60, deadline=None)
def test_counts_have_whole_ends_above_nothing(values):
    for level in LEVELS:
        low, high = interval(np.array(values, float), level, whole=True)
        assert low == int(low) >= 0
        assert high == int(high) >= low


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=90),
    st.floats(0.01, 100),
    st.floats(-1e3, 1e3),
)
@settings(max_examples=60, deadline=None)
def test_another_unit_is_another_unit_only(values, factor, offset):
    values = np.array(values)
    one, two = summarise(values), summarise(values * factor + offset)
    scale = 1e-9 * (np.abs(values).max() * factor + abs(offset) + 1)
    assert two.value == pytest.approx(one.value * factor + offset, abs=scale)
    for a, b in zip(one.intervals, two.intervals, strict=True):
        assert b == pytest.approx([end * factor + offset for end in a], abs=10 * scale)
        assert a[0] <= a[1]


@given(st.integers(2, 200))
@settings(max_examples=40, deadline=None)
def test_the_wider_interval_holds_the_narrower(n):
    values = np.random.default_rng(n).normal(size=n)
    (low68, high68), (low95, high95) = summarise(values).intervals
    # of 6 to 38 draws one is of order statistics and the other of a normal distribution
    assert low95 < low68 + 0.3
    assert high95 > high68 - 0.3


def test_one_draw_says_nothing_of_its_spread():
    one = summarise(np.array([5.0]))
    assert one.value == 5.0
    assert np.isnan([one.std, *sum(one.intervals, ())]).all()
    assert np.isnan(summarise(np.empty(0)).value)


def test_words_say_which_formula():
    assert "Student" in words(38, 0.95)
    assert words(39, 0.95) == "order statistics of 39 draws at rank 1 of 39 + 1 from either end"
