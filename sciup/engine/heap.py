"""How the C library keeps memory: one heap for all threads, and none of Dask's thrift."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
from contextlib import suppress
from functools import cache

import numpy as np

from sciup.image import Float

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Of mallopt(3)."""


def _mallopt(**options: int) -> None:
    with suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL(None)
        for name, value in options.items():
            libc.mallopt(globals()[name], value)


@cache
def share_heap() -> None:
    """Let all threads that are still to come take memory from one heap.

    With a heap for each, what one thread has freed is of no use to the others: 90 MB of 510 were
    free and held (measured with two threads; the time was the same).
    """
    if "MALLOC_ARENA_MAX" not in os.environ:  # somebody has thought of it
        _mallopt(M_ARENA_MAX=1)


@cache
def keep_memory() -> None:
    """Let the process keep what it frees, as it does without Dask.

    Dask's nannies set MALLOC_TRIM_THRESHOLD_, which also stops glibc from learning that large
    blocks come again and again: every tensor is then mapped and returned page by page, and a window
    takes more than twice as long (measured).
    """
    _mallopt(M_MMAP_THRESHOLD=32 << 20, M_TRIM_THRESHOLD=512 << 20)


def room(shape: tuple[int, ...]) -> Float:
    """An array for the values of a shard, to be filled completely.

    From the system and back to it: what is not filled yet and what is freed takes no memory. Malloc
    keeps blocks of this size, and holes between them.
    """
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return np.empty(shape, np.float32)
    try:
        place = mmap.mmap(-1, 4 * math.prod(shape), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:  # others would take it for one of the disk
        raise MemoryError(str(error)) from None
    return np.frombuffer(place, np.float32).reshape(shape)
