"""Blind rating: the statistics against raters whose opinions are known, and the command."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sciup.errors import InputError
from sciup_napari.rating import scores
from sciup_napari.rating.__main__ import main
from sciup_napari.rating.inference import against_half, holm, signed_rank, two_way
from sciup_napari.rating.record import Log
from sciup_napari.rating.study import Study

IMAGES = tuple(f"i{n:02}" for n in range(12))
MEANS = {"bicubic": 2.0, "net": 3.6, "twin": 3.6, "truth": 4.5}


def opinions_of(raters, images, rng, *, mean=3.0, rater=0.4, image=0.4, noise=0.7):
    """Scores of raters with their own strictness, of images that please more or less."""
    shape = len(raters) if isinstance(raters, list) else raters, images
    x = mean + rater * rng.normal(size=(shape[0], 1)) + image * rng.normal(size=(1, images))
    return np.clip(np.rint(x + noise * rng.normal(size=shape)), 1, 5)


def rated(folder, raters=6, task="scores", seed=0, fooled=0.5, fsync=None):
    """A folder with answers of simulated raters, and no pictures."""
    study = Study(folder, tuple(sorted(MEANS)), IMAGES, "truth", {})
    rng = np.random.default_rng(seed)
    likes = dict(zip(IMAGES, 0.3 * rng.normal(size=len(IMAGES)), strict=True))
    for r in range(raters):
        log, strict = Log(study, f"r{r}", task), 0.3 * rng.normal()
        while not log.finished:
            trial = log.trials[log.position]
            if task == "scores":
                x = MEANS[trial.method] + strict + likes[trial.image] + 0.5 * rng.normal()
                given = str(int(np.clip(np.rint(x), 1, 5)))
            else:
                wrong = {"left": "right", "right": "left"}[trial.truth_side]
                share = {"bicubic": 0.02}.get(trial.method, fooled)
                given = wrong if rng.random() < share else trial.truth_side
            log.answer(given, float(rng.uniform(1, 5)))
    return study


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Nobody waits for the disk in a simulation."""
    monkeypatch.setattr("sciup_napari.rating.record.os.fsync", lambda _: None)


def by(table, *keys):
    return {tuple(row[k] for k in keys): row for row in table.rows}


# -- inference ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("raters", "images"), [(4, 8), (8, 20), (1, 15)])
def test_intervals_hold_the_mean_of_all_raters_and_images(raters, images):
    rng = np.random.default_rng(0)
    strict = 0.0 if raters == 1 else 0.4  # one rater cannot know how strict others are
    wide = {"rater": strict}
    expected = opinions_of(3000, 1, rng, rater=np.hypot(strict, 0.4), image=0).mean()
    runs, hits, naive = 300, 0, 0
    for n in range(runs):
        x = opinions_of(raters, images, rng, **wide)
        _, low, high = two_way(x, n)
        hits += low <= expected <= high
        half = 1.96 * x.std() / np.sqrt(x.size)
        naive += abs(x.mean() - expected) <= half
    assert hits / runs > 0.92
    assert naive / runs < 0.9  # what taking all answers for independent would do


def test_intervals_shrink_with_raters_and_images():
    rng = np.random.default_rng(1)
    widths = []
    for n in (4, 16, 64):
        _, low, high = two_way(opinions_of(n, n, rng))
        widths.append(high - low)
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]


def test_missing_answers_and_a_single_one():
    x = np.array([[1.0, np.nan, 3.0], [2.0, 2.0, np.nan], [np.nan] * 3])
    found, low, high = two_way(x)
    assert found.value == 2
    assert 1 <= low <= 2 <= high <= 3
    found, low, high = two_way(np.array([[4.0]]))
    assert found.value == 4
    assert np.isnan([low, high]).all()
    assert np.isnan(two_way(np.full((2, 2), np.nan))[0].value)


