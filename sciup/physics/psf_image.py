"""A PSF image on a finer grid: what a smooth profile says, and the rest by its Fourier series.

The image of seeing of 1.8 px is undersampled: its Fourier series is wrong by 7 to 15 % between the
pixels, a spline by 5 to 10 %. So an elliptical Moffat profile is fitted first, known on any grid,
and only what it leaves over is interpolated. The pattern of a telescope without seeing is no Moffat
profile, but its spectrum ends at a frequency that pixels of 1 / 1.8 FWHM nearly hold: there the
series alone is right, beside means over rings against noise. What remains wrong without
noise is 1.7 % at most at 1.8 px, and .1 % from 2.3 px on (docs/design/0055). An image that is
sampled more finely than the input needs no profile: its series alone is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.ndimage import shift, uniform_filter
from scipy.optimize import least_squares

from sciup.errors import OptionError

Array = NDArray[np.float64]

PARTS = 5
"""Points per fine pixel along each axis."""

MISFIT = 0.05
"""A profile that leaves over more than this share of an image is no help."""

REACH = 12
"""Input pixels around the brightest one that the profile is fitted to."""

APRON = 8
"""Pixels around an image in which its mirror image fades: its series must not wrap around."""

NARROW, SEEING = 1.85, 0.02
"""FWHM of a telescope's pattern, px, below which its spectrum does not fit into the pixels, and the
share of an image that a profile leaves over where there is no seeing."""

KNOTS = 0.5
"""Pixels between the knots of the spline of rings."""

ONSET = 3.0, 9.0
"""Radii between which rings set in, px: nearer there are few pixels on a circle, and much light.

A steeper onset has waves that the pixels do not hold (4 to 6.5 px: four times the error).
"""


def fine_psf(psf: Array, oversample: int, side: int, step: float = 1.0) -> Array:
    """A PSF image on the grid of the output; pixel integration stays in it.

    Parameters
    ----------
    psf : ndarray (M, N)
        Integrated over the input pixel, sampled every `step` input px.
    oversample : int
        Fine pixels per input pixel.
    side : int
        Side of the result, odd, fine pixels.
    step : float
        Input px per pixel of `psf`. Where it is not 1 the series alone is used, which is right if
        the FWHM has more than two samples.

    Returns
    -------
    ndarray (side, side)
        With the centre of the core on the middle pixel, sum 1.

    Examples
    --------
    >>> pixels = np.exp(-((np.mgrid[-8:9, -8:9] / 1.2) ** 2).sum(0))
    >>> fine = fine_psf(pixels, 4, 41)
    >>> fine.shape, bool(abs(fine[20, 24] / fine[20, 20] - np.exp(-1 / 1.44)) < 0.02)
    ((41, 41), True)
    """
    psf = np.asarray(psf, np.float64)
    if step != 1:
        middle = np.array(core_centre(psf, 1.2 / step))
        per_pixel = oversample * step
        rest = _above_noise(psf, middle)
        fine = _interpolated(rest, middle - side // 2 / per_pixel, per_pixel, side)
        return np.asarray(fine / fine.sum())
    shape, middle = _fitted(psf.tobytes(), psf.shape)
    profile = np.array(shape)
    first = middle - (side // 2) / oversample
    if not profile[0]:
        fine = _pattern(psf, middle, first, oversample, side)
        return np.asarray(fine / fine.sum())
    coarse = _profile(profile, tuple(psf.shape), 1, (0.0, 0.0))
    fine = _profile(profile, (side, side), oversample, (float(first[0]), float(first[1])))
    fine = fine + _interpolated(_above_noise(psf - coarse, middle), first, oversample, side)
    return np.asarray(fine / fine.sum())


def is_guess(psf: Array, fwhm: float) -> bool:
    """Whether an image sampled like the input is too coarse to say what is between its pixels.

    What a profile describes it describes at any width. Airy patterns of 2.0, 1.9, 1.8 and 1.6 px
    are wrong by .002, .006, .016 and .04.
    """
    psf = np.asarray(psf, np.float64)
    if fwhm > NARROW:
        return False
    shape = np.array(_fitted(psf.tobytes(), psf.shape)[0])
    rest = psf - _profile(shape, (psf.shape[0], psf.shape[1]), 1, (0.0, 0.0))
    left = (rest**2).sum() - psf.size * _variance(psf)
    return bool(left > SEEING**2 * (psf**2).sum())


def _pattern(psf: Array, middle: Array, first: Array, oversample: float, side: int) -> Array:
    """What no profile describes, between its pixels: rings, and the rest that is above the noise.

    The rings of a telescope reach far below the noise of a pixel, but the mean over a ring has a
    tenth of it. What a PSF lacks there becomes sources around every bright star.
    """
    rings = _Rings.of(psf, middle)
    rest = _above_noise(psf - rings.at(np.zeros(2), 1.0, psf.shape), middle)
    return rings.at(first, oversample, (side, side)) + _interpolated(rest, first, oversample, side)


@dataclass(frozen=True)
class _Rings:
    """Means over circles about the middle, as a cubic spline of the radius; 0 near the core."""

    spline: BSpline
    middle: Array
    size: tuple[int, ...]

    @classmethod
    def of(cls, image: Array, middle: Array) -> _Rings:
        """The spline that fits best; where there are too few pixels, the smallest."""
        radius = np.hypot(*(np.indices(image.shape) - middle[:, None, None])).ravel()
        count = int(np.ceil(radius.max() / KNOTS)) + 1
        knots = KNOTS * np.arange(-3, count + 3)
        basis = BSpline.design_matrix(radius, knots, 3).toarray()
        found = np.linalg.lstsq(basis, image.ravel(), rcond=1e-6)[0]
        return cls(BSpline(knots, found, 3), middle, image.shape)

    def at(self, first: Array, oversample: float, shape: tuple[int, ...]) -> Array:
        """On a grid from `first` on, 1 / oversample apart; 0 outside of the image."""
        y, x = (first[i] + np.arange(shape[i]) / oversample for i in (0, 1))
        radius = np.hypot(y[:, None] - self.middle[0], x - self.middle[1])
        t = np.clip((radius - ONSET[0]) / (ONSET[1] - ONSET[0]), 0, 1)
        inside = _inside(y, self.size[0])[:, None] & _inside(x, self.size[1])
        end = float(self.spline.t[-4])
        return np.asarray(self.spline(np.minimum(radius, end)) * t * t * (3 - 2 * t) * inside)


def _inside(at: Array, size: int) -> NDArray[np.bool_]:
    return np.asarray((at > -0.5) & (at < size - 0.5))


def _above_noise(rest: Array, middle: Array) -> Array:
    """What stands above the noise of the image's outer pixels."""
    variance = min(_variance(rest), _oddness(rest, middle))
    power, share = (uniform_filter(x, 5, mode="constant") for x in (rest**2, np.ones_like(rest)))
    power = power / share  # the rim has fewer neighbours, not weaker ones
    keep = np.clip(1 - 2 * variance / np.maximum(power, 1e-300), 0, 1)
    return np.asarray(rest * keep)


