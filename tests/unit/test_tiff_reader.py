"""The reader of TIFF: storage, dialects of metadata, unpacking, and what it refuses."""

import logging
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile

from sciup.errors import InputError, OutputError
from sciup.geometry import Box
from sciup.io import _tiff
from sciup.io._tiff import open_tiff
from sciup.io._tiff_pages import Raw
from sciup.testing.microscopy_files import TIFF_KINDS, point_back, truncate, write_tiff

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 60000, (3, 2, 70, 90), np.uint16)
PLANE = STACK[0, 0]
WHOLE = Box((0, 0), (70, 90))


def values(image, *plane):
    return image.read(plane, WHOLE)[0]


# -- storage -----------------------------------------------------------------------------------

RAW = {"plain", "big-endian", "bigtiff", "imagej", "ome", "planar"}


@pytest.mark.parametrize("kind", TIFF_KINDS)
def test_plain_arrays_are_mapped_and_the_rest_is_decoded_by_segment(kind, tmp_path):
    array = STACK[:, 0] if "planar" in kind else STACK
    image = open_tiff(write_tiff(tmp_path / "i.tif", array, kind))
    assert isinstance(image.stored, Raw) == (kind in RAW)
    assert (image.format, image.domain, image.unit) == ("tiff", "fluorescence", None)
    assert not image.facts


def test_only_the_segments_of_the_window_are_decoded(tmp_path, monkeypatch):
    image = open_tiff(write_tiff(tmp_path / "i.tif", PLANE, "tiles"))
    image.load((), Box((0, 0), (1, 1)))
    seen = []
    decode = image._pages.decode
    monkeypatch.setattr(
        image._pages, "decode", lambda d, n, **k: seen.append(n) or decode(d, n, **k)
    )
    image.load((), Box((33, 10), (40, 60)))
    assert seen == [2, 3]  # tiles of 32 x 48, two in a row


@pytest.mark.parametrize(
    ("axes", "shape"), [("TCZYX", (2, 3, 4)), ("ZCYX", (4, 3)), ("CTYX", (3, 2)), ("ZTYX", (4, 2))]
)
@pytest.mark.parametrize("kind", ["ome", "ome tiles"])
def test_axes_come_in_the_order_tczyx(kind, axes, shape, tmp_path):
    array = RNG.integers(0, 255, (*shape, 40, 50), np.uint8)
    path = write_tiff(tmp_path / "i.tif", array, kind, metadata={"axes": axes})
    image = open_tiff(path)
    assert image.axes == "".join(sorted(axes.lower(), key="tczyx".index))
    for plane in image.planes:
        at = dict(zip(image.axes, plane, strict=False))
        stored = array[tuple(at[a] for a in axes[:-2].lower())]
        np.testing.assert_array_equal(image.read(plane, Box((0, 0), (40, 50)))[0], stored)


def test_imagej_hyperstack(tmp_path):
    array = RNG.integers(0, 255, (2, 4, 3, 30, 40), np.uint8)
    path = write_tiff(tmp_path / "i.tif", array, "imagej", metadata={"axes": "TZCYX"})
    image = open_tiff(path)
    assert (image.axes, image.shape) == ("tczyx", (2, 3, 4, 30, 40))
    np.testing.assert_array_equal(image.read((1, 2, 3), Box((0, 0), (30, 40)))[0], array[1, 3, 2])


def test_imagej_stacks_with_one_page_are_read_through_the_map(tmp_path):
    # Stacks over 4 GB are stored so: one page, and a description that counts the images.
    path = tmp_path / "i.tif"
    with tifffile.TiffWriter(path) as file:
        description = "ImageJ=1.54f\nimages=5\nslices=5\nloop=false\n"
        file.write(STACK[0, 0], description=description, metadata=None, photometric="minisblack")
    with path.open("ab") as file:
        file.write(STACK[1:, :].reshape(-1, 70, 90)[:4].tobytes())
    image = open_tiff(path)
    assert (image.axes, image.shape) == ("zyx", (5, 70, 90))
    np.testing.assert_array_equal(values(image, 3), STACK[2, 0])


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("kind", ["plain", "tiles"])
def test_types_of_pixels(kind, dtype, tmp_path):
    array = (np.arange(6300).reshape(70, 90) % 100).astype(dtype)
    image = open_tiff(write_tiff(tmp_path / "i.tif", array, kind))
    assert image.dtype == dtype
    np.testing.assert_array_equal(values(image), array)


def test_interleaved_samples_that_are_not_a_colour_are_channels(tmp_path):
    array = np.moveaxis(STACK[:, 0], 0, -1).copy()
    for kind in ("plain", "tiles"):
        path = write_tiff(tmp_path / f"{kind}.tif", array, kind, planarconfig="contig")
        image = open_tiff(path)
        assert (image.axes, image.shape) == ("cyx", (3, 70, 90))
        np.testing.assert_array_equal(values(image, 1), STACK[1, 0])


