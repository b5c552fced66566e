"""What a model folder says of itself, read without torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sciup.errors import ModelError
from sciup.resources import RECIPE, WEIGHTS

SCALES = (1, 2, 4)
"""Output pixels per input pixel that the engine knows: they divide every shard."""

CHECKSUM = "weights.sha256"
"""File with the checksum of the weights, as ``sha256sum`` writes it."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model folder says without loading the weights."""

    name: str
    folder: Path
    domain: str
    scale: int
    target_fwhm: float
    weights: str  # sha256 of the weight file
    trust: dict[str, float]  # as the recipe states it

    @classmethod
    def read(cls, folder: Path) -> ModelFacts:
        """Read recipe and checksum; the weight file must be there and unchanged."""
        recipe = read_recipe(folder)
        return cls(
            str(recipe["name"]),
            folder,
            str(recipe["domain"]),
            recipe["scale"],
            float(recipe["target_fwhm"]),
            checked_weights(folder),
            dict(recipe.get("trust", {})),
        )


def read_recipe(folder: Path) -> dict[str, Any]:
    """The recipe of a model folder as plain data."""
    path = folder / RECIPE
    try:
        recipe = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}", f"a model folder with {RECIPE}"
        ) from None
    if not isinstance(recipe, dict):
        raise ModelError(f"the recipe {path} is not a mapping of keys to values")
    missing = {"name", "domain", "scale", "target_fwhm"} - set(recipe)
    if missing:
        raise ModelError(f"the recipe {path} lacks {', '.join(sorted(missing))}")
    if not isinstance(recipe["scale"], int) or recipe["scale"] not in SCALES:
        allowed = ", ".join(map(str, SCALES))
        raise ModelError(f"the recipe {path} has scale {recipe['scale']!r}", allowed)
    fwhm = recipe["target_fwhm"]
    if not isinstance(fwhm, int | float) or fwhm < 0:
        raise ModelError(f"the recipe {path} has target_fwhm {fwhm!r}", "a number, 0 or above")
    return recipe


def checked_weights(folder: Path) -> str:
    """Checksum of the weights, compared with ``weights.sha256`` where there is one."""
    path, stated = folder / WEIGHTS, folder / CHECKSUM
    if not path.is_file():
        raise ModelError(
            f"model folder {folder} has no {WEIGHTS}",
            fix="train it with `sciup train`, or reinstall sciup",
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    says = (stated.read_text().split() or ["nothing"])[0] if stated.is_file() else digest
    if says != digest:
        raise ModelError(
            f"{path} has checksum {digest[:12]}…, but {CHECKSUM} says {says[:12]}…",
            fix="the file is damaged or was replaced: restore it, or update " + CHECKSUM,
        )
    return digest
