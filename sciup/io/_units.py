"""Units of pixel values: one spelling for the many that files use."""

from __future__ import annotations

import logging
import re
import warnings
from typing import Any

from sciup.errors import InputError
from sciup.image import Domain

logger = logging.getLogger("sciup")

_PLAIN = {
    "electron": "electron e e- el electrons photoelectron photoelectrons",
    "adu": "adu adus",
    "DN": "dn dns",
    "count": "count counts ct cts",
    "nmgy": "nmgy nanomaggy nanomaggies nanomaggys",
    "mgy": "mgy maggy maggies",
}
_PER_SECOND = ("electron", "adu", "DN", "count")
_SECONDS = ("/s", "/sec", "/second", "s-1", "s^-1", "s**-1", "*s-1", ".s-1", "*s**-1")
_OTHER = {
    "jy/beam": "Jy/beam", "jybeam-1": "Jy/beam", "janskys": "Jy", "jansky": "Jy",
    "jy/pixel": "Jy/pix", "cps": "count/s",
    "unitless": None, "dimensionless": None, "none": None, "": None, "uncalib": None,
}  # fmt: skip


def _aliases() -> dict[str, str | None]:
    table: dict[str, str | None] = dict(_OTHER)
    for unit, names in _PLAIN.items():
        for name in names.split():
            table[name] = unit
            if unit in _PER_SECOND:
                table.update({name + seconds: f"{unit}/s" for seconds in _SECONDS})
    return table


_ALIASES = _aliases()
_LOGARITHMIC = re.compile(
    r"(?<![a-z])(ab|st|vega|inst)?[_ ]?m(ag|agnitude)s?(?![a-z])|(?<![a-z])(log(10)?|ln)(?![a-z])"
    r"|(?<![a-z])(dex|decibel|dB)(?![a-z])",
    re.IGNORECASE,
)
_SURFACE = re.compile(
    r"/\s*\(?(sr|arcsec|arcmin|deg|beam|sq)|(sr|beam)\s*(\*\*|\^)?\s*\(?-1|arcsec\s*(\*\*|\^)?\s*\(?-2",
    re.IGNORECASE,
)


def normalise_unit(text: object, source: str = "") -> str | None:
    """The unit of pixel values in one spelling.

    Parameters
    ----------
    text : object
        Value of BUNIT; None where there is no such card.
    source : str
        Name of the file, for messages.

    Returns
    -------
    str or None
        A string that `astropy.units.Unit` understands; None for no unit; the text as it is, with
        a warning in the log, where it is not known.

    Raises
    ------
    InputError
        For magnitudes and other logarithmic units: sums of them are no fluxes.

    Examples
    --------
    >>> normalise_unit("ELECTRONS/S"), normalise_unit("counts/sec"), normalise_unit("MJy/sr")
    ('electron/s', 'count/s', 'MJy/sr')
    """
    raw = "" if text is None else " ".join(str(text).split())
    key = raw.lower().replace(" ", "")
    if key in _ALIASES:
        return _ALIASES[key]
    if _LOGARITHMIC.search(raw):
        raise InputError(
            f"the pixels of {source or 'the image'} have the logarithmic unit {raw!r}",
            "linear units, such as electron/s, adu or nmgy",
            "convert the image to a flux: flux = 10^(-0.4 (mag - zero point))",
        )
    if _parse(raw) is None:
        logger.warning("%s: unit %r is not known; it is carried along as text", source, raw)
    return raw


def is_flux_per_pixel(unit: str | None, domain: Domain = "night-sky") -> bool:
    """Whether values are sums over a pixel, and not a brightness per solid angle.

    Without a unit they are in the night sky, where detectors count, and are none elsewhere.

    Examples
    --------
    >>> is_flux_per_pixel("electron/s"), is_flux_per_pixel("MJy/sr"), is_flux_per_pixel("Jy/beam")
    (True, False, False)
    >>> is_flux_per_pixel(None), is_flux_per_pixel(None, "fluorescence")
    (True, False)
    """
    if unit is None:
        return domain == "night-sky"
    parsed = _parse(unit)
    if parsed is None:
        return _SURFACE.search(unit) is None
    parsed = parsed.decompose()
    powers = dict(zip((base.name for base in parsed.bases), parsed.powers, strict=True))
    if powers == {"K": 1}:  # brightness temperature
        return False
    return not (powers.get("rad", 0) < 0 or powers.get("beam", 0) < 0)


def is_power(unit: str, base: str, power: int) -> bool:
    """Whether a unit is that power of another; what is not understood is given the benefit.

    Examples
    --------
    >>> is_power("electron2 / s2", "electron/s", 2), is_power("electron/s", "electron/s", 2)
    (True, False)
    """
    if power == 1 and unit == base:
        return True
    parsed, other = _parse(unit), _parse(base)
    if parsed is None or other is None:
        return power != 1
    return bool(parsed == other**power)


def _parse(unit: str) -> Any:
    from astropy import units

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for form in (None, "fits"):
            try:
                return units.Unit(unit, format=form)
            except (ValueError, TypeError):
                continue
    return None
