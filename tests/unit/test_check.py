"""`sciup check`: agreement of distributions that are right or wrong, and what is refused."""

import json

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import gaussian_filter, shift

import sciup
from sciup import cli
from sciup.errors import InputError
from sciup.science.check.agree import agreement
from sciup.science.check.align import fit
from sciup.science.check.run import check
from sciup.science.check.words import verdict
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (70, 90)
STATED = {"psf_fwhm": 2.3, "background": 100.0, "noise_sigma": 5.0, "gain": 10.0}
FIXED = {"samples": 8, "device": "cpu", "precision": "fp32"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(
        tmp_path_factory.mktemp("models") / "toy", scale=2, channels=4, head_channels=4
    )


def write(path, values):
    fits.PrimaryHDU(values.astype("f4"), fits.Header({"BUNIT": "electron"})).writeto(path)
    return path


@pytest.fixture
def result(model, tmp_path):
    field = write(tmp_path / "field.fits", star_field(SHAPE, seed=1))
    return sciup.upscale(field, model=model, **STATED | FIXED).save(tmp_path / "out.fits")


def images(rng, count, smooth=2.0, side=160):
    return gaussian_filter(rng.normal(size=(count, side, side)), (0, smooth, smooth)) * 3


@pytest.mark.parametrize("draws", [8, 17])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_one_distribution_agrees_with_itself(draws, noise):
    """Truth and draws are exchangeable, smooth within blocks; the other image has white noise."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(6):
        made = images(rng, draws + 1)
        other = made[0] + rng.normal(0, noise, made[0].shape)
        found.append(agreement(made[1:], other, np.full(other.shape, noise)))
    for rows in zip(*found, strict=True):
        assert np.mean([r["bias"] for r in rows]) == pytest.approx(0, abs=0.1)
        assert np.mean([r["cover_68"] for r in rows]) == pytest.approx(0.68, abs=0.04)
        assert np.mean([r["cover_95"] for r in rows]) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("factor", "word"), [(0.5, "times what"), (2.0, "only")])
def test_a_wrong_spread_is_seen(factor, word):
    rng = np.random.default_rng(4)
    made = images(rng, 18)
    ours = made[1:].mean(0) + factor * (made[1:] - made[1:].mean(0))
    rows = agreement(ours, made[0], np.full(made[0].shape, 1e-3))
    for row in rows[:2]:
        assert row["deviation"] == pytest.approx(1 / factor, rel=0.15)
    assert word in verdict_of(rows)[0]


def verdict_of(rows):
    from sciup.geometry import Box
    from sciup.science.check.align import Fit
    from sciup.science.check.run import Check

    return verdict(Check("reference", Box((0, 0), (1, 1)), Fit((0, 0), 1.0, 0.01, 0.0), rows))


def test_masked_pixels_do_not_count():
    rng = np.random.default_rng(5)
    made = images(rng, 9)
    other = made[0].copy()
    other[:40] = np.nan
    rows = agreement(made[1:], other, np.full(other.shape, 0.1))
    assert [r["blocks"] for r in rows] == [160 * 120, 40 * 30, 70]
    assert all(np.isfinite(list(r.values())).all() for r in rows)


@pytest.mark.parametrize("move", [(0.0, 0.0), (0.4, -0.3), (1.6, 2.2), (-0.75, 0.0)])
@pytest.mark.parametrize(("gain", "level"), [(1.0, 0.0), (3.0, -20.0)])
def test_shift_gain_and_level_are_found(move, gain, level):
    rng = np.random.default_rng(6)
    ours = gaussian_filter(rng.exponential(size=(96, 110)) ** 3, 2.0)
    other = gain * shift(ours, move, order=5, mode="mirror") + level
    sigma = np.full(other.shape, 0.01 * gain)
    found = fit(ours, other + rng.normal(0, sigma), sigma)
    np.testing.assert_allclose(found.shift, move, atol=0.06)
    assert found.gain == pytest.approx(gain, rel=0.02)
    assert found.level == pytest.approx(level, abs=0.05 * gain)


def test_a_repeat_of_what_a_draw_predicts(model, result, tmp_path, capfd):
    """The same exposure once more: nothing is shifted, nothing is brighter."""
    rng = np.random.default_rng(8)
    again = write(tmp_path / "again.fits", star_field(SHAPE, seed=1) + rng.normal(0, 0.1, SHAPE))
    found = check(result, repeat=again, model=str(model))
    assert found.fit.shift == (0.0, 0.0)
    assert found.fit.gain == pytest.approx(1, abs=0.05)
    dimmer = write(tmp_path / "dimmer.fits", 0.8 * star_field(SHAPE, seed=1))
    other = check(result, repeat=dimmer, model=str(model))
    assert other.fit.gain == pytest.approx(0.8 * found.fit.gain, rel=0.02)
    assert "times as bright" in verdict(other)[0]
    with pytest.raises(SystemExit) as stopped:
        cli.main(["check", str(result), "--repeat", str(again), "--model", str(model), "--json",
                  "--out", str(tmp_path / "c.png")])  # fmt: skip
    assert not stopped.value.code
    told = json.loads(capfd.readouterr().out)
    assert told["gain"] == pytest.approx(found.fit.gain)
    assert told["agreement"] == found.rows
    assert (tmp_path / "c.png").stat().st_size > 5000


def test_a_reference_on_the_grid_of_a_part(model, result, tmp_path):
    """A result of a region: the reference has its grid, and a part of it is looked at."""
    field = result.parent / "field.fits"
    part = sciup.upscale(field, model=model, roi="8:68,10:86", **STATED | FIXED)
    out = part.save(tmp_path / "part.fits")
    draw = fits.getdata(out, "SAMPLE").astype(float)
    rng = np.random.default_rng(0)
    reference = write(tmp_path / "ref.fits", draw + rng.normal(0, 0.5, draw.shape))
    options = {"reference": reference, "reference_fwhm": 2.0, "model": str(model)}
    found = check(out, roi="12:52,20:70", **options)
    assert found.fit.gain == pytest.approx(1, abs=0.05)
    assert found.fit.shift == pytest.approx((0, 0), abs=0.05)


@pytest.mark.parametrize("whole", [True, False])
def test_a_reference_on_the_grid_of_the_result(model, result, tmp_path, whole):
    """A draw itself as the reference: the same PSF, no blur, seen by the other draws."""
    draw = fits.getdata(result, "SAMPLE").astype(float)
    rng = np.random.default_rng(0)
    part = draw if whole else draw[20:120, 40:160]
    reference = write(tmp_path / "ref.fits", part + rng.normal(0, 0.5, part.shape))
    roi = None if whole else "10:60,20:80"
    options = {"reference_fwhm": 2.0, "roi": roi, "model": str(model)}
    found = check(result, reference=reference, **options)
    assert found.notes == []
    assert found.fit.gain == pytest.approx(1, abs=0.05)
    assert found.resolution["sample 0"] <= found.resolution["bicubic"]
    broader = check(result, reference=reference, **options | {"reference_fwhm": 4.0})
    assert "the draws were blurred by a Gaussian of 3.46 output px" in broader.notes[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either --repeat or --reference"),
        (["--repeat", "field.fits", "--reference", "field.fits"], "either --repeat or"),
        (["--reference", "field.fits"], "--reference-fwhm, output px"),
        (["--reference", "field.fits", "--reference-fwhm", "2"], "the reference has (70, 90) px"),
        (["--repeat", "small.fits"], "the repeat has (40, 40) px"),
        (["--repeat", "field.fits"], "the very pixels of the input"),
        (["--repeat", "nowhere.fits"], "nowhere.fits"),
        (["--repeat", "blank.fits"], "nothing in common"),
        (["--repeat", "field.fits", "--out", "c.pdf"], "ends in .png"),
    ],
)
def test_bad_input(capfd, model, result, monkeypatch, arguments, said):
    monkeypatch.chdir(result.parent)
    rng = np.random.default_rng(9)
    write(result.parent / "small.fits", star_field((40, 40)))
    write(result.parent / "blank.fits", rng.normal(100, 5, SHAPE))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["check", "out.fits", "--model", str(model), *arguments])
    told = " ".join(capfd.readouterr().err.split())
    assert stopped.value.code == 2, told
    assert said in told or ("shows another" in told and "blank" in str(arguments))
    assert "Traceback" not in told


def test_what_cannot_be_repeated(model, result):
    (result.parent / "field.fits").rename(result.parent / "moved.fits")
    with pytest.raises(InputError, match="no longer there"):
        check(result, repeat=result.parent / "moved.fits", model=str(model))
