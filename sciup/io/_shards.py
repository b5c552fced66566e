"""Sharded float32 arrays on disk, as all our OME-Zarr results use them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec
from zarr.core.array_spec import ArrayConfigParams
from zarr.storage import LocalStore

from sciup.io._writer import CHUNK, SHARD

# An all-masked chunk is written like any other: a shard that is not there is not done.
CONFIG: ArrayConfigParams = {"write_empty_chunks": True}


def storage(shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shard and chunk of an array: `SHARD` and `CHUNK` px, or one shard on a shorter axis.

    Examples
    --------
    >>> storage((3, 5000, 600))
    ((1, 2048, 1024), (1, 512, 512))
    >>> storage((3, 100, 600))
    ((1, 100, 1024), (1, 100, 512))
    """
    chunks = [min(CHUNK, n) for n in shape[-2:]]
    sides = [
        SHARD if n > SHARD else c * math.ceil(n / c)
        for n, c in zip(shape[-2:], chunks, strict=True)
    ]
    leading = (1,) * (len(shape) - 2)
    return (*leading, *sides), (*leading, *chunks)


def create_array(folder: Path, shape: tuple[int, ...], axes: list[str]) -> zarr.Array[Any]:
    """Create an empty float32 array of NaN with our shards and codec, without parent groups.

    An array that is there is replaced.
    """
    shard, chunk = storage(shape)
    return zarr.create_array(
        LocalStore(folder), shape=shape, dtype="float32", shards=shard, chunks=chunk,
        compressors=codec(), fill_value=np.nan, dimension_names=axes, overwrite=True,
        config=CONFIG,
    )  # fmt: skip


def open_array_rw(folder: Path) -> zarr.Array[Any]:
    """Open one of our arrays for reading and writing."""
    array: zarr.Array[Any] = zarr.open_array(LocalStore(folder), mode="r+").with_config(CONFIG)
    return array


def codec() -> BloscCodec:
    # Shuffled bytes of floats compress well; one level and size for all keeps bytes reproducible.
    # Level 3 takes twice the time for 1 % less.
    return BloscCodec(cname="zstd", clevel=1, shuffle="shuffle")


__all__ = ["CONFIG", "codec", "create_array", "open_array_rw", "storage"]
