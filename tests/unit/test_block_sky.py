"""Background and noise of blocks, with and without a galaxy in them."""

from __future__ import annotations

import numpy as np
import pytest

from sciup.physics.mesh import block_sky, robust_sky, sourceless
from sciup.physics.psf import gaussian, moments, relative_measured
from sciup.physics.stars import star_psf


def block(seed: int = 0, side: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).normal(10, 2, (side, side)).astype(np.float32)


def galaxy(side: int, radius: float, height: float) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return (height * np.exp(-np.hypot(x, y) / radius)).astype(np.float32)


def test_plain_sky_is_as_before():
    sky = block()
    sky[40:48, 40:48] += 500  # a source does not make a block structured
    assert block_sky(sky) == pytest.approx(robust_sky(sky.ravel()), rel=5e-3)


@pytest.mark.parametrize("radius", [12.0, 25.0, 60.0])
def test_a_galaxy_that_fills_the_block_is_no_noise(radius: float):
    sky = block(1, 112) + galaxy(112, radius, 400.0)
    level, sigma = block_sky(sky)
    assert sigma == pytest.approx(2, rel=0.15)
    assert level <= np.percentile(sky, 10)
    assert robust_sky(sky.ravel())[1] > 1.3 * sigma


def test_masked_pixels_do_not_count():
    sky = block(2, 112) + galaxy(112, 25.0, 400.0)
    holes = sky.copy()
    holes[:, 50:53] = np.nan
    assert block_sky(holes) == pytest.approx(block_sky(sky), rel=0.05)


def test_drizzled_noise_is_not_taken_for_structure():
    from scipy.ndimage import uniform_filter

    sky = uniform_filter(block(3).astype(np.float64), 2).astype(np.float32)
    assert block_sky(sky) == pytest.approx(robust_sky(sky.ravel()), rel=5e-3)


def test_small_blocks_fall_back():
    sky = block(4, 12)
    assert block_sky(sky) == pytest.approx(robust_sky(sky.ravel()), rel=5e-3)


@pytest.mark.filterwarnings("error")
def test_moments_of_a_stamp_with_dark_wings():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        stamp = rng.normal(0, 1, (21, 21))
        stamp[10, 10] = 3.0
        assert np.isfinite(moments(stamp - 0.5)).all()


def test_star_widths_in_the_light_of_a_galaxy():
    rng = np.random.default_rng(5)
    sky = galaxy(256, 80.0, 300.0).astype(np.float64)
    y, x = np.mgrid[:256, :256]
    for cy, cx in 30 + 45 * np.argwhere(np.ones((5, 5))) + rng.uniform(-1, 1, (25, 2)):
        sky += 600 * np.exp(-4 * np.log(2) * ((y - cy) ** 2 + (x - cx) ** 2) / 2.5**2)
    noisy = rng.normal(sky, np.sqrt(4 + sky / 5)).astype(np.float32)
    found = star_psf([noisy])
    assert found is not None
    # the estimate is before pixel integration, here there was none
    assert found.fwhm == pytest.approx(np.sqrt(2.5**2 - 5.545 / 12), rel=0.08)


def test_a_companion_in_the_psf_image_does_not_move_it():
    y, x = np.mgrid[:41, :41]
    alone = np.exp(-4 * np.log(2) * ((y - 20) ** 2 + (x - 20) ** 2) / 2.2**2)
    both = alone + 0.25 * np.exp(-4 * np.log(2) * ((y - 25) ** 2 + (x - 20) ** 2) / 2.2**2)
    kernels = [relative_measured(29, p, 2, 2.0) for p in (alone, both)]
    rows = np.arange(29) - 14.0
    window = gaussian(29, 4.0)
    for kernel in kernels:
        assert abs((kernel * window).sum(1) @ rows / (kernel * window).sum()) < 0.05


def crowded(seed: int = 0) -> np.ndarray:
    """Noise 1 and level 10 under 400 stars with wings, few of which clipping sees."""
    from scipy.signal import fftconvolve

    rng = np.random.default_rng(seed)
    light = np.zeros((128, 128))
    y, x = rng.integers(0, 128, (2, 400))
    np.add.at(light, (y, x), 10 ** rng.uniform(0.3, 2.5, 400))
    r2 = np.sum(np.mgrid[-12:13, -12:13] ** 2, 0)
    wings = (1 + r2 / 3.0) ** -2.5
    light = fftconvolve(light, wings / wings.sum(), mode="same")
    return (10 + light + rng.standard_normal(light.shape)).astype(np.float32)


def test_sources_of_a_crowded_field_are_not_sky():
    new = np.array([block_sky(crowded(seed)) for seed in range(4)]).mean(0)
    clipped = np.array([robust_sky(crowded(seed).ravel()) for seed in range(4)]).mean(0)
    assert abs(new[0] - 10) < 0.5 * abs(clipped[0] - 10)
    assert abs(new[1] - 1) < 0.5 * abs(clipped[1] - 1)


@pytest.mark.parametrize("smooth", [0, 0.7, 1.0])
def test_noise_alone_is_sky_correlated_or_not(smooth):
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(5).standard_normal((256, 256))
    noise = gaussian_filter(noise, smooth) if smooth else noise
    noise = (noise / noise.std()).astype(np.float32)
    level, sigma = block_sky(noise)
    assert abs(level) < 0.05
    assert sigma == pytest.approx(1, abs=0.05)
    assert sourceless(noise).mean() > 0.8


def test_a_block_without_sky_keeps_what_clipping_says():
    full = np.full((32, 32), 50, np.float32)
    full[::2, ::2] = 51
    assert sourceless(full).any()
    assert np.isfinite(block_sky(full)).all()


def test_masked_pixels_are_never_sky():
    sky = crowded()
    sky[30:50] = np.nan
    assert not sourceless(sky)[30:50].any()
    assert np.isfinite(block_sky(sky)).all()
    assert block_sky(sky) == pytest.approx(block_sky(crowded()), rel=0.05)
