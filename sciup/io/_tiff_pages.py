"""Where the pixels of a TIFF file lie, and how to read a few of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.image import Bool, Plane
from sciup.io._check import AXES, input_errors

LETTERS = {"T": "t", "C": "c", "Z": "z", "S": "c"}
DAMAGED = "the file may be truncated or damaged: copy or export it again"
TRUNCATED = "the file is probably truncated: copy or export it again"


@dataclass(frozen=True)
class Order:
    """How planes of the axes ``tcz`` are found in the array that the file describes.

    Attributes
    ----------
    axes : str
        Axes of the image, in the order of ``tczyx``.
    letters : str
        For every axis of the stored array, the axis of the image that it is.
    shape : tuple of int
        Shape of the stored array.
    """

    axes: str
    letters: str
    shape: tuple[int, ...]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of the image."""
        return tuple(self.shape[self.letters.index(a)] for a in self.axes)

    def index(self, plane: Plane, box: Box) -> tuple[int | slice, ...]:
        """Index of a box of a plane in the stored array."""
        where: dict[str, int | slice] = dict(zip(self.axes, plane, strict=False))
        where |= dict(zip("yx", box.slices, strict=True))
        return tuple(where[a] for a in self.letters)

    def flat(self, plane: Plane) -> int:
        """Position of pixel (0, 0) of a plane in the flattened stored array."""
        where = dict(zip(self.axes[:-2], plane, strict=True))
        first = tuple(where.get(a, 0) for a in self.letters)
        return int(np.ravel_multi_index(first, self.shape))


def find_order(series: tifffile.TiffPageSeries, path: Path) -> Order:
    """Which stored axis is which; axes without a known name become z, c, t, the last one first."""
    stored = series.axes
    if stored.count("Y") != 1 or stored.count("X") != 1 or "SC" in stored or "CS" in stored:
        raise InputError(
            f"{path} has axes {stored!r} and shape {series.shape}", f"a part of {AXES}"
        )
    letters = [LETTERS.get(a, a.lower() if a in "YX" else "?") for a in stored]
    free = [a for a in "zct" if a not in letters]
    for i in reversed([i for i, a in enumerate(letters) if a == "?"]):
        if not free:
            raise InputError(f"{path} has axes {stored!r}", f"a part of {AXES}")
        letters[i] = free.pop(0)
    text = "".join(letters)
    if len(set(text)) != len(text):
        raise InputError(
            f"{path} has axes {stored!r} and shape {series.shape}", f"a part of {AXES}"
        )
    return Order("".join(sorted(text, key=AXES.index)), text, tuple(series.shape))


@dataclass(frozen=True)
class Raw:
    """Pixels that lie in a file as one plain array, read through a memory map."""

    path: Path
    offset: int
    dtype: str
    order: Order

    def read(self, plane: Plane, box: Box) -> tuple[NDArray[Any], Bool | None]:
        """Values (h, w) as stored; nothing is masked."""
        # Mapped anew for every window: costs microseconds, and nothing must be shared or closed.
        array = np.memmap(self.path, self.dtype, "r", self.offset, self.order.shape)
        return np.array(array[self.order.index(plane, box)]), None


def find_raw(series: tifffile.TiffPageSeries, order: Order, path: Path) -> Raw | None:
    """The plain array of a series, if it is stored as one: also ImageJ stacks over 4 GB."""
    page = series.keyframe
    offset = series.dataoffset
    single = len(series) == 1 and page.is_final and len(page.dataoffsets) > 0
    if offset is None and single and page.size == series.size:
        offset = page.dataoffsets[0]
    if offset is None or not page.is_final or series.is_multifile:
        return None
    if offset + series.nbytes > path.stat().st_size:
        raise InputError(
            f"{path} ends before its pixels do: {offset + series.nbytes} bytes are needed, "
            f"{path.stat().st_size} are there", "", TRUNCATED,
        )  # fmt: skip
    dtype = series.dtype.newbyteorder("<" if page.parent.byteorder == "<" else ">")
    return Raw(path, int(offset), dtype.str, order)


