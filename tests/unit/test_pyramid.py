"""Coarser levels of a map: means of what is there, in constant memory."""

import itertools
import tracemalloc

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from sciup.io._pyramid import build_pyramid, halve, level_shapes
from sciup.io._shards import create_array

RNG = np.random.default_rng(0)


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_levels_end_when_the_plane_fits(height, width):
    shapes = level_shapes((height, width))
    assert max(shapes[-1]) <= 256
    assert all(max(shape) > 256 for shape in shapes[:-1])
    for fine, coarse in itertools.pairwise(shapes):
        assert coarse == tuple((n + 1) // 2 for n in fine)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_halving_is_the_mean_of_what_is_there(height, width, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(height, width)).astype("f4")
    values[rng.random(values.shape) < 0.4] = np.nan
    got = halve(values)
    assert got.dtype == np.float32
    for y in range(got.shape[0]):
        for x in range(got.shape[1]):
            block = values[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
            block = block[np.isfinite(block)]
            if block.size:
                assert got[y, x] == pytest.approx(block.mean(dtype=np.float64), abs=1e-6)
            else:
                assert np.isnan(got[y, x])


def test_halving_does_not_overflow():
    assert halve(np.full((2, 2), 3e38, "f4"))[0, 0] == np.float32(3e38)


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of 64 px, so that small images have many."""
    for module in ("_shards", "_zarr_writer"):
        monkeypatch.setattr(f"sciup.io.{module}.SHARD", 64)
    for module in ("_shards", "_pyramid"):
        monkeypatch.setattr(f"sciup.io.{module}.CHUNK", 32)
    return 64


def test_a_pyramid_over_many_shards_equals_halving_the_whole(tmp_path, small_shards):
    values = RNG.normal(size=(2, 523, 301)).astype("f4")
    values[0, 100:250] = np.nan
    level0 = create_array(tmp_path / "0", values.shape, ["c", "y", "x"])
    level0[...] = values
    assert build_pyramid(tmp_path, ["c", "y", "x"]) == 3
    for channel in (0, 1):
        wanted = values[channel]
        for level in (1, 2):
            wanted = halve(wanted)
            stored = zarr.open_array(tmp_path / str(level), mode="r")
            np.testing.assert_array_equal(stored[channel], wanted)


def test_a_pyramid_needs_constant_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("sciup.io._shards.SHARD", 128)
    for module in ("_shards", "_pyramid"):
        monkeypatch.setattr(f"sciup.io.{module}.CHUNK", 64)
    peaks = []
    for side in (600, 600, 2000):  # the first one loads codecs
        path = tmp_path / str(len(peaks))
        level0 = create_array(path / "0", (side, side), ["y", "x"])
        level0[...] = np.ones((side, side), "f4")
        tracemalloc.start()
        build_pyramid(path, ["y", "x"])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 2 * peaks[1]
    assert peaks[1] > 128 * 128 * 4  # the meter works: one shard of output
