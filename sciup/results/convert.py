"""A finished result in another container, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from sciup.errors import InputError, OptionError
from sciup.io import open_writer
from sciup.io._fits_cards import wcs_tables
from sciup.io._tiff_writer import UNITS
from sciup.results import as_tiff, as_zarr04
from sciup.results.beside import check_place, check_space, growing, put
from sciup.results.contents import RECORD, Contents, Sums
from sciup.results.encode import DTYPES, encodings
from sciup.results.finished import Finished
from sciup.results.recognise import check_result
from sciup.results.verify import refuse_damage

Container = Literal["fits", "ome-zarr", "ome-zarr-0.4", "ome-tiff"]
EXACT: tuple[Container, ...] = ("fits", "ome-zarr")
"""Containers of nothing but finished results, in float32."""
Progress = Callable[[int, int], None]
SUFFIXES: dict[str, Container] = {
    ".fits": "fits", ".fit": "fits", ".fts": "fits", ".zarr": "ome-zarr",
    ".ome.tif": "ome-tiff", ".ome.tiff": "ome-tiff",
}  # fmt: skip


def convert(
    path: str | Path,
    new: str | Path,
    *,
    ome_zarr: str = "0.5",
    dtype: str = "float32",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Write a finished result into another container: all maps, provenance, coordinates, units.

    Parameters
    ----------
    path : path
        Finished result: FITS, OME-Zarr or OME-TIFF. Its values are compared with their checksums
        on the way.
    new : path
        ``.fits``, ``.ome.zarr`` or ``.ome.tif``: a finished result itself, bit for bit the same
        values.
    ome_zarr : {"0.5", "0.4"}
        Version of OME-Zarr; the older one is for other programs.
    dtype : {"float32", "uint16", "float16"}
        For other programs: uint16 in OME-Zarr 0.4 and OME-TIFF, float16 in OME-Zarr 0.4, with a
        stated scale; a copy that is no result then.
    overwrite : bool
        Replace what is at `new`.
    progress : callable, optional
        Called with the number of shards written and in all.

    Returns
    -------
    list of str
        What the new container has no place for, and what `dtype` loses.

    Raises
    ------
    InputError
        If this is no finished result, or a damaged one.
    OutputError
        If the new file exists or does not fit on the disk.
    """
    new, source = Path(new).expanduser(), check_result(path)
    kind = _kind(new, ome_zarr, dtype)
    done = Finished.open(source)
    if kind == done.container and dtype == "float32":
        raise OptionError(
            f"{source} is {kind} already", "another container", f"copy it: cp -r {source} {new}"
        )
    refuse_damage(source)
    check_place(source, new, overwrite)
    contents = Contents.of(done)
    check_space(new, _need(contents, kind, dtype))
    if kind != "fits" and (tables := wcs_tables(contents.layout.image)):
        raise InputError(
            f"the coordinates of {source} need the tables {', '.join(t.name for t in tables)}",
            "FITS for such results",
        )
    with growing(new) as work:
        watch, facts = progress or _silent, story(contents, kind)
        if kind in EXACT:
            made, codes = _write(contents, work, kind, watch, facts), {}
        else:
            codes = encodings(contents, dtype)
            facts["encoding"] = {name: code.as_json() for name, code in codes.items()}
            write = as_tiff.write if kind == "ome-tiff" else as_zarr04.write
            made = write(contents, work, watch, facts, codes)
        put(made, new)
    fewer = codes if dtype != "float32" else {}
    units = contents.layout.units
    whole = kind in (*EXACT, "ome-tiff") and dtype == "float32"
    return [*_losses(contents, kind, whole), *(c.words(n, units.get(n)) for n, c in fewer.items())]


def _kind(new: Path, ome_zarr: str, dtype: str) -> Container:
    """The container, if the options fit it."""
    kind = container_of(new)
    if ome_zarr not in ("0.5", "0.4"):
        raise OptionError(f"--ome-zarr {ome_zarr}", "0.5, 0.4")
    if ome_zarr == "0.4":
        if kind != "ome-zarr":
            raise OptionError(f"--ome-zarr 0.4 was asked of {new.name}", "names that end in .zarr")
        kind = "ome-zarr-0.4"
    # OME has no name for half floats
    types = {"ome-tiff": ("float32", "uint16"), "ome-zarr-0.4": DTYPES}.get(kind, ("float32",))
    if dtype not in types:
        raise OptionError(
            f"--dtype {dtype} was asked of {kind}", ", ".join(types),
            "only copies for other programs may lose precision: --ome-zarr 0.4 or .ome.tif",
        )  # fmt: skip
    return kind


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


def _need(contents: Contents, kind: Container, dtype: str) -> int:
    """Bytes of the copy before compression, and of scratch files: coarser levels are a third."""
    layout = contents.layout
    values = sum(math.prod(layout.shape_of(name)) for name in layout.names)
    levels, scratch = values // 3 * (kind != "fits"), values // 3 * (kind == "ome-tiff")
    return (values + levels) * (4 if dtype == "float32" else 2) + 4 * scratch


def _write(
    contents: Contents, work: Path, kind: Any, progress: Progress, facts: dict[str, Any]
) -> Path:
    """FITS or OME-Zarr, by the writers of results."""
    writer, total = open_writer(work, contents.layout, kind), len(contents.parts)
    writer.create()
    sums = Sums(contents.side)
    for done, (name, plane, box, values, stated) in enumerate(contents.shards(), start=1):
        writer.write(name, plane, box, values)
        sums.add(name, plane, stated)
        progress(done, total)
    facts["checksums"] = sums.as_json()
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
    if not kind.startswith("ome-zarr"):
        facts[RECORD] = contents.record
    header = contents.layout.image.header
    if kind not in EXACT and header is not None:
        facts["fits_header"] = header.tostring(sep="\n", endcard=False, padding=False)
    return facts


def _losses(contents: Contents, kind: Container, whole: bool) -> Iterator[str]:
    """What a container has no place for, in words."""
    image = contents.layout.image
    if kind == "fits":
        yield "coarser levels are left out: FITS has none"
        if contents.record["metadata"].get("channels"):
            yield "names and colours of channels are kept in the provenance only"
        if contents.record["metadata"].get("axes"):
            yield "scales and units of the axes before y and x are kept in the provenance only"
        return
    if image.header is not None:
        yield "header cards and world coordinates are kept as text, which others do not read"
    if kind == "ome-tiff" and image.grid.unit not in UNITS:
        yield "the pixel size is no length: it is kept in the provenance only"
    if kind == "ome-tiff" and any(image.grid.origin):
        yield "the place of the first pixel is kept in the provenance only"
    if kind == "ome-zarr-0.4":
        yield "the image of the output's PSF is left out: its width is kept in the provenance"
    if not whole:
        yield "the copy is for other programs: it counts as an image, not as a result"


__all__ = ["convert", "story"]
