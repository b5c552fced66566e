"""Every promise against its level, over simulated calibrations, and where the promise ends.

A world is a bank of 800 fields, each a unit with its own quality and correlated pixels. A
calibration draws units from the bank with replacement, so that the truth is known exactly: it is
the mean over the bank.
"""

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciup.risk.badge import Domain, conformal_p, field_score
from sciup.risk.betting import bin_bounds, bin_rates, upper_bound
from sciup.risk.control import (
    alarm_threshold,
    interval_scaling,
    outside_shares,
    unflagged_shares,
)
from sciup.risk.familiar import strangest
from sciup.risk.folds import field_shares
from sciup.risk.isotonic import fit
from sciup.risk.votes import verdict, vote

FIELDS, SIDE, DRAWS, UNITS, DELTA = 800, 16, 8, 60, 0.1
repeats = pytest.mark.parametrize(
    "repeats", [200, pytest.param(2000, marks=pytest.mark.slow)], ids=str
)


def at_most(level, repeats):
    """What a rate that is `level` can show: 3 standard errors more."""
    return level + 3 * np.sqrt(level * (1 - level) / repeats)


@cache
def world(error=1.0, effect=0.5, seed=0):
    """Scores and events (fields, 16), from draws whose spread is right where `error` is 1."""
    generator = np.random.default_rng(seed)
    shape = (FIELDS * SIDE, SIDE)

    def field():
        x = generator.standard_normal((FIELDS, SIDE, SIDE), np.float32)
        return (3 * gaussian_filter(x, (0, 2, 2))).reshape(shape)

    spread = gaussian_filter(generator.lognormal(0, 1, shape), (0, 4))
    quality = generator.lognormal(0, effect, (FIELDS, 1, 1))
    truth = (field().reshape(FIELDS, SIDE, SIDE) * quality * error).reshape(shape) * spread
    delivered = field() * spread
    tolerance = np.ones(shape)
    # blocks of 4 px never mix two fields
    risk = vote(delivered, (field() * spread for _ in range(DRAWS)), tolerance, 4).risk
    wrong = np.abs(verdict(delivered, truth, tolerance, 4))
    return tuple(x.reshape(FIELDS, -1) for x in (risk, wrong))


@cache
def calibrated(**kind):
    """Map of fold 1 (30 fields) and the shares of the other fields: wrong, all (fields, bins)."""
    risk, wrong = world(**kind)
    m = fit(
        risk[:30].ravel(), wrong[:30].ravel(), 1.0, 1.0,
        draws=DRAWS, strata=[],
    )  # fmt: skip
    return m, *shares_of(m, risk[30:], wrong[30:])


def shares_of(m, risk, wrong):
    bins = m.bin(m.probability(risk, 1.0))
    found = [field_shares(b, h, m.bins) for b, h in zip(bins, wrong, strict=True)]
    return tuple(np.stack(x) for x in zip(*found, strict=True))


def calibrations(number, repeats, units=UNITS):
    return np.random.default_rng(1).integers(0, number, (repeats, units))


KINDS = pytest.mark.parametrize(
    "kind",
    [
        {},
        {"error": 3.0},
        {"error": 0.5},
        {"effect": 1.5},
    ],
    ids=["honest", "overconfident", "timid", "strong-effects"],
)


@KINDS
@repeats
def test_certified_bounds_of_bins_hold_together(kind, repeats):
    m, wrong, weight = calibrated(**kind)
    assert m.bins >= 2
    true = np.nanmean(bin_rates(wrong, weight), 0)
    pick = calibrations(len(wrong), repeats)
    bounds = bin_bounds(wrong[pick], weight[pick], DELTA)
    assert (bounds < true).any(1).mean() <= at_most(DELTA, repeats)
    # and they say something in every bin
    assert (np.median(bounds, 0) < np.maximum.accumulate(true) + 0.25).all()


@pytest.mark.parametrize("units", [12, 52, 100])
@repeats
def test_the_bound_holds_where_it_is_tightest(units, repeats):
    """A few units that are wrong throughout, just too rare to be seen at 90 % confidence."""
    silent = float(upper_bound(np.zeros(units), DELTA))
    rate = silent + 1e-6
    wrong = np.random.default_rng(2).random((repeats, units)) < rate
    bounds = upper_bound(wrong, DELTA)
    missed = (bounds < rate).mean()
    assert 0 < missed <= at_most(DELTA, repeats)


