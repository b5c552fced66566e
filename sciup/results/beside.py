"""A copy grows in a folder beside its place, and is moved there when it is whole."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sciup.errors import OutputError

BEFORE = "before"
"""What stood in the place of a folder, until the new one stands there."""


def check_place(source: Path, new: Path, overwrite: bool) -> None:
    """Refuse places that exist, cannot be written, or that hold the source.

    Raises
    ------
    OutputError
    """
    here, there = source.resolve(), new.resolve()
    if there == here:
        raise OutputError(f"{new} is the result itself", fix="choose another name")
    if there in here.parents or here in there.parents:
        outer, inner = (new, source) if there in here.parents else (source, new)
        raise OutputError(f"{inner} lies inside {outer}", fix="choose a name outside of it")
    if os.path.lexists(new) and not overwrite:
        raise OutputError(f"{new} exists already", fix="choose another name or add --overwrite")
    parent = new.absolute().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(f"{parent} is no folder that can be written", fix=f"mkdir -p {parent}")


def check_space(new: Path, need: int) -> None:
    """Refuse a disk without room for `need` bytes.

    Raises
    ------
    OutputError
    """
    parent = new.absolute().parent
    free = shutil.disk_usage(parent).free
    if need > free:
        raise OutputError(
            f"{new} needs up to {need / 1e9:.2f} GB, {parent} has {free / 1e9:.2f} GB free",
            fix="choose another disk",
        )


@contextmanager
def growing(new: Path) -> Iterator[Path]:
    """An empty folder ``.NAME.partial`` beside the new place, which goes whatever happens.

    One that a killed conversion left behind is swept first.

    Raises
    ------
    OutputError
        For every `OSError` inside, and where another conversion is at work.
    """
    work = new.absolute().with_name(f".{new.name}.partial")
    try:
        work.mkdir(exist_ok=True)
        with (work / "lock").open("w") as lock:
            _lock(lock.fileno(), new)
            try:
                _sweep(work, new)
                yield work
            finally:
                _restore(work, new)
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{new} cannot be written: {error.strerror or error}", fix="check the free space"
        ) from None


def _lock(lock: int, new: Path) -> None:
    """Keep others out until the file is closed, where the file system can."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"another conversion writes {new}", fix="wait for it, or choose another name"
        ) from None
    except OSError:
        return


def _sweep(work: Path, new: Path) -> None:
    """Empty the folder but for the lock."""
    _restore(work, new)
    for path in work.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()


def put(made: Path, new: Path) -> None:
    """Move what was made to its place; a link there is replaced, not what it points to.

    A file replaces a file at once. A folder is moved aside first, and back if anything goes wrong.
    """
    if made.is_dir() or new.is_dir():
        with suppress(FileNotFoundError):
            new.rename(made.parent / BEFORE)
    made.replace(new)


def _restore(work: Path, new: Path) -> None:
    """Put back what was moved aside for nothing."""
    if os.path.lexists(work / BEFORE) and not os.path.lexists(new):
        (work / BEFORE).rename(new)


__all__ = ["check_place", "check_space", "growing", "put"]
