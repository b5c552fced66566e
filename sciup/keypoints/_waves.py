"""Filters on cosine waves.

Their mirrored edges let an image that was turned or mirrored have the turned answer, and make a
wide filter as cheap as a narrow one.

References
----------
.. [1] Steger (1998), "An unbiased detector of curvilinear structures", IEEE TPAMI 20, 113,
   doi:10.1109/34.659930: ridges from the lower eigenvalue of the Hessian.
"""

from __future__ import annotations

import numpy as np
from scipy.fft import dctn, idctn, idstn

from sciup.keypoints._places import Array

TINY = float(np.finfo(float).tiny)


class Waves:
    """An image (h, w) as cosine waves, to be filtered and sampled anew."""

    def __init__(self, image: Array) -> None:
        self.image, self.shape = image, image.shape
        self.waves = dctn(image, norm="ortho")
        self.wy, self.wx = (np.pi * np.arange(n) / n for n in image.shape)
        self.ww = self.wy[:, None] ** 2 + self.wx**2

    def gauss(self, sigma: float) -> Array:
        """Transfer of a Gaussian."""
        y, x = (np.exp(-0.5 * (sigma * w) ** 2) for w in (self.wy, self.wx))
        return np.asarray(y[:, None] * x)

    def blur(self, sigma: float) -> Array:
        """The image after a Gaussian."""
        return np.asarray(idctn(self.waves * self.gauss(sigma), norm="ortho"))

    def blob(self, sigma: float, coarser: int = 1) -> tuple[Array, float]:
        """-LoG times sigma^2 on a grid `coarser` times coarser; its noise per noise of a pixel."""
        transfer = sigma**2 * self.ww * self.gauss(sigma)
        h, w = (max(n // coarser, 1) for n in self.shape)
        share = np.sqrt(h * w / self.image.size)
        part = (self.waves[:h, :w] * transfer[:h, :w]) * share
        return np.asarray(idctn(part, norm="ortho")), float(np.sqrt((transfer**2).mean()))

    def ridge(self, sigma: float) -> tuple[Array, float]:
        """-sigma^2 times the lower eigenvalue of the Hessian [1]_; as `blob`, its noise."""
        waves = self.waves * self.gauss(sigma) * sigma**2
        yy, xx = (idctn(waves * w**2, norm="ortho") for w in (self.wy[:, None], self.wx))
        # the derivative of a cosine is a sine, whose transform counts from 1
        mixed = np.zeros_like(waves)
        mixed[:-1, :-1] = (waves * self.wy[:, None] * self.wx)[1:, 1:]
        yx = idstn(mixed, norm="ortho")
        gain = np.sqrt(((self.gauss(sigma) * sigma**2 * self.wx**2) ** 2).mean())
        return (yy + xx) / 2 + np.hypot((yy - xx) / 2, yx), float(gain)

    def near(self, field: Array, *sigmas: float) -> list[Array]:
        """Means of another field of this shape about each pixel."""
        waves = dctn(field, norm="ortho")
        means = (idctn(waves * self.gauss(s), norm="ortho") for s in sigmas)
        return [np.maximum(mean, 0) for mean in means]

    def spread(self, sigma: float) -> Array:
        """Standard deviation of the image about each pixel."""
        square = self.near(self.image**2, sigma)[0]
        return np.sqrt(np.maximum(square - self.blur(sigma) ** 2, 0))


def noise_of(field: Array, known: float) -> float:
    """Noise of a filtered image: `known`, or more where the quietest quarter says so."""
    return max(known, TINY, float(np.quantile(np.abs(field), 0.25)) / 0.3186)
