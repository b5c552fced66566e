"""Facts about a generator, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from torch import Tensor

from sciup.image import Domain
from sciup.physics.projection import Trust

PLANES = ("image", "footprint", "log_noise", "psf_fwhm", "psf_e1", "psf_e2", "noise_correlation")
"""Input planes of every generator, in this order; see `sciup.physics.planes`."""


@dataclass(frozen=True, slots=True)
class GeneratorSpec:
    """What the engine must know about a generator.

    Attributes
    ----------
    name : str
        Name of the model folder.
    architecture : str
        Key in the registry.
    scale : int
        Output pixels per input pixel along each axis.
    margin : int
        Input pixels that the network loses on each side (valid convolutions).
    fine_noise : int
        Independent noise channels per input pixel and sample.
    domain : {"night-sky", "fluorescence"}
        Which working units and stretch it was trained on.
    target_fwhm : float
        FWHM in output pixels of the declared output PSF; 0 for the training grid's own resolution.
    trust : Trust
        How far the data overrule its pre-draws.
    stochastic : bool
        Whether it draws (True) or gives one image (False).
    """

    name: str
    architecture: str
    scale: int
    margin: int
    fine_noise: int
    domain: Domain
    target_fwhm: float
    trust: Trust = field(default_factory=Trust)
    stochastic: bool = True


class Steps(NamedTuple):
    """What a progressive sampler says on its way to the fine grid, float32."""

    two: Tensor  # (B, 1, 2 n, 2 n) mean after the first step, network units
    four: Tensor  # (B, 1, 4 n, 4 n) mean after the second
    keypoints: Tensor  # (B, kinds, s n, s n) logits of the expected heatmaps


class Features(NamedTuple):
    """What `encode` hands to `draw`: all that does not depend on the noise."""

    mean: Tensor  # (B, 1, s n, s n) network units, float32
    shared: Tensor  # (B, C, m, m) features on the input grid
    steps: Steps | None = None  # of a progressive sampler


class Generator(Protocol):
    """A network that draws sharp images of a window.

    Windows are (B, planes, n + 2 margin, n + 2 margin); draws are (B, 1, s n, s n).
    """

    spec: GeneratorSpec

    def encode(self, planes: Tensor) -> Features:
        """Once per window."""

    def draw(self, features: Features, noise: Tensor) -> Tensor:
        """Once per sample; float32, network units."""
