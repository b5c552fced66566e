"""PSF images of a microscope: as they are, or from beads."""

import numpy as np
import pytest
import tifffile
from psf_pictures import distance, observed

from sciup.errors import InputError, OptionError
from sciup.image import PixelGrid
from sciup.io._array import open_array
from sciup.physics.psf import image_fwhm
from sciup.physics.psf_source import read_psf
from sciup.testing.psf_files import bead_stack, gaussian_pixels
from sciup.testing.toy_images import cells


def micrograph():
    image = open_array(cells((64, 64), electrons_per_unit=2.0, pedestal=100))
    image.grid = PixelGrid((0.1, 0.1), "micrometer")
    return image


def write_stack(path, planes, size=None):
    planes = np.asarray(planes)
    metadata = {"axes": "ZYX" if planes.ndim == 3 else "YX"}
    if size:
        metadata |= {"PhysicalSizeX": size, "PhysicalSizeY": size}
    tifffile.imwrite(path, planes, ome=True, metadata=metadata)
    return path


def test_an_image_on_the_grid_of_the_input_is_left_as_it_is(tmp_path):
    picture = gaussian_pixels((21, 21), (10.2, 9.7), 2.5).astype(np.float32)
    found = read_psf(write_stack(tmp_path / "p.tif", picture), micrograph())
    np.testing.assert_array_equal(found.values, picture)
    assert found.step == 1
    assert "sampling taken to be the input's" in found.note
    same = read_psf(write_stack(tmp_path / "q.tif", picture, 0.1005), micrograph())
    assert (same.step, "sampled as the input" in same.note) == (1, True)


def test_a_finer_micrograph_of_a_bead(tmp_path):
    fine = gaussian_pixels((61, 61), (30, 30), 0.25, 0.05, 0.05)
    found = read_psf(write_stack(tmp_path / "p.tif", fine.astype(np.float32), 0.05), micrograph())
    assert found.step == pytest.approx(0.5)
    assert image_fwhm(found.values, found.step) == pytest.approx(2.5, rel=0.03)


def test_the_sharpest_plane_of_a_stack_and_one_that_is_asked_for(tmp_path):
    path = write_stack(tmp_path / "z.ome.tif", bead_stack([5.0, 3.6, 2.6, 3.4], level=3000))
    found = read_psf(path, micrograph())
    assert "plane 2 of 4 (the sharpest)" in found.note
    assert "background of" in found.note
    assert image_fwhm(found.values) == pytest.approx(2.6, rel=0.03)
    asked = read_psf(f"{path}[0]", micrograph())
    assert "plane 0 of 4 (as asked)" in asked.note
    assert image_fwhm(asked.values) == pytest.approx(5.0, rel=0.05)
    with pytest.raises(OptionError, match="no plane '4'"):
        read_psf(f"{path}[4]", micrograph())


def test_several_beads_become_one(tmp_path):
    places = [(30.3, 30.1), (32.5, 90.75), (88.2, 28.6), (90.0, 92.5), (150.0, 60.5), (155.0, 66.0)]
    plane = bead_stack([2.8], places, (180, 120))[0]
    plane += bead_stack([4.5], [(110.0, 60.0)], (180, 120), level=0)[0]  # a clump
    found = read_psf(write_stack(tmp_path / "b.tif", plane), micrograph())
    assert "median of 5 isolated beads" in found.note  # two that touch are left out
    assert image_fwhm(found.values) == pytest.approx(2.8, rel=0.03)
    exact = gaussian_pixels(found.values.shape, tuple(n // 2 for n in found.values.shape), 2.8)
    assert distance(found.values / found.values.sum(), exact) < 0.03


@pytest.mark.parametrize("fwhm", [1.3, 2.0, 4.0])
def test_the_rings_of_one_psf_are_no_beads(tmp_path, fwhm):
    picture = observed("airy", fwhm, 51).astype(np.float32)
    found = read_psf(write_stack(tmp_path / "p.tif", picture), micrograph())
    np.testing.assert_array_equal(found.values, picture)


@pytest.mark.parametrize("level", [0, 3, 100, 3000])
def test_the_background_of_a_bead_is_taken_off(tmp_path, level):
    plane = bead_stack([2.2], light=2e4, level=level)[0]
    found = read_psf(write_stack(tmp_path / "b.tif", plane), micrograph()).values
    assert found.sum() == pytest.approx(2e4, rel=0.1 if level < 1000 else 0.5)
    assert image_fwhm(found) == pytest.approx(2.2, rel=0.02 if level < 1000 else 0.06)


@pytest.mark.parametrize("side", [9, 15, 33])
@pytest.mark.parametrize("shape", ["moffat 2.5", "airy"])
def test_wings_are_no_background(tmp_path, shape, side):
    picture = observed(shape, 2.6, side, (0.25, 0.0)).astype(np.float32)
    found = read_psf(write_stack(tmp_path / "p.tif", picture), micrograph())
    np.testing.assert_array_equal(found.values, picture)


def test_beads_that_are_not_alone_are_told(tmp_path):
    plane = bead_stack([2.8], [(20.0, 15.0), (20.0, 26.0)])[0]
    found = read_psf(write_stack(tmp_path / "b.tif", plane), micrograph())
    assert "2 peaks, none of them isolated" in found.note


def test_several_channels_are_refused(tmp_path):
    path = tmp_path / "c.ome.tif"
    tifffile.imwrite(path, bead_stack([2.0, 3.0]), ome=True, metadata={"axes": "CYX"})
    with pytest.raises(OptionError, match="one stack along z"):
        read_psf(path, micrograph())


def test_masked_pixels_and_missing_files_are_refused(tmp_path):
    picture = gaussian_pixels((21, 21), (10, 10), 2.5).astype(np.float32)
    picture[3, 3] = np.nan
    with pytest.raises(InputError, match="without a number"):
        read_psf(write_stack(tmp_path / "p.tif", picture), micrograph())
    with pytest.raises(InputError):
        read_psf(tmp_path / "none.fits", micrograph())
