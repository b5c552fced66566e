"""FITS images are read lazily, correctly scaled, with what the file says of noise and quality."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import tempfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.errors import InputError, OptionError, OutputError, SciupError
from sciup.geometry import Box
from sciup.io._fits import open_fits
from sciup.io._fits_files import local_file
from sciup.io._fits_pixels import CompressedPixels
from sciup.io._units import is_flux_per_pixel, normalise_unit
from sciup.testing import fits_files
from sciup.testing.fits_files import BAD, GOOD, SHAPE, ramp

WHOLE = Box.of_shape(SHAPE)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.fits"


def write(path, data, *more, **cards):
    """A primary image; header cards are put in as they are, after the data."""
    hdu = fits.PrimaryHDU(data)
    hdu.header.update(cards)
    fits.HDUList([hdu, *more]).writeto(path)
    return path


# -- every kind of file ------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOOD)
def test_every_good_file_gives_its_pixels(name, path):
    image = open_fits(GOOD[name](path))
    assert image.format == "fits"
    assert image.domain == "night-sky"
    assert len(set(image.axes)) == len(image.axes) == len(image.shape)
    assert image.axes.endswith("yx")
    assert image.random_access
    assert image.plane_shape == SHAPE
    plane = list(image.planes)[-1]
    values, footprint = image.read(plane, WHOLE)
    offset = {"crota": 7.0}.get(name, 0.0)
    want = (ramp(image.shape)[plane] if plane else ramp()) + offset
    tolerance = {"stis_raw": 1.0, "compressed_integers": 1.0, "crota": 0.13}.get(name, 1e-4)
    assert values.dtype == np.float32
    assert footprint.mean() > 0.8
    np.testing.assert_allclose(values[footprint], want[footprint], atol=tolerance)
    assert np.isnan(values[~footprint]).all()


@pytest.mark.parametrize("name", BAD)
def test_every_bad_file_is_refused_with_its_name(name, path):
    with pytest.raises(InputError, match=r"image\.fits") as error:
        open_fits(BAD[name](path))
    assert error.value.fix


@pytest.mark.parametrize("name", GOOD)
def test_a_pickled_image_reads_the_same_and_holds_no_pixels(name, path):
    image = open_fits(GOOD[name](path))
    plane = next(image.planes)
    box = Box((-3, 5), (9, 21))
    first = image.read(plane, box)
    text = pickle.dumps(image)
    assert len(text) < 100_000
    again = pickle.loads(text)
    for a, b in zip(first, again.read(plane, box), strict=True):
        np.testing.assert_array_equal(a, b)
    sigma = image.load_sigma(plane, WHOLE)
    assert (sigma is None) == (again.load_sigma(plane, WHOLE) is None)


def test_the_message_tells_which_hdus_there_are_and_how_to_choose(path):
    fits_files.hst_flt(path)
    with pytest.raises(InputError, match=r"--hdu.*SCI,1: 30 x 40 px"):
        open_fits(path, hdu=0)
    with pytest.raises(OptionError, match=r"no HDU 'SKY'.*ERR,1"):
        open_fits(path, hdu="SKY")


@pytest.mark.parametrize("start", [b"", b"SIMPLE", b"SIMPLE  =" + b" " * 5000, b"\x1f\x8b\x08"])
def test_rubbish_is_refused(start, path):
    path.write_bytes(start)
    with pytest.raises(InputError, match=r"image\.fits"):
        open_fits(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_bytes_never_give_a_foreign_error(data):
    name = data.draw(st.sampled_from(["hst_flt", "decam", "compressed_integers", "radio_cube"]))
    with tempfile.TemporaryDirectory() as folder:
        path = GOOD[name](Path(folder) / "a.fits")
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 20))):
            at = data.draw(st.integers(9, len(content) - 1))
            content[at] = data.draw(st.integers(0, 255))
        path.write_bytes(bytes(content))
        try:
            image = open_fits(path)
            values, footprint = image.read(next(image.planes), Box((0, 0), (3, 3)))
        except SciupError:
            return
        assert values.shape == footprint.shape == (3, 3)
        assert np.isfinite(values[footprint]).all()


def test_missing_file_and_folder(tmp_path):
    for wrong in (tmp_path / "no.fits", tmp_path):
        with pytest.raises(InputError, match="cannot be opened"):
            open_fits(wrong)


# -- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8", "u2", "u4", "u8", "i1"])
def test_every_type_of_number(dtype, path):
    info = np.iinfo(dtype) if dtype[0] in "iu" else None
    data = np.arange(12).reshape(3, 4).astype(dtype)
    if info:
        data[0, 0], data[2, 3] = info.min, info.max
    image = open_fits(write(path, data))
    assert image.dtype == np.dtype(dtype)
    values, footprint = image.read((), Box((0, 0), (3, 4)))
    np.testing.assert_array_equal(values, data.astype(np.float32))
    assert footprint.all()


@settings(max_examples=40, deadline=None)
@given(
    bitpix=st.sampled_from(["i2", "i4", "u1"]),
    scale=st.floats(0.01, 100),
    zero=st.floats(-1e4, 1e4),
    corner=st.tuples(st.integers(-9, 12), st.integers(-9, 15)),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    plane=st.integers(0, 1),
)
def test_any_window_agrees_with_astropy(bitpix, scale, zero, corner, size, plane):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 200, (2, 11, 13)).astype(bitpix)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.fits", data)
        with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
            hdus[0].header.update({"BSCALE": scale, "BZERO": zero, "BLANK": 7})
        box = Box(corner, (corner[0] + size[0], corner[1] + size[1]))
        values, footprint = open_fits(path).read((plane,), box)
        want = fits.getdata(path)[plane]
    want = np.pad(want, 40, mode="symmetric")
    want = want[tuple(slice(a + 40, b + 40) for a, b in zip(box.start, box.stop, strict=True))]
    atol = 1e-5 * abs(zero) + 1e-30
    np.testing.assert_allclose(values[footprint], want[footprint], rtol=1e-5, atol=atol)
    inside = Box.of_shape((11, 13)).intersect(box).relative_to(box)
    if inside.size:
        np.testing.assert_array_equal(footprint[inside.slices], ~np.isnan(want[inside.slices]))
    assert footprint.sum() <= inside.size


def test_infinite_and_overflowing_values_are_masked(path):
    data = np.array([[1.0, np.inf], [1e300, np.nan]])
    values, footprint = open_fits(write(path, data)).read((), Box((0, 0), (2, 2)))
    assert footprint.tolist() == [[True, False], [False, False]]
    assert values[0, 0] == 1


def test_blank_has_no_meaning_for_floats(path):
    write(path, np.full((2, 2), -5.0))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"END" + b" " * 157, b"BLANK   =".ljust(26) + b"  -5".ljust(54)
                                 + b"END" + b" " * 77, 1))  # fmt: skip
    assert open_fits(path).read((), Box((0, 0), (2, 2)))[1].all()


@pytest.mark.parametrize(
    ("algorithm", "tile"),
    [("GZIP_1", (1, 50)), ("RICE_1", (1, 50)), ("RICE_1", (8, 8)), ("GZIP_2", (70, 50)),
     ("HCOMPRESS_1", (16, 50)), ("PLIO_1", (3, 50))],
)  # fmt: skip
def test_windows_of_compressed_images(algorithm, tile, path):
    data = np.random.default_rng(1).integers(0, 500, (70, 50)).astype("i4")
    hdu = fits.CompImageHDU(data, compression_type=algorithm, tile_shape=tile)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    image = open_fits(path)
    for box in (Box((0, 0), (70, 50)), Box((5, 7), (9, 12)), Box((69, 49), (70, 50))):
        values, _ = image.read((), box)
        np.testing.assert_array_equal(values, data[box.slices])


def test_bands_of_a_row_compressed_image_are_kept_within_their_limit(path, monkeypatch):
    monkeypatch.setattr("sciup.io._fits_pixels._BAND_BYTES", 8 * 300 * 10)  # 10 rows
    monkeypatch.setattr("sciup.io._fits_pixels._CACHE_BYTES", 4 * 300 * 25)
    data = np.arange(100 * 300, dtype="i4").reshape(100, 300)
    hdu = fits.CompImageHDU(data, compression_type="RICE_1", tile_shape=(1, 300))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    image = open_fits(path)
    assert isinstance(image.pixels, CompressedPixels)
    for y in (0, 37, 90):
        for x in (0, 100, 250):
            box = Box((y, x), (y + 10, x + 50))
            np.testing.assert_array_equal(image.load((), box)[0], data[box.slices])
            assert sum(b.nbytes for b in image.pixels._bands.values()) <= 4 * 300 * 25
    assert image.pixels._bands


@pytest.mark.parametrize("name", ["decam", "hst_flt", "compressed_integers"])
def test_threads_share_one_image(name, path):
    image = open_fits(GOOD[name](path))
    whole = image.load((), WHOLE)[0]
    boxes = [Box((y, x), (y + 7, x + 9)) for y in range(23) for x in range(31)]
    with ThreadPoolExecutor(8) as pool:
        for box, (values, _) in zip(boxes, pool.map(lambda b: image.load((), b), boxes),
                                    strict=True):  # fmt: skip
            np.testing.assert_array_equal(values, whole[box.slices])


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs fork")
def test_a_forked_copy_opens_the_file_anew(path):
    image = open_fits(fits_files.decam(path))
    before = image.load((), WHOLE)[0]
    image.pixels._lock.acquire()  # as another thread might hold it at the moment of the fork
    child = os.fork()
    if child == 0:
        same = np.array_equal(image.load((), WHOLE)[0], before, equal_nan=True)
        os._exit(0 if same else 1)
    image.pixels._lock.release()
    assert os.waitpid(child, 0)[1] == 0


def test_a_window_of_a_huge_image_costs_the_memory_of_the_window(path):
    side = 40_000  # 6.4 GB, all of it a hole
    header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", side),
                          ("NAXIS2", side)])  # fmt: skip
    with path.open("wb") as stream:
        stream.write(header.tostring().encode())
        stream.truncate(2880 + -(-4 * side * side // 2880) * 2880)
    image = open_fits(path)
    tracemalloc.start()
    values, _ = image.read((), Box((39_000, 39_000), (39_512, 39_512)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert values.shape == (512, 512)
    assert peak < 20 * values.nbytes


def test_a_file_that_shrinks_meanwhile_gives_an_error(path):
    image = open_fits(fits_files.plain(path))
    os.truncate(path, 4000)
    with pytest.raises(InputError, match="shorter"):
        image.load((), WHOLE)
    path.unlink()
    with pytest.raises(InputError, match="no longer"):
        image.load((), WHOLE)


# -- choice of HDU -----------------------------------------------------------------------------


@pytest.mark.parametrize(("hdu", "first"), [(None, 0), (1, 0), (4, 40000), ("4", 40000),
                                            ("SCI", 0), ("sci,2", 40000)])  # fmt: skip
def test_hdu_by_number_name_and_version(hdu, first, path):
    image = open_fits(fits_files.stis_raw(path), hdu=hdu)
    assert image.load((), WHOLE)[0].min() == first + 100


def test_images_of_one_pixel_or_one_axis_are_passed_over(path):
    more = [fits.ImageHDU(np.ones((1, 9))), fits.ImageHDU(np.ones((2, 3, 1))),
            fits.ImageHDU(np.full((3, 3), 5.0), name="LAST")]  # fmt: skip
    image = open_fits(write(path, np.arange(5.0), *more))
    assert image.metadata["extname"] == "LAST"


@pytest.mark.parametrize("ndim", range(2, 7))
def test_axes_of_cubes(ndim, path):
    image = open_fits(write(path, np.zeros((1,) * (ndim - 2) + (2, 2))))
    assert image.axes == "uvwzyx"[-ndim:]


# -- noise, weight, quality --------------------------------------------------------------------


def test_err_and_dq_by_convention(path):
    image = open_fits(fits_files.hst_flt(path))
    _, footprint = image.read((), WHOLE)
    assert np.argwhere(~footprint).tolist() == [[3, 4], [5, 6]]
    np.testing.assert_array_equal(image.load_sigma((), WHOLE), np.full(SHAPE, 0.5))
    assert image.facts["sigma"].origin == "header"


@pytest.mark.parametrize(("bits", "masked"), [(16, [[3, 4]]), (64, [[5, 6]]), (1, []), (0, [])])
def test_only_the_bad_bits_leave_a_pixel_out(bits, masked, path):
    _, footprint = open_fits(fits_files.hst_flt(path), dq_bad=bits).read((), WHOLE)
    assert np.argwhere(~footprint).tolist() == masked


def test_a_relative_weight_masks_but_is_no_noise(path):
    image = open_fits(fits_files.hst_drizzle(path))
    _, footprint = image.read((), WHOLE)
    assert (~footprint).sum() == 6
    assert not footprint[:2, :3].any()
    assert image.load_sigma((), WHOLE) is None
    assert "relative" in image.facts["weight"].note


@pytest.mark.parametrize("cards", [{"WHT_TYPE": "IVM"}, {"BUNIT": "1/(electron/s)^2"},
                                   {"WHTTYPE": "inverse variance"}])  # fmt: skip
def test_an_inverse_variance_is_a_noise(cards, path):
    fits_files.hst_drizzle(path)
    with fits.open(path, mode="update") as hdus:
        hdus["WHT"].header.update(cards)
    sigma = open_fits(path).load_sigma((), WHOLE)
    assert np.isnan(sigma[:2, :3]).all()
    np.testing.assert_allclose(sigma[2:], 1 / 30, rtol=1e-6)


def test_variance_and_zero_noise(path):
    variance = np.full((3, 4), 9.0)
    variance[1, 1] = 0
    image = open_fits(write(path, np.ones((3, 4)), fits.ImageHDU(variance, name="VAR")))
    sigma = image.load_sigma((), Box((0, 0), (3, 4)))
    assert np.isnan(sigma[1, 1])
    assert sigma[0, 0] == 3


def test_companions_need_the_same_version_size_and_unit(path, caplog):
    sci = fits.ImageHDU(np.ones((3, 4)), name="SCI", ver=2)
    sci.header["BUNIT"] = "electron/s"
    others = [fits.ImageHDU(np.ones((3, 4)), name="ERR", ver=1),
              fits.ImageHDU(np.zeros((2, 2), "i2"), name="DQ", ver=2)]  # fmt: skip
    err = fits.ImageHDU(np.ones((3, 4)), name="ERR", ver=2)
    err.header["BUNIT"] = "electron"
    with caplog.at_level(logging.WARNING, logger="sciup"):
        image = open_fits(write(path, None, sci, *others, err))
    assert image.companions == ()
    assert "2 x 2 px" in caplog.text
    assert "its unit is electron" in caplog.text


def test_constant_extensions(path):
    image = open_fits(fits_files.stis_raw(path))
    assert image.companions == ()  # ERR = 0 everywhere means: not computed
    with fits.open(path, mode="update") as hdus:
        hdus["ERR", 1].header["PIXVALUE"] = 2.5
        hdus["DQ", 1].header["PIXVALUE"] = 4
    image = open_fits(path)
    assert (image.load_sigma((), WHOLE) == 2.5).all()
    assert not image.read((), WHOLE)[1].any()


def test_given_files_replace_the_convention(tmp_path, path):
    fits_files.hst_flt(path)
    other = tmp_path / "other.fits"
    write(other, np.full(SHAPE, 0.25), fits.ImageHDU(np.ones(SHAPE, "i4"), name="FLAGS"))
    image = open_fits(path, err=f"{other}", dq=f"{other}[FLAGS]", dq_bad=2)
    assert (image.load_sigma((), WHOLE) == 0.25).all()
    assert image.read((), WHOLE)[1].all()
    assert image.facts["sigma"].origin == "given"
    assert open_fits(path, dq="[2]").companions[-1].kind == "quality"
    assert open_fits(path, weight=2).companions[1].kind == "weight"
    assert open_fits(path, err="ERR").companions[0].kind == "sigma"


def fpacked(path, **images):
    """A row-compressed file with one extension per name."""
    hdus = [fits.CompImageHDU(v, name=k, tile_shape=(1, SHAPE[1])) for k, v in images.items()]
    return write(path, None, *hdus)


def test_science_weight_and_mask_in_separate_compressed_files(tmp_path):
    """As DECam's pipeline writes them: the extension of the same chip is taken from each."""
    chips = {"N14": 1, "N15": 2}
    flat = np.ones(SHAPE, "i4")
    science = fpacked(tmp_path / "ooi.fits.fz", **{k: flat * v for k, v in chips.items()})
    weight = fpacked(tmp_path / "oow.fits.fz", **{k: flat * 4 * v for k, v in chips.items()})
    flags = fpacked(tmp_path / "ood.fits.fz", **{k: flat * (v - 1) for k, v in chips.items()})
    image = open_fits(science, hdu="N14", err=f"ivar:{weight}", dq=str(flags))
    assert (image.load_sigma((), WHOLE) == 0.5).all()
    assert image.read((), WHOLE)[1].all()
    image = open_fits(science, hdu="N15", weight=str(weight), dq=f"{flags}[2]")
    assert image.companions[0].kind == "weight"
    assert not image.read((), WHOLE)[1].any()
    assert (open_fits(science, err=f"var:{weight}[N14]").load_sigma((), WHOLE) == 2).all()


