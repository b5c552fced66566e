"""Truths that can be observed again and otherwise: with structures, defects, false statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sciup.api import Result, upscale
from sciup.calibrate.fields import SCENES, Source
from sciup.evaluate.fluorescence.protocol import READ_NOISE, Case, Condition
from sciup.evaluate.metrics import block_mean
from sciup.evaluate.sky.fields import ELECTRONS, Field, observe_light
from sciup.generators.registry import ModelFacts
from sciup.io._array import open_array

Array = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(frozen=True)
class Scene:
    """A truth and the instrument that looks at it.

    Attributes
    ----------
    name : str
    truth : ndarray (s h, s w)
        In output units.
    light : callable
        From a truth to the expected values of the input.
    read_noise : float
        One sigma where there is no light, input units.
    gain : float
        Electrons per input unit.
    fwhm : float
        Total PSF, input px.
    sky : bool
        Whether values are fluxes per pixel.
    scale : int
    target_fwhm : float
        Of the truth, output px.
    """

    name: str
    truth: Array
    light: Callable[[Array], Array]
    read_noise: float
    gain: float
    fwhm: float
    sky: bool
    scale: int
    target_fwhm: float

    def sigma(self, light: Array) -> Array:
        """Noise of the input."""
        return np.sqrt(self.read_noise**2 + np.maximum(light, 0) / self.gain)

    def observe(self, truth: Array, rng: Rng) -> Array:
        """A measurement of a truth on the same grid."""
        light = self.light(truth)
        electrons = rng.poisson(np.maximum(light, 0) * self.gain)
        return np.asarray(
            electrons / self.gain + self.read_noise * rng.standard_normal(light.shape)
        )

    def upscale(self, source: Source, observed: Array, facts: dict[str, Any]) -> Result:
        """A run on a measurement that is told `facts`."""
        image = open_array(
            observed.astype(np.float32),
            flux_per_pixel=self.sky,
            domain="night-sky" if self.sky else "fluorescence",
        )
        return upscale(
            image,
            model=source.model.folder,
            samples=source.samples,
            precision=source.precision,
            seed=source.seed,
            **facts,
        )


def scenes(
    source: Source, split: str, skipped: Callable[[str], None] = lambda _: None
) -> Iterator[Scene]:
    """Every field of a split in the condition that its name decides, not observed yet."""
    if source.model.domain == "night-sky":
        from sciup.evaluate.sky.fields import fields

        pack = source.scenes if split != "train" else None
        for field in fields(
            source.model, source.data, pack, count=SCENES, every=source.every, role=split
        ):
            yield of_field(field, source.model)
        return
    for condition in source.conditions:
        chosen = Condition.parse(condition, source.model.scale)
        for case in source.cases(condition, split, skipped):
            yield of_case(case, chosen, source.model.target_fwhm)


def of_case(case: Case, condition: Condition, target: float) -> Scene:
    """A micrograph; its units are electrons."""

    def light(truth: Array) -> Array:
        blurred = gaussian_filter(truth, condition.sigma, mode="reflect", truncate=4)
        return np.asarray(block_mean(blurred, case.scale))

    total = float(np.hypot(case.fwhm, target / case.scale))
    name = f"{case.dataset}/{case.name}"
    return Scene(name, case.truth, light, READ_NOISE, 1.0, total, False, case.scale, target)


def of_field(field: Field, model: ModelFacts) -> Scene:
    """A field of the night sky; its unit is the noise of the sky."""

    def light(truth: Array) -> Array:
        return observe_light(truth, field.kernel, scale)

    scale, target = model.scale, model.target_fwhm
    return Scene(field.name, field.truth, light, 1.0, ELECTRONS, field.fwhm, True, scale, target)
