"""Lazy reader of TIFF, OME-TIFF and ImageJ TIFF."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.image import Bool, Float, Image, Plane
from sciup.io._check import check_pixels, input_errors
from sciup.io._scratch import remove, scratch_folder
from sciup.io._tiff_metadata import About, read_metadata
from sciup.io._tiff_note import NAMESPACE, fewer_bits
from sciup.io._tiff_pages import (
    DAMAGED,
    Order,
    Pages,
    Raw,
    check_chain,
    check_complete,
    find_order,
    find_raw,
    segment_shape,
)

logger = logging.getLogger(__name__)

LARGEST_SEGMENT = 2 << 20
"""Bytes. Larger tiles or strips are unpacked once, since every window would decode them again."""

COLOR = {2: "RGB", 5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab"}


class TiffImage(Image):
    """An image over the first series of a TIFF file; see `open_tiff`.

    Parameters
    ----------
    path : Path
        The file.
    stored : Raw or Order
        A plain array in a file (the TIFF itself or what was unpacked), or the order of the planes
        in tiles and strips.
    **about
        Fields of `Image`.
    """

    def __init__(self, path: Path, stored: Raw | Order, **about: Any) -> None:
        super().__init__(source=str(path), format="tiff", **about)
        self.path = path
        self.stored = stored
        self._pages: Pages | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_pages", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._pages, self._lock = None, threading.Lock()

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Values and footprint of a box inside the image, shape (h, w)."""
        with input_errors(f"{self.path} cannot be read at plane {plane}, {box}", DAMAGED):
            part, footprint = self._source().read(plane, box)
        with np.errstate(over="ignore"):
            values = part.astype(np.float32)
        finite = np.isfinite(values)
        return values, finite if footprint is None else finite & footprint

    def _source(self) -> Raw | Pages:
        if isinstance(self.stored, Raw):
            return self.stored
        with self._lock:
            if self._pages is None:
                self._pages = Pages(self.path, self.stored)
            return self._pages


def open_tiff(path: str | Path, *, scratch: str | Path | None = None) -> TiffImage:
    """Open the first image of a TIFF, OME-TIFF or ImageJ TIFF file.

    Plain arrays are memory-mapped; of compressed files only the tiles or strips that a window
    needs are decoded. Files with very large compressed strips, such as one per plane, have no
    random access: they are unpacked once to a folder that is removed at exit.

    Parameters
    ----------
    path : str or Path
        The file.
    scratch : str or Path, optional
        Folder for unpacked files; the system's folder for temporary files if not given. Workers
        on other machines must see it.

    Returns
    -------
    TiffImage
        Lazy; sizes are in micrometer where the file tells them.

    Raises
    ------
    InputError
        If the file is damaged or truncated, holds a colour picture, or values that are not real
        numbers.
    OutputError
        If what must be unpacked does not fit on the disk.
    """
    path = Path(path)
    with input_errors(f"{path} cannot be read as TIFF", DAMAGED), tifffile.TiffFile(path) as tiff:
        check_chain(tiff, path)
        # Counted first: tifffile leaves out a damaged last page only where it counts.
        if not len(tiff.pages) or not tiff.series:
            raise InputError(f"{path} holds no image", "a TIFF file with at least one image")
        series = tiff.series[0]
        if len(tiff.series) > 1:
            names = [s.name or str(i) for i, s in enumerate(tiff.series)]
            logger.info("%s: opening image %r; other images: %s", path, names[0], names[1:])
        _check_kind(series, path)
        order = find_order(series, path)
        check_pixels(order.image_shape, series.dtype, str(path))
        stored = find_raw(series, order, path)
        check_complete(tiff, series, path, stored)
        about = read_metadata(tiff)
        _check_scale(tiff, series.dtype, path)
        packed = stored is None and _segment_bytes(series.keyframe) > LARGEST_SEGMENT
    if packed:
        stored = _unpack(path, order, series.dtype, scratch)
    return _image(path, stored or order, order, series.dtype, about, random_access=not packed)


def _image(
    path: Path, stored: Raw | Order, order: Order, dtype: Any, about: About, *, random_access: bool
) -> TiffImage:
    metadata: dict[str, Any] = {"axes": {k: v for k, v in about.axes.items() if k in order.axes}}
    count = order.image_shape[order.axes.index("c")] if "c" in order.axes else 1
    if len(about.channels) == count and any(any(c.values()) for c in about.channels):
        metadata["channels"] = about.channels
    return TiffImage(
        path,
        stored,
        axes=order.axes,
        shape=order.image_shape,
        dtype=dtype,
        grid=about.grid,
        facts=about.facts,
        metadata=metadata,
        random_access=random_access,
    )


def _check_kind(series: tifffile.TiffPageSeries, path: Path) -> None:
    """Refuse colour pictures, and what tifffile can only decode as a whole."""
    page = series.keyframe
    color = COLOR.get(int(page.photometric))
    if color and page.shaped[-1] > 1:
        raise InputError(
            f"{path} is a colour picture ({color} with {page.shaped[-1]} interleaved samples)",
            "one intensity per pixel and channel",
            "save one channel as an image of its own, for example "
            "tifffile.imwrite('green.tif', tifffile.imread('picture.tif')[..., 1])",
        )
    if color and page.shaped[0] > 1:
        logger.info("%s: the %s planes are read as channels", path, color)
    if int(page.photometric) == 0:
        logger.warning("%s says that white is zero: values are taken as stored", path)
    if series.transform is not None or page.dtype is None:
        raise InputError(f"{path} stores its pixels in an unusual way", "", "export it as OME-TIFF")


def _check_scale(tiff: tifffile.TiffFile, dtype: Any, path: Path) -> None:
    """Refuse copies of `sciup convert --dtype uint16`."""
    if (
        dtype == np.uint16
        and tiff.is_ome
        and f'Namespace="{NAMESPACE}"' in (tiff.ome_metadata or "")
    ):
        raise fewer_bits(path)


def _segment_bytes(page: tifffile.TiffPage) -> int:
    """Bytes of one decoded tile or strip."""
    deep, high, wide = segment_shape(page)
    return int(deep * high * wide * page.shaped[-1] * np.dtype(page.dtype).itemsize)


def _unpack(path: Path, order: Order, dtype: np.dtype[Any], scratch: str | Path | None) -> Raw:
    """Decode all planes once into a plain array on disk."""
    shape = order.image_shape
    total = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    folder = scratch_folder(path, total, scratch)
    raw = Raw(
        folder / "pixels.raw", 0, dtype.newbyteorder("=").str, Order(order.axes, order.axes, shape)
    )
    logger.info(
        "%s has no random access: unpacking %.1f MB to %s (removed at exit)",
        path, total / 1e6, folder,
    )  # fmt: skip
    try:
        with raw.path.open("wb") as file, input_errors(f"{path} cannot be unpacked", DAMAGED):
            pages = Pages(path, order)
            for plane in np.ndindex(shape[:-2]):
                values, footprint = pages.read(plane, Box.of_shape(shape[-2:]))
                if footprint is not None and not footprint.all():
                    raise InputError(f"{path} leaves out a part of plane {plane}", "", DAMAGED)
                file.write(np.ascontiguousarray(values, dtype.newbyteorder("=")).data)
    except BaseException:
        remove(folder)
        raise
    return raw


__all__ = ["TiffImage", "open_tiff"]
