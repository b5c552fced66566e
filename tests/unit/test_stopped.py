"""What Ctrl-C leaves of every command is said in one line."""

import numpy as np
import pytest
import typer

from sciup.cli import app, main
from sciup.cli.stopped import LEFT, Stoppable

TREE = typer.main.get_command(app)
COMMANDS = [
    (name, command)
    for group in (TREE, TREE.commands["models"])
    for name, command in group.commands.items()
    if not hasattr(command, "commands")
]


def test_all_commands_say_what_is_left():
    assert len(COMMANDS) > 20
    assert [name for name, one in COMMANDS if not isinstance(one, Stoppable)] == []
    assert set(LEFT) <= set(dict(COMMANDS))
    with_out = {name for name, one in COMMANDS if "out" in {p.name for p in one.params}}
    assert {name for name in LEFT if "{out}" in LEFT[name]} <= with_out


def stop(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("arguments", "called", "left"),
    [
        (["upscale", "IN", "out.fits"], "sciup.api.upscale", "kept; go on with --resume"),
        (["inspect", "IN"], "sciup.api.upscale", "not finished; the same command begins anew"),
        (["batch", "IN"], "sciup.batch.items_of", "was done is kept; the same command goes on"),
        (
            ["calibrate", "fluorescence-x2", "IN", "--out", "[mine]"],
            "sciup.generators.facts.ModelFacts.read",
            "every field that was done is kept in [mine]; the same command goes on",
        ),
        (["verify", "IN"], "sciup.results.verify.verify", "begins anew"),
        (["models", "show", "x"], "sciup.resources.find_model", "begins anew"),
    ],
)
def test_ctrl_c_is_130_and_one_line(tmp_path, capfd, monkeypatch, arguments, called, left):
    file = tmp_path / "in.npy"
    np.save(file, np.zeros((8, 8)))
    monkeypatch.setattr(called, stop)
    monkeypatch.setattr("sciup.cli.options.Source.open", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main([str(file) if part == "IN" else part for part in arguments])
    assert caught.value.code == 130
    out, err = capfd.readouterr()
    assert out == ""
    assert err.strip().startswith("stopped: ")
    assert err.strip().endswith(left)
    assert len(err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.npy"]
