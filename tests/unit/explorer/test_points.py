"""One point source or two: the fits find what was put there."""

import numpy as np
import pytest

import sciup
from sciup.errors import OptionError
from sciup.explorer.points import NEEDED, Points, verdict
from sciup.explorer.run import open_stamp
from sciup.geometry import Box
from sciup.io._array import open_array
from sciup.testing.toy_images import star
from sciup.testing.toy_model import write_toy_model

SHAPE, FWHM = (64, 64), 2.5
AT = (31.3, 30.6)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(tmp_path_factory.mktemp("m") / "toy", channels=4, head_channels=4)


def points(model, *stars, seed=0, radius=6.0):
    """Points of an image with stars (y, x, flux) on a sky of 100 with noise 5."""
    rng = np.random.default_rng(seed)
    image = 100 + rng.normal(0, 5, SHAPE)
    for y, x, flux in stars:
        image += flux * star(SHAPE, y, x, FWHM)
    opened = open_array(image.astype(np.float32), flux_per_pixel=True, domain="night-sky")
    result = sciup.upscale(
        opened, model=model, psf=star((25, 25), 12, 12, FWHM), background=100.0, noise_sigma=5.0,
        gain=1e6, samples=1, maps=("sample",), device="cpu", precision="fp32",
    )  # fmt: skip
    return Points(open_stamp(result, Box((19, 18), (43, 42))), AT, radius)


def test_one_star_is_one(model):
    """The noise asks for a second source now and then: in one field of a hundred by design."""
    asked = []
    for seed in range(6):
        found = points(model, (*AT, 2000.0), seed=seed)
        one, two = found.fit(1), found.fit(2)
        assert one.fits
        asked.append(one.chi2 - two.chi2 > NEEDED)
        if not asked[-1]:
            assert verdict(one, two).startswith("one point source is enough")
        assert one.places[0] == pytest.approx(AT, abs=0.1)
        assert one.fluxes[0] * 5 == pytest.approx(2000, rel=0.03)
    assert sum(asked) <= 1


def test_two_stars_are_two_and_are_found(model):
    near = (AT[0] + 1.6, AT[1] + 1.5)
    found = points(model, (*AT, 2000.0), (*near, 1500.0))
    one, two = found.fit(1), found.fit(2)
    assert one.chi2 - two.chi2 > 10 * NEEDED
    assert verdict(one, two).startswith("two point sources are needed")
    ours = sorted(map(tuple, two.places))
    for place, truth in zip(ours, sorted([AT, near]), strict=True):
        assert place == pytest.approx(truth, abs=0.1)


def test_the_model_image_has_the_flux_of_the_fit(model):
    fit = points(model, (*AT, 2000.0)).fit(1)
    assert float((fit.image - fit.background).sum()) / 4 == pytest.approx(
        float(fit.fluxes.sum()), rel=1e-3
    )


def test_a_ring_is_neither(model):
    ring = [(AT[0] + 3 * np.sin(a), AT[1] + 3 * np.cos(a), 900.0) for a in np.arange(8) * np.pi / 4]
    found = points(model, *ring)
    assert verdict(found.fit(1), found.fit(2)).startswith("neither")


def test_a_circle_of_few_pixels_is_refused(model):
    with pytest.raises(OptionError, match=r"has 4 pixels.*16 or more.*larger --radius"):
        points(model, (*AT, 2000.0), radius=1.2)
    fit = points(model, (*AT, 2000.0), radius=2.5).fit(2)
    assert fit.freedom >= 16 - 7
