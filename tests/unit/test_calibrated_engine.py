"""Calibrated maps of a run: what they say, where the badge fires, and what is refused."""

import json

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

import sciup
from sciup.calibrate.observe import observe
from sciup.cli import app
from sciup.engine.job import Worker
from sciup.engine.settings import CALIBRATED, MAPS, RISKS, USUAL, USUAL_RAW
from sciup.errors import InterruptedRunError, ModelError, OptionError, ResumeError
from sciup.io._array import open_array
from sciup.io._provenance import read_provenance
from sciup.risk.evidence import KINDS, STRATA, scored
from sciup.risk.familiar import STATISTICS
from sciup.risk.tolerance import Tolerance
from sciup.risk.votes import mean_at
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

K = 6
SHAPE = (160, 60)
FIXED = {"psf_fwhm": 2.3, "background": 100.0, "noise_sigma": 5.0, "gain": 10.0, "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_toy_model(
        tmp_path_factory.mktemp("models") / "toy", scale=2, channels=4, head_channels=4
    )


@pytest.fixture
def calibration(folder):
    made = write_toy_calibration(folder, samples=K)
    yield made
    (folder / "calibration.json").unlink(missing_ok=True)


def upscale(folder, **more):
    image = open_array(star_field(SHAPE), domain="night-sky", flux_per_pixel=True)
    return sciup.upscale(image, model=folder, **{"samples": K, "precision": "fp32"} | FIXED | more)


def compute(result):
    worker = Worker(result.job)
    (task,) = result.job.tasks()
    return worker.compute(task), worker


INNER = np.s_[2:-2, 2:-2]
"""Where all of a mean over 3 x 3 px lies in the image."""


def levels(result, shown, voters):
    """Levels of risk, invented and missed of an image, of draws in numpy."""
    found = observe(result, K + 1)
    image = found.draws[0] if shown == "sample" else found.mean
    tau = Tolerance.parse("3sigma").limit(found.draws[0], found.level, found.sigma)
    apart = np.stack([mean_at(image - d) for d in found.draws[voters:]])
    stratum = np.searchsorted(STRATA, found.snr, side="right")
    return stratum, dict(zip(KINDS, (x[0] for x in scored(apart, tau[None])), strict=True))


def test_maps_are_the_calibration_applied_to_the_score(folder, calibration):
    """But for pixels so near an edge that float32 counts them to its other side."""
    result = upscale(folder, maps=MAPS)
    maps, worker = compute(result)
    wanted = {
        "risk": ("sample", "risk", "risk"),
        "risk_bound": ("sample", "bound", "risk"),
        "risk_invented": ("sample", "invented", "invented"),
        "risk_missed": ("sample", "missed", "missed"),
        "risk_mean": ("mean", "risk", "risk"),
    }
    for name, (product, table, kind) in wanted.items():
        stratum, level = levels(result, product, 1 if product == "sample" else 0)
        promise = calibration.promise(product, "3sigma")
        expected = promise.tables()[table][stratum, level[kind]]
        off = np.abs(expected - maps[name])[INNER] > 1e-6
        assert off.mean() < 0.002, name
    promise = calibration.promise("sample", "3sigma")
    assert len(np.unique(maps["risk"])) > 5
    assert np.array_equal(maps["alarm"] > 0, maps["risk"] >= np.float32(promise.alarm.threshold))
    half = calibration.intervals["0.9"].scaling * maps["std"]
    np.testing.assert_allclose(maps["upper"] - maps["mean"], half, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(maps["mean"] - maps["lower"], half, rtol=1e-4, atol=1e-4)
    assert (maps["ood"] == 0).all()
    assert sorted(worker.scores) == [(0, 0), (128, 0)]


@pytest.mark.parametrize("one", ["risk_mean", "alarm", "ood", "tolerance", None])
def test_a_map_is_the_same_whatever_else_is_wanted(folder, calibration, one):
    """Votes are counted for maps of the risk only, and change no other."""
    some = [m for m in MAPS if m not in RISKS] if one is None else [one]
    whole, alone = (compute(upscale(folder, maps=maps))[0] for maps in (MAPS, some))
    for name in some:
        np.testing.assert_array_equal(alone[name], whole[name])


def test_bright_pixels_use_the_curve_of_their_stratum(folder, calibration):
    result = upscale(folder, maps=MAPS, background=100.0, noise_sigma=0.01, gain=1e9)
    maps, _ = compute(result)
    star = np.unravel_index(np.nanargmax(maps["mean"]), maps["mean"].shape)
    _, level = levels(result, "sample", 1)
    table = calibration.promise("sample", "3sigma").tables()["risk"]
    assert maps["risk"][star] == np.float32(table[len(STRATA), level["risk"][star]])


def test_where_the_badge_fires_the_bound_is_withheld_and_the_risk_stays(folder):
    write_toy_calibration(folder, samples=K, strange=True)
    try:
        maps, _ = compute(upscale(folder, maps=MAPS))
        assert (maps["ood"] == 1).all()
        assert np.isnan(maps["risk_bound"]).all()
        assert np.isfinite(maps["risk"]).all()
    finally:
        (folder / "calibration.json").unlink()


def test_a_width_that_the_stars_contradict_withholds_the_bound(
    folder, calibration, tmp_path, caplog
):
    shape = (256, 256)
    image = open_array(
        star_field(shape, stars=60, fwhm=2.3), domain="night-sky", flux_per_pixel=True
    )
    wrong = FIXED | {"psf_fwhm": 3.4}
    result = sciup.upscale(image, model=folder, samples=K, precision="fp32", **wrong)
    assert "stars say 2.29" in caplog.text
    path = result.save(tmp_path / "out.fits")
    (said,) = read_provenance(path)["domain"]
    assert said["outside"]
    assert "stated as 3.4 input px wide (--psf-fwhm)" in said["contradiction"]
    assert np.isnan(fits.getdata(path, "RISK_BOUND")).all()
    assert np.isfinite(fits.getdata(path, "RISK")).all()


def test_without_a_calibration_votes_are_raw_and_said_to_be(folder, tmp_path):
    result = upscale(folder)
    assert result.job.maps == USUAL_RAW
    assert "no calibration" in result.job.calibration
    path = result.save(tmp_path / "out.fits")
    facts = read_provenance(path)
    assert facts["risk"]["calibrated"] is False
    assert "not calibrated" in facts["risk"]["words"]
    assert "domain" not in facts


@pytest.mark.parametrize("name", CALIBRATED)
def test_maps_that_need_a_calibration_are_refused_without(folder, name):
    with pytest.raises(OptionError, match=f"'{name}' cannot be made: toy has no calibration"):
        upscale(folder, maps=("mean", name))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"samples": 4}, "calibrated for --samples 6, not 4"),
        ({"tolerance": "2sigma"}, "other tolerances: 3sigma, 1sigma, 10%"),
        ({"noise_free": True}, "not for --noise-free"),
    ],
)
def test_settings_that_were_not_calibrated_fall_back_to_raw_votes(
    folder, calibration, options, reason
):
    result = upscale(folder, **options)
    assert reason in result.job.calibration
    assert result.job.maps == USUAL_RAW
    assert result.risk.shape == (320, 120)
    with pytest.raises(OptionError, match="cannot be made"):
        upscale(folder, maps=("risk",), **options)


