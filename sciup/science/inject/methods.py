"""Catalogues of one run: of its draws, and of classical pictures by the same detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result
from sciup.compare.seen import Seen
from sciup.evaluate.baselines import bicubic, richardson_lucy
from sciup.existence.believed import Believed
from sciup.existence.candidates import first_of
from sciup.existence.target import Light, Target, filled, point_limit
from sciup.geometry import Box
from sciup.physics.psf import moments
from sciup.results.draws import Draws
from sciup.results.level import Level
from sciup.science.detect.run import detect
from sciup.science.detect.walk import cells
from sciup.science.inject.light import POINT, Optics

Array = NDArray[np.float64]

CLASSICAL = ("bicubic", "Richardson-Lucy")
OURS = "sciup"
METHODS = (OURS, *CLASSICAL)

ITERATIONS = (5, 10, 20)
"""Of Richardson-Lucy; the number that finds most counts."""

BRIGHT = 20.0
"""S/N of the star on which the width of a classical picture is measured."""

CORE = 3.0
"""Half of the side of the window in which it is, in FWHM of the input's PSF."""

LARGEST = 512
"""Input px per side of the part whose level the star lies on."""


@dataclass(frozen=True)
class Found:
    """What a method finds in a run, n detections.

    Attributes
    ----------
    places : ndarray (n, 2)
        Input px (y, x).
    score : ndarray (n,)
        What a threshold is set on: P(exists), or flux.
    flux, low, high : ndarray (n,)
        Input units, with the ends of the 68 % interval; NaN without one.
    """

    places: Array
    score: Array
    flux: Array
    low: Array
    high: Array


def ours(
    result: Result, limit: float, samples: int, progress: Callable[[int, int], None]
) -> tuple[Found, str]:
    """What the draws show, and whether its P(exists) is calibrated."""
    table = detect(result, limit=limit, samples=samples, progress=progress)
    names = ("y", "x", "p_exists", "flux", "flux_lo68", "flux_hi68")
    y, x, *rest = (np.asarray(table[name], float) for name in names)
    return Found(np.stack([y, x], -1), *rest), str(table.meta["p_exists"])


