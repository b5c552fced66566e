"""Arithmetic on FITS headers: what happens to the world coordinates on a finer pixel grid.

With s fine pixels per input pixel and a region that starts at input pixel n (counted from 0), the
FITS pixel coordinate p (centre of the first pixel = 1) becomes s (p - n - 1/2) + 1/2. Everything
that is measured in pixels follows from this; everything after the linear transformation
(CRVAL, PV, the projection) stays as it is.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import numpy as np

from sciup.errors import InputError

logger = logging.getLogger("sciup")

_LINEAR = re.compile(r"(?:CTYPE|CRPIX|CRVAL|CDELT|CROTA)(\d{1,2})([A-Z]?)")
_MATRIX = re.compile(r"(?:CD|PC)(\d{1,2})_(\d{1,2})([A-Z]?)")
_SIP = re.compile(r"(?:A|B|AP|BP)_(\d)_(\d)")
_DROPPED = re.compile(
    r"BSCALE|BZERO|BLANK|CHECKSUM|DATASUM|DATAMIN|DATAMAX|NPIX\d|PIXVALUE|(LT|AT|DT)[VM]\d.*|"
    r"Z(IMAGE|TENSION|SIMPLE|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|EXTEND|BLOCKED|TILE\d+|CMPTYPE|"
    r"NAME\d+|VAL\d+|MASKCMP|QUANTIZ|DITHER0|BLANK|SCALE|ZERO|HECKSUM|DATASUM)"
)
_PLATE = re.compile(r"AMD[XY]\d+|PPO\d|CNPIX\d|[XY]PIXELSZ|PLTRA[HMS]|PLTDEC(SN|[DMS])")
_SECTION = re.compile(r"\s*\[\s*\d+\s*:\s*\d+\s*(,\s*\d+\s*:\s*\d+\s*)?\]\s*")
_AREAS = ("PIXAR_SR", "PIXAR_A2")
_SIZES = re.compile(r"PIXSCALE|PIXELSCL|PIXSCAL\d|SECPIX\d?")
_IN_PIXELS = re.compile(r"[AB]_DMAX|CPERR\d[A-Z]?|D2IMERR\d")
_RENAMED = {
    "GAIN": "SCI_GAIN", "EGAIN": "SCI_EGN", "CCDGAIN": "SCI_CGN", "ATODGAIN": "SCI_AGN",
    "SATURATE": "SCI_SAT",
}  # fmt: skip
_RENAMED_AMPLIFIERS = {"GAIN": "SCI_GN", "SATURAT": "SCI_ST"}
_AMPLIFIER = re.compile(r"(GAIN|SATURAT)([A-DF-H]|\d\d?)")


def lookup_cards(header: Any) -> list[str]:
    """Keywords that say that the world coordinates need tables in other HDUs."""
    pattern = re.compile(r"(CPDIS|CQDIS|D2IMDIS)\d[A-Z]?|AXISCORR")
    names = [card.keyword for card in header.cards if pattern.fullmatch(card.keyword)]
    return names + [k for k in header if re.fullmatch(r"CTYPE\d+[A-Z]?", k) and _tab(header[k])]


def _tab(ctype: object) -> bool:
    return str(ctype).strip().upper().endswith("-TAB")


def scale_header(
    header: Any, scale: int, region_start: tuple[int, int] = (0, 0), *, tables: bool = False
) -> Any:
    """The header of an image whose pixels are `scale` times finer.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Header of the input image; it is not changed.
    scale : int
        Fine pixels per input pixel along x (FITS axis 1) and y (axis 2); other axes of a cube
        stay as they are.
    region_start : (int, int)
        First input pixel (y, x) of the result, counted from 0.
    tables : bool
        Whether the caller also writes the tables that CPDIS and D2IMDIS refer to, see
        `scale_lookup_table`. Without them such headers are refused.

    Returns
    -------
    astropy.io.fits.Header
        With the world coordinates of the fine pixels. NAXIS and other structural cards are left
        to the writer; cards that are no longer true are dropped.

    Raises
    ------
    InputError
        If the coordinates need something that cannot be carried over exactly.

    Examples
    --------
    >>> from astropy.io import fits
    >>> new = scale_header(fits.Header({"CRPIX1": 0.5, "CRPIX2": 3.0, "CD1_1": 1.0}), 4)
    >>> new["CRPIX1"], new["CRPIX2"], new["CD1_1"]
    (0.5, 10.5, 0.25)
    """
    _refuse(header, tables)
    new = header.copy()
    _drop(new)
    if (scale, region_start) != (1, (0, 0)):  # else exactly the same coordinates
        _scale(new, scale, region_start)
    _rename(new)
    return new


def _scale(new: Any, scale: int, region_start: tuple[int, int]) -> None:
    for alternate in alternates(new):
        _scale_linear(new, alternate, scale, region_start)
    for key in list(new):
        match = _SIP.fullmatch(key)
        if match:
            _multiply(new, key, float(scale) ** (1 - int(match[1]) - int(match[2])))
        elif _IN_PIXELS.fullmatch(key):
            _multiply(new, key, scale)
        elif key in _AREAS:
            _multiply(new, key, 1 / scale**2)
        elif _SIZES.fullmatch(key):
            _multiply(new, key, 1 / scale)


def _refuse(header: Any, tables: bool) -> None:
    wrong = []
    for key in lookup_cards(header):
        value = str(header[key]).strip().upper()
        carried = tables and (
            _tab(value) or (value == "LOOKUP" and key.startswith(("CPDIS", "D2IMDIS")))
        )
        if not carried:
            wrong.append(f"{key} = {value}")
    if wrong:
        raise InputError(
            f"the world coordinates depend on {', '.join(wrong)}, which cannot be carried over",
            "CD, PC, CDELT, CROTA, SIP, TPV, and CPDIS or D2IMDIS = LOOKUP with their tables",
            "resample the image to a plain projection first, for example with drizzle or "
            "reproject, or delete these cards if this accuracy is not needed",
        )


def _drop(header: Any) -> None:
    if any(key.startswith("AMDX") for key in header):
        logger.warning("the plate solution (AMDX, AMDY, ...) is dropped; the standard WCS is kept")
    for key in dict.fromkeys(header):
        section = "SEC" in key and _SECTION.fullmatch(str(header[key]))
        if section or _DROPPED.fullmatch(key) or _PLATE.fullmatch(key):
            header.remove(key, remove_all=True)


def alternates(header: Any) -> list[str]:
    """Letters of the world coordinate systems in a header; the empty text is the main one."""
    matches = (_LINEAR.fullmatch(key) or _MATRIX.fullmatch(key) for key in header)
    return sorted({match.groups()[-1] for match in matches if match})


def axis_count(header: Any, alternate: str = "") -> int:
    """Number of axes of a world coordinate system, also those that are no axes of the image."""
    numbers = [_whole(header.get("NAXIS")), _whole(header.get(f"WCSAXES{alternate}"))]
    for key in header:
        match = _LINEAR.fullmatch(key) or _MATRIX.fullmatch(key)
        if match and match.groups()[-1] == alternate:
            numbers += [int(n) for n in match.groups()[:-1]]
    return max(numbers)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _number(header: Any, key: str, default: float) -> float:
    value = header.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"the header card {key} = {value!r} is not a number",
                         "a number", f"correct or delete the card {key}")  # fmt: skip
    return float(value)


def _multiply(header: Any, key: str, factor: float) -> None:
    header[key] = _number(header, key, 0.0) * factor


def _scale_linear(header: Any, alternate: str, scale: int, start: tuple[int, int]) -> None:
    for axis, first in ((1, start[1]), (2, start[0])):
        key = f"CRPIX{axis}{alternate}"
        header[key] = scale * (_number(header, key, 0.0) - first - 0.5) + 0.5
    count = max(2, axis_count(header, alternate))
    matrix = [m for m in map(_MATRIX.fullmatch, header) if m and m[3] == alternate]
    if any(m[0].startswith("CD") for m in matrix):
        for m in matrix:
            if m[0].startswith("CD") and m[2] in ("1", "2"):
                _multiply(header, m[0], 1 / scale)
        # CDELT beside CD has no meaning, but old programs read it.
        rows = [i for i in (1, 2) if f"CDELT{i}{alternate}" in header]
    elif matrix:
        rows = _rows_to_scale(header, alternate, count, scale)
    else:  # also for CROTA: there CDELT belongs to the pixel axis
        rows = [1, 2]
    for i in rows:
        key = f"CDELT{i}{alternate}"
        header[key] = _number(header, key, 1.0) / scale


def _rows_to_scale(header: Any, alternate: str, count: int, scale: int) -> list[int]:
    """World axes whose CDELT is to be divided, with CDELT_i sum_j PC_ij.

    Where a world axis also depends on a pixel axis that keeps its size, CDELT must stay, and the
    first two columns of PC are divided instead.
    """
    rows = []
    for i in range(1, count + 1):
        pc = {
            j: _number(header, f"PC{i}_{j}{alternate}", float(i == j)) for j in range(1, count + 1)
        }
        if not (pc.get(1) or pc.get(2)):
            continue
        if any(value for j, value in pc.items() if j > 2):
            for j in (1, 2):
                header[f"PC{i}_{j}{alternate}"] = pc[j] / scale
        else:
            rows.append(i)
    return rows


def _rename(header: Any) -> None:
    for key in list(header):
        match = _AMPLIFIER.fullmatch(key)
        new = _RENAMED_AMPLIFIERS[match[1]] + match[2] if match else _RENAMED.get(key)
        if new and new not in header:
            header.rename_keyword(key, new)


def scale_lookup_table(
    header: Any, data: Any, scale: int, region_start: tuple[int, int] = (0, 0)
) -> tuple[Any, Any]:
    """A distortion table (WCSDVARR, D2IMARR) for the finer grid.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the table's HDU: its CRVAL and CDELT are pixels of the image.
    data : ndarray of shape (M, N)
        Shifts in input pixels.
    scale, region_start
        As in `scale_header`.

    Returns
    -------
    header : astropy.io.fits.Header
    data : ndarray of shape (M, N), float32
        Shifts in fine pixels.
    """
    new = header.copy()
    for key in ("CHECKSUM", "DATASUM", "BSCALE", "BZERO", "BLANK"):
        new.remove(key, ignore_missing=True)
    for axis, first in ((1, region_start[1]), (2, region_start[0])):
        key = f"CRVAL{axis}"
        new[key] = scale * (_number(new, key, 0.0) - first - 0.5) + 0.5
        new[f"CDELT{axis}"] = _number(new, f"CDELT{axis}", 1.0) * scale
    return new, (np.asarray(data, np.float64) * scale).astype(np.float32)