def test_a_calibration_of_other_weights_is_an_error(folder, calibration):
    path = folder / "calibration.json"
    data = json.loads(path.read_text())
    data["key"]["weights"] = "0" * 64
    path.write_text(json.dumps(data))
    with pytest.raises(ModelError, match=r"is for weights 000.*sciup calibrate"):
        upscale(folder)


def test_the_provenance_says_what_is_promised_and_what_the_badge_says(
    folder, calibration, tmp_path
):
    result = upscale(folder)
    assert result.job.maps == USUAL
    for name in ("out.fits", "out.ome.zarr"):
        facts = read_provenance(result.save(tmp_path / name))
        assert facts["risk"]["calibrated"] is True
        assert (
            facts["risk"]["units"]["all"]
            == calibration.promises["sample 3sigma"].certificate.units["all"]
        )
        assert "3 sigma of the input noise" in facts["risk"]["event"]
        assert facts["domain"][0]["outside"] is False
        assert facts["domain"][0]["blocks"] == 2
        assert facts["fingerprint"]["calibration"] == calibration.digest


def test_risk_of_the_lazy_result_is_the_calibrated_map(folder, calibration):
    result = upscale(folder, maps=("mean",))
    maps, _ = compute(upscale(folder, maps=("risk",)))
    np.testing.assert_array_equal(result.risk.compute(scheduler="synchronous"), maps["risk"])


def test_the_command_line_says_whether_risk_is_calibrated(folder, calibration, tmp_path):
    from astropy.io import fits

    path = tmp_path / "in.fits"
    fits.writeto(path, star_field(SHAPE))
    run = CliRunner().invoke(
        app,
        ["upscale", str(path), str(tmp_path / "o.fits"), "--model", str(folder), "--dry-run",
         "--samples", str(K), "--psf-fwhm", "2.3"],
    )  # fmt: skip
    assert run.exit_code == 0, run.output
    assert "calibrated on 148 independent fields (made fields)" in " ".join(run.output.split())


def test_a_resumed_run_has_the_verdict_of_a_straight_one(folder, calibration, tmp_path):
    """Scores of blocks that were done before the stop come from the journal."""
    plane = star_field(SHAPE)
    cube = open_array(np.stack([plane, plane[::-1]]), domain="night-sky", flux_per_pixel=True)
    result = sciup.upscale(cube, model=folder, samples=K, precision="fp32", **FIXED)
    straight = read_provenance(result.save(tmp_path / "a.fits"))["domain"]

    def stop(done, total):
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        result.save(tmp_path / "b.fits", progress=stop)
    resumed = read_provenance(result.save(tmp_path / "b.fits", resume=True))["domain"]
    assert resumed == straight
    assert [v["plane"] for v in straight] == [0, 1]
    assert set(straight[0]["scores"]) == set(STATISTICS)


def test_another_calibration_cannot_resume(folder, calibration, tmp_path):
    result = upscale(folder)
    result.save(tmp_path / "a.fits")
    write_toy_calibration(folder, samples=K, seed=5)
    with pytest.raises(ResumeError, match="another calibration"):
        upscale(folder).save(tmp_path / "a.fits", resume=True)
