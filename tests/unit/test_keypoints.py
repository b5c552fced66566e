"""Keypoints: planted ones, none in noise, turned images, heatmaps and their peaks, scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from sciup.errors import InputError, OptionError
from sciup.keypoints import KINDS, Keypoints, Score, compare, find, heatmap, peaks

SIGMA = 2 / 2.3548
"""Of a point at a resolution of 2 px."""


def kind(name):
    return next(names.index(name) for names in KINDS.values() if name in names)


def grid(side):
    return np.mgrid[:side, :side].astype(float)


def gaussian(side, y, x, sigma):
    gy, gx = grid(side)
    return np.exp(-((gy - y) ** 2 + (gx - x) ** 2) / 2 / sigma**2)


def line(side, start, end):
    """A line of height 1 from start to end, at the resolution."""
    steps = np.linspace(0, 1, 20 * side)[:, None]
    at = np.asarray(start) * (1 - steps) + np.asarray(end) * steps
    fine = np.histogram2d(*at.T, bins=[np.arange(-0.5, side, 0.25)] * 2)[0] > 0
    soft = gaussian_filter(fine.astype(float), 4 * SIGMA)
    image = soft[: 4 * side, : 4 * side].reshape(side, 4, side, 4).mean((1, 3))
    return image / image.max()


def cross(y, x, *angles):
    """A fork with straight arms of 30 px, and where they end."""
    ends = [(y + 30 * np.sin(angle), x + 30 * np.cos(angle)) for angle in np.radians(angles)]
    return np.max([line(96, (y, x), end) for end in ends], 0), ends


def field(seed, side=96):
    """A micrograph with something of everything."""
    rng = np.random.default_rng(seed)
    image = 0.3 * gaussian_filter(rng.standard_normal((side, side)), 8) * 8
    for _ in range(6):
        image += rng.uniform(0.5, 1) * gaussian(side, *rng.uniform(8, side - 8, 2), SIGMA)
    image += 0.8 * (gaussian(side, *rng.uniform(30, side - 30, 2), 8.0) > 0.4)
    for _ in range(3):
        image = np.maximum(image, line(side, *rng.uniform(0, side - 1, (2, 2))))
    return gaussian_filter(image, 0.5) + 0.01 * rng.standard_normal((side, side))


def sky(seed, side=96):
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side))
    for width in (SIGMA, SIGMA, SIGMA, SIGMA, 2.5, 4.0):
        spot = gaussian(side, *rng.uniform(8, side - 8, 2), width)
        image += rng.uniform(60, 300) * spot / spot.sum()
    return image + 0.25 * rng.standard_normal((side, side))


def ordered(places):
    return places[np.lexsort(np.round(places, 3).T)]


@pytest.mark.parametrize("at", [(30.0, 41.0), (30.5, 40.5), (29.7, 41.2)])
def test_a_spot_is_where_it_was_planted(at):
    rng = np.random.default_rng(1)
    image = 5 + 3 * gaussian(72, *at, SIGMA) + 0.1 * rng.standard_normal((72, 72))
    points = find(image, "fluorescence", 0.1, 2.0)
    assert points.kind.tolist() == [kind("spot")]
    assert np.abs(points.place[0] - at).max() < 0.2


def test_a_faint_spot_is_not_told_from_noise():
    rng = np.random.default_rng(1)
    image = 0.3 * gaussian(72, 30, 41, SIGMA) + 0.1 * rng.standard_normal((72, 72))
    assert len(find(image, "fluorescence", 0.1, 2.0)) == 0


@pytest.mark.parametrize("radius", [8.0, 12.0, 20.0])
def test_a_nucleus_is_found_in_its_middle(radius):
    y, x = grid(128)
    at = 60.3, 70.8
    disc = gaussian_filter((np.hypot(y - at[0], x - at[1]) < radius).astype(float), 1.0)
    disc += 0.02 * np.random.default_rng(0).standard_normal(disc.shape)
    points = find(disc, "fluorescence", 0.02, 2.0)
    assert points.kind.tolist() == [kind("nucleus")]
    assert np.abs(points.place[0] - at).max() < 0.5


def test_a_heap_of_filaments_is_no_nucleus():
    image = gaussian(128, 64, 64, 8.0) * (1 + np.sin(np.arange(128) * 2 * np.pi / 6))
    assert len(find(image, "fluorescence", 0.0, 2.0).of(kind("nucleus"))) == 0


def test_a_band_is_no_nucleus():
    band = gaussian_filter((np.abs(grid(128)[1] - 64) < 10).astype(float), 1.0)
    band *= 1 + 0.1 * np.sin(np.arange(128) / 6)[:, None]
    assert len(find(band, "fluorescence", 0.001, 2.0).of(kind("nucleus"))) == 0


def test_a_short_rod_has_no_ends_and_a_long_one_has_two():
    for end, count in ((47, 0), (75, 2)):
        points = find(line(96, (40, 40), (40, end)), "fluorescence", 0.002, 2.0)
        assert len(points.of(kind("filament"))) == count


def test_a_faint_line_on_a_bright_cell_is_no_filament():
    y, x = grid(96)
    cell = gaussian_filter((np.hypot(y - 48, x - 48) < 40).astype(float), 6.0)
    faint = line(96, (48, 30), (48, 66))
    assert len(find(cell + 0.1 * faint, "fluorescence", 0.001, 2.0)) == 0
    assert len(find(cell + 0.6 * faint, "fluorescence", 0.001, 2.0).of(kind("filament"))) == 2


@pytest.mark.parametrize("at", [(48.0, 47.0), (48.5, 47.5), (47.6, 48.3)])
@pytest.mark.parametrize("first", [0, 20, 45])
def test_a_cross_is_one_fork_and_four_ends(at, first):
    image, ends = cross(*at, first, first + 90, first + 180, first + 270)
    points = find(image, "fluorescence", 0.002, 2.0)
    assert points.kind.tolist() == [kind("filament")] * 5
    away = np.hypot(*np.moveaxis(points.place[:, None] - np.array([at, *ends]), -1, 0)).min(0)
    assert away[0] < 0.5
    assert away[1:].max() < 1


@pytest.mark.parametrize("angles", [(10, 130, 250), (70, 149, 198, 309), (0, 60, 200)])
def test_an_uneven_fork_is_found_within_the_resolution(angles):
    image, ends = cross(47.6, 48.3, *angles)
    points = find(image, "fluorescence", 0.002, 2.0)
    truth = np.array([(47.6, 48.3), *ends])
    want = Keypoints(np.full(len(truth), kind("filament")), truth, np.ones(len(truth)))
    assert compare(points, want, 1.2).f1 == 1


def test_a_ring_has_neither_forks_nor_ends():
    y, x = grid(96)
    ring = np.exp(-((np.hypot(y - 47.2, x - 48.1) - 25) ** 2) / 2 / SIGMA**2)
    ring += 0.02 * np.random.default_rng(0).standard_normal(ring.shape)
    assert len(find(ring, "fluorescence", 0.02, 2.0)) == 0


def test_two_lines_side_by_side_have_no_fork():
    image = line(96, (10, 43), (85, 43)) + line(96, (10, 49), (85, 49))
    points = find(image, "fluorescence", 0.002, 2.0)
    assert len(points) == 4
    assert set(points.kind) == {kind("filament")}


def test_the_edge_of_a_cell_is_no_filament():
    y, x = grid(96)
    step = gaussian_filter((x + 0.3 * y > 60).astype(float), 1.0)
    assert len(find(step, "fluorescence", 0.001, 2.0)) == 0


def test_points_and_extended_sources_of_the_sky():
    places = np.array([[20.2, 30.7], [60.4, 25.1], [70.3, 80.6], [25.5, 85.5]])
    image = np.zeros((112, 112))
    for (y, x), width, flux in zip(
        places, (SIGMA, SIGMA, 2.5, 5.0), (20, 2e4, 400, 600), strict=True
    ):
        spot = gaussian(112, y, x, width)
        image += flux * spot / spot.sum()
    points = find(image, "night-sky", 0.25, 2.0)
    assert points.kind.tolist() == [0, 0, 1, 1]
    assert np.abs(ordered(points.place) - ordered(places)).max() < 0.3
    flux = sorted(points.of(0).strength)
    np.testing.assert_allclose(flux, [20, 2e4], rtol=0.08)


@pytest.mark.parametrize("width", [1.0, 1.15])
def test_a_bright_point_is_alone_though_it_is_a_little_wide(width):
    spot = gaussian(96, 40.3, 50.6, width * SIGMA)
    points = find(1e5 * spot / spot.sum(), "night-sky", 0.25, 2.0)
    assert points.kind.tolist() == [kind("point")]


def test_a_source_below_the_noise_of_the_input_does_not_count():
    spot = gaussian(64, 30, 30, SIGMA)
    assert len(find(6 * spot / spot.sum(), "night-sky", 0.25, 2.0)) == 0


@pytest.mark.parametrize("domain", KINDS)
def test_noise_has_no_keypoints(domain):
    """Less than one in 20 fields of 192 x 192 px."""
    rng = np.random.default_rng(7)
    fields = (rng.standard_normal((192, 192)) for _ in range(20))
    assert sum(len(find(noise, domain, 1.0, 2.0)) for noise in fields) == 0


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("domain", KINDS)
def test_a_constant_image_has_no_keypoints(domain, value):
    assert len(find(np.full((40, 50), value), domain, 0.0, 2.0)) == 0


@given(st.integers(0, 50), st.floats(0.01, 1000), st.floats(-100, 100))
@settings(max_examples=15, deadline=None)
def test_another_unit_finds_the_same(seed, factor, offset):
    for image, domain, noise in (
        (field(seed), "fluorescence", 0.01),
        (sky(seed), "night-sky", 0.25),
    ):
        one = find(image, domain, noise, 2.0)
        two = find(factor * (image + offset), domain, factor * noise, 2.0)
        np.testing.assert_array_equal(one.kind, two.kind)
        np.testing.assert_allclose(one.place, two.place, atol=1e-3)
        unit = factor if domain == "night-sky" else 1
        np.testing.assert_allclose(unit * one.strength, two.strength, rtol=1e-3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shape", [(96, 96), (93, 90)])
def test_a_turned_image_has_the_turned_keypoints(seed, shape):
    for image, domain, noise in (
        (field(seed), "fluorescence", 0.01),
        (sky(seed), "night-sky", 0.25),
    ):
        part = image[: shape[0], : shape[1]]
        one = find(part, domain, noise, 2.0)
        assert len(one) > 4
        turned = find(np.rot90(part), domain, noise, 2.0)
        mirrored = find(part[::-1], domain, noise, 2.0)
        for k in range(len(KINDS[domain])):
            y, x = one.of(k).place.T
            back = np.stack([shape[1] - 1 - x, y], 1)
            np.testing.assert_allclose(ordered(turned.of(k).place), ordered(back), atol=1e-6)
            back = np.stack([shape[0] - 1 - y, x], 1)
            np.testing.assert_allclose(ordered(mirrored.of(k).place), ordered(back), atol=1e-6)


def test_what_is_not_an_image_is_refused():
    with pytest.raises(InputError, match="finite"):
        find(np.full((20, 20), np.nan), "night-sky", 1.0, 2.0)
    with pytest.raises(InputError, match=r"shape \(h, w\)"):
        find(np.zeros((2, 20, 20)), "night-sky", 1.0, 2.0)
    with pytest.raises(OptionError, match="noise"):
        find(np.zeros((20, 20)), "night-sky", -1.0, 2.0)
    with pytest.raises(OptionError, match="fluorescence or night-sky"):
        find(np.zeros((20, 20)), "sun", 1.0, 2.0)
    with pytest.raises(InputError, match="3 channels"):
        peaks(np.zeros((2, 20, 20)), "fluorescence", 0.5)


@pytest.mark.parametrize("shape", [(1, 1), (7, 40), (17, 16)])
@pytest.mark.parametrize("domain", KINDS)
def test_small_images_are_allowed(domain, shape):
    assert len(find(np.random.default_rng(0).standard_normal(shape), domain, 1.0, 2.0)) == 0


def scattered(seed, count=25, side=80, kinds=3):
    """Keypoints at least 7 px from those of the same kind."""
    rng = np.random.default_rng(seed)
    slots = rng.permutation(100)[:count]
    place = np.stack([slots // 10, slots % 10], 1) * side / 10 + rng.uniform(3, 4, (count, 2))
    return Keypoints(rng.integers(0, kinds, count), place, np.ones(count))


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_peaks_of_a_heatmap_are_its_keypoints(seed):
    points = scattered(seed)
    heat = heatmap(points, "fluorescence", (80, 80))
    assert heat.dtype == np.float32
    assert heat.shape == (3, 80, 80)
    again = peaks(heat, "fluorescence", 0.5)
    assert compare(again, points, 0.1).f1 == 1
    np.testing.assert_allclose(again.strength, 1, atol=0.05)


def test_a_heatmap_is_the_highest_gaussian_of_a_kind():
    points = Keypoints(np.array([0, 0, 1]), np.array([[5.0, 5], [5, 7], [-1, 3]]), np.ones(3))
    heat = heatmap(points, "night-sky", (12, 14), sigma=1.5)
    want = np.maximum(gaussian(14, 5, 5, 1.5), gaussian(14, 5, 7, 1.5))[:12]
    np.testing.assert_allclose(heat[0], want, atol=1e-4)
    np.testing.assert_allclose(heat[1], gaussian(14, -1, 3, 1.5)[:12], atol=1e-4)
    nothing = points.of(5)
    assert len(nothing) == 0
    assert not heatmap(nothing, "night-sky", (12, 14)).any()
    assert len(peaks(np.zeros((2, 9, 9)), "night-sky", 0.1)) == 0


def test_peaks_keep_the_higher_of_two_that_are_close_and_none_below_the_threshold():
    heat = np.zeros((2, 20, 20))
    heat[0, 5, 5], heat[0, 5, 7], heat[0, 15, 15] = 0.9, 0.8, 0.3
    found = peaks(heat, "night-sky", 0.4)
    assert found.place.tolist() == [[5, 5]]
    assert found.strength.tolist() == [0.9]


def test_a_keypoint_is_paired_once_and_with_its_own_kind():
    truth = Keypoints(np.array([0, 0, 1]), np.array([[0.0, 0], [0, 3], [9, 9]]), np.ones(3))
    crowd = Keypoints(np.zeros(5, int), np.array([[0.0, 0.1 * i] for i in range(5)]), np.ones(5))
    assert compare(crowd, truth, 1.0) == Score(1, 5, 3)
    other = Keypoints(1 - truth.kind, truth.place, truth.strength)
    assert compare(other, truth, 1.0).hits == 0


def test_as_many_pairs_as_can_be():
    # the greedy pair (1.4, 2) would leave 0 and 3 without a partner
    one = Keypoints(np.zeros(2, int), np.array([[0.0, 0.0], [0.0, 1.4]]), np.ones(2))
    two = Keypoints(np.zeros(2, int), np.array([[0.0, 1.0], [0.0, 2.6]]), np.ones(2))
    assert compare(one, two, 1.3).hits == 2


@given(st.integers(0, 1000), st.integers(0, 1000), st.floats(0, 20))
@settings(max_examples=25, deadline=None)
def test_a_comparison_has_bounds_and_no_direction(a, b, radius):
    one, two = scattered(a, 12), scattered(b, 9)
    score, back = compare(one, two, radius), compare(two, one, radius)
    assert score.hits == back.hits <= min(score.found, score.true)
    assert score.precision == back.recall
    assert score.f1 == pytest.approx(back.f1)
    assert compare(one, one, radius).f1 == 1


def test_scores_add_up():
    total = Score(1, 2, 4) + Score(3, 4, 4)
    assert (total.precision, total.recall) == (4 / 6, 0.5)
    assert total.f1 == pytest.approx(2 / (6 / 4 + 2))
    assert Score().f1 == 1
    assert Score(0, 3, 0).f1 == 0
