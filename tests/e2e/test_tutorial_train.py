"""The tutorial on training does what it says: its very commands are run, in order."""

import re
import shlex
from pathlib import Path

import pytest

from sciup import cli
from sciup.train import kernels

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "train-your-own.md"
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shorten(path):
    """Two steps instead of some hundred."""
    text = path.read_text()
    path.write_text(re.sub(r"steps: \d+", "steps: 2", text))


def run(line):
    with pytest.raises(SystemExit) as stop:
        cli.main(shlex.split(line)[1:])
    assert not stop.value.code, line


WHOLE = pytest.param(False, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])


@pytest.mark.parametrize("short", [True, WHOLE])
def test_the_tutorial(tmp_path, monkeypatch, short):
    monkeypatch.chdir(tmp_path)
    if short:
        monkeypatch.setattr(kernels, "BANK", 8)
    for found in BLOCK.finditer(PAGE.read_text()):
        language, block = found.groups()
        if language == "python":
            exec(compile(block, str(PAGE), "exec"), {"__name__": "__main__"})
            continue
        line = block.strip().removeprefix("$ ")
        if short and line.startswith("sciup evaluate"):
            line += " --draws 3 --condition 1:200"
        run(line)
        if short and "--new" in line:
            shorten(tmp_path / "mine.yaml")
    run_folder = tmp_path / "runs" / "mine"
    assert len(list((run_folder / "held_out").iterdir())) == 1
    assert (run_folder / "curves.png").is_file()
    assert any((run_folder / "samples").iterdir())
    assert len(list((tmp_path / "pairs").glob("*_truth.tif"))) == 3
    assert any((tmp_path / "report").iterdir())
    assert (tmp_path / "sharp.ome.zarr").is_dir()
