"""Input units to the working units of a domain and back.

The only place where values change their meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.image import Image, Plane
from sciup.physics.instrument import Instrument
from sciup.physics.mesh import Field, Mesh
from sciup.physics.planes import NoiseModel
from sciup.stretch import AnscombeStretch, AsinhStretch, Stretch

Values = NDArray[np.float32]

LEAST_NOISE = 0.1
"""Electrons: pixels that counted nothing with a camera without read noise have a noise, too."""


class WorkingUnits(Protocol):
    """One plane's conversion between input units and working units."""

    stretch: Stretch
    background: float  # working units

    def forward(self, values: Values, box: Box) -> Values:
        """Input units to working units."""

    def noise(self, box: Box) -> NoiseModel | Values:
        """Noise model, or one-sigma noise per pixel in working units where the file brings it."""

    def inverse(self, v: Values, box: Box, scale: int) -> Values:
        """Working units on the fine grid (box: input pixels) to output units."""

    def width(self, v: Values, box: Box, scale: int) -> Values:
        """Differences in working units to differences in output units."""


@dataclass
class Electrons:
    """Fluorescence: electrons above the pedestal, Anscombe stretch."""

    image: Image
    plane: Plane
    instrument: Instrument

    def __post_init__(self) -> None:
        i = self.instrument
        self.gain = float(i.electrons_per_unit.value)
        self.pedestal = float(i.background.value)
        self.read_noise = float(i.read_noise.value)
        self.background = (float(i.dark.value) - self.pedestal) * self.gain
        bright = (float(i.bright.value) - self.pedestal) * self.gain
        if not bright > self.background:
            raise InputError("the bright end of the image is not above its dark end")
        self.stretch: Stretch = AnscombeStretch.between(self.background, bright, self.read_noise)
        self.louder = _louder(i)

    def forward(self, values: Values, box: Box) -> Values:
        """Electrons."""
        return (values - np.float32(self.pedestal)) * np.float32(self.gain)

    def noise(self, box: Box) -> NoiseModel | Values:
        """Read noise and Poisson noise, or the file's error map."""
        sigma = _file_sigma(self.image, self.plane, box)
        if sigma is not None:
            return (sigma * np.float32(self.gain * self.louder)).astype(np.float32)
        return NoiseModel(max(self.read_noise, LEAST_NOISE), 1.0)

    def inverse(self, v: Values, box: Box, scale: int) -> Values:
        """Input units: the intensity is kept."""
        flux = scale**2 if self.image.flux_per_pixel else 1
        return v * np.float32(1 / (self.gain * flux)) + np.float32(self.pedestal / flux)

    def width(self, v: Values, box: Box, scale: int) -> Values:
        """Differences in input units."""
        flux = scale**2 if self.image.flux_per_pixel else 1
        return v * np.float32(1 / (self.gain * flux))


@dataclass
class SkySigmas:
    """Night sky: sigmas of the sky above the background mesh, asinh stretch."""

    image: Image
    plane: Plane
    instrument: Instrument

    def __post_init__(self) -> None:
        i = self.instrument
        self.louder = _louder(i)
        typical = (float(i.background.value), float(i.noise_sigma.value) / self.louder)
        self.mesh = Mesh(
            self.image.sky_source,
            self.plane,
            level=typical[0] if i.background.origin == "given" else None,
            sigma=typical[1] if i.noise_sigma.origin == "given" else None,
            fallback=typical,
        )
        self.per_signal = 1 / (float(i.electrons_per_unit.value) * typical[1] * self.louder)
        self.background = 0.0
        self.stretch: Stretch = AsinhStretch()

    def _fields(self, box: Box, scale: int = 1) -> tuple[Field, Field]:
        """Level and sigma of the sky, the latter as many times as loud as the mesh says."""
        level, sigma = self.mesh.fields(box, scale)
        return level, sigma if self.louder == 1 else np.asarray(sigma * self.louder)

    def forward(self, values: Values, box: Box) -> Values:
        """Sky sigmas."""
        level, sigma = self._fields(box)
        return ((values - level) / sigma).astype(np.float32)

    def noise(self, box: Box) -> NoiseModel | Values:
        """The sky's sigma with Poisson noise of the sources, or the file's error map."""
        sigma = _file_sigma(self.image, self.plane, box)
        if sigma is not None:
            return (self.louder * sigma / self._fields(box)[1]).astype(np.float32)
        return NoiseModel(1.0, self.per_signal)

    def inverse(self, v: Values, box: Box, scale: int) -> Values:
        """Input units; a flux per pixel is divided by scale^2."""
        level, sigma = self._fields(box.scaled(scale), scale)
        flux = scale**2 if self.image.flux_per_pixel else 1
        return ((v.astype(np.float64) * sigma + level) / flux).astype(np.float32)

    def width(self, v: Values, box: Box, scale: int) -> Values:
        """Differences in output units."""
        _, sigma = self._fields(box.scaled(scale), scale)
        flux = scale**2 if self.image.flux_per_pixel else 1
        return (v.astype(np.float64) * sigma / flux).astype(np.float32)


def working_units(image: Image, plane: Plane, domain: str, instrument: Instrument) -> WorkingUnits:
    """The conversion that the generators of a domain were trained with."""
    kind = SkySigmas if domain == "night-sky" else Electrons
    return kind(image, plane, instrument)


def _louder(instrument: Instrument) -> float:
    """Factor on all noise that is measured or that the file brings."""
    factor = instrument.noise_factor.value
    return 1.0 if factor is None else float(factor)


def _file_sigma(image: Image, plane: Plane, box: Box) -> Values | None:
    """The file's noise map on a box that may stick out; invalid values become the largest valid."""
    from sciup.image import mirror

    inside = box.intersect(Box.of_shape(image.plane_shape))
    if inside.size == 0 or image.load_sigma((*plane,), Box(inside.start, inside.start)) is None:
        return None
    rows, cols = (
        mirror(a, b, n) for a, b, n in zip(box.start, box.stop, image.plane_shape, strict=True)
    )
    part = Box((int(rows.min()), int(cols.min())), (int(rows.max()) + 1, int(cols.max()) + 1))
    sigma = image.load_sigma(plane, part)
    if sigma is None:
        return None
    good = np.isfinite(sigma) & (sigma > 0)
    if not good.any():
        return None
    sigma = np.where(good, sigma, sigma[good].max()).astype(np.float32)
    return sigma[np.ix_(rows - part.start[0], cols - part.start[1])]
