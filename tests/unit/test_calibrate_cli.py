"""``sciup calibrate`` from images to a calibrated run, and what it refuses."""

import json
from collections import Counter
from dataclasses import fields
from itertools import combinations

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

import sciup
from sciup.calibrate.fields import Source, _own_split
from sciup.calibrate.run import uncalibrated
from sciup.calibrate.spoil import SPOILS
from sciup.cli import app, main
from sciup.cli.calibrate import What
from sciup.errors import ModelError, OptionError
from sciup.generators.facts import ModelFacts
from sciup.risk.calibration import Calibration
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model

K = 4
UNITS = 150
FLAGS = sorted(f.name for f in fields(What))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(
        tmp_path_factory.mktemp("m") / "toy", scale=1, domain="fluorescence", channels=4,
        head_channels=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for i in range(UNITS):
        rng = np.random.default_rng(i)
        part = cells((64, 64), seed=i) + rng.normal(0, 0.5, (64, 64))
        tifffile.imwrite(folder / f"{i:03}.tif", part.astype(np.float32))
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.slow
def test_a_calibration_is_made_checked_and_used(model, images, tmp_path):
    out = tmp_path / "out"
    made = run("calibrate", model, images, "--out", out, "--samples", K, "--precision", "fp32")
    assert made.exit_code == 0, made.output
    assert "| sample | 3sigma |" in made.output
    found = Calibration.read(model / "calibration.json")
    assert found.samples == K
    assert found.about["units"] > 90
    kept = Counter(p.parent.name.split("_")[0] for p in (out / "evidence").rglob("*.npz"))
    assert set(kept) == {"familiar", "1-200", "2-50", "1.5-1000"}
    assert kept.total() == UNITS
    rows = json.loads((out / "repeated.json").read_text())["rows"]
    assert all(row["ok"] for row in rows)
    checked = run(
        "calibrate", model, images, "--check", "--every", 10, "--samples", K, "--out",
        tmp_path / "check", "--precision", "fp32",
    )  # fmt: skip
    assert checked.exit_code == 0, checked.output
    assert "| 3sigma | all | all |" in checked.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--known"], "--known was given without --check"),
        (["--check"], "has no calibration"),
    ],
)
def test_mistakes_are_told(model, images, tmp_path, arguments, says, capsys):
    (model / "calibration.json").unlink(missing_ok=True)
    with pytest.raises(SystemExit) as stop:
        main(["calibrate", str(model), str(images), "--out", str(tmp_path / "o"), *arguments])
    assert stop.value.code == 2
    assert says in " ".join(capsys.readouterr().err.split())


TASKS = {
    (): ("calibrate", 16),
    ("check",): ("test", 16),
    ("check", "known"): ("test", 16),
    ("stress",): ("test", 16),
    ("existence",): ("calibrate", 64),
    ("measurements",): ("calibrate", 16),
    ("check", "measurements"): ("test", 16),
}


@pytest.mark.parametrize("flags", [f for n in range(6) for f in combinations(FLAGS, n)])
def test_flags_ask_for_one_thing(flags):
    what = What(**dict.fromkeys(flags, True))
    if flags in TASKS:
        assert what.task()[1:] == TASKS[flags]
    else:
        with pytest.raises(OptionError, match=r"--known was given without|were given together"):
            what.task()


