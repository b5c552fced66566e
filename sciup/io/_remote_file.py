"""Parts of a file on a web server or in an object store, without downloading the whole."""

from __future__ import annotations

import io
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from sciup.errors import InputError
from sciup.io._detect import Url, url_of
from sciup.io._remote_blocks import Blocks
from sciup.io._scratch import remove, scratch_folder
from sciup.io._stores import store_errors, store_fix, store_options, try_once

T = TypeVar("T")

PARTIAL, NO_RANGE = 206, 416
"""The HTTP answers with a part, and where a file ends before it."""

STAMPS = ("ETag", "etag", "Last-Modified", "LastModified", "mtime", "updated", "created")
"""What stores call it."""

logger = logging.getLogger("sciup")


class RemoteFile:
    """A file behind an address of fsspec, read in blocks; picklable, safe in several threads.

    Parameters
    ----------
    url : str
        ``https://``, ``s3://``, whatever fsspec knows.

    Raises
    ------
    InputError
        When something is asked of it: if there is no such file, or the store is down.
    MissingPackageError
        If the store needs a package that is not there.
    """

    def __init__(self, url: str) -> None:
        self.__setstate__(url)

    def __getstate__(self) -> str:
        return self.url

    def __setstate__(self, state: str) -> None:
        self.url = state
        self._blocks = Blocks(self._fetch)

    @cached_property
    def _place(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        with store_errors(self.url):
            found: tuple[Any, str] = url_to_fs(self.url, **store_options(self.url))
        try_once(found[0])
        return found

    @cached_property
    def _about(self) -> dict[str, Any]:
        filesystem, path = self._place
        return dict(self._tried(lambda: filesystem.info(path)))

    @property
    def size(self) -> int | None:
        """Length in bytes; None if the store does not tell."""
        size = self._about.get("size")
        return None if size is None else int(size)

    @property
    def stamp(self) -> str | None:
        """What changes with the content, as the store tells: a tag, or a time."""
        return next((str(self._about[name]) for name in STAMPS if self._about.get(name)), None)

    @cached_property
    def random_access(self) -> bool:
        """Whether parts can be asked for: some web servers give the whole whatever is asked."""
        if not self.url.startswith(("http://", "https://")) or not self.size:
            return self.size is not None
        return self._tried(self._probe)

    def _probe(self) -> bool:
        """Ask for the second byte: the first ones may also be read from a whole that comes."""
        from fsspec.asyn import sync

        filesystem, path = self._place

        options = dict(filesystem.kwargs)  # such as a token
        options["headers"] = {**options.get("headers", {}), "Range": "bytes=1-1"}

        async def ask() -> tuple[int, str]:
            session = await filesystem.set_session()
            async with session.get(filesystem.encode_url(path), **options) as answer:
                if answer.status != NO_RANGE:
                    answer.raise_for_status()
                return answer.status, answer.headers.get("Content-Range", "")

        status, told = sync(filesystem.loop, ask)
        total = told.rpartition("/")[2]
        if status == PARTIAL and total.isdecimal() and int(total) != self.size:
            raise ValueError(f"Content-Length says {self.size} bytes, Content-Range {total}")
        return bool(status == PARTIAL)

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of a part, as far as the file goes; blocks that are not kept are asked for."""
        data = bytearray(max(min(stop, self.size or 0) - start, 0))
        self._blocks.fill([(start, memoryview(data))])
        return bytes(data)

    def fill(self, places: Sequence[tuple[int, memoryview]]) -> None:
        """Fill buffers with the bytes from some positions on, in rising order."""
        if places[-1][0] + len(places[-1][1]) > (self.size or 0):
            raise InputError(f"{self.url} became shorter while it was being read")
        self._blocks.fill(places)

    def start(self, length: int) -> bytes:
        """The first bytes, also where parts cannot be asked for."""
        if self.random_access:
            return self.read(0, length)
        filesystem, path = self._place

        def head() -> bytes:
            with filesystem.open(path, block_size=0) as stream:  # a stream
                return bytes(stream.read(length))

        return self._tried(head)

    def _fetch(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        filesystem, path = self._place
        size = self.size or 0
        starts, stops = ([min(edge, size) for edge in edges] for edges in zip(*ranges, strict=True))

        def fetch() -> list[bytes]:
            got = filesystem.cat_ranges([path] * len(starts), starts, stops, on_error="raise")
            for data, start, stop in zip(got, starts, stops, strict=True):
                if len(data) != stop - start:
                    wanted = stop - start
                    _refuse(len(data), wanted, f"{len(data)} of {wanted} bytes came")
            return [bytes(data) for data in got]

        return self._tried(fetch)

    def _tried(self, function: Callable[[], T]) -> T:
        """Call a function again and again, as long as there is hope."""
        from sciup.io._remote import Tries  # brings Zarr, which local files do not need

        tries = Tries(self.url)
        while True:
            try:
                return tries.came(function())
            except Exception as error:  # noqa: BLE001 - every library of a store has its own errors
                reason = _reason(error)
                if isinstance(reason, FileNotFoundError):
                    what = f"there is no file {self.url}"
                    raise InputError(what, "", "check the address") from reason
                try:
                    seconds = tries.pause(reason)
                except OSError as final:
                    what = f"{self.url} cannot be read ({final.strerror or final})"
                    raise InputError(what, "", store_fix(self.url, final)) from reason
                time.sleep(seconds)

    def download(self, target: Path) -> None:
        """Copy the whole file."""
        filesystem, path = self._place
        options = {} if self.random_access else {"block_size": 0}  # as a stream

        def copy() -> None:
            with filesystem.open(path, "rb", **options) as stream, target.open("wb") as out:
                shutil.copyfileobj(stream, out, 1 << 20)
            came = target.stat().st_size
            if self.size not in (None, came):
                _refuse(came, self.size, f"{came} bytes came, but Content-Length says {self.size}")

        self._tried(copy)


def _refuse(came: int, wanted: int | None, why: str) -> None:
    """Too few bytes may be all right the next time; too many are what the server always gives."""
    raise ValueError(why) if came > (wanted or 0) else OSError(why)


def _reason(error: Exception) -> Exception:
    """Why something failed: fsspec says of a web server that is busy that there is no such file."""
    from sciup.io._remote import BUSY

    cause = error.__cause__
    web = type(cause).__module__.startswith("aiohttp")
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception) and web:
        status = getattr(cause, "status", None)
        passing = status is None or status >= 500 or status in BUSY
        return cause if passing else error
    return error


class RemoteStream(io.RawIOBase):
    """A remote file as a stream that can be moved in."""

    def __init__(self, file: RemoteFile) -> None:
        self.file = file
        self.position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.file.size or 0}
        self.position = max(base[whence] + offset, 0)
        return self.position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as far as the file goes."""
        stop = min(self.position + len(buffer), self.file.size or 0)
        data = self.file.read(self.position, stop) if stop > self.position else b""
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


def open_stream(path: str) -> BinaryIO | RemoteStream:
    """A file of this machine or behind an address, for reading anywhere in it."""
    url = url_of(path)
    return RemoteStream(RemoteFile(url)) if url else Path(path).open("rb")


def size_of(path: str) -> int:
    """Length of a file of this machine or behind an address, in bytes."""
    url = url_of(path)
    return (RemoteFile(url).size or 0) if url else Path(path).stat().st_size


def first_bytes(url: Url, length: int = 16) -> bytes:
    """The first bytes of what is behind an address; nothing if that is no file.

    Raises
    ------
    InputError
        If the store is down.
    """
    file = RemoteFile(url)
    try:
        return file.start(length)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return b""
        raise


def download(url: Url, scratch: str | os.PathLike[str] | None) -> str:
    """A copy of a remote file, for what has no random access; removed when the program ends.

    Raises
    ------
    InputError
        If it cannot be read.
    OutputError
        If the copy does not fit on the disk.
    """
    file = RemoteFile(url)
    folder = scratch_folder(Path(url), file.size or 0, None if scratch is None else Path(scratch))
    target = folder / (url.name or "file.fits")
    logger.info(
        "%s: copying %.1f MB to %s, removed at the end", url, (file.size or 0) / 1e6, folder
    )
    try:
        file.download(target)
    except BaseException:
        remove(folder)
        raise
    return str(target)


__all__ = ["RemoteFile", "RemoteStream", "download", "first_bytes", "open_stream", "size_of"]
