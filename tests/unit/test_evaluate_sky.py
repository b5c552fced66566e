"""Figures of merit of the night sky against fields whose answer is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sciup.errors import InputError
from sciup.evaluate import metrics
from sciup.evaluate.draws import blur, predict
from sciup.evaluate.sky import detect as sky_detect
from sciup.evaluate.sky import fields as sky_fields
from sciup.evaluate.sky import photometry
from sciup.evaluate.sky import plots as sky_plots
from sciup.evaluate.sky import run as sky
from sciup.evaluate.sky import sources as sky_sources
from sciup.generators.registry import ModelFacts
from sciup.physics.psf import moments
from sciup.testing.toy_model import write_toy_model


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> ModelFacts:
    folder = tmp_path_factory.mktemp("model")
    return ModelFacts.read(write_toy_model(folder / "toy", channels=4, head_channels=4))


def star(side: int, y: float, x: float, flux: float, fwhm: float = 2.0) -> np.ndarray:
    sigma = fwhm / 2.354820045
    rows, cols = np.mgrid[:side, :side].astype(float)
    r2 = (rows - y) ** 2 + (cols - x) ** 2
    return flux / (2 * np.pi * sigma**2) * np.exp(-0.5 * r2 / sigma**2)


def grid_of_stars(flux: float = 400.0) -> tuple[np.ndarray, list[dict]]:
    rng = np.random.default_rng(9)
    scene, sources = np.zeros((256, 256)), []
    for y, x in 40.0 + 44 * np.argwhere(np.ones((5, 5))) + rng.uniform(-1, 1, (25, 2)):
        scene += star(256, y, x, flux)
        sources.append({"kind": "star", "y": y, "x": x, "flux": flux})
    return scene, sources


@pytest.mark.parametrize("told", ["all", "width", "nothing"])
def test_prediction_is_where_the_input_is(toy: ModelFacts, told):
    """The instrument of a run sends a fine star to the pixels where the field's own did."""
    scene = star(256, 120.3, 131.7, 3000.0)
    field = sky_fields.make_field(scene, [], 3, toy, 0)
    result = sky_fields.run_field(field, toy, told)
    found = predict(result, field.truth)
    exact = metrics.block_mean(blur(field.truth, field.kernel), 2) * 4
    assert found.sum() == pytest.approx(exact.sum(), rel=1e-6)
    at = photometry.to_input(np.array([120.3, 131.7]), 2)
    for image in (found, exact):
        assert photometry.windowed_centroid(image, at[0], at[1], 3.0) == pytest.approx(
            tuple(at), abs=0.01
        )
    if told == "all":
        assert np.abs(found - exact).max() < 0.04 * exact.max()


@pytest.mark.parametrize("shape", sky_fields.SHAPES)
def test_the_total_psf_has_the_width_that_is_asked_for(toy: ModelFacts, shape):
    numbers = range(60)
    fields = (sky_fields.make_field(np.zeros((64, 64)), [], i, toy) for i in numbers)
    field = next(f for f in fields if f.shape == shape)
    wanted = sky_fields.total_psf(shape, 117, 2 * field.fwhm)
    assert moments(field.total)[0] == pytest.approx(moments(wanted)[0], rel=0.03)
    assert field.psf.sum() == pytest.approx(1)


def test_flux_and_signal_to_noise_are_inverse(toy: ModelFacts):
    field = sky_fields.make_field(np.zeros((64, 64)), [], 0, toy)
    for snr in (1.0, 5.0, 300.0):
        assert sky_fields.signal_to_noise(sky_fields.flux_of(snr, field), field) == pytest.approx(
            snr
        )


def test_exact_draws_have_no_bias(toy: ModelFacts):
    """Draws that are the truth: bias 0, right S/N, centroids in place."""
    scene, sources = grid_of_stars()
    field = sky_fields.make_field(scene, sources, 1, toy, 0)
    draws = np.stack([field.truth, field.truth])
    rows = sky_sources.measure_sources(field, draws, toy)
    assert len(rows) == 25
    table = sky_sources.photometry_table(rows, 2, "t", "t")
    row = next(r for r in table.rows if r["n"])
    assert row["bias_%"] == pytest.approx(0, abs=1e-9)
    assert row["bicubic_bias_%"] == pytest.approx(0, abs=3)
    for centre in sky_sources.centroid_rows(rows, {}):
        assert abs(centre["median_px"]) < 0.02
    place = sky_sources.astrometry_table(rows, "t", "t").rows[0]
    assert place["mean_px"] < 1e-6 < place["bicubic_px"]


def test_pulls_of_honest_draws_have_unit_width(toy: ModelFacts):
    rng = np.random.default_rng(0)
    values = rng.normal(100, 7, (4000, 17))
    rows = [{"flux": v[0], "mean": v[1:].mean(), "spread": v[1:].std(ddof=1)} for v in values]
    assert sky_sources.pulls(rows, 16).std() == pytest.approx(1, abs=0.03)


