"""The region that is shown enlarged: stored maps, the draws repeated, and what they leave over."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result
from sciup.engine.job import Task, Worker
from sciup.errors import OptionError
from sciup.evaluate.draws import measurement, predict
from sciup.geometry import Box
from sciup.physics.projection import kernel_side
from sciup.results.again import on
from sciup.results.finished import Array, Finished
from sciup.science.measure.roi import region_of_result

SIDE = 128
"""Input pixels per side of the region that is shown unless another is asked for."""

LARGEST = 512
"""Input pixels per side that can be asked for."""

SAMPLES = (0, 1, 2)
"""Draws that are shown: the first, never chosen."""


@dataclass
class Cutout:
    """One region of the first plane.

    Attributes
    ----------
    region : Box
        Input pixels.
    maps : dict of str to ndarray
        By name; ``sample_K`` for draws, ``input`` and ``residual`` on the input grid.
    drawn : tuple of int
        Samples that were drawn again rather than read.
    agreement : float or None
        Largest difference of sample 0 drawn again from the stored one, in standard deviations of
        the background noise.
    problem : str
        Why the draws could not be repeated; empty if they were or need not be.
    """

    region: Box
    maps: dict[str, Array] = field(default_factory=dict)
    drawn: tuple[int, ...] = ()
    agreement: float | None = None
    problem: str = ""


def choose(done: Finished, roi: str | None) -> Box:
    """Input pixels to show: those asked for, or the middle of the result.

    Parameters
    ----------
    done : Finished
    roi : str, optional
        See `sciup.science.measure.roi.region_of_result`.

    Raises
    ------
    OptionError
        If they are not inside the result, or too many to show.
    """
    whole = done.region
    if roi is None:
        shape = [min(n, SIDE) for n in whole.shape]
        pairs = zip(whole.start, whole.shape, shape, strict=True)
        start = tuple(a + (n - m) // 2 for a, n, m in pairs)
        return Box(start, tuple(a + m for a, m in zip(start, shape, strict=True)))
    box = region_of_result(roi, done)
    if max(box.shape) > LARGEST:
        raise OptionError(f"--roi {roi!r} is too large to show", f"{LARGEST} x {LARGEST} px")
    return box


def cut(done: Finished, region: Box, result: Result | str) -> Cutout:
    """Read the stored maps of the region, and draw again what is not stored.

    Parameters
    ----------
    done : Finished
    region : Box
        Input pixels.
    result : Result or str
        The run once more, or why it cannot be had.
    """
    found = Cutout(region)
    plane = done.planes[0]
    box = region.shifted(tuple(-a for a in done.region.start)).scaled(done.scale)
    names = ("mean", "std", "risk", "risk_raw", "risk_bound", "risk_mean", "support", "ood")
    found.maps = {n: done.read(n, plane, box) for n in names if n in done.maps}
    for k in SAMPLES:
        values = done.sample(k, plane, box)
        if values is not None:
            found.maps[f"sample_{k}"] = values
    if isinstance(result, str):
        found.problem = result
        return found
    _measure(found, done, on(result, region))
    _draw(found, done, on(result, region))
    return found


def _draw(found: Cutout, done: Finished, result: Result) -> None:
    """Draw the samples that are not stored, and sample 0 as a check."""
    most = int(done.facts["samples"])
    missing = tuple(k for k in SAMPLES if f"sample_{k}" not in found.maps and k <= most)
    if not missing:
        return
    whole = Box.of_shape(result.job.layout.plane_shape)
    task = Task(0, done.planes[0], (0, 0), whole)
    drawn = Worker(result.job).compute(task, tuple({0, *missing}))
    if "sample_0" in found.maps:
        noise = float(done.instruments[0].noise_sigma.value) / done.flux
        apart = np.abs(drawn["sample_0"] - found.maps["sample_0"])
        found.agreement = float(np.nanmax(apart, initial=0.0)) / noise
    found.maps |= {f"sample_{k}": np.asarray(drawn[f"sample_{k}"], np.float64) for k in missing}
    found.drawn = missing


def _measure(found: Cutout, done: Finished, result: Result) -> None:
    """Input and (y - A x) / sigma of the mean, both on the input grid."""
    measured = measurement(result)
    found.maps["input"] = np.where(measured.footprint, measured.values, np.nan)
    if "mean" not in done.maps:
        return
    # around the region too, so that no mirrored edge is judged that need not be
    reach = kernel_side(done.scale) // 2 // done.scale + 1
    wide = found.region.grown(reach).intersect(done.region)
    fine = wide.shifted(tuple(-a for a in done.region.start)).scaled(done.scale)
    mean = done.read("mean", done.planes[0], fine)
    if not np.isfinite(mean).any():
        return
    inner = found.region.relative_to(wide).slices
    expected = predict(on(result, wide), mean)[inner]
    residual = (measured.values - expected) / np.maximum(measured.sigma, 1e-30)
    judged = measured.footprint & _inside(found.region, done)
    found.maps["residual"] = np.where(judged, residual, np.nan)


def _inside(region: Box, done: Finished) -> NDArray[np.bool_]:
    """Where the PSF does not reach beyond the result, whose image is mirrored there."""
    reach = round(1.5 * float(done.instruments[0].psf_fwhm.value)) + 1
    inner = done.region.grown(-reach).intersect(region)
    keep = np.zeros(region.shape, bool)
    if inner.size:
        keep[inner.relative_to(region).slices] = True
    return keep
