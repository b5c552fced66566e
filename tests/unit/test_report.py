"""`sciup report`: what the page says, that it needs nothing else, and where it cannot."""

import csv
import re
from html import unescape

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import sciup
from sciup import cli
from sciup.io import open_image
from sciup.report import plots
from sciup.report import survey as surveying
from sciup.report.survey import survey
from sciup.report.write import write_report
from sciup.results.finished import Finished
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (70, 90)
K = 4
STATED = {"psf_fwhm": 2.3, "background": 100.0, "noise_sigma": 5.0, "gain": 10.0}
FIXED = {"samples": K, "device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(
        tmp_path_factory.mktemp("models") / "toy", scale=2, channels=4, head_channels=4
    )


def write_field(path):
    header = fits.Header({"BUNIT": "electron", "CRPIX1": 1, "CRPIX2": 1, "CDELT1": -1e-4})
    header["CDELT2"], header["CTYPE1"], header["CTYPE2"] = 1e-4, "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = 150.0, 2.0
    fits.PrimaryHDU(star_field(SHAPE), header).writeto(path)
    return path


@pytest.fixture
def field(tmp_path):
    return write_field(tmp_path / "field.fits")


def make(model, field, out, **more):
    return sciup.upscale(field, model=model, **STATED | FIXED | more).save(out)


@pytest.fixture
def result(model, field, tmp_path):
    return make(model, field, tmp_path / "out.fits")


def page_of(path, **options):
    """The page as it stands in the file."""
    return write_report(path, **options)[0].read_text()


def words(page):
    """What a person reads."""
    return unescape(
        re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))
    )


def alone(page):
    """Nothing is fetched from anywhere."""
    assert not re.search(r"https?:|href=|url\(|<script|<link|@import", page)
    sources = re.findall(r'src="([^"]*)"', page)
    assert sources
    assert all(s.startswith("data:image/png;base64,") for s in sources)


def test_page_of_a_raw_fits_result(model, field, result):
    page = page_of(result, model=str(model))
    text = words(page)
    alone(page)
    assert page.count("<img") == 5  # samples, two of the risk, residual, PSF: no calibration
    for fact in (str(field), "70 x 90", "0.36 arcsec", "electron", "4 voting", "3sigma", "--gain"):
        assert fact in text, fact
    weights = Finished.open(result).facts["weights"]
    assert text.count(weights) == 2  # facts and methods
    assert "is not calibrated, because toy has no calibration" in text
    assert "Drawn again from input, seed and model: sample 1, 2" in text
    assert "at most 0 sigma" in text
    assert "The risk map is the share of voting samples" in text
    for name in ("out_report.png", "out_report_regions.csv", "out_report_regions.reg"):
        assert (result.parent / name).stat().st_size


def test_page_of_an_ome_zarr_result_of_several_planes(tmp_path):
    import zarr

    folder = write_toy_model(
        tmp_path / "toy", scale=2, domain="fluorescence", channels=4, head_channels=4
    )
    source = tmp_path / "in.zarr"
    array = zarr.create_array(
        source, shape=(2, 40, 50), dtype="f4", chunks=(1, 40, 50), dimension_names=["z", "y", "x"]
    )
    array[...] = np.stack([cells((40, 50), seed=s) for s in (1, 2)])
    out = tmp_path / "out.ome.zarr"
    sciup.upscale(source, model=folder, psf_fwhm=2.0, keep_samples=3, **FIXED).save(out)
    page = page_of(out, model=str(folder), roi="0:32,4:36")
    text = words(page)
    alone(page)
    assert "of the first of 2 planes" in text
    assert "2 x 40 x 50 (zyx)" in text
    assert "0:32,4:36" in text
    assert "pixel size not known" in " ".join(text.split())
    assert "Drawn again" not in text  # all three are stored
    known = Finished.open(out)
    assert survey(known).pixels == 2 * 80 * 100


