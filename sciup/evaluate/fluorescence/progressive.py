"""What is asked of a progressive sampler beside the usual scores: keypoints, and a rival."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sciup import keypoints
from sciup.api import Result
from sciup.engine.job import Worker
from sciup.engine.settings import KEYPOINTS
from sciup.evaluate.draws import draw_samples
from sciup.evaluate.fluorescence.methods import Belief, Method, Options, result
from sciup.evaluate.fluorescence.protocol import RIM, Case
from sciup.evaluate.fluorescence.scores import Estimate
from sciup.explorer.cascade import Cascade, sharpen
from sciup.generators.registry import ModelFacts
from sciup.resources import find_model
from sciup.train.data import robust_noise

Array = NDArray[np.float64]

RADIUS = 4.0
"""Fine px within which a keypoint counts as found: half an input pixel."""

EXPECTED = 0.05
"""Height of a heatmap from which a peak counts as a keypoint: where F1 was best on training images
(11, at 4:200; from .02 to .08 it is within .03)."""

FWHM = 2.0
"""Resolution of the truth, fine px: that of its grid."""

STAGES = ("fluorescence-x4", "fluorescence-x2")
"""What a progressive sampler competes with: one sampler after another."""


def places(image: Array, noise: float) -> keypoints.Keypoints:
    """Keypoints away from the rim by the classical detectors."""
    inner = image[RIM:-RIM, RIM:-RIM]
    return keypoints.find(inner, "fluorescence", noise, FWHM)


def keypoint_scores(estimate: Estimate, case: Case) -> dict[str, float]:
    """F1 of the keypoints that are found in the mean and in the first draw.

    The same detectors look at the truth and at every image, each with the noise that
    `robust_noise` finds in it, where the truth's own is known.
    """
    true = places(case.truth, case.noise)
    images = {"mean": estimate.linear_mean, "draw": estimate.linear[0]}
    return {
        f"keypoints_{name}": keypoints.compare(places(image, robust_noise(image)), true, RADIUS).f1
        for name, image in images.items()
    }


def heatmap_score(case: Case, model: ModelFacts, options: Options, belief: Belief) -> float:
    """F1 of the peaks of the sampler's own heatmaps."""
    lazy = result(case, model, replace(options, draws=2), belief)
    found = keypoints.peaks(expected(lazy)[:, RIM:-RIM, RIM:-RIM], "fluorescence", EXPECTED)
    return keypoints.compare(found, places(case.truth, case.noise), RADIUS).f1


def expected(lazy: Result) -> NDArray[np.float32]:
    """The heatmaps (kinds, s h, s w) of an image of one plane."""
    names = KEYPOINTS["fluorescence"]
    job = replace(lazy.job, settings=replace(lazy.job.settings, maps=names))
    worker = Worker(replace(job, calibration="not asked for"))
    out = np.full((len(names), *job.layout.plane_shape), np.nan, np.float32)
    for task in job.tasks():
        maps = worker.compute(task)
        for image, name in zip(out, names, strict=True):
            image[task.box.slices] = maps[name]
    return out


def one_after_another(options: Options) -> Method:
    """The draws of a 4x sampler, each sharpened by a draw of a 2x sampler.

    Its mean is their plain average: to be compared with ``gain_average`` of the model.
    """
    stages = tuple(ModelFacts.read(find_model(name)) for name in STAGES)
    cascade = Cascade(stages)

    def run(case: Case) -> tuple[Estimate, dict[str, float]]:
        first = stages[0]
        belief: Belief = "known" if case.known else "psf"
        # the blur is relative to a truth that is finer than the first stage's output
        lazy = result(case, first, options, belief, truth_scale=case.scale)
        drawn = draw_samples(lazy, options.draws).samples
        fine = [
            sharpen(
                draw.astype(np.float32), cascade, lazy.instrument,
                flux_per_pixel=False, seed=options.seed + k, device=lazy.job.device,
            ).image
            for k, draw in enumerate(drawn)
        ]  # fmt: skip
        return Estimate.of(case, np.stack(fine).astype(float)), {}

    return Method(" then ".join(STAGES), "rival", run)
