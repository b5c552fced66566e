"""What the header of a FITS image says of the instrument, and how far it is believed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciup.image import Fact, PixelGrid

_ESO = r"(HIERARCH )?ESO DET (CHIP\d+ )?(OUT\d+ )?"
# Tried in this order: where a camera has both, GAIN can be the number of a setting.
_GAINS = ("EGAIN", "ATODGAIN", "CCDGAIN", "GAIN", r"GAIN([A-H]|\d\d?)", _ESO + "CONAD")
_READ_NOISES = (
    "RDNOISE", "READNOIS", "READNOISE", "READNSE", "RON",
    r"(RDNOISE|RDNOIS|READNSE|RON)([A-H]|\d\d?)", _ESO + "RON",
)  # fmt: skip
_SATURATIONS = ("SATURATE", r"SATURAT([A-DF-H]|\d\d?)")
_EXPOSURES = ("EXPTIME", "EXPOSURE", "XPOSURE", "EFFEXPTM")
_PIXEL_SCALES = ("PIXSCALE", "PIXELSCL", "SECPIX", "PIXSCAL1", "SECPIX1")

_ADU = ("adu", "DN", "count")
INSTRUMENT_CARD = re.compile(
    "^(" + "|".join((*_GAINS, *_READ_NOISES, *_SATURATIONS, *_EXPOSURES, *_PIXEL_SCALES)) + "|"
    "PIXSCAL2|SECPIX2|SEEING|FWHM|BUNIT|TELESCOP|INSTRUME|DETECTOR|FILTER\\d?|OBJECT|DATE-OBS|"
    "MJD-OBS|NCOMBINE|OBSERVAT|AIRMASS|MAGZERO|PHOT[A-Z]+)$"
)  # fmt: skip
"""Cards worth taking from the primary header, whether or not INHERIT is set."""


@dataclass(frozen=True, slots=True)
class Found:
    """A positive number in a header: value, comment, and where it stands."""

    key: str
    value: float
    comment: str
    place: str

    def __str__(self) -> str:
        return f"card {self.key} of HDU {self.place}"


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of an image, the nearest first, each with the name of its HDU."""

    items: Sequence[tuple[str, Any]]

    def numbers(self, pattern: str) -> list[Found]:
        """All positive numbers whose keyword matches, in the nearest header that has one."""
        for place, header in self.items:
            found = list(_numbers(place, header, re.compile(pattern)))
            if found:
                return found
        return []

    def first(self, patterns: Sequence[str]) -> list[Found]:
        """`numbers` of the first pattern that is found anywhere."""
        return next((found for p in patterns if (found := self.numbers(p))), [])

    def text(self, key: str) -> str:
        """A card as text; empty if there is none."""
        return next((str(h[key]) for _, h in self.items if key in h), "")


def _numbers(place: str, header: Any, pattern: re.Pattern[str]) -> Iterator[Found]:
    for card in header.cards:
        if not pattern.fullmatch(card.keyword):
            continue
        value = card.value
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and math.isfinite(value) and value > 0:
            yield Found(card.keyword, float(value), str(card.comment), place)


def _name(found: Sequence[Found]) -> str:
    place = found[0].place
    plural = "s" if len(found) > 1 else ""
    return f"card{plural} {', '.join(f.key for f in found)} of HDU {place}"


def header_facts(
    headers: Headers, unit: str | None, grid: PixelGrid, dtype: np.dtype[Any]
) -> dict[str, Fact]:
    """Gain, read noise, saturation and seeing, as far as the header says.

    Parameters
    ----------
    headers : Headers
        The image's own header, then the primary.
    unit : str or None
        Unit of the pixel values, as `sciup.io._units.normalise_unit` writes it.
    grid : PixelGrid
        For the seeing, which stands in arcsec in most headers.
    dtype : numpy.dtype
        As stored: integers without a unit are taken for raw counts.

    Returns
    -------
    dict of str to Fact
        See `sciup.image.Image.facts`.
    """
    facts: dict[str, Fact] = {}
    if (gain := _electrons_per_unit(headers, unit)) is not None:
        facts["electrons_per_unit"] = gain
    if (noise := _read_noise(headers)) is not None:
        facts["read_noise"] = noise
    if (saturation := _saturation(headers, unit, dtype)) is not None:
        facts["saturation"] = saturation
    if (fwhm := _fwhm(headers, grid)) is not None:
        facts["psf_fwhm"] = fwhm
    return facts


