"""What a measurement knows besides the pixels of one draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciup.image import Domain

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

GAP, RING = 2, 4
"""Between a region and the ring around it, and the width of that; FWHM of the output's PSF."""


@dataclass(frozen=True)
class Context:
    """About one region in its window.

    Attributes
    ----------
    weights : ndarray (h, w)
        Share of each pixel that the region covers, 0 to 1.
    ring : ndarray (h, w) of bool
        Pixels around the region, for a local background.
    centre : (float, float)
        Middle of the region in the window, (y, x) in px.
    corner : (float, float)
        Centre of the window's first pixel in input px.
    level : float, ndarray (h, w) or None
        Background per output pixel, where it is known; None: take the ring's.
    noise : float
        Of the background per output pixel.
    fwhm : float
        Of the declared output PSF, output px.
    scale : int
        Output px per input px along each axis.
    flux : int
        Value of an input pixel over that of an output pixel of the same brightness.
    step : float
        Side of an output pixel in `length_unit`.
    length_unit : str
        Physical, or ``pix`` for input px where no pixel size is known.
    unit : str or None
        Of the input's values.
    domain : {"night-sky", "fluorescence"}
    """

    weights: Array
    ring: Mask
    centre: tuple[float, float]
    corner: tuple[float, float]
    level: float | Array | None
    noise: float
    fwhm: float
    scale: int
    flux: int
    step: float
    length_unit: str
    unit: str | None
    domain: Domain

    def light(self, image: Array) -> Array:
        """The image above its background; 0 where it is masked.

        The background is `level`, or the median of the ring; NaN everywhere if the ring is empty.
        """
        if self.level is not None:
            return np.where(np.isfinite(image), image - self.level, 0.0)
        around = image[self.ring]
        around = around[np.isfinite(around)]
        if not around.size:
            return np.full(image.shape, np.nan)
        return np.where(np.isfinite(image), image - float(np.median(around)), 0.0)

    def to_input(self, y: float, x: float) -> tuple[float, float]:
        """A position in the window in input px, counted from 0."""
        return self.corner[0] + y / self.scale, self.corner[1] + x / self.scale


def ring_around(mask: Mask, fwhm: float) -> Mask:
    """Pixels `GAP` to `GAP` + `RING` FWHM away from a region."""
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return np.zeros_like(mask)
    away = distance_transform_edt(~mask)
    return np.asarray((away > GAP * fwhm) & (away <= (GAP + RING) * fwhm))


__all__ = ["GAP", "RING", "Array", "Context", "Mask", "ring_around"]
