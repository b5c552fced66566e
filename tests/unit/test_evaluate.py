"""Figures of merit against hand-computed and analytic values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sciup.cli import app
from sciup.evaluate import baselines, metrics
from sciup.evaluate.draws import blur, draw_samples, measurement
from sciup.evaluate.sky import fields as sky_fields
from sciup.evaluate.sky import photometry
from sciup.evaluate.sky import real as sky_real
from sciup.evaluate.tables import Table
from sciup.generators.registry import ModelFacts
from sciup.io._array import open_array
from sciup.physics.psf import gaussian
from sciup.testing.toy_model import write_toy_model

# -- metrics -----------------------------------------------------------------------------------


def exchangeable(count: int, side: int = 256, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draws and a truth that come from one distribution."""
    rng = np.random.default_rng(seed)
    known = rng.normal(size=(side, side))
    all_of_them = known + rng.normal(size=(count + 1, side, side))
    return all_of_them[1:], all_of_them[0]


def test_exchangeable_draws_score_one():
    draws, truth = exchangeable(6)
    for side in (1, 4, 16):
        assert metrics.spread_skill(draws, truth, side) == pytest.approx(1, abs=0.1)
        assert metrics.range_coverage(draws, truth, side) == pytest.approx(1, abs=0.1)
    # the vote of many is the probability of being wrong
    assert metrics.vote_error(*exchangeable(60, 96), 0.5) < 0.04


def test_narrow_draws_score_below_one():
    draws, truth = exchangeable(6)
    narrow = draws.mean(0) + 0.5 * (draws - draws.mean(0))
    # spread halves; the error of the mean does not change
    assert metrics.spread_skill(narrow, truth) == pytest.approx(0.5, abs=0.02)
    assert metrics.range_coverage(narrow, truth) < 0.8
    draws, truth = exchangeable(60, 96)
    narrow = draws.mean(0) + 0.5 * (draws - draws.mean(0))
    assert metrics.vote_error(narrow, truth, 0.5) > 0.1


def test_crps_by_hand():
    draws = np.array([0.0, 1.0, 5.0]).reshape(3, 1, 1)
    # (2 + 1 + 3) / 3 - (1 + 5 + 4) / (3 * 2)
    assert metrics.crps(draws, np.full((1, 1), 2.0)) == pytest.approx(2 - 10 / 6)
    assert metrics.crps(draws[:1], np.full((1, 1), 2.0)) == 2.0


@pytest.mark.parametrize("count", [2, 5, 20])
def test_crps_is_fair(count: int):
    # two independent standard normal variates differ by 2 / sqrt(pi) on average
    rng = np.random.default_rng(1)
    draws, truth = rng.normal(size=(count, 300, 300)), rng.normal(size=(300, 300))
    assert metrics.crps(draws, truth) == pytest.approx(1 / np.sqrt(np.pi), rel=0.02)


def test_vote_and_its_error_by_hand():
    draws = np.zeros((3, 9, 9))
    draws[1] = 1.0
    assert (metrics.vote(draws, 0.5) == 0.5).all()
    assert metrics.vote_error(draws, np.zeros((9, 9)), 0.5) == 0.5
    assert metrics.vote_error(draws, np.ones((9, 9)), 0.5) == 0.5


def test_one_draw_has_no_spread():
    one = np.zeros((1, 8, 8))
    for score in (
        metrics.spread_skill(one, one[0]),
        metrics.range_coverage(one, one[0]),
        metrics.vote_error(one, one[0], 1.0),
    ):
        assert np.isnan(score)


def test_nrmse_is_the_uncorrelated_share():
    rng = np.random.default_rng(2)
    truth, noise = rng.normal(size=(2, 200, 200))
    # r^2 = 1 / (1 + 3)
    found = metrics.nrmse_affine(7 + 2 * (truth + np.sqrt(3) * noise), truth)
    assert found == pytest.approx(np.sqrt(0.75), rel=0.01)
    assert metrics.nrmse_affine(np.ones((4, 4)), truth[:4, :4]) == 1.0


def test_psnr_ssim_chi2_flux():
    rng = np.random.default_rng(3)
    truth = rng.uniform(size=(64, 64))
    assert metrics.ssim(truth, truth) == pytest.approx(1)
    assert metrics.ssim(1 - truth, truth) < 0
    assert metrics.psnr(truth + 0.01, truth) == pytest.approx(40)
    noise = 3 * rng.normal(size=(300, 300))
    mask = rng.uniform(size=noise.shape) < 0.5
    assert metrics.chi2(noise, 3.0, mask) == pytest.approx(1, abs=0.02)
    assert metrics.flux_ratio(2 * truth + 5, truth + 2.5, 0.0) == pytest.approx(2)
    assert metrics.flux_ratio(truth + 5, truth + 5, 5.0) == pytest.approx(1)


