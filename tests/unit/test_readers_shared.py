"""What every reader must do in the same way: one suite, one line per reader."""

import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.geometry import Box
from sciup.image import mirror
from sciup.io import open_image
from sciup.io._array import open_array
from sciup.testing.microscopy_files import (
    TIFF_KINDS,
    write_ome_zarr,
    write_picture,
    write_tiff,
    write_zip,
)

HEIGHT, WIDTH = 70, 90
MEGABYTE = 1_000_000


def pixels(shape, dtype, seed=0):
    """Random numbers; a few NaN where the type knows them."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        array = rng.normal(0, 1000, shape).astype(dtype)
        array[..., 5:9, 11:20] = np.nan
        return array
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, endpoint=True).astype(dtype)


def fits_image(path, array, name):
    fits = pytest.importorskip("astropy.io.fits")
    pytest.importorskip("sciup.io._fits")
    fits.PrimaryHDU(array).writeto(path / f"{name}.fits")
    return open_image(path / f"{name}.fits")


def dask_array(array, chunks):
    return pytest.importorskip("dask.array").from_array(array, chunks=chunks)


def data_array(array, chunks):
    xarray = pytest.importorskip("xarray")
    return xarray.DataArray(dask_array(array, chunks), dims=("time", "z", "y", "x")[-array.ndim :])


def nddata(array):
    return pytest.importorskip("astropy.nddata").NDData(array)


def zarr_array(array):
    import zarr

    return zarr.array(array, chunks=(1,) * (array.ndim - 2) + (32, 32))


def ome(path, array, axes, **options):
    return open_image(write_ome_zarr(path / "image", array, axes, **options))


def zipped(path, array, axes, **options):
    return open_image(write_zip(write_ome_zarr(path / "image", array, axes, **options), "a.zarr"))


READERS = {
    "numpy": ("i2", (2, 3), lambda path, a: open_image(a)),
    "numpy float64": ("f8", (), lambda path, a: open_image(a)),
    "dask": ("f4", (2,), lambda path, a: open_image(dask_array(a, (1, 33, 50)))),
    "xarray": ("f4", (2, 3), lambda path, a: open_image(data_array(a, (1, 1, 33, 50)))),
    "nddata": (">f4", (2,), lambda path, a: open_image(nddata(a))),
    "zarr in memory": ("u2", (2,), lambda path, a: open_image(zarr_array(a))),
    "ome-zarr 0.4": (
        "u2", (2, 3), lambda p, a: ome(p, a, "czyx", version="0.4", chunks=(1, 1, 32, 40)),
    ),
    "ome-zarr 0.5": ("f4", (2,), lambda p, a: ome(p, a, "tyx", chunks=(1, 32, 40))),
    "ome-zarr sharded": (
        "u1", (2, 1, 2),
        lambda p, a: ome(p, a, "tczyx", chunks=(1, 1, 1, 16, 16), shards=(1, 1, 1, 64, 48)),
    ),
    "ome-zarr in a zip": ("u2", (2,), lambda p, a: zipped(p, a, "tyx", chunks=(1, 32, 40))),
    "zarr array": ("i4", (2,), lambda p, a: open_image(write_ome_zarr(p / "i", a, "zyx") / "0")),
    "selected": ("u2", (2, 3), lambda p, a: open_image(np.stack([a, a[::-1]])[::-1], time=1)),
    "png": ("u2", (), lambda p, a: open_image(write_picture(p / "i", a))),
    "png in colours": ("u1", (3,), lambda p, a: open_image(write_picture(p / "i", a))),
    "jpeg 2000": ("u2", (), lambda p, a: open_image(write_picture(p / "i", a, "jpeg2k"))),
    "fits": (">i2", (), lambda p, a: fits_image(p, a, "plane")),
    "fits cube": (">f4", (3,), lambda p, a: fits_image(p, a, "cube")),
}  # fmt: skip
for kind in TIFF_KINDS:
    lead = (2,) if "planar" in kind else (2, 3)
    READERS[f"tiff {kind}"] = (
        "u2", lead, lambda p, a, k=kind: open_image(write_tiff(p / "i.tif", a, k)),
    )  # fmt: skip


@pytest.fixture(scope="module", params=READERS)
def case(request, tmp_path_factory):
    """An image and the array (planes, y, x) that it must give."""
    dtype, lead, make = READERS[request.param]
    array = pixels((*lead, HEIGHT, WIDTH), dtype)
    image = make(tmp_path_factory.mktemp("reader"), array.copy())
    if request.param == "selected":
        assert image.shape == (1, *array.shape)
    return image, arranged(image, array)


def arranged(image, array):
    """The reference in the order of the image's planes: TIFF may store z before c."""
    if array.ndim == 4 and image.shape[:-2] == array.shape[1::-1]:
        array = array.swapaxes(0, 1)
    return array.reshape(-1, HEIGHT, WIDTH).astype(np.float32)


def far_boxes():
    """Boxes that may stick out on every side, by more than the image is large."""
    first = st.tuples(st.integers(-100, HEIGHT + 60), st.integers(-100, WIDTH + 60))
    side = st.tuples(st.integers(1, 80), st.integers(1, 80))
    return st.builds(lambda a, n: Box(a, (a[0] + n[0], a[1] + n[1])), first, side)


def expected(plane, box):
    """The mirrored values and the footprint of a box, from the whole plane."""
    rows, cols = (mirror(a, b, n) for a, b, n in zip(box.start, box.stop, plane.shape, strict=True))
    values = plane[np.ix_(rows, cols)]
    y, x = (np.arange(a, b) for a, b in zip(box.start, box.stop, strict=True))
    inside = ((y >= 0) & (y < plane.shape[0]))[:, None] & ((x >= 0) & (x < plane.shape[1]))
    return values, inside & np.isfinite(values)


