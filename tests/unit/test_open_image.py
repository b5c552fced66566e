"""One door for all formats: detection by content, selection, options that do not fit."""

import bz2
import gzip
import logging
from pathlib import Path

import numpy as np
import pytest

from sciup.batch_items import items_of
from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.image import Fact, Image, PixelGrid
from sciup.io import CHUNK, SHARD, Layout, detect_format, open_image, open_writer
from sciup.io._array import open_array
from sciup.io._select import SelectedImage, select
from sciup.testing.microscopy_files import write_ome_zarr, write_tiff

PLANE = np.arange(72, dtype=np.uint16).reshape(8, 9)
FITS = b"SIMPLE  =                    T"


@pytest.mark.parametrize("name", ["i.tif", "i.fits", "i", "i.zarr", "picture.png"])
def test_a_tiff_is_a_tiff_whatever_its_name(name, tmp_path):
    path = write_tiff(tmp_path / "real.tif", PLANE).rename(tmp_path / name)
    assert detect_format(path) == "tiff"
    assert open_image(str(path)).format == "tiff"


@pytest.mark.parametrize("kind", ["bigtiff", "big-endian"])
def test_kinds_of_tiff(kind, tmp_path):
    assert detect_format(write_tiff(tmp_path / "i", PLANE, kind)) == "tiff"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("part", ["", "0"])
def test_a_zarr_folder_may_have_any_name(version, part, tmp_path):
    path = write_ome_zarr(tmp_path / "folder.tif", PLANE, "yx", version=version) / part
    assert detect_format(path) == "ome-zarr"
    assert open_image(path).format == "ome-zarr"


