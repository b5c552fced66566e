"""Typed recipes: everything that decides what a trained generator is.

Plain dataclasses that need nothing but the standard library: training itself runs where pydantic
and YAML are missing. `sciup.train.recipe_file` reads and checks the YAML files of people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sciup.physics.projection import Trust
from sciup.train.recipe_parts import (
    WAVE,
    Degradation,
    LossWeights,
    Network,
    Pair,
    Progressive,
    Scenes,
    Source,
    Texture,
    require,
)

LEAST = 48
"""Side of the smallest image that the critic of textures can judge, output px."""


@dataclass(frozen=True)
class Recipe:
    """A whole training run.

    Attributes
    ----------
    target_fwhm : float
        FWHM of the declared output PSF in output px; 0: the training grid's own resolution.
    draws : int
        Draws per crop that are scored together.
    core : int
        Side of the loss region in input px.
    start : str, optional
        Model folder whose fitting weights to start from.
    binned_share : float
        Share of crops from 2 x 2 binned truths.
    architecture : {"posterior", "progressive", "texture"}
        A sampler, one for 8x by steps of 2x, or a head that adds texture to what a sampler says.
    progressive : Progressive
        Progressive: what is learned beside the draws.
    sampler, sampler_weights : str, optional
        Texture: the model on whose trunk it stands, and the checksum of that model's weights.
        `network` and `trust` are those of that model.
    texture : Texture
        Texture: size and training of the head.
    sources, scenes, pairs : optional
        What to train on. Beside scenes, which get the rest, the shares of sources are absolute.
    held_out : float
        Share of the units of every own `path` that is left out of training, to evaluate on.
    """

    name: str
    domain: Literal["night-sky", "fluorescence"]
    scale: Literal[1, 2, 4, 8]
    target_fwhm: float
    degradation: Degradation
    seed: int = 1
    steps: int = 6000
    batch: int = 8
    draws: int = 3
    core: int = 48
    learning_rate: float = 4e-4
    network: Network = field(default_factory=Network)
    loss: LossWeights = field(default_factory=LossWeights)
    trust: Trust = field(default_factory=Trust)
    start: str | None = None
    binned_share: float = 0.0
    held_out: float = 0.2
    sources: tuple[Source, ...] = ()
    scenes: Scenes | None = None
    pairs: tuple[Pair, ...] = ()
    architecture: Literal["posterior", "progressive", "texture"] = "posterior"
    progressive: Progressive = field(default_factory=Progressive)
    sampler: str | None = None
    sampler_weights: str | None = None
    texture: Texture = field(default_factory=Texture)

    def __post_init__(self) -> None:
        self._check_texture()
        require(
            (self.scale == 8) == (self.architecture == "progressive"),
            "scale 8 needs `architecture: progressive`, which has no other scale",
        )
        if self.architecture == "progressive":
            require(self.target_fwhm > 0, "keypoints need a target_fwhm above 0")
            require(not self.pairs, "pairs show no surroundings, which keypoints need")
        least = WAVE * 2 ** (self.loss.octaves - 1)
        require(
            not self.loss.waves or self.core * self.scale >= least,
            f"waves of {self.loss.octaves} octaves need core * scale of {least} output px and more",
        )
        require(self.steps >= 1 and self.batch >= 1, "steps and batch must be at least 1")
        require(self.draws >= 2, "draws must be at least 2: a spread needs two")
        require(self.core * self.scale >= 16, "core * scale must be at least 16 output px")
        require(self.seed >= 0, "seed must not be negative")
        require(self.learning_rate > 0, "learning_rate must be above 0")
        require(self.target_fwhm >= 0, "target_fwhm must not be negative")
        require(
            self.target_fwhm > 0 or not self.degradation.bright_star_share,
            "bright_star_share needs a target_fwhm above 0, the width of a star",
        )
        require(0 <= self.binned_share < 1, "binned_share must be below 1")
        require(0 <= self.held_out < 1, "held_out must be below 1")
        micrographs = self.domain == "fluorescence"
        require(micrographs or not self.pairs, "pairs are possible with fluorescence only")
        given = sum(source.share for source in self.sources)
        require(self.scenes is None or given < 1, "beside scenes the shares must be below 1 in sum")

    def _check_texture(self) -> None:
        if self.architecture != "texture":
            require(self.sampler is None, "sampler is for `architecture: texture` only")
            return
        require(self.sampler is not None, "a texture model needs the name of its sampler")
        require(self.scale > 1, "at scale 1 there is no texture to add: use scale 2 or 4")
        require(self.domain == "night-sky" or not self.texture.lit, "lit is for the night sky only")
        require(
            self.core * self.scale >= LEAST or not self.texture.adversarial,
            f"a critic needs core * scale of {LEAST} output px and more",
        )

    def as_plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> Recipe:
        """Inverse of `as_plain`, through JSON or not.

        Examples
        --------
        >>> r = Recipe("a", "fluorescence", 2, 2.0, Degradation((1, 2), {"airy": 1.0}))
        >>> Recipe.of_plain(r.as_plain()) == r
        True
        """
        parts: dict[str, type[Any]] = {
            "network": Network,
            "degradation": Degradation,
            "loss": LossWeights,
            "progressive": Progressive,
            "trust": Trust,
            "texture": Texture,
        }
        values = dict(plain) | {
            key: kind(**_tuples(plain.get(key, {}))) for key, kind in parts.items()
        }
        values["sources"] = tuple(Source(**s) for s in plain.get("sources", ()))
        values["pairs"] = tuple(Pair(**p) for p in plain.get("pairs", ()))
        values["scenes"] = Scenes(**plain["scenes"]) if plain.get("scenes") else None
        return cls(**values)


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def differing(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Keys in which two plain recipes differ, at any level.

    Examples
    --------
    >>> differing({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4, "d": 3}})
    ['b.c']
    """
    keys = []
    for key in [*one, *(k for k in other if k not in one)]:
        a, b = one.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            keys += differing(a, b, f"{prefix}{key}.")
        elif a != b:
            keys.append(prefix + key)
    return keys
