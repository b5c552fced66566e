"""Names of length units in files, and how many micrometers they are."""

from __future__ import annotations

MICROMETERS = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "inch": 25400.0,
    "meter": 1e6,
}

ALIASES = {
    "nm": "nanometer",
    "um": "micrometer",
    "µm": "micrometer",
    "μm": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "micrometre": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
    "in": "inch",
    "å": "angstrom",
}


def unit_name(text: str | None) -> str | None:
    """The full name of a length unit as files write it; None if it is not a length.

    Examples
    --------
    >>> unit_name("µm"), unit_name("Microns"), unit_name("pixel")
    ('micrometer', 'micrometer', None)
    """
    if not text:
        return None
    # Some programs write the micro sign as an escape of six characters.
    word = text.strip().replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    word = word if word in ALIASES else word.lower()
    word = ALIASES.get(word, word)
    return word if word in MICROMETERS else None


def convert(value: float, unit: str | None, to: str | None) -> float | None:
    """A length in another unit; None if one of the units is not a length.

    Examples
    --------
    >>> convert(250.0, "nm", "micrometer")
    0.25
    """
    here, there = unit_name(unit), unit_name(to)
    if here is None or there is None:
        return None
    return value * MICROMETERS[here] / MICROMETERS[there]


__all__ = ["MICROMETERS", "convert", "unit_name"]
