"""Rings and elongation of stars: found where they are, and only there."""

import numpy as np
import pytest
from psf_pictures import distance, observed
from scipy.ndimage import gaussian_filter

from sciup.io._array import open_array
from sciup.physics.given import Given
from sciup.physics.resolve import resolve
from sciup.physics.stars import star_psf


def field(shape, fwhm, *, count=5, seed=0, e=(0.0, 0.0), flux=(3000, 40000), clutter=0):
    """A sky of sigma 1 with count^2 stars at any phase, and faint blobs anywhere."""
    rng = np.random.default_rng(seed)
    n = 45 * count
    sky = np.zeros((n, n))
    for y in range(22, n, 45):
        for x in range(22, n, 45):
            at = rng.integers(-6, 7, 2) / 12
            stamp = observed(shape, fwhm, 41, at, e) * np.exp(rng.uniform(*np.log(flux)))
            sky[y - 20 : y + 21, x - 20 : x + 21] += stamp
    for y, x in rng.integers(8, n - 9, (clutter, 2)):
        sky[y - 8 : y + 9, x - 8 : x + 9] += observed("gaussian", 4.0, 17) * rng.uniform(200, 800)
    return (rng.poisson(np.clip(sky, 0, None) * 30) / 30 + rng.normal(0, 1, sky.shape)).astype("f4")


def apart(found, true):
    """Distance of shapes within 8 px: no star tells how much light lies beyond."""
    r = np.hypot(*np.mgrid[-20:21, -20:21])
    a, b = np.where(r < 8, found, 0), np.where(r < 8, true, 0)
    return distance(a * (a * b).sum() / (a * a).sum(), b)


@pytest.mark.parametrize("fwhm", [1.8, 2.3, 2.8])
def test_rings_of_a_telescope_are_found(fwhm):
    found = star_psf([field("airy", fwhm)])
    assert found.lacks is not None
    assert found.fwhm == pytest.approx(fwhm, rel=0.03)
    few = star_psf([field("airy", fwhm, count=2)])
    assert few is None or few.lacks is None  # four stars do not decide
    true = observed("airy", fwhm, 41)
    assert apart(found.image(), true) < 0.035


ROUND = [("gaussian", 1.8), ("moffat 2.5", 2.3), ("moffat 4", 2.8)]


@pytest.mark.parametrize("clutter", [0, 60])
@pytest.mark.parametrize(("shape", "fwhm"), ROUND)
@pytest.mark.parametrize("flux", [(300, 6000), (10000, 100000)])
def test_a_profile_that_is_right_is_left_alone(shape, fwhm, clutter, flux):
    found = star_psf([field(shape, fwhm, clutter=clutter, flux=flux)])
    assert found.fwhm == pytest.approx(fwhm, rel=0.03)
    if shape != "gaussian" and flux[0] < 1000:
        assert found.lacks is None
    if found.lacks is not None:  # the largest exponent is no Gaussian yet
        assert np.abs(found.lacks).max() < 0.02
        assert apart(found.image(), observed(shape, fwhm, 41)) < 0.015


@pytest.mark.parametrize("e", [(0.1, 0.0), (0.0, -0.1), (0.07, 0.07)])
def test_elongation_is_found(e):
    found = star_psf([field("moffat 4", 2.4, e=e, flux=(20000, 200000))])
    assert found.lacks is not None
    true, plain = observed("moffat 4", 2.4, 41, e=e), observed("moffat 4", 2.4, 41)
    assert distance(found.image(), true) < 0.4 * distance(plain, true)


def disc(side, y, x, length):
    """An exponential disc of unit flux behind a PSF of 2.5 px."""
    rows, cols = np.mgrid[:side, :side]
    image = gaussian_filter(np.exp(-np.hypot(rows - y, cols - x) / length), 2.5 / 2.355)
    return image / image.sum()


@pytest.mark.parametrize("count", [5, 10])
def test_galaxies_are_no_stars(count):
    """Where the few brightest are alike by chance, once in 12 fields at most."""
    found = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        sky = rng.normal(0, 1, (256, 256))
        for _ in range(count):
            y, x = rng.uniform(15, 241, 2)
            sky += np.exp(rng.uniform(7.6, 9.9)) * disc(256, y, x, rng.uniform(1, 3.5))
        found.append(star_psf([sky.astype("f4")]))
    assert sum(f is not None for f in found) <= 1


@pytest.mark.parametrize("count", [16, 40])
def test_cosmic_rays_are_no_stars(count):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        sky = rng.normal(0, 1, (256, 256))
        for _ in range(count):
            (y, x), angle = rng.integers(15, 241, 2), rng.uniform(0, np.pi)
            for t in range(rng.integers(1, 5)):
                place = int(y + t * np.sin(angle)), int(x + t * np.cos(angle))
                sky[place] += rng.uniform(50, 2000)
        assert star_psf([sky.astype("f4")]) is None


def test_a_stated_width_keeps_the_shape_of_the_stars():
    image = open_array(field("airy", 2.0), domain="night-sky")
    seen = resolve(image, (), "night-sky", Given())[0]
    assert (seen.psf.origin, seen.psf_fwhm.origin) == ("estimated", "estimated")
    assert "rings or elongation" in seen.psf.note
    assert seen.psf_beta.value is None
    stated = resolve(image, (), "night-sky", Given(psf_fwhm=2.1))[0]
    assert (stated.psf.origin, stated.psf_fwhm.value) == ("estimated", 2.1)
    assert stated.star_fwhm.value == seen.psf_fwhm.value
    assert stated.contradiction == ""
    wider = resolve(image, (), "night-sky", Given(psf_fwhm=3.0))[0]
    assert "3 input px wide" in wider.contradiction
    assert (wider.psf.value > wider.psf.value.max() / 2).sum() > (
        seen.psf.value > seen.psf.value.max() / 2
    ).sum()
