"""Parts of a recipe: network, sources, degradation, terms of the loss; see `sciup.train.recipe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

Range = tuple[float, float]

WAVE = 8
"""Side of the windows of local Fourier coefficients, output px."""


def require(condition: bool, message: str) -> None:
    """Checked wherever a recipe comes from; for files it becomes an error for people."""
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class Network:
    """Size of the posterior sampler, and the floor of its pre-draws; see `PosteriorSampler`."""

    channels: int = 64
    blocks: int = 8
    head_channels: int = 32
    head_blocks: int = 2
    activation: Literal["relu", "silu"] = "relu"
    floor: float | None = None

    def __post_init__(self) -> None:
        sizes = (self.channels, self.blocks, self.head_channels, self.head_blocks)
        require(min(sizes) >= 1, "every size of the network must be at least 1")
        require(self.floor is None or isfinite(self.floor), "floor must be a finite number")


@dataclass(frozen=True)
class Source:
    """Images to train on, and the share of crops that they give.

    Attributes
    ----------
    share : float
        Relative to the shares of the other sources.
    dataset : str
        A data set of a folder with ``MANIFEST.tsv``.
    path : str
        Or own files: a folder, a file or a glob below the folder of ``--data``: TIFF, OME-TIFF,
        OME-Zarr, FITS.
    channel : int or str, optional
        Use this channel only: its index or its name; default: every plane.
    unit : {"file", "folder"}
        What is independent, and so is held out as a whole.
    """

    share: float
    dataset: str = ""
    path: str = ""
    channel: int | str | None = None
    unit: Literal["file", "folder"] = "file"

    def __post_init__(self) -> None:
        require(self.share > 0, "share must be above 0")
        require(bool(self.dataset) != bool(self.path), "give either dataset or path")

    @property
    def name(self) -> str:
        """For messages."""
        return self.dataset or self.path


@dataclass(frozen=True)
class Pair:
    """Low and high images that a user measured; fluorescence only.

    Attributes
    ----------
    low, high : str
        Folders or globs below the folder of ``--data``; partners have the same place when sorted.
    share : float
        Relative to the shares of the sources.
    channel : int or str, optional
        Use this channel: its index or its name.
    """

    low: str
    high: str
    share: float = 1.0
    channel: int | str | None = None

    def __post_init__(self) -> None:
        require(self.share > 0, "share must be above 0")


@dataclass(frozen=True)
class Scenes:
    """Simulated night-sky scenes, rendered once into the run folder."""

    count: int = 300
    side: int = 384


@dataclass(frozen=True)
class Degradation:
    """Ranges from which the instrument of every crop is drawn.

    Attributes
    ----------
    psf_fwhm : (float, float)
        FWHM in input px: of the relative kernel; night sky: of the whole PSF.
    shapes : mapping
        Share of each shape of the kernel: gaussian, moffat, airy.
    ellipticity : float
        Largest one, by second moments.
    peak_electrons, background, read_noise : (float, float)
        Fluorescence: electrons of the brightest structure; dark level relative to it; electrons.
    depth, electrons_per_sigma : (float, float)
        Night sky: factor on source fluxes; electrons per sigma of the sky.
    bright_star_share : float
        Night sky: share of crops with one more star of S/N 100 and above.
    correlated_share, haze_share, masked_share : float
        Share of crops with correlated noise, with light of another crop out of focus, with masks.
    multiplied_share, quantised_share : float
        Fluorescence: share of crops with the noise of an EMCCD; with steps up to the noise.
    guessed_psf_share : float
        Share of kernels of which the sampler is told what a user would guess.
    """

    psf_fwhm: Range
    shapes: Mapping[Literal["gaussian", "moffat", "airy"], float]
    ellipticity: float = 0.1
    peak_electrons: Range = (10, 2000)
    background: Range = (0.01, 0.1)
    read_noise: Range = (0.5, 3)
    depth: Range = (0.5, 4)
    electrons_per_sigma: Range = (3, 300)
    bright_star_share: float = 0.0
    correlated_share: float = 0.3
    haze_share: float = 0.0
    multiplied_share: float = 0.0
    quantised_share: float = 0.0
    guessed_psf_share: float = 0.0
    masked_share: float = 0.2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, tuple):
                require(0 < value[0] <= value[1], f"{name} must be [low, high], 0 < low <= high")
            elif name.endswith("share") or name == "ellipticity":
                require(0 <= value <= 1, f"{name} must lie between 0 and 1")
        shares = self.shapes.values()
        require(sum(shares) > 0 and min(shares) >= 0, "shapes need a share above 0")


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of the loss; see `sciup.train.losses` and `sciup.train.imprint`.

    `octaves` is the number of scales of `waves`, windows of 8, 16, 32 ... output px; a few input
    pixels should fit into the largest. With `mean` alone a recipe trains the twin that
    ``sciup evaluate --twin`` compares with.
    """

    crps: float = 1.0
    waves: float = 0.0
    octaves: int = 1
    block_means: float = 0.5
    linear: float = 0.2
    energy: float = 0.2
    mean: float = 1.0
    imprint: float = 0.0

    def __post_init__(self) -> None:
        require(1 <= self.octaves <= 4, "loss: octaves must lie between 1 and 4")


