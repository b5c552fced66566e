"""Typed recipes: everything that decides what a trained generator is."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sciup.errors import ModelError
from sciup.physics.projection import Trust


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(_Strict):
    """Size of the posterior sampler."""

    channels: int = 64
    blocks: int = 8
    head_channels: int = 32
    head_blocks: int = 2
    activation: Literal["relu", "silu"] = "relu"


class Source(_Strict):
    """One data set of the training folder and the share of crops that it gives."""

    dataset: str
    share: float = Field(gt=0)


class Scenes(_Strict):
    """Simulated night-sky scenes, rendered once into the run folder."""

    count: int = 300
    side: int = 384


class Degradation(_Strict):
    """Ranges from which the instrument of every crop is drawn."""

    psf_fwhm: tuple[float, float] = Field(description="relative kernel, FWHM in input px")
    shapes: dict[Literal["gaussian", "moffat", "airy"], float]
    ellipticity: float = 0.1
    peak_electrons: tuple[float, float] = (10, 2000)
    background: tuple[float, float] = (0.01, 0.1)
    read_noise: tuple[float, float] = (0.5, 3)
    depth: tuple[float, float] = Field((0.5, 4), description="night sky: factor on source fluxes")
    electrons_per_sigma: tuple[float, float] = (3, 300)
    correlated_share: float = 0.3
    haze_share: float = 0.0
    multiplied_share: float = Field(0.0, description="fluorescence: EMCCD noise")
    quantised_share: float = Field(0.0, description="fluorescence: steps up to the noise")
    guessed_psf_share: float = Field(0.0, description="told a round Gaussian instead")
    masked_share: float = 0.2


class LossWeights(_Strict):
    """Weights of the terms of the loss; see `sciup.train.losses`."""

    block_means: float = 0.5
    linear: float = 0.2
    energy: float = 0.2
    mean: float = 1.0
    comb: float = 0.0


class Recipe(_Strict):
    """A whole training run."""

    name: str
    domain: Literal["night-sky", "fluorescence"]
    scale: Literal[1, 2, 4]
    target_fwhm: float = Field(description="declared output PSF, output px; 0: training grid")
    seed: int = 1
    steps: int = 6000
    batch: int = 8
    draws: int = 3
    core: int = Field(48, description="side of the loss region in input px")
    learning_rate: float = 4e-4
    network: Network = Network()
    degradation: Degradation
    loss: LossWeights = LossWeights()
    trust: Trust = Trust()
    start: Path | None = Field(None, description="model folder whose fitting weights to start from")
    binned_share: float = Field(0.0, description="share of crops from 2 x 2 binned truths")
    sources: tuple[Source, ...] = ()
    scenes: Scenes | None = None


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises
    ------
    ModelError
        For a missing file, an unknown key (naming the nearest valid one) or a wrong value.
    """
    try:
        data = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"the recipe {path} cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise ModelError(f"the recipe {path} is not a mapping of keys to values")
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        fix = ""
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(first["loc"][-1]), _keys(Recipe), n=1)
            fix = f"did you mean {near[0]!r}?" if near else "remove it"
        raise ModelError(f"recipe {path}: {where}: {first['msg']}", fix=fix) from None


def _keys(model: type[BaseModel]) -> list[str]:
    """All key names of a recipe and its parts."""
    names = list(model.model_fields)
    for part in (Network, Source, Scenes, Degradation, LossWeights):
        names += list(part.model_fields)
    return names
