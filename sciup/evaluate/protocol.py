"""The reference protocol for micrographs: the same degraded images and scores for every method.

High-resolution images are scaled to 0 at their 1st and 1 at their 99.9th percentile, blurred with a
Gaussian, averaged over blocks, brought to electrons, and given Poisson and read noise. Scores are
taken in Anscombe units scaled to 0 at the background and 1 at the peak, away from the rim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sciup.errors import InputError
from sciup.evaluate import metrics
from sciup.evaluate.baselines import bicubic
from sciup.physics.psf import SIGMA_TO_FWHM

Array = NDArray[np.float64]

BLOCKS = (1, 4, 16)
LARGEST = 512
BACKGROUND = 0.05
READ_NOISE = 1.0
RIM = 16
TOLERANCE = 0.05


def _anscombe(electrons: Array) -> Array:
    """Generalised Anscombe transform of gain 1 (Starck, Murtagh & Bijaoui 1998, eq. 2.19)."""
    return np.asarray(2 * np.sqrt(np.maximum(electrons + 0.375 + READ_NOISE**2, 0)))


@dataclass(frozen=True, slots=True)
class Condition:
    """Blur and light of a row of cases.

    Attributes
    ----------
    sigma : float
        Gaussian blur in fine pixels, relative to the truth.
    peak : float
        Electrons per input pixel at truth level 1, above background.
    scale : int
        Fine pixels per input pixel.
    """

    sigma: float
    peak: float
    scale: int = 4

    @property
    def background(self) -> float:
        """Electrons per input pixel at truth level 0."""
        return BACKGROUND * self.peak

    @property
    def fwhm(self) -> float:
        """FWHM of the blur in input pixels."""
        return SIGMA_TO_FWHM * self.sigma / self.scale

    def forward(self, electrons: Array) -> Array:
        """Electrons to the units of the scores: 0 at the background, 1 at the peak above it.

        A plain generalised Anscombe transform, constant where its root has no value: the stretch
        that the samplers use goes on as a tangent there.
        """
        low, high = _anscombe(np.array([self.background, self.peak + self.background]))
        return np.asarray((_anscombe(electrons) - low) / (high - low))

    def inverse(self, u: Array) -> Array:
        """Units of the scores to electrons."""
        low, high = _anscombe(np.array([self.background, self.peak + self.background]))
        return np.asarray(((u * (high - low) + low) / 2) ** 2 - 0.375 - READ_NOISE**2)

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read ``SIGMA:PEAK``.

        Examples
        --------
        >>> Condition.parse("2:200").fwhm.__round__(3)
        1.177
        """
        sigma, peak = (float(part) for part in text.split(":"))
        return cls(sigma, peak)

    def __str__(self) -> str:
        return f"sigma {self.sigma:g} px, peak {self.peak:g} e-"


@dataclass(frozen=True, slots=True)
class Case:
    """One degraded image; `observed` (h, w) and `truth` (s h, s w) in electrons per input pixel."""

    dataset: str
    name: str
    condition: Condition
    observed: NDArray[np.float32]
    truth: Array


def listed(folder: Path, split: str, every: int) -> list[tuple[str, str]]:
    """Data set and name of the images of a split, in a fixed order.

    Single noisy frames are left out: they are no truth.
    """
    manifest = folder / "MANIFEST.tsv"
    if not manifest.is_file():
        raise InputError(f"there is no {manifest}", "a data folder with MANIFEST.tsv")
    lines = sorted(line.split("\t") for line in manifest.read_text().splitlines()[1:])
    kept = [
        (line[1], line[2])
        for line in lines
        if line[0] == split
        and line[1] != "w2s_single_frame"
        and (line[1] != "fmd_bpae_b" or line[2].endswith("mean50"))
    ]
    return kept[::every]


