"""FITS in napari: every extension lazily, in its place on the sky, and nothing of others."""

import gzip
import time

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from sciup.errors import InputError
from sciup.testing import fits_files as made
from sciup_napari.lazy import Windows, few, robust_limits
from sciup_napari.reader import get_reader

PIXEL = 0.2 / 3600


def sky(shape, **more):
    cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0,
        "CRPIX1": 10.0, "CRPIX2": 12.0, "CD1_1": -PIXEL, "CD1_2": 0.0, "CD2_1": 0.0,
        "CD2_2": PIXEL,
    }  # fmt: skip
    return fits.Header(cards | more)


def values(shape=(30, 40)):
    return np.arange(np.prod(shape), dtype="f4").reshape(shape)


def opened(path):
    """Layers by name: array of the full resolution, keywords."""
    found = get_reader(str(path))(str(path))
    return [(d[0] if k["multiscale"] else d, k) for d, k, _ in found]


@pytest.mark.parametrize("name", ["plain", "decam", "compressed_integers", "hst_flt"])
def test_the_layer_holds_the_values_of_the_file(tmp_path, name):
    path = getattr(made, name)(tmp_path / "a.fits")
    with fits.open(path, ignore_missing_end=True, ignore_blank=False) as hdus:
        true = [np.asarray(h.data, float) for h in hdus if h.is_image and h.data is not None]
    layers = opened(path)
    assert len(layers) == len(true)
    for (data, _), want in zip(layers, true, strict=True):
        assert data.dtype == np.float32
        got = np.asarray(data)
        seen = np.isfinite(got)
        assert seen.mean() > 0.9
        np.testing.assert_allclose(got[seen], want[seen], rtol=1e-6)


def test_scaled_integers_and_blanks(tmp_path):
    hdu = fits.PrimaryHDU(np.arange(600, dtype="i2").reshape(20, 30))
    hdu.header["BLANK"] = 5
    hdu.writeto(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header["BSCALE"], hdus[0].header["BZERO"] = 0.5, 10.0
    ((data, keywords),) = opened(tmp_path / "a.fits")
    got = np.asarray(data)
    assert np.isnan(got[0, 5])
    assert got[0, 6] == 13.0
    assert got[-1, -1] == 0.5 * 599 + 10
    assert keywords["contrast_limits"][0] < keywords["contrast_limits"][1]


def test_nan_and_a_single_bright_pixel_do_not_decide_the_limits(tmp_path):
    image = values((200, 300)) / 1000
    image[:50] = np.nan
    image[100, 100] = 1e9
    fits.PrimaryHDU(image).writeto(tmp_path / "a.fits")
    ((_, keywords),) = opened(tmp_path / "a.fits")
    low, high = keywords["contrast_limits"]
    assert 14 < low < 20
    assert 55 < high < 60


@pytest.mark.parametrize("filling", [np.nan, 0.0, 7.0])
def test_an_image_of_one_value_can_be_shown(tmp_path, filling):
    fits.PrimaryHDU(np.full((20, 20), filling, "f4")).writeto(tmp_path / "a.fits")
    ((_, keywords),) = opened(tmp_path / "a.fits")
    assert keywords["contrast_limits"][0] < keywords["contrast_limits"][1]


def test_pixel_size_unit_and_header(tmp_path):
    fits.PrimaryHDU(values(), sky((30, 40), OBJECT="M 31")).writeto(tmp_path / "a.fits")
    ((_, keywords),) = opened(tmp_path / "a.fits")
    np.testing.assert_allclose(keywords["scale"], (0.2, 0.2), rtol=1e-9)
    assert keywords["translate"] == (0.0, 0.0)
    assert keywords["units"] == ("arcsec", "arcsec")
    assert keywords["metadata"]["header"]["OBJECT"] == "M 31"
    source = keywords["metadata"]["sciup"]["source"]
    assert source["path"] == str(tmp_path / "a.fits")
    assert source["options"] == {"hdu": 0}
    assert source["domain"] == "night-sky"


def test_without_coordinates_the_world_is_in_pixels(tmp_path):
    fits.PrimaryHDU(values()).writeto(tmp_path / "a.fits")
    ((_, keywords),) = opened(tmp_path / "a.fits")
    assert keywords["scale"] == (1.0, 1.0)
    assert keywords["units"] == ("pixel", "pixel")
    assert keywords["metadata"]["wcs"] is None


def two_chips(path, **second):
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(values(), sky((30, 40)), name="CHIP1"),
        fits.ImageHDU(values((20, 25)), sky((20, 25), **second), name="CHIP2"),
    ]
    fits.HDUList(hdus).writeto(path)
    return opened(path)


