"""Drawing with several widths of the PSF: who draws with which, what stays equal, what widens."""

import functools
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

import sciup
from sciup import cli
from sciup.engine.job import Worker
from sciup.errors import OptionError, ResumeError
from sciup.geometry import Box
from sciup.image import Fact
from sciup.io._array import open_array
from sciup.physics.instrument import Instrument
from sciup.physics.psf_error import at_node, node_of, parse_error
from sciup.report.survey import survey
from sciup.report.words import judge, methods
from sciup.results.draws import Draws
from sciup.results.finished import Finished
from sciup.risk.words import widths
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import star, star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (150, 140)
STATED = {"psf_fwhm": 2.3, "background": 100.0, "noise_sigma": 5.0, "gain": 10.0}
FIXED = {"samples": 5, "device": "cpu", "precision": "fp32"}
MAPS = ("sample", "mean", "std", "risk_raw", "support")


@functools.cache
def model():
    folder = Path(tempfile.mkdtemp()) / "toy"
    return write_toy_model(folder, scale=2, channels=4, head_channels=4)


@functools.cache
def field():
    image = star_field(SHAPE, stars=0) + 20000 * star(SHAPE, 125, 60, 2.3)
    return image.astype(np.float32)


def upscale(**more):
    image = open_array(field(), domain="night-sky", flux_per_pixel=True)
    return sciup.upscale(image, model=model(), **STATED | FIXED | {"maps": MAPS} | more)


def maps_of(result):
    (task,) = result.job.tasks()
    return Worker(result.job).compute(task)


@functools.cache
def believed():
    return upscale(psf_error=0.1).instrument


@functools.cache
def whole():
    return maps_of(upscale(psf_error=0.1, keep_samples=6))


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, values in found.items():
        assert np.array_equal(values, expected[name], equal_nan=True), name


# -- Who draws with which -----------------------------------------------------------------------


@given(st.integers(0, 400), st.integers(1, 400))
def test_nodes_have_their_weights(first, count):
    nodes = [node_of(k) for k in range(first, first + count)]
    for node, weight in {0: 2 / 3, -1: 1 / 6, 1: 1 / 6}.items():
        assert abs(nodes.count(node) - weight * count) <= 4 / 3
    assert node_of(0) == 0


@given(st.floats(1e-3, 0.5))
def test_nodes_have_mean_and_variance_of_the_error(error):
    """Of the logarithm of the width, and its fourth moment: 3 sigma^4, as of a Gaussian."""
    before = replace(believed(), psf_error=Fact(error, "given"))
    logs = [
        math.log(at_node(before, node_of(k)).psf_fwhm.value / before.psf_fwhm.value)
        for k in range(6)
    ]
    for power, moment in ((1, 0.0), (2, error**2), (3, 0.0), (4, 3 * error**4)):
        assert np.mean(np.power(logs, power)) == pytest.approx(moment, rel=1e-6, abs=1e-12)


def test_the_believed_instrument_is_left_alone():
    i = believed()
    assert at_node(i, 0) is i
    known = upscale().instrument
    assert at_node(known, 1) is known
    assert Instrument.from_json(i.as_json()).psf_error == i.psf_error


# -- What stays equal ---------------------------------------------------------------------------


@pytest.mark.parametrize("off", [0, 0.0, "0%", None])
def test_off_is_off(off):
    base, same = upscale(keep_samples=6), upscale(keep_samples=6, psf_error=off)
    assert same.instrument == base.instrument
    assert same.token == base.token
    assert_same(maps_of(same), maps_of(base))


def test_only_the_samples_of_the_outer_nodes_change():
    base, found = maps_of(upscale(keep_samples=6)), whole()
    changed = [k for k in range(6) if (base[f"samples_{k}"] != found[f"samples_{k}"]).any()]
    assert changed == [2, 5] == [k for k in range(6) if node_of(k)]
    for name in ("sample", "support"):
        assert np.array_equal(base[name], found[name])


def test_a_sample_is_drawn_with_the_psf_of_its_node():
    """Sample 2 is that of a run with the narrow PSF."""
    result = upscale(psf_error=0.1)
    narrow = upscale(psf_fwhm=at_node(result.instrument, -1).psf_fwhm.value)
    assert np.array_equal(result.sample(2).compute(), narrow.sample(2).compute())
    assert not np.array_equal(result.sample(1).compute(), narrow.sample(1).compute())


@pytest.mark.parametrize("box", [Box((100, 20), (145, 90)), Box((120, 120), (140, 135))])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_region_is_that_of_the_whole(box, threads):
    part = maps_of(upscale(psf_error=0.1, keep_samples=6, roi=box, tile=64, threads=threads))
    inside = box.scaled(2).slices
    assert_same(part, {name: values[inside] for name, values in whole().items()})


def test_a_sample_does_not_know_how_many_there_are():
    few, many = (maps_of(upscale(psf_error="10%", samples=n, keep_samples=4)) for n in (4, 16))
    for k in range(4):
        assert np.array_equal(few[f"samples_{k}"], many[f"samples_{k}"])


# -- What widens --------------------------------------------------------------------------------