@dataclass(frozen=True)
class Progressive:
    """Terms of a progressive sampler; see `sciup.train.progressive`.

    Attributes
    ----------
    steps : float
        Weight of the squared errors of the means at 2x and 4x.
    heatmaps : float
        Weight of the cross entropy of the heatmaps of keypoints; 0: no keypoints are learned.
    attention : float
        How much more an error counts where the sampler expects keypoints.
    fade : float
        Share of the training in which the second and then the third step fade in.
    """

    steps: float = 0.5
    heatmaps: float = 0.5
    attention: float = 4.0
    fade: float = 0.1

    def __post_init__(self) -> None:
        require(min(vars(self).values()) >= 0, "progressive: no weight may be negative")
        require(self.fade <= 1, "progressive: fade must be 1 or below")
        require(
            self.heatmaps > 0 or not self.attention,
            "progressive: attention follows the heatmaps, which need a weight above 0",
        )


@dataclass(frozen=True)
class Texture:
    """A texture head and how it is trained; see `sciup.train.texture`.

    The terms have shares: how large their gradient in the image is at the start, in units of that
    of the squared error of pixels.

    Attributes
    ----------
    channels, blocks, fine : int
        Width and depth on the input grid, width on the fine grid.
    noise : bool
        Whether the head gets the noise field of a draw.
    lit : bool
        Night sky: whether it adds, and is judged, only where light was measured.
    pixels, means : float
        Shares of the squared error of pixels, and of means over 2 and 4 px.
    texture, statistics, adversarial : float
        Shares of Gram matrices, of local spectra, and of a critic.
    imprint : float
        Plain weight of what stands out at the frequencies of the upsampling grid.
    r1 : float
        Weight of the penalty of the critic's slope.
    warm : int
        Steps in which the critic learns alone.
    pool : int
        Number of different batches, which come back in turn; 0: all are new. What the frozen
        sampler makes of a batch that comes back is not computed again.
    """

    channels: int = 48
    blocks: int = 2
    fine: int = 16
    noise: bool = False
    lit: bool = False
    pixels: float = 1.0
    means: float = 0.0
    texture: float = 0.0
    statistics: float = 0.0
    adversarial: float = 0.0
    imprint: float = 0.0
    r1: float = 0.05
    warm: int = 40
    pool: int = 0

    def __post_init__(self) -> None:
        sizes = (self.channels, self.blocks, self.fine)
        require(min(sizes) >= 1, "every size of the texture head must be at least 1")
        plain = (self.pixels, self.means, self.imprint)
        shares = (*plain, self.texture, self.statistics, self.adversarial)
        require(
            min(shares) >= 0 and sum(shares) > 0, "texture: shares must be 0 or above, not all 0"
        )
        require(min(self.r1, self.warm, self.pool) >= 0, "r1, warm and pool must not be negative")