@dataclass(frozen=True)
class Classical:
    """A classical method, and how wide and how bright a star comes out of it.

    Attributes
    ----------
    name : str
        One of `CLASSICAL`.
    target : Target
        Of the draws; the detector of this method differs in the width of a star.
    per_sum : float
        Flux in input units of a sum of output pixels.
    iterations : int
        Of Richardson-Lucy; 0 for others.
    fwhm : float
        Of a star in its picture, output px.
    response : float
        Flux that the detector gives for that star, over its own.
    held : float
        The same for a stamp, over that of a star; 1 for points.
    """

    name: str
    target: Target
    per_sum: float
    iterations: int
    fwhm: float = 1.0
    response: float = 1.0
    held: float = 1.0

    @classmethod
    def of(cls, name: str, iterations: int, seen: Seen, optics: Optics, b: Believed) -> Classical:
        """The method for a field, its detector fitted to a star without noise."""
        target = replace(b.target, limit=b.target.limit / 5)
        bare = cls(name, target, b.per_sum, iterations)
        star, flux, middle = bare._noiseless(replace(optics, stamp=POINT), seen, b)
        # what is wider than the core has no weight in its moments
        half = int(np.ceil(CORE * b.fwhm * optics.scale))
        core = star[tuple(slice(m - half, m + half + 1) for m in middle)]
        width = moments(np.maximum(core, 0))[0]
        fitted = replace(bare, fwhm=width if width > 0 else b.target.fwhm)
        fitted = replace(fitted, response=fitted._flux(star, middle) / flux)
        if optics.stamp.size == 1:
            return fitted
        stamp, flux, middle = bare._noiseless(optics, seen, b)
        return replace(fitted, held=fitted._flux(stamp, middle) / flux / fitted.response)

    def _noiseless(
        self, optics: Optics, seen: Seen, b: Believed
    ) -> tuple[Array, float, tuple[int, int]]:
        """Picture of a source on a flat input without noise, its flux, and its output pixel."""
        source, flux, middle = _source(optics, b)
        flat = np.full(source.shape, float(np.nanmedian(seen.measured.level)))
        picture = self.picture(flat + source, seen) - self.picture(flat, seen)
        return picture / seen.share, flux, middle

    def _flux(self, picture: Array, middle: tuple[int, int]) -> float:
        """Flux in input units that the detector gives for what is there."""
        light = Light(picture, np.zeros(picture.shape, bool), self.detector)
        return float(light.heights(np.array([middle], float))[0]) * self.per_sum

    @classmethod
    def all(cls, result: Result, optics: Optics, b: Believed) -> list[Classical]:
        """Every classical method with every number of iterations."""
        seen = Seen.of(_on(result, _middle(result.job.region)))
        settings = [("bicubic", 0), *(("Richardson-Lucy", n) for n in ITERATIONS)]
        return [cls.of(name, n, seen, optics, b) for name, n in settings]

    @property
    def label(self) -> str:
        """Name with the number of iterations."""
        return f"{self.name}, {self.iterations} iterations" if self.iterations else self.name

    @cached_property
    def detector(self) -> Target:
        """What is looked for in pictures of this method."""
        return replace(self.target, fwhm=self.fwhm)

    def picture(self, values: Array, seen: Seen) -> Array:
        """The picture of an input (h, w) without gaps, brightness of the input."""
        if self.name == "bicubic":
            return bicubic(values, seen.scale)
        light = seen.light
        fine = richardson_lucy(light.electrons(values), seen.scale, seen.kernel, self.iterations)
        return light.values(fine)

    def find(self, result: Result) -> Found:
        """Every maximum above a fifth of the limit of a run, cell by cell."""
        draws = Draws.of_result(result)
        plane, whole = draws.planes[0], Box.of_shape(draws.plane_shape)
        level = Level(draws, plane)
        places, fluxes = [np.empty((0, 2))], [np.empty(0)]
        for cell in (c for row in cells(draws, self.target, whole) for c in row):
            box = cell.window.coarsened(draws.scale).scaled(draws.scale)
            part = box.coarsened(draws.scale).shifted(draws.region.start)
            at, flux = self._cell(_on(result, part), level.window(box))
            at = at + np.array(box.start)
            core = Box(cell.core.start, cell.core.stop)
            low, high = np.array(core.start) - 0.5, np.array(core.stop) - 0.5
            inside = ((at >= low) & (at < high)).all(1)
            places.append(at[inside])
            fluxes.append(flux[inside])
        at, flux = np.concatenate(places), np.concatenate(fluxes) * self.per_sum / self.response
        # as for the draws: what lies within the reach of something brighter is the same
        once = first_of(at, np.argsort(-flux, kind="stable"), self.target.reach)
        at, flux = at[once], flux[once]
        at = (at + 0.5) / draws.scale - 0.5 + np.array(draws.region.start)
        nothing = np.full(len(flux), np.nan)
        return Found(at, flux, flux, nothing, nothing)

    def noise(self, blank: Result, b: Believed) -> float:
        """Noise of its fluxes where nothing is, input units: that of the middle of a field."""
        draws, part = Draws.of_result(blank), _middle(blank.job.region)
        box = part.relative_to(blank.job.region).scaled(draws.scale)
        light = self._light(_on(blank, part), Level(draws, draws.planes[0]).window(box))
        fluxes = light.points[~light.masked] * self.per_sum / self.response
        if not fluxes.size:
            return b.sigma * float(np.sqrt(b.area))
        return 1.4826 * float(np.median(np.abs(fluxes - np.median(fluxes))))

    def _cell(self, result: Result, level: Array | float) -> tuple[Array, Array]:
        """Places in output px of a part, and sums of pixels."""
        return self._light(result, level).found()

    def _light(self, result: Result, level: Array | float) -> Light:
        """The picture of a part, above its level."""
        seen = Seen.of(result)
        fine = seen.masked(self.picture(seen.filled, seen) / seen.share)
        above, masked = filled(fine[None], level, self.target.domain)
        return Light(above[0], masked, self.detector)


def _on(result: Result, region: Box) -> Result:
    return Result(replace(result.job, region=region))


def _middle(region: Box) -> Box:
    start = [
        a + max(0, (n - LARGEST) // 2) for a, n in zip(region.start, region.shape, strict=True)
    ]
    stop = [min(b, a + LARGEST) for a, b in zip(start, region.stop, strict=True)]
    return Box(tuple(start), tuple(stop))


def _source(optics: Optics, b: Believed) -> tuple[Array, float, tuple[int, int]]:
    """A source without noise on an empty input, its flux, and its output pixel."""
    flux = point_limit(BRIGHT, b.sigma, optics.area, b.gain)
    side = 2 * (optics.reach + max(12, int(np.ceil(CORE * b.fwhm)) + 1)) + 1
    middle = side * optics.scale // 2
    at = (middle + 0.5) / optics.scale - 0.5
    box, light = optics.expected((at, at), flux)
    out = np.zeros((side, side))
    out[box.slices] = light
    return out, flux, (middle, middle)


__all__ = ["CLASSICAL", "METHODS", "OURS", "Classical", "Found", "ours"]
