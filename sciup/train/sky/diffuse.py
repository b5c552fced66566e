"""Light of the simulated night sky that has no sources: haze and nebulae."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciup.train.sky.contents import log_uniform
from sciup.train.sky.stamps import TARGET_SIGMA

Array = NDArray[np.float64]


def haze(rng: np.random.Generator, side: int, zoom: float) -> Array:
    """One to three wide elliptical glows, 0.02 to 0.5 sigma per input pixel at their peak.

    They are 30 to 120 px wide (zoomed): the target PSF would change them by less than 1e-3.
    """
    y, x = np.mgrid[:side, :side].astype(np.float64)
    image: Array = np.zeros((side, side))
    for _ in range(int(rng.integers(1, 4))):
        cy, cx = rng.uniform(0, side, 2)
        width, q, angle = (
            zoom * log_uniform(rng, 30, 120),
            rng.uniform(0.4, 1.0),
            rng.uniform(0, np.pi),
        )
        u = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        v = ((y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)) / q
        image += (
            log_uniform(rng, 0.02, 0.5) / (4.0 * zoom**2) * np.exp(-0.5 * (u**2 + v**2) / width**2)
        )
    return image


def nebula(rng: np.random.Generator, side: int, zoom: float) -> Array:
    """Draw a cloud: the exponential of a random field with a power spectrum k^-3, through the PSF.

    It is cut from a field twice as wide, so that its edges do not match each other.
    """
    n = 2 * side
    ky, kx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :]
    k = np.hypot(ky, kx)
    blur = np.exp(-2.0 * (np.pi * TARGET_SIGMA * k) ** 2)
    k[0, 0] = 1.0
    power = k ** (-0.5 * rng.uniform(2.8, 3.6))
    power[0, 0] = 0.0
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(n, n))) * power, s=(n, n))
    cloud = np.exp(rng.uniform(0.7, 1.6) * field / field.std())
    image = np.fft.irfft2(np.fft.rfft2(cloud) * blur, s=(n, n))[:side, :side]
    # A scene has no background. Subtracted, not clipped: a clipped image has kinks.
    image = image - image.min()
    bright = log_uniform(rng, 0.3, 8.0) / (4.0 * zoom**2)
    return np.asarray(image * bright / np.quantile(image, 0.99))
