"""Whether an input is still the one that a run began with: sizes, tags and times of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciup.errors import InputError
from sciup.io._detect import Url, url_of
from sciup.io._remote_file import RemoteFile
from sciup.io._zipped import zipped

if TYPE_CHECKING:
    import zarr

    from sciup.image import Image

Version = tuple[int | None, int | str | None]

SAMPLED = 64
"""Chunks, or shards, of a Zarr array that are looked at."""

AT_ONCE = 16
"""Questions to a store at a time."""


def version_of(image: Image) -> Version:
    """Size of an input, and when it changed, as its disk or store tells; nothing of arrays.

    A Zarr has no size; of it a checksum of sizes and tags is given: of its metadata and of up to
    `SAMPLED` chunks, by chance but always the same ones. Nothing is fetched but those. On a disk
    nothing is said of a Zarr but its values, of which the fingerprint of a run has a
    digest: who mends a damaged chunk may go on.

    Raises
    ------
    InputError
        If a store does not answer.
    """
    url, path = url_of(image.source), Path(image.source)
    if image.format == "ome-zarr" and url:
        return None, _of_zarr(_array_of(image))
    if url and image.format == "fits":
        return _of_file(url)
    place = zipped(path) if image.format == "ome-zarr" else None
    path = place.file if place else path
    return _of_file(path) if path.is_file() else (None, None)


def _of_file(place: Path | Url) -> Version:
    """Length and time, or tag, of a file; nothing if it is not there, or not shown."""
    if isinstance(place, Path):
        try:
            found = place.stat()
        except OSError:
            return None, None
        return found.st_size, found.st_mtime_ns
    file = RemoteFile(place)
    try:
        return file.size, file.stamp
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError | PermissionError):
            return None, None
        raise


def _array_of(image: Image) -> Any:
    """Where the array of an image is: opened a second time it would say all of it again."""
    inner: Any = image
    while hasattr(inner, "base"):
        inner = inner.base
    return inner.path


def _of_zarr(where: Any) -> str:
    from sciup.io._zarr_groups import read_node

    array: Any = read_node(where)
    heads = ("zarr.json",) if array.metadata.zarr_format == 3 else (".zarray", ".zattrs")
    files = [folder / name for folder in (where, where.parent) for name in heads]
    files += [where / key for key in _sampled(array)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(_of_file, files))
    told = "\n".join(f"{file} {version}" for file, version in zip(files, found, strict=True))
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def _sampled(array: zarr.Array[Any]) -> Iterator[str]:
    """Names of some chunks, or of some shards."""
    sides = array.shards or array.chunks
    grid = [-(-n // side) for n, side in zip(array.shape, sides, strict=True)]
    count = int(np.prod(grid, dtype=np.int64))
    chance = np.random.default_rng(0)
    numbers = chance.choice(count, min(count, SAMPLED), replace=False, shuffle=False)
    for index in zip(*np.unravel_index(np.sort(numbers), grid), strict=True):
        yield array.metadata.encode_chunk_key(tuple(int(i) for i in index))


__all__ = ["version_of"]