def test_frc_falls_where_the_noise_takes_over():
    rng = np.random.default_rng(4)
    n, cut = 256, 0.2
    f = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)[None])
    signal = np.fft.ifft2(np.fft.fft2(rng.normal(size=(n, n))) * (f < cut)).real
    first, second = signal + 1e-3 * rng.normal(size=(2, n, n))
    frequency, correlation = metrics.frc(first, second)
    assert correlation[frequency < 0.9 * cut].min() > 0.99
    assert abs(correlation[frequency > 1.1 * cut].mean()) < 0.05
    assert metrics.frc_resolution(frequency, correlation) == pytest.approx(1 / cut, rel=0.08)
    assert metrics.frc_resolution(*metrics.frc(signal, signal)) == pytest.approx(2)
    assert metrics.frc_resolution(frequency, 0 * correlation) == np.inf


@pytest.mark.parametrize("scale", [2, 4])
def test_grid_pattern_is_found(scale: int):
    rng = np.random.default_rng(5)
    image = rng.normal(size=(128, 130))
    pattern = np.zeros_like(image)
    pattern[:, ::scale] = 0.5
    assert metrics.grid_excess(image, scale) < 10
    assert metrics.grid_excess(image + pattern, scale) > 100


def test_bootstrap_interval_of_a_median():
    values = np.random.default_rng(6).normal(3, 1, 400)
    middle, low, high = metrics.bootstrap_median(values)
    # standard error of a median: sqrt(pi / 2 / n)
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(np.pi / 800), rel=0.3)
    assert low < middle < high
    assert np.isnan(metrics.bootstrap_median(np.array([]))).all()
    assert metrics.robust_scatter(values) == pytest.approx(1, abs=0.1)


# -- baselines ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [baselines.nearest, baselines.bicubic, baselines.lanczos])
@pytest.mark.parametrize("scale", [2, 4])
def test_interpolation_does_not_move_the_image(method, scale: int):
    y, x = np.mgrid[:24, :24].astype(float)
    fine = method(3 + 0.5 * y - 0.2 * x, scale)
    rows, cols = (np.mgrid[: 24 * scale, : 24 * scale] + 0.5) / scale - 0.5
    expected = 3 + 0.5 * rows - 0.2 * cols
    inner = np.s_[4 * scale : -4 * scale, 4 * scale : -4 * scale]
    limit = 0.5 if method is baselines.nearest else 0.05
    assert np.abs(fine - expected)[inner].max() < limit
    assert fine[inner].mean() == pytest.approx(expected[inner].mean(), abs=1e-9)


@pytest.mark.parametrize(
    "method", [baselines.richardson_lucy, baselines.wiener, baselines.total_variation]
)
def test_deconvolution_sharpens_and_stays_in_place(method):
    scale, n = 4, 32
    rows, cols = np.mgrid[: n * scale, : n * scale].astype(float)
    place = np.array([[61.3, 66.8]])
    source = 1e4 * np.exp(-0.5 * ((rows - 61.3) ** 2 + (cols - 66.8) ** 2) / 2.0**2)
    kernel = gaussian(57, 8.0)
    seen = metrics.block_mean(blur(source, kernel), scale)
    fine = method(seen, scale, kernel)
    assert fine.max() > 1.1 * baselines.bicubic(seen, scale).max()
    assert fine.sum() == pytest.approx(source.sum(), rel=0.02)
    assert photometry.windowed_centroid(fine, *place[0], 8.0) == pytest.approx(
        tuple(place[0]), abs=0.05
    )


# -- photometry --------------------------------------------------------------------------------


def star(side: int, y: float, x: float, flux: float, fwhm: float) -> np.ndarray:
    sigma = fwhm / 2.354820045
    rows, cols = np.mgrid[:side, :side].astype(float)
    r2 = (rows - y) ** 2 + (cols - x) ** 2
    return flux / (2 * np.pi * sigma**2) * np.exp(-0.5 * r2 / sigma**2)


def test_aperture_holds_what_it_should():
    places = np.array([[30.0, 30.0], [30.37, 30.81]])
    for place in places:
        image = 5 + star(61, *place, 1000.0, 6.0)
        found = photometry.aperture_fluxes(image, place[None], 9.0, (20.0, 25.0))
        # a Gaussian holds 1 - 2^-(2 r / FWHM)^2 within r
        assert found[0] == pytest.approx(1000 * (1 - 2.0**-9), rel=2e-3)
    assert photometry.aperture_fluxes(image, np.empty((0, 2)), 3.0).size == 0


@pytest.mark.parametrize("place", [(30.0, 30.0), (29.63, 31.25)])
def test_centroid_is_exact(place):
    found = photometry.windowed_centroid(star(61, *place, 10.0, 5.0), 30.4, 30.6, 5.0)
    assert found == pytest.approx(place, abs=1e-3)


