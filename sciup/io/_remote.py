"""Zarr in object stores and on web servers, where a read fails now and then."""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.storage import FsspecStore, LocalStore, WrapperStore, ZipStore

from sciup.io._detect import Url
from sciup.io._stores import OutOfReachError, store_errors, store_options, try_once
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

REACH = 10.0
"""Seconds after which a machine that never answered counts as out of reach."""

UNREACHED = ("ClientConnectorError", "ConnectionTimeoutError", "EndpointConnectionError",
             "ConnectTimeoutError")  # fmt: skip
"""Names of aiohttp and botocore for a machine to which there is no way."""

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


class Patient(WrapperStore[FsspecStore]):
    """A store whose reads are tried again, and are only believed when they are whole.

    Some codecs take a chunk that was cut off for a whole one (Blosc with LZ4, the usual one of
    OME-Zarr 0.4), so the bytes that came are counted: an object costs one question for its size.
    """

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Bytes of an object, or nothing if there is none."""
        return await _patiently(self._url(key), self._get, key, prototype, byte_range)

    def _url(self, key: str) -> str:
        return f"{self._store.fs.unstrip_protocol(self._store.path)}/{key}"

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
        return await _patiently(self._url(key), self._store.exists, key)


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


class Tries:
    """The tries of one read: how many failed, and since when.

    Parameters
    ----------
    url : str
        What is read; it is named in messages.
    """

    reached: ClassVar[set[str]] = set()
    """Machines that have answered this process: they will again."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.host = "/".join(url.split("/", 3)[:3])
        self.failed = 0
        self.began = time.monotonic()

    def came(self, found: T) -> T:
        """Keep in mind that there was an answer, and hand it on."""
        self.reached.add(self.host)
        return found

    def pause(self, error: Exception) -> float:
        """Seconds to wait after an error, which is raised as an `OSError` if there is no use.

        Waits differ by chance, so that a thousand workers do not come back at the same moment.
        """
        self.failed += 1
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        if isinstance(error, CutOffError) or getattr(error, "status", None) == NO_RANGE:
            raise CutOffError(
                f"{self.url}: {reason}"
            ) from None  # the store is well: this may be masked
        if _is_final(error):
            raise OSError(errno.EACCES, f"{self.url}: {reason}") from error
        if self.failed >= TRIES:
            raise OSError(
                errno.ETIMEDOUT, f"{self.url} failed {TRIES} times, the last with {reason}"
            ) from error
        wait: float = min(FIRST * 2 ** (self.failed - 1), LONGEST) * random.uniform(0.5, 1.5)
        self._check_reach(error, reason, wait)
        log.warning(
            "%s: %s; try %d of %d in %.1f s", self.url, reason, self.failed + 1, TRIES, wait
        )
        return wait

    def _check_reach(self, error: Exception, reason: str, wait: float) -> None:
        """Who looks at a file without a network is told soon; a long run sits an outage out."""
        names = {kind.__name__ for kind in type(error).__mro__}
        past = time.monotonic() - self.began
        if self.host not in self.reached and names & set(UNREACHED) and past + wait > REACH:
            raise OutOfReachError(
                errno.ETIMEDOUT,
                f"{self.host} did not answer in {past:.0f} s: {reason}",
            ) from error


async def _patiently(url: str, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Await a function again and again; an `OSError` tells that there is no use."""
    tries = Tries(url)
    while True:
        try:
            return tries.came(await function(*arguments))
        except Exception as error:  # noqa: BLE001 - every library of a store has its own errors
            await asyncio.sleep(tries.pause(error))


def patiently(what: str, function: Callable[[], T]) -> T:
    """Call a function again as long as it raises what may pass.

    Not every `OSError`: those of HDF5 say that a file is damaged.
    """
    tries = Tries(what)
    while True:
        try:
            return function()
        except OSError as error:
            if not (isinstance(error, TimeoutError | ConnectionError) or error.errno in PASSING):
                raise
            time.sleep(tries.pause(error))


def _is_final(error: Exception) -> bool:
    """Whether to try again has no use."""
    status = getattr(error, "status", None)
    refused = isinstance(status, int) and 400 <= status < 500 and status not in BUSY
    hopeless = type(error).__name__ in HOPELESS or getattr(error, "errno", None) in NEVER
    return refused or hopeless or isinstance(error, FINAL)


__all__ = ["Patient", "Tries", "open_node", "patient_array", "patiently"]