def test_a_file_of_other_chips_is_not_guessed_at(tmp_path):
    flat = np.ones(SHAPE, "i4")
    science = fpacked(tmp_path / "ooi.fits", N14=flat)
    with pytest.raises(InputError, match=r"2 images, none of them named .*N14,1") as error:
        open_fits(science, weight=str(fpacked(tmp_path / "oow.fits", S1=flat, S2=flat)))
    assert "oow.fits[HDU]: 0 (PRIMARY" in error.value.fix
    alone = fpacked(tmp_path / "one.fits", S1=flat)
    assert open_fits(science, weight=str(alone)).companions[0].kind == "weight"


@pytest.mark.parametrize(
    ("name", "cards", "value"),
    [("IVAR", {}, 0.01), ("VAR", {}, 100), ("ERR", {}, 10), ("NOISE", {}, 10),
     ("NOISE", {"BUNIT": "1/(electron/s)^2"}, 0.01), ("VAR", {"BUNIT": "electron^2/s^2"}, 100)],
)  # fmt: skip
def test_a_noise_that_is_given_is_what_its_header_says(name, cards, value, tmp_path, path):
    noise = fits.ImageHDU(np.full(SHAPE, value), fits.Header(cards), name=name)
    other = write(tmp_path / "noise.fits", None, noise)
    image = open_fits(write(path, np.ones(SHAPE), BUNIT="electron/s"), err=str(other))
    np.testing.assert_allclose(image.load_sigma((), WHOLE), 10, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "unit", "words"),
    [("WHT", "", "says weight"), ("DQ", "", "says quality"), ("VAR", "electron/s", "the power 2"),
     ("IVAR", "electron2/s2", "the power -2"), ("NOISE", "electron2/s2", "its unit is")],
)  # fmt: skip
def test_what_is_no_noise_is_refused_unless_it_is_said(name, unit, words, tmp_path, path):
    noise = fits.ImageHDU(np.full(SHAPE, 0.01), fits.Header({"BUNIT": unit}), name=name)
    other = write(tmp_path / "noise.fits", None, noise)
    write(path, np.ones(SHAPE), BUNIT="electron/s")
    with pytest.raises(InputError, match=words) as error:
        open_fits(path, err=str(other))
    assert "ivar:FILE" in error.value.fix
    sigma = open_fits(path, err=f"ivar:{other}").load_sigma((), WHOLE)
    np.testing.assert_allclose(sigma, 10, rtol=1e-6)