@pytest.mark.parametrize(("raters", "images"), [(1, 8), (5, 12), (6, 40)])
def test_the_pairwise_test_keeps_its_level_where_methods_are_equal(raters, images):
    rng = np.random.default_rng(2)
    runs, wrong = 400, 0
    for _ in range(runs):
        liked = 0.5 * rng.normal(size=images)
        a, b = (
            np.clip(np.rint(3 + liked + 0.8 * rng.normal(size=(raters, images))), 1, 5)
            for _ in range(2)
        )
        wrong += signed_rank(a.mean(0) - b.mean(0)) < 0.05
    assert wrong / runs < 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert signed_rank(np.arange(1.0, 13.0)) < 0.001  # and it sees what is there


@pytest.mark.parametrize("values", [[1, -2, 3, 4, 5], [0, 0, 1, 1, -1, 2, 3, 3], [5, 5, 5, 0]])
def test_all_signs_give_the_p_of_scipy(values):
    expected = stats.wilcoxon(values, zero_method="pratt").pvalue
    assert signed_rank(np.array(values, float)) == pytest.approx(expected)


def test_equal_scores_are_no_difference():
    assert signed_rank(np.zeros(9)) == 1
    assert np.isnan(signed_rank(np.full(3, np.nan)))
    third = np.array([1 / 3 + 1 / 3 + 1 / 3 - 1, 0.1 + 0.2 - 0.3])
    assert signed_rank(third) == 1  # rounding is no opinion


def test_holm_is_the_textbooks_and_stays_above_p():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    found = holm([0.5, float("nan"), 0.01])
    assert found[0] == 0.5
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(0.02)


def test_the_share_against_one_half():
    low, high, p = against_half(8, 10)
    assert (low, high) == pytest.approx((stats.beta.ppf(0.025, 8, 3), stats.beta.ppf(0.975, 9, 2)))
    assert p == pytest.approx(2 * stats.binom.sf(7, 10, 0.5))
    assert against_half(0, 5)[0] == 0


# -- tables -------------------------------------------------------------------------------------


def test_known_opinions_are_found(tmp_path):
    rated(tmp_path)
    opinions, pairs, raters = scores.results(tmp_path)
    rows = by(opinions, "method")
    assert opinions.rows[0]["method"] == "truth"
    for method, mean in MEANS.items():
        row = rows[(method,)]
        assert row["low"] < mean < row["high"]
        assert (row["raters"], row["images"], row["answers"]) == (6, 12, 72)
    found = by(pairs, "method", "against")
    assert len(found) == 6
    assert found["bicubic", "net"]["p_holm"] < 0.05
    assert found["bicubic", "net"]["high"] < 0
    assert found["net", "twin"]["p_holm"] > 0.05
    assert found["net", "twin"]["low"] < 0 < found["net", "twin"]["high"]
    assert all(row["p_holm"] >= row["p"] for row in pairs.rows)
    assert all(row["alike"] > 0.5 for row in raters.rows)
    assert all(1 <= row["seconds"] <= 5 for row in raters.rows)


def test_the_value_is_the_plain_mean_of_first_answers(tmp_path):
    study = rated(tmp_path, raters=2)
    every = scores.collect(tmp_path)
    values = [
        a.value for one in every for a in one.answers
        if a.trial.method == "net" and not a.trial.repeat
    ]  # fmt: skip
    row = by(scores.results(tmp_path)[0], "method")[("net",)]
    assert row["score"] == pytest.approx(np.mean(values))
    assert len(values) == 2 * len(study.images)


def test_how_often_the_truth_was_missed(tmp_path):
    rated(tmp_path, task="choice", raters=8)
    fooled, raters = scores.results(tmp_path)
    rows = by(fooled, "method")
    assert set(rows) == {("bicubic",), ("net",), ("twin",)}
    assert rows[("bicubic",)]["fooled"] < 0.1
    assert rows[("bicubic",)]["p_holm"] < 1e-6
    assert rows[("bicubic",)]["high"] < 0.2
    for method in ("net", "twin"):
        assert rows[(method,)]["low"] < 0.5 < rows[(method,)]["high"]
        assert rows[(method,)]["p_holm"] > 0.05
    assert all(0.3 < row["left"] < 0.7 for row in raters.rows)


