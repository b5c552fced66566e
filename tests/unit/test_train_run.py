"""A run that meets trouble: nothing is lost, and the message says what to do."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sciup.errors import InterruptedRunError, ModelError, OutputError, ResumeError
from sciup.generators.registry import load_generator
from sciup.testing.toy_training import tiny_recipe, write_images
from sciup.train import kernels, loop, state, watch
from sciup.train.files import write
from sciup.train.loop import Settings
from sciup.train.pack import make_pack
from sciup.train.recipe_file import check_recipe

QUIET = Settings(sheet=0, report=1)


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "BANK", 4)
        return make_pack(check_recipe(tiny_recipe(), "made"), write_images(folder), folder)


def steps_done(run):
    return torch.load(run / "checkpoint.pt", weights_only=True)["step"]


@pytest.fixture(scope="module")
def run(pack, tmp_path_factory):
    """A complete one, with pictures."""
    folder = tmp_path_factory.mktemp("run")
    seen = []
    loop.train(pack, folder, Settings(sheet=2, report=1), lambda step, row: seen.append(step))
    assert seen == [1, 2, 3, 4]
    return folder


def test_a_run_leaves_a_model_curves_and_sheets(pack, run):
    assert load_generator(run).spec.scale == pack.recipe.scale
    rows = watch.read_curves(run)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert {"loss", "gain", "skill1", "skill4", "skill16", "crps"} <= set(rows[0])
    assert (run / "curves.png").stat().st_size > 1000
    assert [p.name for p in sorted((run / "samples").iterdir())] == [
        "step_000002.png",
        "step_000004.png",
    ]
    assert not list(run.rglob("*.part"))


def test_an_interrupted_run_goes_on(pack, tmp_path):
    def interrupt(step, row):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(InterruptedRunError, match="step 2 of 4") as error:
        loop.train(pack, tmp_path, QUIET, interrupt)
    assert error.value.exit_code == 75
    assert steps_done(tmp_path) == 2
    loop.train(pack, tmp_path, QUIET)
    assert steps_done(tmp_path) == 4
    assert [row["step"] for row in watch.read_curves(tmp_path)] == [1, 2, 3, 4]


def test_lines_of_steps_that_are_done_again_are_forgotten(tmp_path):
    watched = watch.Watch(tmp_path, None, None, 0)
    row = {"loss": 1.0, "gain": 0.0, "skill1": 1.0, "skill4": 1.0, "skill16": 1.0}
    for step in (1, 2, 3):
        watched.line({"step": step} | row)
    watched.resume(2)
    assert [r["step"] for r in watch.read_curves(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"learning_rate": 1e-3}, r"learning_rate differ"),
        ({"loss": {"imprint": 0.5}, "steps": 9}, r"steps, loss\.imprint differ"),
    ],
)
def test_another_recipe_does_not_resume(pack, run, changes, keys):
    other = replace(pack, recipe=check_recipe(tiny_recipe(**changes), "made"))
    before = (run / "checkpoint.pt").read_bytes()
    with pytest.raises(ResumeError, match=keys):
        loop.train(other, run, QUIET)
    assert (run / "checkpoint.pt").read_bytes() == before


def test_other_images_do_not_resume(pack, run):
    images = [image + np.uint16(1) for image in pack.truths.images]
    with pytest.raises(ResumeError, match="other images"):
        loop.train(replace(pack, truths=replace(pack.truths, images=images)), run, QUIET)


def test_a_torn_checkpoint_is_named(pack, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"PK torn")
    with pytest.raises(ResumeError, match=r"checkpoint\.pt cannot be read"):
        loop.train(pack, tmp_path, QUIET)


def test_a_diverging_run_keeps_the_last_good_weights(pack, tmp_path, monkeypatch):
    update = state.State.update

    def diverge(self, loss):
        return update(self, loss * (np.nan if self.step == 2 else 1.0))

    monkeypatch.setattr(state.State, "update", diverge)
    with pytest.raises(ModelError, match=r"diverged at step 2.*halve learning_rate"):
        loop.train(pack, tmp_path, QUIET)
    assert steps_done(tmp_path) == 2
    weights = load_file(tmp_path / "weights.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_a_folder_that_cannot_be_written(pack, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --out"):
        loop.train(pack, tmp_path / "file" / "run", QUIET)


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = tmp_path / "checkpoint.pt"
    path.write_text("old")

    def full(part):
        part.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"No space left.*free some space"):
        write(path, full)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def lines(watched, skill, count, start):
    for i in range(count):
        row = {"step": start + i, "loss": 1.0, "gain": 0.0, "skill1": skill}
        watched.line(row | {"skill4": 1.0, "skill16": 1.0})


def test_a_drifting_spread_is_told_once(tmp_path, caplog):
    watched = watch.Watch(tmp_path, None, None, 0)
    lines(watched, 0.5, 15, watch.SETTLED - 15)
    assert not [r for r in caplog.records if r.levelname == "WARNING"]
    lines(watched, 0.5, 15, watch.SETTLED)
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(told) == 1
    assert "1 px is 0.50" in told[0]
    assert "too little" in told[0]
    lines(watched, 1.0, 15, 2 * watch.SETTLED)
    lines(watched, 2.0, 15, 3 * watch.SETTLED)
    told = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(told) == 2
    assert "too much" in told[1]
