"""What a model folder says of itself, read without torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sciup.errors import ModelError
from sciup.physics.beliefs import BELIEFS
from sciup.resources import RECIPE, WEIGHTS, find_model, is_trained
from sciup.risk.stored import Key

SCALES = (1, 2, 4, 8)
"""Output pixels per input pixel that the engine knows: they divide every shard."""

TEXTURE = "texture"
"""Architecture of the models that add a map to those of a sampler, and the name of that map."""

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
    architecture: str = "posterior"

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
            str(recipe.get("architecture", "posterior")),
        )

    @property
    def key(self) -> Key:
        """What a calibration of this model belongs to."""
        domain: Any = self.domain
        return Key(self.weights, dict(self.trust), BELIEFS[domain])

    def sampler(self) -> ModelFacts:
        """These facts, if they are of a model that draws.

        Raises
        ------
        ModelError
            For a texture model, which works beside a sampler.
        """
        if self.architecture != TEXTURE:
            return self
        base = TextureFacts.read(self.folder).sampler
        raise ModelError(
            f"{self.name} draws nothing by itself: it adds the map {TEXTURE!r} to those of {base}",
            "a posterior sampler",
            f"use --model {base} --texture",
        )


@dataclass(frozen=True, slots=True)
class TextureFacts:
    """What the folder of a texture model says without loading the weights."""

    name: str
    folder: Path
    weights: str  # sha256 of the weight file
    sampler: str  # name of the model on whose trunk it stands
    sampler_weights: str  # sha256 of that model's weights

    @classmethod
    def read(cls, folder: Path) -> TextureFacts:
        """Read recipe and checksum; the weight file must be there and unchanged."""
        recipe = read_recipe(folder)
        if recipe.get("architecture") != TEXTURE or not isinstance(recipe.get("sampler"), str):
            raise ModelError(
                f"{folder} is no texture model",
                f"a recipe with architecture: {TEXTURE} and sampler",
            )
        stands_on = str(recipe.get("sampler_weights") or "")
        return cls(
            str(recipe["name"]), folder, checked_weights(folder), recipe["sampler"], stands_on
        )

    @classmethod
    def beside(cls, model: ModelFacts, wanted: str | Path | None = None) -> TextureFacts:
        """The texture model for a sampler: the one that is wanted, or the usual one by name.

        Raises
        ------
        ModelError
            If there is none, or it stands on other weights.
        """
        usual = f"{TEXTURE}-{model.domain}-x{model.scale}"
        folder = find_model(usual if wanted is None else wanted)
        if wanted is None and not is_trained(folder):
            raise ModelError(
                f"there is no trained texture model for {model.name}: {usual} has no weights",
                fix=f"leave out --texture, or train one: sciup train {folder / RECIPE} ...",
            )
        found = cls.read(folder)
        if found.sampler_weights != model.weights:
            raise ModelError(
                f"{found.name} stands on {found.sampler} with weights "
                f"{found.sampler_weights[:12]}…, not on {model.name} with {model.weights[:12]}…",
                fix=f"use --model {found.sampler} as it came, or train the texture model anew",
            )
        return found


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
    if str(recipe["domain"]) not in BELIEFS:
        raise ModelError(f"the recipe {path} has domain {recipe['domain']!r}", ", ".join(BELIEFS))
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