def test_centroid_gives_up():
    image = star(61, 30.0, 30.0, 10.0, 5.0)
    assert np.isnan(photometry.windowed_centroid(image, 1.0, 30.0, 5.0)).all()
    assert np.isnan(photometry.windowed_centroid(-image, 30.0, 30.0, 5.0)).all()


def test_isolation_and_peaks():
    places = np.array([[10.0, 10.0], [10.0, 14.0], [40.0, 40.0]])
    fluxes = np.array([100.0, 5.0, 1.0])
    assert photometry.isolated(places, fluxes, 6.0).tolist() == [True, False, True]
    image = star(64, 20.0, 30.0, 500.0, 3.0) + star(64, 45.0, 12.0, 200.0, 3.0)
    found = photometry.peaks(image, np.ones_like(image))
    assert sorted(map(tuple, found.tolist())) == [(20.0, 30.0), (45.0, 12.0)]


# -- the run's own instrument ------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> ModelFacts:
    folder = tmp_path_factory.mktemp("model")
    return ModelFacts.read(write_toy_model(folder / "toy", channels=4, head_channels=4))


def test_measurement_in_input_units(toy: ModelFacts):
    rng = np.random.default_rng(8)
    values = (7 + 2 * rng.normal(size=(40, 50))).astype(np.float32)
    values[5, 6] = np.nan
    image = open_array(values, flux_per_pixel=True, domain="night-sky")
    from sciup.api import upscale

    result = upscale(
        image, model=toy.folder, samples=1, background=7.0, noise_sigma=2.0, gain=1e9, psf_fwhm=2.0
    )
    seen = measurement(result)
    assert seen.values.shape == values.shape
    assert np.isnan(seen.values[5, 6])
    assert not seen.footprint[5, 6]
    assert np.allclose(seen.level, 7)
    assert np.allclose(seen.sigma, 2, rtol=1e-4)
    drawn = draw_samples(result, 2)
    mean = result.mean.compute(scheduler="sync")
    assert np.array_equal(drawn.mean, mean, equal_nan=True)
    one = result.sample(1).compute(scheduler="sync")
    assert np.array_equal(drawn.samples[1], one, equal_nan=True)


# -- sky ---------------------------------------------------------------------------------------


def test_correlated_noise_in_apertures():
    from sciup.generators.noise import correlate

    rng = np.random.default_rng(11)
    y, x = np.mgrid[-5:6, -5:6]
    disc = np.hypot(y, x) <= 3
    white = rng.normal(size=(20000, 13, 13)).astype(np.float32)
    sums = correlate(white, 0.3)[:, disc].sum(1)
    expected = sky_real.correlated_error(3.0, 0.3) * np.sqrt(disc.sum())
    assert sums.std() == pytest.approx(expected, rel=0.03)
    assert sky_real.correlated_error(3.0, 0.0) == 1.0


def test_the_middle_of_an_image():
    image = open_array(np.zeros((700, 100), "float32"))
    box = sky_real.middle(image, 256)
    assert box.shape == (256, 100)
    assert box.start == (192, 0)


# -- tables and the command line ---------------------------------------------------------------


def test_tables_are_written(tmp_path: Path):
    Table("t", "Title.", [{"a": 1.0, "b": float("nan")}, {"a": 2.0, "c": "x"}], ["Note."]).write(
        tmp_path
    )
    assert "| 1.000 |  |  |" in (tmp_path / "t.md").read_text()
    assert (tmp_path / "t.csv").read_text().splitlines()[0] == "a,b,c"
    assert json.loads((tmp_path / "t.json").read_text())["rows"][0]["b"] is None


def test_the_command_line_on_the_sky(tmp_path: Path, toy: ModelFacts):
    rng = np.random.default_rng(10)
    places = rng.uniform(30, 200, (6, 2))
    scene = sum(star(256, y, x, 500.0, 2.0) for y, x in places)
    sources = [{"kind": "star", "y": y, "x": x, "flux": 500.0} for y, x in places.tolist()]
    pack = tmp_path / "scenes.npy"
    np.save(pack, scene[None].astype(np.float32))
    pack.with_suffix(".json").write_text(json.dumps({"role": "test", "scenes": [sources]}))
    from astropy.io import fits

    folder = tmp_path / "real" / "hst_lenses"
    folder.mkdir(parents=True)
    seen = sky_fields.observe(scene, gaussian(29, 3.0), 2, rng).astype(np.float32)
    fits.PrimaryHDU(seen).writeto(folder / "field.fits")
    options = [str(toy.folder), str(tmp_path / "real"), "--scenes", str(pack)]
    result = CliRunner().invoke(app, ["evaluate", *options, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    names = {p.stem for p in (tmp_path / "out").iterdir()}
    assert names >= {"sky_photometry_known", "sky_centroids", "sky_scores", "sky_real_photometry"}
