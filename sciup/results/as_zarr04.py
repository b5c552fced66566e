"""A finished result as OME-Zarr 0.4, for programs that read nothing newer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sciup.geometry import Box
from sciup.image import Float, Plane
from sciup.io._pyramid import halve
from sciup.io._zarr04_writer import Zarr04Writer
from sciup.results.contents import Contents
from sciup.results.encode import Encoding


def write(
    contents: Contents,
    work: Path,
    progress: Callable[[int, int], None],
    facts: Mapping[str, Any],
    codes: Mapping[str, Encoding],
) -> Path:
    """Write ``result.ome.zarr`` into a folder, a shard and its coarser levels at a time."""
    one = next(iter(codes.values()))
    writer = Zarr04Writer(work, contents.layout, one.dtype, one.masked)
    total = len(contents.parts)
    for done, (name, plane, box, values, _) in enumerate(contents.shards(), start=1):
        _write(writer, name, plane, box, values, codes[name])
        progress(done, total)
    header = facts.get("fits_header")
    told = {key: value for key, value in facts.items() if key not in ("fits_header", "checksums")}
    writer.finish(told, {name: code.as_json() for name, code in codes.items()}, header)
    return writer.path


def _write(
    writer: Zarr04Writer, name: str, plane: Plane, box: Box, values: Float, code: Encoding
) -> None:
    """A shard and its coarser levels, which are means of the values, not of what is stored."""
    for level in range(len(writer.shapes)):
        if level:
            box, values = box.coarsened(2), halve(values)
        writer.write(name, plane, level, box, code.stored(values))


__all__ = ["write"]