def test_a_steady_rater_and_a_guessing_one(tmp_path):
    study = Study(tmp_path, tuple(MEANS), IMAGES, "truth", {})
    steady, guess = Log(study, "steady", "scores"), Log(study, "guess", "scores")
    rng = np.random.default_rng(0)
    while not steady.finished:
        steady.answer(str(1 + IMAGES.index(steady.trials[steady.position].image) % 5), 1)
    while not guess.finished:
        guess.answer(str(rng.integers(1, 6)), 1)
    row = by(scores.results(tmp_path)[-1], "rater")
    assert row[("steady",)]["same"] == 1
    assert row[("steady",)]["apart"] == 0
    assert row[("guess",)]["same"] < 1
    assert row[("guess",)]["apart"] > 0
    assert abs(row[("guess",)]["alike"]) < 0.5


def test_what_must_be_known_is_said(tmp_path):
    study = rated(tmp_path, raters=1)
    assert "One rater only" in scores.results(tmp_path)[0].markdown()
    Log(study, "late", "scores").answer("3", 1)
    other = Study(tmp_path, study.methods, IMAGES, None, {}, seed=5)
    Log(other, "odd", "scores").answer("3", 1)
    text = scores.results(tmp_path)[0].markdown()
    assert "Not finished: late, odd" in text
    assert "seeds differ" in text
    assert "different truths" in text


# -- command ------------------------------------------------------------------------------------


def test_the_command_prints_and_writes_tables(tmp_path, capsys):
    rated(tmp_path, raters=3)
    rated(tmp_path, raters=3, task="choice")
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path), "--out", str(tmp_path / "out")])
    assert end.value.code == 0
    told = capsys.readouterr().out
    for word in ("Mean opinion score", "p_holm", "fooled", "r2", *MEANS):
        assert word in told
    names = {"opinions", "pairs", "fooled", "raters"}
    assert {p.stem for p in (tmp_path / "out").iterdir()} == names
    data = json.loads((tmp_path / "out" / "opinions.json").read_text())
    assert {row["method"] for row in data["rows"]} == set(MEANS)


def test_files_brought_together_from_several_machines_are_read(tmp_path):
    rated(tmp_path / "a", raters=1)
    rated(tmp_path / "b", raters=2)
    together = tmp_path / "all"
    together.mkdir()
    for n, path in enumerate(
        [*tmp_path.glob("[ab]/ratings/*r0.csv"), *tmp_path.glob("b/*/*1.csv")]
    ):
        (together / f"{n}.csv").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="r0"):
        scores.results(together)  # r0 is there twice
    (together / "0.csv").unlink()
    assert len(scores.collect(together)) == 2


@pytest.mark.parametrize("case", ["nowhere", "empty", "foreign", "damaged", "binary"])
def test_bad_input_ends_with_2_and_no_traceback(tmp_path, case):
    folder = tmp_path / "study"
    if case != "nowhere":
        (folder / "ratings").mkdir(parents=True)
    if case == "foreign":
        (folder / "ratings" / "x.csv").write_text("a,b\n1,2\n")
    if case == "binary":
        (folder / "ratings" / "x.csv").write_bytes(b"\xff\xfe\n\0")
    if case == "damaged":
        rated(folder, raters=1)
        path = next((folder / "ratings").glob("*.csv"))
        path.write_text(path.read_text().replace(",answer,", ",guess,", 3))
    done = subprocess.run(
        [sys.executable, "-m", "sciup_napari.rating", str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "InputError" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_help_has_examples_and_check_reads_every_picture(tmp_path, capsys):
    import tifffile

    with pytest.raises(SystemExit):
        main(["--help"])
    assert "python -m sciup_napari.rating my_study" in capsys.readouterr().out
    for method in ("a", "b"):
        (tmp_path / method).mkdir()
        tifffile.imwrite(tmp_path / method / "x.tif", np.ones((8, 8)))
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path), "--check"])
    assert end.value.code == 0
    Path(tmp_path / "b" / "x.tif").write_bytes(b"")
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path), "--check"])
    assert end.value.code == 2
