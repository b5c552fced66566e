"""Two images of the same field on the same grid: how far apart, how much brighter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import fourier_shift

from sciup.errors import InputError
from sciup.physics.registration import shift_between

Array = NDArray[np.float64]

FARTHEST = 3.0
"""Largest shift that is taken for one, px."""

STILL = 0.05
"""Shifts below this are not corrected, px."""

TURNS = 4


@dataclass(frozen=True)
class Fit:
    """How the other image lies and shines: ``other = gain * ours(moved by shift) + level``.

    Attributes
    ----------
    shift : (float, float)
        (y, x) in px: how far ours must be moved to lie on the other.
    gain, gain_error, level : float
    """

    shift: tuple[float, float]
    gain: float
    gain_error: float
    level: float

    def apply(self, image: Array) -> Array:
        """Our image as the other shows it."""
        return self.gain * moved(image, self.shift) + self.level


def fit(ours: Array, other: Array, sigma: Array) -> Fit:
    """Shift, gain and level of another image, by phase correlation and weighted least squares.

    Parameters
    ----------
    ours : ndarray (h, w)
        Without NaN.
    other, sigma : ndarray (h, w)
        NaN where there are no data.

    Raises
    ------
    InputError
        If the images are further apart than `FARTHEST`, or do not show the same.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64]
    >>> ours = np.exp(-((y - 30) ** 2 + (x - 33) ** 2) / 20)
    >>> other = 2 * np.exp(-((y - 30.5) ** 2 + (x - 32) ** 2) / 20) + 0.3
    >>> found = fit(ours, other, np.full_like(other, 0.01))
    >>> [round(v, 1) for v in (*found.shift, found.gain, found.level)]
    [0.5, -1.0, 2.0, 0.3]
    """
    known = np.isfinite(other) & np.isfinite(sigma)
    if known.mean() < 0.5:
        raise InputError("less than half of the other image has data", "a field without large gaps")
    filled = np.where(known, other, np.median(other[known]))
    shift = shift_between(filled, ours)
    if np.abs(shift).max() <= FARTHEST:  # what is left over is measured better
        shift = shift + shift_between(filled, moved(ours, (float(shift[0]), float(shift[1]))))
    if np.abs(shift).max() > FARTHEST:
        raise InputError(
            f"the other image is shifted by {shift[0]:.1f}, {shift[1]:.1f} px, or shows another"
            " field",
            f"at most {FARTHEST:g} px",
            "register it first, onto the same grid",
        )
    seen = moved(ours, (float(shift[0]), float(shift[1])))
    gain, error, level = _line(seen[known], other[known], sigma[known])
    if not gain > 3 * error:
        raise InputError("the other image has nothing in common with this one: another field?")
    return Fit((float(shift[0]), float(shift[1])), gain, error, level)


def moved(image: Array, shift: tuple[float, float]) -> Array:
    """An image moved by parts of a pixel in Fourier space, mirrored at the edges."""
    if max(map(abs, shift)) < STILL:
        return image
    rim = 8
    wide = np.pad(image, rim, mode="symmetric")
    out = np.fft.ifft2(fourier_shift(np.fft.fft2(wide), shift)).real
    return np.asarray(out[rim:-rim, rim:-rim])


def _line(x: Array, y: Array, sigma: Array) -> tuple[float, float, float]:
    """Slope with its error, and offset; what is off by more than 4 sigma counts less each turn."""
    weight = sigma**-2.0
    slope = error = level = 0.0
    for _ in range(TURNS):
        total = weight.sum()
        mean_x, mean_y = (weight * x).sum() / total, (weight * y).sum() / total
        square = (weight * (x - mean_x) ** 2).sum()
        if not square > 0:
            raise InputError("the result has no contrast here", "a region with structure")
        slope = float((weight * (x - mean_x) * (y - mean_y)).sum() / square)
        level = float(mean_y - slope * mean_x)
        z = (y - slope * x - level) / sigma
        error = float(np.sqrt(max(1.0, (z**2).mean()) / square))
        weight = sigma**-2.0 / np.maximum(1.0, np.abs(z) / 4)
    return slope, error, level


__all__ = ["Fit", "fit", "moved"]
