"""FITS results: filled window by window, complete metadata, readable by everyone."""

from __future__ import annotations

import json
import os
import pickle
import tracemalloc
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciup.errors import InputError, OutputError, ResumeError
from sciup.geometry import Box, shards
from sciup.image import Image, PixelGrid
from sciup.io._fits import open_fits
from sciup.io._fits_cards import clean_header
from sciup.io._fits_writer import BLOCK, FitsWriter, read_provenance
from sciup.io._writer import Layout
from sciup.testing import fits_files
from sciup.testing.fits_files import GOOD, SHAPE, ramp

WHOLE = Box.of_shape(SHAPE)
MAPS = ("sample", "mean", "std", "risk_raw")


class Flat(Image):
    """A lazy image of zeros, as large as one likes."""

    def load(self, plane, box):
        return np.zeros(box.shape, np.float32), np.ones(box.shape, bool)


def flat(shape=SHAPE, axes="yx", **more):
    return Flat(
        axes=axes, shape=shape, dtype=np.dtype("f4"), source="array", format="array", **more
    )


def layout_of(image, region=None, scale=3, maps=MAPS, samples=0):
    region = region or Box.of_shape(image.plane_shape)
    units_of = {name: "" if name == "risk_raw" else image.unit for name in maps}
    return Layout(image, region, scale, maps, {**units_of, "samples": image.unit}, samples)


def fill(writer):
    """Write the nearest-neighbour upscaled image to every map; the sample number is added."""
    layout = writer.layout
    for plane in layout.image.planes:
        values, _ = layout.image.read(plane, layout.region)
        big = values.repeat(layout.scale, 0).repeat(layout.scale, 1)
        for _, box in shards(layout.plane_shape, 32):
            for name in layout.maps:
                writer.write(name, plane, box, big[box.slices])
            for k in range(layout.samples):
                writer.write("samples", (k, *plane), box, big[box.slices] + k)


def made(folder, image, provenance=None, extras=None, **more):
    writer = FitsWriter(folder, layout_of(image, **more))
    writer.create()
    fill(writer)
    writer.finish(provenance or {"model": "nearest"}, extras or {})
    return writer


# -- every kind of input -----------------------------------------------------------------------


@pytest.mark.parametrize("region", [WHOLE, Box((4, 9), (21, 40))])
@pytest.mark.parametrize("name", GOOD)
def test_every_input_gives_a_valid_result(name, region, tmp_path):
    image = open_fits(GOOD[name](tmp_path / "in.fits"))
    writer = made(tmp_path, image, region=region, samples=2)
    start = region.start
    with fits.open(writer.path) as hdus:
        hdus.verify("exception")
        names = [hdu.name for hdu in hdus]
        assert names[:6] == ["PRIMARY", "SAMPLE", "MEAN", "STD", "RISK_RAW", "SAMPLES"]
        assert names[-1] == "PROVENANCE"
        assert writer.path.stat().st_size % BLOCK == 0
        assert hdus[0].header["SCISCALE"] == 3
        assert hdus[0].header["SCISRC"] == image.source
        for plane in image.planes:
            values, _ = image.read(plane, region)
            big = values.repeat(3, 0).repeat(3, 1)
            for hdu in hdus[1:5]:
                assert hdu.header["BITPIX"] == -32
                np.testing.assert_array_equal(hdu.data[plane] if plane else hdu.data, big)
            np.testing.assert_array_equal(hdus["SAMPLES"].data[(1, *plane)], big + 1)
        header = hdus["MEAN"].header
        assert header.get("BUNIT") == image.unit
        assert not {"BZERO", "BSCALE", "BLANK", "LTV1", "INHERIT", "ZIMAGE", "GAIN"} & set(header)
        if "CTYPE1" in image.header:
            assert_same_sky(image, hdus, start)
    again = open_fits(writer.path)
    assert again.unit == image.unit
    if image.grid.size:
        assert again.grid.size == pytest.approx([v / 3 for v in image.grid.size], rel=1e-9)


