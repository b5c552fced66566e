"""`sciup compare`: other models, one after another, and the explorer beside the usual methods."""

import csv
import json
import shutil
from functools import partial

import numpy as np
import pytest
import tifffile

import sciup
from sciup.cli import main
from sciup.compare import run as module
from sciup.compare.choice import choose
from sciup.compare.others import Explored
from sciup.compare.run import compare
from sciup.compare.scores import score
from sciup.compare.seen import Seen
from sciup.errors import ModelError, OptionError, OutputError
from sciup.evaluate.draws import draw_samples, draw_texture
from sciup.explorer.cascade import Cascade, sharpen
from sciup.generators.facts import ModelFacts
from sciup.io import open_image
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model, write_toy_texture

ROI = "4:36,6:38"
OPTIONS = {"psf_fwhm": 2.3, "gain": 1.0, "background": 0.0, "device": "cpu", "seed": 3}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    small = {"domain": "fluorescence", "channels": 4, "head_channels": 4}
    made = {
        "first": write_toy_model(folder / "first", **small),
        "second": write_toy_model(folder / "second", seed=1, **small),
        "four": write_toy_model(folder / "four", scale=4, **small),
        "wide": write_toy_model(folder / "wide", target_fwhm=3.0, **small),
        "sky": write_toy_model(folder / "sky", domain="night-sky", channels=4),
    }
    made["texture"] = write_toy_texture(folder / "drawn", made["first"])
    made["untrained"] = folder / "untrained"
    made["untrained"].mkdir()
    (made["untrained"] / "recipe.yaml").write_text((made["first"] / "recipe.yaml").read_text())
    return made


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    path = tmp_path_factory.mktemp("in") / "cell.tif"
    noisy = np.random.default_rng(0).poisson(cells((44, 48)) + 2).astype(np.float32)
    tifffile.imwrite(path, noisy)
    return path


def run(cell, out, model, *methods, **more):
    options = {**OPTIONS, "samples": 2, "precision": "fp32", "roi": ROI} | more
    return compare([("one", open_image(cell))], out, model=model, methods=methods, **options)


def picture(out, method):
    return tifffile.imread(out / method / "one.ome.tif")


def lazily(cell, model, **more):
    options = {**OPTIONS, "samples": 2, "precision": "fp32", "roi": ROI} | more
    return sciup.upscale(cell, model=model, **options)


def test_another_sampler_is_shown_as_upscale_shows_it(cell, models, tmp_path):
    table = run(cell, tmp_path / "out", models["first"], str(models["second"]), "mean")
    kinds = {row["method"]: row["kind"] for row in table.rows}
    assert kinds == {
        "mean": "mean of draws", "second-mean": "mean of draws", "second-sample": "one draw"
    }  # fmt: skip
    drawn = draw_samples(lazily(cell, models["second"]), 1)
    assert np.array_equal(picture(tmp_path / "out", "second-mean"), drawn.mean.astype("f4"))
    assert np.array_equal(picture(tmp_path / "out", "second-sample"), drawn.samples[0].astype("f4"))
    assert not np.array_equal(picture(tmp_path / "out", "mean"), drawn.mean.astype("f4"))


def test_a_texture_is_an_illustration_on_its_own_sampler(cell, models, tmp_path):
    table = run(cell, tmp_path / "out", models["first"], str(models["texture"]))
    (row,) = table.rows
    assert (row["method"], row["kind"]) == ("drawn", "illustration")
    assert np.isfinite(row["chi2"])
    expected = draw_texture(lazily(cell, models["first"], texture=models["texture"]))
    assert np.array_equal(picture(tmp_path / "out", "drawn"), expected.astype("f4"))


def test_one_after_another_draws_on_the_draws_of_the_first(cell, models, tmp_path):
    names = "+".join(str(models[name]) for name in ("first", "second"))
    table = run(cell, tmp_path / "out", models["four"], names, scale=4)
    assert [row["method"] for row in table.rows] == ["first+second-mean", "first+second-sample"]
    assert table.rows[0]["settings"] == "first+second, 3 draws"
    assert [row["flux"] for row in table.rows] == pytest.approx([1, 1], abs=0.05)
    stages = tuple(ModelFacts.read(models[name]) for name in ("first", "second"))
    first = lazily(cell, models["first"])
    fine = [
        sharpen(
            draw.astype(np.float32), Cascade(stages), first.instrument, flux_per_pixel=False,
            seed=OPTIONS["seed"] + k, device="cpu",
        ).image.astype(float)
        for k, draw in enumerate(draw_samples(first, 3).samples)
    ]  # fmt: skip
    assert picture(tmp_path / "out", "first+second-mean").shape == (128, 128)
    assert np.array_equal(picture(tmp_path / "out", "first+second-sample"), fine[0].astype("f4"))
    mean = np.mean(fine, 0).astype("f4")
    np.testing.assert_allclose(picture(tmp_path / "out", "first+second-mean"), mean, rtol=1e-6)


