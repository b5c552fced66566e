"""Where a comparison goes: it grows beside its folder and is moved there when it is whole."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sciup.errors import OutputError

TABLE = "comparison"
"""Stem of the tables, which are moved last."""


def folder_of(method: str) -> str:
    """A method's folder: its name, as all file systems take it.

    Examples
    --------
    >>> folder_of("explore:farthest"), folder_of("../up")
    ('explore-farthest', '-.-up')
    """
    return re.sub(r'[<>:"/\\|?*]|^\.', "-", method)


def check_place(out: Path, overwrite: bool, sources: Iterable[str | Path] = ()) -> None:
    """Refuse a folder that holds something, what is no folder, and one that holds an input.

    Raises
    ------
    OutputError
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not overwrite)):
        raise OutputError(f"{out} exists already", fix="use --overwrite or another --out")
    for source in sources:
        real = Path(source).resolve()
        if source and real.exists() and out.resolve() in (real, *real.parents):
            raise OutputError(f"the input {source} lies in the output {out}", fix="another --out")


@contextmanager
def place(out: Path) -> Iterator[Path]:
    """A working folder beside the output, gone in the end, whatever happens.

    What an older comparison wrote into `out` is removed, for its pictures would join the study;
    what others put there, such as the answers of raters, stays.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    out = out.absolute()
    work = out.with_name(f"{out.name}.partial")
    try:
        with told(out):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
        yield work
        with told(out):
            _publish(work, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def told(out: Path) -> Iterator[None]:
    """What the disk refuses, in words."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}") from None


def _publish(work: Path, out: Path) -> None:
    """Move everything, the tables last: a folder with tables is whole."""
    out.mkdir(exist_ok=True)
    for path in _written(out):
        _remove(path)
    for path in sorted(work.iterdir(), key=lambda p: p.stem == TABLE):
        _remove(out / path.name)
        path.replace(out / path.name)


def _written(out: Path) -> list[Path]:
    """Tables, figures and folders of pictures of an older comparison, as its table names them."""
    try:
        rows = json.loads((out / f"{TABLE}.json").read_text(encoding="utf-8"))["rows"]
        names = {f"{row['image']}.png" for row in rows}
        names |= {folder_of(str(row["method"])) for row in rows}
    except (OSError, ValueError, LookupError, TypeError):
        return []  # none, or not ours
    tables = [f"{TABLE}.{kind}" for kind in ("md", "csv", "json")]
    return [out / name for name in [*tables, "truth", *names] if name and name == Path(name).name]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
