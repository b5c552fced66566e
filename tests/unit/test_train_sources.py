"""Own images as truths: every format, units held out, damaged files listed and skipped."""

import shutil

import numpy as np
import pytest
import tifffile
from astropy.io import fits

from sciup.errors import InputError
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_training import tiny_recipe, write_images
from sciup.train.listing import list_files
from sciup.train.recipe_file import check_recipe
from sciup.train.sources import held_out, load_truths, own_files
from sciup.train.truths import DEEP, QUANTUM


def recipe(**changes):
    return check_recipe(tiny_recipe(**changes), "made")


def source(path=".", **changes):
    return [{"path": path, "share": 1.0} | changes]


def loaded(folder, split="train", **changes):
    return load_truths(recipe(**changes), folder, folder, split)


def test_a_folder_a_glob_and_a_file(tmp_path):
    write_images(tmp_path / "a", 3)
    write_images(tmp_path / "b" / "deep", 2)
    counts = {".": 5, "a": 3, "b": 2, "a/*.tif": 3, "**/cells0.tif": 2, "a/cells1.tif": 1}
    for path, count in counts.items():
        assert len(own_files(tmp_path, path)) == count, path


def test_truths_are_scaled_and_know_their_noise(tmp_path):
    image = cells((120, 120), electrons=1e6, read_noise=0)
    noise = np.random.default_rng(0).normal(0, 0.05 * image.max(), image.shape)
    tifffile.imwrite(tmp_path / "a.tif", (image + noise).astype(np.float32))
    truths = loaded(tmp_path, held_out=0.0).truths
    values = truths.images[0] * truths.quantum
    assert truths.images[0].dtype == np.uint16
    assert truths.quantum == QUANTUM
    assert np.percentile(values, [1, 99.9]) == pytest.approx([0, 1], abs=1e-3)
    assert truths.noise[0] == pytest.approx(0.05, rel=0.2)


def test_bad_files_are_skipped_and_listed(tmp_path, caplog):
    folder = write_images(tmp_path / "data", 2)
    (folder / "notes.tif").write_text("no image")
    (folder / "torn.tif").write_bytes((folder / "cells0.tif").read_bytes()[:3000])
    tifffile.imwrite(folder / "small.tif", cells((20, 90)))
    tifffile.imwrite(folder / "flat.tif", np.ones((90, 90), np.uint8))
    tifffile.imwrite(folder / "bytes.tif", cells((90, 90)).clip(0, 255).astype(np.uint8))
    with caplog.at_level("INFO", "sciup"):
        result = loaded(folder, held_out=0.0)
    fates = {f.unit: f.fate for f in result.files}
    assert len(result.truths.images) == 3
    assert fates["bytes.tif"] == fates["cells0.tif"] == "train"
    assert "smaller than the 34 px" in fates["small.tif"]
    assert "no contrast" in fates["flat.tif"]
    assert "notes.tif" in fates["notes.tif"]
    assert "torn.tif" in fates["torn.tif"]
    assert "4 skipped" in caplog.text
    run = tmp_path / "run"
    assert list_files([{k: getattr(f, k) for k in f.__slots__} for f in result.files], run) == 4
    assert len((run / "files.tsv").read_text().splitlines()) == 8


def test_nothing_usable_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"names no train image.*check --data"):
        loaded(tmp_path)
    for i in range(3):
        tifffile.imwrite(tmp_path / f"{i}.tif", cells((20, 20)))
    with pytest.raises(InputError, match=r"3 x smaller than the 34 px"):
        loaded(tmp_path, held_out=0.0)


def test_units_are_held_out_by_name(tmp_path):
    folder = write_images(tmp_path / "data", 5)
    first = loaded(folder, held_out=0.4)
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    again = loaded(copy, held_out=0.4)
    fates = {f.unit: f.fate for f in first.files}
    assert fates == {f.unit: f.fate for f in again.files}
    assert sorted(fates.values()) == ["held out"] * 2 + ["train"] * 3
    rest = loaded(folder, "test", held_out=0.4)
    assert len(rest.truths.images) == 2
    run = tmp_path / "run"
    list_files([{k: getattr(f, k) for k in f.__slots__} for f in first.files], run)
    links = sorted((run / "held_out").iterdir())
    assert sorted(p.resolve().name for p in links) == sorted(
        unit for unit, fate in fates.items() if fate == "held out"
    )
    # a run inside the folder does not become a source
    shutil.copytree(run, folder / "run", symlinks=True)
    assert len(loaded(folder, held_out=0.4).files) == 5


def test_some_unit_is_always_left():
    assert held_out(["a"], 0.9) == set()
    assert len(held_out(["a", "b", "c"], 0.99)) == 2


def test_folders_as_units(tmp_path):
    for name in "abc":
        write_images(tmp_path / name, 2)
    files = loaded(tmp_path, sources=source(unit="folder"), held_out=0.3).files
    kept = {f.unit for f in files if f.fate == "held out"}
    assert len(kept) == 1
    assert sum(f.unit in kept for f in files) == 2


def test_all_planes_or_one_channel(tmp_path):
    stack = np.stack([cells((90, 90), seed=i) for i in range(3)]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "CYX"}, ome=True)
    assert len(loaded(tmp_path).truths.images) == 3
    assert len(loaded(tmp_path, sources=source(channel=1)).truths.images) == 1


def test_frames_of_the_sky(tmp_path):
    """Dimmed as a whole, so that their own noise is a small part of what is simulated."""
    sky = star_field((200, 200), fwhm=2.0, stars=60)
    fits.writeto(tmp_path / "sky.fits", sky)
    fits.writeto(tmp_path / "blank.fits", star_field((200, 200), stars=0))
    degradation = {"psf_fwhm": [1.3, 3], "shapes": {"moffat": 1.0}, "depth": [0.5, 2]}
    changes = {"domain": "night-sky", "degradation": degradation, "held_out": 0.0}
    result = loaded(tmp_path, **changes)
    fates = {f.unit: f.fate for f in result.files}
    assert fates == {
        "sky.fits": "train",
        "blank.fits": "its PSF is neither stated nor seen in stars",
    }
    (image,), (noise,) = result.truths.images, result.truths.noise
    assert image.dtype == np.float16
    assert noise * recipe().scale * 2 == pytest.approx(DEEP, rel=0.25)
    assert abs(np.median(image)) < 0.2 * noise
