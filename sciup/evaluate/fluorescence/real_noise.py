"""Real noise: single frames against the mean of many frames of the same field.

**fmd_bpae_b** (2x, 4x): a single frame averaged over s x s px (its block sum over s^2) is upscaled
and compared with the mean of 50 frames on the full grid. Between the two there is no blur but that
of the pixel.

**w2s_single_frame** (1x): a single frame on its own grid of 512 px is restored at 1x; the result is
averaged over 2 x 2 px and compared with the mean of 400 frames, which exists binned 2x only. The
two fields lie on each other to 0.05 px (phase correlation of four pairs).

In both, an estimate is first brought to the truth by a line fitted to its mean (8-bit frames were
rescaled each on its own). Light and noise are estimated by the program from the frame; the PSF,
which no single micrograph tells, is assumed ("nothing known") or that of the truth ("PSF known").
The classical methods always know the PSF, and the settings tuned for light nearest to what the
program estimated. The frame is one of those averaged: at most a fiftieth of the truth's noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.evaluate.fluorescence.data import (
    MEAN,
    REPEATED,
    SINGLE_FRAMES,
    Item,
    has_manifest,
    manifest,
    read,
)
from sciup.evaluate.fluorescence.protocol import LARGEST, Case, Light, Skip
from sciup.evaluate.metrics import block_mean
from sciup.image import Fact

Array = NDArray[np.float64]

LABEL = "real noise"
FRAMES = 1
"""Single frames per field: more would not be independent."""


def pairs(folder: Path, scale: int, split: str, every: int) -> list[tuple[Item, Item]]:
    """Single frame and mean of every n-th field that has both, at this scale."""
    if not has_manifest(folder):
        return []
    everything = manifest(folder, split)
    if scale == 1:
        truths = {item.name: item for item in everything if item.dataset == "w2s"}
        frames = [i for i in everything if i.dataset == SINGLE_FRAMES and i.name in truths]
        return [(frame, truths[frame.name]) for frame in frames][::every]
    fields: dict[str, list[Item]] = {}
    for item in everything:
        if item.dataset == REPEATED:
            fields.setdefault(item.unit, []).append(item)
    found = []
    for group in fields.values():
        means = [i for i in group if i.name.endswith(MEAN)]
        frames = [i for i in group if not i.name.endswith(MEAN)][:FRAMES]
        found += [(frame, means[0]) for frame in frames if means]
    return found[::every]


def cases(images: list[tuple[Item, Item]], scale: int, skip: Skip) -> Iterator[Case]:
    """The cases of a list of pairs."""
    for frame, mean in images:
        try:
            yield _case(frame, read(frame), read(mean), scale)
        except InputError as error:
            skip(frame, str(error))


def _case(item: Item, frame: Array, truth: Array, scale: int) -> Case:
    bins = frame.shape[0] // truth.shape[0]
    side = 4 * scale * bins
    h, w = (min(LARGEST, n) // side * side for n in frame.shape)
    observed = block_mean(frame[:h, :w], scale)
    truth = truth[: h // bins, : w // bins]
    if bins > 1:
        # the mean was summed, and each of the two was rescaled: bring it near the frame
        slope, offset = np.polyfit(truth.ravel(), block_mean(observed, bins).ravel(), 1)
        truth = slope * truth + offset
    light = estimated_light(observed, truth)
    return Case(
        LABEL,
        item.dataset,
        item.unit,
        item.name,
        scale,
        observed.astype(np.float32),
        truth,
        light,
        fwhm=0.0,
        known=False,
        matched=True,
        bins=bins,
    )


def estimated_light(observed: Array, truth: Array) -> Light:
    """Gain, pedestal and read noise as the program estimates them, on the truth's range."""
    from sciup.io import open_image
    from sciup.physics.given import Given
    from sciup.physics.resolve import resolve

    image = open_image(observed)
    believed = resolve(image, next(iter(image.planes)), "fluorescence", Given()).instrument

    def value(fact: Fact) -> float:
        return float(fact.value)

    gain, pedestal = value(believed.electrons_per_unit), value(believed.background)
    low, high = (float(v) for v in (np.percentile(truth, [1, 99.9]) - pedestal) * gain)
    return Light(low, high - low, gain, pedestal, value(believed.read_noise))
