"""How wide the PSF of a micrograph may be, from how fast its power spectrum falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sciup.physics.psf import SIGMA_TO_FWHM

WINDOW = 32
"""Side of the windows whose spectra are averaged, px; smaller where the image is."""
LEAST = 10
"""Side of the smallest image that has a spectrum."""
EDGES = np.array([0.022, 0.047, 0.078, 0.11, 0.15, 0.2, 0.26, 0.33, 0.41, 0.5, 0.71])
"""Edges of the rings of the spectrum, cycles per px, without the mean level."""
MIDDLE = np.exp(-2)
"""Frequency about which the scenes' spectra are written down."""
OVERLAP = 0.6
"""Share of half-lapped windows that count as independent."""
STEPS, DAMPING, DAMPED = 30, 0.1, 5.0
"""Of Marquardt's method: steps, first damping, and what it grows by after a step that failed."""
LOW = np.s_[1:4]
"""Rings that say how bright a scene is."""
LEAST_SHARE = 0.05
"""Of the power of a ring that counts as signal where noise explains it all."""
EXCESS = 2.0
"""Noise over the power of every ring from which on one of both is wrong."""
FREE = 5.0
"""Standard deviation of the logarithm of the brightness: no prior worth the name."""

WIDTHS = np.geomspace(0.6, 4.5, 33)
"""Widths that are compared, FWHM in px."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scenes:
    """What is known before an image is seen: normal priors, fitted on training images.

    The logarithm of a scene's power is ``a - slope u - fall f^2 + bend u^2`` with u = ln(f / 0.135)
    and an unknown a; each is a mean and a standard deviation.

    Attributes
    ----------
    slope, fall, bend : (float, float)
    width : (float, float)
        Logarithm of the FWHM, px.
    rough, rough_window, redder : float
        Scatter of log power about that curve at u = 0: of any number of windows, what one window
        adds to it, and the power of f that both grow with.
    noise, noise_window : float
        Error of the logarithm of the noise that is found out: the same two.
    """

    slope: tuple[float, float]
    fall: tuple[float, float]
    bend: tuple[float, float]
    width: tuple[float, float]
    rough: float
    rough_window: float
    redder: float
    noise: float
    noise_window: float


SCENES = Scenes(
    slope=(2.01, 1.11),
    fall=(1.98, 7.7),
    bend=(-0.32, 0.40),
    width=(0.647, 0.455),
    rough=0.556,
    rough_window=0.893,
    redder=-0.416,
    noise=0.038,
    noise_window=0.25,
)
"""Of eight sets of training images, degraded to 1, 2, 4 and 8 fine px (docs/design/0051)."""


class Blur(NamedTuple):
    """FWHM of a PSF before pixel integration, px, and the standard deviation of its logarithm."""

    fwhm: float
    error: float


class Spectrum(NamedTuple):
    """Power of windows in rings.

    Attributes
    ----------
    f, power : ndarray (R,)
        Mean frequency, cycles per px, and mean power per pixel of the rings.
    number : ndarray (R,)
        Frequencies in each.
    windows : int
    transfer : ndarray (W, R)
        Logarithm of what each of `WIDTHS`, and the pixel, leave of the power.
    """

    f: Array
    power: Array
    number: Array
    windows: int
    transfer: Array


def spectrum(blocks: list[NDArray[np.float32]]) -> Spectrum | None:
    """Spectrum of the half-lapped windows without masked pixels; None where they tell nothing.

    Windows are smaller where gaps leave none of `WINDOW`.
    """
    side = min(WINDOW, max((min(block.shape) for block in blocks), default=0))
    while side >= LEAST:
        total, windows, varies = _windows(blocks, side)
        if windows:
            return _in_rings(total, windows) if varies else None
        side = side * 3 // 4
    return None


def _windows(blocks: list[NDArray[np.float32]], side: int) -> tuple[Array, int, bool]:
    """Sum of the power of the whole windows, their number, and whether any has contrast."""
    taper = np.outer(*[np.hanning(side + 2)[1:-1]] * 2)
    taper /= np.sqrt((taper**2).sum())
    total, windows, varies = np.zeros((side, side)), 0, False
    for block in (b for b in blocks if min(b.shape) >= side):
        every = np.lib.stride_tricks.sliding_window_view(block.astype(np.float64), (side, side))
        chosen = every[:: side // 2, :: side // 2].reshape(-1, side, side)
        chosen = chosen[np.isfinite(chosen).all((1, 2))]
        level = (chosen * taper).sum((1, 2), keepdims=True) / taper.sum()
        total += (np.abs(np.fft.fft2((chosen - level) * taper)) ** 2).sum(0)
        windows += len(chosen)
        varies |= bool((chosen != chosen[:, :1, :1]).any())  # power would be that of rounding
    return total, windows, varies


def _in_rings(total: Array, windows: int) -> Spectrum:
    """Mean power in rings, and what widths leave of it."""
    radius, pixel = _frequencies(len(total))
    inside = np.digitize(radius, EDGES) == np.arange(1, len(EDGES))[:, None]
    inside = inside[inside.any(1)]  # a small window has no low frequencies
    number = inside.sum(1).astype(np.float64)
    means = inside.T / number
    blurred = np.exp(-((2 * np.pi * WIDTHS[:, None] / SIGMA_TO_FWHM * radius) ** 2)) * pixel
    transfer = np.log(blurred @ means + 1e-30)
    return Spectrum(radius @ means, total.ravel() @ means / windows, number, windows, transfer)


def _frequencies(side: int) -> tuple[Array, Array]:
    """Radius of the frequencies of a window, flat, and the power that a pixel's mean leaves."""
    f = np.fft.fftfreq(side)
    return np.hypot(f[:, None], f).ravel(), np.outer(*[np.sinc(f) ** 2] * 2).ravel()