def test_a_second_chip_lies_where_the_sky_says(tmp_path):
    (_, one), (_, two) = two_chips(tmp_path / "a.fits", CRPIX1=-35.5, CRPIX2=12.25)
    np.testing.assert_allclose(two["translate"], (-0.25 * 0.2, 45.5 * 0.2), atol=1e-6)
    assert one["visible"]
    assert two["visible"]
    # the same star, seen from both chips
    ra, dec = one["metadata"]["wcs"].all_pix2world(50.0, 5.0, 0)
    x, y = two["metadata"]["wcs"].all_world2pix(ra, dec, 0)
    world = np.array(two["translate"]) + np.array([y, x]) * two["scale"]
    np.testing.assert_allclose(world, np.array([5.0, 50.0]) * one["scale"], atol=1e-6)


@pytest.mark.parametrize(
    "other", [{"CD1_1": PIXEL}, {"CD1_1": -2 * PIXEL, "CD2_2": 2 * PIXEL}, {"CTYPE1": "LINEAR"}]
)
def test_a_turned_chip_stays_at_its_own_origin_and_says_so(tmp_path, other):
    (_, _), (_, two) = two_chips(tmp_path / "a.fits", **other)
    assert two["translate"] == (0.0, 0.0)
    assert not two["visible"]
    assert two["metadata"]["sciup"]["notes"]
    assert two["units"] == ("arcsec", "arcsec")  # napari cannot mix units


def test_errors_and_flags_lie_on_their_image_and_are_hidden(tmp_path):
    layers = opened(made.hst_flt(tmp_path / "a.fits"))
    assert [k["visible"] for _, k in layers] == [True, False, False]
    assert len({(k["scale"], k["translate"]) for _, k in layers}) == 1
    assert [k["name"] for _, k in layers] == ["a [1 SCI]", "a [2 ERR]", "a [3 DQ]"]


@pytest.mark.parametrize("name", ["radio_cube", "spectral_cube"])
def test_cubes(tmp_path, name):
    path = getattr(made, name)(tmp_path / "a.fits")
    ((data, keywords),) = opened(path)
    assert data.ndim > 2
    assert all(len(keywords[k]) == data.ndim for k in ("scale", "translate", "units"))
    assert np.isfinite(np.asarray(data)).any()
    assert len(keywords["metadata"]["sciup"]["source"]["axes"]) == data.ndim - 2


@pytest.mark.parametrize("name", ["crota", "lookup_tables", "solar", "with_psf", "odd_header"])
def test_odd_world_coordinates_open(tmp_path, name):
    layers = opened(getattr(made, name)(tmp_path / "a.fits"))
    assert layers[0][1]["visible"]
    assert layers[0][1]["metadata"]["wcs"] is not None or name == "with_psf"


def test_packed_files(tmp_path):
    fits.PrimaryHDU(values()).writeto(tmp_path / "a.fits")
    (tmp_path / "b.fits.gz").write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
    ((data, keywords),) = opened(tmp_path / "b.fits.gz")
    assert np.array_equal(np.asarray(data), values())
    assert keywords["name"] == "b"


@pytest.mark.parametrize(
    "content", [b"", b"SIMPLE", b"\x00" * 5000, b"<html>no</html>", b"II*\0" + b"\x00" * 50]
)
def test_what_is_not_ours_is_left_to_others(tmp_path, content):
    (tmp_path / "a.fits").write_bytes(content)
    assert get_reader(str(tmp_path / "a.fits")) is None
    assert get_reader([str(tmp_path / "a.fits")]) is None


def test_nothing_and_folders_are_left_to_others(tmp_path):
    assert get_reader(str(tmp_path / "nothing.fits")) is None
    assert get_reader(str(tmp_path)) is None
    assert get_reader([]) is None
    assert get_reader("https://example.org/a.fits") is None


@pytest.mark.parametrize("name", ["table_only", "no_data", "cut_off", "spectrum", "random_groups"])
def test_files_without_images_say_what_is_wrong(tmp_path, name):
    path = getattr(made, name)(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"a\.fits"):
        opened(path)


def test_a_broken_extension_does_not_hide_the_others(tmp_path):
    broken = fits.ImageHDU(values(), name="BAD")
    hdus = [fits.PrimaryHDU(), broken, fits.ImageHDU(values(), name="GOOD")]
    broken.header["CRPIX1"] = "nonsense"
    fits.HDUList(hdus).writeto(tmp_path / "a.fits", output_verify="ignore")
    assert "GOOD" in opened(tmp_path / "a.fits")[-1][1]["name"]


