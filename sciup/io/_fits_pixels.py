"""Windows of pixels out of FITS files: plain, tile-compressed, or one constant value.

Plain images are read with `os.pread`, row by row: no memory map stays behind, so reading a window
costs the memory of that window, a file that shrinks meanwhile gives an error and not a crash, and
there is nothing open that could be shared between threads or lost in a pickle.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.image import Bool, Float, Plane
from sciup.io._check import input_errors
from sciup.io._detect import url_of
from sciup.io._fits_clean import open_hdus, quiet
from sciup.io._fits_files import Hdu
from sciup.io._remote_file import RemoteFile

_STORED = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_BAND_BYTES = 8 << 20
_CACHE_BYTES = 64 << 20


class Pixels(Protocol):
    """A source of windows; picklable, safe to use from several threads."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in numpy order, ending in (y, x)."""

    def values(self, plane: Plane, box: Box) -> Float:
        """Physical values (h, w), float32; NaN where the file marks a pixel as blank."""

    def flags(self, plane: Plane, box: Box, bad: int) -> Bool:
        """True (h, w) where the integer value has one of the bits `bad`, or is blank."""


def pixels_of(hdu: Hdu) -> Pixels:
    """The pixels of an HDU that is an image.

    Raises
    ------
    InputError
        If it declares a type of numbers that FITS does not know.
    """
    header = hdu.header
    if hdu.kind != "constant" and header["BITPIX"] not in _STORED:
        raise InputError(
            f"HDU {hdu} of {hdu.path} has BITPIX = {header['BITPIX']}",
            ", ".join(map(str, _STORED)), "download or copy the file again",
        )  # fmt: skip
    if hdu.kind == "constant":
        return ConstantPixels(hdu.shape, float(header["PIXVALUE"]))
    integer = header["BITPIX"] > 0  # BLANK has no meaning for floats, though some files carry it
    blank = header.get("BLANK") if integer else None
    coding = Coding(
        float(header.get("BSCALE", 1.0)),
        float(header.get("BZERO", 0.0)),
        blank if isinstance(blank, int) else None,
    )
    if hdu.kind == "compressed":
        return CompressedPixels(hdu.path, hdu.index, hdu.shape, coding)
    url = url_of(hdu.path)
    remote = RemoteFile(url) if url else None
    return PlainPixels(hdu.path, hdu.shape, hdu.offset, int(header["BITPIX"]), coding, remote)


@dataclass(frozen=True, slots=True)
class Coding:
    """How stored numbers stand for physical values: value = bscale x stored + bzero."""

    bscale: float = 1.0
    bzero: float = 0.0
    blank: int | None = None

    def values(self, raw: NDArray[Any]) -> Float:
        """Physical values, float32; NaN where blank."""
        with np.errstate(over="ignore", invalid="ignore"):
            if self.bscale == 1.0 and self.bzero == 0.0:
                out = raw.astype(np.float32)
            elif self.bzero == 2**63 and self.bscale == 1.0 and raw.dtype.kind == "i":
                # In float64 every small unsigned number would vanish beside 2^63.
                out = (raw.astype(np.int64).view(np.uint64) + np.uint64(2**63)).astype(np.float32)
            else:
                out = (raw.astype(np.float64) * self.bscale + self.bzero).astype(np.float32)
        if self.blank is not None:
            out[raw == self.blank] = np.nan
        return out

    def flags(self, raw: NDArray[Any], bad: int) -> Bool:
        """Where the integer value has one of the bits `bad`, or is blank."""
        if raw.dtype.kind == "f" or self.bscale != 1.0 or not self.bzero.is_integer():
            return _bits(raw * self.bscale + self.bzero, bad)
        # Modulo 2^64 the unsigned convention (BZERO = 2^63) is exact as well.
        whole = raw.astype(np.int64).view(np.uint64) + np.uint64(int(self.bzero) % 2**64)
        found = _bits(whole, bad)
        return found if self.blank is None else found | (raw == self.blank)


def stored_dtype(header: Any) -> np.dtype[Any]:
    """Data type as stored, native byte order, with the unsigned convention of BZERO applied."""
    dtype = np.dtype(_STORED[int(header["BITPIX"])]).newbyteorder("=")
    if dtype.kind == "f" or header.get("BSCALE", 1) != 1:
        return dtype
    half = 2 ** (8 * dtype.itemsize - 1)
    if dtype.itemsize == 1:
        return np.dtype("i1") if header.get("BZERO", 0) == -half else dtype
    return np.dtype(f"u{dtype.itemsize}") if header.get("BZERO", 0) == half else dtype


@dataclass(frozen=True, slots=True)
class ConstantPixels:
    """An image of one value, which takes no space in the file."""

    shape: tuple[int, ...]
    value: float

    def values(self, plane: Plane, box: Box) -> Float:
        """See `Pixels`."""
        return np.full(box.shape, self.value, np.float32)

    def flags(self, plane: Plane, box: Box, bad: int) -> Bool:
        """See `Pixels`."""
        return np.full(box.shape, int(self.value) & bad != 0)


