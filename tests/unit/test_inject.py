"""Injected light and where it goes: flux, noise, masks, tiles, places, what counts as found."""

import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, Table
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

import sciup
from sciup.engine.job import Task, Worker
from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.image import Fact
from sciup.io import open_image
from sciup.physics.projection import kernel_side
from sciup.physics.psf import gaussian, moments, relative_analytic, relative_gaussian
from sciup.results.draws import Draws
from sciup.science.inject import places as places_module
from sciup.science.inject.blank import blank, garwood, pixels
from sciup.science.inject.field import Injected, brightest, injected
from sciup.science.inject.light import LARGEST, Optics, total
from sciup.science.inject.methods import Found
from sciup.science.inject.places import Room, listed, packed, rounds, scattered
from sciup.science.inject.plan import Thresholds
from sciup.science.inject.recover import FEWEST, false_number, matched, recovered
from sciup.science.inject.rows import Spurious, wilson
from sciup.science.inject.run import believed
from sciup.testing.toy_images import cells, star, star_field
from sciup.testing.toy_model import write_toy_model

STATED = {"psf_fwhm": 2.5, "background": 100.0, "noise_sigma": 5.0, "gain": 4.0}
FIXED = {"samples": 4, "device": "cpu", "precision": "fp32"}


def optics(scale=2, fwhm=2.5, gain=4.0, stamp=None):
    """Of a Gaussian PSF."""
    kernel = relative_gaussian(kernel_side(scale), fwhm * scale, 2.0)
    stamp = np.ones((1, 1)) if stamp is None else stamp / stamp.sum()
    return Optics(scale, 2.0, kernel, gain, stamp, 10.0)


def moffat_optics():
    """Of a relative kernel with negative lobes."""
    ringing = relative_analytic(gaussian(4 * 29 + 1, 2.2), 29, 2.0)
    assert ringing.min() < -1e-4
    return replace(optics(), kernel=ringing)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toys") / "toy"
    return write_toy_model(folder, scale=2, channels=4, head_channels=4)


@pytest.fixture(scope="module")
def result(model):
    return lazy(star_field((70, 90), stars=0), model)


def lazy(image, model, **more):
    return sciup.upscale(image, model=model, **STATED | FIXED | more)


def image_of(values):
    return open_image(np.asarray(values, np.float32))


@settings(deadline=None, max_examples=25)
@given(
    scale=st.sampled_from([1, 2, 4]),
    y=st.floats(-5, 70),
    x=st.floats(-5, 70),
    flux=st.floats(1e-3, 1e6),
    side=st.integers(1, 6),
)
def test_light_is_conserved_wherever_it_goes(scale, y, x, flux, side):
    stamp = np.arange(1.0, side * 3 + 1).reshape(side, 3)
    box, light = optics(scale, stamp=stamp).expected((y, x), flux)
    assert light.shape == box.shape
    assert light.sum() == pytest.approx(flux, rel=1e-9)
    # and hardly any of it lies on the rim: nothing is cut
    assert abs(light[[0, -1]]).max() < 1e-6 * flux


@settings(deadline=None, max_examples=15)
@given(y=st.floats(20, 40), x=st.floats(20, 40))
def test_a_point_is_a_star_of_the_psf_at_its_place(y, x):
    box, light = optics().expected((y, x), 1.0)
    image = np.zeros((64, 64))
    image[box.slices] = light
    rows, cols = np.mgrid[:64, :64]
    assert (image * rows).sum() == pytest.approx(y, abs=1e-3)
    assert (image * cols).sum() == pytest.approx(x, abs=1e-3)
    expected = star((64, 64), y, x, 2.5)
    assert abs(image - expected).max() < 0.02 * expected.max()


def test_a_stamp_of_one_pixel_is_a_point_and_a_wide_one_is_wide():
    place = (20.3, 31.8)
    point, same = optics(), optics(stamp=np.full((1, 1), 7.0))
    np.testing.assert_array_equal(point.expected(place, 5.0)[1], same.expected(place, 5.0)[1])
    wide = optics(stamp=gaussian(25, 8.0))
    box, light = wide.expected((30.0, 30.0), 1.0)
    blurred = np.hypot(8.0 / 2, 2.5)
    middle = light[tuple(slice(30 - a - 10, 30 - a + 11) for a in box.start)]
    assert moments(middle)[0] == pytest.approx(blurred, rel=0.05)
    assert wide.area > 2 * (1 / (point.expected((0, 0), 1.0)[1] ** 2).sum())


