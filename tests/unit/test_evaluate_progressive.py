"""A progressive sampler of the night sky beside its rivals, on fields whose answer is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciup.evaluate import keypoints as shared
from sciup.evaluate.sky import fields as sky_fields
from sciup.evaluate.sky import progressive, textures
from sciup.evaluate.sky import run as sky
from sciup.generators.registry import ModelFacts
from sciup.testing.toy_model import write_toy_model
from sciup.train.sky.scenes import add_star

SIDE = 160
STARS = ((50, 60.3), (100.7, 50), (80, 105))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    small = {"channels": 4, "head_channels": 4}
    made = {
        scale: write_toy_model(folder / f"toy-x{scale}", scale=scale, target_fwhm=fwhm, **small)
        for scale, fwhm in ((8, 4.0), (4, 3.0), (2, 2.0))
    }
    return {scale: ModelFacts.read(path) for scale, path in made.items()}


@pytest.fixture(scope="module")
def field(models):
    scene = np.zeros((SIDE, SIDE))
    for y, x in STARS:
        add_star(scene, y, x, 300.0)
    return sky_fields.make_field(scene, [], 0, models[8], added=0)


def test_the_truth_itself_has_every_keypoint(field, models):
    true = progressive.places(field.truth, field, models[8])
    assert len(true.of(0)) == len(true) == len(STARS)
    found = progressive.score(np.stack([field.truth] * 2), true, field, models[8])
    assert (found["error"], found["crps"]) == (0, 0)
    assert found["hits_point"] == found["both_point"] == 2 * len(STARS)


def test_what_is_blurred_is_no_point_any_more_but_in_its_place(field, models):
    true = progressive.places(field.truth, field, models[8])
    blurred = gaussian_filter(field.truth, 4.0)
    found = progressive.score(blurred[None], true, field, models[8])
    assert found["hits_point"] == 0
    assert found["hits_any"] == found["both_any"] == 2 * len(STARS)
    assert "crps" not in found


def test_sources_below_the_limit_count_nowhere(field, models):
    faint = field.truth * 0.1 * sky_fields.flux_of(5.0, field) / 300.0
    assert len(progressive.places(faint, field, models[8])) == 0


def test_gains_and_f1_of_the_table():
    def row(method, field, error, hits, both):
        counts = {f"{what}_{k}": n for k in progressive.COUNTED
                  for what, n in (("hits", hits), ("both", both))}  # fmt: skip
        return {"method": method, "field": field, "error": error, "lsd": 1.0} | counts

    rival = f"{shared.rival_name('night-sky')}, average"
    made = [
        row(method, field, error * times, hits, both)
        for field, times, both in (("a", 1.0, 4), ("b", 7.0, 12))
        for method, error, hits in (("bicubic", 1.0, 0), (rival, 0.2, 2), ("mean", 0.1, 4))
    ]
    by = {row["method"]: row for row in progressive.table(made, "made").rows}
    assert by["mean"]["gain"] == pytest.approx(10)
    assert by["mean"]["over rival"] == pytest.approx(3.0103, abs=1e-4)
    assert by[rival]["F1 point"] == pytest.approx(4 / 16)
    assert by["mean"]["F1 any"] == pytest.approx(8 / 16)
    assert by["bicubic"]["F1 extended"] == 0


def test_a_progressive_model_is_evaluated_beside_its_rivals(field, models, monkeypatch):
    stages = tuple(str(models[scale].folder) for scale in (4, 2))
    monkeypatch.setitem(shared.STAGES, "night-sky", stages)
    monkeypatch.setattr(textures, "SETTINGS", {"Richardson-Lucy": (1,), "Wiener": (5,), "TV": (1,)})
    for module, draws in ((sky, 4), (sky_fields, 4), (progressive, 2)):
        monkeypatch.setattr(module, "DRAWS", draws)
    monkeypatch.setattr(sky, "fields", lambda *_a, **_k: iter([field]))
    tables, figures = sky.evaluate(models[8], None, count=1, told=("all",))
    assert tables[0].name == "progressive"
    rows = {row["method"]: row for row in tables[0].rows}
    theirs = f"{' then '.join(stages)}, average"
    assert {"mean", "toy-x8, draw", theirs, "bicubic", "TV", "heatmaps"} <= set(rows)
    assert rows["bicubic"]["gain"] == rows[theirs]["over rival"] == 0
    assert rows[theirs]["crps"] > 0
    assert np.isnan(rows["mean"]["crps"])
    assert np.isnan(rows["heatmaps"]["gain"])
    assert set(figures) >= {"progressive_sheet", "sky_sheet"}
    # no such table for a plain sampler
    assert sky.progressive.Comparison(models[8]).tables("none") == []


def test_the_rival_has_the_resolution_of_the_truth_and_keeps_the_light(field, models, monkeypatch):
    stages = tuple(str(models[scale].folder) for scale in (4, 2))
    monkeypatch.setitem(shared.STAGES, "night-sky", stages)
    monkeypatch.setattr(progressive, "DRAWS", 2)
    widths = []
    kept = progressive.at_target

    def spy(image, fwhm):
        widths.append(fwhm)
        return kept(image, fwhm)

    monkeypatch.setattr(progressive, "at_target", spy)
    draws = progressive.Comparison(models[8])._rival(field)
    assert widths == [4.0]
    assert draws.shape == (2, SIDE, SIDE)
    assert not np.array_equal(draws[0], draws[1])
    assert draws.sum((1, 2)) == pytest.approx([field.observed.sum()] * 2, rel=0.1)