@dataclass(frozen=True, slots=True)
class PlainPixels:
    """An uncompressed image: `shape` numbers of type BITPIX from byte `offset` of a file."""

    path: str
    shape: tuple[int, ...]
    offset: int
    bitpix: int
    coding: Coding = Coding()
    remote: RemoteFile | None = None

    def values(self, plane: Plane, box: Box) -> Float:
        """See `Pixels`."""
        return self.coding.values(self._stored(plane, box))

    def flags(self, plane: Plane, box: Box, bad: int) -> Bool:
        """See `Pixels`."""
        return self.coding.flags(self._stored(plane, box), bad)

    def _stored(self, plane: Plane, box: Box) -> NDArray[Any]:
        dtype = np.dtype(_STORED[self.bitpix])
        height, width = self.shape[-2:]
        first = 0
        for index, length in zip(plane, self.shape[:-2], strict=True):
            first = first * length + index
        begin = self.offset + dtype.itemsize * first * height * width
        out = np.empty(box.shape, dtype)
        if not out.size:
            return out
        if box.shape[1] == width:
            pieces = [(box.start[0] * width, out.reshape(-1).view(np.uint8).data)]
        else:
            pieces = [
                (y * width + box.start[1], row.view(np.uint8).data)
                for y, row in zip(range(box.start[0], box.stop[0]), out, strict=True)
            ]
        places = [(begin + pixel * dtype.itemsize, buffer) for pixel, buffer in pieces]
        if self.remote is None:
            self._from_disk(places)
        else:
            self.remote.fill(places)
        return out

    def _from_disk(self, places: list[tuple[int, memoryview]]) -> None:
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise InputError(f"{self.path} can no longer be opened ({error.strerror})") from None
        try:
            for position, buffer in places:
                self._fill(handle, position, buffer)
        finally:
            os.close(handle)

    def _fill(self, handle: int, position: int, buffer: memoryview) -> None:
        done = 0
        while done < len(buffer):
            count = os.preadv(handle, [buffer[done:]], position + done)
            if count == 0:
                raise InputError(f"{self.path} became shorter while it was being read")
            done += count


def _bits(values: NDArray[Any], bad: int) -> Bool:
    """Where integers, perhaps stored as floats, have one of the bits `bad`; NaN counts as bad."""
    if values.dtype.kind == "f":
        blank = ~np.isfinite(values)
        whole = np.where(blank, 0, values).astype(np.int64)
        return np.asarray(_bits(whole, bad) | blank)
    if values.dtype.kind == "i":
        values = values.astype(np.int64).view(np.uint64)
    return np.asarray((values.astype(np.uint64) & np.uint64(bad % 2**64)) != 0)


class CompressedPixels:
    """A tile-compressed image, of which only the tiles under a window are decoded.

    Files compressed row by row are decoded in bands over the full width; the bands used last are
    kept, at most 64 MiB, so that the windows of one row of the plan decode every row once.

    Parameters
    ----------
    path : str
        A FITS file.
    index : int
        Number of the HDU.
    shape : tuple of int
        Shape of the image in numpy order.
    coding : Coding
        From stored to physical values.
    """

    def __init__(self, path: str, index: int, shape: tuple[int, ...], coding: Coding) -> None:
        self.path, self.index, self.shape, self.coding = path, index, shape, coding
        self._close()

    def __getstate__(self) -> tuple[str, int, tuple[int, ...], Coding]:
        return self.path, self.index, self.shape, self.coding

    def __setstate__(self, state: tuple[str, int, tuple[int, ...], Coding]) -> None:
        self.path, self.index, self.shape, self.coding = state
        self._close()

    def _close(self) -> None:
        """Forget the open file: it is opened again, once per process, when a window is read."""
        self._owner = 0
        self._hdu: Any = None
        self._lock = threading.Lock()
        self._bands: OrderedDict[tuple[Plane, int], NDArray[Any]] = OrderedDict()

    def values(self, plane: Plane, box: Box) -> Float:
        """See `Pixels`."""
        return self.coding.values(self._read(plane, box))

    def flags(self, plane: Plane, box: Box, bad: int) -> Bool:
        """See `Pixels`."""
        return self.coding.flags(self._read(plane, box), bad)

    def _read(self, plane: Plane, box: Box) -> NDArray[Any]:
        if self._owner not in (0, os.getpid()):  # a forked copy: the lock may be held over there
            self._close()
        what = (
            f"the compressed pixels {box.start} to {box.stop} of HDU {self.index} of {self.path} "
            "cannot be decoded"
        )
        with self._lock, input_errors(what, "download or copy the file again"):
            hdu = self._open()
            tile_h, tile_w = hdu.tile_shape[-2:]
            if tile_w < 2 * box.shape[1] or tile_h > 64:
                return np.asarray(hdu.section[(*plane, *box.slices)])
            return self._from_bands(hdu, plane, box, tile_h)

    def _open(self) -> Any:
        if self._hdu is None:
            with quiet(self.path), ExitStack() as stack:
                # Scaled by us: astropy refuses to scale blank pixels of a memory map.
                mapped = url_of(self.path) is None
                opened = open_hdus(self.path, memmap=mapped, do_not_scale_image_data=True)
                self._hdu = stack.enter_context(opened)[self.index]
                weakref.finalize(self, stack.pop_all().close)
            self._owner = os.getpid()
        return self._hdu

    def _section(self, hdu: Any, plane: Plane, start: int, stop: int) -> NDArray[Any]:
        return np.asarray(hdu.section[(*plane, slice(start, stop), slice(0, self.shape[-1]))])

    def _from_bands(self, hdu: Any, plane: Plane, box: Box, tile_h: int) -> NDArray[Any]:
        height, width = self.shape[-2:]
        rows = min(256, max(1, _BAND_BYTES // (8 * width) // tile_h)) * tile_h
        parts = []
        for band in range(box.start[0] // rows, -(-box.stop[0] // rows)):
            data = self._bands.pop((plane, band), None)
            if data is None:
                data = self._section(hdu, plane, band * rows, min(height, (band + 1) * rows))
            self._bands[plane, band] = data
            while sum(kept.nbytes for kept in self._bands.values()) > _CACHE_BYTES:
                self._bands.popitem(last=False)
            first = max(box.start[0] - band * rows, 0)
            parts.append(data[first : box.stop[0] - band * rows, box.start[1] : box.stop[1]].copy())
        return np.concatenate(parts)
