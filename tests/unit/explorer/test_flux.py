"""The range of a flux: exact where everything is linear."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from sciup.explorer.flux import RISE, flux_range
from sciup.explorer.latents import Latents


class Linear:
    """Images that are linear in their noise, plus a bend."""

    def __init__(self, seed, bend=0.0):
        g = torch.Generator().manual_seed(seed)
        self.parts = [torch.randn(1, 1, 6, 6, generator=g) for _ in range(3)]
        self.level, self.bend = 10.0, bend

    def latents(self, k):
        g = torch.Generator().manual_seed(1000 + k)
        return Latents(*(torch.randn(1, 1, 6, 6, generator=g) for _ in range(3)))

    def whole(self, z):
        x = sum(a * b for a, b in zip(z, self.parts, strict=True))
        return x + self.bend * x**2 + self.level / 36


def length(stamp):
    return float(sum(p.square().sum() for p in stamp.parts)) ** 0.5


@given(st.integers(0, 50))
@settings(max_examples=20)
def test_ends_are_1_96_deviations_from_the_middle(seed):
    stamp = Linear(seed)
    found = flux_range(stamp, torch.ones(1, 1, 6, 6), draws=3)
    assert found.middle == pytest.approx(10.0, abs=1e-3)
    assert found.high - found.low == pytest.approx(2 * RISE * length(stamp), rel=1e-3)
    assert found.spread == pytest.approx(length(stamp), rel=1e-3)


@given(st.integers(0, 50))
@settings(max_examples=10)
def test_the_images_at_the_ends_have_the_fluxes_of_the_range(seed):
    stamp = Linear(seed, bend=0.02)
    found = flux_range(stamp, torch.ones(1, 1, 6, 6), draws=4)
    assert float(stamp.whole(found.faintest).sum()) == pytest.approx(found.low, rel=1e-4)
    assert float(stamp.whole(found.brightest).sum()) == pytest.approx(found.high, rel=1e-4)
    assert found.low < found.middle < found.high


@given(st.integers(0, 50))
@settings(max_examples=10)
def test_more_draws_never_make_the_range_shorter(seed):
    stamp, weight = Linear(seed, bend=0.05), torch.ones(1, 1, 6, 6)
    one, many = (flux_range(stamp, weight, draws=n) for n in (1, 5))
    assert many.low <= one.low + 1e-4
    assert many.high >= one.high - 1e-4


def test_progress_is_told():
    count = []
    flux_range(Linear(0), torch.ones(1, 1, 6, 6), draws=1, step=lambda: count.append(1))
    assert len(count) == 7


def test_a_flux_that_noise_cannot_change_has_a_range_of_no_length():
    found = flux_range(Linear(0), torch.zeros(1, 1, 6, 6), draws=2)
    assert (found.low, found.high) == (0, 0)
    assert np.isfinite([float(t.sum()) for t in found.brightest]).all()