def test_the_whole_image_is_read(case):
    image, planes = case
    assert image.plane_shape == (HEIGHT, WIDTH)
    for plane, wanted in zip(image.planes, planes, strict=True):
        values, footprint = image.read(plane, Box.of_shape(image.plane_shape))
        assert values.dtype == np.float32
        assert footprint.dtype == bool
        np.testing.assert_array_equal(values, wanted)
        np.testing.assert_array_equal(footprint, np.isfinite(wanted))


@given(box=far_boxes(), data=st.data())
@settings(max_examples=15)
def test_a_window_is_the_whole_seen_through_the_window(case, box, data):
    image, planes = case
    number = data.draw(st.integers(0, len(planes) - 1))
    values, footprint = image.read(list(image.planes)[number], box)
    wanted, data_there = expected(planes[number], box)
    assert values.shape == footprint.shape == box.shape
    np.testing.assert_array_equal(values, wanted)
    np.testing.assert_array_equal(footprint, data_there)


def test_load_gives_float32_and_bool(case):
    image, _ = case
    values, footprint = image.load(next(image.planes), Box((3, 4), (10, 20)))
    assert (values.dtype, footprint.dtype) == (np.float32, bool)
    assert values.shape == footprint.shape == (7, 16)


def test_facts_that_everybody_needs(case):
    image, planes = case
    assert len(image.axes) == len(image.shape)
    assert image.axes.endswith("yx")
    assert len(set(image.axes)) == len(image.axes)
    assert len(list(image.planes)) == len(planes)
    assert image.dtype.kind in "iuf"
    assert image.format in ("array", "fits", "ome-zarr", "picture", "tiff")
    assert image.random_access == (image.format != "picture")


def test_it_can_be_pickled_before_and_after_a_read(case):
    image, planes = case
    box = Box((-3, 10), (40, 95))
    last = list(image.planes)[-1]
    for _ in range(2):
        copy = pickle.loads(pickle.dumps(image))
        np.testing.assert_array_equal(copy.read(last, box)[0], expected(planes[-1], box)[0])
        image.read(last, box)


def test_many_threads_may_read_at_once(case):
    image, planes = case
    rng = np.random.default_rng(1)
    where = list(image.planes)
    jobs = []
    for _ in range(60):
        y, x = int(rng.integers(-20, HEIGHT)), int(rng.integers(-20, WIDTH))
        jobs.append((int(rng.integers(len(where))), Box((y, x), (y + 33, x + 31))))
    fresh = pickle.loads(pickle.dumps(image))
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda job: fresh.read(where[job[0]], job[1])[0], jobs))
    for (number, box), values in zip(jobs, results, strict=True):
        np.testing.assert_array_equal(values, expected(planes[number], box)[0])


def test_arrays_are_not_changed():
    array = pixels((HEIGHT, WIDTH), "f4")
    before = array.copy()
    values, _ = open_image(array).read((), Box.of_shape(array.shape))
    values[...] = 0
    np.testing.assert_array_equal(array, before)


# -- memory ------------------------------------------------------------------------------------

SIDE = 3000
BIG = {
    "array": lambda path, a: open_array(a),
    "ome-zarr": lambda path, a: ome(path, a, "yx", chunks=(256, 256)),
    "ome-zarr in a zip": lambda p, a: zipped(p, a, "yx", chunks=(256, 256)),
    "ome-zarr sharded": lambda p, a: ome(p, a, "yx", chunks=(250, 250), shards=(3000, 3000)),
    "tiff plain": lambda p, a: open_image(write_tiff(p / "i.tif", a)),
    "tiff strips": lambda p, a: open_image(write_tiff(p / "i.tif", a, "strips")),
    "tiff tiles": lambda p, a: open_image(write_tiff(p / "i.tif", a, "tiles", tile=(256, 256))),
    "tiff one strip": lambda p, a: open_image(write_tiff(p / "i.tif", a, "one strip"), scratch=p),
    "png": lambda p, a: open_image(write_picture(p / "i", a), scratch=p),
    "fits": lambda p, a: fits_image(p, a.astype(">i2"), "big"),
}


@pytest.mark.parametrize("name", BIG)
def test_a_window_needs_no_more_memory_than_a_few_chunks(name, tmp_path):
    array = np.arange(SIDE * SIDE, dtype=np.uint32).reshape(SIDE, SIDE).astype(np.uint16)
    image = BIG[name](tmp_path, array)
    image = pickle.loads(pickle.dumps(image)) if name != "array" else image
    image.read((), Box((0, 0), (64, 64)))  # loads codecs and metadata
    tracemalloc.start()
    try:
        values, _ = image.read((), Box((1500, 1700), (1564, 1764)))
        few = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        image.read((), Box((0, 0), (SIDE, SIDE)))
        whole = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    wanted = array[1500:1564, 1700:1764].astype(image.dtype).astype(np.float32)
    np.testing.assert_array_equal(values, wanted)
    assert few < 2 * MEGABYTE
    assert whole > 2 * array.nbytes  # the meter works


def test_opening_reads_no_pixels(tmp_path):
    array = np.zeros((SIDE, SIDE), np.uint16)
    path = write_ome_zarr(tmp_path / "image", array + np.uint16(1), "yx", chunks=(256, 256))
    tif = write_tiff(tmp_path / "i.tif", array)
    for source in (path, tif):
        open_image(source)
        tracemalloc.start()
        open_image(source)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MEGABYTE
