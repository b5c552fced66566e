"""Sharded float32 arrays on disk, as all our OME-Zarr results use them."""

from __future__ import annotations

import errno
import math
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import ByteRequest
from zarr.codecs import BloscCodec
from zarr.core.array_spec import ArrayConfigParams
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from sciup.io._writer import CHUNK, SHARD

# An all-masked chunk is written like any other: a shard that is not there is not done.
CONFIG: ArrayConfigParams = {"write_empty_chunks": True}


def own_levels() -> int:
    """Levels of a pyramid above the full image whose shards each follow from one shard of it."""
    return (SHARD // CHUNK).bit_length() - 1


def storage(shape: tuple[int, ...], level: int = 0) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shard and chunk of an array: `SHARD` and `CHUNK` px, or one shard on a shorter axis.

    The shards of `own_levels` shrink with the pixels, so that they cover what the ones of level 0
    cover: who makes one makes all.

    Examples
    --------
    >>> storage((3, 5000, 600))
    ((1, 2048, 1024), (1, 512, 512))
    >>> storage((3, 2500, 300), level=1)
    ((1, 1024, 300), (1, 512, 300))
    >>> storage((3, 100, 600))
    ((1, 100, 1024), (1, 100, 512))
    """
    most = SHARD >> level if level <= own_levels() else SHARD
    chunks = [min(CHUNK, n) for n in shape[-2:]]
    sides = [
        most if n > most else c * math.ceil(n / c) for n, c in zip(shape[-2:], chunks, strict=True)
    ]
    leading = (1,) * (len(shape) - 2)
    return (*leading, *sides), (*leading, *chunks)


def create_array(
    folder: Path, shape: tuple[int, ...], axes: list[str], level: int = 0
) -> zarr.Array[Any]:
    """Create an empty float32 array of NaN with our shards and codec, without parent groups.

    An array that is there is replaced.
    """
    shard, chunk = storage(shape, level)
    return zarr.create_array(
        LocalStore(folder), shape=shape, dtype="float32", shards=shard, chunks=chunk,
        compressors=codec(), fill_value=np.nan, dimension_names=axes, overwrite=True,
        config=CONFIG,
    )  # fmt: skip


def open_array_rw(folder: Path) -> zarr.Array[Any]:
    """Open one of our arrays for reading and writing."""
    return _open(LocalStore(folder))


def open_array_anew(folder: Path) -> zarr.Array[Any]:
    """Open one of our arrays for writing whole shards; everything read is NaN."""
    return _open(Anew(folder))


def _open(store: LocalStore) -> zarr.Array[Any]:
    _check_there(store)
    array: zarr.Array[Any] = zarr.open_array(store, mode="r+").with_config(CONFIG)
    return array


def _check_there(store: LocalStore) -> None:
    """A result that a run has moved to its place stays away: zarr would make its folders anew."""
    if not (store.root / "zarr.json").is_file():
        raise FileNotFoundError(errno.ENOENT, "the unfinished result is gone", str(store.root))


class Anew(LocalStore):
    """A store for writing whole shards: what is there is never looked at, only replaced.

    Zarr reads the old shard before it writes one, and would stumble over a damaged one. To remove
    that first is worse: another process may be making the same shard, or be reading it. A file of
    `LocalStore` takes the place of the old one in one step.
    """

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """The metadata, and no shard."""
        return await super().get(key, prototype, byte_range) if key.endswith("json") else None

    async def set(self, key: str, value: Buffer) -> None:
        """Replace a shard."""
        _check_there(self)
        await super().set(key, value)


def codec() -> BloscCodec:
    # Shuffled bytes of floats compress well; one level and size for all keeps bytes reproducible.
    # Level 3 takes twice the time for 1 % less.
    return BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")


__all__ = [
    "CONFIG",
    "codec",
    "create_array",
    "open_array_anew",
    "open_array_rw",
    "own_levels",
    "storage",
]
