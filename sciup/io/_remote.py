"""Zarr in object stores and on web servers, where a read fails now and then."""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.storage import FsspecStore, LocalStore, WrapperStore, ZipStore

from sciup.io._detect import Url
from sciup.io._stores import store_errors, store_options, try_once
from sciup.io._zipped import Zipped, version_of

if TYPE_CHECKING:
    from pathlib import Path

    import zarr
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

T = TypeVar("T")

log = logging.getLogger(__name__)

TRIES = 8
"""How often a read is tried before the store counts as down."""

FIRST, LONGEST = 0.5, 30.0
"""Seconds before the second try, doubled before each one after it up to the longest."""

FINAL = (PermissionError, MemoryError, TypeError, ValueError, NotImplementedError)
"""What is not better a second later."""

HOPELESS = ("NoCredentialsError", "PartialCredentialsError", "ParamValidationError")
"""Names of botocore for it: keys that are missing, and names that no bucket can have."""

NEVER = (errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ENAMETOOLONG)
"""What s3fs makes of requests that S3 does not understand."""

BUSY = (408, 425, 429)
"""The HTTP answers below 500 that ask to come again."""

NO_RANGE = 416
"""The HTTP answer if an object ends before the bytes asked for."""

PASSING = (errno.EIO, errno.EBUSY, errno.EAGAIN, errno.ETIMEDOUT, errno.ECONNRESET)
"""What libraries of stores make of a busy or silent one."""


def open_node(path: Path | Url | Zipped) -> zarr.Group | zarr.Array[Any]:
    """The Zarr group or array at a path, an address or a place in a zip file, for reading."""
    import zarr

    inner = path.inner if isinstance(path, Zipped) else ""
    return zarr.open(_store(path), mode="r", path=inner)


def _store(path: Path | Url | Zipped) -> Store:
    if isinstance(path, Zipped):
        return _zip_store(path.file, version_of(path.file))
    if not isinstance(path, Url):
        return LocalStore(path, read_only=True)
    url = str(path)
    with store_errors(url):
        store = FsspecStore.from_url(url, storage_options=store_options(url), read_only=True)
    try_once(store.fs)
    return Patient(store)


@lru_cache(4)
def _zip_store(file: Path, _version: tuple[int, ...]) -> ZipStore:
    """One store per file: each reads the directory of the file, which may name 100 000 chunks."""
    return ZipStore(file, mode="r")


def patient_array(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """The same array; reads from a store that is not of this machine are tried again."""
    import zarr

    if not isinstance(array.store, FsspecStore):
        return array
    inner = zarr.AsyncArray(
        array.metadata, type(array.store_path)(Patient(array.store), array.store_path.path)
    )
    return zarr.Array(inner)


class CutOffError(OSError):
    """A chunk or shard without bytes: Zarr writes none, but takes such a shard for an empty one."""


class Patient(WrapperStore[Store]):
    """A store whose reads are tried again, and are only believed when they are whole.

    Some codecs take a chunk that was cut off for a whole one (Blosc with LZ4, the usual one of
    OME-Zarr 0.4), so the bytes that came are counted: an object costs one question for its size.
    """

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Bytes of an object, or nothing if there is none."""
        return await _patiently(f"{self._store}/{key}", self._get, key, prototype, byte_range)

    async def _get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None
    ) -> Buffer | None:
        found = await self._store.get(key, prototype, byte_range)
        if found is None or len(found) == _length(byte_range):
            return found
        expected = len(range(await self._store.getsize(key))[_slice(byte_range)])
        if len(found) != expected:
            raise OSError(f"{len(found)} of {expected} bytes came")
        if not expected and not key.rpartition("/")[2].startswith((".z", "zarr.json")):
            raise CutOffError("it holds no bytes")
        return found

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """Parts of objects, each with tries of its own."""
        return list(await asyncio.gather(*(self.get(k, prototype, r) for k, r in key_ranges)))

    async def _get_many(
        self, requests: Iterable[tuple[str, BufferPrototype, ByteRequest | None]]
    ) -> AsyncGenerator[tuple[str, Buffer | None], None]:
        for request in requests:
            yield request[0], await self.get(*request)

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        return await _patiently(f"{self._store}/{key}", self._store.exists, key)


def _length(wanted: ByteRequest | None) -> int | None:
    """Number of bytes that a request should give, where it tells."""
    if isinstance(wanted, RangeByteRequest):
        return wanted.end - wanted.start
    return wanted.suffix if isinstance(wanted, SuffixByteRequest) else None


def _slice(wanted: ByteRequest | None) -> slice:
    """The bytes of an object that a request asks for."""
    if isinstance(wanted, RangeByteRequest):
        return slice(wanted.start, wanted.end)
    if isinstance(wanted, SuffixByteRequest):
        return slice(-wanted.suffix, None)
    return slice(wanted.offset if isinstance(wanted, OffsetByteRequest) else 0, None)


async def _patiently(what: str, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Await a function again and again; an `OSError` tells that there is no use."""
    for number in count(1):
        try:
            return await function(*arguments)
        except Exception as error:  # noqa: BLE001 - every library of a store has its own errors
            await asyncio.sleep(pause(what, error, number))
    raise AssertionError  # the last pause raises


def patiently(what: str, function: Callable[[], T]) -> T:
    """Call a function again as long as it raises what may pass.

    Not every `OSError`: those of HDF5 say that a file is damaged.
    """
    for number in count(1):
        try:
            return function()
        except OSError as error:
            if not (isinstance(error, TimeoutError | ConnectionError) or error.errno in PASSING):
                raise
            time.sleep(pause(what, error, number))
    raise AssertionError  # the last pause raises


def pause(what: str, error: Exception, number: int) -> float:
    """Seconds to wait after an error of try `number`, which is raised if there is no use.

    Waits differ by chance, so that a thousand workers do not come back at the same moment.
    """
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if isinstance(error, CutOffError) or getattr(error, "status", None) == NO_RANGE:
        raise CutOffError(f"{what}: {reason}") from None  # the store is well: this may be masked
    if _is_final(error):
        raise OSError(errno.EACCES, f"{what}: {reason}") from error
    if number >= TRIES:
        raise OSError(
            errno.ETIMEDOUT, f"{what} failed {TRIES} times, the last with {reason}"
        ) from error
    wait: float = min(FIRST * 2 ** (number - 1), LONGEST) * random.uniform(0.5, 1.5)
    log.warning("%s: %s; try %d of %d in %.1f s", what, reason, number + 1, TRIES, wait)
    return wait


def _is_final(error: Exception) -> bool:
    """Whether to try again has no use."""
    status = getattr(error, "status", None)
    refused = isinstance(status, int) and 400 <= status < 500 and status not in BUSY
    hopeless = type(error).__name__ in HOPELESS or getattr(error, "errno", None) in NEVER
    return refused or hopeless or isinstance(error, FINAL)


__all__ = ["Patient", "open_node", "patient_array", "patiently"]
