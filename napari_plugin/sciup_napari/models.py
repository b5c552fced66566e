"""Which models there are, and which fit a layer; read without torch."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOMAINS = {"fluorescence": "fluorescence", "night-sky": "night sky"}


@dataclass(frozen=True)
class Choice:
    """A model as the widget offers it."""

    name: str
    folder: Path
    domain: str
    scale: int
    calibrated: bool
    about: str
    architecture: str = "posterior"

    @property
    def label(self) -> str:
        """One line."""
        return f"{self.name}" + ("" if self.calibrated else " (not calibrated)")


@functools.cache
def choices() -> tuple[Choice, ...]:
    """All models that are installed and whole."""
    from sciup.catalogue import catalogue

    return tuple(_choice(entry) for entry in catalogue() if entry.weights)


def _choice(e: Any) -> Choice:
    return Choice(e.name, e.folder, e.domain, e.scale, e.calibrated, e.description, e.architecture)


def own(folder: Path) -> Choice:
    """A model folder of the user.

    Raises
    ------
    ModelError
        If it is none.
    """
    from sciup.catalogue import Entry

    return _choice(Entry.read(folder))


def domain_of(layer: Any) -> str | None:
    """Fluorescence or night sky, where the layer says so."""
    ours = layer.metadata.get("sciup", {})
    if told := ours.get("source", {}).get("domain") or ours.get("domain"):
        return str(told)
    unit = str(getattr(layer, "units", ("pixel",))[-1])
    if unit in ("micrometer", "nanometer", "millimeter"):
        return "fluorescence"
    return "night-sky" if unit in ("arcsecond", "degree", "arcminute") else None


def fitting(layer: Any) -> list[Choice]:
    """The models for a layer, the usual one first; all where the layer says nothing."""
    domain = domain_of(layer)
    usual = {"fluorescence": 4, "night-sky": 2}
    found = [c for c in choices() if domain in (None, c.domain)]
    return sorted(found, key=lambda c: (c.domain, c.scale != usual[c.domain], c.name))


def size_words(layer: Any, scale: int) -> str:
    """Pixel size before and after.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> size_words(SimpleNamespace(scale=(0.1, 0.1), units=("micrometer", "micrometer")), 4)
    '0.1 micrometer per pixel becomes 0.025'
    """
    unit = str(getattr(layer, "units", ("pixel",))[-1])
    if unit == "pixel":
        return "The layer has no pixel size; sizes are told in pixels."
    size = abs(float(layer.scale[-1]))
    return f"{size:.4g} {unit} per pixel becomes {size / scale:.4g}"
