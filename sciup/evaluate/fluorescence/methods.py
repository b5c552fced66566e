"""What is compared: the model, its twin trained with squared errors, and the classical methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result, upscale
from sciup.evaluate import baselines
from sciup.evaluate.draws import (
    draw_mean_head,
    draw_samples,
    draw_texture,
    measurement,
    predict,
)
from sciup.evaluate.fluorescence.protocol import READ_NOISE, RIM, Case
from sciup.evaluate.fluorescence.scores import Estimate
from sciup.evaluate.fluorescence.spots import false_spots
from sciup.evaluate.fluorescence.tuning import after_denoising, reconstruct, tuned
from sciup.evaluate.metrics import chi2
from sciup.evaluate.spectra import imprint
from sciup.generators.registry import ModelFacts, TextureFacts

Array = NDArray[np.float64]
Kind = Literal["model", "twin", "rival", "texture", "baseline"]
Belief = Literal["known", "psf", "nothing"]
"""What a sampler is told: the instrument, only its PSF, or nothing."""

DRAWS = 17
SHARPEST = 0.31
"""FWHM [input px] below which no PSF can be stated: at 8x the bare block mean is sharper."""
RIM_CHI2 = 4
"""Input px along the edges that the residual leaves out."""


@dataclass(frozen=True)
class Options:
    """How the samplers run; see `sciup.upscale`."""

    draws: int = DRAWS
    seed: int = 0
    precision: str = "auto"
    device: str = "auto"


@dataclass(frozen=True)
class Method:
    """A way to an estimate, with further numbers that only it knows."""

    name: str
    kind: Kind
    run: Callable[[Case], tuple[Estimate, dict[str, float]]]
    belief: Belief | None = None  # of the model's own draws


def result(
    case: Case,
    model: ModelFacts,
    options: Options,
    belief: Belief,
    texture: bool | Path = False,
    truth_scale: int | None = None,
) -> Result:
    """The lazy result on a case; `truth_scale`: of the truth's grid, if it is not the model's."""
    # the blur of a case is relative to its truth; the engine wants the total
    total = float(np.hypot(case.fwhm, model.target_fwhm / (truth_scale or model.scale)))
    total = max(total, SHARPEST)
    facts: dict[str, Any] = {} if belief == "nothing" else {"psf_fwhm": total}
    if belief == "known":
        facts |= {"gain": 1.0, "read_noise": READ_NOISE, "background": 0.0}
    return upscale(
        case.observed,
        model=model.folder,
        samples=max(options.draws - 1, 1),
        precision=options.precision,
        device=options.device,
        seed=options.seed,
        texture=texture,
        **facts,
    )


def sampler(model: ModelFacts, options: Options, belief: Belief) -> Method:
    """The model's draws."""
    words = {"known": "instrument known", "psf": "PSF known", "nothing": "nothing known"}

    def run(case: Case) -> tuple[Estimate, dict[str, float]]:
        lazy = result(case, model, options, belief)
        drawn = draw_samples(lazy, options.draws)
        seen = measurement(lazy)
        rim = np.s_[RIM_CHI2:-RIM_CHI2, RIM_CHI2:-RIM_CHI2]
        residual = (seen.values - predict(lazy, drawn.mean))[rim]
        return Estimate.of(case, *drawn), {"chi2": chi2(residual, seen.sigma[rim])}

    return Method(f"{model.name}, {words[belief]}", "model", run, belief)


def twins(twin: ModelFacts, options: Options) -> list[Method]:
    """The mean head and the mean of draws of another model."""

    def head(case: Case) -> tuple[Estimate, dict[str, float]]:
        lazy = result(case, twin, options, "known" if case.known else "psf")
        return Estimate.of(case, draw_mean_head(lazy)[None]), {}

    def mean(case: Case) -> tuple[Estimate, dict[str, float]]:
        lazy = result(case, twin, options, "known" if case.known else "psf")
        return Estimate.of(case, draw_samples(lazy, options.draws).mean[None]), {}

    name = f"twin {twin.name}"
    return [
        Method(f"{name}, mean head", "twin", head),
        Method(f"{name}, mean", "twin", mean),
    ]


def texture(model: ModelFacts, options: Options, head: TextureFacts) -> Method:
    """The image of a texture model."""

    def run(case: Case) -> tuple[Estimate, dict[str, float]]:
        belief: Belief = "known" if case.known else "psf"
        lazy = result(case, model, replace(options, draws=2), belief, texture=head.folder)
        fine = draw_texture(lazy)
        estimate = Estimate.of(case, fine[None])
        inner = np.s_[RIM:-RIM, RIM:-RIM]
        found = imprint(estimate.stretched[0][inner], case.scale // case.bins)
        more = {"imprint_texture": float(np.mean(list(found.values())))} if found else {}
        if case.known:
            count, empty = false_spots(estimate.linear[0], case, model.target_fwhm)
            more |= {"false_spots": float(count), "empty_pixels": float(empty)}
        return estimate, more

    return Method(f"texture {head.name}", "texture", run)


def _nearest(case: Case) -> tuple[Estimate, dict[str, float]]:
    fine = baselines.nearest(case.light.forward(case.observed.astype(float)), case.scale)
    return Estimate.of_stretched(case, fine[None]), {}


def _classical(
    name: str, settings: Mapping[str, float], case: Case
) -> tuple[Estimate, dict[str, float]]:
    fine = reconstruct(case, name.removeprefix(after_denoising("")), settings)
    return Estimate.of_stretched(case, fine[None]), {}


def classical(case: Case) -> list[Method]:
    """Interpolations and deconvolutions with the settings for light and blur of a case."""
    sigma = case.fwhm * case.scale / 2.3548
    found = tuned(case.scale, sigma, case.light.peak)
    return [
        Method("nearest", "baseline", _nearest),
        *(Method(n, "baseline", partial(_classical, n, s)) for n, s in found.items()),
    ]


def methods(
    case: Case,
    model: ModelFacts,
    options: Options,
    twin: ModelFacts | None = None,
    textures: Sequence[TextureFacts] = (),
) -> list[Method]:
    """Everything that is compared on a case, the model first."""
    beliefs: tuple[Belief, ...]
    beliefs = ("known", "psf") if case.known else ("nothing", "psf")
    ours = [sampler(model, options, belief) for belief in beliefs]
    others = twins(twin, options) if twin else []
    others += [texture(model, options, head) for head in textures]
    return [*ours, *others, *classical(case)]
