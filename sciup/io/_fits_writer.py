"""Results as one FITS file: one image HDU per map, filled window by window."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sciup.errors import InputError, OutputError, ResumeError
from sciup.geometry import Box
from sciup.image import Float, Plane
from sciup.io._check import input_errors
from sciup.io._fits_cards import carried_header, map_header, primary_header, table_hdus
from sciup.io._fits_clean import open_hdus, quiet
from sciup.io._fits_files import local_file
from sciup.io._fits_pixels import PlainPixels
from sciup.io._fits_sums import BLOCK, add_cards, seal, without_sums
from sciup.io._writer import Layout

_CARD = 80
_PRIMARY_BLOCKS = 4  # 143 cards: provenance is written when the maps already stand behind it


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where the header and data of one map stand in the file."""

    header: bytes
    begin: int
    pixels: PlainPixels

    @property
    def end(self) -> int:
        size = 4 * int(np.prod(self.pixels.shape, dtype=object))
        return self.pixels.offset + -(-size // BLOCK) * BLOCK


class FitsWriter:
    """Fills ``result.fits`` in a working folder; see `sciup.io._writer.Writer`.

    All headers are written first and the data are allocated as a hole, so that any window can be
    written at any time by any process, and memory never holds more than a window. A window that
    is never written reads as 0: the caller writes NaN where a tile failed.

    Parameters
    ----------
    work : Path
        Working folder; it must exist.
    layout : Layout
        Shapes, names and units of the maps.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from sciup.io._array import open_array
    >>> image = open_array(np.zeros((4, 4), "f4"))
    >>> layout = Layout(image, Box((0, 0), (4, 4)), 2, ("mean",), {"mean": "adu"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = FitsWriter(Path(folder), layout)
    ...     writer.create()
    ...     writer.write("mean", (), Box((0, 0), (8, 8)), np.ones((8, 8), "f4"))
    ...     writer.finish({"model": "nearest"}, {})
    ...     read_provenance(writer.path)
    {'model': 'nearest'}
    """

    def __init__(self, work: Path, layout: Layout) -> None:
        self._path = Path(work) / "result.fits"
        self.layout = layout
        self._slots: dict[str, _Slot] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_slots": None}

    @property
    def path(self) -> Path:
        """The file inside the working folder that is moved to the final place."""
        return self._path

    @property
    def slots(self) -> dict[str, _Slot]:
        """Every map and its place in the file: a function of the layout alone."""
        if self._slots is None:
            carried = carried_header(self.layout)
            found, begin = {}, _PRIMARY_BLOCKS * BLOCK
            for name in self.layout.names:
                with quiet(str(self._path)):  # long comments are cut
                    cards = map_header(self.layout, name, carried)
                    add_cards(cards)
                    header = cards.tostring().encode("ascii")
                pixels = PlainPixels(
                    str(self._path), self.layout.shape_of(name), begin + len(header), -32
                )
                found[name] = _Slot(header, begin, pixels)
                begin = found[name].end
            self._slots = found
        return self._slots

    @property
    def _end(self) -> int:
        return max(slot.end for slot in self.slots.values())

    def create(self) -> None:
        """Allocate the file, or reopen one that an interrupted run left behind.

        Raises
        ------
        OutputError
            If it does not fit on the disk or the folder cannot be written to.
        ResumeError
            If the file that is there has another layout.
        """
        if self._path.exists():
            self._reopen()
            return
        with _output_errors(self._path):
            room = os.statvfs(self._path.parent)
            if room.f_bavail * room.f_frsize < self._end:
                raise OutputError(
                    f"{self._path.parent} has {room.f_bavail * room.f_frsize / 1e9:.2f} GB free, "
                    f"but the result takes {self._end / 1e9:.2f} GB",
                    fix="choose another disk, fewer maps, or a smaller --roi",
                )
            new = self._path.with_suffix(".new")  # a half-made file must not look like a result
            with new.open("wb") as stream:
                stream.write(_padded(primary_header(self.layout, {})))
                for slot in self.slots.values():
                    stream.seek(slot.begin)
                    stream.write(slot.header)
                stream.truncate(self._end)
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(self._path)

    def _reopen(self) -> None:
        with _output_errors(self._path), self._path.open("r+b") as stream:
            primary = stream.read(_PRIMARY_BLOCKS * BLOCK)
            same = os.fstat(stream.fileno()).st_size >= self._end and all(
                _card(primary, key) == _card(_padded(primary_header(self.layout, {})), key)
                for key in (b"SCISCALE", b"SCIROI", b"SCIMAPS")
            )
            for slot in self.slots.values():
                stream.seek(slot.begin)
                stored = stream.read(len(slot.header))  # perhaps sealed before it was cut off
                same = same and without_sums(stored) == without_sums(slot.header)
            if not same:
                raise ResumeError(
                    f"{self._path} was started with other maps, another input or other settings",
                    "the same input and settings",
                    "remove it, or write to another place",
                )
            stream.truncate(self._end)  # what an interrupted `finish` appended is written again

    def write(self, name: str, plane: Plane, box: Box, values: Float) -> None:
        """Write a window of one map; for ``samples``, `plane` is ``(k, *plane)``.

        Parameters
        ----------
        name : str
            Name of the map.
        plane : tuple of int
            Index on the axes before ``yx``.
        box : Box
            Output pixels.
        values : ndarray of shape box.shape, float32
            NaN for masked.

        Raises
        ------
        OutputError
            If the disk is full or the file is gone.
        """
        pixels = self.slots[name].pixels
        height, width = pixels.shape[-2:]
        _check_window(pixels.shape, plane, box, values.shape)
        data = np.ascontiguousarray(values, dtype=">f4")
        first = int(np.ravel_multi_index(plane, pixels.shape[:-2])) if plane else 0
        begin = pixels.offset + 4 * (first * height * width + box.start[1])
        # Rows go out one by one with pwrite: a memory map would keep pages of the whole file.
        whole = box.shape[1] == width
        rows = [data.reshape(-1)] if whole else list(data)
        with _output_errors(self._path):
            handle = os.open(self._path, os.O_WRONLY)
            try:
                for y, row in zip(range(box.start[0], box.stop[0]), rows, strict=not whole):
                    _write_all(handle, begin + 4 * y * width, row.view(np.uint8).data)
            finally:
                os.close(handle)

    def read(self, name: str, plane: Plane, box: Box) -> Float:
        """Read back a window (h, w) of a map, native byte order."""
        return self.slots[name].pixels.values(plane, box)

    def derive(self, name: str, plane: Plane, box: Box, values: Float) -> None:
        """Nothing: a FITS file holds the maps alone."""

    def finish(self, provenance: Mapping[str, Any], extras: Mapping[str, Any]) -> None:
        """Append the output PSF, the tables of the WCS and the provenance; then sum all up.

        Parameters
        ----------
        provenance : mapping
            JSON-ready; kept whole in the table PROVENANCE, its short facts in the primary.
        extras : mapping
            ``psf``: ndarray of shape (M, N), sampled like the maps.
        """
        from astropy.io import fits

        hdus = [fits.PrimaryHDU()]
        if extras.get("psf") is not None:
            hdus.append(self._psf_hdu(np.asarray(extras["psf"], np.float32)))
        hdus += table_hdus(self.layout)
        hdus.append(_provenance_hdu(provenance))
        primary = primary_header(self.layout, provenance)
        for header in (primary, *(hdu.header for hdu in hdus[1:])):
            add_cards(header)
        with quiet(str(self._path)):
            buffer = io.BytesIO()
            fits.HDUList(hdus).writeto(buffer, output_verify="exception")
        with _output_errors(self._path), self._path.open("r+b") as stream:
            stream.write(_padded(primary))
            stream.truncate(self._end)
            stream.seek(self._end)
            stream.write(buffer.getvalue()[BLOCK:])  # without the primary that astropy wants
            seal(stream, stream.tell())
            stream.flush()
            os.fsync(stream.fileno())

    def _psf_hdu(self, psf: Float) -> Any:
        from astropy.io import fits

        hdu = fits.ImageHDU(psf, name="PSF")
        grid = self.layout.image.grid.scaled(self.layout.scale)
        if grid.size is not None:
            size = float(np.sqrt(grid.size[0] * grid.size[1]))
            hdu.header["PIXSCALE"] = (size, f"[{grid.unit}] sampled like the maps")
        return hdu


def _check_window(shape: tuple[int, ...], plane: Plane, box: Box, got: tuple[int, ...]) -> None:
    inside = len(plane) == len(shape) - 2 and all(
        0 <= i < n for i, n in zip(plane, shape[:-2], strict=True)
    )
    if not (inside and Box.of_shape(shape[-2:]).contains(box) and got == box.shape):
        raise ValueError(f"values {got} do not fit plane {plane} and {box} of a map {shape}")


def _write_all(handle: int, position: int, data: memoryview) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(handle, data[done:], position + done)


def _padded(header: Any) -> bytes:
    """The primary header with blank cards up to its fixed length."""
    length = _PRIMARY_BLOCKS * BLOCK - _CARD
    with quiet("primary header"):  # long comments are cut
        text: str = header.tostring(endcard=False, padding=False)
    if len(text) > length:
        raise OutputError(f"the primary header would need {len(text) // _CARD} cards",
                          f"{length // _CARD}", "use shorter names")  # fmt: skip
    return (text.ljust(length) + "END".ljust(_CARD)).encode("ascii")


def _card(header: bytes, key: bytes) -> bytes:
    at = header.find(key.ljust(8) + b"=")
    return header[at : at + _CARD] if at >= 0 else b""


def _provenance_hdu(provenance: Mapping[str, Any]) -> Any:
    from astropy.io import fits

    text = json.dumps(dict(provenance), default=_plain)
    column = fits.Column(name="JSON", format=f"{len(text)}A", array=np.array([text.encode()]))
    return fits.BinTableHDU.from_columns([column], name="PROVENANCE")


def _plain(value: Any) -> Any:
    """JSON of what numpy and pathlib make of numbers, arrays and paths."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def read_provenance(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a result says of its own making.

    Parameters
    ----------
    path : path
        A FITS result of sciup.

    Raises
    ------
    InputError
        If the file is not such a result.
    """
    what = f"{path} holds no provenance of sciup"
    with (
        input_errors(what, "give a FITS file that sciup wrote"),
        quiet(str(path)),
        open_hdus(local_file(path, None), memmap=False) as hdus,
    ):
        if "PROVENANCE" not in hdus:
            raise InputError(what, "results with an extension PROVENANCE")
        found = json.loads(str(hdus["PROVENANCE"].data["JSON"][0]))
    return dict(found)


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}",
            fix="check the free space and the permissions, or write to another place",
        ) from error