@repeats
def test_the_promise_is_about_fields_and_not_about_pixels(repeats):
    """A few fields that are full of a colour and wrong there: what a mean over fields can hide."""
    generator = np.random.default_rng(3)
    large = generator.random((repeats, UNITS, 1)) < 0.05
    weight = np.where(large, 1.0, 0.05)
    wrong = np.where(large, 0.9, 0.0)
    bounds = bin_bounds(wrong, weight, DELTA)
    assert (bounds < 0.05 * 0.9).mean() <= at_most(DELTA, repeats)
    pooled = 0.05 * 0.9 / (0.05 + 0.95 * 0.05)
    assert (bounds < pooled).mean() > 0.9


def test_a_plain_mean_would_break_the_promise():
    _, wrong, weight = calibrated()
    rates = bin_rates(wrong, weight)
    means = np.nanmean(rates[calibrations(len(wrong), 200)], 1)
    assert (means < np.nanmean(rates, 0)).any(1).mean() > 0.4


def test_the_certificate_fails_under_shift():
    """Fields of another instrument: the same map, errors three times as large, no guarantee."""
    m, wrong, weight = calibrated()
    pick = calibrations(len(wrong), 200)
    bounds = bin_bounds(wrong[pick], weight[pick], DELTA)
    true = np.nanmean(bin_rates(*shares_of(m, *world(error=3.0, seed=9))), 0)
    assert (bounds < true).any(1).mean() > 0.9


def losses_of_alarm(**kind):
    risk, wrong = world(**kind)
    thresholds = np.linspace(0, 1, 21)
    found = [unflagged_shares(p, h, thresholds) for p, h in zip(risk, wrong, strict=True)]
    return thresholds, *(np.stack(x) for x in zip(*found, strict=True))


@pytest.mark.parametrize("kind", [{}, {"error": 3.0}], ids=["honest", "overconfident"])
@repeats
def test_the_alarm_leaves_alpha_on_average_over_calibrations(kind, repeats):
    alpha, units = 0.2, 30
    thresholds, missed, flagged = losses_of_alarm(**kind)
    found = [
        alarm_threshold(missed[p], flagged[p], thresholds, alpha)
        for p in calibrations(len(missed), repeats, units)
    ]
    at = np.searchsorted(thresholds, [a.threshold for a in found])
    left = missed.mean(0)[at]
    assert left.mean() <= alpha + 3 * left.std() / np.sqrt(repeats)
    assert left.mean() > alpha / 4
    prices = [a.flagged for a in found]
    assert np.mean(prices) == pytest.approx(flagged.mean(0)[at].mean(), abs=0.03)


@repeats
def test_intervals_cover_with_confidence(repeats):
    alpha, scalings = 0.1, np.geomspace(0.5, 50, 40)
    generator = np.random.default_rng(4)
    quality = generator.lognormal(0, 0.4, (FIELDS, 1))
    z = gaussian_filter(generator.standard_normal((FIELDS, 256)), (0, 3), mode="wrap")
    truth = z / z.std() * quality
    losses = np.stack([outside_shares(0, -1, 1, x, scalings) for x in truth])
    found = [
        interval_scaling(losses[p], np.full(UNITS, 2.0), scalings, alpha, DELTA)
        for p in calibrations(FIELDS, repeats)
    ]
    at = np.searchsorted(scalings, [i.scaling for i in found])
    over = losses.mean(0)[at] > alpha
    assert over.mean() <= at_most(DELTA, repeats)
    least = scalings[losses.mean(0) <= alpha][0]
    assert np.median(scalings[at]) < 2 * least
    assert found[0].length == pytest.approx(2 * found[0].scaling)


@repeats
def test_the_badge_rarely_fires_at_home_and_always_abroad(repeats):
    generator, units, alpha = np.random.default_rng(5), 59, 0.1
    effect = generator.lognormal(0, 0.3, (FIELDS, 1, 1))
    scores = strangest(effect * generator.lognormal(0, 0.5, (FIELDS, 20, 5)))
    strange_scores = scores * 5
    fields = np.array([field_score(s) for s in scores])
    home = away = some = 0
    for pick in calibrations(FIELDS, repeats, units + 2):
        known = pick[:units]
        domain = Domain(scores[known, 0], fields[known], alpha)
        calm, strange = domain.judge(scores[pick[-1]]), domain.judge(strange_scores[pick[-2]])
        home += calm.outside
        some += calm.fired
        away += strange.outside
    assert home / repeats <= at_most(alpha, repeats)
    assert away / repeats > 0.9
    # on average over fields, whose blocks share an effect
    assert some / repeats <= at_most(alpha, repeats)


def test_conformal_p_values_are_uniform_at_most():
    generator = np.random.default_rng(6)
    p = np.array([conformal_p(x[0], x[1:]) for x in generator.standard_cauchy((4000, 20))])
    for t in (0.05, 0.1, 0.3, 0.7):
        assert (p <= t).mean() <= at_most(t, 4000)
    assert (p <= 0.5).mean() == pytest.approx(0.5, abs=0.03)
