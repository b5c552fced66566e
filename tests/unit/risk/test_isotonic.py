"""Curves rise, bins hold their share, and calibrations survive JSON."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.errors import InputError, ModelError, OptionError
from sciup.risk.isotonic import BINS, RiskMap, bin_edges, fit

seeds = st.integers(0, 2**32 - 1)


def data(seed, number=400):
    generator = np.random.default_rng(seed)
    score = (generator.integers(0, 17, number) + 0.5) / 17
    wrong = generator.random(number) < score**2
    return score, wrong, generator.random(number), generator.lognormal(1, 1, number)


def fitted(seed=0, **changes):
    options = {"draws": 16, "strata": [2.0, 5.0], "smallest": 0.02} | changes
    return fit(*data(seed), **options)


def test_violators_are_pooled_by_weight():
    m = fit([0.1, 0.5, 0.9], [0, 1, 0.25], [1, 1, 3], 1.0, draws=16, strata=[], smallest=0.1)
    np.testing.assert_allclose(m.probability([0.1, 0.5, 0.9], 1.0), [0, 0.4375, 0.4375])
    assert m.edges == (0.21875,)
    np.testing.assert_array_equal(m.bin([0.0, 0.3, np.nan]), [0, 1, -1])


def test_counts_may_be_given_instead_of_pixels():
    one = fit([0.1, 0.1, 0.1, 0.5], [0, 0, 1, 1], 1.0, 1.0, draws=4, strata=[], smallest=0.1)
    two = fit([0.1, 0.5], [1 / 3, 1], [3, 1], 1.0, draws=4, strata=[], smallest=0.1)
    np.testing.assert_allclose(one.probabilities, two.probabilities)


@settings(max_examples=20)
@given(seeds)
def test_probabilities_rise_with_the_score_in_every_stratum(seed):
    m = fitted(seed)
    score = np.linspace(0, 1, 101)
    for snr in (0.5, 3.0, 50.0):
        p = m.probability(score, snr)
        assert (np.diff(p) >= 0).all()
        assert ((p >= 0) & (p <= 1)).all()
        assert (np.diff(m.bin(p)) >= 0).all()


@settings(max_examples=20)
@given(seeds, st.sampled_from([0.02, 0.1, 0.3, 0.6]))
def test_bins_hold_the_smallest_share(seed, smallest):
    score, _, weight, snr = data(seed)
    m = fitted(seed, smallest=smallest)
    share = np.bincount(m.bin(m.probability(score, snr)), weight, m.bins) / weight.sum()
    assert m.bins <= BINS
    assert share.min() >= smallest - 1e-9


def test_bins_are_the_best_of_all_groupings():
    generator = np.random.default_rng(1)
    p, w = np.sort(generator.random(9)), generator.random(9)

    def lost(cuts):
        groups = np.split(np.arange(9), cuts)
        return sum((w[g] * (p[g] - np.average(p[g], weights=w[g])) ** 2).sum() for g in groups)

    every = [(i, j) for i in range(1, 8) for j in range(i + 1, 9)]
    found = np.searchsorted(p, bin_edges(p, w, 0.0, 3))
    assert lost(found) == pytest.approx(min(lost(c) for c in every))


def test_a_stratum_without_pixels_takes_the_curve_of_all():
    m = fit([0.1, 0.9], [0, 1], 1.0, [3.0, 3.0], draws=16, strata=[2.0, 5.0], smallest=0.1)
    assert m.probabilities[0] == m.probabilities[1] == m.probabilities[2]


def test_masked_pixels_neither_count_nor_get_a_probability():
    m = fit([0.1, 0.9, np.nan, 0.1], [0, 1, 1, np.nan], 1.0, 3.0, draws=16, strata=[], smallest=0.1)
    assert m.probabilities == ((0.0, 1.0),)
    assert np.isnan(m.probability([np.nan, 0.5], [1.0, np.nan])).all()
    with pytest.raises(InputError, match="no pixel of fold 1"):
        fit([np.nan], [1], 1.0, 1.0, draws=16, strata=[], smallest=0.1)
    with pytest.raises(OptionError, match="strata"):
        fitted(strata=[5.0, 2.0])


def test_all_right_and_all_wrong_are_one_bin():
    for value in (0, 1):
        m = fit([0.1, 0.5, 0.9], value, 1.0, 1.0, draws=16, strata=[], smallest=0.1)
        assert m.edges == ()
        assert (m.probability([0.0, 1.0], 1.0) == value).all()


def test_json_there_and_back():
    m = fitted()
    assert RiskMap.from_dict(json.loads(json.dumps(m.to_dict()))) == m


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": 1}, "unknown key 'colour'"),
        ({"edges": [0.5, 0.2]}, "do not fit"),
        ({"edges": [1.5]}, "from 0 to 1"),
        ({"edges": "0.5"}, "a list of numbers"),
        ({"strata": [1.0]}, "do not fit"),
        ({"draws": 0}, "draws"),
        ({"probabilities": [[0.5, 0.1]] * 3, "scores": [[0.1, 0.2]] * 3}, "do not fit"),
    ],
)
def test_broken_files_are_refused(change, message):
    with pytest.raises(ModelError, match=message):
        RiskMap.from_dict(fitted().to_dict() | change)


def test_missing_keys_are_refused():
    rest = {k: v for k, v in fitted().to_dict().items() if k != "edges"}
    with pytest.raises(ModelError, match="lacks the key 'edges'"):
        RiskMap.from_dict(rest)
    with pytest.raises(ModelError, match="not a mapping"):
        RiskMap.from_dict([])
