"""Pictures for the screen (PNG, JPEG, JPEG 2000) as images, with a warning of what they lost."""

from __future__ import annotations

import logging
import math
import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.image import Bool, Domain, Float, Image, PixelGrid, Plane
from sciup.io._check import check_pixels, input_errors
from sciup.io._detect import PICTURES
from sciup.io._scratch import remove, scratch_folder

logger = logging.getLogger("sciup")

DAMAGED = "the file may be truncated or damaged: copy or export it again"
COLOURS = ("red", "green", "blue")
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
"""Of a JPEG segment; the others stand inside the pixels."""

MOST = 1 << 28
"""Pixels: pictures are decoded as a whole."""


class PictureImage(Image):
    """An image over a picture that was decoded to a plain file; see `open_picture`.

    Parameters
    ----------
    stored : Path
        The decoded pixels: channels, then the transparency if there is one.
    planes : int
        Planes in that file.
    **about
        Fields of `Image`.
    """

    def __init__(self, stored: Path, planes: int, **about: Any) -> None:
        super().__init__(format="picture", random_access=False, **about)
        self.stored = stored
        self.planes_stored = planes

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Values and footprint of a box inside the image, shape (h, w)."""
        shape = (self.planes_stored, *self.plane_shape)
        with input_errors(f"what was unpacked of {self.source} can no longer be read"):
            array = np.memmap(self.stored, self.dtype, "r", 0, shape)
            channels = self.shape[0] if "c" in self.axes else 1
            values = np.array(array[(plane or (0,))[0]][box.slices]).astype(np.float32)
            opaque = self.planes_stored == channels or array[channels][box.slices] > 0
        return values, np.isfinite(values) & opaque


def open_picture(path: str | Path, *, scratch: str | Path | None = None) -> Image:
    """Open a PNG, JPEG or JPEG 2000 picture.

    Grey values are read as they are, colours as channels, pixels that are wholly or partly
    transparent are masked. There is no random access: the picture is decoded once to a folder that
    is removed at exit. A header of FITS in a JPEG 2000 file, as of the solar archives, gives the
    world coordinates; row 0 is then the lowest, as in FITS.

    Parameters
    ----------
    path : str or Path
        The file.
    scratch : str or Path, optional
        Folder for unpacked files; the system's folder for temporary files if not given.

    Raises
    ------
    InputError
        If the file is damaged, or is larger than `MOST` pixels.
    OutputError
        If what must be unpacked does not fit on the disk.
    """
    path = Path(path)
    with input_errors(f"{path} cannot be read", DAMAGED):
        data = path.read_bytes()
    kind = next((name for magic, name in PICTURES.items() if data.startswith(magic)), "PNG")
    _check(path, kind)
    header = _solar_header(data, str(path)) if kind == "JPEG 2000" else None
    with input_errors(f"{path} cannot be decoded as {kind}", DAMAGED):
        array = _decode(data, kind)
    colours = array.shape[0] - (array.shape[0] in (2, 4))
    if colours not in (1, 3):
        raise InputError(f"{path} has {array.shape[0]} channels", "grey or RGB, perhaps with alpha")
    check_pixels(array.shape, array.dtype, str(path))
    _warn(path, kind, array.dtype, colours)
    if header is not None:
        array = array[:, ::-1]
    if array.shape[0] > colours:
        _mask_transparent(path, array, kind)
    transparent = array.shape[0] > colours and not array[-1].all()
    stored = _store(path, array if transparent else array[:colours], scratch)
    channels = [{"label": name, "color": ""} for name in COLOURS]
    return PictureImage(
        stored,
        colours + transparent,
        axes="yx" if colours == 1 else "cyx",
        shape=array.shape[1:] if colours == 1 else (3, *array.shape[1:]),
        dtype=array.dtype,
        source=str(path),
        metadata={} if colours == 1 else {"channels": channels},
        **_place(header, array.shape[1:], str(path)),
    )


def _check(path: Path, kind: str) -> None:
    """Refuse what would fill the memory, from the header alone, and what is not whole."""
    from PIL import Jpeg2KImagePlugin, JpegImagePlugin, PngImagePlugin

    plugin: Any = {  # by hand, because PIL's own choice has a limit of its own
        "PNG": PngImagePlugin.PngImageFile,
        "JPEG": JpegImagePlugin.JpegImageFile,
        "JPEG 2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    }[kind]
    with (
        input_errors(f"{path} cannot be read as {kind}", DAMAGED),
        warnings.catch_warnings(action="ignore"),
        plugin(path) as picture,
    ):
        width, height = picture.size
        if width * height > MOST:
            raise InputError(
                f"{path} is a {kind} picture of {width} x {height} px, which has no random access",
                f"{MOST} px", "convert it to a tiled TIFF or OME-Zarr",
            )  # fmt: skip
        if picture.mode in ("P", "PA"):
            logger.warning("%s has a palette: its colours are read as RGB", path)
        if kind == "PNG":
            picture.verify()  # checksums


def _decode(data: bytes, kind: str) -> NDArray[Any]:
    """Pixels (channel, y, x)."""
    import imagecodecs

    jpeg = kind == "JPEG" and not _has_end(data)
    if jpeg or (kind == "PNG" and b"IEND" not in data):  # decoders fill in grey or zeros
        raise ValueError("the mark of its end is missing")

    decode = {
        "PNG": imagecodecs.png_decode,
        "JPEG": imagecodecs.jpeg_decode,
        "JPEG 2000": imagecodecs.jpeg2k_decode,
    }[kind]
    array = np.asarray(decode(data))
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)


def _has_end(data: bytes) -> bool:
    """Whether a JPEG has its end mark, whatever follows it (ITU-T T.81, annex B).

    Segments are jumped over: they may hold a small picture with an end of its own.
    """
    at = 2
    while match := MARKER.search(data, at):
        at, code = match.end(), match[0][-1]
        if code == 0xD9:
            return True
        if code not in (0x01, 0xD8):
            at += int.from_bytes(data[at : at + 2])
    return False


def _mask_transparent(path: Path, array: NDArray[Any], kind: str) -> None:
    """Make 1 of the transparency where it is none, and 0 elsewhere, in place."""
    alpha = array[-1]
    full = np.iinfo(alpha.dtype).max
    if kind != "PNG":  # JPEG 2000 has any number of bits
        full = max((1 << int(alpha.max()).bit_length()) - 1, 1)
    partly = int(((alpha > 0) & (alpha < full)).sum())
    if partly:
        logger.warning("%s: %d partly transparent pixels are masked, too", path, partly)
    array[-1] = alpha >= full


def _warn(path: Path, kind: str, dtype: np.dtype[Any], colours: int) -> None:
    lossy = " and lossy compression, which drops faint light" if kind != "PNG" else ""
    logger.warning(
        "%s is a %s picture with %d bits%s: its values need not be proportional to light. "
        "Use the raw data if you have them; risk and intervals mean little here",
        path, kind, 8 * dtype.itemsize, lossy,
    )  # fmt: skip
    if colours == 3:
        logger.warning("%s: red, green and blue are read as three independent channels", path)


def _store(path: Path, array: NDArray[Any], scratch: str | Path | None) -> Path:
    folder = scratch_folder(path, array.nbytes, scratch)
    logger.info(
        "%s has no random access: unpacking %.1f MB to %s (removed at exit)",
        path, array.nbytes / 1e6, folder,
    )  # fmt: skip
    try:
        np.ascontiguousarray(array).tofile(folder / "pixels.raw")
    except BaseException:
        remove(folder)
        raise
    return folder / "pixels.raw"


# -- the header of solar archives --------------------------------------------------------------


def _solar_header(data: bytes, source: str) -> Any:
    """The FITS header in a JPEG 2000 file as an astropy header; None if there is none.

    Boxes: 4 bytes of length, 4 of type (ISO/IEC 15444-1, annex I); 1 means 8 more bytes of length,
    0 up to the end.
    """
    from xml.etree import ElementTree

    from astropy.io import fits

    from sciup.io._fits_clean import clean_header, quiet

    for content in _boxes(data, b"xml "):
        header = fits.Header()
        try:
            cards = ElementTree.fromstring(content.rstrip(b"\0")).find(".//fits")
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            logger.warning("%s: its header cannot be read (%s)", source, error)
            continue
        for card in () if cards is None else cards:
            if card.tag not in ("BUNIT", "BSCALE", "BZERO", "BLANK", "COMMENT", "HISTORY"):
                with quiet(source):
                    _set(header, card.tag, (card.text or "").strip())
        if header:
            return clean_header(header, source)
    return None


def _boxes(data: bytes, kind: bytes) -> list[bytes]:
    found, at = [], 0
    while at + 8 <= len(data):
        size, head = int.from_bytes(data[at : at + 4]), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        size = size or len(data) - at
        if size < head:
            break
        if data[at + 4 : at + 8] == kind:
            found.append(data[at + head : at + size])
        at += size
    return found


def _set(header: Any, key: str, text: str) -> None:
    """A card with the number in a text, or the text; what is no card is left out."""
    try:
        value: Any = float(text)
    except ValueError:
        value = text[:60]
    if isinstance(value, float):
        if not math.isfinite(value):
            return
        value = value if "." in text else int(value)
    if value != "":
        with suppress(ValueError):  # letters that no card may have
            header[key[:8]] = value


def _place(header: Any, shape: tuple[int, ...], source: str) -> dict[str, Any]:
    """World coordinates and pixel size, if the header is about these pixels."""
    from sciup.io._fits import sky_grid
    from sciup.io._fits_facts import Headers

    domain: Domain = "fluorescence"
    if header is None:
        logger.info("%s: pixel size unknown", source)
        return {"domain": domain, "grid": PixelGrid()}
    domain = "night-sky"
    if (header.get("NAXIS2"), header.get("NAXIS1")) != tuple(shape):
        logger.warning("%s: its header is about an image of another size: not used", source)
        return {"domain": domain, "grid": PixelGrid()}
    grid = sky_grid(header, Headers([("header", header)]), source)
    return {"domain": domain, "grid": grid, "header": header}


__all__ = ["PictureImage", "open_picture"]
