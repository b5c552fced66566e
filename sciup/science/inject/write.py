"""The folder with the tables and the figure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sciup.errors import OutputError
from sciup.results.tables import check_other
from sciup.science.inject import figure

if TYPE_CHECKING:
    from sciup.science.inject.plan import Injections

FILES = ("injections.ecsv", "summary.ecsv", "completeness.png", "completeness.pdf")


def check_folder(folder: Path, *keep: str | Path | None, overwrite: bool) -> None:
    """Refuse a folder that cannot be written, before anything is computed.

    Parameters
    ----------
    folder : Path
    keep : paths, optional
        What is read: never replaced, whatever `overwrite` says.
    overwrite : bool

    Raises
    ------
    OptionError
        If a file that is read would be replaced.
    OutputError
        If it holds results already, is no folder, or has no place.
    """
    for name in FILES:
        check_other(folder / name, *keep)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file", "a folder", "choose another --out")
    full = folder.resolve()
    if any((folder / name).exists() for name in FILES) and not overwrite:
        raise OutputError(
            f"{folder} holds an injection already", fix="choose another --out or add --overwrite"
        )
    if not full.parent.is_dir():
        raise OutputError(
            f"there is no folder {folder.parent}", fix=f"make it: mkdir -p {folder.parent}"
        )
    where = full if full.is_dir() else full.parent
    if not os.access(where, os.W_OK | os.X_OK):
        raise OutputError(f"nothing can be written into {where}", fix="choose another --out")


def save(found: Injections, folder: Path, *, overwrite: bool = False) -> Path:
    """Write `FILES`, all of them complete before the first gets its name.

    Parameters
    ----------
    found : Injections
    folder : Path
        Made if it is not there.
    overwrite : bool
        Replace files of an earlier injection.
    """
    check_folder(folder, overwrite=overwrite)
    full = folder.resolve()
    growing = (full if full.is_dir() else full.parent) / f".{full.name}.partial"
    try:
        shutil.rmtree(growing, ignore_errors=True)
        growing.mkdir()
        found.sources.write(growing / FILES[0], format="ascii.ecsv")
        found.summary.write(growing / FILES[1], format="ascii.ecsv")
        figure.write(found, growing / "completeness")
        folder.mkdir(exist_ok=True)
        for name in FILES:
            (growing / name).replace(folder / name)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error}") from error
    finally:
        shutil.rmtree(growing, ignore_errors=True)
    return folder


__all__ = ["FILES", "check_folder", "save"]
