"""Reads FITS images window by window."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.image import Bool, Fact, Float, Image, PixelGrid, Plane
from sciup.io._check import input_errors
from sciup.io._fits_clean import logger, quiet
from sciup.io._fits_companions import Companion, Role, find_companions
from sciup.io._fits_facts import INSTRUMENT_CARD, Headers, header_facts, stated_pixel_scale
from sciup.io._fits_files import Hdu, choose_hdu, local_file, scan
from sciup.io._fits_fill import is_filled, measured
from sciup.io._fits_pixels import Pixels, pixels_of, stored_dtype
from sciup.io._units import is_flux_per_pixel, normalise_unit
from sciup.io._wcs import alternates, lookup_cards

ALL_BITS = -1
"""Default of `dq_bad`: a pixel with any non-zero data quality is left out."""

_LEADING = "abcdefghijklmnopqrstuvwz"
STRUCTURE = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|EXTEND|EXTNAME|EXTVER|EXTLEVEL|INHERIT|"
    r"BSCALE|BZERO|BLANK|CHECKSUM|DATASUM|DATAMIN|DATAMAX|NEXTEND|FILENAME|COMMENT|HISTORY|"
    r"(CTYPE|CRPIX|CRVAL|CDELT|CROTA|CUNIT)\d+[A-Z]?|(CD|PC|PV)\d+_\d+[A-Z]?|WCSAXES[A-Z]?|"
    r"(LON|LAT)POLE[A-Z]?|[AB]P?_\d_\d|[AB]P?_ORDER|"
)


@dataclass(eq=False, kw_only=True)
class FitsImage(Image):
    """A lazy FITS image.

    Attributes
    ----------
    pixels : Pixels
        Where the values come from.
    companions : tuple of Companion
        Noise, weight and data quality, as far as the file has them.
    dq_bad : int
        Bits of the data quality that leave a pixel out.
    saturation : float or None
        Values from here on are left out.
    wcs_tables : tuple of Hdu
        HDUs with tables that the world coordinates need.
    """

    pixels: Pixels
    companions: tuple[Companion, ...] = ()
    dq_bad: int = ALL_BITS
    saturation: float | None = None
    wcs_tables: tuple[Hdu, ...] = ()

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Values and footprint of a box inside the image, see `Image.load`."""
        values = self.pixels.values(plane, box)
        footprint = np.isfinite(values)
        if self.saturation is not None:
            footprint &= ~(values >= self.saturation)
        for other in self.companions:
            usable = other.footprint(plane, box, self.dq_bad)
            if usable is not None:
                footprint &= usable
        if self._filled:
            footprint &= measured(lambda b: self.pixels.values(plane, b), box, self.plane_shape)
        return values, footprint

    @cached_property
    def _filled(self) -> bool:
        """Whether zeros fill the border, of the first plane; companions would tell what is data."""
        first = (0,) * (len(self.shape) - 2)
        if self.companions or not is_filled(
            lambda box: self.pixels.values(first, box), self.plane_shape
        ):
            return False
        logger.info("%s: areas of zeros at its border count as no data", self.source)
        return True

    def load_sigma(self, plane: Plane, box: Box) -> Float | None:
        """One-sigma noise (h, w) in the image's units; NaN where the file has no valid value."""
        for other in self.companions:
            sigma = other.sigma(plane, box)
            if sigma is not None:
                return sigma
        return None