@pytest.mark.parametrize("name", ["", "CHIP"])
def test_chips_with_one_name_are_told_apart_by_number_or_not_at_all(name, tmp_path, path):
    def chips(*values):
        return [fits.ImageHDU(np.full(SHAPE, float(v)), name=name or None) for v in values]

    write(path, None, *chips(1, 2))
    weight = write(tmp_path / "w.fits", None, *chips(0, 4))
    for hdu, good in (("1", False), ("2", True)):
        image = open_fits(path, hdu=int(hdu), weight=str(weight))
        assert (image.read((), WHOLE)[1] == good).all()
    longer = write(tmp_path / "w3.fits", None, *chips(0, 4, 4))
    with pytest.raises(InputError, match="3 images"):
        open_fits(path, hdu=2, weight=str(longer))
    twice = [fits.ImageHDU(np.ones(SHAPE), name="WHT") for _ in range(2)]
    with pytest.raises(InputError, match="2 images"):
        open_fits(path, hdu=2, weight=str(write(tmp_path / "wht.fits", None, *twice)))


def test_noise_of_chips_that_extver_does_not_tell_apart_is_not_guessed(path, caplog):
    names = {"SCI": 1.0, "ERR": 2.0}
    hdus = [fits.ImageHDU(np.full(SHAPE, v * k), name=n) for k in (1, 5) for n, v in names.items()]
    assert open_fits(write(path, None, *hdus), hdu=3).companions == ()
    assert "2 are called so" in caplog.text
    assert (open_fits(path, hdu=3, err=4).load_sigma((), WHOLE) == 10).all()


