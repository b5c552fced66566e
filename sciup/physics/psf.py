"""Blur kernels: analytic shapes, measured images, and what is left of them beyond the target.

The truth is defined at a declared output resolution (the *target*), so the kernel that matters is
the *relative* one: the kernel that carries the target to the instrument, before pixel integration.
All kernels here live on the fine (output) grid, have odd sides and sum to 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import j1

from sciup.errors import OptionError
from sciup.physics.psf_image import fine_psf

Kernel = NDArray[np.float64]

SIGMA_TO_FWHM = float(2 * np.sqrt(2 * np.log(2)))

SHARPEST = 0.8
"""Analytic PSFs narrower than this share of the target are treated as that wide: an image at the
target's resolution cannot tell what is in them."""

ASSUMED_BETA = 3.5
"""Moffat exponent where only a width is known: the middle of what telescopes on the ground have."""


def _radius(side: int, fwhm: float, e1: float, e2: float) -> NDArray[np.float64]:
    """Elliptical radius in units of the FWHM on an odd grid; (e1, e2) by second moments."""
    half = side // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    # covariance proportional to [[1 + e1, e2], [e2, 1 - e1]] with unit mean variance
    det = 1 - e1**2 - e2**2
    quadratic = ((1 - e1) * x**2 - 2 * e2 * x * y + (1 + e1) * y**2) / det
    return np.asarray(np.sqrt(np.maximum(quadratic, 0)) / fwhm, np.float64)


def _normalised(kernel: NDArray[np.float64]) -> Kernel:
    return np.asarray(kernel / kernel.sum(), np.float64)


def gaussian(side: int, fwhm: float, e1: float = 0.0, e2: float = 0.0) -> Kernel:
    """Gaussian kernel (side, side) of a full width at half maximum in fine pixels.

    Examples
    --------
    >>> k = gaussian(21, 4.0)
    >>> round(float(k.sum()), 9), round(float(k[10, 12] / k[10, 10]), 6)
    (1.0, 0.5)
    """
    return _normalised(np.exp(-4 * np.log(2) * _radius(side, fwhm, e1, e2) ** 2))


def moffat(side: int, fwhm: float, beta: float, e1: float = 0.0, e2: float = 0.0) -> Kernel:
    """Moffat (1969, A&A 3, 455) kernel, the usual shape of seeing."""
    widths = 2 * np.sqrt(2 ** (1 / beta) - 1)
    return _normalised((1 + (widths * _radius(side, fwhm, e1, e2)) ** 2) ** -beta)


def airy(side: int, fwhm: float, e1: float = 0.0, e2: float = 0.0) -> Kernel:
    """Airy pattern of a circular aperture (FWHM = 1.0290 wavelength / diameter)."""
    z = np.pi * 1.0290 * _radius(side, fwhm, e1, e2)
    safe = np.where(z < 1e-6, 1.0, z)
    return _normalised(np.where(z < 1e-6, 1.0, (2 * j1(safe) / safe) ** 2))


def moments(kernel: Kernel) -> tuple[float, float, float]:
    """FWHM of the Gaussian with the same core, and ellipticities (e1, e2), of a kernel.

    The core is weighted by a Gaussian matched to it (adaptive second moments; Bernstein & Jarvis
    2002, AJ 123, 583, section 3), so that the wings of a Moffat do not dominate.

    Examples
    --------
    >>> fwhm, e1, e2 = moments(gaussian(41, 5.0, e1=0.1))
    >>> round(fwhm, 2), round(e1, 2), round(abs(e2), 2)
    (5.0, 0.1, 0.0)
    """
    half = kernel.shape[0] // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(float)
    cxx = cyy = 2.0
    cxy = 0.0
    for _ in range(100):
        det = cxx * cyy - cxy**2
        # narrower than a pixel, or more dark than bright: no core to weigh
        if not (det > 1e-3 and cxx > 0 and cyy > 0):
            break
        weight = np.exp(-0.5 * (cyy * x**2 - 2 * cxy * x * y + cxx * y**2) / det) * kernel
        total = weight.sum()
        # a Gaussian seen through an equal Gaussian has half its covariance
        new = [2 * float((weight * p).sum() / total) for p in (x * x, y * y, x * y)]
        done = max(abs(a - b) for a, b in zip(new, (cxx, cyy, cxy), strict=True)) < 1e-7
        cxx, cyy, cxy = new
        if done:
            break
    mean = (cxx + cyy) / 2
    if not mean > 0:  # negative wings outweigh the core: not a kernel
        return 0.0, 0.0, 0.0
    e1, e2 = (cxx - cyy) / (2 * mean), cxy / mean
    # of a core narrower than a pixel along its minor axis the grid tells no shape
    shown = float(np.clip((mean * (1 - np.hypot(e1, e2)) - 0.1) / 0.3, 0, 1))
    return SIGMA_TO_FWHM * float(np.sqrt(mean)), shown * e1, shown * e2