@pytest.mark.parametrize(
    "stamp",
    [np.ones(5), np.zeros((3, 3)), np.full((3, 3), np.nan), -np.ones((2, 2)), np.ones((3, 3, 3)),
     np.ones((1, LARGEST + 1)), np.empty((0, 0))],
)  # fmt: skip
def test_what_is_no_stamp_is_refused(result, stamp):
    with pytest.raises(InputError, match="the stamp has"):
        Optics.of(result, stamp)


@pytest.mark.parametrize("made", [optics, moffat_optics])
def test_photons_have_the_variance_of_their_number(made):
    lens, flux, count = made(), 500.0, 600
    light = lens.expected((10.2, 10.7), flux)[1]
    many = np.stack([lens.patch((10.2, 10.7), flux, (3, i)).counted for i in range(count)])
    expected = np.maximum(light, 0) / lens.gain
    bright = expected > 0.5 / lens.gain
    pull = (many.mean(0) - light)[bright] / np.sqrt(expected[bright] / count)
    assert abs(pull).max() < 5
    ratio = (many.var(0, ddof=1)[bright] / expected[bright]).mean()
    assert ratio == pytest.approx(1, abs=0.05)
    # where the kernel takes light away there is no noise
    below = light < 0
    np.testing.assert_array_equal(
        many[:, below], np.broadcast_to(light[below], (count, below.sum()))
    )