def open_fits(
    path: str | os.PathLike[str],
    *,
    hdu: int | str | None = None,
    err: int | str | None = None,
    weight: int | str | None = None,
    dq: int | str | None = None,
    dq_bad: int | None = None,
    scratch: str | os.PathLike[str] | None = None,
) -> Image:
    """Open a FITS image; only headers are read.

    Parameters
    ----------
    path : path
        A FITS file, plain, tile-compressed (``.fz``), or packed with gzip, bzip2 or xz.
    hdu : int or str, optional
        Number, EXTNAME or ``EXTNAME,EXTVER``; by default the first image with two or more axes
        and more than one pixel along y and x.
    err, weight, dq : int or str, optional
        ``FILE``, ``FILE[HDU]``, or ``[HDU]`` (or its number) of the same file: one-sigma noise in
        the image's units, weight, and data quality. By default the extensions ERR (VAR, IVAR),
        WHT and DQ with the same EXTVER. Pixels of weight zero are left out; a weight becomes a
        noise only where its header says that it is an inverse variance, or ``ivar:`` stands before
        the file (``var:`` for a variance).
    dq_bad : int, optional
        Bits of the data quality that leave a pixel out; by default any non-zero value does.
    scratch : path, optional
        Folder for the unpacked copy of packed files, which is removed when the program ends.

    Returns
    -------
    Image
        Lazy and picklable, ``header`` is the astropy header with the cards of the primary that
        belong to it.

    Raises
    ------
    InputError
        If the file is missing, damaged, cut off, or holds no image that can be upscaled.
    OptionError
        If there is no such HDU, or `dq_bad` is negative.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from astropy.io import fits
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fits.PrimaryHDU(np.ones((4, 6), "f4")).writeto(f"{folder}/a.fits")
    ...     values, footprint = open_fits(f"{folder}/a.fits").read((), Box((0, 0), (2, 3)))
    >>> values.sum(), footprint.all()
    (np.float32(6.0), np.True_)
    """
    if dq_bad is not None and dq_bad < 0:
        raise OptionError(f"dq_bad {dq_bad} is negative", "a sum of bits: 1, 2, 4, ...")
    source = str(path)
    hdus = scan(local_file(path, scratch), source)
    science = choose_hdu(hdus, hdu, source)
    given: dict[Role, int | str | None] = {"err": err, "weight": weight, "dq": dq}
    with input_errors(f"the headers of {source} contradict the FITS standard", "check the file"):
        companions, notes = find_companions(hdus, science, given, scratch, source)
        bad = ALL_BITS if dq_bad is None else dq_bad
        pixels, dtype = pixels_of(science), stored_dtype(science.header)
        return fits_image(hdus, science, companions, notes, bad, source, pixels, dtype)


def fits_image(
    hdus: Sequence[Hdu],
    science: Hdu,
    companions: tuple[Companion, ...],
    notes: dict[str, Fact],
    dq_bad: int,
    source: str,
    pixels: Pixels,
    dtype: np.dtype[Any],
) -> FitsImage:
    """The image of an HDU, with what its headers say; see `FitsImage`."""
    header = _header(science, hdus[0])
    unit = normalise_unit(header.get("BUNIT"), source)
    headers = Headers([(_place(h), h.header) for h in dict.fromkeys((science, hdus[0]))])
    grid = sky_grid(header, headers, source)
    facts = header_facts(headers, unit, grid, dtype) | notes
    if (psf := _psf(hdus, science, grid, source)) is not None:
        facts["psf"] = psf
    return FitsImage(
        axes=_LEADING[len(_LEADING) - len(science.shape) + 2 :] + "yx",
        shape=science.shape, dtype=dtype, source=source, format="fits", grid=grid, unit=unit,
        flux_per_pixel=is_flux_per_pixel(unit), domain="night-sky", facts=facts, header=header,
        metadata={"hdu": science.index, "extname": science.name, "extver": science.version},
        pixels=pixels, companions=companions, dq_bad=dq_bad,
        saturation=facts["saturation"].value if "saturation" in facts else None,
        wcs_tables=_wcs_tables(hdus, science, source),
    )  # fmt: skip


def _place(hdu: Hdu) -> str:
    return f"{hdu.index} ({hdu.name})" if hdu.name else str(hdu.index)


def _header(science: Hdu, primary: Hdu) -> Any:
    """A copy of the image's header, with the cards of the primary that belong to it."""
    header = science.header.copy()
    if science.index == primary.index:
        return header
    inherit = science.header.get("INHERIT") is True
    for card in primary.header.cards:
        key = card.keyword
        wanted = inherit or INSTRUMENT_CARD.fullmatch(key)
        if wanted and key not in header and not STRUCTURE.fullmatch(key):
            header.append(card, end=True)
    return header


def sky_grid(header: Any, headers: Headers, source: str) -> PixelGrid:
    """Pixel size on the sky in arcsec, or of a plain length in micrometer."""
    size_unit = None
    if alternates(header):
        try:
            with input_errors(f"the world coordinates of {source} cannot be used"):
                size_unit = _wcs_pixel_size(header, source)
        except InputError as error:
            logger.warning("%s", error)
    if size_unit is None and (stated := stated_pixel_scale(headers)) is not None:
        size_unit = stated, "arcsec"
    return PixelGrid(*size_unit) if size_unit else PixelGrid()


