"""Files in, files out: lazy readers of FITS, OME-Zarr, TIFF and arrays, and writers of results.

Importing this package imports no reader: each one is loaded when the first file of its kind is
opened.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sciup.errors import OptionError
from sciup.image import Image
from sciup.io._writer import CHUNK, SHARD, Layout, Writer

if TYPE_CHECKING:
    from sciup.io._detect import Format

OutputFormat = Literal["fits", "ome-zarr"]


def open_image(
    source: Any,
    *,
    hdu: int | str | None = None,
    err: int | str | None = None,
    weight: int | str | None = None,
    dq: int | str | None = None,
    dq_bad: int | None = None,
    scratch: str | Path | None = None,
    channel: int | str | None = None,
    time: int | None = None,
    z: int | None = None,
) -> Image:
    """Open an image of any known format; the format is found from the content, not the name.

    Parameters
    ----------
    source : path, array or Image
        A FITS file or its address (``https://``, ``s3://``, whatever fsspec knows), an OME-Zarr
        folder, zip file or address, a TIFF file, a picture (PNG, JPEG, JPEG 2000), a numpy, dask
        or zarr array, an xarray DataArray, NDData or CCDData of astropy, an image layer of napari,
        or an image that is already open. A ``file://`` address is a path.
    hdu, err, weight, dq, dq_bad : optional
        Which FITS extensions hold the image, its error, weight and data quality, and which bits of
        the data quality are bad.
    scratch : path, optional
        Folder for files that must be unpacked first.
    channel : int or str, optional
        Keep one channel: its index from 0 or its name.
    time, z : int, optional
        Keep one time or one z: its index from 0.

    Returns
    -------
    Image
        Lazy: windows are read when asked for.

    Raises
    ------
    InputError
        If there is no such file, the format is not known, or the content is damaged.
    OptionError
        If an option does not fit this file.

    Examples
    --------
    >>> import numpy as np
    >>> open_image(np.zeros((2, 8, 8)), z=1).shape
    (1, 8, 8)
    """
    from sciup.io._select import select

    fits = {"hdu": hdu, "err": err, "weight": weight, "dq": dq, "dq_bad": dq_bad}
    folder = None if scratch is None else Path(scratch)
    return select(_open(source, fits, folder), channel=channel, time=time, z=z)


def _open(source: Any, fits: dict[str, Any], scratch: Path | None) -> Image:
    kind: str
    if isinstance(source, str | os.PathLike):
        from sciup.io._detect import detect_remote, plain_path, url_of

        name = plain_path(os.fspath(source))
        url, path = url_of(name), Path(name).expanduser()
        kind = detect_remote(url) if url else detect_format(path)
        if kind == "fits":
            from sciup.io._fits import open_fits

            return open_fits(url or path, **fits, scratch=scratch)
    else:
        url, path, kind = None, Path(), "image" if isinstance(source, Image) else "array"
    given = sorted(name for name, value in fits.items() if value is not None)
    if given:
        raise OptionError(
            f"{', '.join(given)} was given, but {source if kind == 'tiff' else kind} is not FITS",
            f"{', '.join(fits)} for FITS files only",
        )
    if kind == "ome-zarr":
        from sciup.io._ome_zarr import open_ome_zarr

        return open_ome_zarr(url or path)
    if kind == "zarr-zip":
        from sciup.io._ome_zarr import open_ome_zarr
        from sciup.io._zipped import zipped

        return open_ome_zarr(zipped(path) or path)
    if kind == "tiff":
        from sciup.io._tiff import open_tiff

        return open_tiff(path, scratch=scratch)
    if kind == "picture":
        from sciup.io._pictures import open_picture

        return open_picture(path, scratch=scratch)
    if isinstance(source, Image):
        return source
    from sciup.io._array import open_array
    from sciup.io._labelled import open_labelled

    return open_labelled(source) or open_array(source)


def detect_format(path: str | Path) -> Format:
    """Format of a file or folder, from its first bytes.

    ``zarr-zip`` is a Zarr image in a zip file, or a path that leads into such a file;
    ``picture`` is PNG, JPEG or JPEG 2000.

    Raises
    ------
    InputError
        If there is nothing at the path or it is of another format.
    """
    from sciup.io._detect import detect

    return detect(Path(path))


def plate_fields(path: str | Path) -> list[str] | None:
    """Fields of view of an OME-Zarr plate, as ``ROW/COLUMN/FIELD``; None for all that is no plate.

    Each opens as ``open_image(f"{path}/{field}")``.

    Parameters
    ----------
    path : str or Path
        Folder, address (ending in ``.zarr``) or zip file of the plate.

    Raises
    ------
    InputError
        If the plate's metadata are damaged or it has no fields.

    Examples
    --------
    >>> plate_fields("no/such/plate") is None
    True
    """
    from sciup.io._detect import plain_path, url_of
    from sciup.io._zipped import ZARR, zipped

    name = plain_path(str(path))
    place: Any = url_of(name)
    if place is None:
        folder = Path(name)
        place = folder if any((folder / name).is_file() for name in ZARR) else zipped(folder)
    elif not place.rstrip("/").endswith(".zarr"):
        return None
    if place is None:
        return None
    from sciup.io._zarr_groups import fields_of

    return fields_of(place)


def open_writer(work: str | Path, layout: Layout, output_format: OutputFormat) -> Writer:
    """The writer of a result in a working folder.

    Parameters
    ----------
    work : path
        Existing folder in which the result grows.
    layout : Layout
        Shapes, names and units of the maps.
    output_format : {"fits", "ome-zarr"}
        Format of the result.
    """
    if output_format == "ome-zarr":
        from sciup.io._zarr_writer import ZarrWriter

        return ZarrWriter(Path(work), layout)
    if output_format == "fits":
        from sciup.io._fits_writer import FitsWriter

        return FitsWriter(Path(work), layout)
    raise OptionError(f"output format {output_format!r} is not known", "fits, ome-zarr")


__all__ = [
    "CHUNK",
    "SHARD",
    "Layout",
    "OutputFormat",
    "Writer",
    "detect_format",
    "open_image",
    "open_writer",
    "plate_fields",
]