def honest(field: sky_fields.Field, seed: int, count: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Draws and a truth from one distribution: each place has a star in three of ten images."""
    rng = np.random.default_rng(seed)
    places = np.argwhere(np.ones((7, 7))) * 30 + 35.0
    images = np.zeros((count + 1, 256, 256))
    for i in range(count + 1):
        for y, x in places:
            if rng.uniform() < 0.3:
                images[i] += star(256, *(np.array([y, x]) + rng.normal(0, 0.3, 2)), 100.0)
    return images[1:], images[0]


def test_existence_is_reliable_for_exchangeable_draws(toy: ModelFacts):
    field = sky_fields.make_field(np.zeros((256, 256)), [], 0, toy)
    candidates, invented = [], []
    for seed in range(4):
        draws, truth = honest(field, seed)
        found = sky_detect.detect(replace(field, truth=truth), draws, toy)
        candidates += found[0]
        invented.append(found[2])
        assert all(0 <= r["p"] <= 1 for r in found[1])
    p, exists = (np.array([r[k] for r in candidates]) for k in ("p", "exists"))
    assert p.mean() == pytest.approx(exists.mean(), abs=0.1)
    assert p.mean() == pytest.approx(0.3, abs=0.06)
    row = sky_detect.false_table(invented, "t", "t").rows[0]
    assert row["ok"] == "no"
    # exchangeable: a draw has as many sources that the truth lacks as the truth that a draw lacks
    assert row["false_per_Mpx"] == pytest.approx(row["missed_per_Mpx"], rel=0.15)
    assert {r["P"] for r in sky_detect.reliability_table(candidates, "t", "t").rows} >= {"0.1-0.3"}


def test_draws_that_are_the_truth_invent_nothing(toy: ModelFacts):
    scene, sources = grid_of_stars()
    field = sky_fields.make_field(scene, sources, 1, toy, 0)
    candidates, found, invented = sky_detect.detect(field, np.stack([field.truth] * 4), toy)
    assert invented["false"] == invented["missed"] == 0
    assert invented["empty"] == invented["blank"] > 1000
    assert len(candidates) == len(found) == 25
    table = sky_detect.completeness_table(candidates, found, "t", "t").rows
    row = next(r for r in table if r["sources"])
    assert (row["completeness"], row["purity"]) == (1, 1)


def test_all_tables_of_simulated_fields(tmp_path: Path, toy: ModelFacts, monkeypatch):
    for module in (sky, sky_fields, sky_plots):
        monkeypatch.setattr(module, "DRAWS", 4)
    scene, sources = grid_of_stars()
    pack = tmp_path / "scenes.npy"
    np.save(pack, scene[None].astype(np.float32))
    pack.with_suffix(".json").write_text(json.dumps({"role": "train", "scenes": [sources]}))
    with pytest.raises(InputError, match="role 'train'"):
        sky.evaluate(toy, None, scenes=pack, count=1)
    found, figures = sky.evaluate(toy, None, scenes=pack, count=1, role="train")
    tables = {t.name: t for t in found}
    assert set(tables) >= {"sky_photometry_known", "sky_photometry_estimated", "sky_existence"}
    score = tables["sky_scores"].rows[0]
    assert np.isfinite(score["skill16_asinh"])
    assert score["flux_ok"].endswith("/1")
    for table in tables.values():
        assert table.markdown()
    assert {"sky_sheet", "sky_pulls_known"} <= set(figures)
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png")


def test_total_flux():
    values = np.full((40, 40), 2.0)
    found = sky.total_flux(values, np.full((80, 80), 0.505), np.ones((40, 40)))
    assert found["flux_difference"] == pytest.approx(0.01)
    # light that leaves through the edge does not count
    values[0, 20] += 1000
    assert abs(sky.total_flux(values, np.full((80, 80), 0.5), np.ones((40, 40)))["flux_sigmas"]) < 1


def test_stars_are_added_where_there_is_room(toy: ModelFacts):
    scene, sources = grid_of_stars()
    plain = sky_fields.make_field(scene, sources, 1, toy, 0)
    field = sky_fields.make_field(scene, sources, 1, toy)
    new = field.places[25:]
    assert 10 < len(new) <= sky_fields.ADDED
    assert field.truth.sum() - plain.truth.sum() == pytest.approx(field.fluxes[25:].sum(), rel=0.01)
    snr = sky_fields.signal_to_noise(field.fluxes[25:], field)
    assert snr.min() > 4.9
    assert snr.max() < 201
    faint = field.fluxes[25:] < 5 * 400.0  # a source of the grid is no neighbour to a brighter one
    assert all(np.hypot(*(field.places[:25] - p).T).min() >= 10 for p in new[faint])
