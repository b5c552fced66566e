"""From a model folder to a generator ready to draw.

A new architecture is one file and one line here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from sciup.errors import ModelError
from sciup.generators.facts import (
    TEXTURE,
    ModelFacts,
    TextureFacts,
    checked_weights,
    read_recipe,
)
from sciup.generators.posterior import PosteriorSampler
from sciup.generators.progressive import ProgressiveSampler
from sciup.generators.texture import TextureHead
from sciup.physics.projection import Trust
from sciup.resources import RECIPE, WEIGHTS


def _sampler(kind: type[PosteriorSampler], recipe: dict[str, Any]) -> PosteriorSampler:
    return kind(
        recipe["name"],
        recipe["scale"],
        recipe["domain"],
        recipe["target_fwhm"],
        Trust(**recipe.get("trust", {})),
        **recipe.get("network", {}),
    )


ARCHITECTURES: dict[str, Callable[[dict[str, Any]], PosteriorSampler]] = {
    kind.architecture: partial(_sampler, kind) for kind in (PosteriorSampler, ProgressiveSampler)
}


def load_generator(folder: Path) -> PosteriorSampler:
    """The network of a model folder with its weights, in float32 on the CPU, ready to draw.

    Raises
    ------
    ModelError
        For a missing, damaged or unfitting weight file, and for a texture model.
    """
    recipe = read_recipe(folder)
    checked_weights(folder)
    kind = recipe.get("architecture", "posterior")
    if kind == TEXTURE:
        ModelFacts.read(folder).sampler()
    if kind not in ARCHITECTURES:
        raise ModelError(f"unknown architecture {kind!r}", ", ".join(ARCHITECTURES))
    net = _built(
        folder,
        lambda: ARCHITECTURES[kind](recipe),
        "channels, blocks, head_channels, head_blocks, activation, floor",
    )
    _fill(net, folder, {key: recipe[key] for key in ("scale", "domain")})
    return net


def load_texture(facts: TextureFacts, sampler: PosteriorSampler) -> TextureHead:
    """A texture head with its weights, in float32 on the CPU.

    Parameters
    ----------
    facts : TextureFacts
    sampler : PosteriorSampler
        On whose trunk it stands; only its sizes are looked at.

    Raises
    ------
    ModelError
        For a missing, damaged or unfitting weight file.
    """
    recipe = read_recipe(facts.folder)
    sizes = {k: v for k, v in dict(recipe.get("texture") or {}).items() if k in SIZES}
    head = _built(
        facts.folder, lambda: TextureHead(facts.name, sampler, **sizes), ", ".join(SIZES), TEXTURE
    )
    same = {key: recipe[key] for key in ("scale", "domain")}
    stands = {"sampler_weights": facts.sampler_weights, "lit": head.lit}
    _fill(head, facts.folder, same | stands)
    return head


SIZES = ("channels", "blocks", "fine", "noise", "lit")
"""Keys under ``texture`` in a recipe that say what the head is made of."""

Net = TypeVar("Net", PosteriorSampler, TextureHead)


def _built(folder: Path, build: Callable[[], Net], sizes: str, part: str = "network") -> Net:
    """A network from its recipe, or in words why it cannot be built."""
    try:
        return build()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the network of the recipe {folder / RECIPE} cannot be built: {error}",
            f"{part}: {sizes}",
        ) from None


def _fill(net: Net, folder: Path, stated: dict[str, Any]) -> None:
    """Give a network the weights of its folder, which must have been trained as `stated`."""
    from safetensors import SafetensorError, safe_open

    path = folder / WEIGHTS
    try:
        with safe_open(path, "pt") as file:
            meta = json.loads((file.metadata() or {}).get("recipe", "{}"))
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - not a dict
        net.load_state_dict(tensors)
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        raise ModelError(f"{path} does not fit its recipe: {str(error).splitlines()[0]}") from None
    # no weight tells of lit, which a head either has or has not
    said = {"lit": False} | dict(meta.get("texture") or {}) | meta
    for key, value in stated.items():
        if meta and said.get(key) != value:
            raise ModelError(
                f"{path} was trained with {key} {said.get(key)!r}, the recipe says {value!r}"
            )
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.eval().requires_grad_(False)


__all__ = [
    "ARCHITECTURES",
    "ModelFacts",
    "TextureFacts",
    "load_generator",
    "load_texture",
    "read_recipe",
]
