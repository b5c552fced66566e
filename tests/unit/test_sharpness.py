"""The PSF width of a micrograph from its power spectrum."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciup.io._array import open_array
from sciup.physics.given import Given
from sciup.physics.lone import without_lone
from sciup.physics.psf import SIGMA_TO_FWHM
from sciup.physics.resolve import resolve
from sciup.physics.resolve_psf import ASSUMED_FWHM
from sciup.physics.sharpness import LEAST, MIDDLE, SCENES, WIDTHS, blur_fwhm
from sciup.testing.toy_images import cells

PRIOR_FWHM, PRIOR_ERROR = np.exp(SCENES.width[0]), SCENES.width[1]


def field(side, seed, slope=2.0, fall=0.0, bend=0.0):
    """A Gaussian field with a scene's power; 4 px of it become one."""
    white = np.random.default_rng(seed).standard_normal((side, side))
    f = 4 * np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    u = np.log(np.maximum(f, 4 / side) / MIDDLE)
    # beyond the last ring the curve is not meant
    power = -slope * u - fall * np.minimum(f, 0.71) ** 2 + bend * np.minimum(u, 1.7) ** 2
    values = np.fft.ifft2(np.fft.fft2(white) * np.exp(power / 2)).real
    return 100 * values / values.std()


def seen(fwhm, noise, side=256, seed=0, **scene):
    """Block means over 4 x 4 px of a blurred field; `fwhm` in input px."""
    sharp = field(4 * side, seed, **scene)
    blurred = gaussian_filter(sharp, 4 * fwhm / SIGMA_TO_FWHM, mode="wrap")
    means = blurred.reshape(side, 4, side, 4).mean((1, 3))
    return means + noise * np.random.default_rng(seed + 1).standard_normal(means.shape)


@pytest.mark.parametrize("fwhm", [1.0, 1.5, 2.0, 2.5, 3.0])
def test_width_is_found(fwhm):
    found = blur_fwhm([seen(fwhm, 0.5)], 0.25)
    assert abs(np.log(found.fwhm / fwhm)) < 2 * found.error
    assert found.error < 0.6 * PRIOR_ERROR


def test_errors_of_scenes_of_the_prior_are_those_that_are_stated():
    """Small images, large errors: on average the stated one is the true one."""
    rng, pulls = np.random.default_rng(5), []
    for seed in range(80):
        one = {k: rng.normal(*getattr(SCENES, k)) for k in ("slope", "fall", "bend")}
        fwhm = np.exp(np.clip(rng.normal(*SCENES.width), *np.log(WIDTHS[[0, -1]])))
        found = blur_fwhm([seen(fwhm, 3.0, 48, seed, **one)], 9.0)
        pulls.append(np.log(found.fwhm / fwhm) / found.error)
    assert 0.8 < np.sqrt(np.mean(np.square(pulls))) < 1.2
    assert abs(np.mean(pulls)) < 0.35


@pytest.mark.parametrize("seed", range(3))
def test_noise_alone_gives_back_the_prior(seed):
    found = blur_fwhm([np.random.default_rng(seed).standard_normal((64, 64))], 1.0)
    assert found.fwhm == pytest.approx(PRIOR_FWHM, rel=0.1)
    assert found.error == pytest.approx(PRIOR_ERROR, rel=0.15)


def test_noise_draws_to_the_prior_and_widens_the_error():
    found = [blur_fwhm([seen(1.0, n)], n**2) for n in (1.0, 60.0, 200.0, 600.0)]
    assert found == sorted(found)
    assert found[0].error < 0.7 * found[-1].error
    assert found[-1].fwhm == pytest.approx(PRIOR_FWHM, rel=0.1)


def test_small_images_have_an_answer_and_less_to_say():
    whole = seen(2.0, 10.0)
    small, large = (blur_fwhm([whole[:n, :n]], 100.0).error for n in (24, 256))
    assert large < 0.9 * small < 0.9 * PRIOR_ERROR
    assert blur_fwhm([whole[: LEAST - 1]], 100.0) is None


@pytest.mark.parametrize("unit", [1e-6, 1e5])
def test_the_unit_does_not_matter(unit):
    values = seen(1.7, 1.0, 64)
    turned = blur_fwhm([unit * values.T[::-1] + 7 * unit], unit**2)
    assert turned == pytest.approx(blur_fwhm([values], 1.0), rel=1e-6)


def test_masked_windows_and_small_blocks_are_left_out():
    whole = seen(1.5, 0.5)
    masked = whole.copy()
    masked[:64, :64] = np.nan
    expected = blur_fwhm([whole], 0.25)
    assert blur_fwhm([masked], 0.25) == pytest.approx(expected, rel=0.1)
    assert blur_fwhm([whole, whole[:31]], 0.25) == expected
    assert blur_fwhm([whole * np.nan], 0.25) is None
    assert blur_fwhm([], 0.25) is None


