"""A training run that takes seconds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from sciup.testing.toy_images import cells

_RECIPE: dict[str, Any] = {
    "name": "tiny",
    "domain": "fluorescence",
    "scale": 2,
    "target_fwhm": 2.0,
    "seed": 5,
    "steps": 4,
    "batch": 2,
    "draws": 2,
    "core": 16,
    "network": {"channels": 4, "blocks": 1, "head_channels": 4, "head_blocks": 1},
    "degradation": {
        "psf_fwhm": [1.06, 3.0],
        "shapes": {"gaussian": 0.7, "airy": 0.3},
        "correlated_share": 0.5,
        "haze_share": 0.3,
    },
    "sources": [{"path": ".", "share": 1.0}],
}


def tiny_recipe(**changes: Any) -> dict[str, Any]:
    """A recipe as plain data, of a network that learns nothing much in four steps.

    Examples
    --------
    >>> tiny_recipe(steps=2)["steps"]
    2
    """
    return copy.deepcopy(_RECIPE) | changes


def write_images(folder: Path, count: int = 3, shape: tuple[int, int] = (90, 110)) -> Path:
    """TIFF files of made cells."""
    import tifffile

    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        tifffile.imwrite(folder / f"cells{i}.tif", cells(shape, seed=i))
    return folder


__all__ = ["tiny_recipe", "write_images"]
