"""A is blur and block mean; the projection keeps flux, is stable, and locks bright sources."""

import itertools

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from sciup.physics.projection import (
    REACH_A,
    STRONG,
    WIENER,
    Projection,
    Trust,
    bend,
    forward_kernel,
    kernel_side,
    lock_weight,
    update_kernel,
)
from sciup.physics.psf import airy, gaussian, moffat

SHAPES = {
    "gaussian": gaussian,
    "airy": airy,
    "moffat": lambda side, fwhm: moffat(side, fwhm, 3.0),
}
CASES = list(itertools.product((1, 2, 4), SHAPES, (0.7, 1.5, 2.5, 3.5)))
each = pytest.mark.parametrize(("scale", "shape", "fwhm"), CASES)
scales = pytest.mark.parametrize("scale", [1, 2, 4, 8])


def kernel_of(scale, shape="gaussian", fwhm=1.8):
    return SHAPES[shape](kernel_side(scale), fwhm * scale)


def lopsided(scale):
    """A kernel without any symmetry: a flipped or transposed A would be noticed."""
    k = gaussian(kernel_side(scale), 1.6 * scale, 0.2, 0.1)
    k = k + 0.4 * np.roll(k, (scale, -2 * scale), (0, 1))
    return k / k.sum()


def tensor(x):
    return torch.from_numpy(np.asarray(x, np.float32))[None, None]