def test_given_files_that_do_not_fit_are_refused(tmp_path, path):
    fits_files.hst_flt(path)
    small = write(tmp_path / "small.fits", np.ones((5, 5)))
    with pytest.raises(InputError, match="5 x 5 px"):
        open_fits(path, err=str(small))
    with pytest.raises(OptionError, match="NOPE"):
        open_fits(path, err="[NOPE]")
    with pytest.raises(InputError, match="cannot be opened"):
        open_fits(path, dq=str(tmp_path / "missing.fits"))
    with pytest.raises(OptionError, match="-1"):
        open_fits(path, dq_bad=-1)


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_the_highest_bit_of_flags_is_seen(dtype, path):
    bit = 8 * np.dtype(dtype).itemsize - 1
    flags = np.zeros((2, 2), dtype)
    flags[0, 1] = np.iinfo(dtype).min if dtype[0] == "i" else np.array(1, dtype) << bit
    hdu = fits.ImageHDU(flags, name="DQ")
    image = open_fits(write(path, np.ones((2, 2)), hdu), dq_bad=2**bit)
    assert image.read((), Box((0, 0), (2, 2)))[1].tolist() == [[True, False], [True, True]]


# -- units and facts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit", "per_pixel"),
    [("ELECTRONS/S", "electron/s", True), ("ELECTRONS", "electron", True), ("e-", "electron", True),
     ("DN/s", "DN/s", True), ("DN", "DN", True), ("counts/sec", "count/s", True),
     ("COUNTS", "count", True), ("ADU", "adu", True), ("nanomaggies", "nmgy", True),
     ("nmgy", "nmgy", True), ("Jy", "Jy", True), ("JY/BEAM", "Jy/beam", False),
     ("Jy/beam", "Jy/beam", False), ("MJy/sr", "MJy/sr", False), ("mJy/sr", "mJy/sr", False),
     ("nmgy/arcsec2", "nmgy/arcsec2", False), ("K", "K", False), (None, None, True),
     ("UNITLESS", None, True), ("10**(-20)*erg/s/cm**2/Angstrom", None, True),
     ("W/m2/um/sr", None, False), ("wobbles / arcsec^2", None, False), ("wobbles", None, True)],
)  # fmt: skip
def test_units(text, unit, per_pixel):
    got = normalise_unit(text)
    assert got == (unit if unit or text in (None, "UNITLESS") else text)
    assert is_flux_per_pixel(got) is per_pixel