def degrade(image: Array, condition: Condition, seed: list[int]) -> tuple[Array, Array] | None:
    """Observed and true electrons of an image; None where it is empty or too small."""
    low, high = np.percentile(image, [1, 99.9])
    s = condition.scale
    if high <= low or min(image.shape) < 32 * s:
        return None
    h, w = (min(LARGEST, n) // (4 * s) * (4 * s) for n in image.shape)
    level = np.clip((image[:h, :w] - low) / (high - low), 0, 3)
    blurred = gaussian_filter(level, condition.sigma, mode="reflect", truncate=4)
    light = metrics.block_mean(blurred, s) * condition.peak + condition.background
    rng = np.random.default_rng(seed)
    observed = rng.poisson(light) + READ_NOISE * rng.standard_normal(light.shape)
    return observed, level * condition.peak + condition.background


def cases(
    folder: Path, condition: Condition, *, split: str = "test", every: int = 1
) -> Iterator[Case]:
    """The cases of one condition with fixed noise.

    Parameters
    ----------
    folder : Path
        Has ``MANIFEST.tsv`` and ``SPLIT/DATASET/NAME.tif``.
    condition : Condition
    split : str
        Split of the manifest.
    every : int
        Take every n-th image; each choice has noise of its own.
    """
    import tifffile

    fixed = [condition.scale, int(10 * condition.sigma), int(condition.peak)]
    for i, (dataset, name) in enumerate(listed(folder, split, every)):
        image = tifffile.imread(folder / split / dataset / f"{name}.tif").astype(np.float64)
        pair = degrade(image, condition, [i, *fixed])
        if pair is not None:
            yield Case(dataset, name, condition, pair[0].astype(np.float32), pair[1])


def reference(case: Case) -> Array:
    """Bicubic interpolation in stretched units, to which gains refer."""
    return bicubic(case.condition.forward(case.observed.astype(float)), case.condition.scale)


def scores(draws: Array, case: Case, *, stretched: bool = False) -> dict[str, float]:
    """Scores of draws (P, s h, s w) in electrons, or in stretched units; one draw is a plain image.

    Returns
    -------
    dict
        ``gain_mean``, ``gain_draw``: dB of the mean and of draw 0 over bicubic; ``crps``;
        ``skillB``, ``coverB``: spread/skill and range coverage of means over B x B pixels;
        ``ece`` of the raw vote of draw 0 at a tolerance of 0.05; ``ssim`` and ``nrmse`` of the
        mean, ``ssim_draw``; ``frc``: pixels at which draw 0 and truth cease to correlate;
        ``flux``: total of the mean over that of the truth, above background.
    """
    forward = case.condition.forward
    inner = np.s_[..., RIM:-RIM, RIM:-RIM]
    d = np.ascontiguousarray((draws if stretched else forward(draws.astype(float)))[inner])
    t, b = (np.ascontiguousarray(v[inner]) for v in (forward(case.truth), reference(case)))
    mean = d.mean(0)

    def gain(x: Array) -> float:
        return 10 * float(np.log10(metrics.mse(b, t) / metrics.mse(x, t)))

    out = {"gain_mean": gain(mean), "gain_draw": gain(d[0]), "crps": metrics.crps(d, t)}
    functions: dict[str, Callable[[Array, Array, int], float]] = {
        "skill": metrics.spread_skill,
        "cover": metrics.range_coverage,
    }
    for block in BLOCKS:
        out |= {f"{name}{block}": function(d, t, block) for name, function in functions.items()}
    out["ece"] = metrics.vote_error(d, t, TOLERANCE)
    out |= {"ssim": metrics.ssim(mean, t), "ssim_draw": metrics.ssim(d[0], t)}
    out["nrmse"] = metrics.nrmse_affine(mean, t)
    out["frc"] = metrics.frc_resolution(*metrics.frc(d[0], t))
    electrons = case.condition.inverse(draws) if stretched else draws
    out["flux"] = metrics.flux_ratio(
        electrons.mean(0)[inner], case.truth[inner], case.condition.background
    )
    return out