def test_photons_repeat_with_their_seed_only():
    lens = optics()
    one, again, other = (lens.patch((9.0, 9.0), 100.0, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(one.counted, again.counted)
    assert (one.counted != other.counted).any()


@dataclass(eq=False)
class Noisy(Injected):
    """A base that brings its noise."""

    def load_sigma(self, plane, box):
        return np.full(box.shape, 3.0, np.float32)


def test_noise_maps_of_files_grow_with_the_light():
    base = image_of(np.zeros((40, 40)))
    patch = optics().patch((20.0, 20.0), 800.0, (1,))
    noisy = Noisy.of(base, (), 4.0)
    found = Injected.of(noisy, [patch], 4.0).load_sigma((), Box.of_shape((40, 40)))
    expected = np.full((40, 40), 9.0)
    expected[patch.box.slices] += np.maximum(patch.light, 0) / 4
    np.testing.assert_allclose(found**2, expected, rtol=1e-5)
    assert Injected.of(base, [patch], 4.0).load_sigma((), Box.of_shape((40, 40))) is None


def test_masked_pixels_stay_masked_and_the_others_get_their_light():
    values = np.full((40, 44), 10.0, np.float32)
    values[18:22, 19:21] = np.nan
    patches = [optics().patch(p, 900.0, (i,)) for i, p in enumerate([(20.0, 20.4), (1.0, 43.0)])]
    lit = Injected.of(image_of(values), patches, 4.0)
    found, footprint = lit.read((), Box.of_shape((40, 44)))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    np.testing.assert_array_equal(footprint, np.isfinite(values))
    more = total(patches, Box.of_shape((40, 44)))
    np.testing.assert_array_equal(found[footprint], (values + more).astype(np.float32)[footprint])
    assert more[1, 43] > 0


def test_light_saturates_where_the_file_says_so():
    base = image_of(np.full((30, 30), 10.0))
    base.facts = {"saturation": Fact(60.0, "header", "")}
    patch = optics(gain=1e6).patch((15.0, 15.0), 900.0, (1,))
    values, footprint = Injected.of(base, [patch], 1e6).read((), Box.of_shape((30, 30)))
    bright = total([patch], Box.of_shape((30, 30))) >= 50.0
    np.testing.assert_array_equal(footprint, ~bright)
    assert 1 < bright.sum() < 60
    assert np.isnan(values[15, 15])


@pytest.mark.parametrize(("kind", "top"), [("uint8", 255.0), ("int16", 32767.0)])
def test_integers_end_at_the_largest_of_their_kind(kind, top):
    base = open_image(np.full((30, 30), top - 50, kind))
    patch = optics(gain=1e6).patch((15.0, 15.0), 900.0, (1,))
    values, footprint = Injected.of(base, [patch], 1e6).read((), Box.of_shape((30, 30)))
    more = total([patch], Box.of_shape((30, 30)))
    assert footprint.all()  # the reader masks nothing there
    np.testing.assert_allclose(values, np.minimum(top - 50 + more, top), rtol=1e-6)
    assert values.max() == top


@pytest.mark.parametrize(
    ("values", "scaling", "top"),
    [
        (np.full((8, 8), 3, "i2"), {"BSCALE": 2.0, "BZERO": 10.0}, 65544.0),
        (np.full((8, 8), 3, "u2"), {}, 65535.0),
        (np.full((8, 8), 3, "f4"), {}, np.inf),
    ],
)
def test_integers_of_fits_files_are_scaled(tmp_path, values, scaling, top):
    hdu = fits.PrimaryHDU(values)
    hdu.header.update(scaling)
    hdu.writeto(tmp_path / "a.fits")
    assert brightest(open_image(tmp_path / "a.fits")) == top


def test_windows_read_the_same_light_as_the_whole():
    rng = np.random.default_rng(0)
    base = image_of(rng.normal(0, 1, (60, 64)))
    at = rng.uniform(-4, 66, (30, 2))
    lit = Injected.of(
        base, [optics().patch((y, x), 50.0, (i,)) for i, (y, x) in enumerate(at)], 4.0
    )
    whole, _ = lit.read((), Box((-8, -8), (72, 76)))
    for start in [(-8, -8), (0, 0), (13, 17), (41, 33)]:
        box = Box(start, tuple(a + 23 for a in start))
        np.testing.assert_array_equal(lit.read((), box)[0], whole[box.shifted((8, 8)).slices])


def test_beliefs_are_those_of_the_field_without_injections(model):
    field = lazy(star_field((150, 160), stars=0), model, background=None, noise_sigma=None)
    at = [(20.0 + 12 * i, 20.0 + 12 * j) for i in range(10) for j in range(10)]
    patches = [Optics.of(field).patch(p, 3e5, (i,)) for i, p in enumerate(at)]
    lit = injected(field, patches)
    assert lit.job.instruments == field.job.instruments
    assert lit.job.digests == field.job.digests
    box = Box.of_shape((150, 160))
    levels = [Worker(r.job).sampler(0, ()).units.mesh.fields(box) for r in (field, lit)]
    np.testing.assert_array_equal(levels[0], levels[1])
    # without the rule the sky would be another one
    plain = replace(lit.job, image=image_of(lit.job.image.read((), box)[0]))
    other = Worker(plain).sampler(0, ()).units.mesh.fields(box)
    assert (other[0] != levels[0][0]).all()


def test_a_part_of_the_injected_field_gives_the_same_draws(result):
    patches = [Optics.of(result).patch((30.2, 44.9), 3e3, (1,))]
    lit = injected(result, patches)
    whole = np.asarray(lit.sample(0))
    part = replace(lit.job, region=Box((21, 30), (52, 71)))
    found = Worker(part).compute(Task(0, (), (0, 0), Box.of_shape(part.layout.plane_shape)), (0,))
    np.testing.assert_array_equal(found["sample_0"], whole[42:104, 60:142])
    assert whole.max() > np.asarray(result.sample(0)).max() + 100


def room_of(values, region=None, clear=5):
    image = image_of(values)
    return Room(image, (), region or Box.of_shape(image.plane_shape), clear)


def test_random_places_keep_away_from_masks_and_edges(monkeypatch):
    monkeypatch.setattr(places_module, "BLOCK", 16)
    values = np.ones((90, 100), np.float32)
    values[30:34, 60:70] = np.nan
    region = Box((10, 20), (80, 95))
    found = room_of(values, region).uniform(2000, np.random.default_rng(1))
    assert len(found) == 2000
    assert (np.rint(found) >= [15, 25]).all()
    assert (np.rint(found) < [75, 90]).all()
    y, x = np.rint(found).T
    beside = (y >= 25) & (y < 39) & (x >= 55) & (x < 75)
    assert not beside.any()
    # and everything else is used
    free = np.ones((90, 100), bool)
    free[25:39, 55:75] = False
    free[:15] = free[75:] = free[:, :25] = free[:, 90:] = False
    seen = np.zeros((90, 100), bool)
    seen[y.astype(int), x.astype(int)] = True
    assert seen[free].mean() > 0.3
    assert not seen[~free].any()


def scattered_in(result, count, seed=0, apart=12.5, span=(3.0, 50.0), values=None):
    values = np.ones((70, 90)) if values is None else values
    b, lens = believed(result, 5.0), Optics.of(result)
    return scattered(count, span, room_of(values), apart, lens, b, seed)


def test_random_sources_repeat_with_their_seed_and_keep_apart(result):
    one, again, other = (scattered_in(result, 12, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.places, again.places)
    np.testing.assert_array_equal(one.fluxes, again.fluxes)
    assert (one.places != other.places).any()
    assert ((one.snr >= 3) & (one.snr <= 50)).all()
    assert len(rounds(one.places, 12.5)) == 1
    b = believed(result, 5.0)
    np.testing.assert_allclose(b.snr(one.fluxes), one.snr, rtol=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 40)), min_size=1, max_size=30))
