"""The PSF width of a micrograph from its power spectrum."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciup.physics.psf import SIGMA_TO_FWHM
from sciup.physics.sharpness import blur_fwhm


def scene(side=1024, seed=0):
    """A field whose power falls as f^-2."""
    white = np.random.default_rng(seed).standard_normal((side, side))
    f = np.fft.fftfreq(side)
    radius = np.hypot(f[:, None], f)
    field = np.fft.ifft2(np.fft.fft2(white) / np.maximum(radius, 1 / side)).real
    return 100 * field / field.std()


def seen(fwhm, noise, side=1024):
    """Block means over 4 x 4 px of a blurred scene; `fwhm` in input px."""
    blurred = gaussian_filter(scene(side), 4 * fwhm / SIGMA_TO_FWHM, mode="wrap")
    means = blurred.reshape(side // 4, 4, side // 4, 4).mean((1, 3))
    return means + noise * np.random.default_rng(1).standard_normal(means.shape)


@pytest.mark.parametrize("fwhm", [1.0, 1.5, 2.0, 2.5, 3.0])
def test_width_is_found(fwhm):
    assert blur_fwhm([seen(fwhm, 0.5)], 0.25, 2.2) == pytest.approx(fwhm, abs=0.3)


def test_noise_alone_gives_no_width_and_a_strong_one_draws_to_what_is_assumed():
    noise = np.random.default_rng(2).standard_normal((256, 256))
    assert blur_fwhm([noise], 1.0, 2.2) is None
    few, many = (blur_fwhm([seen(1.0, n)], n**2, 3.5) for n in (1.0, 60.0))
    assert abs(few - 1.0) < 0.3
    assert few + 0.3 < many < 3.6


def test_masked_windows_and_small_blocks_are_left_out():
    whole = seen(1.5, 0.5)
    masked = whole.copy()
    masked[:64, :64] = np.nan
    assert blur_fwhm([masked], 0.25, 2.2) == pytest.approx(blur_fwhm([whole], 0.25, 2.2), abs=0.2)
    assert blur_fwhm([whole[:63]], 0.25, 2.2) is None
    assert blur_fwhm([], 0.25, 2.2) is None
