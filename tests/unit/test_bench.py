"""The benchmark times what it says, for both domains."""

import json

import pytest
from typer.testing import CliRunner

from sciup.bench import measure
from sciup.cli import app, main
from sciup.generators.facts import ModelFacts
from sciup.testing.toy_model import write_toy_model


@pytest.mark.parametrize(("domain", "scale"), [("night-sky", 2), ("fluorescence", 4)])
def test_steps_hold_each_other(domain, scale, tmp_path):
    folder = write_toy_model(
        tmp_path / "toy", domain=domain, scale=scale, channels=4, head_channels=4
    )
    told = []
    found = measure(
        ModelFacts.read(folder), samples=3, side=128, precision="fp32", told=told.append
    )
    steps = {step.name: step for step in found}
    names = ["trunk", "one head", "forward", "draws", "maps without risk", "maps", "Zarr to Zarr"]
    assert list(steps) == names
    assert told == [name for name in steps if name != "forward"]
    for step in found:
        assert step.rate == pytest.approx((128 * scale) ** 2 / step.seconds / 1e6)
    forward = steps["trunk"].seconds + 4 * steps["one head"].seconds
    assert steps["forward"].seconds == pytest.approx(forward)
    assert steps["draws"].seconds > 3 * steps["one head"].seconds
    assert steps["Zarr to Zarr"].seconds > steps["trunk"].seconds


def test_the_command_prints_and_writes_the_same(tmp_path):
    folder = write_toy_model(tmp_path / "toy", scale=1, channels=4, head_channels=4)
    arguments = ["bench", "--model", str(folder), "--samples", "1", "--side", "128"]
    done = CliRunner().invoke(
        app, [*arguments, "--precision", "fp32", "--json", "--out", str(tmp_path / "b.json")]
    )
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "b.json").read_text())
    assert [step["name"] for step in found["steps"]][-1] == "Zarr to Zarr"
    assert found["samples"] == 1
    assert json.loads(done.stdout[done.stdout.index("{") :]) == found


def test_a_side_that_is_no_multiple_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--side", "100"])
    assert stop.value.code == 2
    assert "multiples of 128" in capsys.readouterr().err
