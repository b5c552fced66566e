"""Simulated pairs are files that sciup reads, and follow from the seed."""

import json

import numpy as np
import pytest
import tifffile

from sciup.errors import OptionError
from sciup.geometry import Box
from sciup.io import open_image
from sciup.physics.psf import image_fwhm
from sciup.testing.toy_images import star_field
from sciup.testing.toy_training import tiny_recipe, write_images
from sciup.train import kernels
from sciup.train.recipe_file import check_recipe
from sciup.train.simulate import simulate


@pytest.fixture(autouse=True)
def _few_kernels(monkeypatch):
    monkeypatch.setattr(kernels, "BANK", 4)


def read(path):
    image = open_image(path)
    return image, image.read(next(image.planes), Box.of_shape(image.plane_shape))[0]


def test_pairs_of_micrographs(tmp_path):
    folder = write_images(tmp_path / "data", 1, (120, 120))
    degradation = tiny_recipe()["degradation"] | {"correlated_share": 0.0, "masked_share": 0.0}
    recipe = check_recipe(tiny_recipe(degradation=degradation, held_out=0), "made")
    for name in ("a", "b"):
        simulate(recipe, folder, tmp_path / name, 2, 32)
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == [
        f"{i:04d}{end}" for i in (0, 1) for end in (".json", "_input.tif", "_psf.tif", "_truth.tif")
    ]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    _, measured = read(tmp_path / "a" / "0001_input.tif")
    _, truth = read(tmp_path / "a" / "0001_truth.tif")
    _, psf = read(tmp_path / "a" / "0001_psf.tif")
    assert measured.shape == (32, 32)
    assert truth.shape == (64, 64)
    assert measured.mean() == pytest.approx(truth.mean(), rel=0.1)
    assert psf.sum() == pytest.approx(1, abs=1e-5)
    drawn = json.loads((tmp_path / "a" / "0001.json").read_text())
    # target, relative kernel and pixel add up in quadrature, more or less
    parts = (drawn["relative_psf_fwhm_input_px"], recipe.target_fwhm / 2, 2.355 / 12**0.5)
    assert image_fwhm(psf.astype(float)) == pytest.approx(np.hypot.reduce(parts), rel=0.2)


def test_pairs_of_the_sky(tmp_path):
    from astropy.io import fits

    fits.writeto(tmp_path / "sky.fits", star_field((200, 200), fwhm=2.0, stars=60))
    degradation = {"psf_fwhm": [1.5, 3], "shapes": {"moffat": 1.0}, "masked_share": 1.0}
    changes = {"domain": "night-sky", "degradation": degradation, "held_out": 0}
    recipe = check_recipe(tiny_recipe(**changes), "made")
    simulate(recipe, tmp_path, tmp_path / "out", 1, 40)
    image, measured = read(tmp_path / "out" / "0000_input.fits")
    drawn = json.loads((tmp_path / "out" / "0000.json").read_text())
    assert image.domain == "night-sky"
    assert image.unit == "electron"
    assert image.facts["psf"].value.ndim == 2
    assert np.isnan(measured).sum() == drawn["masked_pixels"]
    sigma = image.load_sigma((), Box((0, 0), (40, 40)))
    assert np.nanmedian(sigma) == pytest.approx(drawn["dark_noise_electrons"], rel=0.3)
    _, truth = read(tmp_path / "out" / "0000_truth.fits")
    assert truth.shape == (80, 80)
    masked = np.isnan(measured)
    blocks = truth.reshape(40, 2, 40, 2).sum((1, 3))
    residual = ((measured - blocks) / sigma)[~masked]
    assert abs(np.median(residual)) < 1


@pytest.mark.parametrize("wrong", [{"count": 0, "side": 32}, {"count": 1, "side": 8}])
def test_impossible_numbers(tmp_path, wrong):
    with pytest.raises(OptionError, match="Allowed"):
        simulate(check_recipe(tiny_recipe(), "made"), tmp_path, tmp_path / "out", **wrong)


def test_images_are_written_as_floats(tmp_path):
    folder = write_images(tmp_path / "data", 1)
    recipe = check_recipe(tiny_recipe(held_out=0), "made")
    paths = simulate(recipe, folder, tmp_path / "out", 1, 20)
    assert all(tifffile.imread(p).dtype == np.float32 for p in paths)
