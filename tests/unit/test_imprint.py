"""The imprint of the grid is seen by the loss where the evaluation sees it, and nowhere else."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from sciup.evaluate.spectra import imprint as measured
from sciup.train.imprint import imprint, lines, uneven


def smooth_draws(seed, images=6, side=192):
    rng = np.random.default_rng(seed)
    draws = [
        [gaussian_filter(rng.standard_normal((side, side)), 1, mode="wrap") for _ in range(2)]
        for _ in range(images)
    ]
    return torch.tensor(np.array(draws))


def pattern(scale, side=192):
    """One bright place in every period, mean 0."""
    x = torch.zeros(side, side, dtype=torch.float64)
    x[::scale, ::scale] = 1
    return x - x.mean()


@pytest.mark.parametrize("scale", [2, 4])
def test_smooth_draws_have_no_imprint(scale):
    draws = smooth_draws(0)
    assert lines(draws, scale).abs().max() < 0.5  # few segments: chance
    assert lines(draws, scale).mean().abs() < 0.2
    assert uneven(draws, scale) < 0.02
    assert imprint(draws, draws, scale) < 0.1


@pytest.mark.parametrize("scale", [2, 4])
def test_a_pattern_stands_out_at_every_frequency(scale):
    draws = smooth_draws(1) + 0.3 * pattern(scale)
    assert lines(draws, scale).min() > 0.5
    assert uneven(draws, scale) < 0.02  # the same in both draws


@pytest.mark.parametrize("scale", [2, 4])
def test_a_random_pattern_stands_out_too(scale):
    """As from coarse noise that reaches the phases of the grid with different weights."""
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64).view(1, 2, 1, 1)
    assert lines(smooth_draws(2) + 0.3 * sign * pattern(scale), scale).min() > 0.5


@pytest.mark.parametrize("scale", [2, 4])
def test_places_that_scatter_more_are_uneven(scale):
    draws = smooth_draws(3) * (1 + 0.3 * pattern(scale))
    plain = uneven(smooth_draws(3), scale)
    # deviation 1.3 at one of scale^2 places: the relative variance of variances
    v = torch.ones(scale**2, dtype=torch.float64)
    v[0] = 1.3**2
    expected = float((v / v.mean()).var(correction=0))
    assert uneven(draws, scale) - plain == pytest.approx(expected, rel=0.35)


def test_the_loss_and_the_evaluation_mean_the_same():
    draws = smooth_draws(4) + 0.02 * pattern(4)
    found = np.mean([list(measured(d, 4).values()) for d in draws.flatten(0, 1).numpy()], axis=0)
    np.testing.assert_allclose(lines(draws, 4).numpy(), found, atol=0.3)
    assert max(found) > 3


def test_a_few_steps_on_the_gradient_take_the_pattern_away():
    draws = smooth_draws(5, images=3)
    amplitude = torch.full((), 0.1, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.Adam([amplitude], lr=0.01)
    for _ in range(30):
        descent.zero_grad()
        found = draws + amplitude * pattern(4)
        imprint(found, found, 4).backward()
        descent.step()
    assert amplitude.abs() < 0.03


def test_small_crops_and_equal_draws_are_finite():
    draws = torch.zeros(1, 2, 24, 24, requires_grad=True)
    imprint(draws, draws, 2).backward()
    assert torch.isfinite(draws.grad).all()