def test_several_files_at_once(tmp_path):
    paths = [str(tmp_path / f"{n}.fits") for n in "ab"]
    for path in paths:
        fits.PrimaryHDU(values()).writeto(path)
    assert [k["name"] for _, k, _ in get_reader(paths)(paths)] == ["a", "b"]


def sparse(path, side):
    """A large FITS file that takes no space: its data are a hole."""
    header = sky((side, side))
    hdu = fits.PrimaryHDU(np.zeros((1, 1), "f4"), header)
    hdu.header["NAXIS1"] = hdu.header["NAXIS2"] = side
    text = hdu.header.tostring().encode()
    with path.open("wb") as file:
        file.write(text)
        file.truncate(len(text) + -(-4 * side * side // 2880) * 2880)
    return path


def test_a_huge_file_opens_at_once_and_reads_only_what_is_shown(tmp_path, monkeypatch):
    from sciup.io._fits_pixels import PlainPixels

    path = sparse(tmp_path / "a.fits", 20_000)
    read = []
    real = PlainPixels._stored
    monkeypatch.setattr(
        PlainPixels,
        "_stored",
        lambda self, plane, box: (read.append(box.size), real(self, plane, box))[1],
    )
    opened(made.plain(tmp_path / "warm.fits"))  # imports
    read.clear()
    start = time.perf_counter()
    ((levels, keywords, _),) = get_reader(str(path))(str(path))
    assert time.perf_counter() - start < 1
    assert sum(read) < 1e6
    assert keywords["multiscale"]
    assert [level.shape[0] for level in levels] == [20_000, 10_000, 5_000, 2_500, 1_250, 625]
    read.clear()
    np.asarray(levels[0][9000:9700, 4000:5000])
    assert sum(read) < 4e6
    read.clear()
    np.asarray(levels[-1])
    assert sum(read) < 20_000 * 700  # one row of 32


def test_windows_are_like_an_array():
    rng = np.random.default_rng(0)
    cube = rng.normal(size=(3, 37, 53)).astype("f4")
    for step in (1, 2, 5):
        ys, xs = (
            np.minimum(np.arange(0, n, step) + step // 2, n - 1) for n in cube.shape[-2:]
        )  # fmt: skip
        true = cube[:, ys[:, None], xs]
        for band in (1, 7):
            w = Windows(lambda p, b: cube[p][b.slices], cube.shape, step, cube.dtype, band)
            assert w.shape == true.shape
            for index in [
                (), 1, -1, (slice(None), 3), (0, slice(2, 5), slice(None, None, 2)), (2, -1, -2),
                (slice(None), slice(4, 2)), (slice(1, 3), slice(None, None, -1)),
            ]:  # fmt: skip
                got = w[index]
                assert np.array_equal(got, true[index]), (step, band, index)


def test_limits_come_from_a_few_blocks():
    seen = []

    def read(plane, box):
        seen.append(box.size)
        return np.ones(box.shape, "f4")

    few(read, (50_000, 50_000))
    assert sum(seen) < 3e5
    assert robust_limits(np.array([])) == (0.0, 1.0)


def test_napari_shows_it(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer(show=True)
    viewer.open(made.hst_flt(tmp_path / "a.fits"), plugin="sciup")
    cube = tmp_path / "cube.fits"
    fits.PrimaryHDU(np.random.default_rng(0).random((3, 30, 40)).astype("f4")).writeto(cube)
    viewer.open(cube, plugin="sciup")
    viewer.open(sparse(tmp_path / "big.fits", 5_000), plugin="sciup")
    assert [layer.ndim for layer in viewer.layers] == [2, 2, 2, 3, 2]
    assert viewer.layers[4].multiscale
    viewer.layers[4].visible = False  # it is black
    viewer.reset_view()
    shot = viewer.screenshot(canvas_only=True, flash=False)
    assert shot[..., :3].std() > 5


def test_the_wcs_of_a_layer_is_that_of_the_file(tmp_path):
    path = made.hst_flt(tmp_path / "a.fits")  # with SIP
    (_, keywords), *_ = opened(path)
    true = WCS(fits.getheader(path, 1)).all_pix2world(11.5, 3.25, 0)
    np.testing.assert_allclose(
        keywords["metadata"]["wcs"].all_pix2world(11.5, 3.25, 0), true, rtol=1e-12
    )


def test_all_chips_are_in_view(make_napari_viewer, tmp_path):
    from sciup_napari.place import camera_of

    two_chips(tmp_path / "a.fits", CRPIX1=-435.5, CRPIX2=12.25)
    viewer = make_napari_viewer()
    viewer.open(tmp_path / "a.fits", plugin="sciup")
    assert camera_of(viewer).center[-1] == pytest.approx((445.5 + 24) / 2 * 0.2, abs=0.2)
