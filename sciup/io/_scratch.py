"""Folders for what must be unpacked before a window can be read."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from sciup.errors import OutputError

_unpacked: dict[Path, int] = {}


def scratch_folder(path: Path, total: int, scratch: str | Path | None) -> Path:
    """A new folder with room for `total` bytes, removed when this process ends."""
    parent = Path(scratch or tempfile.gettempdir())
    try:
        parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(parent).free
        if free < total:
            raise OutputError(
                f"unpacking {path} needs {total / 1e9:.1f} GB and {parent} has {free / 1e9:.1f} GB",
                "", "give a larger folder with --scratch",
            )  # fmt: skip
        folder = Path(tempfile.mkdtemp(prefix="sciup-", dir=parent))
    except OSError as error:
        raise OutputError(
            f"{parent} cannot be written ({error})", "", "give another folder with --scratch"
        ) from error
    _unpacked[folder] = os.getpid()
    return folder


def remove(folder: Path) -> None:
    """Remove a folder of this process."""
    # A forked worker inherits the list, but the folder belongs to the process that made it.
    if _unpacked.pop(folder, None) == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)


@atexit.register
def _remove_all() -> None:
    for folder in list(_unpacked):
        remove(folder)


__all__ = ["remove", "scratch_folder"]
