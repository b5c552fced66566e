"""Zeros around a mosaic are no data; zeros of a dark simulated sky are."""

import numpy as np
import pytest
from astropy.io import fits

from sciup.api import open_image
from sciup.geometry import Box

N = 120


def rotated(values: np.ndarray) -> np.ndarray:
    """Zeros outside a diamond, as around a rotated mosaic."""
    y, x = np.mgrid[:N, :N] - N / 2
    return np.where(np.abs(y) + np.abs(x) < 0.8 * N, values, 0)


ALL = Box((0, 0), (N, N))


def footprint(tmp_path, values, box=ALL, **companions):
    hdus = [fits.PrimaryHDU(values.astype("float32"))]
    hdus += [fits.ImageHDU(data, name=name) for name, data in companions.items()]
    fits.HDUList(hdus).writeto(tmp_path / "image.fits", overwrite=True)
    return open_image(tmp_path / "image.fits").read((), box)[1]


def noise(seed=0):
    return np.random.default_rng(seed).normal(0, 1, (N, N))


@pytest.mark.parametrize("sky", [noise(), 100 + noise()], ids=["about 0", "far above 0"])
def test_zeros_around_a_mosaic_are_no_data(tmp_path, sky):
    seen = footprint(tmp_path, rotated(sky))
    truth = rotated(np.ones((N, N))) > 0
    assert not seen[:10, :10].any()
    assert seen[truth].all()
    assert (seen != truth).mean() < 0.02  # single zeros along the slanted edge remain


def test_every_window_sees_the_same(tmp_path):
    values = rotated(noise())
    whole = footprint(tmp_path, values)
    for box in (Box((3, 5), (30, 41)), Box((50, 0), (N, 7)), Box((0, 0), (1, 1))):
        assert np.array_equal(footprint(tmp_path, values, box), whole[box.slices])


def test_zeros_that_are_measured_stay(tmp_path):
    y, x = np.mgrid[:N, :N] - N / 2
    star = np.where(np.hypot(y, x) < 20, 100 * np.exp(-np.hypot(y, x) / 4), 0)
    assert footprint(tmp_path, star).all()  # a simulation without noise
    assert footprint(tmp_path, np.zeros((N, N))).all()
    inside = noise()
    inside[40:60, 40:60] = 0  # a hole: nothing at the border raises the suspicion
    assert footprint(tmp_path, inside).all()
    counts = np.random.default_rng(0).poisson(0.05, (N, N)).astype(float)
    assert footprint(tmp_path, counts).all()  # few photons


def test_a_weight_map_has_the_last_word(tmp_path):
    weight = np.ones((N, N), "float32")
    assert footprint(tmp_path, rotated(noise()), WHT=weight).all()