@pytest.mark.parametrize("level", [0.0, 1 / 3, 100.1])
@pytest.mark.parametrize("noise", [0.0, 0.25])
def test_dead_windows_tell_nothing(level, noise):
    """What rounding leaves of 100.1 had a width of 3 px, with an error of 8 %."""
    values = np.full((65, 66), level, np.float32)
    values[64] = np.random.default_rng(0).normal(size=66)  # below the last window
    assert blur_fwhm([values], noise) is None


def test_gaps_everywhere_leave_smaller_windows():
    """1 % of the pixels masked: no window of 32 px is whole."""
    values, rng = seen(1.5, 0.5), np.random.default_rng(0)
    values[rng.random(values.shape) < 0.01] = np.nan
    found = blur_fwhm([values], 0.25)
    assert abs(np.log(found.fwhm / 1.5)) < 2 * found.error
    assert found.error < 0.8 * PRIOR_ERROR
    values[rng.random(values.shape) < 0.5] = np.nan
    assert blur_fwhm([values], 0.25) is None


def test_noise_far_above_all_power_is_no_answer():
    """A hundred times more than there is gave 4.1 px with an error of 9 %."""
    values = seen(1.5, 30.0)
    top = blur_fwhm([values], 900.0)
    assert top is not None
    for wrong in (1e8, np.inf, np.nan):
        assert blur_fwhm([values], wrong) is None


def test_no_noise_at_all():
    found = blur_fwhm([seen(1.5, 0.0)], 0.0)
    assert abs(np.log(found.fwhm / 1.5)) < 2 * found.error


def test_what_is_assumed_is_the_middle_of_the_prior():
    assert ASSUMED_FWHM["fluorescence"] == pytest.approx(PRIOR_FWHM, rel=0.02)


def of_run(values, **given):
    image = open_array(values, domain="fluorescence")
    return resolve(image, (), "fluorescence", Given(**given)).instrument.psf_fwhm


def test_values_near_the_end_of_float32_are_not_estimated():
    values = cells((64, 64), seed=1) + np.float32(0)
    width = of_run(values * np.float32(3e38 / values.max()))
    assert (width.value, width.origin) == (ASSUMED_FWHM["fluorescence"], "assumed")
    assert "pixels do not tell" in width.note


def test_a_stated_width_is_not_looked_for(monkeypatch):
    monkeypatch.setattr("sciup.physics.resolve_psf.blur_fwhm", None)
    assert of_run(cells((64, 64)), psf_fwhm=2.5).value == 2.5


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.uint16, ">f4"])
def test_the_type_of_the_pixels_does_not_matter(dtype):
    values = np.rint(np.clip(cells((64, 64), seed=1), 0, 2000))
    assert of_run(values.astype(dtype)) == of_run(values.astype(np.float32))


def test_a_run_on_a_small_image_says_how_sure_it_is():
    width = of_run(cells((24, 24), seed=1))
    assert width.origin == "estimated"
    assert "%" in width.note


@pytest.mark.parametrize("factor", [2, 20, 1000])
@pytest.mark.parametrize("number", [1, 30])
def test_hot_and_dead_pixels_change_nothing(factor, number):
    """What stands alone is no part of the scene: it would make the PSF .9 px wide.

    Weak ones on the edge of a cell do not stand alone; the error that is stated is 25 %.
    """
    rng = np.random.default_rng(0)
    values = cells((256, 256)).astype(np.float32)
    clean, spoilt = of_run(values), values.copy()
    y, x = rng.integers(2, 254, (2, number))
    spoilt[y, x] = factor * values.max()
    spoilt[y[: number // 3], x[: number // 3]] = 0
    found = of_run(spoilt)
    assert found.value == pytest.approx(clean.value, rel=0.05)


@pytest.mark.parametrize("fwhm", [0.8, 1.2])
def test_points_under_a_sharp_psf_do_not_stand_alone(fwhm):
    rng = np.random.default_rng(1)
    fine = np.zeros((512, 512))
    fine[tuple(rng.integers(8, 504, (2, 60)))] = 1e4
    light = gaussian_filter(fine, 4 * fwhm / SIGMA_TO_FWHM).reshape(128, 4, 128, 4).mean((1, 3))
    block = (light + 0.1 * rng.standard_normal(light.shape)).astype(np.float32)
    assert without_lone(block) is block


@pytest.mark.parametrize("mean", [0.02, 0.3, 3])
def test_single_photons_are_no_hot_pixels(mean):
    block = np.random.default_rng(2).poisson(mean, (128, 128)).astype(np.float32)
    assert without_lone(block) is block
