"""Stretches can be undone exactly, know their slope, and make noise even."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sciup.stretch import AnscombeStretch, AsinhStretch

STRETCHES = {
    "asinh": AsinhStretch(),
    "asinh, knee 1": AsinhStretch(knee=1.0),
    "anscombe": AnscombeStretch.between(2.0, 400.0, 1.5),
    "anscombe, quiet camera": AnscombeStretch.between(-1.0, 20.0, 0.0),
}
each = pytest.mark.parametrize("stretch", STRETCHES.values(), ids=STRETCHES)
V = np.concatenate([-np.geomspace(1e4, 1e-3, 60), [0.0], np.geomspace(1e-3, 1e6, 90)])


@each
def test_inverse_undoes_forward(stretch):
    np.testing.assert_allclose(stretch.inverse(stretch.forward(V)), V, rtol=1e-9, atol=1e-9)


@each
def test_monotone(stretch):
    assert (np.diff(stretch.forward(V)) > 0).all()


@each
def test_slope_is_the_derivative(stretch):
    h = 1e-4 * (1 + np.abs(V))
    numeric = (stretch.forward(V + h) - stretch.forward(V - h)) / (2 * h)
    np.testing.assert_allclose(stretch.slope(V), numeric, rtol=1e-3)


@each
def test_numpy_and_torch_agree(stretch):
    t = torch.from_numpy(V)
    for name in ("forward", "slope"):
        got = getattr(stretch, name)(t)
        assert isinstance(got, torch.Tensor)
        np.testing.assert_allclose(got.numpy(), getattr(stretch, name)(V), rtol=1e-12)
    np.testing.assert_allclose(stretch.inverse(stretch.forward(t)).numpy(), V, rtol=1e-9, atol=1e-9)


@given(st.floats(-1e5, 1e5), st.floats(0, 10), st.floats(0, 100), st.floats(1, 5000))
def test_anscombe_round_trip_anywhere(v, read_noise, dark, height):
    s = AnscombeStretch.between(dark, dark + height, read_noise)
    back = float(s.inverse(s.forward(np.float64(v))))
    assert back == pytest.approx(v, rel=1e-7, abs=1e-6)


@each
def test_in_place_gives_the_same_bits(stretch):
    u = torch.linspace(-2, 3, 10001)
    assert torch.equal(stretch.inverse_(u.clone()), stretch.inverse(u))


def test_anscombe_ends():
    s = AnscombeStretch.between(3.0, 700.0, 2.0)
    np.testing.assert_allclose(s.forward(np.array([3.0, 700.0])), [0, 1], atol=1e-12)


@pytest.mark.parametrize(("mean", "read_noise"), [(20, 0.0), (20, 2.0), (200, 1.0), (2000, 3.0)])
def test_anscombe_makes_noise_even(mean, read_noise):
    rng = np.random.default_rng(1)
    v = rng.poisson(mean, 200_000) + rng.normal(0, read_noise, 200_000)
    s = AnscombeStretch.between(0.0, 4000.0, read_noise)
    assert np.std(s.forward(v)) * s.span == pytest.approx(1, abs=0.03)


def test_anscombe_takes_one_set_of_parameters_per_image():
    dark, bright = torch.tensor([1.0, 5.0]), torch.tensor([50.0, 900.0])
    s = AnscombeStretch.between(*(t.view(2, 1, 1, 1) for t in (dark, bright, torch.ones(2))))
    v = torch.rand(2, 1, 4, 5) * 100 - 5
    both = s.forward(v)
    for i in range(2):
        one = AnscombeStretch.between(float(dark[i]), float(bright[i]), 1.0)
        torch.testing.assert_close(both[i], one.forward(v[i]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(s.inverse(both), v, rtol=1e-4, atol=1e-3)


def test_asinh_never_overflows():
    u = np.array([-1e30, -100, 100, 1e30], np.float32)
    assert np.isfinite(AsinhStretch().inverse(u)).all()
    assert torch.isfinite(AsinhStretch().inverse(torch.from_numpy(u))).all()


def test_asinh_is_linear_near_the_sky():
    s = AsinhStretch(knee=3.0)
    assert s.forward(np.float64(0.01)) == pytest.approx(0.01 / 3, rel=1e-4)