def relative_gaussian(side: int, fwhm: float, target_fwhm: float) -> Kernel:
    """Kernel from a Gaussian target to a Gaussian instrument, both FWHM in fine pixels.

    The widths subtract in quadrature. An instrument at least as sharp as the target has no blur
    left: the kernel is the identity.
    """
    rest = fwhm**2 - target_fwhm**2
    if rest < 0.05:
        identity = np.zeros((side, side))
        identity[side // 2, side // 2] = 1
        return identity
    return gaussian(side, float(np.sqrt(rest)))


def relative_analytic(total: Kernel, side: int, target_fwhm: float) -> Kernel:
    """Kernel from the Gaussian target to an analytic PSF before pixel integration.

    Fourier division with the Wiener term of `relative_measured`. Widths that subtract in quadrature
    would be right for Gaussians only: what remains of a Moffat has a sharp core and all its wings.
    The kernel contains the integration over one fine pixel; the block mean over fine pixels, which
    A adds, completes that over the input pixel (at scale 1 there is nothing to add).

    Parameters
    ----------
    total : ndarray
        PSF on the fine grid, larger than `side` so that nothing wraps around; odd.
    side : int
        Side of the result, odd, fine pixels.
    target_fwhm : float
        Fine pixels.

    Examples
    --------
    >>> k = relative_analytic(gaussian(81, 5.0), 41, 3.0)
    >>> round(moments(k)[0], 1)
    4.1
    """
    known = np.fft.rfft2(np.fft.ifftshift(gaussian(total.shape[0], target_fwhm))).real
    pixel = np.outer(*(np.sinc(f(total.shape[0])) for f in (np.fft.fftfreq, np.fft.rfftfreq)))
    spectrum = np.fft.rfft2(np.fft.ifftshift(total)) * pixel * known / (known**2 + 1e-3)
    full = np.fft.fftshift(np.fft.irfft2(spectrum, s=total.shape))
    cut = (total.shape[0] - side) // 2
    return _normalised(full[cut : cut + side, cut : cut + side])


def relative_measured(
    side: int, psf: Kernel, oversample: int, target_fwhm: float, step: float = 1.0
) -> Kernel:
    """Kernel from the Gaussian target to a measured PSF image.

    A PSF that was measured on the input, on stars or beads, includes the integration over the
    input pixel, which A adds again. So the PSF is interpolated to the fine grid and divided by
    target *and* pixel in Fourier space, with a Wiener term of 1e-3, which keeps frequencies where
    they are negligible at zero.

    Parameters
    ----------
    side : int
        Side of the result, odd, fine pixels.
    psf : ndarray of shape (M, N)
        PSF image, integration over the input pixel included; not necessarily normalised.
    oversample : int
        Fine pixels per input pixel.
    target_fwhm : float
        Fine pixels; 0 for a target without a blur of its own.
    step : float
        Input px per pixel of the PSF image.
    """
    psf = np.asarray(psf, float)
    if psf.ndim != 2 or not np.isfinite(psf).all() or psf.sum() <= 0 or min(psf.shape) < 3:
        raise OptionError(
            f"the PSF image has shape {psf.shape} and sum {psf.sum():g}",
            "a finite two-dimensional image of at least 3 x 3 px with a positive sum",
        )
    fine = fine_psf(psf, oversample, side, step)
    known = _pixel((side, side), oversample)
    if target_fwhm > 0:
        known = known * np.fft.rfft2(np.fft.ifftshift(gaussian(side, target_fwhm))).real
    spectrum = np.fft.rfft2(np.fft.ifftshift(fine)) * known / (known**2 + 1e-3)
    return _normalised(np.fft.fftshift(np.fft.irfft2(spectrum, s=fine.shape)))


def _pixel(shape: tuple[int, ...], width: float) -> NDArray[np.float64]:
    """Spectrum of the mean over `width` pixels, centred."""

    def along(f: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.sinc(f * width) / np.sinc(f), np.float64)

    return np.outer(along(np.fft.fftfreq(shape[0])), along(np.fft.rfftfreq(shape[1])))


def image_fwhm(psf: Kernel, step: float = 1.0) -> float:
    """FWHM [input px] of a PSF image, sampled every `step` input px, before pixel integration.

    It is interpolated finely first, so that this also holds for undersampled ones.

    Examples
    --------
    >>> pixels = gaussian(84, 4 * 1.6)[:84, :84].reshape(21, 4, 21, 4).mean((1, 3))
    >>> abs(image_fwhm(pixels) - 1.6) < 0.05
    True
    """
    side = 4 * min(41, round(max(psf.shape) * step)) | 1
    return moments(relative_measured(side, psf, 4, 0.0, step))[0] / 4


def over_pixel(psf: Kernel, width: float) -> Kernel:
    """A PSF image that was integrated over its own pixels, integrated over `width` of them.

    Parameters
    ----------
    psf : ndarray (M, N)
        Sampled more finely than the pixel of the camera.
    width : float
        Side of the camera's pixel in its pixels; not necessarily a whole number.

    Examples
    --------
    >>> point = np.zeros((9, 9))
    >>> point[4, 4] = 1
    >>> over_pixel(point, 3)[4].round(2).tolist()[2:7]
    [0.0, 0.11, 0.11, 0.11, 0.0]
    """
    apron = int(np.ceil(width))
    padded = np.pad(np.asarray(psf, np.float64), apron)
    out = np.fft.irfft2(np.fft.rfft2(padded) * _pixel(padded.shape, width), s=padded.shape)
    return np.asarray(out[apron:-apron, apron:-apron])