def test_a_bright_star_is_less_certain():
    box = Box((110, 45), (140, 75))
    widths = [
        maps_of(upscale(psf_error=error, roi=box, samples=11))["std"] for error in (0, 0.05, 0.2)
    ]
    middle = np.s_[24:36, 24:36]
    peaks = [float(w[middle].mean()) for w in widths]
    assert peaks[0] < 0.9 * peaks[1] < 0.8 * peaks[2]
    far = [float(np.median(w[:10])) for w in widths]
    assert far == pytest.approx([far[0]] * 3, rel=0.1)


def test_a_psf_image_has_nodes_too():
    pixels = star((21, 21), 10, 10, 2.3)
    result = upscale(psf=pixels, psf_fwhm=None, psf_error=0.1)
    k = maps_of(upscale(psf=pixels, psf_fwhm=None, psf_error=0.1, keep_samples=3))
    assert (k["samples_2"] != maps_of(upscale(psf=pixels, keep_samples=3))["samples_2"]).any()
    wide = at_node(result.instrument, 1)
    assert wide.psf_fwhm.value == pytest.approx(
        math.exp(0.1 * math.sqrt(3)) * result.instrument.psf_fwhm.value
    )


# -- Files --------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    fits.PrimaryHDU(field()[96:]).writeto(tmp_path / "in.fits")
    return tmp_path / "in.fits"


def of_file(path, **more):
    return sciup.upscale(path, model=model(), **STATED | FIXED | more)


@pytest.mark.parametrize("keep", [0, 6])
def test_measurements_see_the_draws_of_the_run(path, tmp_path, keep):
    result = of_file(path, psf_error=0.1, keep_samples=keep)
    result.save(tmp_path / "out.fits")
    draws = Draws.open(tmp_path / "out.fits", model=str(model()))
    found = draws.window((), Box((20, 40), (90, 200)))
    for k, draw in enumerate(found):
        assert np.array_equal(draw, result.sample(k).compute()[20:90, 40:200]), k


def test_the_result_says_so(path, tmp_path):
    of_file(path, psf_error=0.1).save(tmp_path / "out.fits")
    facts = Finished.open(tmp_path / "out.fits").facts
    assert facts["instrument"][0]["psf_error"] == {
        "value": 0.1, "origin": "given", "note": "--psf-error",
    }  # fmt: skip
    assert facts["fingerprint"]["instrument"][0]["psf_error"]["value"] == 0.1
    assert "three widths of the PSF" in facts["risk"]["words"]
    of_file(path).save(tmp_path / "known.fits")
    facts = Finished.open(tmp_path / "known.fits").facts
    assert "three widths" not in facts["risk"]["words"]
    assert "psf_error" not in facts["fingerprint"]["instrument"][0]


@pytest.mark.parametrize(("before", "after"), [(0.1, 0.2), (0.1, None), (None, 0.1)])
def test_another_error_is_another_run(path, tmp_path, before, after):
    of_file(path, psf_error=before).save(tmp_path / "out.fits")
    with pytest.raises(ResumeError, match="another instrument"):
        of_file(path, psf_error=after).save(tmp_path / "out.fits", resume=True)
    assert of_file(path, psf_error=before).token != of_file(path, psf_error=after).token


# -- Words --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["10%", " 10 % ", "0.1", "1e-1"])
def test_shares(text):
    assert parse_error(text) == pytest.approx(0.1)


@pytest.mark.parametrize("text", ["10%%", "ten", "", "10 px", "10%5"])
def test_what_is_no_share(text):
    with pytest.raises(OptionError, match="such as 10%"):
        parse_error(text)


@pytest.mark.parametrize("value", ["-10%", "200%", "10", "nan", "inf", "wide"])
@pytest.mark.parametrize("command", ["upscale", "inspect"])
def test_the_command_line_refuses(path, tmp_path, capsys, command, value):
    out = [str(tmp_path / "out.fits")] if command == "upscale" else []
    with pytest.raises(SystemExit) as stop:
        cli.main([command, str(path), *out, "--model", str(model()), f"--psf-error={value}"])
    assert stop.value.code == 2
    assert not list(tmp_path.glob("out*"))
    said = capsys.readouterr()
    assert "--psf-error" in said.err
    assert "Traceback" not in said.err


def test_the_command_line_takes_a_share(path, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["inspect", str(path), "--model", str(model()), "--psf-error", "10%"])
    assert stop.value.code == 0
    assert "psf_error" in capsys.readouterr().err


@pytest.mark.parametrize("calibrated", [True, False])
def test_the_report_says_what_the_calibration_knew(path, tmp_path, calibrated):
    folder = write_toy_model(tmp_path / "toy", scale=2, channels=4, head_channels=4)
    if calibrated:
        write_toy_calibration(folder, samples=FIXED["samples"])
    result = sciup.upscale(path, model=folder, psf_error=0.1, **STATED | FIXED)
    done = Finished.open(result.save(tmp_path / "wide.fits"))
    verdict = judge(done)
    said = " ".join([verdict.headline, *verdict.details])
    assert "drawn with three widths of the PSF" in said
    assert ("the calibration was learned with one" in said) == calibrated
    assert verdict.mood == "warn"
    assert widths(calibrated) in methods(done, survey(done))


def test_intervals_measured_with_one_width_are_not_used():
    region = "image; circle(61,126,4)"
    table = sciup.measure(upscale(psf_error=0.1), "photometry", regions=region, samples=4)
    assert "one width of the PSF" in table.meta["coverage"]
    assert "one width" not in str(
        sciup.measure(upscale(), "photometry", regions=region, samples=4).meta
    )
