"""Which format a file has, from its first bytes: names lie."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from urllib.request import url2pathname

from sciup.errors import InputError
from sciup.io._zipped import ZARR, zipped

Format = Literal["fits", "ome-zarr", "tiff", "zarr-zip", "picture"]

KNOWN = "FITS, OME-Zarr (also in a zip file), TIFF, OME-TIFF, ImageJ TIFF, PNG, JPEG, JPEG 2000"
FITS = b"SIMPLE  ="
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}
"""First bytes of the pictures that are read, with a warning."""

OTHER = {
    b"GIF8": ("a GIF picture", "save the raw data as TIFF"),
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


class Url(str):
    """An address with the few habits of a path that readers need.

    Examples
    --------
    >>> Url("s3://bucket/a.zarr") / "0"
    's3://bucket/a.zarr/0'
    >>> (Url("s3://bucket/a.zarr") / "0").parent
    's3://bucket/a.zarr'
    """

    __slots__ = ()

    def __truediv__(self, name: object) -> Url:
        return Url(f"{self.rstrip('/')}/{name}")

    @property
    def parent(self) -> Url:
        """The address without its last part."""
        return Url(self.rstrip("/").rpartition("/")[0])

    @property
    def name(self) -> str:
        """The last part."""
        return self.rstrip("/").rpartition("/")[2]


def plain_path(source: str) -> str:
    """The path that a ``file:`` address means; all else as it is.

    Examples
    --------
    >>> plain_path("file:///data/a%20b.fits"), plain_path("file:/data/a.fits")
    ('/data/a b.fits', '/data/a.fits')
    >>> plain_path("data/a%20b.fits")
    'data/a%20b.fits'
    """
    found = re.fullmatch(r"file:(?://(?:localhost)?(?=/))?(/.*)", source)
    return url2pathname(found[1]) if found else source


def url_of(source: str) -> Url | None:
    """The address that a text is, if it is one; paths that ate a slash of it are understood.

    Examples
    --------
    >>> url_of("s3:/bucket/a.zarr")
    's3://bucket/a.zarr'
    >>> url_of("folder/a.zarr") is None
    True
    """
    found = re.fullmatch(r"([a-z][a-z0-9+.-]+):/{1,2}([^/].*)", source)  # "C:/" is a drive
    return Url(f"{found[1]}://{found[2]}") if found else None


def detect(path: Path) -> Format:
    """The format of a file or folder.

    Raises
    ------
    InputError
        If there is nothing at the path or it is of another format.
    """
    if url_of(str(path)):
        raise InputError(f"{path} is not on this machine", "a local path", "download it first")
    if path.is_dir():
        if any((path / name).is_file() for name in ZARR):
            return "ome-zarr"
        raise InputError(
            f"the folder {path} is not an OME-Zarr image", KNOWN,
            "give the folder that holds zarr.json, .zgroup or .zarray, or one file",
        )  # fmt: skip
    if zipped(path):
        return "zarr-zip"
    head, unpacked = _first_bytes(path)
    if FITS in (head[: len(FITS)], unpacked[: len(FITS)]):
        return "fits"
    if head.startswith(TIFF):
        return "tiff"
    if head.startswith(tuple(PICTURES)):
        return "picture"
    for magic, (what, fix) in OTHER.items():
        if head.startswith(magic):
            raise InputError(f"{path} is {what}", KNOWN, fix)
    what = "is empty" if not head else f"has an unknown format (it starts with {head[:8]!r})"
    raise InputError(f"{path} {what}", KNOWN)


def detect_remote(url: Url) -> Literal["fits", "ome-zarr"]:
    """What is behind an address: FITS, perhaps packed, by its first bytes; else a Zarr folder.

    Raises
    ------
    InputError
        If it is a file of another format, or the store is down.
    """
    from sciup.io._remote_file import first_bytes

    if url.rstrip("/").endswith(".zarr"):
        return "ome-zarr"
    head = first_bytes(url)
    if head.startswith((*TIFF, *PICTURES, *OTHER, b"PK\x03\x04")):
        raise InputError(
            f"{url} is a file that is not read from afar", "FITS or OME-Zarr at an address",
            "download it first",
        )  # fmt: skip
    return "fits" if head.startswith((FITS, *PACKED)) else "ome-zarr"


def _first_bytes(path: Path) -> tuple[bytes, bytes]:
    """The first bytes of a file, and of what it unpacks to."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
        return head, _inside(path, head)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"there is no file {path}", "", "check the path") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error})", "", "check permissions") from error


def _inside(path: Path, head: bytes) -> bytes:
    """First bytes of what a compressed file unpacks to; nothing if it does not unpack."""
    for magic, unpack in PACKED.items():
        if head.startswith(magic):
            try:
                with unpack(path, "rb") as file:
                    return bytes(file.read(16))
            except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
                raise InputError(f"{path} is compressed and damaged ({error})") from error
    # .Z files of old archives: only the FITS reader can tell what is inside.
    return FITS if head.startswith(b"\x1f\x9d") else b""


__all__ = ["Format", "Url", "detect", "detect_remote", "url_of"]
