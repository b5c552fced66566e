"""The inputs of the benchmark of large images are what they are said to be."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from sciup.geometry import Box
from sciup.io import open_image

SIDE = 1130  # two strips, the second is shorter
SCRIPT = Path(__file__).parents[1] / "benchmarks" / "large_inputs.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("large_inputs", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expected(script):
    return np.tile(script.scene(), (2, 2))[:SIDE, :SIDE]


def test_packed_fits_is_the_scene_for_astropy(script, tmp_path):
    path = script.write_fits(tmp_path / "a.fits.fz", SIDE)
    assert np.array_equal(fits.getdata(path, 1), expected(script))
    assert path.stat().st_size < SIDE**2


@pytest.mark.parametrize(("write", "name"), [
    ("write_fits", "a.fits.fz"), ("write_zarr", "a.ome.zarr"),
])  # fmt: skip
def test_a_window_over_two_strips_is_read(script, tmp_path, write, name):
    image = open_image(getattr(script, write)(tmp_path / name, SIDE))
    box = Box((985, 990), (1020, 1100))
    assert image.plane_shape == (SIDE, SIDE)
    assert np.array_equal(image.load((), box)[0], expected(script)[box.slices])
