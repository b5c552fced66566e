"""What became of every file of a run, for people and for the evaluation."""

from __future__ import annotations

import csv
from pathlib import Path

from sciup.errors import OutputError
from sciup.generators.lessons import write_lessons
from sciup.train.sources import HELD_OUT, KEPT, USED


def list_files(files: list[dict[str, str]], run: Path) -> int:
    """Write ``files.tsv`` and ``training.txt``, link held-out files; tell how many were skipped.

    Parameters
    ----------
    files : list of dict
        ``source``, ``file``, ``unit``, ``fate`` of each.
    run : Path
        Folder of the run; made if it is not there.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        if files:
            with (run / "files.tsv").open("w", newline="") as file:
                writer = csv.DictWriter(file, list(files[0]), delimiter="\t")
                writer.writeheader()
                writer.writerows(files)
        planes = (
            (d, _name(f)) for f in files if f["fate"] == USED for d in f.get("planes", "").split()
        )
        write_lessons(run, planes)
        _link([Path(f["file"]) for f in files if f["fate"] == KEPT], run / HELD_OUT)
    except OSError as error:
        raise OutputError(
            f"the folder {run} cannot be written: {error.strerror}", fix="choose another --out"
        ) from None
    return sum(f["fate"] not in (USED, KEPT) for f in files)


def _name(entry: dict[str, str]) -> str:
    """What a file is called in a warning: not where it lay."""
    return f"{entry['source']}/{Path(entry['file']).name}"


def _link(files: list[Path], folder: Path) -> None:
    """Links to files, numbered: two folders may hold the same name."""
    if not files:
        return
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        if old.is_symlink():
            old.unlink()
    for i, file in enumerate(files):
        (folder / f"{i:04d}_{file.name}").symlink_to(file.resolve())