def test_a_hostile_name_stays_text(model, tmp_path):
    field = write_field(tmp_path / "<b onclick=alert(1)>&\"'$x$.fits")
    page = page_of(make(model, field, tmp_path / "<i>.fits"), model=str(model))
    assert "<b onclick" not in page
    assert "<i>" not in page
    assert field.name in words(page)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f, m: f.unlink(), "is no longer there"),
        (lambda f, m: f.write_bytes(b"nothing"), "the input cannot be read"),
        (lambda f, m: fits.writeto(f, np.ones((5, 6)), overwrite=True), "opens with shape 5 x 6"),
        (lambda f, m: fits.writeto(f, star_field(SHAPE, seed=1), overwrite=True), "are not those"),
        (lambda f, m: write_toy_model(m, scale=2, channels=4, seed=1), "the weights of toy"),
        (lambda f, m: (m / "recipe.yaml").unlink(), "the model cannot be read"),
    ],
)
def test_what_cannot_be_repeated_is_said(field, tmp_path, harm, said):
    model = write_toy_model(tmp_path / "toy", scale=2, channels=4, head_channels=4)
    result = make(model, field, tmp_path / "out.fits")
    harm(field, model)
    page = page_of(result, model=str(model))
    assert said in words(page)
    assert "Only what is stored is shown" in page
    assert page.count("<img") == 4  # all but the residual; samples 1 and 2 are missing in theirs


def test_an_input_that_moved(model, field, result, tmp_path):
    (tmp_path / "there").mkdir()
    field.rename(tmp_path / "there" / "field.fits")
    assert "is no longer there" in page_of(result, model=str(model))
    page = page_of(result, model=str(model), source=str(tmp_path / "there" / "field.fits"))
    assert "Drawn again" in page


def test_the_risk_of_the_mean_has_its_own_picture(field, tmp_path, monkeypatch):
    model = write_toy_model(tmp_path / "toy", scale=2, channels=4, head_channels=4)
    write_toy_calibration(model, samples=K)
    titles = []
    draw = plots.risk_image
    monkeypatch.setattr(plots, "risk_image", lambda *a: (titles.append(a[-1]), draw(*a))[1])
    maps = ("sample", "mean", "risk", "risk_mean")
    page_of(make(model, field, tmp_path / "out.fits", maps=maps), model=str(model))
    for where in ("", ", whole"):
        assert {f"risk of sample 0{where}", f"risk of the mean{where}"} <= set(titles)


@pytest.mark.parametrize("strange", [False, True])
def test_page_of_a_calibrated_result(field, tmp_path, strange):
    model = write_toy_model(tmp_path / "toy", scale=2, channels=4, head_channels=4)
    made = write_toy_calibration(model, samples=K, strange=strange)
    result = make(model, field, tmp_path / "out.fits")
    page = page_of(result, model=str(model))
    text = words(page)
    alone(page)
    assert "calibrated on 148 independent fields" in text
    assert page.count("<img") == 6
    assert "Left: what a score of the draws means" in text
    assert "certified: wrong at most" in text
    assert "In fields like the calibration fields" in text or "too few" in text
    assert f"risk of {made.promise('sample', '3sigma').alarm.threshold:.3g} or more" in text
    if strange:
        assert "Out of domain" in text
        assert "Reason: " in text
        assert 'class="verdict bad"' in page
        assert "1 of 1 planes were out of domain" in text
    else:
        assert "Out of domain:" not in text
    (model / "calibration.json").unlink()
    assert "Not shown" in page_of(result, model=str(model))


def plant(result, box):
    """Signal everywhere, and risk in one box of output pixels only."""
    with fits.open(result, mode="update") as hdus:
        hdus["MEAN"].data[:] = 1000.0
        hdus["RISK_RAW"].data[:] = 0.1
        hdus["RISK_RAW"].data[box] = 0.9


def test_a_planted_region_is_found_on_the_sky(model, field, result):
    plant(result, np.s_[40:56, 100:124])
    paths = write_report(result, model=str(model))
    (row,) = csv.DictReader(paths[2].read_text().splitlines())
    got = [float(row[k]) for k in ("y", "x", "y0", "y1", "x0", "x1", "area", "mean_risk")]
    assert got == [23.5, 55.5, 20, 28, 50, 62, 96, 0.9]
    assert float(row["summed_risk"]) == pytest.approx(0.9 * 16 * 24, abs=0.1)
    sky = WCS(fits.getheader(field)).pixel_to_world(55.5, 23.5).icrs
    assert float(row["ra"]) == pytest.approx(sky.ra.deg, abs=1e-6)
    assert float(row["dec"]) == pytest.approx(sky.dec.deg, abs=1e-6)
    lines = paths[3].read_text().splitlines()
    assert lines[1] == "icrs"
    corners = [float(v) for v in re.findall(r"[\d.]+", lines[2])[:8]]
    edges = WCS(fits.getheader(field)).wcs_pix2world([(49.5, 19.5), (61.5, 27.5)], 0)
    np.testing.assert_allclose(corners[:2], edges[0], atol=1e-7)
    np.testing.assert_allclose(corners[4:6], edges[1], atol=1e-7)


