"""What a run says of a field, pixel by pixel: draws, noise, S/N, strangeness of its blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sciup.api import Result
from sciup.engine.block import Window
from sciup.engine.job import Worker
from sciup.engine.margins import CORE, RIM
from sciup.engine.mean import Moments, steadied
from sciup.engine.strangeness import statistics
from sciup.generators.posterior import crop

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Observation:
    """A run on one plane, in its own words and units.

    Attributes
    ----------
    draws : ndarray (K + 1, s h, s w)
        Output units, NaN where masked.
    mean : ndarray (s h, s w)
        The map `mean`.
    level, sigma : ndarray (s h, s w)
        Background and noise of the input pixel, output units.
    snr : ndarray (s h, s w)
        Local S/N.
    statistics : ndarray (rows, columns, d)
        Of each block of input pixels, for the badge.
    """

    draws: Array
    mean: Array
    level: Array
    sigma: Array
    snr: Array
    statistics: Array


def observe(result: Result, count: int) -> Observation:
    """Draws 0 to count - 1 of the first plane of an image, with what the risk map is made of.

    Parameters
    ----------
    result : Result
        Of a whole image.
    count : int
        K + 1; none for the statistics of the blocks alone.
    """
    worker = Worker(result.job)
    # in a thread of the engine: another number of torch threads changes the last bits
    return worker.submit(_observe, worker, count).result()


@torch.inference_mode()
def _observe(worker: Worker, count: int) -> Observation:
    job = worker.job
    sampler, scale = worker.sampler(0, next(job.image.planes)), job.model.scale
    units, shape = sampler.units, job.layout.plane_shape
    grid = tuple(-(-n // CORE) for n in job.region.shape)
    planes = {name: np.full(shape, np.nan) for name in ("mean", "level", "sigma", "snr")}
    draws = np.full((count, *shape), np.nan)
    blocks = np.full((*grid, 0), np.nan)

    for tile in worker.tiles(job.region):
        window = Window.read(sampler, tile)
        part = tile.core.intersect(job.region)
        source = part.relative_to(tile.core).scaled(scale).slices
        target = part.relative_to(job.region).scaled(scale).slices
        sigma, snr = (
            crop(x, RIM)[0, 0].cpu().numpy().repeat(scale, 0).repeat(scale, 1)
            for x in (window.sigma, window.snr)
        )
        flat = np.full(sigma.shape, units.background, np.float32)
        planes["level"][target] = units.inverse(flat, tile.core, scale)[source]
        planes["sigma"][target] = units.width(sigma, tile.core, scale)[source]
        planes["snr"][target] = snr[source]
        for k in range(count):
            draw = window.draw(k)
            draws[k][target] = sampler.shown(window, draw, tile)[source]
            if k == 0:
                moments = Moments(draw)
            else:
                moments.add(draw - moments.first)
        if count > 1:
            planes["mean"][target] = sampler.shown(window, steadied(window, moments), tile)[source]
        at = tuple(a // CORE for a in tile.core.start)
        row = statistics(window)
        if not blocks.shape[-1]:
            blocks = np.full((*grid, len(row)), np.nan)
        blocks[at] = row
    return Observation(draws=draws, statistics=blocks, **planes)
