"""`sciup inject` from end to end: what is found, what is written, what is refused."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import sciup
from sciup import cli
from sciup.errors import InputError, OptionError, OutputError
from sciup.results.draws import Draws
from sciup.science.inject import plan as plan_module
from sciup.science.inject import run as run_module
from sciup.science.inject.methods import METHODS, Classical
from sciup.science.inject.places import listed
from sciup.science.inject.write import FILES
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (64, 80)
STATED = {"psf_fwhm": 2.5, "background": 100.0, "noise_sigma": 5.0, "gain": 4.0}
FIXED = {"samples": 6, "device": "cpu", "precision": "fp32"}
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


@pytest.fixture
def few(monkeypatch):
    """Empty places: enough where nobody counts them."""
    monkeypatch.setattr(run_module, "EMPTY", 500)


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
    empty, dark, bright = both.summary[np.asarray(both.summary["method"]) == method]
    assert bright["n"] == bright["found"] == len(PLACES)
    assert bright["completeness"] == 1
    assert bright["purity"] == pytest.approx(1 / (1 + empty["completeness"]))
    assert dark["n"] == len(PLACES)
    # seen as often as nothing is: with 5 places and a rate of a few per cent, hardly once
    assert empty["completeness"] < 0.05
    assert dark["found"] <= 1
    assert abs(bright["flux_bias"]) < 0.2


def test_rates_of_other_methods_are_not_higher(both):
    false = {r["method"]: r["completeness"] for r in both.summary if r["snr_high"] == 0}
    assert 0 < max(false.values()) < 0.05
    assert all(false[m] <= false["sciup"] for m in METHODS)


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
                  "Poisson noise", "without injections", "false rate", "bicubic: ",
                  "Richardson-Lucy, ", "20000 places"):  # fmt: skip
        assert words in told, words
    assert [both.summary.meta[f"assume{i + 1}"] for i in range(len(both.assumptions))] == list(
        both.assumptions
    )


def equal(one, other):
    for a, b in ((one.sources, other.sources), (one.summary, other.summary)):
        assert a.colnames == b.colnames
        for name in a.colnames:
            np.testing.assert_array_equal(np.asarray(a[name]), np.asarray(b[name]), name)


@pytest.mark.usefixtures("few")
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
    runs = ("field as it is", "round 1 of 1")
    assert list(dict.fromkeys(what for what, _, _ in told)) == [
        words for run in runs for words in (run, f"{run}: other pictures, risk")
    ]
    assert all(1 <= done <= total for _, done, total in told)


@pytest.mark.usefixtures("few")
def test_stamps_go_anywhere_when_nobody_says_where(image, model, folder, monkeypatch):
    monkeypatch.setattr(run_module, "AT_RANDOM", 3)
    stamp = np.pad(np.ones((3, 3)), 1)
    fits.PrimaryHDU(stamp).writeto(folder / "stamp.fits")
    one, other = (run(image, model, stamp=s, snr=(30, 60)) for s in (stamp, folder / "stamp.fits"))
    equal(one, other)
    assert len(one.sources) == 3
    assert one.assumptions[0].startswith("3 stamps")


@pytest.mark.usefixtures("few")
def test_micrographs(folder):
    toy = write_toy_model(folder / "cells", scale=2, domain="fluorescence", channels=4,
                          head_channels=4)  # fmt: skip
    image = cells((64, 64), pedestal=100.0, electrons=50.0)
    found = sciup.inject(image, model=toy, random=3, snr=(200, 300), psf_fwhm=2.2, gain=1.0,
                         background=100.0, **FIXED)  # fmt: skip
    assert len(found.sources) == 3
    for row in found.summary:
        if row["snr_low"] == 50 and row["method"] != "sciup":
            assert row["completeness"] == 1


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
        ({"random": 900}, "do not fit into 8 rounds"),
    ],
)
def test_options_that_are_refused(image, model, options, message):
    with pytest.raises(OptionError, match=message):
        run(image, model, **options)


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


@pytest.mark.usefixtures("few")
def test_the_command(field, model, folder, capsys):
    words = ["inject", str(field), "--model", str(model), "--psf-fwhm", "2.5", "--gain", "4"]
    out = folder / "command"
    with pytest.raises(SystemExit) as end:
        cli.main([*words, *FEW, "--random", "3", "--snr", "5:9", "--out", str(out)])
    assert end.value.code == 0
    told = said(capsys)
    assert "false rate" in told
    assert "| empty | " in told
    assert "purity" in told
    found = Table.read(out / "injections.ecsv")
    assert ((found["snr"] >= 5) & (found["snr"] <= 9)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--snr", "5"], "LOW:HIGH"),
        (["--random", "0"], "--random 0"),
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
