"""Headers of results: which cards of the input are carried, and which are added."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from sciup.image import Image, PixelGrid
from sciup.io._fits_clean import ascii_text, clean_header, logger, open_hdus, quiet
from sciup.io._fits_files import Hdu
from sciup.io._wcs import alternates, axis_count, scale_header, scale_lookup_table
from sciup.io._writer import Layout

_NOT_CARRIED = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|EXTEND|EXTNAME|EXTVER|EXTLEVEL|INHERIT|"
    r"NEXTEND|BUNIT|TFIELDS|THEAP|T(TYPE|FORM|UNIT|NULL|SCAL|ZERO|DISP|DIM)\d+|END|CONTINUE|"
    r"SCI(UPVER|MODEL|SCALE|SEED|NSAMP|SRC|ROI|MAPS)|BKGRMS|IRAF-TLM"
)
_COORDINATES = re.compile(
    r"WCSAXES[A-Z]?|WCSNAME[A-Z]?|(CTYPE|CRPIX|CRVAL|CDELT|CROTA|CUNIT)\d+[A-Z]?|"
    r"(CD|PC|PV|PS)\d+_\d+[A-Z]?|(LON|LAT)POLE[A-Z]?|[AB]P?_(\d_\d|ORDER|DMAX)|"
    r"(CPDIS|CPERR|D2IMDIS|D2IMERR|DP|D2IM)\d.*"
)
_CUNITS = {"micrometer": "um", "nanometer": "nm", "millimeter": "mm", "degree": "deg"}
_PROVENANCE = (
    ("SCIUPVER", ("SCIUPVER", "sciup_version", "version", "sciup"), "version of sciup"),
    ("SCIMODEL", ("SCIMODEL", "model"), "generator"),
    ("SCISCALE", ("SCISCALE",), "output pixels per input pixel"),
    ("SCIROI", ("SCIROI",), "input pixels, counted from 0: Y0:Y1,X0:X1"),
    ("SCIMAPS", ("SCIMAPS",), "maps in this file"),
    ("SCISEED", ("SCISEED", "seed"), "seed of the noise"),
    ("SCINSAMP", ("SCINSAMP", "samples"), "number of samples drawn"),
    ("SCISRC", ("SCISRC",), "input"),
)


def carried_header(layout: Layout) -> Any:
    """The cards of the input that every map gets, with the coordinates of the fine pixels.

    Raises
    ------
    InputError
        If the input's world coordinates cannot be carried over, see `scale_header`.
    """
    from astropy.io import fits

    image, start = layout.image, (layout.region.start[0], layout.region.start[1])
    if image.header is None:
        return linear_header(image.grid.scaled(layout.scale, start))
    header = clean_header(_picked(image), image.source)
    with quiet(image.source):
        scaled = scale_header(header, layout.scale, start, tables=bool(wcs_tables(image)))
    carried = fits.Header()
    for card in scaled.cards:
        if not _NOT_CARRIED.fullmatch(card.keyword):
            carried.append(card, end=True)
    return carried


def _base(image: Image) -> Image:
    while isinstance(base := getattr(image, "base", None), Image):
        image = base
    return image


def wcs_tables(image: Image) -> tuple[Hdu, ...]:
    """The HDUs with tables that the world coordinates of a FITS image need."""
    return tuple(getattr(_base(image), "wcs_tables", ()))


def table_hdus(layout: Layout) -> list[Any]:
    """HDUs of the tables that `carried_header` refers to, for the fine pixels."""
    from astropy.io import fits

    out: list[Any] = []
    start = (layout.region.start[0], layout.region.start[1])
    for table in wcs_tables(layout.image):
        with quiet(table.path), open_hdus(table.path, memmap=False) as hdus:
            hdu = hdus[table.index]
            if table.is_image:
                header, data = scale_lookup_table(hdu.header, hdu.data, layout.scale, start)
                out.append(fits.ImageHDU(data, header))
            else:
                out.append(fits.BinTableHDU(hdu.data.copy(), hdu.header))
    return out


def _picked(image: Image) -> Any:
    """The header, moved along where a view keeps one index of a leading axis of a cube."""
    header = image.header.copy()
    while isinstance(base := getattr(image, "base", None), Image):
        for k, offset in enumerate(getattr(image, "offset", ())):
            axis = len(image.shape) - k
            for alternate in alternates(header) if offset else ():
                key = f"CRPIX{axis}{alternate}"
                header[key] = header.get(key, 0.0) - offset
        image = base
    return header


def linear_header(grid: PixelGrid) -> Any:
    """A linear WCS for images that are not FITS; empty if the pixel size is not known.

    Examples
    --------
    >>> linear_header(PixelGrid((0.5, 0.25), "micrometer"))["CDELT1"]
    0.25
    """
    from astropy.io import fits

    header = fits.Header()
    if grid.size is None:
        return header
    for axis, size, origin in (
        (1, grid.size[1], grid.origin[1]),
        (2, grid.size[0], grid.origin[0]),
    ):
        header[f"CTYPE{axis}"] = "LINEAR"
        if grid.unit:
            header[f"CUNIT{axis}"] = _CUNITS.get(grid.unit, grid.unit)
        header[f"CRPIX{axis}"] = 1.0
        header[f"CRVAL{axis}"] = (origin, "centre of the first pixel")
        header[f"CDELT{axis}"] = (size, "pixel size")
    return header


def map_header(layout: Layout, name: str, carried: Any) -> Any:
    """The complete header of the HDU of one map."""
    from astropy.io import fits

    shape = layout.shape_of(name)
    cards: list[tuple[str, Any, str]] = [
        ("XTENSION", "IMAGE", "image extension"),
        ("BITPIX", -32, "single precision floating point, masked = NaN"),
        ("NAXIS", len(shape), ""),
        *((f"NAXIS{n}", length, "") for n, length in enumerate(reversed(shape), start=1)),
        ("PCOUNT", 0, ""),
        ("GCOUNT", 1, ""),
        ("EXTNAME", name.upper(), "map"),
    ]
    if name in layout.labels:
        cards.append(("LABEL", layout.labels[name], "no part of what was calibrated"))
    if layout.units.get(name):
        cards.append(("BUNIT", ascii_text(str(layout.units[name])), ""))
    header = fits.Header(cards)
    own = carried.copy()
    if name != layout.names[0]:  # the history once is enough
        for key in ("HISTORY", "COMMENT"):
            own.remove(key, ignore_missing=True, remove_all=True)
    if name == "samples":
        _add_sample_axis(own, len(shape))
    for card in own.cards:
        header.append(card, end=True)
    return header


def _add_sample_axis(header: Any, axis: int) -> None:
    if any(re.fullmatch(r"(CPDIS|D2IMDIS)\d", key) for key in header):
        # No reader takes lookup tables for a cube, and coordinates without them would be wrong.
        for key in [key for key in header if _COORDINATES.fullmatch(key)]:
            header.remove(key, ignore_missing=True, remove_all=True)
        header.add_comment("The world coordinates of SAMPLES are those of the other maps.")
        return
    if any(re.fullmatch(r"[AB]_ORDER", key) for key in header):
        return  # astropy reads SIP of a cube with `naxis=2` only, and never with more axes
    for alternate in alternates(header):
        if f"CTYPE{axis}{alternate}" in header:
            logger.info("the WCS has more axes than the image: axis %d is the sample", axis)
            continue
        if f"WCSAXES{alternate}" in header:
            header[f"WCSAXES{alternate}"] = max(axis, axis_count(header, alternate))
        header[f"CTYPE{axis}{alternate}"] = "SAMPLE"
        header[f"CRPIX{axis}{alternate}"] = 1.0
        header[f"CRVAL{axis}{alternate}"] = 0.0
        header[f"CDELT{axis}{alternate}"] = 1.0
        if any(re.fullmatch(rf"CD\d+_\d+{alternate}", key) for key in header):
            header[f"CD{axis}_{axis}{alternate}"] = 1.0


def primary_header(layout: Layout, provenance: Mapping[str, Any]) -> Any:
    """The header of the empty primary HDU: what the result is and where it comes from."""
    from astropy.io import fits

    source, scale, region = layout.origin or (layout.image.source, layout.scale, layout.region)
    start, stop = region.start, region.stop
    facts = {
        **provenance,
        "SCISCALE": scale,
        "SCISRC": source,
        "SCIROI": f"{start[0]}:{stop[0]},{start[1]}:{stop[1]}",
        "SCIMAPS": " ".join(layout.names).upper(),
    }
    header = fits.Header(
        [("SIMPLE", True, "FITS standard"), ("BITPIX", 8, ""), ("NAXIS", 0, "no data here"),
         ("EXTEND", True, "the maps are in the extensions"),
         ("ORIGIN", "sciup", "super-resolution; all of it in PROVENANCE")]
    )  # fmt: skip
    for keyword, names, comment in _PROVENANCE:
        value = next((v for n in names if (v := facts.get(n)) is not None), None)
        if isinstance(value, Mapping):
            value = value.get("name", value.get("path"))
        if isinstance(value, str):
            header[keyword] = (ascii_text(value)[:1000], comment)
        elif isinstance(value, (bool, int, float)) and math.isfinite(value):
            header[keyword] = (value, comment)
    return header