def test_planar_rgb_is_three_channels(tmp_path):
    path = tmp_path / "i.tif"
    tifffile.imwrite(path, STACK[:, 0], photometric="rgb", planarconfig="separate")
    image = open_tiff(path)
    assert (image.axes, image.shape) == ("cyx", (3, 70, 90))


def test_tiles_that_are_left_out_are_masked(tmp_path):
    path = tmp_path / "i.tif"
    blocks = iter([PLANE[:64, :64], None, None, PLANE[:64, :64]])
    tifffile.imwrite(path, blocks, shape=(128, 128), dtype="u2", tile=(64, 64), photometric=1,
                     compression="zlib")  # fmt: skip
    vals, footprint = open_tiff(path).read((), Box((0, 0), (128, 128)))
    there = np.kron(np.eye(2), np.ones((64, 64))).astype(bool)
    np.testing.assert_array_equal(footprint, there)
    np.testing.assert_array_equal(vals[64:, 64:], PLANE[:64, :64])


def test_the_first_of_several_images_and_the_full_resolution(tmp_path, caplog):
    path = tmp_path / "i.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(PLANE, subifds=1, tile=(32, 32), metadata={"Name": "cells"})
        file.write(PLANE[::2, ::2], subfiletype=1, tile=(32, 32))
        file.write(PLANE[:20], metadata={"Name": "overview"})
    with caplog.at_level(logging.INFO, "sciup"):
        image = open_tiff(path)
    assert image.shape == PLANE.shape
    assert "overview" in caplog.text


def test_a_series_of_files_needs_all_of_them(tmp_path):
    write_tiff(tmp_path / "a.ome.tif", PLANE, "ome")
    xml = tifffile.TiffFile(tmp_path / "a.ome.tif")
    text, size = xml.ome_metadata, 'SizeZ="1"'
    xml.close()
    uuid = text[text.index("urn:uuid") : text.index("urn:uuid") + 45]
    text = text.replace(size, 'SizeZ="2"').replace(
        "</Pixels>",
        '<TiffData FirstZ="1" IFD="0"><UUID FileName="b.ome.tif">urn:uuid:'
        "11111111-1111-1111-1111-111111111111</UUID></TiffData></Pixels>",
    )
    own = f'<TiffData><UUID FileName="a.ome.tif">{uuid}</UUID></TiffData>'
    text = text.replace('<TiffData IFD="0" PlaneCount="1"/>', own)
    tifffile.tiffcomment(tmp_path / "a.ome.tif", text.encode())
    with pytest.raises(InputError, match="1 of 2 planes"):
        open_tiff(tmp_path / "a.ome.tif")
    write_tiff(tmp_path / "b.ome.tif", PLANE[::-1], metadata=None)
    image = open_tiff(tmp_path / "a.ome.tif")
    assert image.shape == (2, 70, 90)
    np.testing.assert_array_equal(values(image, 0), PLANE)
    np.testing.assert_array_equal(values(image, 1), PLANE[::-1])


# -- unpacking ---------------------------------------------------------------------------------


@pytest.fixture
def small_limit(monkeypatch):
    monkeypatch.setattr(_tiff, "LARGEST_SEGMENT", 1000)


def test_one_strip_files_are_unpacked_once(tmp_path, small_limit, caplog):
    path = write_tiff(tmp_path / "i.tif", STACK, "one strip")
    scratch = tmp_path / "scratch"
    with caplog.at_level(logging.INFO, "sciup"):
        image = open_tiff(path, scratch=scratch)
    assert not image.random_access
    assert "MB" in caplog.text
    assert str(scratch) in caplog.text
    assert sum(f.stat().st_size for f in scratch.rglob("*") if f.is_file()) == STACK.nbytes
    path.unlink()  # never needed again
    for plane in image.planes:
        np.testing.assert_array_equal(values(image, *plane), STACK[plane])


def test_what_was_unpacked_is_removed_at_exit(tmp_path):
    path = write_tiff(tmp_path / "i.tif", np.zeros((1500, 1500), "u2"), "one strip")
    code = (
        "import sys; from sciup.io import open_image; from pathlib import Path\n"
        "image = open_image(sys.argv[1], scratch=sys.argv[2])\n"
        "print(sum(1 for f in Path(sys.argv[2]).rglob('*.raw')), image.random_access)"
    )
    scratch = tmp_path / "scratch"
    root = str(Path(__file__).parents[2])
    out = subprocess.run([sys.executable, "-c", code, path, scratch], capture_output=True,
                         text=True, check=True, cwd=root)  # fmt: skip
    assert out.stdout.split() == ["1", "False"]
    assert list(scratch.iterdir()) == []


