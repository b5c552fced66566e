"""Pictures for the screen: read as they are, with a warning of what they lost."""

import logging

import imagecodecs
import numpy as np
import pytest
from astropy.wcs import WCS

from sciup.errors import InputError, OutputError
from sciup.geometry import Box
from sciup.io import detect_format, open_image
from sciup.testing.fits_files import celestial
from sciup.testing.microscopy_files import add_header, truncate, write_picture

PLANE = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)
BYTES = (PLANE % 251).astype(np.uint8)
WHOLE = Box.of_shape(PLANE.shape)
SOLAR = {"NAXIS1": 40, "NAXIS2": 30, "CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec",
         "CUNIT2": "arcsec", "CRPIX1": "20.50", "CRPIX2": "15.5", "CRVAL1": "0", "CRVAL2": "0",
         "CDELT1": "0.600", "CDELT2": "0.600", "BUNIT": "DN", "TELESCOP": "SDO", "CRDER1": "nan",
         "BAD-KEYWORD-THAT-IS-LONG": "?"}  # fmt: skip


@pytest.mark.parametrize("kind", ["png", "jpeg2k"])
@pytest.mark.parametrize("array", [PLANE, BYTES])
def test_grey_is_read_as_it_is_with_a_warning(array, kind, tmp_path, caplog):
    path = write_picture(tmp_path / "i.tif", array, kind)
    assert detect_format(path) == "picture"
    with caplog.at_level(logging.INFO, "sciup"):
        image = open_image(path)
    assert (image.axes, image.dtype, image.grid.size) == ("yx", array.dtype, None)
    np.testing.assert_array_equal(image.read((), WHOLE)[0], array)
    assert f"{8 * array.itemsize} bits" in caplog.text
    assert "pixel size unknown" in caplog.text
    assert ("drops faint light" in caplog.text) == (kind == "jpeg2k")


def test_colours_are_channels_by_name(tmp_path, caplog):
    path = write_picture(tmp_path / "i.png", np.stack([BYTES, BYTES + 1, BYTES + 2]))
    image = open_image(path, channel="green")
    assert image.axes == "cyx"
    np.testing.assert_array_equal(image.read((0,), WHOLE)[0], BYTES + 1)
    assert "three independent channels" in caplog.text


@pytest.mark.parametrize("colours", [1, 3])
def test_what_is_transparent_is_masked(colours, tmp_path):
    alpha = np.full_like(BYTES, 255)
    alpha[2:5, 6:9] = 0
    image = open_image(write_picture(tmp_path / "i.png", np.stack([BYTES] * colours + [alpha])))
    for plane in image.planes:
        values, footprint = image.read(plane, WHOLE)
        np.testing.assert_array_equal(footprint, alpha > 0)
        np.testing.assert_array_equal(values[footprint], BYTES[footprint])


@pytest.mark.parametrize("kind", ["png", "jpeg2k"])
def test_what_is_partly_transparent_is_masked_and_told(kind, tmp_path, caplog):
    alpha = np.full_like(BYTES, 255)
    alpha[2:5, 6:9], alpha[20, 20] = 128, 0
    image = open_image(write_picture(tmp_path / "i", np.stack([BYTES] * 3 + [alpha]), kind))
    np.testing.assert_array_equal(image.read((0,), WHOLE)[1], alpha == 255)
    assert "9 partly transparent pixels" in caplog.text


@pytest.mark.parametrize("kind", ["png", "jpeg2k", "jpeg"])
def test_the_only_limit_of_size_is_the_one_that_is_told(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 100)
    assert open_image(write_picture(tmp_path / "i", BYTES, kind)).shape == BYTES.shape


def test_bytes_behind_the_end_of_a_jpeg_are_no_harm(tmp_path):
    data = imagecodecs.jpeg_encode(BYTES)
    small = b"\xff\xe1" + (2 + len(data)).to_bytes(2) + data  # in a segment, as cameras do
    (tmp_path / "a").write_bytes(data[:2] + small + data[2:] + b"more\xff\x00")
    assert open_image(tmp_path / "a").shape == BYTES.shape
    (tmp_path / "b").write_bytes(data[:2] + small + data[2:-40])
    with pytest.raises(InputError, match="end is missing"):
        open_image(tmp_path / "b")


def test_jpeg_is_near_the_truth(tmp_path, caplog):
    smooth = np.add.outer(np.arange(30), np.arange(40)).astype(np.uint8)
    (tmp_path / "i.jpg").write_bytes(imagecodecs.jpeg_encode(smooth, level=95))
    values, _ = open_image(tmp_path / "i.jpg").read((), WHOLE)
    assert np.abs(values - smooth).max() < 3
    assert "JPEG picture with 8 bits and lossy compression" in caplog.text


def test_a_palette_is_told(tmp_path, caplog):
    from PIL import Image

    Image.fromarray(BYTES).quantize(4).save(tmp_path / "i.png")
    assert open_image(tmp_path / "i.png").axes == "cyx"
    assert "palette" in caplog.text


def test_a_solar_header_gives_the_place_on_the_sky_and_no_unit(tmp_path):
    path = add_header(write_picture(tmp_path / "i.jp2", BYTES, "jpeg2k"), SOLAR)
    image = open_image(path)
    assert image.grid.size == pytest.approx((0.6, 0.6))
    assert (image.grid.unit, image.domain, image.unit) == ("arcsec", "night-sky", None)
    # Pictures begin at the top, FITS at the bottom.
    np.testing.assert_array_equal(image.read((), WHOLE)[0], BYTES[::-1])
    assert WCS(image.header).wcs.crpix.tolist() == [20.5, 15.5]
    assert image.header["TELESCOP"] == "SDO"
    assert image.facts == {}


def test_a_header_of_another_size_is_not_used(tmp_path, caplog):
    path = add_header(write_picture(tmp_path / "i.jp2", BYTES, "jpeg2k"), SOLAR | {"NAXIS1": 80})
    image = open_image(path)
    assert (image.grid.size, image.header) == (None, None)
    assert "another size" in caplog.text


@pytest.mark.parametrize("text", ["<broken", "&amp;"])
def test_a_broken_header_is_told_and_left_out(text, tmp_path):
    path = write_picture(tmp_path / "i.jp2", BYTES, "jpeg2k")
    add_header(path, {"CRVAL1": text, **celestial()})
    assert open_image(path).shape == BYTES.shape


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["png", "jpeg2k", "jpeg"])
def test_pictures_that_were_cut_off_are_refused(kind, fraction, tmp_path):
    if kind == "jpeg":
        (tmp_path / "i").write_bytes(imagecodecs.jpeg_encode(BYTES))
    else:
        write_picture(tmp_path / "i", PLANE, kind)
    path = truncate(tmp_path / "i", fraction)
    with pytest.raises(InputError, match=str(path)):
        open_image(path)


def test_large_pictures_are_refused_by_their_header(tmp_path, monkeypatch):
    monkeypatch.setattr("sciup.io._pictures.MOST", 1000)
    with pytest.raises(InputError, match=r"40 x 30 px.*tiled TIFF"):
        open_image(write_picture(tmp_path / "i", PLANE))


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    path = write_picture(tmp_path / "i", PLANE)
    with pytest.raises(OutputError, match="--scratch"):
        open_image(path, scratch=tmp_path / "file")
