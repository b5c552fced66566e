"""Catalogues of results: blocks, planes, masks, coordinates, files, and what is refused."""

import json
import re
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

import sciup
from sciup.api import Result
from sciup.cli import main
from sciup.errors import InputError, OptionError, OutputError
from sciup.existence import Curve, Existence
from sciup.existence.curves import Errors
from sciup.generators.facts import ModelFacts
from sciup.geometry import Box
from sciup.image import KEYPOINT_KINDS
from sciup.io import open_image
from sciup.physics.instrument import Fact, Instrument
from sciup.results.again import find_input
from sciup.results.draws import Draws
from sciup.results.finished import Finished
from sciup.results.sky import Sky
from sciup.results.tables import write_table
from sciup.science.detect.chances import Chances, stated
from sciup.science.detect.heatmaps import expected
from sciup.science.detect.regions import write_regions
from sciup.science.detect.walk import spans
from sciup.testing.toy_images import cells, star, star_field
from sciup.testing.toy_model import write_toy_model

STATED = {"psf_fwhm": 2.3, "background": 100.0, "noise_sigma": 5.0, "gain": 10.0}
FIXED = {"samples": 4, "device": "cpu", "precision": "fp32"}


def facts(bright=None):
    none = Fact(None, "assumed", "")
    given = {"psf_fwhm": 2.5, "noise_sigma": 4.0, "background": 40.0, "electrons_per_unit": 1e9}
    made = {n: Fact(v, "given", "") for n, v in given.items()}
    return Instrument(
        **dict.fromkeys(Instrument.__dataclass_fields__, none)
        | made
        | {"bright": Fact(bright, "given", "")}
    )