def test_rounds_hold_every_source_once_and_none_close_to_another(places):
    at = np.array(places)
    made = packed(at, 6.0)
    kept = np.concatenate(made)
    assert len(np.unique(kept)) == len(kept)
    for members in made:
        apart = np.hypot(*(at[members][:, None] - at[members]).transpose(2, 0, 1))
        assert (apart[~np.eye(len(members), dtype=bool)] >= 6).all()
    if len(made) < places_module.ROUNDS:
        assert len(kept) == len(at)


def test_more_sources_than_there_is_room_for(result):
    with pytest.raises(OptionError, match=r"do not fit into 8 rounds.*about 8"):
        rounds(np.zeros((9, 2)), 5.0)
    with pytest.raises(OptionError, match=r"3000 sources, 12\.5 input px apart"):
        scattered_in(result, 3000)


def test_no_place_at_all(result):
    with pytest.raises(InputError, match="no place lies 5 input px away"):
        scattered_in(result, 3, values=np.full((70, 90), np.nan))


def with_wcs(tmp_path, model):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150, 2], [40, 30]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    path = tmp_path / "field.fits"
    fits.PrimaryHDU(star_field((70, 90), stars=0), wcs.to_header()).writeto(path)
    return wcs, lazy(path, model, roi="5:65,10:80")


def test_catalogues_say_where_by_pixels_and_by_the_sky(tmp_path, model):
    wcs, result = with_wcs(tmp_path, model)
    b, lens, draws = believed(result, 5.0), Optics.of(result), Draws.of_result(result)
    at = np.array([[12.0, 20.5], [40.25, 61.0]])
    sky = wcs.pixel_to_world(at[:, 1], at[:, 0]).icrs
    by_sky = Table({"RA": sky.ra.deg, "DEC": sky.dec.deg, "flux": [100.0, 900.0]})
    by_sky.write(tmp_path / "sky.csv", format="ascii.csv")
    found = listed(tmp_path / "sky.csv", draws, lens, b)
    np.testing.assert_allclose(found.places, at, atol=1e-4)
    np.testing.assert_allclose(found.fluxes, [100.0, 900.0])
    np.testing.assert_allclose(found.snr, b.snr(found.fluxes))
    by_pixels = listed(Table({"y": at[:, 0], "x": at[:, 1], "snr": found.snr}), draws, lens, b)
    np.testing.assert_allclose(by_pixels.places, at, atol=1e-9)
    np.testing.assert_allclose(by_pixels.fluxes, found.fluxes, rtol=1e-9)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"y": [5.0], "x": [5.0]}, "has the columns y, x.*flux .input units. or snr"),
        ({"y": [5.0], "x": [5.0], "flux": [-1.0]}, "numbers above 0"),
        ({"y": [5.0], "x": [5.0], "snr": ["bright"]}, "numbers above 0"),
        ({"y": [5.0, 69.6], "x": [5.0, 5.0], "flux": [1.0, 1.0]}, "1 of 2 places.*in row 2"),
        ({"y": [np.nan], "x": [5.0], "flux": [1.0]}, "1 of 1 places"),
        ({"y": [], "x": [], "flux": []}, "has 0 rows"),
        ({"a": [1.0], "flux": [1.0]}, "has the columns a, flux"),
    ],
)
def test_catalogues_that_are_refused(result, columns, message):
    b, lens, draws = believed(result, 5.0), Optics.of(result), Draws.of_result(result)
    with pytest.raises(InputError, match=message):
        listed(Table(columns), draws, lens, b)


