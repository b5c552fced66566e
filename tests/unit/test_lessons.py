"""An image that a model was trained on is told, in any file it comes in."""

import logging

import numpy as np
import pytest
import tifffile
from astropy.io import fits

import sciup
from sciup.errors import ModelError
from sciup.generators.lessons import FILE, Lessons, write_lessons
from sciup.io import open_image
from sciup.io._provenance import read_provenance
from sciup.physics.estimate import probe
from sciup.resources import model_folders
from sciup.testing.fits_files import hst_acs, lookup_tables
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

FIXED = {"samples": 1, "device": "cpu", "precision": "fp32", "maps": ("mean",)}


def digest(image):
    return probe(image, next(image.planes)).pixels


def write_stack(path, planes):
    import zarr

    array = zarr.create_array(
        path,
        shape=planes.shape,
        dtype=planes.dtype,
        chunks=(1, *planes.shape[1:]),
        dimension_names=["z", "y", "x"],
    )
    array[...] = planes


def test_pixels_are_known_in_any_file(tmp_path):
    values = cells((60, 70), seed=3).astype("u2")
    tifffile.imwrite(tmp_path / "a.tif", values)
    fits.PrimaryHDU(values.astype("f4")).writeto(tmp_path / "a.fits")
    write_stack(tmp_path / "a.zarr", np.stack([values + 1, values]))
    stack = open_image(tmp_path / "a.zarr")
    found = {digest(open_image(tmp_path / name)) for name in ("a.tif", "a.fits")}
    assert found == {digest(open_image(values)), probe(stack, (1,)).pixels}
    others = (values.T, values[:, ::-1], values[:-1], values + 1)
    assert len({*found, *(digest(open_image(np.ascontiguousarray(o))) for o in others)}) == 5


def test_a_trained_plane_is_told(tmp_path, caplog):
    model = write_toy_model(
        tmp_path / "toy", scale=2, domain="fluorescence", channels=4, head_channels=4
    )
    planes = np.stack([cells((40, 50), seed=s) for s in range(3)])
    write_lessons(model, [(digest(open_image(planes[1])), "mine/a b.tif")])
    write_stack(tmp_path / "in.zarr", planes)
    with caplog.at_level(logging.WARNING, logger="sciup"):
        result = sciup.upscale(tmp_path / "in.zarr", model=model, psf_fwhm=2.0, **FIXED)
    assert result.job.known == ("", "mine/a b.tif", "")
    assert "1 of 3 planes are in the training data of toy (mine/a b.tif)" in caplog.text
    out = result.save(tmp_path / "out.ome.zarr")
    assert read_provenance(out)["in_training"] == ["", "mine/a b.tif", ""]
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="sciup"):
        other = sciup.upscale(planes[:1], model=model, psf_fwhm=2.0, **FIXED)
    assert other.job.known == ("",)
    assert "training data" not in caplog.text
    assert "in_training" not in read_provenance(other.save(tmp_path / "other.ome.zarr"))


@pytest.mark.parametrize(("ra", "known"), [(150.0, True), (151.5, False)])
def test_a_part_of_the_sky_is_told(tmp_path, caplog, ra, known):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 20, "CRPIX2": 20})
    header["CRVAL1"], header["CRVAL2"], header["CDELT1"], header["CDELT2"] = ra, 2.0, -1e-4, 1e-4
    fits.PrimaryHDU(star_field((40, 40)), header).writeto(tmp_path / "in.fits")
    model = write_toy_model(tmp_path / "toy", channels=4, head_channels=4)
    (model / FILE).write_text("sky 150.12 2.21 1.0 COSMOS field\n")
    with caplog.at_level(logging.WARNING, logger="sciup"):
        result = sciup.upscale(tmp_path / "in.fits", model=model, psf_fwhm=2.0, **FIXED)
    assert ("training images of toy are from: COSMOS field" in caplog.text) == known
    assert result.job.known == ("",)  # a place is no image


@pytest.mark.parametrize("build", [lookup_tables, hst_acs])
def test_a_part_of_the_sky_is_told_of_a_camera_with_lookup_tables(build, tmp_path, caplog):
    """As raw frames of Hubble have them."""
    model = write_toy_model(tmp_path / "toy", channels=4, head_channels=4)
    (model / FILE).write_text("sky 150.1 2.2 0.1 COSMOS field\n")
    with caplog.at_level(logging.WARNING, logger="sciup"):
        sciup.upscale(build(tmp_path / "in.fits"), model=model, psf_fwhm=2.0, **FIXED)
    assert "training images of toy are from: COSMOS field" in caplog.text


def test_what_models_ship_can_be_read():
    for folder in model_folders():
        lessons = Lessons.read(folder)
        assert lessons.planes or lessons.skies, folder.name


@pytest.mark.parametrize("line", ["plane", "sky 1 2", "plain abc", "sky a b c"])
def test_a_broken_list_is_an_error(tmp_path, line):
    (tmp_path / FILE).write_text(f"plane 00ff a.tif\n\n# a comment\n{line}\n")
    with pytest.raises(ModelError, match=r"line 4 of .* cannot be understood"):
        Lessons.read(tmp_path)
