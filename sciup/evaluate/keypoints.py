"""What is asked of a progressive sampler in both domains: its heatmaps, and its rival."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup import keypoints
from sciup.api import Result
from sciup.engine.job import Worker
from sciup.engine.settings import KEYPOINTS
from sciup.explorer.cascade import Cascade
from sciup.generators.registry import ModelFacts
from sciup.resources import find_model

RADIUS = 4.0
"""Fine px within which a keypoint counts as found: half an input pixel."""

EXPECTED = {"fluorescence": 0.05, "night-sky": 0.2}
"""Height of a heatmap from which a peak counts as a keypoint: where F1 was best on training images
(fluorescence: 11, at 4:200; from .02 to .08 it is within .03; night sky: 8 scenes, at the 850th
step of a training; from .15 to .3 it is within .01)."""

STAGES: dict[str, tuple[str, ...]] = {
    "fluorescence": ("fluorescence-x4", "fluorescence-x2"),
    "night-sky": ("night-sky-x4", "night-sky-x2"),
}
"""What a progressive sampler competes with: one sampler after another."""


def rival(domain: str) -> Cascade:
    """The samplers that a progressive one has to beat."""
    return Cascade(tuple(ModelFacts.read(find_model(name)) for name in STAGES[domain]))


def rival_name(domain: str) -> str:
    """What they are called in tables.

    Examples
    --------
    >>> rival_name("night-sky")
    'night-sky-x4 then night-sky-x2'
    """
    return " then ".join(STAGES[domain])


def expected(lazy: Result, rim: int) -> keypoints.Keypoints:
    """Peaks of the sampler's own heatmaps, `rim` fine px away from the edges of the image."""
    domain: Any = lazy.job.model.domain
    heat = heatmaps(lazy)[:, rim:-rim, rim:-rim]
    return keypoints.peaks(heat, domain, EXPECTED[domain])


def heatmaps(lazy: Result) -> NDArray[np.float32]:
    """The heatmaps (kinds, s h, s w) of an image of one plane."""
    domain: Any = lazy.job.model.domain
    names = KEYPOINTS[domain]
    job = replace(lazy.job, settings=replace(lazy.job.settings, maps=names))
    worker = Worker(replace(job, calibration="not asked for"))
    out = np.full((len(names), *job.layout.plane_shape), np.nan, np.float32)
    for task in job.tasks():
        maps = worker.compute(task)
        for image, name in zip(out, names, strict=True):
            image[task.box.slices] = maps[name]
    return out
