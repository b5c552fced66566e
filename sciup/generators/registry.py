"""From a model folder to a generator ready to draw.

A new architecture is one file and one line here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sciup.errors import ModelError
from sciup.generators.facts import ModelFacts, checked_weights, read_recipe
from sciup.generators.posterior import PosteriorSampler
from sciup.physics.projection import Trust
from sciup.resources import RECIPE, WEIGHTS


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


def load_generator(folder: Path) -> PosteriorSampler:
    """The network of a model folder with its weights, in float32 on the CPU, ready to draw.

    Raises
    ------
    ModelError
        For a missing, damaged or unfitting weight file.
    """
    from safetensors import SafetensorError, safe_open

    recipe = read_recipe(folder)
    checked_weights(folder)
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


__all__ = ["ARCHITECTURES", "ModelFacts", "load_generator", "read_recipe"]
