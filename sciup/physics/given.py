"""What a user states of the instrument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sciup.errors import OptionError

MOST_ERROR = 0.5
"""A PSF whose width is known less well is not known."""


@dataclass(frozen=True, slots=True)
class Given:
    """Values that the user states; None means "find out".

    Attributes
    ----------
    psf_fwhm : float, optional
        Total instrument PSF before pixel integration, FWHM in input px.
    psf : ndarray or PsfImage, optional
        PSF image, an array on the input grid; goes before `psf_fwhm`.
    electrons_per_unit : float, optional
        Detected electrons per unit of the image.
    read_noise : float, optional
        Electrons.
    background : float, optional
        Level in input units: pedestal of a micrograph, sky of an astronomical image.
    noise_sigma : float, optional
        Noise of the background in input units.
    psf_error : float, optional
        Standard deviation of the width of the PSF as a share of it; see `Instrument`.
    """

    psf_fwhm: float | None = None
    psf: Any = None
    electrons_per_unit: float | None = None
    read_noise: float | None = None
    background: float | None = None
    noise_sigma: float | None = None
    psf_error: float | None = None

    def __post_init__(self) -> None:
        rules = {
            "psf_fwhm": ("--psf-fwhm", 0.3, 30.0, "input pixels"),
            "electrons_per_unit": ("--gain", 0.0, np.inf, "electrons per unit"),
            "read_noise": ("--read-noise", -1e-12, np.inf, "electrons"),
            "noise_sigma": ("--noise-sigma", 0.0, np.inf, "input units"),
        }
        for name, (option, low, high, unit) in rules.items():
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and low < value < high):
                limits = f"a number above {max(low, 0):g}" + (
                    f" and below {high:g}" if high < 1e9 else ""
                )
                raise OptionError(f"{option} {value:g} is not possible", f"{limits} {unit}")
        if self.background is not None and not np.isfinite(self.background):
            raise OptionError(f"--background {self.background} is not a number", "input units")
        if self.psf_error is not None and not 0 <= self.psf_error <= MOST_ERROR:
            raise OptionError(
                f"--psf-error {100 * self.psf_error:g}% is not possible",
                f"0% (known) to {100 * MOST_ERROR:g}% of the width of the PSF",
            )


__all__ = ["Given"]
