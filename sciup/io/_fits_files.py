"""FITS files on the disk: detection by content, unpacking, a table of the HDUs, choice of one."""

from __future__ import annotations

import atexit
import bz2
import gzip
import lzma
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sciup.errors import InputError, OptionError, OutputError
from sciup.io._check import input_errors
from sciup.io._detect import Url, url_of
from sciup.io._fits_clean import clean_header, logger, open_hdus, quiet
from sciup.io._fits_ends import check_complete, check_rest
from sciup.io._remote_file import RemoteFile, download, size_of

_MAGIC: dict[bytes, tuple[str, Callable[..., Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ": ("xz", lzma.open),
}


@dataclass(frozen=True, slots=True, eq=False)
class Hdu:
    """What is known of one HDU without reading its data.

    Attributes
    ----------
    path : str
        The file that holds it, unpacked.
    index : int
        Number in the file; 0 is the primary.
    name : str
        EXTNAME in upper case; ``PRIMARY`` or empty where it has none.
    version : int
        EXTVER.
    kind : {"image", "compressed", "constant", "table", "groups", "empty"}
        ``constant`` is the STScI convention of an image of one value: NPIX1, NPIX2, PIXVALUE.
    shape : tuple of int
        Shape of the image, numpy order; empty for others.
    header : astropy Header
        Of the image, also where it is stored compressed.
    offset : int
        Where the data begin in the file, bytes.
    """

    path: str
    index: int
    name: str
    version: int
    kind: str
    shape: tuple[int, ...]
    header: Any
    offset: int

    @property
    def is_image(self) -> bool:
        """Whether it holds pixels."""
        return self.kind in ("image", "compressed", "constant")

    @property
    def usable(self) -> bool:
        """Whether it can be upscaled: two or more axes, more than one pixel on the last two."""
        return (
            self.kind in ("image", "compressed")
            and len(self.shape) >= 2
            and min(self.shape[-2:]) > 1
            and min(self.shape) > 0
        )

    def __str__(self) -> str:
        name = f"{self.name},{self.version}" if self.name else "no name"
        what = " x ".join(map(str, self.shape)) + " px" if self.is_image else self.kind
        return f"{self.index} ({name}: {what})"


def describe(hdus: Sequence[Hdu], most: int = 12) -> str:
    """One line about all HDUs of a file, for messages."""
    rest = f", and {len(hdus) - most} more" if len(hdus) > most else ""
    return ", ".join(map(str, hdus[:most])) + rest


def local_file(path: str | os.PathLike[str], scratch: str | os.PathLike[str] | None) -> str:
    """A FITS file that can be read anywhere in it: `path`, or its unpacked copy.

    Parameters
    ----------
    path : path
        A FITS file or its address, plain or packed with gzip, bzip2 or xz; told apart by content.
    scratch : path or None
        Folder for the unpacked copy; a folder for temporary files if None. The copy is removed
        when the program ends.

    Raises
    ------
    InputError
        If there is no such file or it is not FITS.
    OutputError
        If the copy does not fit on the disk.
    """
    url = url_of(os.fspath(path))
    if url is not None:
        return _of_address(url, scratch)
    try:
        with Path(path).open("rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise InputError(
            f"{path} cannot be opened ({error.strerror or error})", "a FITS file", "check the path"
        ) from None
    for magic, (name, opener) in _MAGIC.items():
        if start.startswith(magic):
            target = _unpack(Path(path), name, opener, scratch)
            _check_start(target, path)
            return target
    _check_start(path, path)
    return str(path)


def _of_address(url: Url, scratch: str | os.PathLike[str] | None) -> str:
    """The address itself if parts of a plain file can be asked for, else a local copy."""
    file = RemoteFile(url)
    if file.random_access and file.read(0, 9) == b"SIMPLE  =":
        return str(url)
    return local_file(download(url, scratch), scratch)


def _check_start(local: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    with Path(local).open("rb") as stream:
        start = stream.read(9)
    if start != b"SIMPLE  =":
        raise InputError(
            f"{path} is not a FITS file: it begins with {start!r}",
            "files that begin with 'SIMPLE  =', or such files packed with gzip, bzip2 or xz",
            "check that the file was downloaded completely and is not an error page",
        )


def _unpack(
    path: Path, name: str, opener: Callable[..., Any], scratch: str | os.PathLike[str] | None
) -> str:
    try:
        folder = Path(tempfile.mkdtemp(prefix="sciup-", dir=scratch))
    except OSError as error:
        raise OutputError(f"no folder can be made in {scratch or tempfile.gettempdir()}: {error}",
                          fix="give another folder with --scratch") from None  # fmt: skip
    atexit.register(partial(_remove, folder, os.getpid()))
    target = folder / (path.stem or "unpacked.fits")
    try:
        with opener(path, "rb") as packed, target.open("wb") as plain:
            shutil.copyfileobj(packed, plain, 1 << 20)
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, ValueError) as error:
        _remove(folder, os.getpid())
        raise InputError(f"{path} is a damaged {name} file ({error})",
                         fix="download or copy it again") from None  # fmt: skip
    except OSError as error:
        _remove(folder, os.getpid())
        if error.errno is None:  # bz2 reports damaged data as an OSError without a number
            raise InputError(f"{path} is a damaged {name} file ({error})",
                             fix="download or copy it again") from None  # fmt: skip
        raise OutputError(
            f"{path} could not be unpacked into {folder.parent}: {error.strerror}",
            fix="give a folder with more space with --scratch",
        ) from None
    logger.info(
        "%s: unpacked %.1f MB to %s, removed at the end",
        path, target.stat().st_size / 1e6, folder,
    )  # fmt: skip
    return str(target)


def _remove(folder: Path, owner: int) -> None:
    # A forked worker inherits the exit handlers, but must not remove what others still read.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def scan(local: str, source: str) -> list[Hdu]:
    """The table of all HDUs of a FITS file; reads headers only.

    Raises
    ------
    InputError
        If a header cannot be read, or the file ends before its data.
    """
    found: list[Hdu] = []
    mapped = url_of(local) is None
    size = size_of(local)
    with (
        input_errors(
            f"{source} is damaged or not FITS",
            "download or copy it again, or check it with the program fitsverify",
        ),
        quiet(source),
        open_hdus(local, memmap=mapped, disable_image_compression=True) as raw,
        open_hdus(local, memmap=mapped) as images,
    ):
        for index, (stored, image) in enumerate(zip(raw, images, strict=True)):
            offset = int(stored.fileinfo()["datLoc"])
            end = offset + int(stored.size)
            check_complete(size, source, stored, index, end)
            found.append(_entry(local, source, index, image, offset))
        check_rest(local, source, index, end)
    return found


def _entry(local: str, source: str, index: int, hdu: Any, offset: int) -> Hdu:
    from astropy.io import fits

    header = clean_header(hdu.header, f"{source}[{index}]") if hdu.is_image else hdu.header.copy()
    shape: tuple[int, ...] = ()
    if isinstance(hdu, fits.GroupsHDU):
        kind = "groups"
    elif isinstance(hdu, fits.CompImageHDU):
        kind, shape = "compressed", tuple(hdu.shape)
    elif not hdu.is_image:
        kind = "table"
    elif header.get("NAXIS", 0) == 0:
        constant = "PIXVALUE" in header and {"NPIX1", "NPIX2"} <= set(header)
        kind = "constant" if constant else "empty"
        shape = (int(header["NPIX2"]), int(header["NPIX1"])) if constant else ()
    else:
        kind = "image"
        shape = tuple(int(header[f"NAXIS{n}"]) for n in range(header["NAXIS"], 0, -1))
    return Hdu(
        local, index, str(hdu.name).strip().upper(), int(hdu.ver), kind, shape, header, offset
    )


def find_hdu(hdus: Sequence[Hdu], wanted: int | str, source: str) -> Hdu:
    """The HDU with a number, an EXTNAME, or ``EXTNAME,EXTVER``.

    Raises
    ------
    OptionError
        If there is none.
    """
    text = str(wanted).strip()
    name, _, version = text.partition(",")
    for hdu in hdus:
        number = text.isdigit() and hdu.index == int(text)
        named = hdu.name == name.strip().upper() and version.strip() in ("", str(hdu.version))
        if number or (named and name):
            return hdu
    raise OptionError(
        f"{source} has no HDU {text!r}", describe(hdus), "give a number, NAME or NAME,VERSION"
    )


def choose_hdu(hdus: Sequence[Hdu], wanted: int | str | None, source: str) -> Hdu:
    """The image to upscale: the one asked for, or the first that can be upscaled.

    Raises
    ------
    InputError
        If it is no image, has one axis, or one pixel along y or x.
    OptionError
        If there is no such HDU.
    """
    allowed = "an image of two or more axes with more than one pixel along y and x"
    others = [hdu for hdu in hdus if hdu.usable]
    fix = (
        f"choose one with --hdu: {describe(others)}" if others
        else f"give another file; this one has HDUs {describe(hdus)}"
    )  # fmt: skip
    if wanted is None:
        if not others:
            raise InputError(f"{source} holds no image that can be upscaled", allowed, fix)
        chosen = others[0]
    else:
        chosen = find_hdu(hdus, wanted, source)
    if not chosen.usable:
        raise InputError(f"HDU {chosen} of {source} cannot be upscaled", allowed, fix)
    if any(str(chosen.header.get(f"CTYPE{n}", "")).strip() == "COMPLEX" for n in (1, 2)):
        raise InputError(
            f"HDU {chosen} of {source} holds complex numbers (CTYPE = COMPLEX)",
            "real numbers",
            "write the real part, imaginary part or modulus to a file of its own",
        )
    return chosen