@pytest.mark.parametrize(
    ("stored", "unit", "factor"),
    [("adu", "adu", 1.0), ("nJy", "uJy", 1000.0), ("nJy", None, 1.0), (None, None, 1.0)],
)
def test_fluxes_are_brought_to_the_unit_of_the_image(tmp_path, model, stored, unit, factor):
    result = with_unit(tmp_path, model, stored)
    b, lens, draws = believed(result, 5.0), Optics.of(result), Draws.of_result(result)
    table = Table({"y": [5.0], "x": [5.0], "flux": Column([7.0], unit=unit)})
    assert listed(table, draws, lens, b).fluxes.tolist() == pytest.approx([7.0 * factor])


@pytest.mark.parametrize(
    ("stored", "key", "unit"),
    [("adu", "flux", "mag"), ("nJy", "flux", "mag(AB)"), ("adu", "flux", "Jy"),
     (None, "flux", "adu"), ("adu", "snr", "adu")],
)  # fmt: skip
def test_units_that_are_no_fluxes_of_the_image(tmp_path, model, stored, key, unit):
    result = with_unit(tmp_path, model, stored)
    b, lens, draws = believed(result, 5.0), Optics.of(result), Draws.of_result(result)
    table = Table({"y": [5.0], "x": [5.0], key: Column([7.0], unit=unit)})
    with pytest.raises(InputError, match=rf"the column {key} has the unit {re.escape(unit)}"):
        listed(table, draws, lens, b)


def with_unit(tmp_path, model, unit):
    hdu = fits.PrimaryHDU(star_field((40, 40), stars=0))
    if unit:
        hdu.header["BUNIT"] = unit
    hdu.writeto(tmp_path / "unit.fits")
    return lazy(tmp_path / "unit.fits", model)


def found_at(places, scores, fluxes=None):
    scores = np.array(scores, float)
    fluxes = scores if fluxes is None else np.array(fluxes, float)
    nothing = np.full(len(scores), np.nan)
    return Found(np.array(places, float).reshape(-1, 2), scores, fluxes, nothing, nothing)


def test_what_was_there_before_counts_only_if_it_brightens():
    at = np.array([[10.0, 10.0], [20.0, 20.0], [30.0, 30.0], [40.0, 40.0], [50.0, 50.0]])
    fluxes = np.full(5, 100.0)
    before = found_at(at[[1, 2, 3]], [0.9, 0.9, 0.2], [500.0, 500.0, 90.0])
    after = found_at(at[:4], [0.9] * 4, [100.0, 549.0, 551.0, 100.0])
    found, now, was = recovered(at, fluxes, after, before, 1.0, 0.5)
    assert found.tolist() == [True, False, True, True, False]
    assert (was >= 0).tolist() == [False, True, True, False, False]
    assert now.tolist() == [0, 1, 2, 3, -1]
    # below the threshold nothing is detected
    assert not recovered(at, fluxes, after, before, 1.0, 0.95)[0].any()


def test_the_brightest_of_several_matches():
    field = found_at([[10.0, 10.0], [10.0, 11.0], [10.0, 9.5]], [0.6, 0.7, 0.3], [1.0, 5.0, 9.0])
    assert matched(np.array([[10.0, 10.0]]), field, 1.0, 0.5).tolist() == [1]
    assert matched(np.array([[10.0, 10.0]]), field, 1.0, 0.0).tolist() == [2]
    assert matched(np.array([[10.0, 10.0]]), found_at([], []), 1.0, 0.5).tolist() == [-1]


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000), ours=st.integers(0, 40), theirs=st.integers(0, 40),
    levels=st.integers(1, 30), floor=st.floats(0, 30),
)  # fmt: skip
def test_equal_thresholds_are_the_lowest_that_are_not_worse(seed, ours, theirs, levels, floor):
    scores = np.random.default_rng(seed).integers(1, levels + 1, theirs).astype(float)
    blank = {"sciup": found_at(np.zeros((ours, 2)), [0.9] * ours),
             "bicubic": found_at(np.zeros((theirs, 2)), scores)}  # fmt: skip
    at = Thresholds(blank, {"bicubic": floor}, 0.5)
    assert at.number("sciup") == ours
    threshold = at.all["bicubic"]
    if ours < FEWEST:
        assert threshold == floor
        return
    assert threshold >= floor
    assert at.number("bicubic") <= ours
    lower = np.max(scores[scores < threshold], initial=-np.inf)
    if lower >= floor:
        assert false_number(blank["bicubic"], lower) > ours