def test_a_planted_region_without_a_sky_is_in_input_pixels(model, tmp_path):
    bare = tmp_path / "bare.fits"
    fits.writeto(bare, star_field(SHAPE))
    result = make(model, bare, tmp_path / "out.fits", roi="10:60,20:80")
    plant(result, np.s_[8:16, 0:16])
    paths = write_report(result, model=str(model))
    (row,) = csv.DictReader(paths[2].read_text().splitlines())
    assert [int(row[k]) for k in ("y0", "y1", "x0", "x1")] == [14, 18, 20, 28]
    assert row["ra"] == ""
    # DS9 counts from 1: input pixels 20 to 27 have their centre at 24.5
    lines = paths[3].read_text().splitlines()
    assert lines[1:] == ["image", "box(24.5,16.5,8,4,0) # text={1: risk 0.90}"]


def test_blocks_do_not_change_shares_and_pictures(monkeypatch, result):
    plant(result, np.s_[40:56, 100:124])
    monkeypatch.setattr(surveying, "LONGEST", 50)
    done = Finished.open(result)
    whole = survey(done)
    monkeypatch.setattr(surveying, "SIDE", 64)
    parts = survey(done)
    assert whole.factor == 4
    for name, picture in whole.pictures.items():
        np.testing.assert_allclose(parts.pictures[name], picture)
    assert parts.flagged == whole.flagged == 16 * 24
    np.testing.assert_array_equal(parts.binned, whole.binned)
    assert sum(p.total for p in parts.places) == pytest.approx(whole.places[0].total)


def test_dark_places_are_not_listed(result):
    plant(result, np.s_[40:56, 100:124])
    with fits.open(result, mode="update") as hdus:
        hdus["MEAN"].data[:] = 25.0  # a background of 100 per input pixel
    assert survey(Finished.open(result)).places == []


def test_a_result_of_few_maps(model, field, tmp_path):
    result = make(model, field, tmp_path / "out.fits", maps=("std",))
    text = words(page_of(result, model=str(model)))
    assert "No risk map is stored" in text
    assert "Drawn again from input, seed and model: sample 0, 1, 2" in text


def test_masked_pixels(model, tmp_path):
    data = star_field(SHAPE)
    data[:, :45] = np.nan
    fits.writeto(tmp_path / "half.fits", data)
    result = make(model, tmp_path / "half.fits", tmp_path / "out.fits")
    known = survey(Finished.open(result))
    assert known.pixels == 140 * 90
    alone(page_of(result, model=str(model)))
    text = words(page_of(result, model=str(model), roi="0:40,0:40"))
    assert "has no data in this region" in text


def call(capfd, *arguments):
    """Exit code and what a person reads."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(a) for a in arguments])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return (stop.value.code or 0), " ".join(err.split())


def test_the_command(capfd, model, result, tmp_path):
    page = tmp_path / "page.html"
    code, err = call(capfd, "report", result, "--out", page, "--model", model)
    assert code == 0, err
    assert page.is_file()
    assert "regions" in err
    for option, value, said in (
        ("--out", "page.txt", "ends in .html"),
        ("--out", tmp_path / "no" / "page.html", "mkdir -p"),
        ("--roi", "0:10,0:1000", "not inside the image"),
        ("--roi", "here", "cannot be read"),
    ):
        code, err = call(capfd, "report", result, option, value)
        assert code == 2
        assert said in err


def test_what_is_not_a_result(capfd, field, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.fits").write_text("no FITS")
    for name in ("field.fits", "none.fits", "folder", "text.fits"):
        code, err = call(capfd, "report", tmp_path / name)
        assert code == 2, name
        assert "InputError" in err


def test_nothing_but_pixels_of_the_region_is_needed(model, field, result):
    """What is shown is what `Result.sample` gives, whatever the region."""
    from sciup.report.cutout import choose, cut
    from sciup.results.again import find_facts, find_input, result_of

    done = Finished.open(result)
    again = result_of(done, find_facts(done, str(model)), find_input(done, open_image))
    region = choose(done, "11:43,20:60")
    shown = cut(done, region, again).maps
    whole = np.asarray(again.sample(1).compute())
    np.testing.assert_array_equal(shown["sample_1"], whole[22:86, 40:120])
