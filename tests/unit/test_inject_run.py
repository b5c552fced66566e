"""`sciup inject` from end to end: what is found, what is written, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import sciup
from sciup import cli
from sciup.errors import InputError, OptionError, OutputError
from sciup.physics.psf import gaussian
from sciup.results.draws import Draws
from sciup.science.inject import plan as plan_module
from sciup.science.inject import run as run_module
from sciup.science.inject.methods import METHODS, Classical
from sciup.science.inject.places import listed
from sciup.science.inject.write import FILES, check_folder
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (64, 80)
STATED = {"psf_fwhm": 2.5, "background": 100.0, "noise_sigma": 5.0, "gain": 4.0}
FIXED = {"samples": 6, "device": "cpu", "precision": "fp32"}
PSF = {"psf": gaussian(25, 2.6), "psf_fwhm": None}
FEW = ["--samples", "6", "--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("inject")


@pytest.fixture(scope="module")
def model(folder):
    return write_toy_model(folder / "toy", scale=2, channels=4, head_channels=4)


@pytest.fixture(scope="module")
def image():
    values = star_field(SHAPE, stars=2, flux=(4000.0, 8000.0))
    values[40:44, 10:16] = np.nan
    return values


def run(image, model, **more):
    return sciup.inject(image, model=model, **STATED | FIXED | more)


BRIGHT, FAINT = 1000.0, 0.01
PLACES = [(12.3, 50.6), (12.0, 30.0), (30.5, 66.2), (50.9, 50.1), (51.0, 33.3)]


@pytest.fixture(scope="module")
def both(image, model):
    """Sources that nobody can miss and nobody can see, at the same places, in several rounds."""
    columns = {"y": [y for y, _ in PLACES] * 2, "x": [x for _, x in PLACES] * 2}
    snr = [BRIGHT] * len(PLACES) + [FAINT] * len(PLACES)
    return run(image, model, catalog=Table(columns | {"snr": snr}))


def rows(found, method, low):
    return [r for r in found.summary if r["method"] == method and r["snr_low"] == low]


@pytest.mark.parametrize("method", METHODS)
def test_what_is_absurdly_bright_is_found_and_what_is_dark_is_not(both, method):
    dark, bright = both.summary[np.asarray(both.summary["method"]) == method]
    assert bright["n"] == bright["found"] == len(PLACES)
    assert bright["completeness"] == 1
    assert dark["n"] == len(PLACES)
    assert dark["found"] <= 1  # of noise: at S/N 5 hardly one in the whole field
    assert bright["false"] == dark["false"] <= 1
    assert abs(bright["flux_bias"]) < 0.2


def test_false_detections_are_told_by_area(both, image):
    area = np.isfinite(image).sum() / 1e6
    for row in both.summary:
        assert row["false_per_mpx"] == pytest.approx(row["false"] / area)
        assert row["false_lo95"] <= row["false_per_mpx"] < row["false_hi95"]
        # with none the upper end is ln(40) = 3.69 of them
        assert row["false_hi95"] >= np.log(40) / area * (1 - 1e-9)


def thresholds(found):
    return {str(r["method"]): float(r["threshold"]) for r in found.summary}


def test_stars_of_the_field_do_not_set_thresholds(model):
    """A star that is really there is no false detection, however many places are near it."""
    # stars tell the shape of the PSF: here it is known
    options = {"random": 2, "seed": 5} | PSF
    one, other = (
        run(star_field(SHAPE, stars=n, flux=(2e3, 2e4)), model, **options) for n in (0, 12)
    )
    told = thresholds(one)
    assert thresholds(other) == pytest.approx(told, rel=1e-3)
    assert one.summary["false"].tolist() == other.summary["false"].tolist()
    result = sciup.upscale(star_field(SHAPE, stars=0), model=model, **STATED | FIXED | PSF)
    b = run_module.believed(result, 5.0)
    for name in METHODS[1:]:
        assert 4 < float(b.snr(np.array(told[name]))) < 7


@pytest.mark.parametrize(("limit", "words"), [(5.0, "too few false"), (1.0, "no more false")])
def test_thresholds_are_compared_where_there_is_enough_to_compare(image, model, limit, words):
    found = run(image, model, random=2, limit=limit, threshold=0.05)
    false = {str(r["method"]): int(r["false"]) for r in found.summary}
    assert words in "\n".join(found.assumptions)
    assert (false["sciup"] >= 10) == (limit < 5)
    if limit < 5:
        assert max(false.values()) == false["sciup"]


def test_rows_are_those_of_the_catalogue(both):
    table = both.sources
    np.testing.assert_allclose(table["y"], [y for y, _ in PLACES] * 2)
    np.testing.assert_allclose(table["x"], [x for _, x in PLACES] * 2)
    assert table["round"].tolist() == [1] * 5 + [2] * 5
    np.testing.assert_allclose(table["snr"], [BRIGHT] * 5 + [FAINT] * 5)
    bright = table[:5]
    # the toy has learnt nothing: its fluxes are what the projection makes of them
    np.testing.assert_allclose(bright["flux"], bright["flux_true"], rtol=0.2)
    for key in ("flux_bicubic", "flux_richardson_lucy"):
        np.testing.assert_allclose(bright[key], bright["flux_true"], rtol=0.03)
    assert (bright["p_exists"] > 0.9).all()
    assert ((table["risk_raw"] >= 0) & (table["risk_raw"] <= 1)).all()
    assert table["found_richardson_lucy"].tolist()[:5] == [True] * 5


def test_everything_that_is_assumed_is_told(both):
    told = "\n".join(both.assumptions)
    for words in ("10 points", "rounds: 2", "2.5 input px (given: --psf-fwhm)", "4 electrons",
                  "Poisson noise", "without injections", "sky without sources", "bicubic: ",
                  "Richardson-Lucy, ", "different false detections"):  # fmt: skip
        assert words in told, words
    assert [both.summary.meta[f"assume{i + 1}"] for i in range(len(both.assumptions))] == list(
        both.assumptions
    )


def equal(one, other):
    for a, b in ((one.sources, other.sources), (one.summary, other.summary)):
        assert a.colnames == b.colnames
        for name in a.colnames:
            np.testing.assert_array_equal(np.asarray(a[name]), np.asarray(b[name]), name)


def test_the_seed_decides_everything_and_progress_is_told(image, model):
    told = []
    tell = {"progress": lambda *step: told.append(step)}
    options = {"random": 2, "roi": "0:36,20:64"}
    one = run(image, model, seed=3, **options, **tell)
    result = sciup.upscale(image, model=model, seed=3, roi="0:36,20:64", **STATED | FIXED)
    equal(one, sciup.inject(result, random=2, samples=6, seed=3))  # a lazy result is as good
    assert (np.asarray(one.sources["x"]) > 20).all()
    other = run(image, model, seed=4, **options)
    assert (one.sources["y"] != other.sources["y"]).any()
    runs = ("simulated sky without sources", "field as it is", "round 1 of 1")
    assert list(dict.fromkeys(what for what, _, _ in told)) == [
        words for run in runs for words in (run, f"{run}: other pictures, risk")
    ]
    assert all(1 <= done <= total for _, done, total in told)


def test_stamps_go_anywhere_when_nobody_says_where(image, model, folder, monkeypatch):
    monkeypatch.setattr(run_module, "AT_RANDOM", 3)
    stamp = np.pad(np.ones((3, 3)), 1)
    fits.PrimaryHDU(stamp).writeto(folder / "stamp.fits")
    one, other = (run(image, model, stamp=s, snr=(30, 60)) for s in (stamp, folder / "stamp.fits"))
    equal(one, other)
    assert len(one.sources) == 3
    assert one.assumptions[0].startswith("3 stamps")
    assert "of the light of a stamp the detector gives" in "\n".join(one.assumptions)


def test_fluxes_of_wide_stamps_are_compared_with_what_a_detector_of_points_gives(image, model):
    """A disc of 1.5 FWHM holds little of a wide source: that is no bias of the draws."""
    result = sciup.upscale(image, model=model, **STATED | FIXED)
    b = run_module.believed(result, 5.0)
    wide = plan_module.Optics.of(result, np.ones((15, 15)))
    # about the middle the stamp is flat: the disc holds its own area of it
    assert wide.held(b.target) == pytest.approx(np.pi * b.target.radius**2 / 15**2, rel=0.05)
    assert plan_module.Optics.of(result).held(b.target) == 1
    plain, *_ = Classical.all(result, wide, b)
    assert wide.held(b.target) < plain.held < 0.7
    found = run(image, model, stamp=np.ones((5, 5)), catalog=Table(
        {"y": [50.9], "x": [50.1], "snr": [BRIGHT]}))  # fmt: skip
    ours, bicubic, _ = found.summary
    assert abs(bicubic["flux_bias"]) < 0.02
    assert abs(ours["flux_bias"]) < 0.3


def test_wide_stars_fit_into_the_window_of_their_width(image, tmp_path):
    toy = write_toy_model(tmp_path / "toy", scale=8, channels=4, head_channels=4)
    result = sciup.upscale(image, model=toy, **STATED | FIXED)
    plain = Classical.all(result, plan_module.Optics.of(result), run_module.believed(result, 5.0))[
        0
    ]
    # pixels of 8 px: the width of a boxcar and a cubic kernel beside the PSF of 20 px
    assert plain.fwhm == pytest.approx(np.hypot(20.0, 10.0), rel=0.12)


def test_micrographs(folder):
    toy = write_toy_model(folder / "cells", scale=2, domain="fluorescence", channels=4,
                          head_channels=4)  # fmt: skip
    image = cells((64, 64), pedestal=100.0, electrons=50.0)
    found = sciup.inject(image, model=toy, random=3, snr=(200, 300), psf_fwhm=2.2, gain=1.0,
                         background=100.0, **FIXED)  # fmt: skip
    assert len(found.sources) == 3
    assert {str(r["method"]): r["completeness"] for r in found.summary} == dict.fromkeys(METHODS, 1)
    # the toy has learnt nothing, but the light of spots is what the projection makes of it
    ours = found.sources
    np.testing.assert_allclose(ours["flux"], ours["flux_expected"], rtol=0.5)


def test_bicubic_is_right_about_a_star(image, model):
    """The detector is as wide as the star: its flux is that of the star."""
    result = sciup.upscale(image, model=model, **STATED | FIXED)
    optics = plan_module.Optics.of(result)
    plain, *deconvolved = Classical.all(result, optics, run_module.believed(result, 5.0))
    assert 0.85 < plain.response < 1.02  # a Moffat profile has wings
    assert plain.fwhm == pytest.approx(np.hypot(5.0, 2.5), rel=0.12)
    assert [m.iterations for m in deconvolved] == [5, 10, 20]
    widths = [m.fwhm for m in deconvolved]
    assert widths == sorted(widths, reverse=True)  # more iterations make it sharper


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to inject"),
        ({"random": 3, "catalog": "a.csv"}, "both say where"),
        ({"random": 3, "threshold": 0.0}, "--threshold 0"),
        ({"random": 3, "match": -1.0}, "--match -1"),
        ({"random": 3, "match": 7.0}, r"--match 7.*at most 6\.2"),
        ({"random": 3, "seed": -1}, "--seed -1"),
        ({"random": 3, "samples": 2}, "--samples 2"),
        ({"random": 3, "limit": 0.0}, "a limit of S/N 0"),
        ({"random": 6000}, "--random 6000"),
        ({"random": 3, "snr": (5.0, 3.0)}, "--snr 5:3"),
        ({"catalog": Table({"y": [5.0]}), "snr": (3.0, 5.0)}, "--snr is of random sources"),
        ({"random": 900}, "do not fit into 8 rounds"),
    ],
)
def test_options_that_are_refused(image, model, options, message):
    with pytest.raises(OptionError, match=message):
        run(image, model, **options)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"model": "night-sky-x2"}, "model"),
        ({"roi": "0:9,0:9"}, "roi"),
        ({"samples": 9}, "samples"),
    ],
)
def test_lazy_results_have_their_options(image, model, options, named):
    result = sciup.upscale(image, model=model, **STATED | FIXED)
    with pytest.raises(OptionError, match=rf"a lazy result has its own {named}.*sciup\.upscale"):
        sciup.inject(result, random=2, **options)


@pytest.mark.parametrize(
    "options",
    [{}, {"random": 0}, {"random": 2, "snr": (5.0, 3.0)}, {"random": 2, "limit": -1.0},
     {"stamp": np.zeros((3, 3))}, {"catalog": "none.csv"}],
)  # fmt: skip
def test_options_are_refused_before_the_image_is_read(options):
    with pytest.raises((OptionError, InputError)) as error:
        sciup.inject("no_such_image.fits", **options)
    assert "no_such_image" not in str(error.value)


def test_more_photons_than_can_be_counted(image, model):
    with pytest.raises(InputError, match=r"4e\+30 photons"):
        run(image, model, catalog=Table({"y": [30.0], "x": [30.0], "flux": [1e30]}))


def test_the_catalogue_of_an_injection_is_one_to_inject(both, image, model, folder):
    both.sources.write(folder / "again.ecsv")
    result = sciup.upscale(image, model=model, **STATED | FIXED)
    b, optics = run_module.believed(result, 5.0), plan_module.Optics.of(result)
    found = listed(folder / "again.ecsv", Draws.of_result(result), optics, b)
    np.testing.assert_array_equal(found.fluxes, both.sources["flux_true"])
    np.testing.assert_allclose(found.places[:, 0], both.sources["y"])


def test_what_is_read_is_not_replaced(both, field, model, folder, capsys):
    out = both.save(folder / "read")
    words = ["--catalog", str(out / "injections.ecsv"), "--out", str(out), "--overwrite"]
    with pytest.raises(SystemExit) as end:
        cli.main(["inject", str(field), "--model", str(model), *FEW, *words])
    assert end.value.code == 2
    assert "injections.ecsv is what is measured" in said(capsys)


def test_stacks_are_refused(model):
    stack = np.stack([star_field(SHAPE), star_field(SHAPE, seed=1)])
    with pytest.raises(InputError, match="several planes"):
        run(stack, model, random=2)


def test_a_folder_is_written_whole_or_not_at_all(both, folder, monkeypatch):
    out = both.save(folder / "out")
    assert sorted(p.name for p in out.iterdir()) == sorted(FILES)
    read = Table.read(out / "injections.ecsv")
    np.testing.assert_array_equal(read["found"], both.sources["found"])
    assert read["y"].unit == "pix"
    assert (out / "completeness.png").read_bytes()[:4] == b"\x89PNG"
    assert (out / "completeness.pdf").read_bytes()[:5] == b"%PDF-"
    with pytest.raises(OutputError, match="holds an injection already"):
        both.save(out)
    both.save(out, overwrite=True)
    with pytest.raises(OutputError, match="no folder"):
        both.save(folder / "no" / "such")
    (folder / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        both.save(folder / "file")

    monkeypatch.chdir(out)
    both.save(Path(), overwrite=True)  # the folder that one is in
    assert sorted(p.name for p in out.iterdir()) == sorted(FILES)
    with monkeypatch.context() as m:
        m.setattr("os.access", lambda *_: False)
        with pytest.raises(OutputError, match="nothing can be written into"):
            check_folder(folder / "locked", overwrite=False)

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("sciup.science.inject.figure.write", broken)
    with pytest.raises(OutputError, match="disk full"):
        both.save(folder / "other")
    assert not (folder / "other").exists()
    assert not list(folder.glob(".*.partial"))


@pytest.fixture(scope="module")
def field(image, folder):
    fits.PrimaryHDU(image).writeto(folder / "field.fits")
    return folder / "field.fits"


def said(capsys):
    return " ".join("".join(capsys.readouterr()).split())


def test_the_command(field, model, folder, capsys):
    words = ["inject", str(field), "--model", str(model), "--psf-fwhm", "2.5", "--gain", "4"]
    out = folder / "command"
    with pytest.raises(SystemExit) as end:
        cli.main([*words, *FEW, "--random", "3", "--snr", "5:9", "--out", str(out)])
    assert end.value.code == 0
    told = said(capsys)
    assert "simulated sky without sources" in told
    assert "| false per Mpx | " in told
    found = Table.read(out / "injections.ecsv")
    assert ((found["snr"] >= 5) & (found["snr"] <= 9)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--snr", "5"], "LOW:HIGH"),
        (["--random", "0"], "--random 0"),
        (["--catalog", "a.csv", "--snr", "3:5"], "--snr is of random sources"),
        (["--catalog", "none.csv"], "there is no file none.csv"),
        (["--stamp", "none.fits"], "none.fits"),
        ([], "nothing to inject"),
    ],
)
def test_bad_input_ends_with_2_and_nothing_written(field, model, folder, capsys, options, message):
    out = folder / "refused"
    with pytest.raises(SystemExit) as end:
        cli.main(["inject", str(field), "--model", str(model), *FEW, *options, "--out", str(out)])
    assert end.value.code == 2
    assert message in said(capsys)
    assert not out.exists()
