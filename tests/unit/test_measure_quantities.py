"""Each quantity on images of which the answer is known."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciup.science.measure.context import Context, ring_around
from sciup.science.measure.quantities import QUANTITIES
from sciup.science.measure.shapes import Ellipse, Polygon
from sciup.testing.toy_images import star

FWHM = 2.0
SIGMA = FWHM / 2.3548
SHAPE = (60, 64)


def measured(name, image, shape, **known):
    """The numbers of a quantity in a shape."""
    weights = shape.weights(whole(image))
    mask = weights >= 0.5
    usual = {
        "level": None, "noise": 0.01, "fwhm": FWHM, "scale": 2, "flux": 4, "step": 0.5,
        "length_unit": "pix", "unit": "electron", "domain": "night-sky",
        "corner": (-0.25, -0.25), "centre": shape.centre,
    }  # fmt: skip
    context = Context(weights=weights, ring=ring_around(weights > 0, FWHM), **usual | known)
    before = image.copy()
    numbers = QUANTITIES[name].function(image, mask, context)
    np.testing.assert_array_equal(image, before)
    return numbers


def whole(image):
    from sciup.geometry import Box

    return Box.of_shape(image.shape)


@pytest.mark.parametrize("place", [(30.0, 31.0), (29.6, 31.3), (30.5, 30.5)])
@pytest.mark.parametrize("level", [None, 7.0])
def test_flux_of_a_gaussian(place, level):
    image = 7 + 250 * star(SHAPE, *place, 3.0)
    found = measured("photometry", image, Ellipse(place, 8, 8), level=level)
    assert found["flux"] == pytest.approx(250, rel=0.01)


def test_flux_in_an_aperture_is_that_of_its_part():
    """A circle of radius r around a Gaussian holds 1 - exp(-r^2 / 2 sigma^2) of it."""
    image = 1000 * star(SHAPE, 30.2, 31.4, 4.0)
    # pixels are means over squares, taken as flat: two top hats widen the star
    sigma = np.hypot(4 / 2.3548, np.sqrt(2 / 12))
    for r in (1.5, 2.0, 3.3):
        found = measured("photometry", image, Ellipse((30.2, 31.4), r, r), level=0.0)
        assert found["flux"] == pytest.approx(1000 * -np.expm1(-(r**2) / 2 / sigma**2), rel=0.01)


def test_flux_of_intensities_is_a_sum_over_input_pixels():
    image = np.full(SHAPE, 3.0)
    square = Polygon(np.array([[9.5, 9.5], [9.5, 19.5], [29.5, 19.5], [29.5, 9.5]]))
    # 20 x 10 output px are 10 x 5 input px
    assert measured("photometry", image, square, level=0.0, flux=1)["flux"] == pytest.approx(150)
    assert measured("intensity", image, square, level=1.0, flux=1)["intensity"] == 2
    assert measured("intensity", image, square, level=1.0)["intensity"] == 8


def test_parts_add_up():
    image = np.random.default_rng(0).uniform(0, 5, SHAPE)
    edges = np.array([5.25, 20.5, 41.75])
    parts = [
        Polygon(np.array([[a, 8.0], [a, 30.0], [b, 30.0], [b, 8.0]])) for a, b in pairwise(edges)
    ]
    both = Polygon(np.array([[edges[0], 8.0], [edges[0], 30.0], [edges[2], 30.0], [edges[2], 8.0]]))
    found = [measured("photometry", image, p, level=1.0)["flux"] for p in (*parts, both)]
    assert found[0] + found[1] == pytest.approx(found[2], rel=1e-6)


@pytest.mark.parametrize("place", [(30.0, 31.0), (29.63, 31.28), (30.5, 30.5)])
def test_centroid_of_a_star_on_a_pedestal(place):
    """In input pixels, counted from 0: those of twice as fine pixels."""
    image = 50 + 400 * star(SHAPE, *place, 2.5)
    found = measured("centroid", image, Ellipse((30.2, 31.0), 4, 4))
    expected = (np.array(place) + 0.5) / 2 - 0.5
    assert [found["centroid_y"], found["centroid_x"]] == pytest.approx(expected, abs=0.005)


def test_centroid_ignores_a_neighbour_outside_its_window():
    image = 400 * star(SHAPE, 30, 30, 2.5) + 400 * star(SHAPE, 30, 48, 2.5)
    found = measured("centroid", image, Ellipse((30.3, 30.2), 4, 4), level=0.0)
    assert [found["centroid_y"], found["centroid_x"]] == pytest.approx([14.75, 14.75], abs=0.01)


@pytest.mark.parametrize("radius", [2, 4, 8, 15, 30, 50])
@pytest.mark.parametrize("middle", [60.4, 59.0])
def test_centroid_does_not_depend_on_the_region(radius, middle):
    image = 400 * star((121, 121), 60.4, 60.4, FWHM)
    found = measured("centroid", image, Ellipse((middle, middle), radius, radius), level=0.0)
    assert [found["centroid_y"], found["centroid_x"]] == pytest.approx([29.95] * 2, abs=0.005)


@pytest.mark.parametrize("radius", [4, 15])
def test_centroid_of_a_noisy_star_is_right_on_average(radius):
    rng, n = np.random.default_rng(0), 200
    image = 400 * star((121, 121), 60.4, 60.4, FWHM)
    disc = Ellipse((60.0, 61.0), radius, radius)
    found = np.array([
        list(measured("centroid", image + rng.normal(0, 2, image.shape), disc, level=0.0).values())
        for _ in range(n)
    ])  # fmt: skip
    assert np.isfinite(found).all()
    assert found.std() < 0.05
    np.testing.assert_allclose(found.mean(0), 29.95, atol=4 * found.std() / np.sqrt(n))


def test_centroid_of_what_is_wide_or_runs_away():
    wide = 4000 * star((121, 121), 60.4, 60.4, 8.0)
    found = measured("centroid", wide, Ellipse((60.0, 60.0), 12, 12), level=0.0)
    assert [found["centroid_y"], found["centroid_x"]] == pytest.approx([29.95] * 2, abs=0.005)
    slope = np.tile(np.arange(121.0), (121, 1))
    found = measured("centroid", slope, Ellipse((60.0, 60.0), 6, 6), level=0.0)
    assert np.isnan(list(found.values())).all()


def test_centroid_of_nothing_is_unknown():
    found = measured("centroid", np.zeros(SHAPE), Ellipse((30.0, 30.0), 4, 4))
    assert np.isnan(list(found.values())).all()


@pytest.mark.parametrize("fwhm", [2.5, 4.0, 7.0])
def test_sizes_of_a_gaussian(fwhm):
    """Half of its light is within 1.1774 sigma, which is half its FWHM."""
    image = 10 + 900 * star(SHAPE, 30.3, 31.4, fwhm)
    found = measured("size", image, Ellipse((30.0, 31.0), 2.5 * fwhm, 2.5 * fwhm))
    # a pixel is a top hat, which widens a narrow star
    true = np.hypot(fwhm, 2.3548 * np.sqrt(1 / 12))
    assert found["half_light_radius"] == pytest.approx(true / 2 * 0.5, rel=0.03)
    assert found["diameter"] == pytest.approx(true * 0.5, rel=0.03)


def test_noise_of_the_sky_does_not_make_things_larger():
    """On average: what is above and below the background must count the same."""
    image, rng = 900 * star(SHAPE, 30.3, 31.4, 4.0), np.random.default_rng(0)
    disc = Ellipse((30.0, 31.0), 10, 10)
    true = measured("size", image, disc, level=0.0)["half_light_radius"]
    noisy = [
        measured("size", image + rng.normal(0, 1.5, SHAPE), disc, level=0.0)["half_light_radius"]
        for _ in range(60)
    ]
    error = np.std(noisy) / np.sqrt(60)
    assert np.mean(noisy) == pytest.approx(true, abs=max(4 * error, 0.02 * true))
    assert np.isnan(measured("size", image - 30, disc, level=0.0)["half_light_radius"])


def test_sizes_of_a_disc():
    image = Ellipse((30.0, 31.0), 9.0, 9.0).weights(whole(np.empty(SHAPE)))
    found = measured("size", image, Ellipse((30.0, 31.0), 13, 13), level=0.0)
    assert found["half_light_radius"] == pytest.approx(9 / np.sqrt(2) * 0.5, rel=0.02)
    assert found["diameter"] == pytest.approx(18 * 0.5, rel=0.02)


def test_diameter_is_that_of_the_brightest_of_two():
    image = 900 * star(SHAPE, 30, 25, 4.0) + 800 * star(SHAPE, 30, 37, 4.0)
    box = Polygon(np.array([[10.0, 10.0], [10.0, 50.0], [50.0, 50.0], [50.0, 10.0]]))
    assert measured("size", image, box, level=0.0)["diameter"] == pytest.approx(2.06, rel=0.04)


def line(start, end):
    """A line of height 1 at the resolution."""
    steps = np.linspace(0, 1, 4000)[:, None]
    at = np.asarray(start) * (1 - steps) + np.asarray(end) * steps
    edges = [np.arange(-0.5, n, 0.25) for n in SHAPE]
    fine = (np.histogram2d(*at.T, bins=edges)[0] > 0).astype(float)
    soft = gaussian_filter(fine, 4 * SIGMA)[: 4 * SHAPE[0], : 4 * SHAPE[1]]
    image = soft.reshape(SHAPE[0], 4, SHAPE[1], 4).mean((1, 3))
    return image / image.max()


SQUARE = Polygon(np.array([[4.5, 4.5], [4.5, 54.5], [54.5, 54.5], [54.5, 4.5]]))


@pytest.mark.parametrize("degrees", [0, 11, 22.5, 30, 45, 63, 90])
def test_length_of_a_line(degrees):
    along = np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])
    image = line((30.0, 30.0) - 20 * along, (30.0, 30.0) + 20 * along)
    # where a blurred line ends is a matter of taste: half its width at each end
    assert measured("length", image, SQUARE)["length"] == pytest.approx(40 * 0.5, abs=2.6 * 0.5)


@pytest.mark.parametrize("degrees", [0, 17, 31, 45, 72])
def test_length_of_a_line_through_the_region(degrees):
    """No ends, so no error of ends: orientation alone must not matter."""
    angle = np.radians(degrees)
    along = np.array([np.sin(angle), np.cos(angle)])
    image = line((30.0, 30.0) - 28 * along, (30.0, 30.0) + 28 * along)
    disc = Ellipse((30.0, 30.0), 18.0, 18.0)
    assert measured("length", image, disc)["length"] == pytest.approx(36 * 0.5, rel=0.035)


def test_length_of_two_is_the_sum():
    one, two = line((15, 10), (15, 50)), line((40, 10), (40, 50))
    single, both = (measured("length", image, SQUARE)["length"] for image in (one, one + two))
    assert both == pytest.approx(2 * single, rel=0.02)


def test_length_of_nothing_is_0():
    noise = np.random.default_rng(0).normal(0, 0.002, SHAPE)
    assert measured("length", np.zeros(SHAPE), SQUARE)["length"] == 0
    assert measured("length", noise, SQUARE)["length"] == 0


def test_count_of_stars_and_of_those_in_the_region_only():
    places = [(15.2, 14.0), (20.0, 40.4), (44.1, 22.0), (48.0, 50.0), (30.0, 58.0)]
    image = sum(100 * star(SHAPE, *place, FWHM) for place in places)
    image = image + np.random.default_rng(0).normal(0, 0.01, SHAPE)
    assert measured("count", image, SQUARE)["sources"] == 4
    assert measured("count", image, Ellipse((30.0, 20.0), 12.0, 20.0))["sources"] == 2


def test_count_of_spots():
    places = [(15.2, 14.0), (20.0, 40.4), (44.1, 22.0)]
    image = 10 + sum(100 * star(SHAPE, *place, FWHM) for place in places)
    image = image + np.random.default_rng(0).normal(0, 0.01, SHAPE)
    found = measured("count", image, SQUARE, domain="fluorescence")
    assert found == {"spots": 3, "nuclei": 0}


@pytest.mark.parametrize("name", sorted(QUANTITIES))
def test_masked_surroundings_do_not_matter_and_no_ring_is_told(name):
    rng = np.random.default_rng(0)
    image = 5 + 400 * star(SHAPE, 30, 30, 3.0) + rng.normal(0, 0.01, SHAPE)
    disc = Ellipse((30.0, 30.0), 6.0, 6.0)
    holed = image.copy()
    holed[5:12, 5:50] = np.nan
    clean, around = (measured(name, i, disc) for i in (image, holed))
    for key in clean:
        assert around[key] == pytest.approx(clean[key], rel=0.02)
    alone = measured(name, image[24:37, 24:37], Ellipse((6.0, 6.0), 6.0, 6.0))
    if name != "count":
        assert np.isnan(list(alone.values())).all()
