"""Bounds by hand, their symmetries, certificates and the words for them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.errors import InputError, ModelError, OptionError
from sciup.risk.betting import (
    FRACTIONS,
    PRIOR,
    STEPS,
    bin_bounds,
    bin_rates,
    log_wealth,
    upper_bound,
)
from sciup.risk.certificate import Certificate, certify
from sciup.risk.words import percent, sentence

seeds = st.integers(0, 2**32 - 1)
quick = settings(max_examples=10)


def shares(seed, number=30, bins=4):
    """Wrong and all shares of units with effects; bins add up to 1 at most."""
    generator = np.random.default_rng(seed)
    weight = generator.dirichlet(np.ones(bins + 1), number)[:, :bins]
    return weight * generator.beta(0.5, 3, (number, bins)), weight


def rates_of(seed, number=30, bins=4):
    return bin_rates(*shares(seed, number, bins))


def by_the_book(rates, u):
    """Wealth as the sum over the stakes of a product over units."""
    return sum(
        p * np.prod([1 - f / (1 - u) * (r - u) for r in rates])
        for p, f in zip(PRIOR, FRACTIONS, strict=True)
    )


@quick
@given(seeds, st.floats(0.01, 0.99))
def test_wealth_is_the_mixture_of_products(seed, u):
    rates = rates_of(seed, 8)[:, 0]
    rates = rates[np.isfinite(rates)]
    assert np.exp(log_wealth(rates, u)) == pytest.approx(by_the_book(rates, u), rel=1e-9)
    # who does not count neither wins nor loses
    assert log_wealth([*rates, np.nan], u) == pytest.approx(float(log_wealth(rates, u)))


def test_the_gambler_starts_with_1_and_can_lose_all_but_no_more():
    assert PRIOR.sum() == pytest.approx(1)
    assert 0 < FRACTIONS.min() < FRACTIONS.max() == 1
    worst = np.exp(log_wealth([1.0], 0.3))
    assert worst == pytest.approx((PRIOR * (1 - FRACTIONS)).sum())
    assert log_wealth([np.nan], 0.3) == pytest.approx(0)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_a_fair_game_is_fair(rate):
    """With coins the mean of the wealth at the truth is exactly 1: no more could be staked."""
    wealth = np.exp(log_wealth(np.array([[0.0], [1.0]]), rate))
    assert wealth @ [1 - rate, rate] == pytest.approx(1)


@quick
@given(seeds)
def test_bisection_is_the_scan_down_from_1(seed):
    rates = rates_of(seed, 15)[:, 0]
    rejected = log_wealth(rates, np.arange(STEPS) / STEPS) >= -np.log(0.05)
    stop = np.flatnonzero(~rejected)[-1]  # the first from above that is not rejected
    assert upper_bound(rates, 0.05) == (stop + 1) / STEPS
    assert not rejected[: stop + 1].any()


@quick
@given(seeds)
def test_bounds_do_not_depend_on_order_and_lie_above_the_mean(seed):
    h, w = shares(seed)
    order = np.random.default_rng(seed).permutation(len(h))
    bounds = bin_bounds(h, w, 0.1)
    np.testing.assert_array_equal(bounds, bin_bounds(h[order], w[order], 0.1))
    assert (bounds >= np.nanmean(bin_rates(h, w), 0)).all()
    assert (np.diff(bounds) >= 0).all()


@quick
@given(seeds)
def test_more_errors_and_stricter_levels_raise_bounds(seed):
    rates = rates_of(seed).T
    bounds = upper_bound(rates, 0.1)
    assert (upper_bound(np.minimum(1.3 * rates, 1), 0.1) >= bounds).all()
    assert (upper_bound(rates, 0.01) >= bounds).all()


def test_how_much_of_the_colour_a_field_has_does_not_matter_but_whether_it_has_any_does():
    few = np.tile([[0.01], [0.3]], (20, 1))
    rate = np.tile([[0.4], [0.1]], (20, 1))
    np.testing.assert_allclose(bin_rates(few * rate, few), rate)
    hardly = 0.09 * few
    assert np.isnan(bin_rates(hardly * 0.4, hardly)[::2]).all()
    assert np.isfinite(bin_rates(hardly * 0.4, hardly)[1::2]).all()


def test_no_errors():
    """The stake of all wins (1 - u)^-n; its half of the wealth alone bounds what is needed."""
    for n in (12, 52, 100):
        found = upper_bound(np.zeros(n), 0.1)
        perfect = 1 - 0.1 ** (1 / n)
        assert perfect <= found <= 1 - (0.1 / 2) ** (1 / n) + 2 / STEPS


def test_edge_cases():
    assert upper_bound(np.ones(50), 0.1) == 1  # all wrong
    assert upper_bound(np.full(50, np.nan), 0.1) == 1  # none counts
    assert upper_bound([0.0], 0.1) > 0.9  # one unit
    with pytest.raises(InputError, match="no unit"):
        upper_bound([], 0.1)
    for rate in (-0.1, 1.1):
        with pytest.raises(InputError, match="0 to 1"):
            upper_bound([rate, np.nan], 0.1)
    for h, w in (([0.5], [0.4]), ([-0.1], [0.5]), ([0.5], [1.5]), ([np.nan], [1.0])):
        with pytest.raises(InputError, match="out of order"):
            bin_bounds([h], [w], 0.1)
    with pytest.raises(OptionError, match="no probability"):
        upper_bound([0.0], 0.0)


def test_an_empty_bin_is_unknown_and_does_not_raise_those_above():
    weight = np.tile([0.4, 0.0, 0.4], (60, 1))
    bounds = bin_bounds(0.1 * weight, weight, 0.1)
    assert np.isnan(bounds[1])
    assert bounds[0] == bounds[2] < 0.2
    rising = bin_bounds(weight * [0.5, 0, 0], weight, 0.1)
    assert rising[2] == rising[0] > 0.5


def test_a_batch_of_calibrations_equals_one_after_the_other():
    found = [shares(s) for s in range(4)]
    both = bin_bounds(*(np.stack(x) for x in zip(*found, strict=True)), 0.1)
    np.testing.assert_array_equal(both, [bin_bounds(h, w, 0.1) for h, w in found])


def certificate():
    good, bad = shares(0, 80), shares(1, 15)
    return certify({"nuclei": good, "actin": (bad[0] * 0, bad[1] * [1, 1, 1, 0])})


def test_a_group_has_its_own_bounds_and_an_unknown_one_the_worst():
    found = certificate()
    assert found.units == {"nuclei": 80, "actin": 15}
    assert found.bound("actin") != found.bound("nuclei")
    rows = np.array(list(found.bounds.values()))
    np.testing.assert_array_equal(found.bound("tubulin"), np.fmax(*rows))
    assert np.isnan(found.bound("actin")[3])
    assert not np.isnan(found.bound()[3])
    with pytest.raises(InputError, match="no group"):
        certify({})


def test_certificates_survive_json_and_unknown_keys_do_not():
    found = certificate()
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    again = Certificate.from_dict(plain)
    assert again.to_dict() == found.to_dict()
    for change in (
        {"colour": 1},
        {"delta": 2},
        {"units": {"nuclei": 80}},
        {"bounds": plain["bounds"] | {"actin": [0.1]}},
        {"bounds": plain["bounds"] | {"actin": [0.1, 0.2, 0.3, 1.1]}},
    ):
        with pytest.raises(ModelError):
            Certificate.from_dict(plain | change)


def test_words_never_promise_more_than_the_bound():
    assert percent(0.2001) == "21 %"
    assert percent(0.29) == "29 %"
    assert percent(float("nan")) == "unknown"
    assert "at most about 21 %" in sentence(0.2001, 0.1)
    assert "95 % confidence" in sentence(0.2, 0.05)
    assert "nothing is certified" in sentence(float("nan"), 0.1)
    assert "too few" in sentence(1.0, 0.1)
