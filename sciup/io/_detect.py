"""Which format a file has, from its first bytes: names lie."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from sciup.errors import InputError

KNOWN = "FITS, OME-Zarr, TIFF, OME-TIFF and ImageJ TIFF"
FITS = b"SIMPLE  ="
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ZARR = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
OTHER = {
    b"\x89PNG": ("a PNG picture", "save the raw data as TIFF"),
    b"\xff\xd8\xff": ("a JPEG picture", "use the raw data: JPEG has thrown the faint signal away"),
    b"GIF8": ("a GIF picture", "save the raw data as TIFF"),
    b"PK\x03\x04": ("a zip file", "unzip it and give what is inside"),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", "export it as OME-Zarr or OME-TIFF"),
    b"\x93NUMPY": ("a NumPy file", "np.load it and call sciup.upscale with the array"),
    b"#ASDF": ("an ASDF file", "export the image and its WCS as FITS"),
    b"ZISRAWFILE": ("a Zeiss CZI file", "export it as OME-TIFF, for example with bfconvert"),
    b"\xda\xce\xbe\x0a": ("a Nikon ND2 file", "export it as OME-TIFF, for example with bfconvert"),
    b"\x70\0\0\0": ("a Leica LIF file", "export it as OME-TIFF, for example with bfconvert"),
    b"XISF0100": ("an XISF file", "export it as FITS"),
}
PACKED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}


def detect(path: Path) -> Literal["fits", "ome-zarr", "tiff"]:
    """The format of a file or folder.

    Raises
    ------
    InputError
        If there is nothing at the path or it is of another format.
    """
    if "://" in str(path) or str(path).startswith(("http:/", "https:/", "s3:/", "gs:/")):
        raise InputError(f"{path} is not on this machine", "a local path", "download it first")
    if path.is_dir():
        if any((path / name).is_file() for name in ZARR):
            return "ome-zarr"
        raise InputError(
            f"the folder {path} is not an OME-Zarr image", KNOWN,
            "give the folder that holds zarr.json, .zgroup or .zarray, or one file",
        )  # fmt: skip
    try:
        with path.open("rb") as file:
            head = file.read(16)
        if head.startswith(FITS) or _inside(path, head).startswith(FITS):
            return "fits"
    except FileNotFoundError:
        raise InputError(f"there is no file {path}", "", "check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error})", "", "check permissions") from error
    if head.startswith(TIFF):
        return "tiff"
    for magic, (what, fix) in OTHER.items():
        if head.startswith(magic):
            raise InputError(f"{path} is {what}", KNOWN, fix)
    what = "is empty" if not head else f"has an unknown format (it starts with {head[:8]!r})"
    raise InputError(f"{path} {what}", KNOWN)


def _inside(path: Path, head: bytes) -> bytes:
    """First bytes of what a compressed file unpacks to; nothing if it does not unpack."""
    for magic, unpack in PACKED.items():
        if head.startswith(magic):
            try:
                with unpack(path, "rb") as file:
                    return bytes(file.read(16))
            except (OSError, EOFError, lzma.LZMAError) as error:
                raise InputError(f"{path} is compressed and damaged ({error})") from error
    # .Z files of old archives: only the FITS reader can tell what is inside.
    return FITS if head.startswith(b"\x1f\x9d") else b""


__all__ = ["detect"]
