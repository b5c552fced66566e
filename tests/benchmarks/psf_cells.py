"""What a PSF in cells is worth: a field of stars whose PSF widens by 40 % from left to right.

    python tests/benchmarks/psf_cells.py night-sky-x2

The field has 256 x 1024 px, 220 stars of 150 to 3000 sigmas, and the PSF of a grid of images as
STPSF writes it, linear from the left to the right rim. It is run with the PSF in cells and with the
one in the middle. For every quarter along x: median error of the light within 3 input px of a star,
and of its concentration (light within 1 px over that within 3 px), per cent. Then the seams: the
mean with the PSF of one cell minus that with the PSF of the next, in the 4 input columns at their
border, over the spread of the draws: root of the mean square, and largest.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from sciup.api import Result, upscale
from sciup.engine.job import Worker
from sciup.geometry import Box
from sciup.io._array import open_array
from sciup.physics.psf import image_fwhm
from sciup.physics.psf_cells import in_cell
from sciup.physics.psf_gridded import GriddedPsf
from sciup.physics.psf_image import fine_psf
from sciup.physics.psf_source import PsfImage, read_psf
from sciup.resources import find_model
from sciup.testing.psf_files import write_psf_grid

SHAPE = (256, 1024)
STARS = 220
GAIN, SKY, SIGMA = 30.0, 0.0, 1.0
PART = 4
"""Stars lie on a grid so many times finer than the input."""


def observe(
    model: GriddedPsf, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A field, and places (y, x) and fluxes of its stars."""
    half = 15
    light = np.zeros(np.array(SHAPE) + 2 * half)
    places, fluxes = [], []
    while len(places) < STARS:
        place = rng.integers(12 * PART, (np.array(SHAPE) - 12) * PART) / PART
        if any(np.hypot(*(place - other)) < 14 for other in places):
            continue
        flux = float(np.exp(rng.uniform(np.log(150), np.log(3000))))
        image = fine_psf(model.at(*place), PART, 2 * half * PART + 1, model.step) * PART**2
        whole = np.round(place).astype(int)
        first = [int(o) % PART for o in (whole - place) * PART + half * PART]
        start = [int(((whole - place) * PART)[i] + half * PART) // PART for i in (0, 1)]
        cut = image[first[0] :: PART, first[1] :: PART]
        at = whole + half - np.array(start)
        light[at[0] : at[0] + cut.shape[0], at[1] : at[1] + cut.shape[1]] += flux * cut
        places.append(place)
        fluxes.append(flux)
    light = light[half:-half, half:-half]
    noisy = rng.poisson(np.maximum(light, 0) * GAIN) / GAIN + SIGMA * rng.standard_normal(SHAPE)
    return noisy.astype(np.float32), np.array(places), np.array(fluxes)


def sums(image: np.ndarray, place: np.ndarray, scale: int, radius: float) -> float:
    """Light within a radius in input px of a place."""
    y, x = (place + 0.5) * scale - 0.5
    reach = int(radius * scale) + 2
    rows, cols = (np.arange(int(c) - reach, int(c) + reach + 2) for c in (y, x))
    inside = np.hypot(rows[:, None] - y, cols - x) <= radius * scale
    return float(image[rows[:, None], cols][inside].sum())


def errors(result: Result, places: np.ndarray, fluxes: np.ndarray) -> np.ndarray:
    """Error of light and concentration of every star, (stars, 2), as a share."""
    s, target = result.job.model.scale, result.job.model.target_fwhm
    began = time.process_time()
    mean = whole_mean(result)
    print(f"{time.process_time() - began:.0f} s of CPU")
    size = 2 * 8 * s + 1
    found = []
    for place, flux in zip(places, fluxes, strict=True):
        y, x = (place + 0.5) * s - 0.5
        rows, cols = np.indices((size, size)) - size // 2
        # the same pixels hold the same part of the target as of the mean
        ry, rx = rows - (y - np.floor(y)), cols - (x - np.floor(x))
        ideal = np.exp(-4 * np.log(2) * (ry**2 + rx**2) / target**2)
        ideal *= flux / ideal.sum()
        whole = np.zeros_like(mean)
        a, b = int(np.floor(y)) - size // 2, int(np.floor(x)) - size // 2
        r = np.clip(np.arange(a, a + size), 0, mean.shape[0] - 1)
        c = np.clip(np.arange(b, b + size), 0, mean.shape[1] - 1)
        whole[r[:, None], c] = ideal
        big, small = ([sums(m, place, s, radius) for m in (mean, whole)] for radius in (3.0, 1.0))
        found.append((big[0] / big[1] - 1, small[0] / big[0] / (small[1] / big[1]) - 1))
    return np.array(found)


def whole_mean(result: Result) -> np.ndarray:
    """The map `mean`."""
    (task,) = result.job.tasks()
    return np.asarray(Worker(result.job).compute(task)["mean"], float)


def seam(result: Result, row: int, column: int) -> tuple[float, float]:
    """Steps of the mean at the border right of a cell; see above."""
    job = result.job
    side = int(result.instrument.psf_cell.value)
    edge = (column + 1) * side
    region = Box((row * side, edge - 2), (min((row + 1) * side, SHAPE[0]), edge + 2))
    maps = []
    for k in (0, 1):
        alone = in_cell(result.instrument, (row, column + k))
        part = Result(replace(job, region=region, instruments=(alone,)))
        (task,) = part.job.tasks()
        maps.append(Worker(part.job).compute(task))
    over = (maps[1]["mean"] - maps[0]["mean"]) / maps[0]["std"]
    return float(np.sqrt((over**2).mean())), float(np.abs(over).max())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--samples", type=int, default=8)
    asked = parser.parse_args()
    rng = np.random.default_rng(11)
    with tempfile.TemporaryDirectory() as folder:
        ends = (0.0, SHAPE[1] - 1.0)
        path = write_psf_grid(Path(folder) / "psf.fits", (0.0,), ends, np.array([[2.0, 2.8]]))
        with fits.open(path) as hdus:
            model = GriddedPsf.read(hdus[0], "psf.fits")
        values, places, fluxes = observe(model, rng)
        image = open_array(values, flux_per_pixel=True, domain="night-sky")
        psf = read_psf(path, image)
    print("FWHM", [round(image_fwhm(model.at(128, x), model.step), 3) for x in (0, 512, 1023)])
    facts = {"gain": GAIN, "background": SKY, "noise_sigma": SIGMA, "maps": ("mean", "std")}
    folder = find_model(asked.model)
    print("| PSF | quarter | light, % | concentration, % | stars |")
    for name, told in (("in cells", psf), ("of the middle", PsfImage(psf.values, psf.step))):
        result = upscale(image, model=folder, psf=told, samples=asked.samples, **facts)
        if told is psf:
            cells = result
        found = 100 * errors(result, places, fluxes)
        for quarter in range(4):
            here = places[:, 1] // (SHAPE[1] / 4) == quarter
            light, shape = np.median(found[here], 0)
            print(f"| {name} | {quarter + 1} | {light:+.2f} | {shape:+.2f} | {here.sum()} |")
    counts = cells.instrument.psf_cells.value.shape[:2]
    print(
        "cells",
        counts,
        "of",
        cells.instrument.psf_cell.value,
        "px,",
        cells.instrument.psf_cells.note,
    )
    for column in range(counts[1] - 1):
        print("seam", column, *(f"{x:.3f}" for x in seam(cells, 0, column)), flush=True)


if __name__ == "__main__":
    main()