def gz(data: bytes) -> bytes:
    """``data`` gzipped at no time of day: names of tests must not change with the clock."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize("pack", [bytes, gz, bz2.compress])
def test_fits_also_when_compressed(pack, tmp_path):
    (tmp_path / "file.dat").write_bytes(pack(FITS))
    assert detect_format(tmp_path / "file.dat") == "fits"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"), (b"hello", "unknown format"), (b"\x89PNG\r\n\x1a\n", "read as PNG"),
        (b"\xff\xd8\xff\xe0", "read as JPEG"), (b"PK\x03\x04", "zip"), (b"\x93NUMPY\x01", "NumPy"),
        (gz(b"II*\0"), "unknown format"), (gz(FITS)[:12], "damaged"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ],
)  # fmt: skip
def test_other_files_are_refused_with_a_way_out(content, words, tmp_path):
    path = tmp_path / "file.tif"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as error:
        open_image(path)
    assert str(path) in str(error.value)


def test_no_file_an_empty_folder_and_an_address(tmp_path, monkeypatch):
    monkeypatch.setattr("sciup.io._remote.TRIES", 1)  # nobody answers there
    with pytest.raises(InputError, match="no file"):
        open_image(tmp_path / "nothing.tif")
    with pytest.raises(InputError, match="folder"):
        open_image(tmp_path)
    with pytest.raises(InputError, match="download"):
        open_image("http://127.0.0.1:9/image.zarr")


def test_an_address_of_this_machine_is_a_path(tmp_path):
    path = write_tiff(tmp_path / "i j.tif", PLANE)
    for address in (path.as_uri(), Path(path.as_uri()), f"file://localhost{path}"):
        assert open_image(address).shape == PLANE.shape
        assert open_image(address).source == str(path)
    write_tiff(tmp_path / "i k.tif", PLANE)
    (first, second) = items_of([f"{tmp_path.as_uri()}/i*.tif"], tmp_path / "out", None)
    assert (first.input, second.input) == (str(path), str(tmp_path / "i k.tif"))


@pytest.mark.parametrize("name", ["hdu", "err", "weight", "dq", "dq_bad"])
def test_fits_options_for_other_formats_are_refused(name, tmp_path):
    for source in (PLANE, write_tiff(tmp_path / "i.tif", PLANE)):
        with pytest.raises(OptionError, match=name):
            open_image(source, **{name: 1})


def test_the_help_names_all_that_is_read():
    from sciup.cli.options import Input

    told = Input.__metadata__[0].help
    assert all(word in told for word in ("FITS", "TIFF", "OME-Zarr", "zip", "PNG", "https://"))


def test_an_open_image_passes_through():
    image = open_array(PLANE)
    assert open_image(image) is image
    with pytest.raises(InputError, match="not an array"):
        open_image(object())


def test_writers(tmp_path):
    layout = Layout(open_array(PLANE), Box((0, 0), (8, 9)), 4, ("sample",), {})
    assert open_writer(tmp_path, layout, "ome-zarr").path == tmp_path / "result.ome.zarr"
    with pytest.raises(OptionError, match="png"):
        open_writer(tmp_path, layout, "png")
    assert SHARD % CHUNK == 0


# -- selection ---------------------------------------------------------------------------------

STACK = np.arange(2 * 3 * 4 * 8 * 9).reshape(2, 3, 4, 8, 9).astype("f4")


def stack() -> Image:
    image = open_array(STACK)
    image.metadata = {
        "channels": [
            {"label": "DAPI", "psf_fwhm": {"value": 2.0, "note": "formula"}},
            {"label": "GFP"},
            {"label": "gfp"},
        ],
        "axes": {"z": {"scale": 0.5, "translation": 10.0, "unit": "micrometer"}},
    }
    return image


@pytest.mark.parametrize("channel", [1, "1", "GFP"])
def test_axes_stay_with_length_one(channel):
    image = open_image(stack(), channel=channel, time=1, z="3")
    assert (image.axes, image.shape) == ("tczyx", (1, 1, 1, 8, 9))
    np.testing.assert_array_equal(image.read((0, 0, 0), Box((0, 0), (8, 9)))[0], STACK[1, 1, 3])
    assert [c["label"] for c in image.metadata["channels"]] == ["GFP"]
    assert image.metadata["axes"]["z"]["translation"] == 11.5


def test_the_source_keeps_its_metadata():
    image = stack()
    select(image, channel=0, z=2)
    assert len(image.metadata["channels"]) == 3
    assert image.metadata["axes"]["z"]["translation"] == 10.0


def test_one_axis_may_be_narrowed_and_again():
    image = select(stack(), time=1)
    assert image.shape == (1, 3, 4, 8, 9)
    image = select(image, channel="dapi", z=2)
    assert image.shape == (1, 1, 1, 8, 9)
    np.testing.assert_array_equal(image.read((0, 0, 0), Box((0, 0), (8, 9)))[0], STACK[1, 0, 2])


def test_the_psf_of_the_picked_channel_becomes_a_fact():
    assert select(stack(), channel="DAPI").facts["psf_fwhm"] == Fact(2.0, "header", "formula")
    assert "psf_fwhm" not in select(stack(), channel=1).facts


def test_all_fields_are_carried_along():
    image = open_array(
        STACK, pixel_size=0.1, unit="electron", flux_per_pixel=True, domain="night-sky"
    )
    image.header, image.random_access = "header", False
    image.facts = {"read_noise": Fact(3.0, "given")}
    view = SelectedImage(image, {"z": 1})
    same = ("dtype", "source", "format", "grid", "unit", "flux_per_pixel", "domain", "facts",
            "header", "random_access")  # fmt: skip
    assert [getattr(view, f) for f in same] == [getattr(image, f) for f in same]
    assert view.grid == PixelGrid((0.1, 0.1), "arcsec")


def test_sigma_of_the_picked_plane():
    class WithSigma(SelectedImage):
        def load_sigma(self, plane, box):
            return np.full(box.shape, plane[2], np.float32)

    view = select(WithSigma(stack(), {}), z=3)
    assert view.load_sigma((0, 0, 0), Box((0, 0), (2, 2))).tolist() == [[3, 3], [3, 3]]
    assert stack().load_sigma((0, 0, 0), Box((0, 0), (2, 2))) is None


@pytest.mark.parametrize(
    "wrong",
    [{"channel": 3}, {"channel": -1}, {"channel": "RFP"}, {"z": 4}, {"time": 2}, {"z": "DAPI"}],
)
def test_what_is_not_there(wrong):
    with pytest.raises(OptionError, match="was asked of") as error:
        open_image(stack(), **wrong)
    assert "0 to" in error.value.allowed


def test_names_that_are_not_unique():
    with pytest.raises(OptionError, match="number instead"):
        open_image(stack(), channel="gFp")


def test_an_axis_that_is_not_there():
    assert open_image(PLANE, channel=0).shape == (8, 9)
    with pytest.raises(OptionError, match="no axis 'c'"):
        open_image(PLANE, channel=1)


def test_other_images_are_logged_with_our_logger(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        open_image(PLANE)
    assert not caplog.records
