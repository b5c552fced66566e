"""What to look for in the draws of a run, from what it believes of the instrument."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciup.errors import OptionError
from sciup.existence.points import SIGMA_TO_FWHM
from sciup.existence.target import Target, point_limit
from sciup.existence.union import Array
from sciup.physics.instrument import Instrument
from sciup.physics.psf import moffat


@dataclass(frozen=True)
class Believed:
    """A target, and the units of the input.

    Attributes
    ----------
    target : Target
        In pixels and units of the draws.
    per_sum : float
        Flux in input units and px of a sum of pixels of the draws.
    limit : float
        Least flux, input units.
    sigma, gain : float
        Noise of an input pixel; electrons per input unit.
    area : float
        Input pixels whose noise adds up in a flux.
    fwhm : float
        Of the input's PSF, input px.
    """

    target: Target
    per_sum: float
    limit: float
    sigma: float
    gain: float
    area: float
    fwhm: float

    @classmethod
    def of(
        cls,
        kind: str,
        snr: float,
        instrument: Instrument,
        *,
        scale: int,
        target_fwhm: float,
        flux: int,
    ) -> Believed:
        """What `kind` means in a run.

        Parameters
        ----------
        kind : str
            One of `sciup.existence.KINDS`.
        snr : float
            Of the faintest point source that counts, in the noise of the input.
        instrument : Instrument
        scale, target_fwhm : int, float
            Of the model.
        flux : int
            Value of an input pixel over that of an output pixel of the same brightness.
        """
        if not (np.isfinite(snr) and snr > 0):
            raise OptionError(f"a limit of S/N {snr}", "a number above 0")
        sigma, gain = (
            float(f.value) for f in (instrument.noise_sigma, instrument.electrons_per_unit)
        )
        width, per_sum = float(instrument.psf_fwhm.value), flux / scale**2
        psf_area = noise_area(instrument)
        limit = point_limit(snr, sigma, psf_area, gain)
        target = Target.of(
            kind,
            fwhm=target_fwhm,
            input_fwhm=width * scale,
            limit=limit / per_sum,
            noise=sigma / flux,
        )
        area = target.area(psf_area * scale**2) / scale**2
        return cls(target, per_sum, limit, sigma, gain, area, width)

    def snr(self, flux: Array) -> Array:
        """S/N in the input of fluxes in input units: `point_limit`, the other way round."""
        noise = self.sigma**2 * self.area + np.maximum(flux, 0) / self.gain
        return np.asarray(flux / np.sqrt(noise))


def noise_area(instrument: Instrument) -> float:
    """Input pixels N whose noise a fit of the PSF sums up: ``1 / sum(p^2)`` of its image p.

    An image that is sampled more finely says so of the mean over all places of a source in a pixel.

    A PSF of which only the width is known is a Gaussian, or a Moffat profile where its exponent is
    known; a pixel adds 1/12 to the variance of a Gaussian.
    """
    if instrument.psf.value is not None:
        p = np.asarray(instrument.psf.value, float)
        return float(p.sum() ** 2 / (p**2).sum() * float(instrument.psf_step.value or 1) ** 2)
    fwhm = float(instrument.psf_fwhm.value)
    if instrument.psf_beta.value is not None:
        side = 2 * int(np.ceil(8 * fwhm)) + 1
        return float(1 / (moffat(side, fwhm, float(instrument.psf_beta.value)) ** 2).sum())
    return float(4 * np.pi * ((fwhm / SIGMA_TO_FWHM) ** 2 + 1 / 12))


__all__ = ["Believed", "noise_area"]