def blur_fwhm(
    blocks: list[NDArray[np.float32]], noise: float, scenes: Scenes = SCENES
) -> Blur | None:
    r"""FWHM of a Gaussian PSF before pixel integration.

    Power in rings is that of a scene, of which only a prior is known (see `Scenes`), times
    :math:`\exp(-(2 \pi \sigma f)^2)` and the pixel's own transfer, plus white noise. Every width of
    `WIDTHS` is weighed by how well some scene explains the rings with it (Laplace's approximation
    of the integral over scenes and noise), and by its own prior: an image that tells nothing gives
    back the prior. What cannot be told from blur is a scene without fine detail; the error holds
    it, as far as scenes are like those of training.

    Parameters
    ----------
    blocks : list of ndarray (h, w)
        Pixels in any unit, NaN where masked.
    noise : float
        Variance of the white noise, the unit squared.
    scenes : Scenes

    Returns
    -------
    Blur or None
        Mean and standard deviation of the logarithm under the posterior; None where no window of
        `LEAST` px has data with contrast, or noise is far above all power.

    References
    ----------
    Power laws of images: Field (1987), JOSA A 4, 2379. Laplace's approximation: MacKay (2003),
    Information Theory, Inference, and Learning Algorithms, ch. 27.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> white = np.random.default_rng(0).standard_normal((256, 256))
    >>> scene = np.fft.ifft2(np.fft.fft2(white) / (np.hypot(*np.meshgrid(
    ...     np.fft.fftfreq(256), np.fft.fftfreq(256))) + 0.002)).real
    >>> found = blur_fwhm([gaussian_filter(scene, 1.3, mode="wrap")], 0.0)
    >>> bool(abs(np.log(found.fwhm / 3.06)) < 2 * found.error)
    True
    """
    seen = spectrum(blocks)
    if seen is None or not noise <= EXCESS * seen.power.max():
        return None
    width = np.log(WIDTHS)
    prior = -0.5 * ((width - scenes.width[0]) / scenes.width[1]) ** 2
    weight = evidence(seen, noise, scenes) + prior
    weight = np.exp(weight - weight.max())
    mean = (weight * width).sum() / weight.sum()
    error = np.sqrt((weight * (width - mean) ** 2).sum() / weight.sum())
    return Blur(float(np.exp(mean)), float(error))


