"""From the command line to files: what is written is whole, or is not there."""

import json
import shutil

import numpy as np
import pytest
import tifffile
import zarr
from astropy.io import fits
from astropy.wcs import WCS

import sciup
from sciup import cli
from sciup.errors import OptionError, OutputError
from sciup.explorer import ask
from sciup.explorer.where import regions
from sciup.explorer.write import _written as written
from sciup.geometry import Box
from sciup.testing.toy_images import cells, star
from sciup.testing.toy_model import write_toy_model

FAST = ["--steps", 15, "--answers", 2, "--device", "cpu"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("m")
    small = {"channels": 4, "head_channels": 4}
    return {
        "sky": write_toy_model(folder / "sky", domain="night-sky", **small),
        "cells": write_toy_model(folder / "cells", domain="fluorescence", **small),
    }


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """A sky of 50 with noise 2 and one star; a masked corner."""
    rng = np.random.default_rng(0)
    data = (rng.normal(50, 2, (60, 70)) + 400 * star((60, 70), 30, 40, 2.2)).astype(np.float32)
    data[:20, :20] = np.nan
    header = fits.Header({"BUNIT": "electron", "CRPIX1": 10.0, "CRPIX2": 20.0, "CRVAL1": 150.0})
    header.update({"CDELT1": -1e-4, "CDELT2": 1e-4, "CRVAL2": 2.0})
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    path = tmp_path_factory.mktemp("in") / "field.fits"
    fits.PrimaryHDU(data, header).writeto(path)
    return path


@pytest.fixture(scope="module")
def micrograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("in") / "cells.ome.tif"
    tifffile.imwrite(
        path, cells((48, 52)), metadata={"axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
    )
    return path


def call(capfd, *arguments):
    """Exit code and both streams of `sciup explore ARGUMENTS`."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["explore", *(str(a) for a in arguments)])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return (stop.value.code or 0), out, " ".join(err.split())


def test_fits_in_gives_fits_out_with_wcs_unit_and_a_figure(capfd, field, models, tmp_path):
    out = tmp_path / "found"
    code, text, err = call(
        capfd, field, "--goal", "brightest", "--at", "30,40", "--radius", 4, "--roi", "22:40,30:50",
        "--model", models["sky"], "--psf-fwhm", 2.2, "--out", out, "--json", *FAST, "--steps", 60,
    )  # fmt: skip
    assert code == 0, err
    assert "flux of the aperture between" in err
    assert "possible, not probable" in err
    assert {p.name for p in tmp_path.iterdir()} == {
        "found.fits", "found_residual.fits", "found.png", "found.explore.json",
    }  # fmt: skip
    facts = json.loads(text)
    assert facts == json.loads((tmp_path / "found.explore.json").read_text())
    region = facts["regions"][0]
    assert region["roi"] == "22:40,30:50"
    assert region["flux_unit"] == "electron"
    assert region["flux_low"] < region["flux_high"]
    with fits.open(tmp_path / "found.fits") as hdus:
        hdus.verify("exception")
        answer, other = hdus["ANSWER_1"], hdus["ANSWER_2"]
        assert answer.header["BUNIT"] == "electron"
        assert answer.data.shape == (36, 40)
        sky = WCS(answer.header).pixel_to_world_values(2 * 10.5 - 0.5, 2 * 8.5 - 0.5)
        with fits.open(field) as before:
            true = WCS(before[0].header).pixel_to_world_values(40, 30)
            assert [float(v) for v in sky] == pytest.approx([float(v) for v in true])
        rows, cols = np.mgrid[:36, :40]
        disc = np.clip(8 - np.hypot(rows - 16.5, cols - 20.5) + 0.5, 0, 1)
        level = facts["instrument"][0]["background"]["value"] / 4
        for hdu, flux in ((answer, "flux_high"), (other, "flux_low")):
            assert (disc * (hdu.data - level)).sum() == pytest.approx(
                region[flux], abs=0.05 * abs(region["flux_high"]) + 20
            )
    with fits.open(tmp_path / "found_residual.fits") as hdus:
        chi2 = float(np.nansum(hdus["ANSWER_1"].data.astype(float) ** 2))
    assert chi2 == pytest.approx(region["answers"][0]["chi2"], rel=1e-4)
    from matplotlib.image import imread

    assert imread(tmp_path / "found.png").shape[1] > 400


def test_micrographs_give_ome_zarr_with_their_pixel_size(capfd, micrograph, models, tmp_path):
    out = tmp_path / "found.ome.zarr"
    options = [
        "--roi",
        "8:20,10:30",
        "--roi",
        "24:36,4:20",
        "--gain",
        1,
        "--steps",
        30,
        "--psf-fwhm",
        2,
    ]
    call_options = [micrograph, *options, "--model", models["cells"], "--out", out, *FAST]
    code, _, err = call(capfd, *call_options)
    assert code == 0, err
    assert (tmp_path / "found.explore.json").is_file()
    for part, shape in (("found_1", (24, 40)), ("found_2", (24, 32))):
        group = zarr.open_group(str(tmp_path / f"{part}.ome.zarr"), mode="r")
        assert group["answer_1/0"].shape[-2:] == shape
        scales = group["answer_1"].attrs["ome"]["multiscales"][0]["datasets"][0]
        assert scales["coordinateTransformations"][0]["scale"][-2:] == pytest.approx([0.1, 0.1])
        assert (tmp_path / f"{part}.png").is_file()
    code, _, err = call(capfd, *call_options)
    assert code == 2
    assert "exists already" in err
    assert "--overwrite" in err


def test_what_is_there_is_replaced_when_told(micrograph, models, tmp_path):
    options = {"roi": "8:20,10:30", "answers": 2, "steps": 1, "model": models["cells"]}
    found = sciup.explore(micrograph, gain=1.0, device="cpu", **options)
    for _ in range(2):
        path = found.save(tmp_path / "a.zarr", overwrite=True)
    assert path == tmp_path / "a.explore.json"
    with pytest.raises(OutputError, match="exists already"):
        found.save(tmp_path / "a.zarr")
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("kind", ["fits", "ome-zarr"])
def test_the_input_is_never_replaced(field, models, tmp_path, kind):
    path = tmp_path / {"fits": "in.fits", "ome-zarr": "in.ome.zarr"}[kind]
    if kind == "fits":
        shutil.copy(field, path)
    else:
        sciup.upscale(cells((48, 52)), model=models["cells"], samples=1, device="cpu").save(path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    image = path if kind == "fits" else sciup.open_image(path, channel=0)
    more = {"model": models["sky" if kind == "fits" else "cells"], "device": "cpu"}
    found = sciup.explore(image, roi="30:40,30:40", answers=2, steps=1, psf_fwhm=2.2, **more)
    with pytest.raises(OutputError, match="is the input"):
        found.save(tmp_path / "in", overwrite=True)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_images_of_an_older_question_do_not_stay(field, models, tmp_path):
    image = tmp_path / "a_1.fits"
    shutil.copy(field, image)
    options = {"answers": 2, "steps": 1, "psf_fwhm": 2.2, "model": models["sky"], "device": "cpu"}
    rois = ["30:40,30:40", "40:50,30:40"]
    sciup.explore(field, roi=rois, **options).save(tmp_path / "b.fits")
    sciup.explore(image, roi=rois, **options).save(tmp_path / "a.zarr")
    other = tmp_path / "other.txt"
    other.write_text("kept")
    facts = json.loads((tmp_path / "a.explore.json").read_text())
    facts["regions"][0]["files"] |= {"x": "a_1.fits", "y": "other.txt", "z": "../a"}
    (tmp_path / "a.explore.json").write_text(json.dumps(facts))
    for name in ("a", "b"):
        found = sciup.explore(image, roi=rois[0], **options)
        found.save(tmp_path / name, overwrite=True)
    one = [".fits", "_residual.fits", ".png", ".explore.json"]
    expected = {name + end for name in "ab" for end in one} | {"a_1.fits", "other.txt"}
    assert {p.name for p in tmp_path.iterdir()} == expected


@pytest.mark.parametrize("text", ["", "[]", '{"regions": [1]}', '{"regions": [{"files": 3}]}'])
def test_a_json_file_of_others_names_nothing(tmp_path, text):
    (tmp_path / "a.explore.json").write_text(text)
    assert written(tmp_path / "a.explore.json") == []


def test_the_same_seed_gives_the_same_answers(micrograph, models):
    options = {"roi": "8:20,10:30", "answers": 2, "steps": 6, "model": models["cells"]}
    options |= {"psf_fwhm": 2.0, "gain": 1.0, "device": "cpu"}
    images = [
        sciup.explore(micrograph, seed=seed, **options).regions[0].answers[0].image
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


def test_nothing_found_is_told_with_the_reason_and_code_3(capfd, micrograph, models, tmp_path):
    out = tmp_path / "none"
    options = ["--roi", "8:24,10:26", "--gain", 1000, "--psf-fwhm", 4, "--model", models["cells"]]
    code, _, err = call(capfd, micrograph, *options, "--out", out, *FAST)
    assert code == 3
    assert "no image found that agrees with the data: chi^2 is" in err
    region = json.loads((tmp_path / "none.explore.json").read_text())["regions"][0]
    assert region["found"] is False
    assert "sciup inspect" in region["failure"]
    assert region["answers"][0]["map"] == "rejected_1"
    assert region["answers"][0]["chi2"] > region["answers"][0]["pixels"]
    assert (tmp_path / "none.png").is_file()


def test_a_masked_region_is_told(capfd, field, models, tmp_path):
    options = ["--roi", "0:18,0:18", "--roi", "22:40,30:50", "--psf-fwhm", 2.2]
    code, _, err = call(
        capfd, field, *options, "--model", models["sky"], "--out", tmp_path / "m", *FAST
    )
    assert code == 3
    assert "no pixel of the region has data" in err
    found = json.loads((tmp_path / "m.explore.json").read_text())["regions"]
    assert [r["found"] for r in found] == [False, True]
    assert not (tmp_path / "m_1.fits").exists()
    assert (tmp_path / "m_2.fits").exists()


@pytest.mark.parametrize(("roi", "masked"), [("14:26,14:26", 36), ("30:40,30:40", 0)])
def test_masked_pixels_of_a_flux_are_told(field, models, roi, masked):
    options = {"psf_fwhm": 2.2, "model": models["sky"], "device": "cpu", "steps": 60}
    region = sciup.explore(field, goal="brightest", roi=roi, **options).regions[0]
    assert region.as_json()["masked_pixels"] == masked
    told = "36 of 144 px are masked and not counted" in region.words
    assert told == bool(masked)


@pytest.mark.parametrize(("stated", "told"), [
    ({"background": -3}, "the pedestal of -3 (given)"), ({}, " (estimated)"),
])  # fmt: skip
def test_the_level_above_which_flux_counts_is_told(micrograph, models, stated, told):
    """One that is too low by 13 adds 13 in every pixel, and the range does not know."""
    options = {"psf_fwhm": 2.2, "model": models["cells"], "device": "cpu", "steps": 1} | stated
    region = sciup.explore(micrograph, goal="faintest", roi="8:20,10:22", **options).regions[0]
    assert told in region.as_json()["flux_above"]


def test_a_sketch_may_be_a_png(capfd, micrograph, models, tmp_path):
    from matplotlib.image import imsave

    drawing = np.zeros((24, 32), np.float32)
    drawing[8:16, 8:20] = 1
    imsave(tmp_path / "sketch.png", drawing, cmap="gray")
    options = ["--roi", "8:20,10:26", "--gain", 1, "--psf-fwhm", 2, "--model", models["cells"]]
    sketch = ["--goal", "sketch", "--sketch", tmp_path / "sketch.png"]
    code, _, err = call(capfd, micrograph, *options, *sketch, "--out", tmp_path / "s", *FAST)
    assert code == 0, err
    assert "the sketch itself is not permitted" in err
    region = json.loads((tmp_path / "s.explore.json").read_text())["regions"][0]
    assert region["sketch"]["accepted"] is False
    assert region["nearest_sigma"] > 0
    code, _, err = call(
        capfd, micrograph, "--roi", "8:20,10:30", *options[2:], *sketch, "--out", tmp_path / "t"
    )
    assert code == 2
    assert "24 x 40 px, the region at 2x" in err
    assert not list(tmp_path.glob("t*"))


def test_ctrl_c_leaves_nothing(capfd, micrograph, models, tmp_path, monkeypatch):
    from sciup.explorer import figure

    def stop(*_):
        raise KeyboardInterrupt

    options = ["--roi", "8:20,10:30", "--gain", 1, "--model", models["cells"], *FAST]
    for module, name in ((ask, "judge"), (figure, "shown_of")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, stop)
            code, _, err = call(capfd, micrograph, *options, "--out", tmp_path / "gone")
        assert code == 130
        assert err.endswith(f"stopped: no result was written to {tmp_path / 'gone'}")
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(micrograph, models, tmp_path, monkeypatch):
    from sciup.explorer import write

    options = {"roi": "8:20,10:30", "answers": 2, "steps": 1, "model": models["cells"]}
    found = sciup.explore(micrograph, gain=1.0, device="cpu", **options)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "gaussian", full)
    with pytest.raises(OutputError, match="No space left"):
        found.save(tmp_path / "full")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--roi", "0:9,0:9", "--goal", "prettiest"], "--goal 'prettiest'"),
        (["--roi", "0:0,0:4"], "empty"),
        (["--roi", "0:40,0:300"], "not inside"),
        (["--roi", "hello"], "cannot be read"),
        ([], "neither --roi nor --at"),
        (["--at", "3"], "Y,X in input px"),
        (["--at", "3,4,5"], "Y,X in input px"),
        (["--at", "nan,4"], "cannot be read"),
        (["--at", "500,4"], "empty or sticks out"),
        (["--roi", "0:9,0:9", "--at", "20,20", "--goal", "one-or-two"], "not in the region"),
        (["--roi", "0:9,0:9", "--at", "2,2", "--at", "3,3"], "2 places were given for 1"),
        (["--roi", "0:9,0:9", "--goal", "one-or-two"], "needs a place"),
        (["--goal", "faintest", "--at", "20,20"], "of --at and --radius only one"),
        (["--goal", "faintest", "--at", "20,20", "--radius", "-1"], "above 0"),
        (["--goal", "faintest", "--at", "20,20", "--radius", "30"], "sticks out"),
        (["--roi", "0:9,0:9", "--answers", "1"], "--answers 1"),
        (["--roi", "0:9,0:9", "--steps", "0"], "--steps 0"),
        (["--roi", "0:9,0:9", "--reach", "0"], "--reach 0"),
        (["--roi", "0:9,0:9", "--goal", "sketch"], "belong together"),
        (["--roi", "0:9,0:9", "--sketch", "nowhere.png"], "there is no file"),
        (["--roi", "0:9,0:9", "--scale", "7"], "--scale 7"),
        (["--roi", "0:9,0:9", "--scale", "128"], "1, 2, 4, 8, 16, 32, 64"),
        (["--roi", "0:9,0:9", "--psf-fwhm", "-2"], "--psf-fwhm -2"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_bad_options_are_refused_in_words(capfd, micrograph, models, tmp_path, options, words):
    more = [] if "--scale" in options else ["--model", models["cells"]]
    code, _, err = call(capfd, micrograph, *more, *options, "--out", tmp_path / "x")
    assert code == 2
    assert words in err
    assert list(tmp_path.iterdir()) == []


def test_bad_places_for_files_are_refused_before_the_work(capfd, micrograph, models, tmp_path):
    base = [micrograph, "--model", models["cells"], "--roi", "0:9,0:9"]
    code, _, err = call(capfd, *base, "--out", tmp_path / "no" / "x")
    assert code == 2
    assert "mkdir -p" in err


def test_stacks_are_refused_with_the_options_to_choose_a_plane():
    with pytest.raises(OptionError, match="--channel"):
        sciup.explore(np.zeros((3, 32, 32), np.float32), roi="0:9,0:9")


def test_a_region_is_limited():
    with pytest.raises(OptionError, match="up to 128 x 128"):
        regions([Box((0, 0), (129, 10))], [], (300, 300))
    assert regions([Box((0, 10), (128, 20))], [], (300, 300))[0].shape == (128, 10)


@pytest.mark.parametrize(("roi", "says"), [("", "'' cannot be read"), (None, "neither --roi")])
def test_a_region_without_a_word_is_refused(field, models, tmp_path, roi, says, capsys):
    given = [] if roi is None else ["--roi", roi]
    with pytest.raises(SystemExit) as stop:
        cli.main(["explore", str(field), *given, "--model", str(models["sky"]), "--out",
                  str(tmp_path / "out"), *map(str, FAST)])  # fmt: skip
    assert stop.value.code == 2
    assert says in " ".join(capsys.readouterr().err.split())
    with pytest.raises(OptionError, match="neither --roi"):
        sciup.explore(cells((40, 40)), roi=[], model=models["cells"])
