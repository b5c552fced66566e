"""The images of a batch: of files, patterns, plates and files of jobs, with their options."""

from __future__ import annotations

import dataclasses
import difflib
import glob
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciup.errors import InputError, OptionError
from sciup.io import plate_fields
from sciup.io._plate import PlateWriter

SUFFIXES = (".fits", ".fit", ".fts", ".fz", ".zarr", ".tif", ".tiff")
JOBS = (".yaml", ".yml")


@dataclass(frozen=True)
class Item:
    """One image of a batch.

    Attributes
    ----------
    input : str
    output : Path
    options : dict
        What is different for this one.
    field : str
        Its place in a plate that is made, ``ROW/COLUMN/FIELD``; empty outside of one.
    """

    input: str
    output: Path
    options: dict[str, Any] = field(default_factory=dict)
    field: str = ""


def items_of(inputs: Sequence[str], out: Path, suffix: str | None) -> list[Item]:
    """The images of files, patterns, plates and job files.

    Parameters
    ----------
    inputs : sequence of str
        Images, patterns such as ``night/*.fits``, OME-Zarr plates, or YAML files of jobs.
    out : Path
        Folder of the results; the fields of a plate keep their path in it.
    suffix : str, optional
        ``.fits`` or ``.ome.zarr``; default: FITS for FITS and OME-Zarr for the rest.

    Raises
    ------
    InputError
        If a pattern matches nothing, or there is no such file.
    OptionError
        If two results would have one name.
    """
    found: list[Item] = []
    for name in inputs:
        if name.lower().endswith(JOBS):
            found += read_jobs(Path(name), out, suffix)
        else:
            found += [_item(path, inner, out, suffix) for path, inner in _images(name)]
    names = Counter(item.output for item in found)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise OptionError(
            f"two images would be written to {twice}", fix="name outputs in a file of jobs"
        )
    return found


def plate_of(inputs: Sequence[str], out: Path) -> tuple[PlateWriter, list[Item]]:
    """The plate that a plate becomes, and its fields.

    Parameters
    ----------
    inputs : sequence of str
        One OME-Zarr plate.
    out : Path
        Folder of the new plate, ``.zarr``.

    Raises
    ------
    OptionError
        If there are several inputs.
    InputError
        If it is no plate.
    """
    if len(inputs) != 1:
        raise OptionError(
            f"--out {out} names a plate, but there are {len(inputs)} inputs",
            "one plate",
            "name a folder without .zarr for many images",
        )
    from sciup.io._detect import plain_path, url_of
    from sciup.io._zipped import zipped

    name = plain_path(inputs[0])
    if plate_fields(name) is None:
        raise InputError(
            f"--out {out} names a plate, but {inputs[0]} is none",
            "an OME-Zarr plate",
            "name a folder without .zarr, or use sciup upscale for one image",
        )
    place = Path(name)
    writer = PlateWriter.of(url_of(name) or zipped(place) or place, out)
    source = name.rstrip("/")
    return writer, [Item(f"{source}/{f}", out / f, field=f) for f in writer.fields]


def _images(name: str) -> Iterator[tuple[Path, Path]]:
    """Images behind a name, and the path of each in the folder of results, without suffix."""
    from sciup.io._detect import plain_path, url_of

    name = plain_path(name)
    matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - it may be absolute
    paths = [Path(p) for p in matches] or [Path(name)]
    if not paths[0].exists() and not url_of(name):
        raise InputError(f"{name!r} matches no file", "files, OME-Zarr folders, patterns, YAML")
    for path in paths:
        stem = path.name
        while stem.lower().endswith((*SUFFIXES, ".gz", ".zip", ".ome")):
            stem = stem.rsplit(".", 1)[0]
        fields = _fields(path)
        if not fields:
            yield path, Path(stem)
        for inner in fields:
            yield path / inner, Path(stem) / inner


def _fields(path: Path) -> list[str]:
    """Fields of view of a plate; nothing for others, and for what fails by itself later."""
    try:
        return plate_fields(path) or []
    except InputError:
        return []


def _item(path: Path, inner: Path, out: Path, suffix: str | None) -> Item:
    fits = any(s in path.name.lower() for s in (".fit", ".fts", ".fz"))
    ending = suffix or (".fits" if fits else ".ome.zarr")
    return Item(str(path), out / inner.with_name(inner.name + ending))


def read_jobs(path: Path, out: Path, suffix: str | None) -> list[Item]:
    """A file of jobs: ``defaults`` (options for all) and ``jobs`` (``input``, ``output``, options).

    Raises
    ------
    OptionError
        If it cannot be read, or a job has no input.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise OptionError(f"{path} cannot be read: {error}", "a YAML file with jobs") from None
    if not isinstance(found, dict) or not isinstance(found.get("jobs"), list):
        raise OptionError(f"{path} lists no jobs", "jobs: a list of {input: ..., output: ...}")
    if unknown := set(found) - {"jobs", "defaults"}:
        raise OptionError(f"{path} has the unknown key {min(unknown)!r}", "jobs, defaults")
    items = []
    for number, job in enumerate(found["jobs"]):
        if not isinstance(job, dict) or "input" not in job:
            raise OptionError(f"job {number} of {path} has no input", "input: FILE")
        options = dict(found.get("defaults") or {}) | job
        name, place = str(options.pop("input")), options.pop("output", None)
        for image, inner in _images(name):
            item = _item(image, inner, out, suffix)
            items.append(Item(item.input, out / str(place) if place else item.output, options))
    return items


def changed(group: Any, options: Mapping[str, Any]) -> Any:
    """A group of options (a dataclass) with some of them changed."""
    mine = {f.name for f in dataclasses.fields(group)}
    return dataclasses.replace(group, **{k: _plain(v) for k, v in options.items() if k in mine})


def _plain(value: Any) -> Any:
    """A list in a file is what commas are on the command line, or an option that is repeated."""
    repeated = isinstance(value, list) and any("=" in str(one) for one in value)
    return ",".join(map(str, value)) if isinstance(value, list) and not repeated else value


def check_options(items: Sequence[Item], groups: Sequence[Any]) -> None:
    """Refuse options of jobs that no group knows, before anything is computed.

    Raises
    ------
    OptionError
        Naming the nearest option there is.
    """
    known = sorted(f.name for group in groups for f in dataclasses.fields(group))
    for item in items:
        for key in item.options:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                raise OptionError(
                    f"the job of {item.input} has the unknown option {key!r}",
                    ", ".join(known),
                    f"write {near[0]!r}" if near else "",
                )


__all__ = ["Item", "changed", "check_options", "items_of", "plate_of", "read_jobs"]
