"""A finished result in another container, in constant memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from sciup.engine.run import stoppable
from sciup.errors import InputError, OptionError, OutputError
from sciup.io import open_writer
from sciup.io._fits_cards import wcs_tables
from sciup.io._tiff_writer import UNITS
from sciup.results import as_tiff
from sciup.results.about import size_on_disk
from sciup.results.contents import RECORD, Contents
from sciup.results.finished import Finished
from sciup.results.recognise import check_result

Container = Literal["fits", "ome-zarr", "ome-tiff"]
Progress = Callable[[int, int], None]
SUFFIXES: dict[str, Container] = {
    ".fits": "fits", ".fit": "fits", ".fts": "fits", ".zarr": "ome-zarr",
    ".ome.tif": "ome-tiff", ".ome.tiff": "ome-tiff",
}  # fmt: skip


def convert(
    path: str | Path, new: str | Path, *, overwrite: bool = False, progress: Progress | None = None
) -> list[str]:
    """Write a finished result into another container: all maps, provenance, coordinates, units.

    Parameters
    ----------
    path : path
        Finished FITS or OME-Zarr result. Its values are compared with their checksums on the way.
    new : path
        ``.fits``, ``.ome.zarr`` or ``.ome.tif``. FITS and OME-Zarr are finished results themselves,
        bit for bit the same values.
    overwrite : bool
        Replace what is at `new`.
    progress : callable, optional
        Called with the number of shards written and in all.

    Returns
    -------
    list of str
        What the new container has no place for, and where it went.

    Raises
    ------
    InputError
        If this is no finished result, or a damaged one.
    OutputError
        If the new file exists or does not fit on the disk.
    """
    new, source = Path(new).expanduser(), check_result(path)
    kind = container_of(new)
    done = Finished.open(source)
    _check_place(source, new, kind, overwrite)
    contents = Contents.of(done)
    if kind != "fits" and (tables := wcs_tables(contents.layout.image)):
        raise InputError(
            f"the coordinates of {source} need the tables {', '.join(t.name for t in tables)}",
            "FITS for such results",
        )
    with _growing(new) as work:
        watch, facts = progress or _silent, story(contents, kind)
        if kind == "ome-tiff":
            made = as_tiff.write(contents, work, watch, facts)
        else:
            made = _write(contents, work, kind, watch, facts)
        if new.exists():
            shutil.rmtree(new) if new.is_dir() else new.unlink()
        made.replace(new)
    return list(_losses(contents, kind))


def container_of(path: Path) -> Container:
    """By suffix.

    Examples
    --------
    >>> container_of(Path("a.ome.zarr")), container_of(Path("a.FITS"))
    ('ome-zarr', 'fits')
    """
    for suffix, kind in SUFFIXES.items():
        if path.name.lower().endswith(suffix):
            return kind
    raise OptionError(f"{path.name!r} has no suffix of a container", ".fits, .ome.zarr, .ome.tif")


def _check_place(source: Path, new: Path, kind: Container, overwrite: bool) -> None:
    if kind == ("ome-zarr" if source.is_dir() else "fits"):
        raise OptionError(
            f"{source} is {kind} already", "another container", f"copy it: cp -r {source} {new}"
        )
    if new.exists() and not overwrite:
        raise OutputError(f"{new} exists already", fix="choose another name or add --overwrite")
    parent = new.absolute().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(f"{parent} is no folder that can be written", fix=f"mkdir -p {parent}")
    free, need = shutil.disk_usage(parent).free, size_on_disk(source)
    if need > free:
        raise OutputError(
            f"{source} has {need / 1e9:.2f} GB, {parent} {free / 1e9:.2f} GB free",
            fix="choose another disk",
        )


@contextmanager
def _growing(new: Path) -> Iterator[Path]:
    """A folder beside the new file, which is removed whatever happens."""
    try:
        with (
            tempfile.TemporaryDirectory(dir=new.absolute().parent, prefix=f".{new.name}.") as work,
            stoppable("nothing: a conversion begins anew"),
        ):
            yield Path(work)
    except OSError as error:
        raise OutputError(
            f"{new} cannot be written: {error.strerror or error}", fix="check the free space"
        ) from None


def _write(
    contents: Contents, work: Path, kind: Any, progress: Progress, facts: dict[str, Any]
) -> Path:
    """FITS or OME-Zarr, by the writers of results."""
    writer, total = open_writer(work, contents.layout, kind), len(contents.parts)
    writer.create()
    sums: dict[str, dict[Any, list[str]]] = {}
    for done, (name, plane, box, values, stated) in enumerate(contents.shards(), start=1):
        writer.write(name, plane, box, values)
        sums.setdefault(name, {}).setdefault(plane, []).append(stated)
        progress(done, total)
    maps = {name: list(planes.values()) for name, planes in sums.items()}
    facts["checksums"] = {"shard": contents.side, "maps": maps}
    psf = contents.psf
    writer.finish(facts, {} if psf is None else {"psf": psf})
    return writer.path


def _silent(*_: int) -> None:
    """Progress that nobody watches."""


def story(contents: Contents, kind: Container) -> dict[str, Any]:
    """The provenance of the copy: that of the result, and that it was converted."""
    from importlib.metadata import version

    facts = {key: value for key, value in contents.done.facts.items() if key != RECORD}
    before = facts["fingerprint"]["format"]
    facts["fingerprint"] = facts["fingerprint"] | {"format": kind}
    step = {"from": before, "to": kind, "sciup": version("sciup")}
    facts["converted"] = [*facts.get("converted", []), step]
    if kind != "ome-zarr":
        facts[RECORD] = contents.record
    header = contents.layout.image.header
    if kind == "ome-tiff" and header is not None:
        facts["fits_header"] = header.tostring(sep="\n", endcard=False, padding=False)
    return facts


def _losses(contents: Contents, kind: Container) -> Iterator[str]:
    """What a container has no place for, in words."""
    image = contents.layout.image
    if kind == "fits":
        yield "coarser levels: FITS has none"
        if contents.record["metadata"].get("channels"):
            yield "names and colours of channels: in the provenance only"
        if contents.record["metadata"].get("axes"):
            yield "scales and units of the axes before y and x: in the provenance only"
        return
    if image.header is not None:
        yield "header cards and world coordinates: as text only, which other programs do not read"
    if kind == "ome-tiff":
        yield "the PSF of the output and units of values: its width and units are in the provenance"
        if image.grid.unit not in UNITS:
            yield "the pixel size, which is no length: in the provenance only"
        if any(image.grid.origin):
            yield "the place of the first pixel: in the provenance only"
        yield "OME-TIFF is for other programs: sciup reads it as an image, not as a result"


__all__ = ["convert", "story"]
