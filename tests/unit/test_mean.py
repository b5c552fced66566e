"""The map `mean`: nearer to the truth than an average of few draws, and no farther than it may."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.engine.margins import SEEN
from sciup.engine.mean import ERRORS, Moments, steadied
from sciup.stretch import AnscombeStretch, AsinhStretch

SCALE, SIDE = 2, 40
REACH = SEEN * SCALE
CORE = (..., slice(REACH, -REACH), slice(REACH, -REACH))
SKY, LIGHT = AsinhStretch(), AnscombeStretch.between(0.0, 200.0, 1.0)


def window(head, *, stretch=SKY, lock=0.0, rounds=1):
    """What `steadied` looks at of a window, with this mean head (working units of the median)."""
    spec = SimpleNamespace(scale=SCALE, trust=SimpleNamespace(rounds=rounds))
    sampler = SimpleNamespace(
        units=SimpleNamespace(stretch=stretch), net=SimpleNamespace(spec=spec)
    )
    return SimpleNamespace(
        sampler=sampler,
        features=SimpleNamespace(mean=stretch.forward(head)),
        inner=lambda x: x,
        lock=torch.tensor(float(lock)),
        fine=lambda x: x,
    )


def moments(draws):
    found = Moments(draws[:1, None])
    for draw in draws[1:]:
        found.add(draw[None, None] - found.first)
    return found


def some_draws(seed, count=5, sigma=1.0):
    rng = torch.Generator().manual_seed(seed)
    truth = torch.randn(SIDE, SIDE, generator=rng) * 3 + 40
    draws = truth + sigma * torch.randn(count, SIDE, SIDE, generator=rng)
    return truth, draws


def error(image, truth):
    return float((image[0, 0] - truth)[CORE].square().mean().sqrt())


@given(st.integers(0, 99), st.integers(2, 20))
@settings(max_examples=20, deadline=None)
def test_moments_are_those_of_all_draws_at_once(seed, count):
    _, draws = some_draws(seed, count)
    found = moments(draws)
    torch.testing.assert_close(found.average[0, 0], draws.mean(0))
    torch.testing.assert_close(found.variance[0, 0], draws.var(0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [3, 5, 17])
def test_a_good_head_takes_away_most_of_what_few_draws_leave(count):
    truth, draws = some_draws(1, count)
    found = moments(draws)
    # a head that knows the truth, in the units in which it was trained
    expected = truth - SKY.bend(truth) / 2
    better = steadied(window(expected[None, None]), found)
    plain = error(found.average, truth)
    assert plain == pytest.approx(count**-0.5, rel=0.1)
    assert error(better, truth) < 0.5 * plain


@given(st.integers(0, 99), st.floats(-100, 100))
@settings(max_examples=20, deadline=None)
def test_a_wrong_head_is_not_followed_beyond_the_errors_of_the_average(seed, off):
    truth, draws = some_draws(seed)
    found = moments(draws)
    moved = steadied(window(truth[None, None] + off), found) - found.average
    limit = ERRORS * (found.variance / found.count).sqrt()
    # the change and its local mean both keep to the limit
    assert (moved[CORE].abs() <= limit[CORE] + limit.max()).all()
    assert float(moved[CORE].mean().abs()) < 0.05 * float(limit.mean())


def test_flux_over_more_than_the_reach_is_the_draws():
    _, draws = some_draws(3)
    found = moments(draws)
    bump = torch.zeros(1, 1, SIDE, SIDE)
    bump[..., 18:22, 18:22] = 1.0
    moved = steadied(window(found.average + bump), found) - found.average
    assert float(moved[..., 19, 19]) > 0.3
    assert abs(float(moved[CORE].sum())) < 0.02 * float(moved[CORE].abs().sum())


def test_where_fluxes_are_locked_the_mean_is_the_draws():
    truth, draws = some_draws(4)
    found = moments(draws)
    assert torch.equal(steadied(window(truth[None, None], lock=1.0), found), found.average)
    free = steadied(window(truth[None, None], lock=1.0, rounds=0), found)
    assert error(free, truth) < 0.6 * error(found.average, truth)


@pytest.mark.parametrize(("stretch", "level"), [(SKY, 3.0), (SKY, 30.0), (LIGHT, 50.0)])
def test_the_bend_takes_the_mean_of_the_stretch_to_the_mean_of_the_values(stretch, level):
    rng = torch.Generator().manual_seed(5)
    u = stretch.forward(torch.tensor(level, dtype=torch.float64))
    v = stretch.inverse(u + 0.1 * torch.randn(10**6, generator=rng, dtype=torch.float64))
    middle = stretch.inverse(u)
    corrected = middle + stretch.bend(middle) * v.var() / 2
    plain, better = (abs(float(x - v.mean())) for x in (middle, corrected))
    assert better < 0.1 * plain


def test_the_bend_is_flat_on_the_tangent():
    assert float(LIGHT.bend(torch.tensor(-3.0))) == 0.0