def _variance(image: Array) -> float:
    """Variance of white noise in the outermost pixels, also of a small image."""
    noise = np.diff(image, 2, axis=0)[:, 1:-1] + np.diff(image, 2, axis=1)[1:-1]
    # the sum of both second differences of white noise has 20 times its variance
    return (1.4826 * float(np.median(np.abs(noise[_rim(noise)])))) ** 2 / 20


def _oddness(image: Array, middle: Array) -> float:
    """The same from the difference to the image turned by 180 degrees about its middle.

    The pattern of a pupil without aberrations is the same from both sides: the Fourier transform of
    a real function. Fine rings have steep second differences, and no odd part.
    """
    size = np.array(image.shape)
    turned = shift(image[::-1, ::-1], 2 * middle - (size - 1), order=5, mode="nearest")
    odd = image - turned
    return (1.4826 * float(np.median(np.abs(odd[_rim(odd)])))) ** 2 / 2


def _rim(image: Array) -> NDArray[np.bool_]:
    rim = np.ones(image.shape, bool)
    rim[3:-3, 3:-3] = False
    return rim


@lru_cache(maxsize=16)
def _fitted(data: bytes, shape: tuple[int, int]) -> tuple[tuple[float, ...], Array]:
    """Moffat parameters (flux, y, x, fwhm, 1 / beta, e1, e2) and the centre of the core."""
    whole = np.frombuffer(data, np.float64).reshape(shape)
    peak = np.array(np.unravel_index(int(whole.argmax()), shape))
    first, last = np.maximum(peak - REACH, 0), np.minimum(peak + REACH + 1, shape)
    psf = whole[first[0] : last[0], first[1] : last[1]]
    inner = (psf.shape[0], psf.shape[1])
    cy, cx = core_centre(psf, 1.2)
    if not (0 <= cy < psf.shape[0] and 0 <= cx < psf.shape[1]):
        raise OptionError("the PSF image has no core", "a single bright peak above its background")
    total = max(float(psf.sum()), float(psf.max()))

    def rest(p: Any) -> Any:
        return (_profile(p, inner, 1, (0.0, 0.0)) - psf).ravel() / psf.max()

    low = (0, cy - 2, cx - 2, 0.5, 0.02, -0.4, -0.4)
    high = (np.inf, cy + 2, cx + 2, 12.0, 0.6, 0.4, 0.4)
    fit = least_squares(
        rest,
        (total, cy, cx, 2.5, 0.25, 0, 0),
        bounds=(low, high),
        x_scale=(total, 0.1, 0.1, 0.2, 0.05, 0.05, 0.05),
        loss="soft_l1",
        f_scale=0.01,
        max_nfev=60,
    )
    flux, y, x, *form = (float(v) for v in fit.x)
    left = float(((_profile(fit.x, inner, 1, (0.0, 0.0)) - psf) ** 2).sum())
    left -= psf.size * _variance(whole)
    used = flux if left <= MISFIT**2 * float((psf**2).sum()) else 0.0
    centre = _middle(psf, (used, y, x, *form))
    return (used, y + float(first[0]), x + float(first[1]), *form), centre + first