def blocks(x, scale):
    h, w = (n // scale for n in x.shape)
    return x.reshape(h, scale, w, scale).mean((1, 3))


@scales
def test_observe_is_convolution_then_block_mean(scale):
    side, k = 40, lopsided(scale)
    x = np.random.default_rng(0).normal(0, 1, (side * scale, side * scale))
    expected = blocks(fftconvolve(x, k, mode="same"), scale)
    got = Projection.build([k], scale, side).observe(tensor(x))[0, 0].numpy()
    inside = np.s_[REACH_A:-REACH_A, REACH_A:-REACH_A]
    np.testing.assert_allclose(got[inside], expected[inside], atol=2e-5)


@scales
def test_every_batch_entry_has_its_own_kernel(scale):
    kernels = [kernel_of(scale, fwhm=f) for f in (1.0, 3.0)]
    x = torch.randn(2, 1, 24 * scale, 24 * scale, generator=torch.Generator().manual_seed(0))
    both = Projection.build(kernels, scale, 24).observe(x)
    for i, k in enumerate(kernels):
        one = Projection.build([k], scale, 24).observe(x[i : i + 1])
        torch.testing.assert_close(both[i : i + 1], one, rtol=1e-4, atol=1e-5)


@each
def test_flux_is_kept_exactly(scale, shape, fwhm):
    k = kernel_of(scale, shape, fwhm)
    assert forward_kernel(k, scale).sum() == pytest.approx(1, abs=1e-12)
    for trust in (WIENER, STRONG):
        u = update_kernel(k, scale, trust)
        n = u.shape[0] // scale
        phases = u.reshape(n, scale, n, scale).sum((0, 2))
        np.testing.assert_allclose(phases, 1, atol=1e-12)
        # a constant residual is corrected by that constant, so A U has gain 1 at frequency 0
        assert response(k, scale, trust)[0, 0].real == pytest.approx(1, abs=1e-9)


def response(k, scale, trust, side=32):
    """Eigenvalues of A U on the input grid, in float64."""
    a, u = forward_kernel(k, scale), update_kernel(k, scale, trust)
    fine = np.zeros((side * scale, side * scale))
    reach = (u.shape[0] - scale) // 2
    index = (side // 2 * scale + np.arange(-reach, reach + scale)) % (side * scale)
    fine[np.ix_(index, index)] = u
    spread = np.zeros_like(fine)
    around = np.arange(-(k.shape[0] // 2), -(k.shape[0] // 2) + a.shape[0]) % (side * scale)
    np.add.at(spread, (around[:, None], around[None, :]), a)
    seen = np.fft.ifft2(np.fft.fft2(fine) * np.fft.fft2(spread).conj()).real[::scale, ::scale]
    return np.fft.fft2(np.roll(seen, (-side // 2, -side // 2), (0, 1)))


@each
def test_update_is_stable(scale, shape, fwhm):
    """Repeated updates converge; overshoot is confined to the widest kernels, cut at `REACH_U`."""
    for trust in (WIENER, STRONG):
        eigen = response(kernel_of(scale, shape, fwhm), scale, trust)
        assert np.abs(eigen.imag).max() < 1e-9
        assert eigen.real.min() > -0.01
        wide = trust == STRONG and fwhm > 3
        assert eigen.real.max() < (1.5 if wide else 1.05)


@each
def test_update_does_not_blow_up_noise(scale, shape, fwhm):
    k = kernel_of(scale, shape, fwhm)
    for trust, most in ((WIENER, 1.5), (STRONG, 3.5)):
        u = update_kernel(k, scale, trust)
        n = u.shape[0] // scale
        amplification = np.sqrt((u.reshape(n, scale, n, scale) ** 2).sum((0, 2)))
        assert amplification.max() < most


@scales
def test_strong_update_follows_the_data_more_closely(scale):
    k = kernel_of(scale)
    assert response(k, scale, STRONG).real.min() > response(k, scale, WIENER).real.min()
    assert response(k, scale, STRONG).real.mean() > response(k, scale, WIENER).real.mean() + 0.1


def bright_star(scale, side=40):
    truth = np.zeros((side * scale, side * scale))
    stamp = gaussian(8 * scale + 1, 2.0)
    at = side * scale // 2 - stamp.shape[0] // 2 + 1
    truth[at : at + stamp.shape[0], at : at + stamp.shape[0]] = stamp * 5000 * scale**2
    return tensor(truth)


@scales
def test_flux_of_a_bright_star_is_locked(scale):
    """A pre-draw that is 10 % too faint ends within 0.5 %; without data it would stay."""
    p = Projection.build([kernel_of(scale)], scale, 40)
    truth = bright_star(scale)
    y = p.observe(truth)
    sigma, mask = torch.ones_like(y), torch.ones_like(y)
    lock = lock_weight(y, sigma)
    out = p.project(p.lock_flux(0.9 * truth, y, mask, lock, 0.0), y, mask, lock)
    assert float(out.sum() / truth.sum()) == pytest.approx(1, abs=5e-3)
    aperture = np.s_[..., 14 * scale : 26 * scale, 14 * scale : 26 * scale]
    assert float(out[aperture].sum() / truth[aperture].sum()) == pytest.approx(1, abs=5e-3)
    # where all pixels count as bright the flux is that of the data
    full = p.project(0.9 * truth, y, mask, torch.ones_like(lock))
    assert float(full.sum() / truth.sum()) == pytest.approx(1, abs=1e-5)
    # the strong update brings the peak pixel closer than the Wiener update alone
    weak = p.project(0.9 * truth, y, mask, torch.zeros_like(lock))
    errors = [float((p.observe(o) - y).abs().max()) for o in (out, weak)]
    assert errors[0] < 0.6 * errors[1]


@scales
def test_noise_free_data_are_followed(scale):
    p = Projection.build([kernel_of(scale, fwhm=1.0)], scale, 40)
    rng = np.random.default_rng(2)
    truth = tensor(rng.normal(0, 1, (40 * scale, 40 * scale)))
    y = p.observe(truth)
    mask = torch.ones_like(y)
    left, weak = (
        (p.observe(p.project(torch.zeros_like(truth), y, mask, lock)) - y).std() / y.std()
        for lock in (None, torch.zeros_like(y))
    )
    assert float(left) < 0.4  # of white noise, the hardest input: all of it beyond the optics
    assert float(left) < 0.75 * float(weak)


@scales
def test_a_draw_that_agrees_is_left_alone(scale):
    p = Projection.build([kernel_of(scale)], scale, 32)
    x = tensor(np.random.default_rng(3).normal(0, 1, (32 * scale, 32 * scale)))
    y = p.observe(x)
    out = p.project(x, y, torch.ones_like(y), torch.ones_like(y))
    torch.testing.assert_close(out, x, atol=1e-5, rtol=1e-5)


@scales
def test_masked_residuals_have_no_effect(scale):
    p = Projection.build([kernel_of(scale)], scale, 32)
    rng = np.random.default_rng(4)
    x, y = tensor(rng.normal(0, 1, (32 * scale,) * 2)), tensor(rng.normal(0, 1, (32, 32)))
    mask = tensor(rng.uniform(size=(32, 32)) > 0.2)
    garbage = torch.where(mask > 0, y, torch.full_like(y, 1e9))
    lock = torch.full_like(y, 0.5)
    assert torch.equal(p.project(x, y, mask, lock), p.project(x, garbage, mask, lock))
    nothing = p.project(x, y, torch.zeros_like(mask), lock)
    torch.testing.assert_close(nothing, x, atol=0, rtol=0)


@scales
def test_one_changed_pixel_acts_within_reach_only(scale):
    p = Projection.build([kernel_of(scale)], scale, 64)
    x = tensor(np.zeros((64 * scale,) * 2))
    y = tensor(np.zeros((64, 64)))
    mask, lock = torch.ones_like(y), torch.ones_like(y)
    y[..., 32, 32] = 100.0
    moved = p.project(x, y, mask, lock)[0, 0].numpy()
    # U, then A and U again: 7 + 8 + 7 input pixels at the most
    reach = 22
    far = np.ones_like(moved, bool)
    far[
        (32 - reach) * scale : (33 + reach) * scale, (32 - reach) * scale : (33 + reach) * scale
    ] = 0
    assert np.abs(moved[far]).max() < 1e-4
    assert np.abs(moved).max() > 10


def test_lock_weight():
    signal = torch.tensor([-5.0, 0.0, 10.0, 1e4])
    weight = lock_weight(signal, torch.ones(4))
    np.testing.assert_allclose(weight.numpy(), [0, 0, 0.5, 1], atol=1e-4)


@scales
def test_the_flux_lock_is_local_positive_and_heeds_the_mask(scale):
    p = Projection.build([kernel_of(scale)], scale, 40)
    truth = bright_star(scale)
    y, one = p.observe(truth), torch.ones(1, 1, 40, 40)
    x = 0.8 * truth
    locked = p.lock_flux(x, y, one, lock_weight(y, one), 0.0)
    assert (locked >= 0).all()
    assert float(locked.sum() / truth.sum()) == pytest.approx(1, abs=0.03)
    # nothing to correct, nothing masked in, or nothing bright: nothing done
    torch.testing.assert_close(p.lock_flux(truth, y, one, one, 0.0), truth, rtol=1e-3, atol=1e-2)
    assert torch.equal(p.lock_flux(x, y, 0 * one, one, 0.0), x)
    assert torch.equal(p.lock_flux(x, y, one, 0 * one, 0.0), x)


def misplaced_star(floor):
    """A star that its pre-draw has too bright and a quarter of an input pixel away."""
    scale, side = 4, 48
    trust = Trust(0.02, 1.0, 0.2, 6, floor)
    projection = Projection.build([kernel_of(scale)], scale, side, trust)
    truth, wrong = torch.zeros(2, 1, 1, scale * side, scale * side)
    truth[..., 96, 96], wrong[..., 96, 97] = 1.6e5, 2.4e5
    y = projection.observe(truth)
    mask = torch.zeros(1, 1, side, side)
    mask[..., REACH_A:-REACH_A, REACH_A:-REACH_A] = 1
    lock = lock_weight(y, torch.ones_like(y), trust.lock)
    return projection, wrong, y, mask, lock


def test_without_a_floor_agreement_is_the_lock_and_the_linear_update():
    projection, x, y, mask, lock = misplaced_star(None)
    expected = projection.project(projection.lock_flux(x, y, mask, lock, 0.0), y, mask, lock)
    assert torch.equal(projection.agree(x, y, mask, lock, 0.0), expected)
    assert expected.min() < -5  # a hole


def test_a_floor_leaves_no_holes_and_agrees_no_worse():
    """Total flux may grow where holes are filled: by 8 % in this case, 1 % without the floor."""
    errors, totals = [], []
    for floor in (None, -1.5):
        projection, x, y, mask, lock = misplaced_star(floor)
        draw = projection.agree(x, y, mask, lock, 0.0)
        seen = projection.observe(draw)
        errors.append(float((seen - y).abs().max() / y.max()))
        totals.append(float(seen.sum() / y.sum()))
    assert draw.min() > -2.5
    assert errors[1] < errors[0]
    assert totals == pytest.approx([1.01, 1.08], abs=0.01)


@pytest.mark.parametrize("x", [-1e4, -1.6, -1.5, -1.0, 0.0, 3.0, 1e5])
def test_a_bend_is_above_its_floor_and_changes_nothing_far_above(x):
    bent = float(bend(torch.tensor(x), -1.5))
    assert bent >= -1.5
    assert abs(bent - max(x, -1.5)) <= 0.07
    assert bent == pytest.approx(x, rel=1e-6) or x < 0