def evidence(seen: Spectrum, noise: float, scenes: Scenes) -> Array:
    """Logarithm of the likelihood of each of `WIDTHS`, integrated over scenes and noise.

    Laplace's approximation about the most likely a, slope, fall, bend and logarithm of the true
    noise over `noise`, which Marquardt's method (1963, J. SIAM 11, 431) finds for all at once.
    """
    u = np.log(seen.f / MIDDLE)
    basis = np.stack([np.ones_like(u), -u, -(seen.f**2), u**2], 1)
    variance = _variance(seen, noise, scenes, u)
    y, floor = np.log(seen.power), np.log(max(noise, 1e-9 * seen.power.max()))
    mean, precision = _prior(seen, noise, scenes, basis)

    def look(theta: Array) -> tuple[Array, Array, Array]:
        """Misfit (W,), half its slope (W, 5) and half its curvature (W, 5, 5)."""
        scene = theta[:, :4] @ basis.T + seen.transfer
        total = np.logaddexp(scene, floor + theta[:, 4:])
        share = np.exp(scene - total)[..., None]
        jacobian = np.concatenate([share * basis, 1 - share], 2)
        scaled = np.swapaxes(jacobian / variance[:, None], 1, 2)
        off = mean - theta
        misfit = ((y - total) ** 2 / variance).sum(1) + (off**2 @ precision).sum(1)
        slope = (scaled @ (y - total)[..., None])[..., 0] + off @ precision
        return misfit, slope, scaled @ jacobian + precision

    theta, damping = mean.copy(), np.full(len(WIDTHS), DAMPING)
    misfit, slope, curvature = look(theta)
    for _ in range(STEPS):
        damped = curvature * (1 + damping[:, None, None] * np.eye(theta.shape[1]))
        tried = theta + np.linalg.solve(damped, slope[..., None])[..., 0]
        found = look(tried)
        better = found[0] < misfit
        theta[better] = tried[better]
        for kept, new in zip((misfit, slope, curvature), found, strict=True):
            kept[better] = new[better]
        damping *= np.where(better, 1 / DAMPED, DAMPED)
    return np.asarray(-0.5 * (misfit + np.linalg.slogdet(curvature)[1]))


def _variance(seen: Spectrum, noise: float, scenes: Scenes, u: Array) -> Array:
    """Of the logarithm of the power: of chance, and of scenes where they are more than noise."""
    rough = scenes.rough**2 + scenes.rough_window**2 / seen.windows
    share = np.maximum(1 - noise / seen.power, LEAST_SHARE)
    chance = 2 / (seen.number * seen.windows * OVERLAP)
    return np.asarray(chance + rough * np.exp(2 * scenes.redder * u) * share**2)


def _prior(seen: Spectrum, noise: float, scenes: Scenes, basis: Array) -> tuple[Array, Array]:
    """Means (W, 5) of the unknowns for every width, and their precisions (5, 5).

    That of a, which is free, is what the low frequencies say.
    """
    known = np.array([scenes.slope, scenes.fall, scenes.bend])
    signal = np.log(np.maximum(seen.power - noise, LEAST_SHARE * seen.power))
    bright = (signal - basis[:, 1:] @ known[:, 0] - seen.transfer)[:, LOW].mean(1)
    error = np.hypot(scenes.noise, scenes.noise_window / np.sqrt(seen.windows))
    mean = np.tile(np.array([0, *known[:, 0], 0]), (len(WIDTHS), 1))
    mean[:, 0] = bright
    return mean, np.diag(np.array([FREE, *known[:, 1], error]) ** -2.0)
