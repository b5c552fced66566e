"""A progressive sampler of the night sky beside its rivals, on fields whose answer is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sciup.evaluate import keypoints as shared
from sciup.evaluate.draws import draw_samples
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


@pytest.fixture(scope="module")
def compared(field, models):
    """One field through everything, with toys for rivals and one setting of each method."""
    stages = tuple(str(models[scale].folder) for scale in (4, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(shared.STAGES, "night-sky", stages)
        patch.setattr(textures, "SETTINGS", {"Richardson-Lucy": (1,), "Wiener": (5,), "TV": (1,)})
        patch.setattr(progressive, "DRAWS", 2)
        made = progressive.Comparison(models[8])
        made.add(field, draw_samples(sky_fields.run_field(field, models[8], "all", samples=1), 2))
        yield made, " then ".join(stages)


def test_a_progressive_model_stands_beside_its_rivals(compared, tmp_path):
    made, rival = compared
    (table,) = made.tables("made")
    rows = {row["method"]: row for row in table.rows}
    theirs = f"{rival}, average"
    assert {"mean", "toy-x8, draw", theirs, "bicubic", "TV", "heatmaps"} <= set(rows)
    assert rows["bicubic"]["gain"] == rows[theirs]["over rival"] == 0
    assert rows[theirs]["crps"] > 0
    assert np.isnan([rows["mean"]["crps"], rows["heatmaps"]["gain"]]).all()
    (figure,) = made.figures().values()
    figure.savefig(tmp_path / "sheet.png")


def test_the_rival_has_the_resolution_of_the_truth_and_keeps_the_light(compared, field):
    images = compared[0].shown[0][1]
    one, other = images["4x then 2x"], images["a draw of these"]
    assert not np.array_equal(one, other)
    assert one.sum() == pytest.approx(field.observed.sum(), rel=0.1)
    # what it drew was blurred from 2 px to 4: nothing above half a cycle in 4 px is left
    power = np.abs(np.fft.fft2(one)) ** 2
    fast = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIDE)] * 2)) > 0.3
    assert power[fast].mean() < 1e-3 * power[~fast].mean()


def test_a_plain_sampler_has_no_such_table(models):
    nothing = progressive.Comparison(models[2])
    assert (nothing.tables("made"), nothing.figures()) == ([], {})


def test_evaluate_asks_for_it_with_the_instrument_known(field, models, monkeypatch):
    added = []
    monkeypatch.setattr(progressive.Comparison, "add", lambda _, *what: added.append(what))
    monkeypatch.setattr(sky, "fields", lambda *_a, **_k: iter([field]))
    for module in (sky, sky_fields):
        monkeypatch.setattr(module, "DRAWS", 2)
    sky.evaluate(models[8], None, count=1, told=("all",))
    ((which, drawn),) = added
    assert which is field
    assert drawn.samples.shape == (2, SIDE, SIDE)
