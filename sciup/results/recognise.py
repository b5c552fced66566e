"""What a path is, where a finished result was expected."""

from __future__ import annotations

import json
from pathlib import Path

from sciup.engine.run import work_folder
from sciup.errors import InputError, SciupError
from sciup.io import open_image
from sciup.io._journal import Journal
from sciup.io._plate import ours_of
from sciup.io._provenance import read_provenance
from sciup.results.finished import local

ALLOWED = "a finished result of `sciup upscale`: FITS, OME-Zarr or OME-TIFF"


def check_result(path: str | Path) -> Path:
    """The path, if a finished result is there.

    Raises
    ------
    InputError
        That says what is there instead: nothing, an unfinished result and how to go on with it, or
        an image that `sciup inspect` describes.
    """
    path = local(path)
    for work in (path, work_folder(path)) if path.name else (path,):
        if (work / "job.json").is_file() and (work is path or not path.exists()):
            raise _unfinished(work)
    if not path.exists():
        raise InputError(f"there is no result {path}", ALLOWED)
    try:
        read_provenance(path)
    except SciupError as error:
        raise error if ours_of(path).get("plate") else _no_result(path) from None
    return path


def _unfinished(work: Path) -> InputError:
    """Of a working folder: how far it is, and how to go on."""
    try:
        prints = json.loads((work / "job.json").read_text())["fingerprint"]
        source, command = prints["input"], "cutouts" if "cutouts" in prints else "upscale"
    except (OSError, ValueError, KeyError, TypeError):
        source, command = "INPUT", "upscale"
    done, output = len(Journal(work).shards()), work.name.removesuffix(".partial")
    again = f" with --resume: sciup {command} {source} {work.with_name(output)} --resume"
    whole = work.absolute().parents[2:3]  # of a field, the plate
    if whole and (plate := ours_of(whole[0]).get("plate")):
        again = f": sciup batch {plate['source']} --out {whole[0]}"
    return InputError(
        f"{work} is an unfinished result: {done} shards are done, no pixel of it can be used yet",
        ALLOWED,
        f"repeat the command that began it{again}, with the same options",
    )


def _no_result(path: Path) -> InputError:
    """Of something else: what it is, if it can be read at all."""
    try:
        image = open_image(path)
    except SciupError as error:
        what = f"{path} is no result of sciup, and no image: {error.what}"
        return InputError(what, ALLOWED, error.fix)
    shape = " x ".join(map(str, image.shape))
    return InputError(
        f"{path} is no result of sciup but an image: {image.format}, {image.axes} {shape},"
        f" {image.dtype}",
        ALLOWED,
        f"see what it is with: sciup inspect {path}",
    )


__all__ = ["check_result"]
