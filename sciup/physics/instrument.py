"""What is believed about the instrument, value by value, with the origin of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from sciup.image import Fact
from sciup.physics.packed import packed, unpacked
from sciup.physics.psf import (
    SHARPEST,
    Kernel,
    moffat,
    relative_analytic,
    relative_gaussian,
    relative_measured,
)

DISAGREE = 1.15
"""Factor between a stated FWHM and that of the stars.

Of 78 simulated fields none had more where the statement was right, and all had where it was off by
30 %.
"""

NONE = Fact(None, "assumed")
"""A value that is not in use."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """Facts about the instrument of one plane of one image; unused ones have the value None.

    Attributes
    ----------
    psf_fwhm, psf : Fact
        FWHM in input px (total, before pixel integration) and the PSF image.
    electrons_per_unit, read_noise : Fact
        Electrons per unit; electrons.
    background : Fact
        Pedestal (fluorescence) or typical sky level, input units.
    noise_sigma : Fact
        Noise of the dark background, input units.
    correlation : Fact
        Correlation of neighbouring pixels' noise.
    dark, bright : Fact
        Ends of the stretch, input units (fluorescence).
    psf_beta : Fact
        Moffat exponent of a PSF of which only the FWHM is known (night sky); None: Gaussian.
    star_fwhm : Fact
        FWHM of the stars in the image where another one was stated (night sky), input px.
    noise_factor : Fact
        Factor on the noise of a mesh or of a file's noise map, where a variation asks for one.
    psf_step : Fact
        Input px per pixel of the PSF image where that is not on the input grid.
    psf_error : Fact
        Standard deviation of the logarithm of the width of the PSF, where samples are to be drawn
        with different widths (`sciup.physics.psf_error`); None: the width counts as known.
    psf_cells, psf_cell : Fact
        Images (rows, columns, M, N) of a PSF that varies, on a grid of cells from pixel 0 on,
        sampled like `psf`, which is that of one place; side of a cell, input px
        (`sciup.physics.psf_cells`).
    """

    psf_fwhm: Fact
    psf: Fact
    electrons_per_unit: Fact
    read_noise: Fact
    background: Fact
    noise_sigma: Fact
    correlation: Fact
    dark: Fact
    bright: Fact
    psf_beta: Fact = NONE
    star_fwhm: Fact = NONE
    noise_factor: Fact = NONE
    psf_step: Fact = NONE
    psf_error: Fact = NONE
    psf_cells: Fact = NONE
    psf_cell: Fact = NONE

    @property
    def contradiction(self) -> str:
        """What the image says against what was stated; empty if it agrees or cannot tell.

        Examples
        --------
        >>> facts = {f.name: Fact(None, "assumed") for f in fields(Instrument)}
        >>> said, seen = Fact(3.0, "given", "--psf-fwhm"), Fact(2.3, "estimated", "24 stars")
        >>> Instrument(**facts | {"psf_fwhm": said, "star_fwhm": seen}).contradiction
        'the PSF is stated as 3 input px wide (--psf-fwhm), but 24 stars say 2.3'
        """
        said, seen = self.psf_fwhm.value, self.star_fwhm.value
        if said is None or seen is None or 1 / DISAGREE < seen / said < DISAGREE:
            return ""
        return (
            f"the PSF is stated as {said:.3g} input px wide ({self.psf_fwhm.note}), but"
            f" {self.star_fwhm.note} say {seen:.3g}"
        )

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(name, value, origin, note) of every value in use, for a table."""
        out = []
        for f in fields(self):
            fact: Fact = getattr(self, f.name)
            if fact.value is None:
                continue
            out.append((f.name, _shown(fact.value), str(fact.origin), fact.note))
        return out

    def as_json(self) -> dict[str, Any]:
        """JSON-ready, exact enough to resume from."""
        facts = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: {"value": packed(fact.value), "origin": fact.origin, "note": fact.note}
            for name, fact in facts.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Mapping[str, Any]]) -> Instrument:
        """Inverse of `as_json`."""
        return cls(
            **{
                name: Fact(unpacked(item["value"]), item["origin"], item["note"])
                for name, item in data.items()
            }
        )

    def relative_kernel(self, scale: int, target_fwhm: float, side: int) -> Kernel:
        """Kernel from the declared output PSF to this instrument, on the fine grid."""
        if self.psf.value is not None:
            step = float(self.psf_step.value or 1)
            return relative_measured(side, self.psf.value, scale, target_fwhm, step)
        fwhm = float(self.psf_fwhm.value) * scale
        if self.psf_beta.value is None:
            return relative_gaussian(side, fwhm, target_fwhm)
        width = max(fwhm, SHARPEST * target_fwhm)
        total = moffat(4 * side + 1, width, float(self.psf_beta.value))
        return relative_analytic(total, side, target_fwhm)


def _shown(value: Any) -> str:
    """A value in a table."""
    if not isinstance(value, np.ndarray):
        return f"{value:.5g}"
    count, size = value.shape[:-2], " x ".join(map(str, value.shape[-2:]))
    return f"{' x '.join(map(str, count))} images of {size} px" if count else f"image {size} px"


__all__ = ["NONE", "Instrument"]