def _electrons_per_unit(headers: Headers, unit: str | None) -> Fact | None:
    base, _, per = (unit or "").partition("/")
    if per not in ("", "s") or base not in (*_ADU, "electron", ""):
        return None  # calibrated units: the header does not say how many electrons they are
    value, notes = 1.0, [f"the unit is {unit}" if unit else "no unit: values taken to be adu"]
    if base != "electron":
        gains = headers.first(_GAINS)
        if not gains:
            return None
        value *= float(np.mean([_electrons_per_adu(gain) for gain in gains]))
        notes.append(_name(gains) + (": mean of the amplifiers" if len(gains) > 1 else ""))
    if per:
        exposure = headers.first(_EXPOSURES)
        if not exposure:
            return None
        value *= exposure[0].value
        notes.append(f"times {exposure[0]}")
    if (combined := headers.numbers("NCOMBINE")) and combined[0].value > 1:
        notes.append(f"NCOMBINE = {combined[0].value:g} was not used")
    return Fact(value, "header" if unit else "assumed", "; ".join(notes))


def _electrons_per_adu(gain: Found) -> float:
    # A few cameras state the reciprocal, and say so in the comment.
    inverse = re.search(r"(adu|dn|counts?)\s*(/|per)\s*\(?(e\b|e-|el)", gain.comment, re.IGNORECASE)
    return 1.0 / gain.value if inverse else gain.value


def _read_noise(headers: Headers) -> Fact | None:
    noises = headers.first(_READ_NOISES)
    if not noises:
        return None
    value = float(np.mean([noise.value for noise in noises]))
    notes = [_name(noises) + (": mean of the amplifiers" if len(noises) > 1 else "")]
    if re.search(r"[\[(]\s*(adu|dn|counts?)\b\s*[\])]", noises[0].comment, re.IGNORECASE):
        gains = headers.first(_GAINS)
        if not gains:
            return None
        value *= float(np.mean([_electrons_per_adu(gain) for gain in gains]))
        notes.append(f"in adu, times {_name(gains)}")
    return Fact(value, "header", "; ".join(notes))


def _saturation(headers: Headers, unit: str | None, dtype: np.dtype[Any]) -> Fact | None:
    """The lowest level, where it is sure that it is in the units of the pixels.

    SATURATE belongs to raw counts; a float image without a unit may be a sum or mean of many.
    """
    found = [f for pattern in _SATURATIONS for f in headers.numbers(pattern)]
    if unit is None and dtype.kind == "f":
        found = [f for f in found if re.search(r"\[(adu|dn|counts?)\]", f.comment, re.IGNORECASE)]
    elif unit == "electron":
        found = [f for f in found if re.search(r"electron|\be-", f.comment, re.IGNORECASE)]
    elif unit is not None and unit not in _ADU:
        found = []
    if not found:
        return None
    return Fact(min(f.value for f in found), "header", f"{_name(found)}: the lowest")


def _fwhm(headers: Headers, grid: PixelGrid) -> Fact | None:
    for key, usual in (("FWHM", "pix" if "DECam" in headers.text("INSTRUME") else ""),
                       ("SEEING", "arcsec")):  # fmt: skip
        for found in headers.numbers(key):
            comment = found.comment.lower()
            stated = next((u for u in ("arcsec", "pix") if u in comment), usual)
            if stated == "pix":
                return Fact(found.value, "header", f"{found} [px]")
            if stated == "arcsec" and grid.size and grid.unit == "arcsec":
                size = math.sqrt(grid.size[0] * grid.size[1])
                return Fact(found.value / size, "header", f"{found} [arcsec] / {size:.4g} arcsec")
    return None


def stated_pixel_scale(headers: Headers) -> tuple[float, float] | None:
    """Pixel size (y, x) in arcsec from cards such as PIXSCALE, for images without a WCS."""
    found = headers.first(_PIXEL_SCALES)
    if not found:
        return None
    second = {"PIXSCAL1": "PIXSCAL2", "SECPIX1": "SECPIX2"}.get(found[0].key, found[0].key)
    along_y = headers.numbers(second) or found
    return along_y[0].value, found[0].value
