"""Draws of a run as arrays, and what the run's own instrument says of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result
from sciup.engine.job import Worker
from sciup.image import Bool
from sciup.physics.projection import kernel_side
from sciup.physics.psf import Kernel
from sciup.physics.psf_cells import pieces

Array = NDArray[np.float64]


class Drawn(NamedTuple):
    """Draws (count, s h, s w) and the map `mean` (s h, s w) of an image, in output units."""

    samples: Array
    mean: Array


def draw_samples(result: Result, count: int) -> Drawn:
    """Samples 0 to count - 1 of an image of one plane, and the mean.

    The same values as `Result.sample` and `Result.mean`, with the trunk run once per window for all
    of them.
    """
    settings = replace(result.job.settings, keep=count, maps=("mean",))
    worker = Worker(replace(result.job, settings=settings, calibration="not asked for"))
    out = np.full((count + 1, *result.job.layout.plane_shape), np.nan)
    names = [*(f"samples_{k}" for k in range(count)), "mean"]
    for task in result.job.tasks():
        maps = worker.compute(task)
        for image, name in zip(out, names, strict=True):
            image[task.box.slices] = maps[name]
    return Drawn(out[:count], out[count])


def draw_texture(result: Result) -> Array:
    """The map `texture` of an image of one plane, (s h, s w), output units."""
    job = replace(result.job, settings=replace(result.job.settings, maps=("texture",)))
    worker = Worker(replace(job, calibration="not asked for"))
    out = np.full(job.layout.plane_shape, np.nan)
    for task in job.tasks():
        out[task.box.slices] = worker.compute(task)["texture"]
    return out


@dataclass(frozen=True)
class Measurement:
    """The input of a run as the run saw it, on its region: all (h, w), input units.

    Attributes
    ----------
    values : ndarray
        NaN where masked.
    footprint : ndarray of bool
        True = data.
    level, sigma : ndarray
        Background, and one-sigma noise of each pixel with the Poisson noise of its local mean.
    """

    values: Array
    footprint: Bool
    level: Array
    sigma: Array


def measurement(result: Result) -> Measurement:
    """Values, background and noise of the first plane of a run."""
    import torch

    from sciup.physics.planes import NoiseModel, local_mean

    job = result.job
    plane = next(job.image.planes)
    units = Worker(job).sampler(0, plane).units
    region = job.region
    values, footprint = job.image.read(plane, region.grown(1))
    v = units.forward(values, region.grown(1))
    v = np.where(np.isfinite(v), v, np.float32(units.background))
    signal = local_mean(
        torch.from_numpy(v)[None, None], torch.from_numpy(footprint.astype(np.float32))[None, None]
    )
    noise = units.noise(region)
    sigma = noise.sigma(signal)[0, 0].numpy() if isinstance(noise, NoiseModel) else noise
    flat = np.full(region.shape, units.background, np.float32)
    flux = 1.0  # scale 1: values per input pixel
    return Measurement(
        values[1:-1, 1:-1].astype(float),
        footprint[1:-1, 1:-1],
        units.inverse(flat, region, 1).astype(float) * flux,
        units.width(sigma, region, 1).astype(float) * flux,
    )


def predict(result: Result, fine: Array) -> Array:
    """What the instrument that the run believed in would measure of a fine image (s h, s w).

    `fine` covers the region of the run. Convolution with the relative kernel, that of each place
    where the PSF varies over the field, and block mean, or block sum where values are fluxes per
    pixel. NaN counts as the median; beyond the edges the image is mirrored, so that the outer
    pixels hold only as far as that does.
    """
    from sciup.evaluate.metrics import block_mean

    model, region = result.job.model, result.job.region
    scale, side = model.scale, kernel_side(model.scale)
    factor = scale**2 if result.job.image.flux_per_pixel else 1
    filled = np.where(np.isfinite(fine), fine, np.nanmedian(fine))
    out = np.empty(region.shape)
    for part, here in pieces(result.instrument, region):
        near = part.grown(-(-(side // 2) // scale)).intersect(region)
        kernel = here.relative_kernel(scale, model.target_fwhm, side)
        seen = blur(filled[near.relative_to(region).scaled(scale).slices], kernel)
        inside = part.relative_to(near).scaled(scale).slices
        out[part.relative_to(region).slices] = block_mean(seen[inside], scale) * factor
    return out


def blur(fine: Array, kernel: Kernel) -> Array:
    """Convolution of the same shape with mirrored edges; NaN counts as the median."""
    from scipy.signal import fftconvolve

    half = kernel.shape[0] // 2
    filled = np.where(np.isfinite(fine), fine, np.nanmedian(fine))
    return np.asarray(fftconvolve(np.pad(filled, half, mode="symmetric"), kernel, "valid"))


def draw_mean_head(result: Result) -> Array:
    """What the mean head says of an image of one plane, (s h, s w), output units.

    Not a draw: neither the draw head nor the projection has touched it.
    """
    from sciup.engine.block import Window
    from sciup.engine.margins import CORE, halo_of
    from sciup.geometry import plan_tiles

    job, worker = result.job, Worker(result.job)
    scale = job.model.scale
    sampler = worker.sampler(0, next(job.image.planes))
    out = np.full(job.layout.plane_shape, np.nan)
    for tile in plan_tiles(job.region, CORE, halo_of(worker.net), scale):
        window = Window.read(sampler, tile)
        fine = sampler.units.stretch.inverse(window.features.mean)
        values = sampler._values(sampler._core(window.inner(fine)), tile)
        part = tile.core.intersect(job.region)
        target = part.relative_to(job.region).scaled(scale).slices
        out[target] = values[part.relative_to(tile.core).scaled(scale).slices]
    return out
