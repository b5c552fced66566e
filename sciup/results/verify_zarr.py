"""Whether an OME-Zarr result is whole: its small files, its shards, and the levels above them."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sciup.errors import InputError
from sciup.geometry import Box, iterate, shards
from sciup.image import Float, Plane
from sciup.io._check import index_of, input_errors
from sciup.io._pyramid import coarse, level_shapes
from sciup.io._zarr_sums import OWN, file_is_whole, own_sum
from sciup.results.verify import Damage, Verdict, check_map, place, unlisted

ROOT = "zarr.json"
GROUP = {"zarr_format": 3, "node_type": "group"}
"""What stands in it beside the attributes, whose checksum does not cover it."""


def was_result(path: Path) -> bool:
    """Whether a finished OME-Zarr result was here, in whatever state it is."""
    ours = _ours(path)
    if ours:
        return "provenance" in ours and "maps" in ours
    # its maps say whose they are, too; other results in a folder have no map to name
    folders = (part.parent for part in path.glob(f"*/{ROOT}"))
    return any(_ours(folder).get("map") == folder.name for folder in folders)


def _ours(folder: Path) -> dict[str, Any]:
    """What sciup has written into the metadata of a group; nothing if they cannot be read."""
    try:
        return dict(json.loads((folder / ROOT).read_text(encoding="utf-8"))["attributes"]["sciup"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def check(path: Path, verdict: Verdict, progress: Callable[[int, int], None]) -> Iterator[Damage]:
    """All that is wrong with it."""
    attributes = yield from around(path, verdict)
    if attributes is None:
        return
    stated = attributes["sciup"]["provenance"].get("checksums", {})
    for done, name in enumerate(verdict.maps):
        progress(done, len(verdict.maps))
        yield from _image(path, name, stated, verdict)
    if "multiscales" in attributes.get("ome", {}):  # a field of a plate shows one of its maps
        yield from _schema(path, "")


def around(path: Path, verdict: Verdict) -> Generator[Damage, None, dict[str, Any] | None]:
    """What is wrong with all but the pixels; returns the attributes, if they can be read."""
    try:
        document = json.loads((path / ROOT).read_text("utf-8"))
        attributes: dict[str, Any] = document.pop("attributes")
        about = attributes["sciup"]
        stated = dict(about["provenance"].get("checksums", {}))
        verdict.maps = [str(name) for name in about["maps"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Damage(ROOT, f"the metadata of the result cannot be read ({error})")
        return None
    if document != GROUP or (OWN in about and own_sum(attributes) != about[OWN]):
        yield Damage(ROOT, "its metadata are not those that were written")
    if stated and OWN not in about:
        yield Damage(ROOT, "the checksum of its metadata is missing")
    verdict.stated = bool(stated)
    yield from unlisted(verdict.maps, stated)
    yield from _files(path, about.get("files", {}), verdict.maps)
    return attributes


def _files(path: Path, files: Mapping[str, str], maps: list[str]) -> Iterator[Damage]:
    """Metadata and small arrays; those of a map that is gone are told once, with it."""
    gone = tuple(f"{name}/" for name in maps if not (path / name).is_dir())
    for name, sum_ in files.items():
        whole = file_is_whole(path / name, sum_)
        if whole is None and not name.startswith(gone):
            yield Damage(name, "the file is missing")
        if whole is False:
            yield Damage(name, "the file is not the one that was written")


def _image(path: Path, name: str, stated: dict[str, Any], verdict: Verdict) -> Iterator[Damage]:
    """A map: what the reader says of it, its values, its levels."""
    from sciup.io._ome_zarr import open_ome_zarr

    if not (path / name).is_dir():
        yield Damage(name, "the map is missing")
        return
    try:
        image = open_ome_zarr(path / name)
        count, shape = len(level_shapes(image.plane_shape)), image.shape
        levels = [_open(path / name / str(n)) for n in range(count)]
    except InputError as error:
        yield Damage(name, error.what)
        return
    found = list(
        check_map(name, shape, partial(_read, path / name / "0", levels[0]), stated, verdict)
    )
    yield from found
    yield from () if found else _levels(path / name, name, levels)
    yield from _schema(path / name, name)


def _open(folder: Path) -> Any:
    import zarr
    from zarr.storage import LocalStore

    with input_errors(f"the array {folder.name} cannot be opened"):
        return zarr.open_array(LocalStore(folder, read_only=True), mode="r")


def _read(folder: Path, array: Any, plane: Plane, box: Box) -> Float:
    """A window, if its shards are there: zarr takes a missing or empty one for NaN."""
    for shard in _shards(array, plane, box):
        key = array.metadata.encode_chunk_key(shard)
        file = folder / key
        if not file.is_file() or not file.stat().st_size:
            state = "is empty" if file.is_file() else "is missing"
            raise InputError(f"the shard {folder.name}/{key} {state}")
    with input_errors("the shard cannot be decoded"):
        return np.asarray(array[index_of(plane, box)], np.float32)


def _shards(array: Any, plane: Plane, box: Box) -> Iterator[tuple[int, ...]]:
    sides = array.shards or array.chunks
    whole = Box((*plane, *box.start), (*(i + 1 for i in plane), *box.stop))
    first = tuple(a // n for a, n in zip(whole.start, sides, strict=True))
    last = tuple(-(-b // n) for b, n in zip(whole.stop, sides, strict=True))
    return iterate(Box(first, last))


def _levels(folder: Path, name: str, levels: list[Any]) -> Iterator[Damage]:
    """Coarser levels follow from the one before, bit for bit; the first wrong one is told."""
    for number, (fine, level) in enumerate(pairwise(levels), start=1):
        side = max((level.shards or level.chunks)[-2:])
        damaged = False
        for plane in iterate(Box.of_shape(level.shape[:-2])):
            for _, box in shards(level.shape[-2:], side):
                where = place(f"{name}, level {number}", plane, box)
                try:
                    values = _read(folder / str(number), level, plane, box)
                except InputError as error:
                    damaged = True
                    yield Damage(where, error.what)
                    continue
                if not np.array_equal(values, coarse(fine, plane, box), equal_nan=True):
                    damaged = True
                    yield Damage(where, "it does not follow from the level before")
        if damaged:
            return


def _schema(folder: Path, name: str) -> Iterator[Damage]:
    """What ome-zarr-models says, where it is installed."""
    try:
        import zarr
        from ome_zarr_models.v05 import Image
        from zarr.storage import LocalStore
    except ImportError:
        return
    try:
        with input_errors("the metadata are no valid OME-Zarr 0.5"):
            Image.from_zarr(zarr.open_group(LocalStore(folder, read_only=True), mode="r"))
    except InputError as error:
        yield Damage(f"{name}/{ROOT}".lstrip("/"), error.what)


__all__ = ["around", "check", "was_result"]
