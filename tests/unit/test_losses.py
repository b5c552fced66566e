"""Scores are proper: in expectation nothing scores better than draws from the truth's own law."""

import itertools

import pytest
import torch

from sciup.train.losses import ALMOST, WAVE, crps, energy, total, waves
from sciup.train.recipe_parts import LossWeights


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_crps_is_what_its_formula_says():
    draws, truth = normal(2, 5, 3, 4), normal(2, 1, 3, 4, seed=1)
    m, eps = 5, (1 - ALMOST) / 5
    pairs = sum(
        (draws[:, i] - draws[:, j]).abs().mean() for i, j in itertools.product(range(m), repeat=2)
    )
    expected = (draws - truth).abs().mean() - (1 - eps) / (2 * m * (m - 1)) * pairs
    torch.testing.assert_close(crps(draws, truth), expected)


TRUTH, DRAWS = normal(4, 1, 160, 160, seed=1), normal(4, 3, 160, 160, seed=2)
RIGHT = crps(DRAWS, TRUTH)


@pytest.mark.parametrize("spread", [0.0, 0.5, 0.8, 1.25, 2.0])
def test_fair_crps_prefers_the_right_spread(spread):
    assert crps(DRAWS * spread, TRUTH) > RIGHT + 0.003


@pytest.mark.parametrize("shift", [-1.0, -0.3, 0.3, 1.0])
def test_fair_crps_prefers_the_right_mean(shift):
    assert crps(DRAWS + shift, TRUTH) > RIGHT + 0.01


def test_fair_crps_prefers_two_modes_to_their_mean():
    truth = normal(4, 1, 160, 160, seed=3).sign()
    right = crps(normal(4, 3, 160, 160, seed=4).sign(), truth)
    assert crps(torch.zeros(4, 3, 160, 160, dtype=torch.float64), truth) > right + 0.3


def test_value_of_the_crps_of_a_normal_law():
    """For a perfect forecast of N(0, 1) the CRPS is 1 / sqrt(pi)."""
    assert float(RIGHT) == pytest.approx(torch.pi**-0.5, abs=0.02)


def test_score_hardly_depends_on_the_number_of_draws():
    more = normal(4, 8, 160, 160, seed=5)
    assert float(crps(more, TRUTH)) == pytest.approx(float(RIGHT), abs=0.015)


def smooth(x):
    """Correlate neighbours and keep the variance at 1."""
    return (x + x.roll(1, -1) + x.roll(1, -2) + x.roll((1, 1), (-1, -2))) / 2


@pytest.mark.parametrize("side", [4, 12])
@pytest.mark.parametrize("spread", [0.6, 1.6])
def test_energy_score_prefers_the_right_spread(side, spread):
    assert energy(DRAWS * spread, TRUTH, side) > energy(DRAWS, TRUTH, side) + 0.01


def test_energy_score_prefers_the_right_correlation():
    """Marginals are the same: only the joint law of a patch differs."""
    right = energy(smooth(DRAWS), smooth(TRUTH), 4)
    assert energy(DRAWS, smooth(TRUTH), 4) > right + 0.002
    assert abs(crps(DRAWS, smooth(TRUTH)) - crps(smooth(DRAWS), smooth(TRUTH))) < 0.01


def test_waves_of_white_noise_have_unit_variance_and_no_mean_of_the_window():
    found = waves(TRUTH)
    places = (160 // (WAVE // 2) - 1) ** 2
    assert found.shape == (4, 1, WAVE**2 - 1, places)
    variance = found.var((0, 1, 3))
    assert (abs(variance - 1) < 0.1).all()


def test_waves_of_a_grating_stand_at_its_period_and_direction():
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    one, other = (
        torch.cos(2 * torch.pi * (y + sign * x) / 4)[None, None].double() for sign in (1, -1)
    )
    power = [waves(v).square().mean((0, 1, 3)) for v in (one, other)]
    assert power[0].argmax() != power[1].argmax()
    assert power[0][power[1].argmax()] < 1e-3 * power[0].max()


def streaky(x):
    """Correlate along one diagonal only, with the variance of `smooth` in pixels and in pairs."""
    return (x + x.roll((1, 1), (-1, -2))) / 2**0.5


def test_waves_tell_streaks_from_their_mirror_image():
    """Pixels and block means cannot: their laws are the same."""

    def mirrored(x):
        return streaky(x.flip(-1)).flip(-1)

    def score(draws, view):
        return float(crps(view(draws), view(mirrored(TRUTH))))

    def blind(x):
        return torch.nn.functional.avg_pool2d(x, 4)

    wrong, right = streaky(DRAWS), mirrored(DRAWS)
    assert score(wrong, waves) > score(right, waves) + 0.02
    assert abs(score(wrong, blind) - score(right, blind)) < 0.01
    assert abs(score(wrong, torch.Tensor.double) - score(right, torch.Tensor.double)) < 0.01


def test_total_is_the_sum_of_its_terms_and_has_gradients():
    draws = normal(2, 3, 48, 48).requires_grad_()
    mean = normal(2, 1, 48, 48, seed=6).requires_grad_()
    truth, scale = normal(2, 1, 48, 48, seed=7), torch.full((2, 1, 48, 48), 2.0)
    loss, terms = total(draws, truth, mean, draws, truth, scale, LossWeights())
    assert set(terms) == {"crps", "waves", "blocks", "linear", "energy", "mean"}
    assert float(loss.detach()) == pytest.approx(sum(terms.values()))
    loss.backward()
    assert torch.isfinite(draws.grad).all()
    assert (draws.grad != 0).any()
    # the mean head learns from its own term only
    torch.testing.assert_close(mean.grad, 2 * (mean - truth).detach() / mean.numel())


def test_equal_draws_have_a_finite_gradient():
    draws = torch.zeros(1, 2, 16, 16, requires_grad=True)
    (
        crps(draws, torch.zeros(1, 1, 16, 16)) + energy(draws, torch.zeros(1, 1, 16, 16), 4)
    ).backward()
    assert torch.isfinite(draws.grad).all()


def test_octaves_see_waves_that_are_longer_than_a_window():
    """Stripes 24 px apart that lie the wrong way are seen by the third octave only."""
    y = torch.arange(160, dtype=torch.float64)[:, None].expand(160, 160)
    phases = torch.arange(4 * 4).view(4, 4, 1, 1) * 2.1

    def stripes(turned):
        field = torch.sin(2 * torch.pi * y / 24 + phases) * 2**0.5
        return field.transpose(-1, -2) if turned else field

    upright, level = stripes(True), stripes(False)
    truth, honest, turned = upright[:, :1], upright[:, 1:], level[:, 1:]
    zero = dict.fromkeys(("crps", "block_means", "linear", "energy", "mean"), 0.0)

    def score(draws, octaves):
        weights = LossWeights(**zero, waves=1.0, octaves=octaves)
        ones = torch.ones_like(truth)
        return total(draws, truth, truth, draws, truth, ones, weights)[0]

    fine, coarse = (score(turned, n) - score(honest, n) for n in (1, 3))
    assert coarse > 2 * fine > 0
