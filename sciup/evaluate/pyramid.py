"""Statistics of a steerable pyramid: whether two images have the same kind of texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SCALES, DIRECTIONS = 4, 4
RIM = 16
"""Pixels along the edges that statistics leave out: the pyramid takes images for periodic."""
SURE = 0.98
"""Largest correlation, so that its transform stays finite."""


def bands(
    image: Array, scales: int = SCALES, directions: int = DIRECTIONS
) -> NDArray[np.complex128]:
    r"""Complex bands of a steerable pyramid, all at the size of the image.

    Polar-separable in the Fourier plane: one octave wide with raised cosines in ``log2 r`` between
    r and 2 r, and ``cos(theta - theta_k)^(K - 1)`` in half of the plane, so that the real part
    is a symmetric and the imaginary part an antisymmetric filter.

    Returns
    -------
    ndarray (scales, directions, h, w)
        Finest scale first, centred at 1/4 of the sampling frequency; nothing is subsampled.

    References
    ----------
    Portilla & Simoncelli (2000), IJCV 40, 49, sec. 2 and eq. 2 to 4.
    """
    h, w = image.shape
    fy, fx = np.meshgrid(np.fft.fftfreq(h), np.fft.fftfreq(w), indexing="ij")
    octave = np.log2(np.maximum(np.hypot(fy, fx), 1e-9) / 0.25)
    angle = np.arctan2(fy, fx)
    spectrum = np.fft.fft2(image - image.mean())
    out = np.empty((scales, directions, h, w), complex)
    for j in range(scales):
        radial = np.cos(np.pi / 2 * np.clip(octave + j, -1, 1))
        for k in range(directions):
            turned = np.cos(angle - np.pi * k / directions)
            out[j, k] = np.fft.ifft2(
                spectrum * radial * 2 * np.maximum(turned, 0) ** (directions - 1)
            )
    return out


@dataclass(frozen=True)
class Statistics:
    """What describes a texture, place left out.

    Attributes
    ----------
    energy : ndarray (scales, directions)
        Logarithm of the mean squared magnitude of each band.
    sparsity : ndarray (scales, directions)
        Logarithm of the mean squared over the squared mean magnitude.
    ties : ndarray
        Fisher's z of the correlations of magnitudes: between directions of a scale, and between
        neighbouring scales of a direction.
    """

    energy: Array
    sparsity: Array
    ties: Array

    @classmethod
    def of(cls, image: Array) -> Statistics:
        """Statistics of an image of 64 px and more."""
        size = np.abs(bands(image))[..., RIM:-RIM, RIM:-RIM]
        mean, square = size.mean((-1, -2)), (size**2).mean((-1, -2))
        about = size - mean[..., None, None]
        unit = about / (np.sqrt((about**2).mean((-1, -2), keepdims=True)) + 1e-30)
        upper = np.triu_indices(DIRECTIONS, 1)
        within = np.einsum("jkyx,jlyx->jkl", unit, unit)[:, upper[0], upper[1]]
        between = np.einsum("jkyx,jkyx->jk", unit[1:], unit[:-1])
        rho = np.concatenate([within.ravel(), between.ravel()]) / unit[0, 0].size
        return cls(
            np.log(square + 1e-30),
            np.log((square + 1e-30) / (mean**2 + 1e-30)),
            np.arctanh(np.clip(rho, -SURE, SURE)),
        )


def pyramid_distance(estimate: Array, truth: Array, noise: float, seed: int = 0) -> float:
    """Distance of the statistics of two images, 0 for the same ones.

    Root mean square over energies, sparsities and ties, each the root mean square of its
    differences: natural logarithms and Fisher's z.

    Parameters
    ----------
    estimate : ndarray (h, w)
        An image without the noise of the truth: fresh noise of that size is added.
    truth : ndarray (h, w)
    noise : float
        Deviation of the truth's own white noise.
    seed : int
        Of the noise that is added.
    """
    rng = np.random.default_rng([seed, 0x50])
    a = Statistics.of(estimate + noise * rng.standard_normal(estimate.shape))
    b = Statistics.of(truth)
    parts = [(getattr(a, k) - getattr(b, k)) for k in ("energy", "sparsity", "ties")]
    return float(np.sqrt(np.mean([(part**2).mean() for part in parts])))