def _middle(psf: Array, shape: tuple[float, ...]) -> Array:
    """Centre of the core, input px, found on a grid four times finer."""
    side = 4 * (min(psf.shape) // 2) + 1
    guess = np.array(shape[1:3])
    first = guess - (side // 2) / 4
    fine = _profile(np.array(shape), (side, side), 4, (float(first[0]), float(first[1])))
    coarse = _profile(np.array(shape), (psf.shape[0], psf.shape[1]), 1, (0.0, 0.0))
    fine = fine + _interpolated(psf - coarse, first, 4, side)
    return np.asarray(first + np.array(core_centre(fine, 4.0)) / 4)


def _profile(p: Any, shape: tuple[int, ...], oversample: int, first: tuple[float, float]) -> Array:
    """A Moffat profile integrated over input pixels, from `first` on, 1 / oversample apart."""
    flux, cy, cx, fwhm, flatness, e1, e2 = p
    step, many = 1 / (oversample * PARTS), oversample * PARTS
    y, x = (
        first[i] - 0.5 + (np.arange((shape[i] - 1) * PARTS + many) + 0.5) * step - (cy, cx)[i]
        for i in (0, 1)
    )
    radius = fwhm / (2 * np.sqrt(2**flatness - 1))
    bent = (
        (1 - e1) * x[None] ** 2 - 2 * e2 * x[None] * y[:, None] + (1 + e1) * y[:, None] ** 2
    ) / (1 - e1**2 - e2**2)
    points = (1 + bent / radius**2) ** (-1 / flatness)
    peak = (1 / flatness - 1) / (np.pi * radius**2 * np.sqrt(1 - e1**2 - e2**2))
    sums = np.pad(points.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    rows, cols = (np.arange(n) * PARTS for n in shape)
    low_r, high_r = rows[:, None], rows[:, None] + many
    boxes = (
        sums[high_r, cols + many]
        - sums[low_r, cols + many]
        - sums[high_r, cols]
        + sums[low_r, cols]
    )
    return np.asarray(flux * peak * boxes * step**2)


def _interpolated(image: Array, first: Array, oversample: float, side: int) -> Array:
    """The Fourier series of an image from `first` on, 1 / oversample apart; 0 outside.

    On a coarser grid without the waves that it cannot hold.
    """
    padded = np.pad(image, APRON, mode="symmetric") * np.outer(*(_ends(n) for n in image.shape))
    out: Any = padded
    for axis in (0, 1):
        n = padded.shape[axis]
        at = first[axis] + np.arange(side) / oversample
        f = np.fft.fftfreq(n)
        waves = np.exp(2j * np.pi * np.outer(at + APRON, f))
        if n % 2 == 0:  # the wave at the Nyquist frequency has no sign
            waves[:, n // 2] = np.cos(np.pi * (at + APRON))
        waves[:, np.abs(f) > oversample / 2] = 0
        inside = _inside(at, image.shape[axis])
        spectrum = np.fft.fft(out, axis=axis)
        out = np.moveaxis(np.tensordot(waves * inside[:, None] / n, spectrum, (1, axis)), 0, axis)
        out = out.real
    return np.asarray(out)


def _ends(size: int) -> Array:
    """1 inside an image, falling to 0 over the apron: without a step the series does not ring."""
    fall = 0.5 + 0.5 * np.cos(np.pi * (np.arange(APRON) + 1) / (APRON + 1))
    return np.concatenate([fall[::-1], np.ones(size), fall])


def core_centre(kernel: Array, sigma: float) -> tuple[float, float]:
    """Centroid under a Gaussian window that follows it: what measures positions of stars.

    Windowed positions: Bertin & Arnouts (1996), A&AS 117, 393, and the SExtractor manual. Wings
    and companions within the PSF image hardly move it.
    """
    rows, cols = np.indices(kernel.shape).astype(float)
    cy, cx = (float(i) for i in np.unravel_index(int(np.argmax(kernel)), kernel.shape))
    for _ in range(50):
        weight = np.exp(-0.5 * ((rows - cy) ** 2 + (cols - cx) ** 2) / sigma**2) * kernel
        if not weight.sum() > 0:
            return float("nan"), float("nan")
        dy, dx = (2 * float((weight * d).sum() / weight.sum()) for d in (rows - cy, cols - cx))
        cy, cx = cy + dy, cx + dx
        if np.hypot(dy, dx) < 1e-4:
            break
    return cy, cx


__all__ = ["core_centre", "fine_psf", "is_guess"]
