"""Large files without coarse levels: shown at once, completed in the background."""

import time

import numpy as np
import pytest
import zarr
from astropy.io import fits
from zarr.storage import LocalStore

from sciup_napari.lazy import Windows
from sciup_napari.overview import fill, slow_levels
from sciup_napari.reader import get_reader


def large(path, shape=(4100, 3000), dtype="u2"):
    array = np.random.default_rng(0).integers(50, 200, shape).astype(dtype)
    zarr.create_array(LocalStore(path), data=array, chunks=(512, 512))
    return array


def test_the_filled_levels_are_those_that_reading_would_give(tmp_path):
    array = large(tmp_path / "a.zarr")
    ((levels, _, _),) = get_reader(str(tmp_path / "a.zarr"))(str(tmp_path / "a.zarr"))
    strips = slow_levels(levels)
    assert [windows.step for _, windows in strips] == [8, 4]
    for _ in fill(strips):
        pass
    for filled, windows in strips:
        assert np.array_equal(filled, np.asarray(windows[:]))
    assert np.array_equal(strips[0][0][:-1], array[4::8, 4::8][:512])


def test_quick_and_small_levels_stay_as_they_are(tmp_path):
    fits.PrimaryHDU(np.zeros((3000, 3000), "f4")).writeto(tmp_path / "a.fits")
    ((levels, _, _),) = get_reader(str(tmp_path / "a.fits"))(str(tmp_path / "a.fits"))
    assert len(levels) == 3
    assert slow_levels(levels) == []


@pytest.mark.parametrize("compressed", [False, True])
def test_the_viewer_shows_it_at_once_and_completes_it(
    tmp_path, make_napari_viewer, qtbot, compressed
):
    if compressed:
        array = np.random.default_rng(0).integers(50, 200, (4100, 3000)).astype("i2")
        path = tmp_path / "a.fits"
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(array)]).writeto(path)
    else:
        path = tmp_path / "a.zarr"
        array = large(path)
    viewer = make_napari_viewer(show=True)
    (layer,) = viewer.open(path, plugin="sciup")
    coarse = layer.data[-1]
    assert isinstance(coarse, np.ndarray)
    want = Windows(lambda _p, box: array[box.slices], array.shape, 8)[:]
    qtbot.waitUntil(lambda: np.array_equal(coarse, want.astype(coarse.dtype)), timeout=20_000)
    qtbot.wait(200)
    assert viewer.screenshot(canvas_only=True, flash=False)[..., :3].mean() > 30


def test_a_layer_that_is_removed_ends_the_work(tmp_path, make_napari_viewer, qtbot, monkeypatch):
    read = []
    large(tmp_path / "a.zarr")
    viewer = make_napari_viewer()
    from sciup_napari import overview

    def slowly(strips):
        for _ in real_fill(strips):
            read.append(1)
            time.sleep(0.3)
            yield

    real_fill = fill
    monkeypatch.setattr(overview, "fill", slowly)
    viewer.open(tmp_path / "a.zarr", plugin="sciup")
    qtbot.waitUntil(lambda: len(read) > 0, timeout=5_000)
    viewer.layers.clear()
    qtbot.wait(1_500)
    assert len(read) < 5  # of 9 strips
