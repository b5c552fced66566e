"""The light of a source as the instrument of a run would have measured it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from sciup.api import Result
from sciup.errors import InputError
from sciup.evaluate.metrics import block_mean
from sciup.existence.believed import noise_area
from sciup.existence.target import Light, Target
from sciup.geometry import Box
from sciup.physics.instrument import Instrument
from sciup.physics.projection import REACH_A, kernel_side
from sciup.physics.psf import Kernel
from sciup.physics.psf_cells import Cell, cell_of, in_cell

Array = NDArray[np.float64]

POINT = np.ones((1, 1))
"""The stamp of a point source."""

LARGEST = 512
"""Side of a stamp, output px."""

MOST_PHOTONS = 1e18
"""Of one source: what numpy can count, and no camera."""


@dataclass(frozen=True)
class Patch:
    """What one source adds to the input.

    Attributes
    ----------
    box : Box
        Input px; may stick out of the image.
    light : ndarray
        Expected, input units.
    counted : ndarray
        The same with the noise of its photons.
    """

    box: Box
    light: Array
    counted: Array


@dataclass(frozen=True)
class Optics:
    """From a source to input pixels: the PSF that a run believes in, and the pixels.

    A source is convolved with the declared PSF of the output, which makes it a truth as sharp as
    the result, then as in A of `sciup.physics.projection`: with the relative kernel, and summed
    over input pixels.

    Attributes
    ----------
    scale : int
        Fine px per input px.
    target_fwhm : float
        Of the declared output PSF, a Gaussian, fine px.
    kernel : ndarray
        Relative kernel, fine px.
    gain : float
        Electrons per input unit.
    stamp : ndarray
        Light of a source on the fine grid, before any PSF, of sum 1.
    point_area : float
        Input px whose noise adds up in the flux of a point source.
    instrument : Instrument, optional
        Whose PSF may vary over the field; `kernel` and `point_area` are those of its middle.
    """

    scale: int
    target_fwhm: float
    kernel: Kernel
    gain: float
    stamp: Array
    point_area: float
    instrument: Instrument | None = None
    _made: dict[Cell, Optics] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, result: Result, stamp: Array | None = None) -> Optics:
        """The optics of a run; `stamp`: light of a source on its output grid, a point by default.

        Raises
        ------
        InputError
            For a stamp that is no image of light.
        """
        model, i = result.job.model, result.instrument
        kernel = i.relative_kernel(model.scale, model.target_fwhm, kernel_side(model.scale))
        light = POINT if stamp is None else checked(stamp)
        gain = float(i.electrons_per_unit.value)
        return cls(model.scale, model.target_fwhm, kernel, gain, light, noise_area(i), i)

    @property
    def reach(self) -> int:
        """Input px around a place that its light may touch."""
        fine = self.kernel.shape[0] // 2 + self._half + max(self.stamp.shape) // 2 + 1
        return max(REACH_A, int(np.ceil(fine / self.scale))) + 1

    @property
    def _half(self) -> int:
        """Fine px within which the declared PSF lies: beyond 2.5 FWHM it is below 1e-7."""
        return int(np.ceil(2.5 * self.target_fwhm)) + 1

    @cached_property
    def area(self) -> float:
        """Input px whose noise adds up in an optimal flux: ``1 / sum(p^2)`` for the image p."""
        if self.stamp.size == 1:
            return self.point_area
        return float(1 / (self.expected((0.0, 0.0), 1.0)[1] ** 2).sum())

    def at(self, place: tuple[float, float]) -> Optics:
        """The optics of a place: a window there is drawn with the PSF of its cell."""
        here = tuple(int(np.floor(p + 0.5)) for p in place)
        cell = None if self.instrument is None else cell_of(self.instrument, here)
        if self.instrument is None or cell is None:
            return self
        if cell not in self._made:
            own = in_cell(self.instrument, cell)
            kernel = own.relative_kernel(self.scale, self.target_fwhm, len(self.kernel))
            self._made[cell] = replace(self, kernel=kernel, instrument=None)
        return self._made[cell]

    def expected(self, place: tuple[float, float], flux: float) -> tuple[Box, Array]:
        """Box and light of a source.

        Parameters
        ----------
        place : (float, float)
            Of the middle of the stamp, input px (y, x), pixel centres at integers.
        flux : float
            Sum over input pixels, input units.
        """
        (box, sharp), s = self.sharp(place), self.scale
        return box, flux * block_mean(fftconvolve(sharp, self.kernel, "same"), s) * s**2

    def sharp(self, place: tuple[float, float]) -> tuple[Box, Array]:
        """Box in input px, and on its fine grid a source of flux 1 as sharp as the result."""
        s, reach = self.scale, self.reach
        start = tuple(round(p) - reach for p in place)
        box = Box(start, tuple(a + 2 * reach + 1 for a in start))
        # of the first pixel of the stamp, in fine px of the box: whole ones and what is left over
        first = [
            (p - a + 0.5) * s - 0.5 - (n - 1) / 2
            for p, a, n in zip(place, start, self.stamp.shape, strict=True)
        ]
        whole = [round(f) for f in first]
        fine = np.zeros(tuple(n * s for n in box.shape))
        rows, cols = (slice(a, a + n) for a, n in zip(whole, self.stamp.shape, strict=True))
        fine[rows, cols] = self.stamp
        declared = self._declared(first[0] - whole[0], first[1] - whole[1])
        return box, fftconvolve(fine, declared, "same")

    def held(self, target: Target) -> float:
        """Share of the light of a stamp that a detector of points gives, without noise."""
        if self.stamp.size == 1:
            return 1.0
        image = self.sharp((0.0, 0.0))[1]
        middle = np.full((1, 2), (image.shape[0] - 1) / 2)
        return float(Light(image, np.zeros(image.shape, bool), target).fluxes(middle)[0])

    def _declared(self, dy: float, dx: float) -> Array:
        """The declared PSF of the output, moved by parts of a pixel."""
        step = np.arange(-self._half, self._half + 1)
        rows, cols = (
            np.exp(-4 * np.log(2) * ((step - d) / self.target_fwhm) ** 2) for d in (dy, dx)
        )
        return np.outer(rows / rows.sum(), cols / cols.sum())

    def patch(self, place: tuple[float, float], flux: float, seed: tuple[int, ...]) -> Patch:
        """A source with the Poisson noise of its light; the same for the same seed.

        What a kernel with negative lobes takes away is taken away without noise.

        Raises
        ------
        InputError
            For more photons than can be counted.
        """
        box, light = self.at(place).expected(place, flux)
        if not flux * self.gain < MOST_PHOTONS:
            raise InputError(
                f"a source of flux {flux:g} has {flux * self.gain:.3g} photons",
                f"fewer than {MOST_PHOTONS:g}",
                "give fainter sources, or the right --gain",
            )
        rng = np.random.default_rng(seed)
        counted = rng.poisson(np.maximum(light, 0) * self.gain) / self.gain
        return Patch(box, light, counted + np.minimum(light, 0))


def checked(stamp: Array) -> Array:
    """A stamp of sum 1.

    Examples
    --------
    >>> checked(np.full((2, 2), 3.0)).tolist()
    [[0.25, 0.25], [0.25, 0.25]]
    """
    stamp = np.asarray(stamp, np.float64)
    allowed = f"a two-dimensional image of light, at most {LARGEST} px per side, of positive sum"
    if stamp.ndim != 2 or not stamp.size or max(stamp.shape) > LARGEST:
        raise InputError(f"the stamp has shape {stamp.shape}", allowed)
    if not (np.isfinite(stamp).all() and stamp.sum() > 0):
        raise InputError(f"the stamp has the sum {stamp.sum():g}", allowed)
    return np.asarray(stamp / stamp.sum())


def total(patches: Iterable[Patch], box: Box, counted: bool = True) -> Array:
    """What sources add to the pixels of a box, with the noise of their photons or without."""
    out = np.zeros(box.shape)
    for patch in patches:
        both = patch.box.intersect(box)
        if both.size:
            values = patch.counted if counted else patch.light
            out[both.relative_to(box).slices] += values[both.relative_to(patch.box).slices]
    return out


__all__ = ["POINT", "Optics", "Patch", "checked", "total"]
