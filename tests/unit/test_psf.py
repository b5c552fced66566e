"""Kernels have the width that they say; the relative one joins target to instrument."""

import numpy as np
import pytest
from scipy.ndimage import center_of_mass
from scipy.signal import fftconvolve

from sciup.errors import OptionError
from sciup.physics.psf import (
    airy,
    gaussian,
    moffat,
    moments,
    relative_gaussian,
    relative_measured,
)

SHAPES = {
    "gaussian": gaussian,
    "moffat": lambda side, fwhm, *e: moffat(side, fwhm, 3.0, *e),
    "airy": airy,
}
each = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@each
@pytest.mark.parametrize("fwhm", [4.0, 8.0, 12.0])
def test_half_maximum_at_half_the_width(shape, fwhm):
    k = shape(61, fwhm)
    assert k.sum() == pytest.approx(1)
    assert (k >= 0).all()
    along = k[30, 30 + int(fwhm / 2)] / k[30, 30]
    assert along == pytest.approx(0.5, abs=2e-3)
    np.testing.assert_allclose(k, k.T)
    np.testing.assert_allclose(k, k[::-1, ::-1])


@each
def test_ellipticity_is_along_x_for_positive_e1(shape):
    k = shape(61, 8.0, 0.2, 0.0)
    assert k[30, 36] > k[36, 30]
    diagonal = shape(61, 8.0, 0.0, 0.2)
    assert diagonal[34, 34] > diagonal[34, 26]


@pytest.mark.parametrize(("e1", "e2"), [(0.0, 0.0), (0.15, 0.0), (-0.1, 0.12)])
@pytest.mark.parametrize("fwhm", [2.5, 5.0, 9.0])
def test_moments_of_gaussians(fwhm, e1, e2):
    got = moments(gaussian(61, fwhm, e1, e2))
    assert got[0] == pytest.approx(fwhm, rel=0.01)
    np.testing.assert_allclose(got[1:], (e1, e2), atol=0.01)


def test_moments_of_a_moffat_see_its_core():
    """The plain second moment of these wings would be infinite."""
    assert moments(moffat(101, 6.0, 2.5))[0] == pytest.approx(6.0, rel=0.2)
    assert moments(moffat(101, 6.0, 4.5))[0] == pytest.approx(6.0, rel=0.1)


def test_moments_of_a_kernel_without_blur():
    """An instrument as sharp as the target leaves the identity, which has no width."""
    identity = relative_gaussian(15, 2.0, 2.0)
    fwhm, e1, e2 = moments(identity)
    assert 0 <= fwhm < 1
    assert (e1, e2) == (0, 0)


def test_target_and_relative_kernel_make_the_instrument():
    got = fftconvolve(gaussian(61, 3.0), relative_gaussian(61, 7.0, 3.0), mode="same")
    np.testing.assert_allclose(got, gaussian(61, 7.0), atol=1e-6)


@pytest.mark.parametrize("fwhm", [0.5, 2.0, 2.01])
def test_nothing_is_left_of_an_instrument_sharper_than_the_target(fwhm):
    k = relative_gaussian(9, fwhm, 2.0)
    assert k[4, 4] == 1
    assert np.count_nonzero(k) == 1


def picture(fwhm, side=25, shift=(0.0, 0.0)):
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return np.exp(-4 * np.log(2) * ((y - shift[0]) ** 2 + (x - shift[1]) ** 2) / fwhm**2)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("side", [25, 24])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.3, -0.7)])
def test_measured_psf(scale, side, shift):
    fwhm, target = 3.0, 2.0
    k = relative_measured(14 * scale + 1, picture(fwhm, side, shift) * 70, scale, target)
    assert k.sum() == pytest.approx(1)
    expected = ((fwhm * scale) ** 2 - target**2) ** 0.5
    assert moments(k)[0] == pytest.approx(expected, rel=0.05)
    middle = k.shape[0] // 2
    core = np.where(k > 0.1 * k.max(), k, 0)
    np.testing.assert_allclose(center_of_mass(core), (middle, middle), atol=0.15)


def test_measured_psf_keeps_its_ellipticity():
    y, x = np.mgrid[-12:13, -12:13]
    k = relative_measured(29, np.exp(-0.5 * (y**2 / 1.2 + x**2 / 2.0)), 2, 0.0)
    assert moments(k)[1] == pytest.approx((2.0 - 1.2) / (2.0 + 1.2), abs=0.03)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((5, 5)),
        np.ones((2, 9)),
        np.ones((3, 5, 5)),
        np.full((5, 5), np.nan),
        -np.ones((5, 5)),
    ],
)
def test_impossible_psf_images_are_refused(bad):
    with pytest.raises(OptionError, match="PSF image"):
        relative_measured(29, bad, 2, 2.0)
