"""How well the width of the PSF of a micrograph is found out from its own pixels, nothing told.

    python tests/benchmarks/psf_estimates.py microscopy --every 3

Images of the train split, degraded as those that calibrate: a relative kernel on the fine grid,
block mean, electrons, noise; cut to several sides. The width that counts is the one that models are
told: relative kernel and declared target (2 fine px) in quadrature, before pixel integration. What
a truth is blurred beyond its declared target cannot be known, and counts as an error.

Of each row: inputs, share with an answer, bias and root of the mean square of the error, input px;
that of its logarithm, what is stated for it, and that of their ratio, which should be 1. Each data
set counts the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from sciup.evaluate.fluorescence.data import Item, items, read
from sciup.evaluate.fluorescence.protocol import BACKGROUND, READ_NOISE
from sciup.evaluate.metrics import block_mean
from sciup.io._array import open_array
from sciup.physics.estimate import photon_transfer, probe
from sciup.physics.projection import kernel_side
from sciup.physics.psf import Kernel, airy, gaussian, moments
from sciup.physics.resolve_psf import found_blur

TARGET = 2.0
"""Declared FWHM of the truths, fine px: that of all models."""
SCALES = (2, 4, 8)
SIDES = (24, 32, 48, 64, 96, 128, 256, 512)
LIGHTS = (50, 200, 1000)
NARROWEST, WIDEST = 0.8, 3.5
SHAPES = {"gaussian": 0.5, "elliptical": 0.25, "airy": 0.25}
ELLIPTICITY = 0.15
MOST = 60
"""Images of a data set, at most, before every n-th of them is taken."""
ROWS = ("side", "light", "side_and_light", "scale", "shape", "dataset")


@dataclass(frozen=True)
class Input:
    """A degraded image, and what it should be found to be."""

    observed: NDArray[np.float32]
    fwhm: float  # total, before pixel integration, input px
    dataset: str
    name: str
    scale: int
    light: int
    side: int
    shape: str

    @property
    def side_and_light(self) -> tuple[int, int]:
        """For a row of their own."""
        return self.side, self.light


def blur(rng: np.random.Generator, scale: int) -> tuple[Kernel, float, str]:
    """A relative kernel, the total FWHM that belongs to it, and its shape."""
    target = TARGET / scale
    widths = np.log([max(NARROWEST, 1.02 * target), WIDEST])
    beyond = np.sqrt(np.exp(rng.uniform(*widths)) ** 2 - target**2) * scale
    shape = str(rng.choice(list(SHAPES), p=list(SHAPES.values())))
    angle = rng.uniform(0, np.pi)
    e = ELLIPTICITY * np.array([np.cos(2 * angle), np.sin(2 * angle)]) * (shape == "elliptical")
    make = airy if shape == "airy" else gaussian
    kernel = make(kernel_side(scale), float(beyond), *e)
    return kernel, float(np.hypot(moments(kernel)[0] / scale, target)), shape


def degraded(item: Item, scale: int) -> Iterator[Input]:
    """One image with one blur, at every light and side that it is large enough for."""
    image = read(item)
    low, high = np.percentile(image, [1, 99.9])
    rng = np.random.default_rng(crc32(f"{item.dataset}/{item.name}/{scale}".encode()))
    kernel, fwhm, shape = blur(rng, scale)
    h, w = (min(n, scale * SIDES[-1]) // scale * scale for n in image.shape)
    if min(h, w) < scale * SIDES[0] or high <= low:
        return
    level = np.clip((image[:h, :w] - low) / (high - low), 0, 3)
    apron = kernel.shape[0] // 2
    blurred = fftconvolve(np.pad(level, apron, mode="symmetric"), kernel, mode="valid")
    light = np.maximum(block_mean(blurred, scale), 0)
    for peak in LIGHTS:
        clean = (light + BACKGROUND) * peak
        seen = rng.poisson(clean) + READ_NOISE * rng.standard_normal(clean.shape)
        for side in SIDES:
            if side <= min(seen.shape):
                y, x = ((n - side) // 2 for n in seen.shape)
                cut = seen[y : y + side, x : x + side].astype(np.float32)
                yield Input(cut, fwhm, item.dataset, item.name, scale, peak, side, shape)


def inputs(folder: Path, every: int, scales: Sequence[int] = SCALES) -> Iterator[Input]:
    """All inputs, of every n-th image of each data set; large sets do not crowd out the rest."""
    found = items(folder, "train")
    for dataset in sorted({item.dataset for item in found}):
        mine = [item for item in found if item.dataset == dataset]
        for item in mine[:: max(every * len(mine) // MOST, 1)]:
            for scale in scales:
                yield from degraded(item, scale)


def error(one: Input) -> tuple[float, float, float]:
    """Error of the FWHM, px, and of its logarithm, and what is stated for that; NaN: no answer."""
    image = open_array(one.observed, domain="fluorescence")
    sample = probe(image, next(iter(image.planes)))
    found = found_blur(sample, photon_transfer(sample))
    if found is None:
        return np.nan, np.nan, np.nan
    return found.fwhm - one.fwhm, float(np.log(found.fwhm / one.fwhm)), found.error


def row(values: NDArray[np.float64], datasets: NDArray[np.str_]) -> str:
    """One line of the table, of errors (n, 3)."""
    px, log, stated = values.T
    columns = np.stack([np.isfinite(px), px, px**2, log**2, stated**2, (log / stated) ** 2], 1)
    of_sets = [np.nanmean(columns[datasets == name], 0) for name in np.unique(datasets)]
    answered, bias, *squares = np.nanmean(of_sets, 0)
    numbers = " | ".join(f"{v:.2f}" for v in np.sqrt(squares))
    return f"{len(values)} | {answered:.2f} | {bias:+.2f} | {numbers} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of micrographs with a manifest")
    parser.add_argument("--every", type=int, default=3)
    parser.add_argument("--scales", type=int, nargs="+", default=SCALES)
    options = parser.parse_args()
    seen = list(inputs(options.data, options.every, options.scales))
    values = np.array([error(one) for one in seen])
    datasets = np.array([one.dataset for one in seen])
    print("| | inputs | answered | bias, px | rms, px | rms, ln | stated, ln | ratio |")
    print("|---" * 8 + "|")
    for key in ROWS:
        labels = [getattr(one, key) for one in seen]
        for label in sorted(set(labels)):
            chosen = np.array([other == label for other in labels])
            print("|", key, label, "|", row(values[chosen], datasets[chosen]))
    print("| all |", row(values, datasets))


if __name__ == "__main__":
    main()
