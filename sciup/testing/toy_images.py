"""Made images of the two domains, small and quick, with everything about them known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import erf

Float = NDArray[np.float32]
SIGMA_TO_FWHM = 2.3548200450309493


def star(shape: tuple[int, int], y: float, x: float, fwhm: float) -> NDArray[np.float64]:
    """A Gaussian star of flux 1, integrated over the pixels.

    Parameters
    ----------
    shape : (int, int)
        Shape of the image.
    y, x : float
        Centre; pixel centres have whole numbers.
    fwhm : float
        Full width at half maximum in pixels, before pixel integration.

    Examples
    --------
    >>> round(float(star((40, 40), 20.3, 19.6, 3.0).sum()), 6)
    1.0
    """
    width = fwhm / SIGMA_TO_FWHM * 2**0.5
    edges = [np.arange(n + 1) - 0.5 - c for n, c in zip(shape, (y, x), strict=True)]
    rows, cols = (np.diff(erf(e / width)) / 2 for e in edges)
    return np.asarray(np.outer(rows, cols))


def star_field(
    shape: tuple[int, int] = (300, 260),
    *,
    seed: int = 0,
    stars: int = 40,
    fwhm: float = 2.5,
    sky: float = 100.0,
    noise: float = 5.0,
    flux: tuple[float, float] = (300.0, 20000.0),
) -> Float:
    """Stars at random places on a flat sky with Gaussian noise."""
    rng = np.random.default_rng(seed)
    image = np.full(shape, sky)
    for _ in range(stars):
        y, x = (rng.uniform(0, n) for n in shape)
        image += np.exp(rng.uniform(*np.log(flux))) * star(shape, y, x, fwhm)
    return (image + rng.normal(0, noise, shape)).astype(np.float32)


def cells(
    shape: tuple[int, int] = (300, 260),
    *,
    seed: int = 0,
    electrons: float = 300.0,
    electrons_per_unit: float = 1.0,
    pedestal: float = 0.0,
    read_noise: float = 1.0,
) -> Float:
    """Smooth blobs of up to about `electrons` with Poisson and read noise, in camera units."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(0, 1, shape), 4, mode="wrap")
    light = electrons * (0.05 + np.clip(smooth / np.abs(smooth).max(), 0, None))
    counts = rng.poisson(light) + rng.normal(0, read_noise, shape)
    return np.asarray(counts / electrons_per_unit + pedestal, np.float32)


__all__ = ["cells", "star", "star_field"]
