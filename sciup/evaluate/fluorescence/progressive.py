"""What is asked of a progressive sampler beside the usual scores: keypoints, and a rival."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sciup import keypoints
from sciup.evaluate.draws import draw_samples
from sciup.evaluate.fluorescence.methods import Belief, Method, Options, result
from sciup.evaluate.fluorescence.protocol import RIM, Case
from sciup.evaluate.fluorescence.scores import Estimate
from sciup.evaluate.keypoints import RADIUS, expected, rival, rival_name
from sciup.explorer.cascade import sharpen_all
from sciup.generators.registry import ModelFacts
from sciup.train.data import robust_noise

Array = NDArray[np.float64]

FWHM = 2.0
"""Resolution of the truth, fine px: that of its grid."""


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
    return keypoints.compare(expected(lazy, RIM), places(case.truth, case.noise), RADIUS).f1


def one_after_another(options: Options) -> Method:
    """The draws of a 4x sampler, each sharpened by a draw of a 2x sampler.

    Its mean is their plain average: to be compared with ``gain_average`` of the model.
    """
    cascade = rival("fluorescence")

    def run(case: Case) -> tuple[Estimate, dict[str, float]]:
        belief: Belief = "known" if case.known else "psf"
        # the blur is relative to a truth that is finer than the first stage's output
        lazy = result(case, cascade.stages[0], options, belief, truth_scale=case.scale)
        drawn = draw_samples(lazy, options.draws).samples
        return Estimate.of(case, sharpen_all(drawn, cascade, lazy)), {}

    return Method(rival_name("fluorescence"), "rival", run)
