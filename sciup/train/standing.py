"""The sampler on which a texture head stands: found, checked, and put into its pack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from safetensors import safe_open

from sciup.errors import ModelError
from sciup.generators.facts import ModelFacts, read_recipe
from sciup.physics.projection import Trust
from sciup.resources import WEIGHTS, find_model
from sciup.train.pack import STANDS_ON
from sciup.train.recipe import Recipe
from sciup.train.recipe_parts import Network


def standing(recipe: Recipe, text: str) -> tuple[Recipe, str, dict[str, NDArray[Any]]]:
    """A texture recipe with network and trust of its sampler, and the sampler's weights.

    Parameters
    ----------
    recipe : Recipe
    text : str
        As its author wrote it.

    Returns
    -------
    recipe : Recipe
    text : str
        With the checksum of the sampler's weights.
    weights : dict of ndarray
        Their names begin with `STANDS_ON`.

    Raises
    ------
    ModelError
        If the sampler is another than the recipe says.
    """
    facts = ModelFacts.read(find_model(recipe.sampler or "")).sampler()
    for name in ("domain", "scale", "target_fwhm"):
        mine, its = getattr(recipe, name), getattr(facts, name)
        if mine != its:
            raise ModelError(
                f"the recipe has {name} {mine!r}, its sampler {facts.name}", f"{its!r}"
            )
    if recipe.sampler_weights not in (None, facts.weights):
        raise ModelError(
            f"the recipe stands on weights {recipe.sampler_weights[:12]}… of {facts.name}, which "
            f"now has {facts.weights[:12]}…",
            fix="leave sampler_weights out of the recipe to train on these",
        )
    if recipe.sampler_weights is None:
        text = _with(text, facts.weights)
    own = read_recipe(facts.folder)
    with safe_open(facts.folder / WEIGHTS, "np") as file:
        weights = {STANDS_ON + name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    full = replace(
        recipe,
        sampler_weights=facts.weights,
        network=Network(**own.get("network", {})),
        trust=Trust(**own.get("trust", {})),
    )
    return full, text, weights


def _with(text: str, digest: str) -> str:
    """A recipe, YAML or JSON, with the checksum in it."""
    key = "sampler_weights"
    if text.lstrip().startswith("{"):
        import json

        return json.dumps(json.loads(text) | {key: digest}, indent=2)
    return f"{text.rstrip()}\n{key}: {digest}\n"