@pytest.mark.parametrize("text", ["mag", "MAG", "ABmag/arcsec**2", "mag(AB)", "log10(Jy)", "dex",
                                  "log(counts)", "stmag", "Magnitudes", "dB"])  # fmt: skip
def test_logarithms_are_refused(text):
    with pytest.raises(InputError, match="logarithmic"):
        normalise_unit(text, "a.fits")


def test_an_unknown_unit_is_kept_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="sciup"):
        assert normalise_unit("wobbles", "a.fits") == "wobbles"
    assert "wobbles" in caplog.text


@pytest.mark.parametrize(
    ("cards", "value", "origin"),
    [({"BUNIT": "electron", "GAIN": 3.0}, 1.0, "header"),
     ({"BUNIT": "electron/s", "EXPTIME": 40.0}, 40.0, "header"),
     ({"BUNIT": "adu", "GAIN": 3.0, "EXPTIME": 40.0}, 3.0, "header"),
     ({"BUNIT": "DN/s", "GAIN": 3.0, "EXPTIME": 40.0}, 120.0, "header"),
     ({"BUNIT": "adu", "GAIN": 139, "EGAIN": 0.8}, 0.8, "header"),
     ({"BUNIT": "adu", "GAIN": (0.5, "[ADU/e-]")}, 2.0, "header"),
     ({"BUNIT": "adu", "GAIN": 0.0, "ATODGAIN": 7.0}, 7.0, "header"),
     ({"BUNIT": "adu", "GAIN1": 2.0, "GAIN2": 4.0}, 3.0, "header"),
     ({"BUNIT": "adu", "HIERARCH ESO DET OUT1 CONAD": 1.3}, 1.3, "header"),
     ({"GAIN": 3.0}, 3.0, "assumed"),
     ({"BUNIT": "MJy/sr", "GAIN": 3.0, "EXPTIME": 40.0}, None, ""),
     ({"BUNIT": "nmgy", "GAIN": 3.0}, None, ""), ({"BUNIT": "adu"}, None, ""),
     ({"BUNIT": "adu", "GAIN": "high"}, None, ""), ({"BUNIT": "electron/s"}, None, "")],
)  # fmt: skip
def test_electrons_per_unit(cards, value, origin, path):
    fact = open_fits(write(path, np.ones((3, 3), "f4"), **cards)).facts.get("electrons_per_unit")
    if value is None:
        assert fact is None
    else:
        assert fact.value == pytest.approx(value)
        assert fact.origin == origin


