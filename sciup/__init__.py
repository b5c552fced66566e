"""Super-resolution that scientists can trust, for microscopy and astronomy.

Importing sciup loads neither torch nor Dask nor napari: names are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sciup.api import Result, upscale
    from sciup.errors import SciupError
    from sciup.explorer.run import explore
    from sciup.io import open_image
    from sciup.science.cutouts.run import cutouts
    from sciup.science.detect.run import detect
    from sciup.science.inject.run import inject
    from sciup.science.measure.run import measure
    from sciup.science.robustness.run import robustness

_HOMES = {
    "Result": "sciup.api",
    "SciupError": "sciup.errors",
    "cutouts": "sciup.science.cutouts.run",
    "detect": "sciup.science.detect.run",
    "explore": "sciup.explorer.run",
    "inject": "sciup.science.inject.run",
    "measure": "sciup.science.measure.run",
    "open_image": "sciup.io",
    "robustness": "sciup.science.robustness.run",
    "upscale": "sciup.api",
}

__all__ = [
    "Result",
    "SciupError",
    "cutouts",
    "detect",
    "explore",
    "inject",
    "measure",
    "open_image",
    "robustness",
    "upscale",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'sciup' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