@pytest.mark.parametrize("goal", ["farthest", "faintest"])
def test_the_explorer_s_picture_is_that_of_sciup_explore(cell, models, goal):
    seen = Seen.of(lazily(cell, models["first"], precision="bf16", psf_error=0.1))
    found = sciup.explore(cell, roi=ROI, goal=goal, steps=6, model=models["first"], **OPTIONS)
    answers = found.regions[0].answers
    answer = next(a for a in answers if goal == "farthest" or a.title.startswith(goal))
    (entry,) = Explored(goal, steps=6).entries(seen, lambda **_: None)
    assert np.array_equal(entry.values, answer.image)
    assert entry.kind == ("possible, not probable" if answer.accepted else "rejected by the data")
    assert entry.moved_sigma == answer.facts["typicality"]["moved_sigma"]
    assert score(entry, seen, None)["moved_sigma"] == entry.moved_sigma
    assert (entry.method, entry.folder) == (f"explore:{goal}", f"explore-{goal}")


def test_only_the_explorer_s_rows_say_how_far_noise_was_moved(cell, models, tmp_path, monkeypatch):
    monkeypatch.setattr("sciup.compare.choice.Explored", partial(Explored, steps=2))
    told = []
    tell = {"progress": lambda *what: told.append(what)}
    run(cell, tmp_path / "out", models["first"], "explore:brightest", "TV", "bicubic", **tell)
    assert told == [("one", "bicubic, TV"), ("one", "explore:brightest")]
    with (tmp_path / "out" / "comparison.csv").open() as file:
        assert [bool(row["moved_sigma"]) for row in csv.DictReader(file)] == [False, False, True]
    assert picture(tmp_path / "out", "explore-brightest").shape == (64, 64)


@pytest.mark.parametrize(("name", "words"), [
    ("bicubik", "did you mean 'bicubic'"),
    ("explore:furthest", "did you mean 'explore:farthest'"),
    ("explore:sketch", "explore:brightest, explore:faintest, explore:farthest"),
    ("fluorescence-x2-fast", "did you mean 'fluorescence-x2'"),
    ("{four}", "is 4x for fluorescence"),
    ("{wide}", "output PSF of 3 px"),
    ("{sky}", "for night-sky"),
    ("{first}+{second}", "is 4x for fluorescence"),
    ("{first}+{texture}", "is 4x for fluorescence"),
    ("{first}+", "there is no ''"),
    ("{untrained}", "has no weights"),
])  # fmt: skip
def test_names_that_do_not_fit_are_refused_with_all_that_do(models, name, words):
    asked = name.format(**models)
    with pytest.raises(OptionError) as caught:
        choose(["mean", asked], ModelFacts.read(models["first"]), (32, 32))
    assert words in str(caught.value)
    assert asked in str(caught.value)
    listed = ("bicubic, Lanczos, Richardson-Lucy", "explore:farthest", "fluorescence-x2", "joined")
    assert all(part in caught.value.allowed for part in listed)


def test_a_texture_without_its_sampler_is_refused_before_anything_is_computed(models):
    with pytest.raises(ModelError, match="no model 'first'"):
        choose([str(models["texture"])], ModelFacts.read(models["second"]), (32, 32))


def test_a_texture_is_no_stage(models):
    asked = f"{models['texture']}+{models['first']}"
    with pytest.raises(OptionError, match="samplers"):
        choose([asked], ModelFacts.read(models["four"]), (32, 32))


def test_the_explorer_refuses_large_regions_before_anything_is_computed(models):
    facts = ModelFacts.read(models["first"])
    (found,) = choose(["explore:farthest"], facts, (128, 128)).others
    assert found.name == "explore:farthest"
    with pytest.raises(OptionError, match="up to 128 x 128"):
        choose(["explore:farthest"], facts, (16, 129))