def test_facts_name_card_and_hdu_and_the_nearer_header_wins(path):
    image = open_fits(fits_files.hst_flt(path))
    assert image.facts["electrons_per_unit"].value == 1200
    assert "EXPTIME of HDU 0" in image.facts["electrons_per_unit"].note
    assert image.facts["read_noise"].value == 21
    with fits.open(path, mode="update") as hdus:
        hdus["SCI"].header["EXPTIME"] = 300.0
    fact = open_fits(path).facts["electrons_per_unit"]
    assert fact.value == 300
    assert "HDU 1 (SCI)" in fact.note


def test_saturated_pixels_are_left_out_where_the_level_is_in_their_unit(path):
    image = open_fits(fits_files.decam(path))
    values, footprint = image.read((), WHOLE)
    assert image.facts["saturation"].value == 380
    assert not footprint[ramp() >= 380].any()
    assert footprint[ramp() < 380].all()
    assert np.nanmax(values) < 380
    assert image.facts["psf_fwhm"].value == 4.2


@pytest.mark.parametrize("unit", ["electron/s", "MJy/sr", None])
def test_a_raw_saturation_level_says_nothing_of_calibrated_images(unit, path):
    cards = {"SATURATE": 4095} | ({"BUNIT": unit} if unit else {})
    image = open_fits(write(path, np.full((3, 3), 9000.0, "f4"), **cards))
    assert "saturation" not in image.facts
    assert image.read((), Box((0, 0), (3, 3)))[1].all()