@dataclass
class Made(Draws):
    """Draws that are made up, by plane; `read` says which boxes were read."""

    arrays: dict = field(default_factory=dict)
    read: list = field(default_factory=list)

    @classmethod
    def of(cls, arrays, *, scale=2, start=(0, 0), bright=None, **more):
        """Draws of arrays (count, h, w) by plane; 10 per output px are no source."""
        shape = next(iter(arrays.values())).shape[1:]
        stop = tuple(a + n // scale for a, n in zip(start, shape, strict=True))
        given = {
            "scale": scale, "region": Box(start, stop), "plane_shape": shape,
            "planes": list(arrays), "instruments": (facts(bright),) * len(arrays), "samples": 8,
            "unit": "electron", "flux": scale**2, "pixel": None, "sky": None, "target_fwhm": 2.0,
            "name": "made", "about": {"model": "none", "weights": "0" * 64, "seed": 0},
            "input_shape": tuple(n + 20 for n in stop), "_job": "it is made up",
        }  # fmt: skip
        return cls(**given | more, arrays=arrays)

    def window(self, plane, box, count=None):
        self.read.append(box)
        return self.arrays[plane][(slice(count), *box.slices)].copy()


def ensemble(shape, number, *, count=9, seed=0, edges=()):
    """Draws with stars that most of them show, some of them beside given edges."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(8, np.array(shape) - 8, (number, 2))
    for i, place in enumerate(places):
        within = [e for e in edges if e < shape[i % 2] - 20]
        if within:
            place[i % 2] = rng.choice(within) + rng.uniform(-1, 1)
    images = np.full((count, *shape), 10.0)
    for y, x in places:
        chance, flux = rng.uniform(), rng.uniform(150, 900)
        for image in images:
            if rng.uniform() < chance:
                jitter = rng.normal(0, 0.3, 2)
                box = Box((int(y) - 8, int(x) - 8), (int(y) + 8, int(x) + 8))
                middle = np.array([y, x]) - box.start + jitter
                image[box.slices] += flux * star((16, 16), *middle, 2.0)
    return images


def same(one, other):
    assert one.colnames == other.colnames
    for name in one.colnames:
        np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(other[name]), name)


@pytest.fixture(scope="module")
def large():
    """A result of 3 x 4 cells of 256 px, with stars on their edges, which lie at 256 i - 48."""
    edges = [208, 464, 720]
    return ensemble((620, 900), 150, edges=edges)


@pytest.mark.parametrize("kind", ["point", "extended"])
def test_how_the_work_is_cut_does_not_show(large, kind):
    count = 9 if kind == "point" else 5
    draws = [Made.of({(): large[:count]}) for _ in range(3)]
    wide = [
        sciup.detect(d, kind, samples=count - 1, wide=w)
        for d, w in zip(draws, (1, 2, None), strict=True)
    ]
    assert len(wide[0]) > (100 if kind == "point" else 0)
    same(wide[0], wide[1])
    same(wide[0], wide[2])
    assert len(draws[0].read) > len(draws[2].read)
    # from top to bottom nothing is read twice
    seen = np.zeros((620, 900), int)
    for box in draws[2].read:
        seen[box.slices] += 1
    assert seen.min() == seen.max() == 1


def test_a_catalogue_in_parts_is_that_of_the_whole_image(large):
    """Cells find what a search of all pixels at once finds: nothing is lost or doubled."""
    from sciup.existence import Target, search

    parts = sciup.detect(Made.of({(): large}), samples=8)
    limit = float(parts.meta["limitflx"])
    whole = search(large, 10.0, Target("point", 2.0, reach=2.5, limit=limit, noise=1.0))
    keys = [
        np.lexsort(p.round(3).T)
        for p in (whole.place, np.stack([parts["y_output"], parts["x_output"]], 1))
    ]
    ours = np.stack([parts["y_output"], parts["x_output"]], 1)[keys[1]]
    np.testing.assert_allclose(ours, whole.place[keys[0]], atol=1e-6)
    np.testing.assert_array_equal(parts["votes"][keys[1]], whole.votes[keys[0]])
    np.testing.assert_allclose(
        parts["flux"][keys[1]], whole.fluxes.mean(1)[keys[0]], rtol=1e-4, atol=0.01
    )


@pytest.mark.parametrize("start", [0, 37, 300, 511])
@pytest.mark.parametrize("length", [30, 256, 300, 1000])
def test_spans_cover_an_axis_once(start, length):
    found = spans(start, length, 256, 48)
    assert [a for a, *_ in found] == [0, *(b for _, b, *_ in found[:-1])]
    assert found[-1][1] == length
    for a, b, low, high in found:
        assert low == max(a - 48, 0)
        assert high == min(b + 48, length)
        assert len(found) == 1 or b - a >= 128
        # cells lie on one grid of the input, whatever part of it the result covers
        assert a == 0 or (a + start + 48) % 256 == 0


def test_a_region_is_a_part_of_the_catalogue(large):
    draws = Made.of({(): large}, start=(40, 60))
    whole = sciup.detect(draws, samples=8)
    part = sciup.detect(draws, samples=8, roi="100:250,90:300")
    inside = (
        (whole["y"] >= 99.6) & (whole["y"] < 249.4) & (whole["x"] >= 89.6) & (whole["x"] < 299.4)
    )
    assert 10 < inside.sum() < len(whole)
    columns = [n for n in whole.colnames if n != "id"]
    assert set(zip(*[whole[inside][n].tolist() for n in ("x", "y", "flux")], strict=True)) <= set(
        zip(*[part[n].tolist() for n in ("x", "y", "flux")], strict=True)
    )
    assert part.colnames == whole.colnames == ["id", *columns]
    for text, says in (
        ("0:50,70:90", r"not inside the result.*40:350,60:510"),
        ("a", "cannot be read"),
    ):
        with pytest.raises(OptionError, match=says):
            sciup.detect(draws, samples=8, roi=text)


def one_star(y=30.0, x=40.0, shape=(64, 80), count=9, flux=400.0):
    return np.stack([10 + flux * star(shape, y, x, 2.0)] * count)


def test_columns_of_a_single_source():
    found = sciup.detect(Made.of({(): one_star()}, start=(5, 7)), samples=8)
    row = found[0]
    assert len(found) == 1
    assert (row["id"], row["kind"], row["votes"], row["flag"]) == (1, "point", 8, "")
    assert row["p_exists"] == row["p_raw"] == 8.5 / 9
    assert (row["y_output"], row["x_output"]) == pytest.approx((30, 40), abs=1e-6)
    # the middle of an input px lies between its output px
    assert (row["y"], row["x"]) == pytest.approx((30.5 / 2 - 0.5 + 5, 40.5 / 2 - 0.5 + 7))
    assert row["flux"] == pytest.approx(400, rel=0.06)
    assert row["flux_lo68"] == pytest.approx(row["flux"])
    assert np.isnan(row["flux_lo95"])  # 9 draws are too few for it
    assert found["flux"].unit == "electron"
    assert row["snr"] == pytest.approx(row["flux"] / found.meta["limitflx"] * 5, rel=1e-6)
    assert "plane" not in found.colnames
    assert found.meta["p_exists"].startswith("raw: the model cannot be asked")
    assert {"model", "weights", "seed", "votes", "limit", "result"} <= set(found.meta)


def test_intensities_are_summed_over_input_pixels():
    found = sciup.detect(Made.of({(): one_star() + 30}, flux=1), samples=8)
    assert found["flux"][0] == pytest.approx(100, rel=0.06)
    assert found["flux"].unit == "electron pix2"


def test_sorted_by_chance_then_flux():
    images = one_star() - 10
    images[:, :] += 10 + 2 * (one_star(20, 20) - 10)
    images[:5] += 3 * (one_star(50, 60)[:5] - 10)
    found = sciup.detect(Made.of({(): images}), samples=8)
    assert found["votes"].tolist() == [8, 8, 4]
    assert found["flux"][0] > found["flux"][1]


def test_planes():
    arrays = {(0, 0): one_star(), (0, 1): one_star(20.0, 20.0), (0, 2): one_star(count=9, flux=9.0)}
    draws = Made.of(arrays)
    found = sciup.detect(draws, samples=8)
    assert sorted(found["plane"]) == ["0,0", "0,1"]
    same(found, sciup.detect(draws, samples=8, plane="all"))
    one = sciup.detect(draws, samples=8, plane="0,1")
    assert one["plane"].tolist() == ["0,1"]
    assert one["y_output"][0] == pytest.approx(20, abs=1e-6)
    assert len(sciup.detect(draws, samples=8, plane="0,2")) == 0
    for wrong in ("0", "0,9", "a", ""):
        with pytest.raises(OptionError, match=r"no plane.*0,0, 0,1, 0,2"):
            sciup.detect(draws, samples=8, plane=wrong)
    with pytest.raises(OptionError, match="single plane"):
        sciup.detect(Made.of({(): one_star()}), samples=8, plane="1")


def test_flags_tell_what_is_missing():
    images = one_star(4.0, 40.0) + one_star(40.0, 40.0) + one_star(40.0, 20.0) - 20
    images[:, 38:43, 24:27] = np.nan
    found = sciup.detect(Made.of({(): images}), samples=8)
    flags = {tuple(map(round, (r["y_output"], r["x_output"]))): r["flag"] for r in found}
    assert flags[4, 40] == "edge"
    assert flags[40, 40] == ""
    assert flags[40, 20] == "masked"


def wcs(scale):
    """World coordinates of the output of an input with 0.36 arcsec px."""
    w = WCS(naxis=2)
    w.wcs.ctype, w.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
    w.wcs.cdelt, w.wcs.crpix = [-1e-4 / scale, 1e-4 / scale], [20.0, 30.0]
    return w


def test_sky_coordinates_are_those_of_the_pixels(tmp_path):
    images = one_star() + one_star(20, 20) - 10
    draws = Made.of({(): images}, sky=Sky(wcs(2)))
    found = sciup.detect(draws, samples=8)
    at = draws.sky.pixels(SkyCoord(found["ra"], found["dec"], unit="deg", frame="icrs"))
    np.testing.assert_allclose(at[:, 0], found["y_output"], atol=1e-6)
    np.testing.assert_allclose(at[:, 1], found["x_output"], atol=1e-6)
    assert "x_physical" not in found.colnames
    path = write_regions(tmp_path / "a.reg", found)
    frame, rows = regions(path)
    assert frame == "icrs"
    # half a FWHM of 2.5 input px of 0.36 arcsec
    np.testing.assert_allclose([r[2] for r in rows], 1.25 * 0.36, rtol=1e-3)
    np.testing.assert_allclose([r[0] for r in rows], found["ra"], atol=1e-7)
    np.testing.assert_allclose([r[1] for r in rows], found["dec"], atol=1e-7)


def regions(path):
    """A region file: its frame, and x, y, radius, colour, text of every circle."""
    first, frame, *lines = path.read_text().splitlines()
    assert first == "# Region file format: DS9"
    pattern = r"circle\(([-\d.]+),([-\d.]+),([\d.]+)\"?\) # color=(\w+) text=\{(.*)\}"
    found = [re.fullmatch(pattern, line).groups() for line in lines]
    return frame, [(*map(float, f[:3]), *f[3:]) for f in found]


def test_regions_in_pixels_count_from_one(tmp_path):
    images = one_star() - 10 + one_star(20, 20)
    images[3:] -= one_star(20, 20)[3:] - 10
    found = sciup.detect(Made.of({(0,): images, (1,): images}), samples=8)
    frame, rows = regions(write_regions(tmp_path / "a.reg", found))
    assert frame == "image"
    assert rows[0][:3] == pytest.approx((found["x"][0] + 1, found["y"][0] + 1, 1.25), abs=1e-3)
    assert [r[3] for r in rows] == ["yellow", "yellow", "orange", "orange"]
    assert rows[0][4] == "1: 0.94, plane 0"
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        write_regions(tmp_path / "a.reg", found)
    with pytest.raises(OutputError, match="no folder"):
        write_regions(tmp_path / "b" / "a.reg", found)


def test_physical_positions_without_a_sky():
    images = one_star() + 30
    draws = Made.of({(): images}, flux=1, pixel=(0.1, "micrometer"), bright=500.0)
    found = sciup.detect(draws, "spot", samples=8)
    assert found["x_physical"].unit == "micrometer"
    # from the middle of the first input px
    assert found["x_physical"][0] == pytest.approx(0.2 * found["x"][0])
    assert "ra" not in found.colnames


@pytest.mark.parametrize("suffix", ["ecsv", "csv", "fits"])
def test_files_hold_the_catalogue(tmp_path, suffix):
    draws = Made.of({(): one_star() + one_star(20, 20) - 10}, sky=Sky(wcs(2)), name="Körper")
    found = sciup.detect(draws, samples=8)
    path = write_table(tmp_path / f"a.{suffix}", found)
    again = Table.read(path)
    assert again.colnames == found.colnames
    np.testing.assert_allclose(again["x"], found["x"])
    if suffix == "ecsv":
        assert again.meta == found.meta
        assert again["flux"].unit == "electron"
        assert all(again[n].description for n in again.colnames)
    if suffix == "fits":
        comments = again.meta["comments"]
        assert "flux is in electron" in comments
        assert any(line.startswith("p_exists: raw") for line in comments)
        assert again["x"].unit == "pix"
    empty = sciup.detect(draws, samples=8, limit=1e6)
    assert len(empty) == 0
    write_table(tmp_path / f"b.{suffix}", empty)
    write_regions(tmp_path / "b.reg", empty)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"samples": 3}, r"--samples 3.*4 to 256"),
        ({"kind": "spot"}, r"--kind 'spot' for a result of night-sky.*point, extended"),
        ({"limit": 0.0}, "limit of S/N 0"),
        ({"limit": float("nan")}, "limit of S/N nan"),
    ],
)
def test_nonsense_is_refused(options, says):
    with pytest.raises(OptionError, match=says):
        sciup.detect(Made.of({(): one_star()}), **{"samples": 8} | options)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(
        tmp_path_factory.mktemp("models") / "toy", scale=2, channels=4, head_channels=4
    )


@pytest.fixture(scope="module")
def made(model, tmp_path_factory):
    """A field, a result of it, and the same with draws."""
    folder = tmp_path_factory.mktemp("made")
    header = fits.Header({"BUNIT": "electron", "CRPIX1": 1, "CRPIX2": 1, "CDELT1": -1e-4})
    header["CDELT2"], header["CTYPE1"], header["CTYPE2"] = 1e-4, "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = 150.0, 2.0
    field = folder / "field.fits"
    fits.PrimaryHDU(star_field((70, 90)), header).writeto(field)
    lazy = sciup.upscale(field, model=model, **STATED | FIXED)
    kept = sciup.upscale(field, model=model, keep_samples=5, **STATED | FIXED)
    return lazy, lazy.save(folder / "out.fits"), kept.save(folder / "kept.ome.zarr")


def test_lazy_repeated_and_stored_draws_have_one_catalogue(made, model):
    lazy, plain, kept = made
    first = sciup.detect(lazy, samples=4)
    assert len(first) > 5
    assert {"ra", "dec"} < set(first.colnames)
    same(first, sciup.detect(plain, samples=4, model=str(model)))
    same(first, sciup.detect(kept, samples=4, model=str(model)))


def test_chances_are_calibrated_where_the_model_is(made, model):
    lazy = made[0]
    sky = replace(lazy.job.instruments[0], background=Fact(100.0, "estimated", ""))
    lazy = Result(replace(lazy.job, instruments=(sky,)))
    facts = ModelFacts.read(model)
    curve = Curve("point", 5.0, 4, (0.1, 0.9), (0.3, 0.6), 500, 20)
    bright = Errors(10.0, None, 300, 20, ((-1.0, 3.0), (-2.0, 6.0)), (0.5, None), (0.67, 0.94))
    moved = replace(bright, ends=((0.0, 2.0), (0.0, 4.0)))
    curve = replace(curve, fluxes=(bright,), places=(moved,))
    plain = sciup.detect(lazy, samples=4)
    Existence(key=facts.key, curves=(curve,)).write(model / "existence.json")
    try:
        found = sciup.detect(lazy, samples=4)
        np.testing.assert_allclose(found["p_exists"], 0.3 + 0.375 * (found["p_raw"] - 0.1))
        words = found.meta["p_exists"]
        assert words.startswith("not calibrated for what was stated (PSF, noise): by a curve")
        assert "500 candidates of 20 independent fields, of which the program found out" in words
        assert "stated here: PSF, noise" in found["p_exists"].description
        bright, whole = found["snr"] >= 10, found["flag"] == ""
        sure = bright & whole
        assert sure.any()
        assert (~bright).any()
        assert (bright & ~whole).any()  # no calibration has edges
        wide = found["flux"] + np.outer((-1, 3), found["flux_std"])
        np.testing.assert_allclose(found["flux_lo68"][sure], wide[0][sure])
        np.testing.assert_allclose(found["flux_hi68"][sure], wide[1][sure])
        known = {row["y_output"]: row for row in plain}
        for row in found:
            before = known[row["y_output"]]
            if row["snr"] >= 10 and not row["flag"]:
                assert row["spread"] == pytest.approx(2 * before["spread"], nan_ok=True)
                assert row["flux_covered68"] == 0.67
                assert np.isnan(before["spread"]) or row["spread_covered68"] == 0.67
            else:
                np.testing.assert_equal(row["flux_lo68"], before["flux_lo68"])
                assert np.isnan([row["flux_covered68"], row["spread_covered68"]]).all()
                np.testing.assert_equal(row["spread"], before["spread"])
        unsure = replace(lazy.job.instruments[0], psf_error=Fact(0.1, "given", ""))
        wide = Result(replace(lazy.job, instruments=(unsure,)))
        assert "three widths" in sciup.detect(wide, samples=4).meta["p_exists"]
        other = sciup.detect(lazy, samples=4, limit=6.0)
        assert other.meta["p_exists"].startswith("raw: the model is calibrated for --limit 5")
        np.testing.assert_array_equal(other["p_exists"], other["p_raw"])
        assert "raw" in other["p_exists"].description
    finally:
        (model / "existence.json").unlink()


@pytest.mark.parametrize(
    ("told", "words", "used"),
    [
        ({}, "calibrated on 500 candidates of 20 independent fields, of which the program", True),
        ({"psf_fwhm": 2.3}, "not calibrated for what was stated (PSF): by a curve from 500", True),
        ({"background": 1.0}, "not calibrated for what was stated (background)", True),
        (
            {"psf_fwhm": 2.3, "noise_sigma": 5.0, "background": 1.0},
            "raw: PSF, noise and background were stated",
            False,
        ),
    ],
)
@pytest.mark.parametrize("origin", ["given", "header"])
def test_calibrated_is_said_only_where_the_instrument_was_found_out(
    made, model, told, words, used, origin
):
    """As on the fields that the curve was learned on."""
    curve = Curve("point", 5.0, 4, (0.1, 0.9), (0.3, 0.6), 500, 20)
    lazy = made[0]
    was = lazy.job.instruments[0]
    names = ("psf_fwhm", "noise_sigma", "background")
    found_out = {n: Fact(getattr(was, n).value, "estimated") for n in names}
    stated = {n: Fact(v, origin) for n, v in told.items()}
    job = replace(lazy.job, instruments=(replace(was, **found_out | stated),))
    Existence(key=ModelFacts.read(model).key, curves=(curve,)).write(model / "existence.json")
    try:
        chances = Chances.of(Draws.of_result(Result(job)), [()], "point", 5.0, 4)
    finally:
        (model / "existence.json").unlink()
    assert chances.words.startswith(words)
    assert chances.column.startswith("calibrated") == (not told)
    assert chances(np.array([0.9])).tolist() == [0.6 if used else 0.9]


def test_a_noise_map_states_the_noise(model, tmp_path):
    hdus = [fits.PrimaryHDU(star_field((70, 90))), fits.ImageHDU(np.full((70, 90), 5.0))]
    fits.HDUList(hdus).writeto(tmp_path / "field.fits")
    image = open_image(tmp_path / "field.fits", err=1)
    lazy = sciup.upscale(image, model=model, samples=4, device="cpu", psf_fwhm=2.3)
    saved = lazy.save(tmp_path / "out.fits")
    for draws in (Draws.of_result(lazy), Draws.open(saved, model=str(model))):
        assert stated(draws, draws.instruments) == ["PSF", "noise"]


@pytest.mark.parametrize(
    "told", [{"noise_sigma": 60.0}, {"read_noise": 4.0}, {"gain": 0.1}, {}], ids=lambda t: str([*t])
)
def test_the_noise_of_a_micrograph_is_stated_by_what_it_is_made_of(told, tmp_path):
    toy = write_toy_model(tmp_path / "toy", scale=1, domain="fluorescence", channels=4)
    image = 200 + cells((64, 64)).astype(np.float32)
    draws = Draws.of_result(sciup.upscale(image, model=toy, device="cpu", **told))
    assert stated(draws, draws.instruments) == ["noise"] * bool(told)


def test_a_stack_has_the_catalogue_of_its_planes(tmp_path):
    """Every plane with its own instrument and its own draws, through a file."""
    import tifffile

    toy = write_toy_model(
        tmp_path / "m" / "toy", scale=2, domain="fluorescence", channels=4, head_channels=4
    )
    stack = np.stack([cells((40, 48), seed=i) + 2000 * star((40, 48), 20, 14 + 12 * i, 2.5)
                      for i in range(2)]).astype("float32")  # fmt: skip
    stack[1] *= 3
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "CYX"}, ome=True)
    result = sciup.upscale(tmp_path / "a.ome.tif", model=toy, psf_fwhm=2.5, **FIXED)
    path = result.save(tmp_path / "a.ome.zarr")
    found = sciup.detect(path, samples=4, model=str(toy))
    assert set(found["plane"]) <= {"0", "1"}
    for number in "01":
        one = sciup.detect(path, samples=4, model=str(toy), plane=number)
        part = found[found["plane"] == number]
        assert len(one) == len(part) > 0
        np.testing.assert_array_equal(one["flux"], part["flux"])


def test_what_is_found_can_be_measured(made, model, tmp_path):
    """The catalogue and the regions are what `sciup measure` reads, at the same places."""
    found = sciup.detect(made[1], samples=4, model=str(model))
    path = write_table(tmp_path / "a.ecsv", found)
    reg = write_regions(tmp_path / "a.reg", found)
    options = {"model": str(model), "radius": 2.0}
    by_name, by_place = (
        sciup.measure(made[1], "photometry", **options | more)
        for more in ({"catalog": path}, {"regions": reg})
    )
    np.testing.assert_allclose(by_name["x_output"], found["x_output"], atol=1e-3)
    np.testing.assert_allclose(by_place["y_output"], found["y_output"], atol=1e-3)


def words(capsys):
    seen = capsys.readouterr()
    return seen.out, " ".join(seen.err.split())


def test_the_command(made, model, tmp_path, capsys):
    out, reg = tmp_path / "found.ecsv", tmp_path / "found.reg"
    options = ["--samples", "4", "--model", str(model)]
    run = ["detect", str(made[1]), *options, "--out", str(out), "--regions", str(reg)]
    with pytest.raises(SystemExit) as stop:
        main([*run, "--json"])
    assert stop.value.code == 0
    said, told = words(capsys)
    found = Table.read(out)
    data = json.loads(said)
    assert [row["id"] for row in data["rows"]] == found["id"].tolist()
    assert data["rows"][0]["flux_lo95"] is None
    assert data["meta"]["weights"] == found.meta["weights"]
    assert len(regions(reg)[1]) == len(found)
    assert "raw: toy has no existence.json" in told
    with pytest.raises(SystemExit) as stop:
        main(run)
    assert stop.value.code == 2
    assert "--overwrite" in words(capsys)[1]
    for more in (["--regions", str(made[1])], ["--out", str(out), "--regions", str(out)]):
        with pytest.raises(SystemExit) as stop:
            main(["detect", str(made[1]), *options, *more, "--overwrite"])
        assert stop.value.code == 2
        assert "is what is measured, or read or written here" in " ".join(words(capsys)[1].split())
    with pytest.raises(SystemExit) as stop:
        main(["detect", str(made[1]), *options])
    assert stop.value.code == 0
    assert "p_exists" in words(capsys)[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.fits"], "there is no result none.fits"),
        (["OUT", "--kind", "nucleus"], "Allowed: point, extended"),
        (["OUT", "--out", "found.txt"], ".ecsv, .csv, .fits"),
        (["OUT", "--out", "none/found.csv"], "there is no folder"),
        (["OUT", "--regions", "none/found.reg"], "there is no folder"),
        (["OUT", "--roi", "0:500,0:5"], "not inside the image"),
        (["OUT", "--limit", "-5"], "a number above 0"),
        (["OUT", "--input", "moved.fits"], "moved.fits is no longer there"),
    ],
)
def test_mistakes_are_told(made, model, tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    given = [str(made[1]) if a == "OUT" else a for a in arguments]
    with pytest.raises(SystemExit) as stop:
        main(["detect", *given, "--samples", "4", "--model", str(model)])
    assert stop.value.code == 2
    said, told = words(capsys)
    assert says in told
    assert not said


def test_too_few_stored_draws_without_the_input(made, model):
    with pytest.raises(InputError, match=r"not all stored, and cannot be made again"):
        sciup.detect(made[2], samples=5, source="moved.fits", model=str(model))
    # as many as are stored need no input; the sky is then the same everywhere
    found = sciup.detect(made[2], samples=4, source="moved.fits", model=str(model))
    assert found.meta["level"].startswith("typical sky")


def test_the_input_may_be_named_by_an_address_of_this_machine(made):
    field = made[1].parent / "field.fits"
    found = find_input(Finished.open(made[1]), open_image, field.as_uri())
    assert found.source == str(field)


def test_heatmaps_of_a_progressive_sampler(tmp_path):
    toy = write_toy_model(
        tmp_path / "m" / "toy", scale=8, domain="fluorescence", channels=4, head_channels=4
    )
    options = {"psf_fwhm": 2.5, "gain": 1.0, "background": 0.0} | FIXED
    path = sciup.upscale(cells((24, 32)), model=toy, **options).save(tmp_path / "a.ome.zarr")
    kind = KEYPOINT_KINDS["fluorescence"][0]
    found = expected(path, kind, least=0.01)
    assert (np.diff(found["expected"]) <= 0).all()
    heat = Finished.open(path).read(f"keypoints_{kind}", (), Box((0, 0), (192, 256)))
    for row in found[:5]:
        y, x = round(row["y_output"]), round(row["x_output"])
        assert heat[y, x] == heat[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].max()
        assert row["expected"] == pytest.approx(heat[y, x], rel=0.1)
        assert row["y"] == pytest.approx((row["y_output"] + 0.5) / 8 - 0.5)
    with pytest.raises(OptionError, match=r"no map keypoints_planet.*keypoints_spot"):
        expected(path, "planet")
