"""Arrays in memory: NumPy, Dask and Zarr."""

import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
import zarr

from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.image import PixelGrid
from sciup.io._array import open_array

BOX = Box((0, 0), (4, 5))
PLANE = np.arange(20.0).reshape(4, 5)


@pytest.mark.parametrize(("ndim", "axes"), [(2, "yx"), (3, "zyx"), (4, "czyx"), (5, "tczyx")])
def test_axes_without_names(ndim, axes):
    assert open_array(np.zeros((2,) * ndim)).axes == axes


def test_what_is_said_is_kept():
    image = open_array(
        PLANE, axes="yx", pixel_size=(0.2, 0.1), unit="electron", flux_per_pixel=True,
        domain="night-sky",
    )  # fmt: skip
    assert (image.unit, image.flux_per_pixel, image.domain) == ("electron", True, "night-sky")
    assert image.grid == PixelGrid((0.2, 0.1), "arcsec")
    assert open_array(PLANE, pixel_size=0.1).grid == PixelGrid((0.1, 0.1), "micrometer")
    grid = PixelGrid((1.0, 1.0), "millimeter", (3.0, 4.0))
    assert open_array(PLANE, pixel_size=grid).grid == grid
    assert open_array(PLANE).grid.size is None


@pytest.mark.parametrize(
    "kind",
    [np.asarray, lambda a: da.from_array(a, chunks=2), lambda a: zarr.array(a, chunks=(2, 2))],
)
def test_kinds_of_array(kind):
    values, footprint = open_array(kind(PLANE)).read((), BOX)
    np.testing.assert_array_equal(values, PLANE)
    assert footprint.all()


def test_a_dask_array_is_computed_window_by_window():
    seen = []

    def block(block_info):
        info = block_info
        seen.append(info[None]["chunk-location"])
        return np.zeros(info[None]["chunk-shape"], "f4")

    lazy = da.map_blocks(
        block,
        chunks=((10,) * 4, (10,) * 4),
        dtype="f4",
        meta=np.empty((0, 0), "f4"),
    )
    seen.clear()
    open_array(lazy).read((), Box((12, 22), (18, 28)))
    assert seen == [(1, 2)]


def test_an_error_in_a_dask_graph_is_ours():
    def broken(block):
        raise KeyError("lost")

    lazy = da.zeros((8, 8), chunks=4).map_blocks(broken, dtype="f8", meta=np.empty((0, 0)))
    with pytest.raises(InputError, match="KeyError"):
        open_array(lazy).read((), BOX)


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 5)])
def test_mask_is_true_where_there_is_no_data(shape):
    mask = np.zeros(shape, bool)
    mask[..., 1, 2] = True
    image = open_array(np.stack([PLANE, PLANE]), mask=mask)
    for plane in image.planes:
        values, footprint = image.read(plane, BOX)
        np.testing.assert_array_equal(footprint, ~mask[..., :, :].reshape(-1, 4, 5)[0])
        assert np.isnan(values[1, 2])


def test_a_masked_array_brings_its_mask():
    array = np.ma.masked_greater(PLANE, 17)
    _, footprint = open_array(array).read((), BOX)
    np.testing.assert_array_equal(footprint, PLANE <= 17)
    other = np.zeros((4, 5), bool)
    other[0, 0] = True
    _, footprint = open_array(array, mask=other).read((), BOX)
    assert footprint.sum() == 20 - 3


def test_dtypes_from_other_machines():
    for dtype in (">i2", ">f8", "f2", "u8", "i1"):
        np.testing.assert_array_equal(open_array(PLANE.astype(dtype)).read((), BOX)[0], PLANE)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4), complex), "complex"), (np.zeros((4, 4), bool), "bool"),
        (np.zeros((4, 4), "U3"), "U3"), (np.zeros((4, 4), object), "object"),
        (np.zeros(4), "1 axis"), (np.zeros((0, 4)), "empty"), (np.zeros((1, 1)), "1 x 1"),
        (np.zeros((2,) * 6), "6 axes"), ([[1, 2], [3, 4]], "list"), (7, "int"), (None, "NoneType"),
    ],
)  # fmt: skip
def test_what_is_not_an_image_is_refused(array, words):
    with pytest.raises(InputError, match=words):
        open_array(array)


def test_unknown_chunks_are_refused():
    lazy = da.from_array(PLANE, chunks=2)
    with pytest.raises(InputError, match="compute_chunk_sizes"):
        open_array(lazy[lazy[:, 0] > 3])


@pytest.mark.parametrize(
    "options",
    [
        {"axes": "xy"}, {"axes": "zyx"}, {"axes": "yyx"}, {"pixel_size": 0}, {"pixel_size": -1.0},
        {"pixel_size": float("nan")}, {"mask": np.zeros((3, 3))},
    ],
)  # fmt: skip
def test_options_that_do_not_fit(options):
    with pytest.raises(OptionError):
        open_array(PLANE, **options)


@pytest.mark.parametrize("module", ["sciup.io", "sciup.io._array", "sciup.io._zarr_writer"])
def test_importing_loads_no_heavy_package(module):
    heavy = "{'torch', 'dask', 'napari', 'astropy', 'tifffile'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
