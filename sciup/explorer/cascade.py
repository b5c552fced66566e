"""Factors of 8 and more: the samplers one after the other, each on the image of the one before.

The search is done at the first stage. What it finds is taken as an exact image whose PSF is the
declared one, and drawn sharper, stage by stage, each draw projected onto the image before. Samplers
were trained on PSFs of this width, but on nothing as sharp as their own world seen so close: what
they add beyond the first stage is invented.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result, choose_model, upscale
from sciup.errors import OptionError
from sciup.evaluate.draws import predict
from sciup.explorer.answers import Values
from sciup.generators.registry import ModelFacts, read_recipe
from sciup.image import Image
from sciup.io._array import open_array
from sciup.physics.instrument import Instrument
from sciup.resources import WEIGHTS, model_folders

FACTORS = (1, 2, 4, 8, 16, 32, 64)

ELECTRONS = 2000.0
"""Peak electrons with which an intermediate micrograph is shown to the sampler: the cleanest that
training had."""

QUIET = 0.5
"""Noise of an intermediate sky image, as a share of what the input's noise is in its pixels."""


@dataclass(frozen=True)
class Cascade:
    """The samplers for one factor, the first of them for the search."""

    stages: tuple[ModelFacts, ...]

    @property
    def factor(self) -> int:
        """Output pixels per input pixel."""
        return int(np.prod([stage.scale for stage in self.stages]))

    @property
    def words(self) -> str:
        """Names and scales, in order."""
        return ", ".join(f"{s.name} ({s.scale}x)" for s in self.stages)

    @property
    def risk(self) -> str:
        """What the factor means for trust; empty for one stage."""
        if len(self.stages) == 1:
            return ""
        return (
            f"{self.factor}x: {self.factor**2} output pixels for every measured one. Only the first"
            f" stage ({self.stages[0].scale}x) was searched and judged against the data; what is"
            " finer is invented by the samplers from their own images, on which they were not"
            " trained, and no risk map covers it. Nearly everything that looks sharp is invented."
        )

    @classmethod
    def choose(cls, image: Image, model: Any, scale: int | None) -> Cascade:
        """The stages for a factor: as few as possible, the largest first.

        Raises
        ------
        OptionError
            If the factor cannot be made of the models that there are.
        """
        if scale is None or scale <= 4:
            return cls((choose_model(image, model, scale),))
        if scale not in FACTORS:
            raise OptionError(f"--scale {scale}", ", ".join(map(str, FACTORS)))
        first = choose_model(image, model, None) if model is not None else None
        stages = [first] if first is not None else []
        rest = scale // (first.scale if first is not None else 1)
        have = _available(image.domain)
        for step in sorted(have, reverse=True):
            while rest % step == 0:
                stages.append(have[step])
                rest //= step
        if rest != 1 or int(np.prod([s.scale for s in stages])) != scale:
            raise OptionError(
                f"--scale {scale} cannot be made of the models for {image.domain}",
                "products of " + (", ".join(f"{s}x" for s in sorted(have)) or "no model"),
            )
        return cls(tuple(stages))


def _available(domain: str) -> dict[int, ModelFacts]:
    """The first model by name of every scale above 1 that has weights."""
    out: dict[int, ModelFacts] = {}
    named = sorted((str(read_recipe(f)["name"]), f) for f in model_folders())
    for _, folder in named:
        recipe = read_recipe(folder)
        scale = int(recipe["scale"])
        fits = recipe["domain"] == domain and recipe.get("architecture", "posterior") == "posterior"
        if fits and scale > 1 and scale not in out and (folder / WEIGHTS).is_file():
            out[scale] = ModelFacts.read(folder)
    return out


@dataclass(frozen=True)
class Sharpened:
    """An image behind all stages.

    Attributes
    ----------
    image : ndarray (s h, s w), float32
        Output units.
    backward : ndarray (h', w'), float32
        What the last stages' instruments make of it again, on the grid of the first stage.
    """

    image: Values
    backward: Values


def sharpen(
    values: Values,
    cascade: Cascade,
    instrument: Instrument,
    *,
    flux_per_pixel: bool,
    seed: int,
    device: str,
) -> Sharpened:
    """Draw an answer of the first stage through all later ones.

    Parameters
    ----------
    values : ndarray (h', w'), float32
        The answer, output units of the first stage.
    cascade : Cascade
    instrument : Instrument
        Of the input.
    flux_per_pixel : bool
        Whether values are fluxes per pixel.
    seed : int
    device : {"cpu", "cuda"}
    """
    scale = cascade.stages[0].scale
    runs: list[Result] = []
    fwhm = cascade.stages[0].target_fwhm
    for stage in cascade.stages[1:]:
        run = _stage(values, stage, fwhm, instrument, scale, flux_per_pixel, seed, device)
        values = np.asarray(run.sample(0).compute(), np.float32)
        runs.append(run)
        scale *= stage.scale
        fwhm = stage.target_fwhm
    back: NDArray[Any] = values.astype(float)
    for run in reversed(runs):
        back = predict(run, back)
    return Sharpened(values, back.astype(np.float32))


def sharpen_all(draws: NDArray[np.float64], cascade: Cascade, first: Result) -> NDArray[np.float64]:
    """Draws (P, h', w') of the first stage through all later ones: (P, s h', s w').

    Parameters
    ----------
    draws : ndarray (P, h', w')
        Of `first`, output units.
    cascade : Cascade
    first : Result
        The run of the first stage; draw k is sharpened with its seed + k.
    """
    job = first.job
    return np.stack(
        [
            sharpen(
                draw.astype(np.float32), cascade, first.instrument,
                flux_per_pixel=job.image.flux_per_pixel, seed=job.settings.seed + k,
                device=job.device,
            ).image.astype(float)
            for k, draw in enumerate(draws)
        ]
    )  # fmt: skip


def _stage(
    values: Values,
    stage: ModelFacts,
    fwhm: float,
    instrument: Instrument,
    scale: int,
    flux_per_pixel: bool,
    seed: int,
    device: str,
) -> Result:
    """One lazy stage on the image of the one before."""
    flux = scale**2 if flux_per_pixel else 1
    domain: Any = stage.domain
    facts: dict[str, Any] = {"background": float(instrument.background.value) / flux}
    if domain == "night-sky":
        noise = float(instrument.noise_sigma.value) / flux * QUIET
        facts |= {"noise_sigma": noise, "gain": 50.0 / noise}
    else:
        bright = float(np.nanpercentile(values, 99.9)) - facts["background"]
        facts |= {"gain": ELECTRONS / max(bright, 1e-12), "read_noise": 1.0}
    image = open_array(values, flux_per_pixel=flux_per_pixel, domain=domain)
    with _silent():
        return upscale(
            image,
            model=stage.folder,
            samples=1,
            maps=("sample",),
            psf_fwhm=fwhm or 2.0,
            noise_free=True,
            seed=seed,
            device=device,
            **facts,
        )


@contextmanager
def _silent() -> Iterator[None]:
    """Stars of a drawn image need not agree with its declared PSF; nobody can mend that."""
    log = logging.getLogger("sciup.engine.make")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


__all__ = ["FACTORS", "Cascade", "Sharpened", "sharpen", "sharpen_all"]