class Pages:
    """An open file whose tiles or strips are decoded one by one as they are needed.

    It belongs to one process. tifffile moves one file position, so that reading is locked;
    decoding is not.

    Parameters
    ----------
    path : Path
    order : Order
        Of the planes in the level.
    level : int
        Of the pyramid, 0 is the image.
    """

    def __init__(self, path: Path, order: Order, level: int = 0) -> None:
        self.order = order
        self.lock = threading.Lock()
        self.tiff = tifffile.TiffFile(path)
        self.series = self.tiff.series[0].levels[level]
        self.keyframe = self.series.keyframe
        self.decode = self.keyframe.decode

    def __del__(self) -> None:
        if hasattr(self, "tiff"):
            self.tiff.close()

    def read(self, plane: Plane, box: Box) -> tuple[NDArray[Any], Bool | None]:
        """Values (h, w) as stored, and the footprint: False where a segment was left out."""
        page_index, rest = divmod(self.order.flat(plane), self.keyframe.size)
        separate, depth, _, _, sample = np.unravel_index(rest, self.keyframe.shaped)
        out = np.zeros(box.shape, self.series.dtype)
        footprint = np.zeros(box.shape, bool)
        deep, high, wide = segment_shape(self.keyframe)
        _, depths, height, width, _ = self.keyframe.shaped
        first = (int(separate) * -(-depths // deep) + int(depth) // deep) * -(-height // high)
        for row in range(box.start[0] // high, -(-box.stop[0] // high)):
            for column in range(box.start[1] // wide, -(-box.stop[1] // wide)):
                number = (first + row) * -(-width // wide) + column
                data = self._segment(page_index, number)
                if data is None:
                    continue
                corner = (row * high, column * wide)
                part = Box(corner, (corner[0] + data.shape[1], corner[1] + data.shape[2]))
                hit = part.intersect(box)
                here, there = hit.relative_to(box).slices, hit.relative_to(part).slices
                out[here] = data[int(depth) % deep, there[0], there[1], int(sample)]
                footprint[here] = True
        return out, footprint

    def _segment(self, page_index: int, number: int) -> NDArray[Any] | None:
        """Decode one tile or strip to (depth, h, w, samples); None if the file leaves it out."""
        with self.lock:
            page = self.series[page_index]
            if page is None or number >= len(page.dataoffsets):
                return None
            offset, count = page.dataoffsets[number], page.databytecounts[number]
            if not offset or not count:
                return None
            file = page.parent.filehandle
            closed = file.closed
            if closed:  # another file of the same multi-file series
                file.open()
            file.seek(offset)
            data = file.read(count)
            if closed:
                file.close()
            tables = {} if page.jpegtables is None else {"jpegtables": page.jpegtables}
        if len(data) < count:
            raise EOFError(f"segment {number} of page {page_index} ends early")
        if self.keyframe.jpegheader is not None:
            tables["jpegheader"] = self.keyframe.jpegheader
        decoded: NDArray[Any] | None = self.decode(data, number, **tables)[0]
        return decoded


def segment_shape(page: tifffile.TiffPage) -> tuple[int, int, int]:
    """Depth, height and width of the tiles or strips of a page."""
    if page.is_tiled:
        return page.tiledepth, page.tilelength, page.tilewidth
    return 1, min(page.rowsperstrip, page.imagelength), page.imagewidth


def check_chain(tiff: tifffile.TiffFile, path: Path) -> None:
    """Refuse pages that follow each other in a circle: tifffile may walk it without an end.

    It compares places only where it counts the pages, and only once, at the hundredth.
    """
    kind, file, seen = tiff.tiff, tiff.filehandle, set[int]()
    place = _number(file, 4 if kind.version == 42 else 8, kind.offsetsize, tiff.byteorder)
    while 0 < place < file.size and place not in seen:
        seen.add(place)
        tags = _number(file, place, kind.tagnosize, tiff.byteorder)
        end = place + kind.tagnosize + tags * kind.tagsize
        place = _number(file, end, kind.offsetsize, tiff.byteorder)
    if place in seen:
        raise InputError(
            f"the pages of {path} follow each other in a circle: number {len(seen)} points back",
            "a list of pages with an end", DAMAGED,
        )  # fmt: skip


def _number(file: tifffile.FileHandle, place: int, size: int, byteorder: str) -> int:
    """Unsigned number of ``size`` bytes at a place of the file; 0 behind its end."""
    file.seek(place)
    return int.from_bytes(file.read(size), "little" if byteorder == "<" else "big")


def check_complete(
    tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, path: Path, raw: Raw | None
) -> None:
    """Refuse files that end early: tifffile opens them with fewer pages and only logs it.

    The pages of a plain array need no look: `find_raw` has seen that its last byte is there.
    """
    with input_errors(f"the pages of {path} cannot be read", TRUNCATED):
        pages = [] if raw else list(series)
        missing = sum(page is None for page in pages)
        short = sum(_ends(page) > page.parent.filehandle.size for page in pages if page is not None)
        chain = _next_page(tiff)
        declared = (tiff.imagej_metadata or {}).get("images", 1) if series.kind != "imagej" else 1
    if missing:
        raise InputError(
            f"{missing} of {len(pages)} planes of {path} are not there", "",
            "put all files of a multi-file OME-TIFF in one folder, or export it again",
        )  # fmt: skip
    if short or chain or declared > len(tiff.pages):
        raise InputError(f"{path} ends before its pixels do", "a complete TIFF file", TRUNCATED)


def _ends(page: Any) -> int:
    """First byte behind the data of a page."""
    if not len(page.dataoffsets):
        return 0
    pairs = zip(page.dataoffsets, page.databytecounts, strict=False)
    return max(int(offset) + int(count) for offset, count in pairs)


def _next_page(tiff: tifffile.TiffFile) -> bool:
    """Whether the chain of pages goes on behind the last page that could be read."""
    where = tiff.pages.next_page_offset
    if where is None:
        return False
    after = _number(tiff.filehandle, where, tiff.tiff.offsetsize, tiff.byteorder)
    behind = where + tiff.tiff.offsetsize > tiff.filehandle.size
    return bool(behind or after >= tiff.filehandle.size)


__all__ = [
    "DAMAGED",
    "Order",
    "Pages",
    "Raw",
    "check_chain",
    "check_complete",
    "find_order",
    "find_raw",
    "segment_shape",
]
