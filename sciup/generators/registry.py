"""From a model folder to a generator ready to draw.

A new architecture is one file and one line here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from sciup.errors import ModelError
from sciup.generators.posterior import PosteriorSampler
from sciup.physics.projection import Trust
from sciup.resources import RECIPE, WEIGHTS

SCALES = (1, 2, 4)
"""Output pixels per input pixel that the engine knows: they divide every shard."""


def _posterior(recipe: dict[str, Any]) -> PosteriorSampler:
    return PosteriorSampler(
        recipe["name"],
        recipe["scale"],
        recipe["domain"],
        recipe["target_fwhm"],
        Trust(**recipe.get("trust", {})),
        **recipe.get("network", {}),
    )


ARCHITECTURES: dict[str, Callable[[dict[str, Any]], PosteriorSampler]] = {"posterior": _posterior}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model folder says without loading the weights."""

    name: str
    folder: Path
    domain: str
    scale: int
    target_fwhm: float
    weights: str  # sha256 of the weight file

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
            _checked(folder),
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


def _checked(folder: Path) -> str:
    """Checksum of the weights, compared with ``weights.sha256``."""
    path, stated = folder / WEIGHTS, folder / "weights.sha256"
    if not path.is_file():
        raise ModelError(
            f"model folder {folder} has no {WEIGHTS}",
            fix="train it with `sciup train`, or reinstall sciup",
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    says = (stated.read_text().split() or ["nothing"])[0] if stated.is_file() else digest
    if says != digest:
        raise ModelError(
            f"{path} has checksum {digest[:12]}…, but weights.sha256 says {says[:12]}…",
            fix="the file is damaged or was replaced: restore it, or update weights.sha256",
        )
    return digest


def load_generator(folder: Path) -> PosteriorSampler:
    """The network of a model folder with its weights, in float32 on the CPU, ready to draw.

    Raises
    ------
    ModelError
        For a missing, damaged or unfitting weight file.
    """
    from safetensors import SafetensorError, safe_open

    recipe = read_recipe(folder)
    _checked(folder)
    kind = recipe.get("architecture", "posterior")
    if kind not in ARCHITECTURES:
        raise ModelError(f"unknown architecture {kind!r}", ", ".join(ARCHITECTURES))
    try:
        net = ARCHITECTURES[kind](recipe)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the network of the recipe {folder / RECIPE} cannot be built: {error}",
            "network: channels, blocks, head_channels, head_blocks",
        ) from None
    path = folder / WEIGHTS
    try:
        with safe_open(path, "pt") as file:
            meta = json.loads((file.metadata() or {}).get("recipe", "{}"))
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
        net.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        raise ModelError(f"{path} does not fit its recipe: {str(error).splitlines()[0]}") from None
    for key in ("scale", "domain"):
        if meta and meta.get(key) != recipe[key]:
            raise ModelError(
                f"{path} was trained with {key} {meta.get(key)!r}, the recipe says {recipe[key]!r}"
            )
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net.eval().requires_grad_(False)
