"""The region that all methods get, in the units in which they work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from sciup.api import Result
from sciup.engine.job import Worker
from sciup.engine.units import Electrons
from sciup.evaluate.draws import Measurement, measurement
from sciup.evaluate.fluorescence.protocol import Light
from sciup.physics.projection import kernel_side
from sciup.physics.psf import moments

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """A measured region, and what is believed about its light.

    Attributes
    ----------
    result : Result
        Of a sampler on the region: the instrument, the grid, the scale.
    measured : Measurement
        In input units.
    filled : ndarray (h, w)
        Input units; masked pixels have the background.
    kernel : ndarray
        PSF on the output grid, less what the declared output PSF keeps.
    """

    result: Result
    measured: Measurement
    filled: Array
    kernel: Array

    @classmethod
    def of(cls, result: Result) -> Seen:
        """Read the region of a result."""
        seen, model = measurement(result), result.job.model
        kernel = result.instrument.relative_kernel(
            model.scale, model.target_fwhm, kernel_side(model.scale)
        )
        return cls(result, seen, np.where(seen.footprint, seen.values, seen.level), kernel)

    @property
    def scale(self) -> int:
        """Output pixels per input pixel."""
        return self.result.job.model.scale

    @property
    def night_sky(self) -> bool:
        """Whether the region is shown and deconvolved as one of the night sky."""
        return self.result.job.model.domain == "night-sky"

    @property
    def share(self) -> int:
        """By what values of input pixels are divided on the output grid."""
        return self.scale**2 if self.result.job.image.flux_per_pixel else 1

    @property
    def fwhm(self) -> float:
        """FWHM of `kernel` in input pixels."""
        return float(moments(self.kernel)[0]) / self.scale

    @property
    def light(self) -> Light:
        """From input units to electrons.

        In the night sky noise of one sigma is that of a sky of sigma^2 electrons.
        """
        job = self.result.job
        if self.night_sky:
            gain = float(self.result.instrument.electrons_per_unit.value)
            level, sigma = (float(np.nanmedian(x)) for x in (self.measured.level, self._noise))
            sky = (gain * sigma) ** 2
            peak = gain * float(np.nanpercentile(self.filled - level, 99.9))
            return Light(sky, max(peak, gain * sigma), gain, level - sky / gain, 0.0)
        units = Worker(job).sampler(0, next(job.image.planes)).units
        if not isinstance(units, Electrons):
            raise TypeError("micrographs are measured in electrons")
        bright = (float(self.result.instrument.bright.value) - units.pedestal) * units.gain
        peak = max(bright - units.background, 1.0)
        return Light(units.background, peak, units.gain, units.pedestal, units.read_noise)

    @property
    def _noise(self) -> Array:
        return self.measured.sigma

    @property
    def unspoilt(self) -> NDArray[np.bool_]:
        """Input pixels whose prediction needs no masked pixel, (h, w)."""
        reach = -(-(self.kernel.shape[0] // 2) // self.scale)
        holes = binary_dilation(~self.measured.footprint, np.ones((3, 3)), iterations=reach)
        return ~np.asarray(holes, bool)

    def masked(self, fine: Array) -> Array:
        """Values on the output grid, NaN where the input has no data."""
        s = self.scale
        return np.where(self.measured.footprint.repeat(s, 0).repeat(s, 1), fine, np.nan)