def _wcs_pixel_size(header: Any, source: str) -> tuple[tuple[float, float], str] | None:
    from astropy import units
    from astropy.wcs import WCS

    plain = header.copy()
    for key in set(plain):  # distortions: they hardly change the pixel size, and may need tables
        if re.match(r"(CPDIS|CQDIS|D2IM|DP|DQ)\d|AXISCORR|[AB]P?_(ORDER|\d)", key):
            plain.remove(key, remove_all=True)
    matrix = [plain[key] for key in plain if re.fullmatch(r"CD\d_\d", key)]
    if matrix and not any(matrix):  # a placeholder, which astropy takes for one degree
        return None
    with quiet(source):
        wcs = WCS(plain)
        matrix = np.abs(np.asarray(wcs.pixel_scale_matrix, float)[:, :2])
    if wcs.has_celestial:
        x, y = (float(np.hypot(*matrix[[wcs.wcs.lng, wcs.wcs.lat], j])) * 3600 for j in (0, 1))
        unit = "arcsec"
    else:
        names = [units.Unit(name) for name in list(wcs.wcs.cunit)[:2]]
        if not all(name.is_equivalent(units.m) for name in names):
            return None
        x, y = (float(matrix[j, j] * names[j].to(units.um)) for j in (0, 1))
        unit = "micrometer"
    usable = all(np.isfinite(v) and v > 0 for v in (x, y))
    return ((y, x), unit) if usable else None


def _psf(hdus: Sequence[Hdu], science: Hdu, grid: PixelGrid, source: str) -> Fact | None:
    """The image in an extension PSF, if its pixels are those of the image."""
    found = [
        h for h in hdus
        if h.name == "PSF" and h.index != science.index and h.usable and len(h.shape) == 2
    ]  # fmt: skip
    if not found:
        return None
    hdu = next((h for h in found if h.version == science.version), found[0])
    headers = Headers([(_place(hdu), hdu.header)])
    note = f"HDU {_place(hdu)}; it does not state its sampling, taken to be the image's"
    oversampling = headers.first(["OVERSAMP", "OVERSMPL", "PSFSAMP"])
    stated = stated_pixel_scale(headers)
    if oversampling:
        same, note = oversampling[0].value == 1, f"HDU {_place(hdu)}, {oversampling[0]} = 1"
    elif stated and grid.size:
        same = bool(np.isclose(np.prod(stated), np.prod(grid.size), rtol=0.02))
        note = f"HDU {_place(hdu)}, sampled as the image"
    else:
        same = True
    values = pixels_of(hdu).values((), Box.of_shape(hdu.shape)).astype(np.float64)
    total = values.sum()
    if not same or not np.isfinite(total) or total <= 0:
        why = "its sampling is not that of the image" if not same else "its sum is not positive"
        logger.warning("%s: the PSF in HDU %s is not used: %s", source, _place(hdu), why)
        return None
    return Fact((values / total).astype(np.float32), "header", note)


def _wcs_tables(hdus: Sequence[Hdu], science: Hdu, source: str) -> tuple[Hdu, ...]:
    """HDUs with the tables that CPDIS, D2IMDIS and -TAB axes refer to."""
    header = science.header
    wanted: set[tuple[str, int]] = set()
    for key in lookup_cards(header):
        if key.startswith(("CPDIS", "D2IMDIS")):
            record, name = ("DP", "WCSDVARR") if key[0] == "C" else ("D2IM", "D2IMARR")
            number = key.removeprefix("CPDIS").removeprefix("D2IMDIS")
            wanted.add((name, int(header.get(f"{record}{number}.EXTVER", 1))))
        elif key.startswith("CTYPE"):
            number = key.removeprefix("CTYPE")
            name = str(header.get(f"PS{number}_0", "")).strip().upper()
            wanted.add((name, int(header.get(f"PV{number}_1", 1))))
    found = tuple(hdu for hdu in hdus if (hdu.name, hdu.version) in wanted)
    missing = wanted - {(hdu.name, hdu.version) for hdu in found}
    if missing:
        names = ", ".join(f"{name},{version}" for name, version in sorted(missing))
        logger.warning(
            "%s: the world coordinates need the table %s, which is missing", source, names
        )
    return found
