"""Whether a FITS result is whole: its HDUs one by one, their sums, and the values of the maps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sciup.errors import SciupError
from sciup.geometry import Box
from sciup.image import Float, Plane
from sciup.io._check import input_errors
from sciup.io._fits_clean import quiet
from sciup.io._fits_pixels import PlainPixels
from sciup.io._fits_sums import Part, data_sum, header_is_whole, walk
from sciup.io._provenance import read_provenance
from sciup.results.verify import Damage, Verdict, check_map, unlisted

PRIMARY = 2880 * 4
"""Bytes in which the primary header of a result stands."""

LAST = "PROVENANCE"
"""The extension that ends a result."""


def was_result(path: Path) -> bool:
    """Whether the file begins as a finished FITS result does, in whatever state the rest is."""
    try:
        with path.open("rb") as stream:
            begin = stream.read(PRIMARY)
    except OSError:
        return False
    return b"ORIGIN  = 'sciup" in begin or b"SCIMAPS =" in begin


def check(path: Path, verdict: Verdict, progress: Callable[[int, int], None]) -> Iterator[Damage]:
    """All that is wrong with it."""
    found = yield from around(path, verdict)
    size, stated = path.stat().st_size, _stated(path)
    verdict.stated = bool(stated)
    yield from unlisted(verdict.maps, stated)
    for done, name in enumerate(verdict.maps):
        progress(done, len(verdict.maps))
        if name in found:
            yield from _map(path, size, name, found[name], stated, verdict)


def around(path: Path, verdict: Verdict) -> Generator[Damage, None, dict[str, Part]]:
    """What is wrong with all but the pixels; returns the extensions by name."""
    size = path.stat().st_size
    parts: list[Part] = []
    with path.open("rb") as stream, quiet(str(path)):
        broken = yield from _structure(stream, size, parts)
        yield from _headers(stream, parts)
        verdict.maps = str(parts[0].header.get("SCIMAPS", "")).lower().split() if parts else []
        found = {part.name.lower(): part for part in parts}
        for name in (*verdict.maps, "provenance"):
            if name not in found:
                where = "was not found behind this" if broken else "is missing"
                yield Damage(name, f"the extension {where}")
        for part in parts:
            if part.end <= size and part.name.lower() not in verdict.maps:
                yield from _small(stream, part)
    return found


def _structure(stream: BinaryIO, size: int, parts: list[Part]) -> Generator[Damage, None, bool]:
    """Lengths; collects the HDUs, and returns whether some may be hidden."""
    try:
        for part in walk(stream, size):
            parts.append(part)
            if part.end > size:
                yield Damage(
                    part.name.lower(),
                    f"the file is cut off: {max(size - part.data, 0)} of {part.end - part.data}"
                    " bytes of its data are there",
                )
                return True
    except (OSError, ValueError, KeyError, TypeError) as error:
        begin = parts[-1].end if parts else 0
        if parts and parts[-1].name == LAST:
            yield Damage(
                f"byte {begin}", f"{size - begin} bytes stand behind the end of the result"
            )
            return False
        yield Damage(f"byte {begin}", f"no header that can be read stands here ({error})")
        return True
    return False


def _headers(stream: BinaryIO, parts: list[Part]) -> Iterator[Damage]:
    """Sums of the headers; none at all where the result is older than they are."""
    whole = [header_is_whole(stream, part) for part in parts]
    for part, fine in zip(parts, whole, strict=True):
        if not fine and any(state is not None for state in whole):
            yield Damage(part.name.lower(), "its header is not the one that was written")


def _small(stream: BinaryIO, part: Part) -> Iterator[Damage]:
    """An extension beside the maps, as a whole."""
    stated = str(part.header.get("DATASUM", "")).strip()
    if stated.isdigit() and data_sum(stream, part) != int(stated):
        yield Damage(part.name.lower(), "its data are not those that were written")


def _stated(path: Path) -> dict[str, Any]:
    try:
        return dict(read_provenance(path).get("checksums", {}))
    except SciupError:
        return {}


def _map(
    path: Path, size: int, name: str, part: Part, stated: dict[str, Any], verdict: Verdict
) -> Iterator[Damage]:
    header = part.header
    if header.get("BITPIX") != -32 or int(header["NAXIS"]) < 2:
        yield Damage(name, "it is no image of 32 bit floating point numbers")
        return
    shape = tuple(int(header[f"NAXIS{n}"]) for n in range(int(header["NAXIS"]), 0, -1))
    read = partial(_read, PlainPixels(str(path), shape, part.data, -32), size)
    yield from check_map(name, shape, read, stated, verdict)


def _read(pixels: PlainPixels, size: int, plane: Plane, box: Box) -> Float:
    """A window, if the file is long enough to hold it."""
    height, width = pixels.shape[-2:]
    first = int(np.ravel_multi_index(plane, pixels.shape[:-2])) if plane else 0
    last = pixels.offset + 4 * ((first * height + box.stop[0] - 1) * width + box.stop[1])
    with input_errors("the pixels cannot be read"):
        if last > size:
            raise EOFError("the file ends before")
        return pixels.values(plane, box)


__all__ = ["around", "check", "was_result"]