def test_intervals_of_counts():
    # Gehrels (1986, ApJ 303, 336), tables 1 and 2, at S = 1.96: one-sided 0.975
    assert garwood(0) == pytest.approx((0, 3.689), abs=1e-3)
    assert garwood(3) == pytest.approx((0.6187, 8.767), abs=1e-3)
    told = Spurious.of(3, 150_000)
    assert (told.number, told.per_mpx) == (3, pytest.approx(20))
    assert (told.low, told.high) == pytest.approx((0.6187 / 0.15, 8.767 / 0.15), rel=1e-3)


def test_blank_fields_have_what_is_believed_and_no_star(model):
    values = star_field((150, 300), stars=60)
    values[40:60, 70:90] = np.nan
    field = lazy(values, model)
    empty = blank(field, 5).job.image
    whole, footprint = empty.read((), Box.of_shape((150, 300)))
    np.testing.assert_array_equal(footprint, np.isfinite(values))
    assert pixels(field) == footprint.sum()
    sky = whole[footprint]
    assert sky.mean() == pytest.approx(100.0, abs=4 * 5 / np.sqrt(sky.size))
    assert sky.std() == pytest.approx(5.0, rel=0.02)
    assert sky.max() < 100 + 6 * 5 < np.nanmax(values)
    # white, the same in every window, and another one for another seed
    beside = np.nanmean((whole[:, 1:] - 100) * (whole[:, :-1] - 100)) / 25
    assert abs(beside) < 0.03
    part = Box((-4, 240), (100, 290))
    np.testing.assert_array_equal(empty.read((), part)[0][4:], whole[:100, 240:290])
    assert (blank(field, 6).job.image.read((), part)[0][4:] != whole[:100, 240:290]).all()
    assert blank(field, 5).job.instruments == field.job.instruments


def test_blank_micrographs_have_level_and_noise_of_the_darkest_places(tmp_path):
    toy = write_toy_model(tmp_path / "toy", scale=2, domain="fluorescence", channels=4,
                          head_channels=4)  # fmt: skip
    image = cells((200, 200), pedestal=100.0, electrons_per_unit=0.5)
    result = sciup.upscale(image, model=toy, psf_fwhm=2.2, gain=0.5, background=100.0, **FIXED)
    i = result.instrument
    values = blank(result, 0).job.image.read((), Box.of_shape((200, 200)))[0]
    photons = (0.5 * i.noise_sigma.value) ** 2 - i.read_noise.value**2
    assert values.mean() == pytest.approx(100 + photons / 0.5, abs=0.1)
    assert values.std() == pytest.approx(float(i.noise_sigma.value), rel=0.02)


def test_intervals_of_shares():
    # Wilson (1927) for 0 of 10 and 10 of 10: z^2 / (n + z^2)
    z2 = 1.959964**2
    assert wilson(0, 10) == pytest.approx((0, z2 / (10 + z2)), abs=1e-6)
    assert wilson(10, 10) == pytest.approx((10 / (10 + z2), 1), abs=1e-6)


def test_micrographs_have_their_own_units(tmp_path):
    model = write_toy_model(
        tmp_path / "toy", scale=2, domain="fluorescence", channels=4, head_channels=4
    )
    image = cells((64, 64), pedestal=100.0, electrons_per_unit=0.5)
    result = sciup.upscale(image, model=model, psf_fwhm=2.2, gain=0.5, background=100.0, **FIXED)
    assert believed(result, 5.0).target.kind == "spot"
    patch = Optics.of(result).patch((30.0, 30.0), 4000.0, (1,))
    assert patch.light.sum() == pytest.approx(4000.0, rel=1e-6)
    steps = patch.counted[patch.counted > 0] * 0.5  # whole electrons
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