def assert_same_sky(image, hdus, start):
    x, y = np.array([0.0, 13.0, 39.0]), np.array([0.0, 7.0, 29.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with fits.open(image.pixels.path) as source:
            old = WCS(image.header, source)
        for name in ("SAMPLE", "RISK_RAW", "SAMPLES"):
            if name == "SAMPLES" and "CPDIS1" in image.header:
                continue
            header = hdus[name].header
            sip = name == "SAMPLES" and "A_ORDER" in header
            new = WCS(header, hdus, naxis=2 if sip else None)
            assert new.naxis == old.naxis + (name == "SAMPLES" and not sip)
            more = np.zeros(3)
            a = old.all_pix2world(x, y, *[more] * (old.naxis - 2), 0)
            fine = [3 * (v - n + 0.5) - 0.5 for v, n in ((x, start[1]), (y, start[0]))]
            b = new.all_pix2world(*fine, *[more] * (new.naxis - 2), 0)
            for u, v in zip(a, b, strict=False):
                np.testing.assert_allclose(u, v, rtol=0, atol=1e-6 * 1e-5 * max(1, abs(u).max()))


def test_tables_that_the_coordinates_need_come_along(tmp_path):
    image = open_fits(fits_files.lookup_tables(tmp_path / "in.fits"))
    writer = made(tmp_path, image, samples=1)
    with fits.open(writer.path) as hdus:
        assert [hdu.ver for hdu in hdus if hdu.name == "WCSDVARR"] == [1, 2]
        assert "CPDIS1" in hdus["MEAN"].header
        assert "CTYPE1" not in hdus["SAMPLES"].header  # no reader takes tables for a cube
        assert "SAMPLES" in str(hdus["SAMPLES"].header["COMMENT"])


def test_a_missing_table_is_refused_before_anything_is_written(tmp_path, caplog):
    path = fits_files.lookup_tables(tmp_path / "in.fits")
    with fits.open(path) as hdus:
        hdus[:1].writeto(tmp_path / "alone.fits")
    image = open_fits(tmp_path / "alone.fits")
    assert "WCSDVARR,1" in caplog.text
    with pytest.raises(InputError, match="CPDIS1"):
        FitsWriter(tmp_path, layout_of(image)).create()
    assert not (tmp_path / "result.fits").exists()


def test_cards_of_the_input_are_carried_and_its_gain_is_renamed(tmp_path):
    image = open_fits(fits_files.decam(tmp_path / "in.fits"))
    writer = made(tmp_path, image)
    header = fits.getheader(writer.path, "STD")
    assert header["EXPTIME"] == 60
    assert header["INSTRUME"] == "DECam"
    assert header["SCI_GNA"] == 4
    assert header["PV1_4"] == 0.3
    assert "DATASEC" not in header


def test_history_is_kept_once(tmp_path):
    path = fits_files.plain(tmp_path / "in.fits")
    with fits.open(path, mode="update") as hdus:
        hdus[0].header.add_history("flat-fielded")
    writer = made(tmp_path, open_fits(path))
    assert "flat-fielded" in str(fits.getheader(writer.path, "SAMPLE")["HISTORY"])
    assert "HISTORY" not in fits.getheader(writer.path, "MEAN")


def test_a_view_of_one_plane_of_a_cube_keeps_its_place(tmp_path):
    from sciup.io._select import select

    cube = open_fits(fits_files.spectral_cube(tmp_path / "in.fits"))
    writer = made(tmp_path, select(cube, z=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wavelength = WCS(fits.getheader(writer.path, "MEAN")).all_pix2world(0, 0, 0, 0)[2]
    assert wavelength == pytest.approx((4750 + 1.25) * 1e-10)


def test_a_strange_header_gives_a_valid_result(tmp_path, caplog):
    image = open_fits(fits_files.odd_header(tmp_path / "in.fits"))
    assert "OBSERVER" in caplog.text
    header = fits.getheader(made(tmp_path, image).path, "MEAN")
    assert header["BADVALUE"] == "1.0.0 nonsense"
    assert header["EXPTIME"] == 50


def test_clean_header_repairs_what_it_can():
    header = fits.Header()
    header["GOOD"] = (1.5, "a comment")
    header["HIERARCH ESO DET NAME"] = "x"
    header.add_comment("free text")
    header.append(fits.Card.fromstring("NOTNUM  = 1,5".ljust(80)))
    header.append(fits.Card.fromstring("lower   = 'x'".ljust(80)))
    clean = clean_header(header, "a.fits")
    assert clean["GOOD"] == 1.5
    assert clean.comments["GOOD"] == "a comment"
    assert clean["ESO DET NAME"] == "x"
    assert clean["NOTNUM"] == "1,5"
    assert clean["LOWER"] == "x"
    assert str(clean["COMMENT"]) == "free text"


# -- other inputs ------------------------------------------------------------------------------


def test_input_without_a_header_gets_a_linear_wcs(tmp_path):
    image = flat(grid=PixelGrid((0.4, 0.2), "micrometer", (10.0, 20.0)), unit="adu")
    writer = made(tmp_path, image, region=Box((2, 3), (12, 13)), scale=4)
    header = fits.getheader(writer.path, "MEAN")
    assert header["CTYPE1"] == "LINEAR"
    wcs = WCS(header)
    assert units.Unit(header["CUNIT1"]) == units.um
    x, y = wcs.all_pix2world(0, 0, 0)
    # Input pixel 3 begins at 20 + 0.2 (3 - 1/2); the first fine centre is 0.2 / 8 further.
    assert (x, y) == pytest.approx((20 + 0.2 * 2.5 + 0.025, 10 + 0.4 * 1.5 + 0.05))
    again = open_fits(writer.path)
    assert again.grid.unit == "micrometer"
    assert again.grid.size == pytest.approx((0.1, 0.05))


def test_input_without_pixel_size_gets_no_wcs(tmp_path):
    header = fits.getheader(made(tmp_path, flat((2, *SHAPE), "zyx")).path, "MEAN")
    assert "CTYPE1" not in header
    assert header["NAXIS3"] == 2


# -- windows -----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(data=st.data())
def test_windows_do_not_touch_each_other(data, tmp_path):
    height, width, depth, samples = (data.draw(st.integers(1, 9)) for _ in range(4))
    image = flat((depth, height, width), "zyx")
    for old in tmp_path.glob("result.*"):
        old.unlink()
    writer = FitsWriter(tmp_path, layout_of(image, scale=2, maps=("mean", "std"), samples=samples))
    writer.create()
    want = {name: np.zeros(writer.layout.shape_of(name), "f4") for name in writer.layout.names}
    for value in range(1, data.draw(st.integers(1, 8))):
        name = data.draw(st.sampled_from(sorted(want)))
        plane = tuple(data.draw(st.integers(0, n - 1)) for n in want[name].shape[:-2])
        y, x = (data.draw(st.integers(0, n - 1)) for n in want[name].shape[-2:])
        box = Box(
            (y, x), (data.draw(st.integers(y, 2 * height)), data.draw(st.integers(x, 2 * width)))
        )
        values = np.full(box.shape, value, "f4")
        values[:1, :1] = np.nan
        writer.write(name, plane, box, values)
        want[name][(*plane, *box.slices)] = values
        np.testing.assert_array_equal(writer.read(name, plane, box), values)
    writer.finish({}, {})
    with fits.open(writer.path) as hdus:
        for name, array in want.items():
            np.testing.assert_array_equal(hdus[name.upper()].data, array)


def write_one(writer, number):
    """In another process: a writer that was pickled."""
    box = Box((number, 0), (number + 1, 120))
    writer.write("mean", (), box, np.full(box.shape, number, "f4"))


def test_processes_write_at_the_same_time(tmp_path):
    writer = FitsWriter(tmp_path, layout_of(flat()))
    writer.create()
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        list(pool.map(write_one, [writer] * 90, range(90), chunksize=5))
    np.testing.assert_array_equal(
        writer.read("mean", (), Box((0, 0), (90, 120))), np.repeat(np.arange(90.0)[:, None], 120, 1)
    )
    assert not writer.read("std", (), Box((0, 0), (90, 120))).any()


@pytest.mark.parametrize(("plane", "box", "shape"), [
    ((), Box((0, 0), (91, 3)), (91, 3)), ((), Box((-1, 0), (3, 3)), (4, 3)),
    ((0,), Box((0, 0), (3, 3)), (3, 3)), ((), Box((0, 0), (3, 3)), (3, 4))])  # fmt: skip
def test_windows_outside_are_refused(plane, box, shape, tmp_path):
    writer = FitsWriter(tmp_path, layout_of(flat()))
    writer.create()
    with pytest.raises(ValueError, match="do not fit"):
        writer.write("mean", plane, box, np.zeros(shape, "f4"))


def test_a_huge_result_takes_neither_memory_nor_disk_until_it_is_filled(tmp_path, monkeypatch):
    monkeypatch.setattr("sciup.io._fits_writer.seal", lambda *_: None)  # reads all: 20 s
    writer = FitsWriter(tmp_path, layout_of(flat((9_000, 9_000)), scale=4, maps=("mean",)))
    free = os.statvfs(tmp_path)
    if free.f_bavail * free.f_frsize < 6e9:
        pytest.skip("the disk is smaller than the result would be")
    tracemalloc.start()
    writer.create()
    box = Box((35_000, 35_000), (35_512, 35_512))
    values = np.ones(box.shape, "f4")
    writer.write("mean", (), box, values)
    writer.finish({}, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * values.nbytes
    assert writer.path.stat().st_size > 5e9
    assert writer.path.stat().st_blocks * 512 < 1e8
    writer.path.unlink()


# -- create, resume, finish --------------------------------------------------------------------


def test_create_reopens_what_an_interrupted_run_left(tmp_path):
    image = open_fits(fits_files.hst_flt(tmp_path / "in.fits"))
    first = FitsWriter(tmp_path, layout_of(image))
    first.create()
    box = Box((3, 4), (9, 11))
    first.write("std", (), box, np.full(box.shape, 7, "f4"))
    size = first.path.stat().st_size
    first.finish({"model": "a"}, {"psf": np.ones((5, 5))})  # and then was cut off
    again = FitsWriter(tmp_path, layout_of(open_fits(tmp_path / "in.fits")))
    again.create()
    assert again.path.stat().st_size == size
    assert (again.read("std", (), box) == 7).all()
    again.finish({"model": "b"}, {})
    again.finish({"model": "c"}, {})
    with fits.open(again.path) as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus].count("PROVENANCE") == 1
        assert hdus[0].header["SCIMODEL"] == "c"


@pytest.mark.parametrize("more", [{"scale": 2}, {"maps": ("sample", "mean")}, {"samples": 3},
                                  {"region": Box((0, 0), (30, 39))}])  # fmt: skip
def test_another_layout_is_refused_and_nothing_is_lost(more, tmp_path):
    image = open_fits(fits_files.plain(tmp_path / "in.fits"))
    first = made(tmp_path, image)
    content = first.path.read_bytes()
    with pytest.raises(ResumeError, match="other settings"):
        FitsWriter(tmp_path, layout_of(image, **more)).create()
    assert first.path.read_bytes() == content


def test_a_create_that_was_cut_off_starts_again(tmp_path):
    writer = FitsWriter(tmp_path, layout_of(flat()))
    (tmp_path / "result.new").write_bytes(b"half")
    writer.create()
    assert writer.path.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["result.fits"]


def test_errors_of_the_disk_are_ours(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match="cannot be written"):
        FitsWriter(tmp_path / "missing", layout_of(flat())).create()
    writer = FitsWriter(tmp_path, layout_of(flat((2**26, 2**26)), maps=("mean",)))
    with pytest.raises(OutputError, match="GB free"):
        writer.create()
    assert list(tmp_path.iterdir()) == []

    def full(*_):
        raise OSError(28, "No space left on device")

    writer = FitsWriter(tmp_path, layout_of(flat()))
    writer.create()
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match="No space left"):
        writer.write("mean", (), Box((0, 0), (2, 2)), np.zeros((2, 2), "f4"))


def test_a_pickled_writer_has_the_same_places(tmp_path):
    writer = FitsWriter(tmp_path, layout_of(open_fits(fits_files.decam(tmp_path / "in.fits"))))
    again = pickle.loads(pickle.dumps(writer))
    assert {n: s.begin for n, s in again.slots.items()} == {
        n: s.begin for n, s in writer.slots.items()
    }


# -- provenance and PSF ------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=40, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(provenance=st.dictionaries(
    st.sampled_from(["model", "seed", "samples", "version", "source", "notes", "scale"]),
    json_values, max_size=7))  # fmt: skip
def test_any_provenance_comes_back(provenance, tmp_path):
    writer = FitsWriter(tmp_path, layout_of(flat(), maps=("mean",)))
    writer.create()
    writer.finish(provenance, {})
    assert read_provenance(writer.path) == provenance
    with fits.open(writer.path) as hdus:
        hdus.verify("exception")
        assert hdus["MEAN"].data.shape == (90, 120)


def test_short_facts_stand_in_the_primary(tmp_path):
    provenance = {
        "version": "1.2", "model": {"name": "sky-x3", "digest": "00"}, "seed": 2**60, "samples": 8,
        "source": "/long/" + "näme/" * 300, "array": np.arange(3), "path": Path("x"),
        "notes": ["x"] * 99, "number": np.float32(0.5),
    }  # fmt: skip
    image = flat()
    image.source = provenance["source"]
    writer = made(tmp_path, image, provenance)
    header = fits.getheader(writer.path)
    assert header["NAXIS"] == 0
    assert (header["SCIUPVER"], header["SCIMODEL"], header["SCISEED"]) == ("1.2", "sky-x3", 2**60)
    assert (header["SCINSAMP"], header["SCIROI"]) == (8, "0:30,0:40")
    assert header["SCISRC"].startswith("/long/n")
    kept = read_provenance(writer.path)
    assert kept["array"] == [0, 1, 2]
    assert kept["source"] == provenance["source"]
    table = fits.getdata(writer.path, "PROVENANCE")
    assert json.loads(table["JSON"][0])["seed"] == 2**60


def test_the_output_psf_is_stored_with_its_sampling_and_found_again(tmp_path):
    image = open_fits(fits_files.plain(tmp_path / "in.fits"))
    psf = np.outer([1, 2, 1], [1, 2, 1]) / 16
    writer = made(tmp_path, image, extras={"psf": psf})
    with fits.open(writer.path) as hdus:
        np.testing.assert_allclose(hdus["PSF"].data, psf)
        assert hdus["PSF"].header["PIXSCALE"] == pytest.approx(0.05 / 3)
    fact = open_fits(writer.path).facts["psf"]
    np.testing.assert_allclose(fact.value, psf, atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"hello", None])
def test_what_is_no_result_has_no_provenance(content, tmp_path):
    path = tmp_path / "x.fits"
    if content is None:
        fits_files.plain(path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.fits"):
        read_provenance(path)


def test_the_ramp_differs_everywhere():
    assert len(np.unique(ramp())) == ramp().size
