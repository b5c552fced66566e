"""What is always there to compare: interpolation, classical deconvolution, the model's draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciup.compare.place import folder_of
from sciup.compare.seen import Seen
from sciup.evaluate.draws import draw_samples
from sciup.evaluate.fluorescence.protocol import Case
from sciup.evaluate.fluorescence.tuning import GRIDS, after_denoising, reconstruct, tuned
from sciup.physics.psf import SIGMA_TO_FWHM

Array = NDArray[np.float64]
Settings = dict[str, float]

PLAIN = ("bicubic", "Lanczos")
"""What everybody has; the others are shown at their best."""

OURS = ("mean", "sample")
METHODS = (*GRIDS, *OURS)
"""All methods, in the order in which they are shown."""


INTERPOLATION, DECONVOLUTION = "interpolation", "deconvolution"
MEAN, SAMPLE = "mean of draws", "one draw"


@dataclass(frozen=True)
class Entry:
    """What one method made of a region.

    Attributes
    ----------
    method : str
    values : ndarray (s h, s w)
        Output units, NaN where masked.
    seconds : float
        Wall time, the network and its files included.
    settings : str
        For people.
    kind : str
        What such a picture is, in a few words.
    moved_sigma : float, optional
        How far the noise of a draw was moved for it, in standard deviations of the noise.
    """

    method: str
    values: Array
    seconds: float
    settings: str = ""
    kind: str = ""
    moved_sigma: float | None = None

    @property
    def folder(self) -> str:
        """Where its pictures are."""
        return folder_of(self.method)


def classical(seen: Seen, name: str) -> Entry:
    """A classical method with the settings that were best on training micrographs."""
    light, began = seen.light, time.perf_counter()
    settings = _settings(seen, name)
    case = Case(
        "", "", "", "", seen.scale, seen.filled.astype(np.float32), np.zeros((1, 1)), light,
        seen.fwhm,
    )  # fmt: skip
    fine = light.inverse(reconstruct(case, name, settings)) / seen.share
    words = ", ".join(f"{key} {value:g}" for key, value in settings.items())
    kind = INTERPOLATION if name in PLAIN else DECONVOLUTION
    return Entry(name, seen.masked(fine), time.perf_counter() - began, words, kind)


def _settings(seen: Seen, name: str) -> Settings:
    """Those tuned for the nearest blur and light, after denoising where that was better."""
    found = tuned(seen.scale, seen.fwhm * seen.scale / SIGMA_TO_FWHM, seen.light.peak)
    best = name if name in PLAIN else after_denoising(name)
    return found.get(best, found[name])


def ours(seen: Seen, names: Sequence[str]) -> list[Entry]:
    """Mean and sample 0 of the sampler, from one run."""
    if not names:
        return []
    began = time.perf_counter()
    drawn = draw_samples(seen.result, 1)
    seconds = time.perf_counter() - began
    job = seen.result.job
    words = f"{job.model.name}, {job.settings.samples + 1} draws"
    if error := seen.result.instrument.psf_error.value:
        words += f", width of the PSF known to {100 * float(error):g} %"
    made: dict[str, Callable[[], Array]] = {
        "mean": lambda: drawn.mean,
        "sample": lambda: drawn.samples[0],
    }
    kinds = {"mean": MEAN, "sample": SAMPLE}
    return [Entry(name, made[name](), seconds, words, kinds[name]) for name in names]