@pytest.mark.parametrize("flag", ["--check", "--stress"])
def test_what_a_check_leaves_out_is_told(flag, tmp_path, monkeypatch):
    monkeypatch.setattr("sciup.calibrate.stress.SPOILS", dict([*SPOILS.items()][:1]))
    model = write_toy_model(
        tmp_path / "toy", scale=1, domain="fluorescence", channels=4, head_channels=4
    )
    write_toy_calibration(model, samples=K)
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "good.tif", cells((64, 64)).astype(np.float32))
    (folder / "broken.tif").write_bytes(b"II*\0 and nothing else")
    done = run("calibrate", model, folder, flag, "--samples", K, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    (line,) = [text for text in done.output.splitlines() if text.startswith("skipped")]
    assert "broken" in line
    assert "holds no image" in done.output


FAMILIAR = [name for i in range(60) if _own_split(name := f"{i}.tif", "train")]
"""Names of images that say what is familiar."""


@pytest.mark.parametrize("flags", [["--check"], ["--stress"], ["--measurements"], []])
def test_where_no_field_can_be_used_it_is_told_once_and_why(flags, tmp_path, capsys):
    model = write_toy_model(
        tmp_path / "toy", scale=1, domain="fluorescence", channels=4, head_channels=4
    )
    write_toy_calibration(model, samples=K)
    before = (model / "calibration.json").read_bytes()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / FAMILIAR[0]).write_bytes(b"II*\0 and nothing else")
    with pytest.raises(SystemExit) as stop:
        main(["calibrate", str(model), str(tmp_path / "images"), "--out", str(tmp_path / "out"),
              "--samples", str(K), *flags, "--split", "test"])  # fmt: skip
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.count(f"skipped  images/{FAMILIAR[0]}") == 1
    if flags in (["--check"], ["--stress"]):
        assert "no field of the split 'test' can be used" in " ".join(told.split())
    assert not (tmp_path / "out" / "report.md").exists()
    assert (model / "calibration.json").read_bytes() == before


def test_images_that_only_say_what_is_familiar_are_refused(model, tmp_path, capsys):
    (tmp_path / "images").mkdir()
    for i, name in enumerate(FAMILIAR[:8]):
        tifffile.imwrite(tmp_path / "images" / name, cells((64, 64), seed=i).astype(np.float32))
    with pytest.raises(SystemExit) as stop:
        main(["calibrate", str(model), str(tmp_path / "images"), "--out", str(tmp_path / "out"),
              "--samples", str(K)])  # fmt: skip
    assert stop.value.code == 2
    assert "no field of the split 'calibrate'" in " ".join(capsys.readouterr().err.split())


def test_fields_without_a_bright_pixel_leave_their_scores_out(tmp_path, monkeypatch):
    monkeypatch.setattr("sciup.calibrate.stress.SPOILS", dict([*SPOILS.items()][:1]))
    monkeypatch.setattr("sciup.calibrate.check.BRIGHT", 1e9)
    model = write_toy_model(
        tmp_path / "toy", scale=1, domain="fluorescence", channels=4, head_channels=4
    )
    write_toy_calibration(model, samples=K)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", cells((64, 64)).astype(np.float32))
    done = run(
        "calibrate", model, tmp_path / "images", "--stress", "--samples", K, "--out", tmp_path
    )
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "stress.json").read_text())["rows"]
    assert row["fields"] == 1
    assert np.isnan(float(row["said"] or "nan"))


def test_too_few_images_are_refused_and_nothing_is_written(model, tmp_path, images, capsys):
    folder = tmp_path / "few"
    folder.mkdir()
    for path in sorted(images.iterdir())[:14]:
        (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(SystemExit) as stop:
        main(["calibrate", str(model), str(folder), "--out", str(tmp_path / "o"), "--samples", "4"])
    assert stop.value.code == 2
    assert not (model / "calibration.json").exists()
    assert "or more" in capsys.readouterr().err


def test_an_earlier_calibration_has_no_say(model, tmp_path):
    """One of other weights, or of an older version, must not stop a new one."""
    (model / "calibration.json").write_text('{"version": 1}')
    source = Source(ModelFacts.read(model), None, samples=K)
    with uncalibrated(source) as plain:
        result = sciup.upscale(cells((64, 64)), model=plain.model.folder, samples=K)
        assert isinstance(result.job.calibration, str)
    assert not plain.model.folder.exists()
    assert (model / "calibration.json").is_file()
    with pytest.raises(ModelError, match="sciup calibrate"):
        sciup.upscale(cells((64, 64)), model=model, samples=K)
    (model / "calibration.json").unlink()
