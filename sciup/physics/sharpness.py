"""How wide the PSF of a micrograph may be, from how fast its power spectrum falls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciup.physics.psf import SIGMA_TO_FWHM

WINDOW = 64
EDGES = np.linspace(0.04, 0.48, 23)
"""Edges of the rings of the spectrum, cycles per px, without mean level and corners."""

SLOPE, SLOPE_ERROR = 2.0, 0.3
"""Power law of the scenes; the median over the training images of fluorescence-mix."""

CURVATURE_ERROR = 12.0
"""Prior error of (2 pi sigma)^2, sigma in px: about 0.5 px of FWHM near 2 px."""

ROUGHNESS = 0.15
"""Scatter of log power about a power law that no number of windows averages away."""

Array = NDArray[np.float64]


def _spectrum(blocks: list[NDArray[np.float32]]) -> tuple[Array, Array, Array] | None:
    """Frequency, power per pixel and number of samples of each ring, over half-lapped windows."""
    taper = np.hanning(WINDOW + 2)[1:-1]
    taper = np.outer(taper, taper)
    taper /= np.sqrt((taper**2).sum())
    total, count = np.zeros((WINDOW, WINDOW)), 0
    for block in blocks:
        for y in range(0, block.shape[0] - WINDOW + 1, WINDOW // 2):
            for x in range(0, block.shape[1] - WINDOW + 1, WINDOW // 2):
                z = block[y : y + WINDOW, x : x + WINDOW].astype(np.float64)
                if np.isfinite(z).all():
                    total += np.abs(np.fft.fft2((z - z.mean()) * taper)) ** 2
                    count += 1
    if not count:
        return None
    f = np.fft.fftfreq(WINDOW)
    radius = np.hypot(f[:, None], f).ravel()
    ring = np.digitize(radius, EDGES)
    number = np.bincount(ring, minlength=len(EDGES) + 1)[1:-1]
    sums = [np.bincount(ring, v, len(EDGES) + 1)[1:-1] for v in (radius, total.ravel() / count)]
    return sums[0] / number, sums[1] / number, np.asarray(number * count, np.float64)


def blur_fwhm(blocks: list[NDArray[np.float32]], noise: float, assumed: float) -> float | None:
    r"""FWHM of a Gaussian PSF before pixel integration, in px.

    Fits :math:`\log S(f) = a - b \log f - (2 \pi \sigma)^2 f^2` to the power above the noise, the
    pixel's own transfer divided out, with Gaussian priors on b and on the curvature: an image that
    tells nothing gives back `assumed`. What cannot be told from blur is a scene without fine
    detail: the result is an upper bound of the PSF with a guess at the scene.

    Parameters
    ----------
    blocks : list of ndarray (h, w)
        Pixels in any unit, NaN where masked.
    noise : float
        Variance of the white noise, the unit squared.
    assumed : float
        FWHM where the prior is centred, px.

    Returns
    -------
    float or None
        Typically 0.4 px off (training images, block means by 2 and 4). None where no window has
        data or no ring stands above the noise.

    References
    ----------
    Power laws of images: Field (1987), JOSA A 4, 2379. Width from the fall of the spectrum, in the
    way of a Guinier fit: Rosenthal & Henderson (2003), J. Mol. Biol. 333, 721, sect. 3.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> white = np.random.default_rng(0).standard_normal((256, 256))
    >>> scene = np.fft.ifft2(np.fft.fft2(white) / (np.hypot(*np.meshgrid(
    ...     np.fft.fftfreq(256), np.fft.fftfreq(256))) + 0.002)).real
    >>> fwhm = blur_fwhm([gaussian_filter(scene, 1.3, mode="wrap")], 0.0, 2.0)
    >>> bool(abs(fwhm - 3.0) < 0.4)
    True
    """
    found = _spectrum(blocks)
    if found is None:
        return None
    f, power, number = found
    signal = power - noise
    seen = (signal > noise) & (signal > 0)
    if seen.sum() < 4:
        return None
    f, power, number, signal = f[seen], power[seen], number[seen], signal[seen]
    y = np.log(signal / np.sinc(f) ** 2)
    error = np.sqrt((power / signal) ** 2 * 2 / number + ROUGHNESS**2)
    rows = np.stack([np.ones_like(f), -np.log(f), -(f**2)], 1) / error[:, None]
    to_curvature = (2 * np.pi / SIGMA_TO_FWHM) ** 2
    a = np.vstack([rows, [0, 1 / SLOPE_ERROR, 0], [0, 0, 1 / CURVATURE_ERROR]])
    b = np.concatenate(
        [y / error, [SLOPE / SLOPE_ERROR, assumed**2 * to_curvature / CURVATURE_ERROR]]
    )
    curvature = float(np.linalg.lstsq(a, b)[0][2])
    return float(np.sqrt(max(curvature, 0.0) / to_curvature))