def test_two_models_of_one_name_are_refused_and_one_named_twice_is_not(models):
    """Only the second would be shown, under the name of both."""
    facts = ModelFacts.read(models["first"])
    twin = write_toy_model(models["first"].parent / "sub" / "second", seed=2, domain=facts.domain)
    second = str(models["second"])
    (found,) = choose([second, f"{second}/", second], facts, (32, 32)).others
    assert found.name == "second"
    with pytest.raises(OptionError, match=r"sub/second is a second model named second"):
        choose([second, str(twin)], facts, (32, 32))


@pytest.mark.parametrize("method", ["..", ".", "", "../other", "beside/it"])
def test_a_table_that_was_not_written_by_compare_removes_nothing_else(
    cell, models, tmp_path, method
):
    out, others = tmp_path / "study" / "out", tmp_path / "study" / "other" / "mine.txt"
    rated = out / "ratings" / "anna.csv"
    for path in (others, rated):
        path.parent.mkdir(parents=True)
        path.write_text("1")
    table = {"rows": [{"image": "one", "method": method}]}
    (out / "comparison.json").write_text(json.dumps(table))
    run(cell, out, models["first"], "bicubic", overwrite=True)
    assert others.is_file()
    assert rated.is_file()
    assert picture(out, "bicubic").shape == (64, 64)


def test_an_error_on_the_way_leaves_what_was_there(cell, models, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(cell, out, models["first"], "bicubic")
    (out / "ratings").mkdir()
    before = {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "draw", full)
        with pytest.raises(OutputError, match="No space left"):
            run(cell, out, models["first"], "TV", overwrite=True)
    assert {p: p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    run(cell, out, models["first"], str(models["second"]), overwrite=True)
    names = {p.name for p in out.iterdir()}
    tables = {f"comparison.{kind}" for kind in ("md", "csv", "json")}
    assert names == {"second-mean", "second-sample", "ratings", "one.png", *tables}
    run(cell, out, models["first"], "TV", overwrite=True)
    assert {p.name for p in out.iterdir()} == {"TV", "ratings", "one.png", *tables}


@pytest.mark.parametrize("which", ["first", "second", "texture", "stage"])
def test_a_calibration_that_cannot_be_used_is_told_before_anything_runs(
    cell, models, tmp_path, monkeypatch, which
):
    """Before, of a second model after the first had run."""
    kept = {name: tmp_path / name for name in ("first", "second", "drawn")}
    for name, folder in kept.items():
        shutil.copytree(models["texture"].with_name(name), folder)
    stale = kept["second" if which in ("second", "stage") else "first"]
    (stale / "calibration.json").write_text('{"version": 1}')
    monkeypatch.setattr(module, "upscale", None)
    monkeypatch.setattr("sciup.compare.choice.find_model", lambda name: tmp_path / name)
    asked = {"first": ["bicubic"], "second": ["second"], "texture": ["drawn"],
             "stage": ["second+first"]}[which]  # fmt: skip
    model, scale = {"stage": ("four", 4), "texture": ("second", 2)}.get(which, ("first", 2))
    model = models[model] if which != "first" else kept["first"]
    with pytest.raises(ModelError, match="calibrat"):
        run(cell, tmp_path / "out", model, *asked, scale=scale)
    assert not (tmp_path / "out").exists()


def test_the_output_does_not_swallow_its_input(cell, models, tmp_path):
    out = tmp_path / "out"
    (out / "truth").mkdir(parents=True)
    inside = out / "truth" / "cell.tif"
    inside.write_bytes(cell.read_bytes())
    with pytest.raises(OutputError, match="lies in the output"):
        run(inside, out, models["first"], "bicubic", overwrite=True)
    assert inside.read_bytes() == cell.read_bytes()


def test_ctrl_c_is_130_and_one_line_and_nothing_else(cell, models, tmp_path, capfd, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "draw", stop)
    options = ["--roi", ROI, "--model", str(models["first"]), "--methods", "bicubic"]
    with pytest.raises(SystemExit) as caught:
        main(["compare", str(cell), "--out", str(tmp_path / "x"), "--device", "cpu", *options])
    assert caught.value.code == 130
    said = " ".join(capfd.readouterr().err.split())
    assert said.endswith(f"stopped: no result was written to {tmp_path / 'x'}")
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_the_table_is_read_again_from_its_json(cell, models, tmp_path):
    run(cell, tmp_path / "out", models["first"], "bicubic", "Wiener")
    rows = json.loads((tmp_path / "out" / "comparison.json").read_text())["rows"]
    assert {row["method"]: row["kind"] for row in rows} == {
        "bicubic": "interpolation", "Wiener": "deconvolution"
    }  # fmt: skip
