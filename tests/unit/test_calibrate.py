"""What a calibration counts is what the engine paints."""

import numpy as np
import pytest

import sciup
from sciup.calibrate.check import (
    Pixels,
    average_precision,
    by_stratum,
    price,
    risk_of,
    score,
    verdict_of,
)
from sciup.calibrate.fields import CONDITIONS, _own_split
from sciup.calibrate.observe import observe
from sciup.engine.job import Worker
from sciup.engine.settings import MAPS
from sciup.io._array import open_array
from sciup.risk.evidence import TOLERANCES
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import cells, star_field
from sciup.testing.toy_model import write_toy_model

K = 5
SHAPE = (160, 96)
CASES = [("night-sky", 2), ("fluorescence", 4), ("fluorescence", 1)]


@pytest.fixture(scope="module", params=CASES, ids=str)
def run(request, tmp_path_factory):
    domain, scale = request.param
    folder = write_toy_model(
        tmp_path_factory.mktemp("m") / "toy", scale=scale, domain=domain, channels=4,
        head_channels=4,
    )  # fmt: skip
    calibration = write_toy_calibration(folder, samples=K)
    values = star_field(SHAPE) if domain == "night-sky" else cells(SHAPE)
    image = open_array(values, domain=domain, flux_per_pixel=domain == "night-sky")

    def upscale(tolerance):
        return sciup.upscale(
            image, model=folder, samples=K, psf_fwhm=2.3, maps=MAPS, tolerance=tolerance,
            precision="fp32", device="cpu",
        )  # fmt: skip

    return upscale, calibration


@pytest.mark.parametrize("tolerance", TOLERANCES, ids=str)
def test_risk_of_an_observation_is_the_map_of_the_engine(run, tolerance):
    upscale, calibration = run
    result = upscale(str(tolerance))
    (task,) = result.job.tasks()
    worker = Worker(result.job)
    maps = worker.compute(task)
    seen = observe(result, K + 1)
    np.testing.assert_array_equal(seen.draws[0], maps["sample"].astype(np.float64))
    risk, event = risk_of(seen, seen.draws[2], calibration, tolerance)
    # at the very edge the engine sees what lies beyond it, and a mean over 5 px reaches 2 px
    inner = np.s_[8:-8, 8:-8]
    assert (np.abs(risk - maps["risk"])[inner] > 1e-6).mean() < 2e-3
    assert np.isin(event, (-1, 0, 1)).all()
    of_mean, _ = risk_of(seen, seen.draws[2], calibration, tolerance, "mean")
    assert (np.abs(of_mean - maps["risk_mean"])[inner] > 1e-6).mean() < 2e-3
    assert not np.array_equal(of_mean, risk)
    scores = calibration.familiar.scores(seen.statistics)
    for (y, x), row in worker.scores.items():
        np.testing.assert_allclose(scores[y // 128, x // 128], row, rtol=1e-5)
    assert verdict_of(seen, calibration)["outside"] is False


def test_a_perfect_risk_has_no_error_and_beats_snr():
    rng = np.random.default_rng(0)
    risk = rng.choice([0.1, 0.5, 0.9], 60000)
    wrong = rng.random(risk.size) < risk
    found = score([Pixels(risk, rng.random(risk.size), wrong, {"std": rng.random(risk.size)})])
    assert found["ece"] < 0.01
    assert found["brier_skill"] > 0.3
    assert found["auroc"] > 0.85
    assert found["ap"] > found["ap_std"] + 0.2
    assert found["said"] == pytest.approx(found["wrong"], abs=0.01)


def test_average_precision_by_hand():
    wrong = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 3, 2, 1]), wrong) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.ones(4), wrong) == pytest.approx(0.5)  # ties know nothing
    assert np.isnan(average_precision(np.ones(2), np.zeros(2, bool)))


def test_own_images_are_familiar_or_calibrate_but_not_both():
    units = [f"{i}.tif" for i in range(400)]
    train, calibrate = ([_own_split(u, s) for u in units] for s in ("train", "calibrate"))
    assert all(a != b for a, b in zip(train, calibrate, strict=True))
    assert 0.15 < np.mean(train) < 0.35
    assert all(_own_split(u, "test") for u in units)
    assert set(CONDITIONS) == {1, 2, 4, 8}


def test_a_stratum_keeps_its_pixels_together():
    snr = np.array([1.0, 2.0, 4.9, 5.0, 80.0])
    wrong = snr < 4.95
    part = Pixels(snr / 100, snr, wrong, {"std": 10 * snr})
    (found,) = by_stratum([part], 2.0, 5.0)
    assert found.snr.tolist() == [2.0, 4.9]
    assert found.wrong.all()
    np.testing.assert_array_equal(found.rivals["std"], 10 * found.snr)
    assert score(by_stratum([part], 5.0, np.inf))["wrong"] == 0
    assert score(by_stratum([part], 100.0, np.inf)) == {"pixels": 0}


def test_the_price_of_an_alarm_is_a_mean_over_units():
    """Two fields of one unit weigh as one of another; a single unit has no error."""
    rows = [("a", 0.1, 0.5), ("a", 0.3, 0.7), ("b", 0.0, 0.2)]
    found = price([{"unit": u, "unflagged": m, "flagged": f} for u, m, f in rows])
    assert found["units"] == 2
    assert found["unflagged"] == pytest.approx(0.1)
    assert found["flagged"] == pytest.approx(0.4)
    assert found["error"] == pytest.approx(0.1)
    assert np.isnan(price([{"unit": "a", "unflagged": 0.1, "flagged": 0.5}])["error"])