def test_seeing_is_converted_from_arcsec(path):
    cards = fits_files.celestial(SEEING=0.6)
    fact = open_fits(write(path, np.ones((3, 3)), **cards)).facts["psf_fwhm"]
    assert fact.value == pytest.approx(12)


def test_psf_extension(path, caplog):
    image = open_fits(fits_files.with_psf(path))
    psf = image.facts["psf"].value
    assert psf.shape == (9, 9)
    assert psf.sum() == pytest.approx(1, abs=1e-5)
    assert np.unravel_index(psf.argmax(), psf.shape) == (4, 4)
    assert image.grid.size == (0.06, 0.06)


@pytest.mark.parametrize(
    ("cards", "used"),
    [({"PIXSCALE": 0.05}, True), ({"PIXSCALE": 0.0125}, False), ({"OVERSAMP": 4}, False),
     ({}, True)],
)  # fmt: skip
def test_a_psf_of_another_sampling_is_not_used(cards, used, path):
    psf = fits.ImageHDU(np.ones((5, 5)), name="PSF")
    psf.header.update(cards)
    image = open_fits(write(path, np.ones((3, 3)), psf, **fits_files.celestial()))
    assert ("psf" in image.facts) is used


def test_the_header_inherits_from_the_primary(path):
    image = open_fits(fits_files.decam(path))
    assert image.header["EXPTIME"] == 60
    assert image.header["BUNIT"] == "adu"
    assert image.unit == "adu"
    assert image.header["NAXIS1"] == 40


