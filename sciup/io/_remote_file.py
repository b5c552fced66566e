"""Parts of a file on a web server or in an object store, without downloading the whole."""

from __future__ import annotations

import io
import logging
import os
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import count, groupby
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from sciup.errors import InputError, MissingPackageError
from sciup.io._detect import Url, url_of
from sciup.io._scratch import remove, scratch_folder

T = TypeVar("T")

BLOCK = 1 << 16
"""Bytes that are asked for at least: a request costs as long as some 100 kB."""

CACHE = 64 << 20
"""Bytes that are kept, so that the windows of one row of the plan fetch every row once."""

SPAN = 16 << 20
"""Bytes: rows of a window that are fetched, and kept, as a whole."""

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
        self._lock = threading.Lock()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    @cached_property
    def _place(self) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        try:
            found: tuple[Any, str] = url_to_fs(self.url)
        except ImportError as error:
            raise MissingPackageError(
                f"{self.url} cannot be reached: {error}",
                fix="pip install s3fs for s3://, aiohttp for https://, gcsfs for gs://",
            ) from None
        except ValueError as error:
            raise InputError(f"{self.url} is no address that is known ({error})") from None
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

    @cached_property
    def random_access(self) -> bool:
        """Whether parts can be asked for: some web servers give the whole whatever is asked."""
        if not self.url.startswith(("http://", "https://")) or not self.size:
            return self.size is not None
        filesystem, path = self._place

        def probe() -> bool:
            try:
                with filesystem.open(path, block_size=BLOCK, cache_type="none") as stream:
                    return len(stream.read(1)) == 1 and stream.seek(0) == 0
            except ValueError:  # the server gives the whole, or cannot be moved in
                return False

        return self._tried(probe)

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of a part, as far as the file goes; blocks that are not kept are asked for."""
        stop = min(stop, self.size or 0)
        with self._lock:
            wanted = range(start // BLOCK, -(-stop // BLOCK))
            missing = [n for n in wanted if n not in self._blocks]
            fresh: dict[int, bytes] = {}
            for _, group in groupby(enumerate(missing), lambda pair: pair[1] - pair[0]):
                run = [number for _, number in group]
                data = self._fetch([(run[0] * BLOCK, (run[-1] + 1) * BLOCK)])[0]
                fresh |= {n: data[i * BLOCK : (i + 1) * BLOCK] for i, n in enumerate(run)}
            parts = [fresh[n] if n in fresh else self._blocks[n] for n in wanted]
            self._keep(wanted, parts)
        first = start - wanted.start * BLOCK
        return b"".join(parts)[first : first + stop - start]

    def start(self, length: int) -> bytes:
        """The first bytes, also where parts cannot be asked for."""
        if self.random_access:
            return self.read(0, length)
        filesystem, path = self._place

        def head() -> bytes:
            with filesystem.open(path, block_size=0) as stream:  # a stream
                return bytes(stream.read(length))

        return self._tried(head)

    def _keep(self, numbers: Sequence[int], parts: Sequence[bytes]) -> None:
        for number, data in zip(numbers, parts, strict=True):
            self._blocks[number] = data
            self._blocks.move_to_end(number)
        while len(self._blocks) * BLOCK > CACHE:
            self._blocks.popitem(last=False)

    def fill(self, places: Sequence[tuple[int, memoryview]]) -> None:
        """Fill buffers with the bytes from some positions on, in rising order.

        All between them is fetched and kept, unless it is more than `SPAN`.
        """
        first, last = places[0][0], places[-1][0] + len(places[-1][1])
        if last - first <= SPAN:
            whole = memoryview(self.read(first, last))
            parts = [whole[at - first : at - first + len(buffer)] for at, buffer in places]
        else:
            parts = [memoryview(p) for p in self._fetch([(at, at + len(b)) for at, b in places])]
        for (_, buffer), part in zip(places, parts, strict=True):
            if len(part) < len(buffer):
                raise InputError(f"{self.url} became shorter while it was being read")
            buffer[:] = part

    def _fetch(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        filesystem, path = self._place
        size = self.size or 0
        starts, stops = ([min(edge, size) for edge in edges] for edges in zip(*ranges, strict=True))

        def fetch() -> list[bytes]:
            got = filesystem.cat_ranges([path] * len(starts), starts, stops, on_error="raise")
            for data, start, stop in zip(got, starts, stops, strict=True):
                if len(data) != stop - start:
                    raise OSError(f"{len(data)} of {stop - start} bytes came")
            return [bytes(data) for data in got]

        return self._tried(fetch)

    def _tried(self, function: Callable[[], T]) -> T:
        """Call a function again and again, as long as there is hope."""
        from sciup.io._remote import pause  # brings Zarr, which local files do not need

        for number in count(1):
            try:
                return function()
            except Exception as error:  # noqa: BLE001 - every library of a store has its own errors
                reason = _reason(error)
                if isinstance(reason, FileNotFoundError):
                    what = f"there is no file {self.url}"
                    raise InputError(what, "", "check the address") from reason
                try:
                    seconds = pause(self.url, reason, number)
                except OSError as final:
                    raise InputError(f"{self.url} cannot be read ({final})") from error
                time.sleep(seconds)
        raise AssertionError  # the last pause raises

    def download(self, target: Path) -> None:
        """Copy the whole file."""
        filesystem, path = self._place

        def copy() -> None:
            with filesystem.open(path, "rb") as stream, target.open("wb") as out:
                shutil.copyfileobj(stream, out, 1 << 20)
            if self.size not in (None, target.stat().st_size):
                raise OSError(f"{target.stat().st_size} of {self.size} bytes came")

        self._tried(copy)


def _reason(error: Exception) -> Exception:
    """Why something failed: fsspec says of a web server that is busy that there is no such file."""
    from sciup.io._remote import BUSY

    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception):
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
