"""`sciup compare`: the same pixels for all methods, scores that know good from bad."""

import csv

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from astropy.wcs import WCS

from sciup.cli import main
from sciup.compare.choice import choose
from sciup.compare.methods import METHODS, Entry
from sciup.compare.run import compare
from sciup.compare.scores import against, score
from sciup.compare.seen import Seen
from sciup.errors import InputError, OptionError, OutputError
from sciup.evaluate.metrics import block_mean
from sciup.generators.facts import ModelFacts
from sciup.io import open_image
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (48, 40)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        domain: write_toy_model(folder / domain, scale=2, domain=domain, channels=4)
        for domain in ("fluorescence", "night-sky")
    }


@pytest.fixture
def cell(tmp_path):
    fine = cells((96, 80)).astype(np.float32)
    tifffile.imwrite(tmp_path / "truth.tif", fine)
    about = {"axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
    about |= {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    path = tmp_path / "cell.ome.tif"
    tifffile.imwrite(path, block_mean(fine, 2).astype(np.float32), metadata=about)
    return path


@pytest.fixture
def sky(tmp_path):
    values = star_field(SHAPE).astype(np.float32)
    values[10, 12] = np.nan
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
    wcs.wcs.crpix, wcs.wcs.cdelt = [20.5, 24.5], [-1e-4, 1e-4]
    header = wcs.to_header()
    header["BUNIT"] = "adu"
    path = tmp_path / "sky.fits"
    fits.PrimaryHDU(values, header).writeto(path)
    return path


def run(path, out, model, **more):
    options = {"samples": 2, "psf_fwhm": 2.3, "device": "cpu", "precision": "fp32"} | more
    return compare([("one", open_image(path))], out, model=model, **options)


def test_all_methods_get_the_same_pixels_and_keep_the_light(cell, tmp_path, models):
    table = run(cell, tmp_path / "out", models["fluorescence"], truths=[tmp_path / "truth.tif"])
    assert [row["method"] for row in table.rows] == list(METHODS)
    for row in table.rows:
        assert row["flux"] == pytest.approx(1, abs=0.05), row["method"]
        assert np.isfinite([row[k] for k in ("chi2", "psnr", "ssim", "nrmse", "frc")]).all()
    shapes = {p.parent.name: tifffile.imread(p).shape for p in (tmp_path / "out").glob("*/*.tif")}
    assert shapes == dict.fromkeys([*METHODS, "truth"], (96, 80))
    with tifffile.TiffFile(tmp_path / "out" / "mean" / "one.ome.tif") as file:
        assert 'PhysicalSizeX="0.1"' in file.ome_metadata
    with (tmp_path / "out" / "comparison.csv").open() as file:
        assert [row["method"] for row in csv.DictReader(file)] == list(METHODS)
    assert (tmp_path / "out" / "one.png").stat().st_size > 20_000


def test_the_sky_keeps_its_wcs_unit_and_mask(sky, tmp_path, models):
    out = tmp_path / "out"
    table = run(sky, out, models["night-sky"], methods=["bicubic", "Richardson-Lucy", "mean"])
    assert "psnr" not in table.keys
    fluxes = {row["method"]: row["flux"] for row in table.rows}
    assert fluxes["Richardson-Lucy"] == pytest.approx(1, abs=0.05)
    with fits.open(sky) as before, fits.open(out / "Richardson-Lucy" / "one.fits") as after:
        assert after[0].header["BUNIT"] == "adu"
        there = WCS(before[0].header).pixel_to_world_values(7.0, 9.0)
        here = WCS(after[0].header).pixel_to_world_values(14.5, 18.5)
        np.testing.assert_allclose(here, there, rtol=1e-9)
        assert np.isnan(after[0].data[20:22, 24:26]).all()
        assert np.isfinite(after[0].data[30:, :]).all()


def test_a_region_of_the_truth_or_all_of_it(cell, tmp_path, models):
    fine = tifffile.imread(tmp_path / "truth.tif")
    tifffile.imwrite(tmp_path / "part.tif", fine[16:80, 8:72])
    rows = [
        run(
            cell, tmp_path / name, models["fluorescence"], methods=["bicubic"], roi="8:40,4:36",
            truths=[tmp_path / f"{name}.tif"],
        ).rows
        for name in ("truth", "part")
    ]  # fmt: skip
    assert rows[0][0]["psnr"] == rows[1][0]["psnr"]


def test_scores_know_the_truth_from_something_else(cell, tmp_path, models):
    from sciup.api import upscale

    result = upscale(open_image(cell), model=models["fluorescence"], samples=1, psf_fwhm=1.2)
    seen, truth = Seen.of(result), tifffile.imread(tmp_path / "truth.tif").astype(float)
    near = truth + 1e-3 * np.random.default_rng(1).normal(size=truth.shape)
    right, wrong = (
        score(Entry("x", values, 0.0), seen, truth) for values in (near, np.roll(truth, 9, 1))
    )
    assert right["psnr"] > wrong["psnr"] + 20
    assert right["chi2"] < 0.1 * wrong["chi2"]
    assert right["ssim"] == pytest.approx(1, abs=1e-3)


def test_masked_pixels_of_the_truth_do_not_count():
    truth = np.random.default_rng(0).normal(size=(64, 64))
    holed = truth.copy()
    holed[30:34, 30:34] = np.nan
    assert np.isfinite(against(truth + 0.1, holed, 2)["psnr"])


@pytest.mark.parametrize(("more", "error", "words"), [
    ({"methods": ["bicubic", "magic"]}, OptionError, "magic"),
    ({"methods": []}, OptionError, "none"),
    ({"truths": ["a.tif", "b.tif"]}, OptionError, "2 truths for 1 images"),
    ({"roi": [None, None]}, OptionError, "2 regions for 1 images"),
    ({"roi": "0:8,0:8"}, OptionError, "16 to 1024"),
])  # fmt: skip
def test_what_cannot_be_compared_is_refused(cell, tmp_path, models, more, error, words):
    with pytest.raises(error, match=words):
        run(cell, tmp_path / "out", models["fluorescence"], **more)
    assert not (tmp_path / "out").exists()


def test_a_truth_of_another_size_is_refused(cell, tmp_path, models):
    tifffile.imwrite(tmp_path / "small.tif", np.ones((50, 50), np.float32))
    with pytest.raises(InputError, match=r"\(96, 80\) for the image"):
        run(cell, tmp_path / "out", models["fluorescence"], truths=[tmp_path / "small.tif"])


def test_several_planes_are_refused(tmp_path, models):
    tifffile.imwrite(tmp_path / "z.ome.tif", np.ones((3, 40, 40), "f4"), metadata={"axes": "ZYX"})
    with pytest.raises(InputError, match="one plane"):
        run(tmp_path / "z.ome.tif", tmp_path / "out", models["fluorescence"])


def test_an_existing_folder_is_not_written_into(cell, tmp_path, models):
    with pytest.raises(OutputError, match="exists already"):
        run(cell, tmp_path, models["fluorescence"])


def test_masked_pixels_spoil_no_score(tmp_path, models):
    from sciup.api import upscale
    from sciup.io._array import open_array

    fine = star_field((192, 160), stars=4, fwhm=4.0).astype(float)
    values = block_mean(fine, 2).astype(np.float32) * 4
    rows = []
    for holes in (0, 12):
        observed = values.copy()
        observed.ravel()[np.argsort(values.ravel())[len(values.ravel()) - holes :]] = np.nan
        image = open_array(observed, domain="night-sky", flux_per_pixel=True)
        result = upscale(
            image, model=models["night-sky"], samples=1, psf_fwhm=1.2, background=float(
                np.median(values)), noise_sigma=5.0, gain=1.0,
        )  # fmt: skip
        rows.append(score(Entry("x", fine, 0.0), Seen.of(result), None))
    assert rows[1]["chi2"] == pytest.approx(rows[0]["chi2"], rel=0.5)
    assert rows[1]["flux"] == pytest.approx(1, abs=0.3)


def test_a_second_run_leaves_no_pictures_of_the_first(cell, tmp_path, models):
    model, out = models["fluorescence"], tmp_path / "out"
    run(cell, out, model, methods=["bicubic", "mean"])
    run(cell, out, model, methods=["mean"], overwrite=True)
    assert not (out / "bicubic").exists()
    assert (out / "mean" / "one.ome.tif").is_file()


def test_names_have_no_case(models):
    facts = ModelFacts.read(models["fluorescence"])
    assert choose(["tv", "MEAN", "Bicubic"], facts, (40, 40)).usual == ("bicubic", "TV", "mean")


def test_the_command_prints_the_table_and_refuses_with_2(cell, tmp_path, models, capsys):
    command = ["compare", str(cell), "--out", str(tmp_path / "out"), "--model"]
    command += [str(models["fluorescence"]), "--samples", "1", "--methods"]
    with pytest.raises(SystemExit) as caught:
        main([*command, "bicubic,mean"])
    assert caught.value.code == 0
    said = capsys.readouterr()
    assert "bicubic" in said.out + said.err
    assert (tmp_path / "out" / "cell.png").is_file()
    with pytest.raises(SystemExit) as caught:
        main([*command, "bicubic", "--truth", str(tmp_path / "none.tif"), "--overwrite"])
    assert caught.value.code == 2