def test_the_primary_never_changes_pixels_or_coordinates_of_an_extension(path):
    hdu = fits.ImageHDU(np.ones((3, 3), "f4"), name="SCI")
    hdu.header["INHERIT"] = True
    write(path, None, hdu, BZERO=32768, CRPIX1=99.0, CD1_1=5.0, OBSERVER="me")
    image = open_fits(path)
    assert "CRPIX1" not in image.header
    assert "CD1_1" not in image.header
    assert image.header["OBSERVER"] == "me"
    assert image.load((), Box((0, 0), (3, 3)))[0].max() == 1


@pytest.mark.parametrize(("name", "size"), [("plain", (0.05, 0.05)), ("crota", (0.075, 0.05)),
                                            ("radio_cube", (0.075, 0.05)),
                                            ("spectral_cube", (0.05, 0.05))])  # fmt: skip
def test_pixel_size_on_the_sky(name, size, path):
    grid = open_fits(GOOD[name](path)).grid
    assert grid.unit == "arcsec"
    assert grid.size == pytest.approx(size, rel=1e-6)


@pytest.mark.parametrize(
    "cards",
    [{"CD1_1": 0.0, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 0.0}, {"CTYPE2": "DEC--SIN"},
     {"CRVAL1": "here"}, {"CTYPE1": "RA---XYZ"}, {"CUNIT1": "wobbles"}],
)  # fmt: skip
def test_a_broken_wcs_does_not_stop_the_reading(cards, path):
    image = open_fits(write(path, np.ones((3, 3)), **fits_files.celestial(**cards)))
    assert image.grid.size is None or "CD1_1" not in cards
    assert image.read((), Box((0, 0), (3, 3)))[1].all()


def test_linear_pixel_sizes_are_lengths(path):
    cards = {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR", "CUNIT1": "um", "CUNIT2": "mm",
             "CDELT1": 0.5, "CDELT2": 0.001, "CRPIX1": 1.0, "CRPIX2": 1.0}  # fmt: skip
    grid = open_fits(write(path, np.ones((3, 3)), **cards)).grid
    assert grid.unit == "micrometer"
    assert grid.size == pytest.approx((1.0, 0.5))


# -- unpacking ---------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["gzip", "bz2", "lzma"])
def test_packed_files_are_unpacked_into_scratch(module, tmp_path, path, caplog):
    packer = pytest.importorskip(module)
    content = fits_files.plain(path).read_bytes()
    packed, scratch = tmp_path / "no-suffix", tmp_path / "scratch"
    packed.write_bytes(packer.compress(content))
    scratch.mkdir()
    with caplog.at_level(logging.INFO, logger="sciup"):
        image = open_fits(packed, scratch=scratch)
    assert image.source == str(packed)
    assert "0.0 MB" in caplog.text
    assert len(list(scratch.iterdir())) == 1
    np.testing.assert_allclose(image.load((), WHOLE)[0], ramp())


def test_the_unpacked_copy_is_removed_at_the_end(tmp_path, path):
    import subprocess

    fits_files.with_psf(path)
    code = (
        "import sys; from sciup.io._fits import open_fits; from pathlib import Path\n"
        "open_fits(sys.argv[1], scratch=sys.argv[2])\n"
        "print(len(list(Path(sys.argv[2]).iterdir())))"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run([sys.executable, "-c", code, path, scratch], capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "1"
    assert list(scratch.iterdir()) == []


def test_a_damaged_packed_file_leaves_nothing_behind(tmp_path, path):
    fits_files.cut_off_gzip(path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(InputError, match="gzip"):
        local_file(path, scratch)
    assert list(scratch.iterdir()) == []
    fits_files.with_psf(path)
    with pytest.raises(OutputError, match="--scratch"):
        local_file(path, tmp_path / "missing")
