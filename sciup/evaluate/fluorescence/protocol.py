"""The reference protocol for micrographs: the same degraded images for every method.

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

from sciup.errors import InputError, OptionError
from sciup.evaluate.baselines import bicubic
from sciup.evaluate.fluorescence.data import Item, items, read
from sciup.evaluate.metrics import block_mean
from sciup.physics.psf import SIGMA_TO_FWHM
from sciup.train.data import robust_noise

Array = NDArray[np.float64]
Skip = Callable[[Item, str], None]

LARGEST = 512
SMALLEST = 64
BACKGROUND = 0.05
READ_NOISE = 1.0
RIM = 16
"""Fine px along the edges that scores leave out."""
DEFAULTS = {
    8: ("4:200", "8:50"),
    4: ("2:200", "4:50", "4:200"),
    2: ("1:200", "2:50"),
    1: ("1:200", "2:50"),
}
"""Conditions SIGMA:PEAK by scale."""


@dataclass(frozen=True, slots=True)
class Light:
    """From the units of an image to those of the scores.

    Attributes
    ----------
    background, peak : float
        Electrons at score 0, and from there to score 1.
    gain, pedestal : float
        Electrons are ``(value - pedestal) * gain``.
    read_noise : float
        Electrons.
    """

    background: float
    peak: float
    gain: float = 1.0
    pedestal: float = 0.0
    read_noise: float = READ_NOISE

    def anscombe(self, electrons: Array) -> Array:
        """Generalised Anscombe transform, noise 1 (Starck, Murtagh & Bijaoui 1998, eq. 2.19)."""
        return np.asarray(2 * np.sqrt(np.maximum(electrons + 0.375 + self.read_noise**2, 0)))

    def electrons(self, values: Array) -> Array:
        """Values of the image to electrons."""
        return np.asarray((values - self.pedestal) * self.gain)

    def values(self, electrons: Array) -> Array:
        """Electrons to values of the image."""
        return np.asarray(electrons / self.gain + self.pedestal)

    @property
    def _ends(self) -> tuple[float, float]:
        low, high = self.anscombe(np.array([self.background, self.peak + self.background]))
        return float(low), float(high)

    def forward(self, values: Array) -> Array:
        """Values to scores' units: 0 at the background, 1 at the peak above it.

        Constant where the root has no value: the samplers' stretch goes on as a tangent there.
        """
        low, high = self._ends
        return np.asarray((self.anscombe(self.electrons(values)) - low) / (high - low))

    def inverse(self, u: Array) -> Array:
        """Scores' units to values."""
        low, high = self._ends
        root = (u * (high - low) + low) / 2
        return self.values(root**2 - 0.375 - self.read_noise**2)


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
    def light(self) -> Light:
        """Background is a twentieth of the peak."""
        return Light(BACKGROUND * self.peak, self.peak)

    @property
    def fwhm(self) -> float:
        """FWHM of the blur in input pixels."""
        return SIGMA_TO_FWHM * self.sigma / self.scale

    @classmethod
    def parse(cls, text: str, scale: int = 4) -> Condition:
        """Read ``SIGMA:PEAK``.

        Examples
        --------
        >>> Condition.parse("2:200").fwhm.__round__(3)
        1.177
        """
        try:
            sigma, peak = (float(part) for part in text.split(":"))
        except ValueError:
            sigma = peak = -1.0
        if not (0 <= sigma <= 32 and 0 < peak < 1e6):
            raise OptionError(
                f"--condition {text!r} cannot be used",
                "SIGMA:PEAK, 0 to 32 fine px and up to 1e6 electrons",
                "for example --condition 2:200",
            )
        return cls(sigma, peak, scale)

    @property
    def key(self) -> str:
        """As it is written on the command line."""
        return f"{self.sigma:g}:{self.peak:g}"

    def __str__(self) -> str:
        return f"sigma {self.sigma:g} px, peak {self.peak:g} e-"


@dataclass(frozen=True, slots=True)
class Case:
    """One image to upscale, with its truth, both in the same units.

    Attributes
    ----------
    label : str
        The condition, or what kind of real noise it is.
    dataset, unit, name : str
        Where it comes from; images of one unit are not independent.
    scale : int
        Fine pixels per input pixel.
    observed : ndarray (h, w), float32
    truth : ndarray (s h / b, s w / b)
        The intensity of the input is kept.
    light : Light
    fwhm : float
        Of the blur relative to the truth, input px.
    known : bool
        Whether gain and noise are known, and not to be found out by the program.
    matched : bool
        Whether an estimate is fitted to the truth by a line before it is compared.
    bins : int
        b: estimates are averaged over b x b fine px before they are compared.
    """

    label: str
    dataset: str
    unit: str
    name: str
    scale: int
    observed: NDArray[np.float32]
    truth: Array
    light: Light
    fwhm: float
    known: bool = True
    matched: bool = False
    bins: int = 1

    @property
    def noise(self) -> float:
        """One-sigma noise of the truth itself, in its units."""
        return robust_noise(self.truth)


def degrade(image: Array, condition: Condition, seed: list[int]) -> tuple[Array, Array]:
    """Observed and true electrons of an image.

    Raises
    ------
    InputError
        If it is empty or too small.
    """
    s = condition.scale
    least = max(32 * s, SMALLEST)
    if min(image.shape) < least:
        raise InputError(f"{image.shape[0]} x {image.shape[1]} px", f"{least} px and more")
    low, high = np.percentile(image, [1, 99.9])
    if high <= low:
        raise InputError("no contrast")
    h, w = (min(LARGEST, n) // (4 * s) * (4 * s) for n in image.shape)
    level = np.clip((image[:h, :w] - low) / (high - low), 0, 3)
    blurred = gaussian_filter(level, condition.sigma, mode="reflect", truncate=4)
    background = condition.light.background
    light = block_mean(blurred, s) * condition.peak + background
    rng = np.random.default_rng(seed)
    observed = rng.poisson(light) + READ_NOISE * rng.standard_normal(light.shape)
    return observed, level * condition.peak + background


def _ignore(item: Item, reason: str) -> None:
    """Skip without a word."""


def cases(
    folder: Path,
    condition: Condition,
    *,
    split: str = "test",
    every: int = 1,
    skip: Skip = _ignore,
) -> Iterator[Case]:
    """The cases of one condition with fixed noise.

    Parameters
    ----------
    folder : Path
        See `sciup.evaluate.fluorescence.data`.
    condition : Condition
    split : str
        Split of the manifest, if there is one.
    every : int
        Take every n-th image; each choice has noise of its own.
    skip : callable
        Gets every image that cannot be used, and why.
    """
    yield from degraded(items(folder, split, every), condition, skip)


def degraded(images: list[Item], condition: Condition, skip: Skip = _ignore) -> Iterator[Case]:
    """The cases of a list of images; the noise follows from the place in the list."""
    fixed = [condition.scale, int(10 * condition.sigma), int(condition.peak)]
    for i, item in enumerate(images):
        try:
            observed, truth = degrade(read(item), condition, [i, *fixed])
        except InputError as error:
            skip(item, str(error))
            continue
        yield Case(
            str(condition),
            item.dataset,
            item.unit,
            item.name,
            condition.scale,
            observed.astype(np.float32),
            truth,
            condition.light,
            condition.fwhm,
        )


def reference(case: Case) -> Array:
    """Bicubic interpolation in scores' units, to which gains refer."""
    return bicubic(case.light.forward(case.observed.astype(float)), case.scale)