def test_a_damaged_file_leaves_nothing_in_scratch(tmp_path, small_limit):
    path = write_tiff(tmp_path / "i.tif", PLANE, "one strip", compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[offset + 50 : offset + 5000] = bytes(4950)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"cannot be unpacked"):
        open_tiff(path, scratch=tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_full_disk_is_told_before_unpacking(tmp_path, small_limit, monkeypatch):
    path = write_tiff(tmp_path / "i.tif", PLANE, "one strip")
    usage = type("usage", (), {"free": 100})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="--scratch"):
        open_tiff(path, scratch=tmp_path)


# -- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [3, 4])
def test_colour_pictures_are_refused(samples, tmp_path):
    path = tmp_path / "i.tif"
    tifffile.imwrite(path, np.zeros((70, 90, samples), "u1"), photometric="rgb",
                     extrasamples=["unassalpha"] * (samples - 3))  # fmt: skip
    with pytest.raises(InputError, match="colour picture") as error:
        open_tiff(path)
    assert "imwrite" in error.value.fix


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((70, 90), "c8"), "complex"), (np.zeros((70, 90), bool), "bool"),
        (np.zeros((1, 1), "u1"), "1 x 1"),
    ],
)  # fmt: skip
def test_what_is_not_an_image_is_refused(array, words, tmp_path):
    path = write_tiff(tmp_path / "i.tif", array)
    with pytest.raises(InputError, match=words):
        open_tiff(path)


def test_too_many_axes(tmp_path):
    path = write_tiff(tmp_path / "i.tif", np.zeros((2, 2, 2, 2, 8, 8), "u1"))
    with pytest.raises(InputError, match="axes"):
        open_tiff(path)


@pytest.mark.parametrize("fraction", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("kind", TIFF_KINDS)
def test_truncated_files_are_refused(kind, fraction, tmp_path):
    array = STACK[:, 0] if "planar" in kind else STACK
    path = truncate(write_tiff(tmp_path / "i.tif", array, kind), fraction)
    with pytest.raises(InputError, match=str(path)):
        open_tiff(path)


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.9])
def test_truncated_pages_without_metadata_are_refused(fraction, tmp_path):
    # Nothing but the chain of pages tells that more were meant to come.
    path = tmp_path / "i.tif"
    with tifffile.TiffWriter(path) as file:
        for plane in STACK.reshape(-1, 70, 90):
            file.write(plane, metadata=None, contiguous=False, photometric="minisblack")
    assert open_tiff(path).shape == (6, 70, 90)
    truncate(path, fraction)
    with pytest.raises(InputError, match=str(path)):
        open_tiff(path)


def test_damaged_tiles_are_told_when_they_are_read(tmp_path):
    path = write_tiff(tmp_path / "i.tif", PLANE, "tiles")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[3], tiff.pages[0].databytecounts[3]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = bytes(count)
    path.write_bytes(data)
    image = open_tiff(path)
    image.read((), Box((0, 0), (10, 10)))
    with pytest.raises(InputError, match="cannot be read at plane"):
        image.read((), WHOLE)


def test_a_file_that_shrinks_after_opening(tmp_path):
    for kind in ("plain", "tiles"):
        image = open_tiff(write_tiff(tmp_path / "i.tif", PLANE, kind))
        truncate(tmp_path / "i.tif", 0.5)
        with pytest.raises(InputError, match=str(tmp_path)):
            image.read((), WHOLE)


def test_no_file_is_left_open(tmp_path):
    path = write_tiff(tmp_path / "i.tif", PLANE, "tiles")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = open_tiff(path)
        values(image)
        tiff = image._pages.tiff
        del image
    assert tiff.filehandle.closed


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize(("pages", "back"), [(4, 2), (4, 3), (150, 5)])
def test_pages_that_follow_each_other_in_a_circle(pages, back, bigtiff, tmp_path):
    """Found by the search in tests/faults: the list of pages never ended."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as writer:
        for number in range(pages):
            writer.write(np.ones((8, 9 + number % 2), np.uint8), metadata=None)
    point_back(path, back)
    with pytest.raises(InputError, match=f"circle: number {pages} points back"):
        open_tiff(path)


def test_no_page_at_all(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0" + bytes(60))
    with pytest.raises(InputError, match="holds no image"):
        open_tiff(path)


def test_rubbish_behind_the_last_page_is_told_and_nothing_is_left(tmp_path, monkeypatch):
    """Found by `fuzz_readers`: only the second look at the pages, for unpacking, comes upon it."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((40, 50), "u2"), compression="zlib", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        end = tiff.pages[0].offset + 2 + 12 * len(tiff.pages[0].tags)
    data = bytearray(path.read_bytes())
    data[end : end + 4] = len(data).to_bytes(4, "little")
    path.write_bytes(data + b"\xff" * 64)
    monkeypatch.setattr("sciup.io._tiff.LARGEST_SEGMENT", 100)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(InputError, match=r"cannot be unpacked.*suspicious number of tags"):
        open_tiff(path, scratch=tmp_path / "scratch")
    assert not list((tmp_path / "scratch").iterdir())
