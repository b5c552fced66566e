"""What the pixels tell about the instrument: gain, noise, PSF width, noise correlation.

All estimates look at a fixed, sparse set of absolute blocks, so that they do not depend on the
region asked for and cost the same for any size of image.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter

from sciup.geometry import Box, iterate
from sciup.image import Image, Plane
from sciup.physics.mesh import BLOCK, block_sky

SAMPLED = 16
"""Number of blocks that estimates look at."""

PATCH = 8
"""Side of the patches whose variance is taken, px."""
DARKEST = 0.01
"""Share of patches that are as dark as the darkest."""
LOWER, LOWER_VARIANCE = 0.3, 0.807
"""Share of patches without structure below the line, and their variance there over the noise's."""
REACHES = np.geomspace(1e-5, 1e2, 141)
"""How far below the dark patches the noise may vanish, over the range of their means."""
PRIOR = 0.3
"""Weight of the prior of that distance: a factor of e costs what one patch above by it costs."""
CEILING = 0.001
"""Share of pixels that have the largest value where it is where the camera or the file ends."""
FEWEST = 16
"""Patches below which saturated ones count, too."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Probe:
    """The sampled blocks of one plane.

    Attributes
    ----------
    blocks : list of ndarray
        Values, NaN where masked.
    digest : str
        Of their bytes, and of which plane of which image it is.
    pixels : str
        Of height, width and bytes alone: the same for the same pixels in any file.
    """

    blocks: list[Values]
    digest: str
    pixels: str

    @property
    def valid(self) -> Values:
        """All sampled pixels with data, flat."""
        parts = [b[np.isfinite(b)] for b in self.blocks]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)


def probe(image: Image, plane: Plane) -> Probe:
    """Read up to `SAMPLED` blocks, spread evenly over the plane."""
    h, w = image.plane_shape
    grid = Box((0, 0), (-(-h // BLOCK), -(-w // BLOCK)))
    every = list(iterate(grid))
    chosen = every if len(every) <= SAMPLED else _spread(grid)
    shape, index, _ = image.in_whole(plane)
    digest = hashlib.blake2b(f"{shape}{image.dtype}{index}".encode(), digest_size=16)
    pixels = hashlib.blake2b(f"{h} {w}".encode(), digest_size=8)
    blocks = []
    for index in chosen:
        box = Box(index, tuple(i + 1 for i in index)).scaled(BLOCK)
        values, _ = image.read(plane, box.intersect(Box.of_shape((h, w))))
        data = values.astype("<f4").tobytes()
        digest.update(data)
        pixels.update(data)
        blocks.append(values)
    return Probe(blocks, digest.hexdigest(), pixels.hexdigest())


def _spread(grid: Box) -> list[tuple[int, ...]]:
    side = int(np.sqrt(SAMPLED))
    rows, cols = (
        sorted({int((i + 0.5) * n / side) for i in range(side)}) if n > side else list(range(n))
        for n in grid.shape
    )
    return [(r, c) for r in rows for c in cols]


@dataclass(frozen=True)
class PhotonTransfer:
    """Noise variance of a pixel that grows with its mean: ``(mean - zero) / gain``.

    Attributes
    ----------
    gain : float
        Electrons per image unit.
    zero : float
        Level at which the line meets 0, image units; read noise lowers it.
    dark : float
        Mean of the darkest patches, image units.
    """

    gain: float
    zero: float
    dark: float

    def variance(self, level: float) -> float:
        """Noise variance at a level, image units squared; never negative."""
        return max(level - self.zero, 0.0) / self.gain


def photon_transfer(sample: Probe) -> PhotonTransfer | None:
    """Line of noise variance against mean; None without a patch that varies.

    The variance of second differences in patches of 8 x 8 px. Structure only adds to it, so that
    the line is the one that `LOWER` of the patches lie below: quantile regression of the logarithm,
    its slope known to be positive. How far below the dark patches it meets 0 is believed to be like
    the distance of the smallest value: this decides where patches are few, or do not tell noise
    that grows from noise that does not. Patches with saturated pixels are left out if others tell.

    References
    ----------
    Photon transfer: Janesick (2007), Photon Transfer, ch. 5; from single images: Foi et al. (2008),
    IEEE TIP 17, 1737. Regression: Koenker & Bassett (1978), Econometrica 46, 33, eq. 3.3; with a
    prior: Yu & Moyeed (2001), Stat. Probab. Lett. 54, 437, doi 10.1016/S0167-7152(01)00124-9.

    Examples
    --------
    >>> from sciup.io import open_image
    >>> light = np.linspace(5, 300, 256) * np.ones((256, 1))
    >>> counts = 100 + np.random.default_rng(0).poisson(light) / 2.0
    >>> line = photon_transfer(probe(open_image(counts), ()))
    >>> round(line.gain, 1), bool(abs(line.zero - 100) < 2)
    (2.0, True)
    """
    mean, variance = _all_patches(sample.blocks, _ceiling(sample.valid))
    if len(mean) < FEWEST:
        mean, variance = _all_patches(sample.blocks, np.inf)
    if not len(mean):
        return None
    dark = float(np.quantile(mean, DARKEST))
    below = max(float(mean.max()) - dark, 1e-30) * REACHES
    expected = max(dark - float(sample.valid.min()), below[0])
    # rows: where the line may meet 0; a patch below that tells nothing of the gain
    above = np.maximum(mean - (dark - below)[:, None], below[:, None] / 10)
    slopes = np.log(variance / LOWER_VARIANCE) - np.log(above)
    slope = np.quantile(slopes, LOWER, axis=1)
    off = slopes - slope[:, None]
    loss = np.where(off > 0, LOWER * off, (LOWER - 1) * off).sum(1)
    best = int(np.argmin(loss + PRIOR * np.log(below / expected) ** 2))
    return PhotonTransfer(float(np.exp(-slope[best])), dark - float(below[best]), dark)


def _all_patches(blocks: list[Values], end: float) -> NDArray[np.float64]:
    """Mean and noise variance of the patches that tell, (2, n): all of their pixels below `end`."""
    parts = [_patches(np.where(block < end, block, np.nan)) for block in blocks]
    both = np.concatenate([np.empty((2, 0)), *parts], axis=1)
    return np.asarray(both[:, np.isfinite(both).all(0) & (both[1] > 0)])


def _ceiling(values: Values) -> float:
    """Value from which on pixels are saturated: a peak of the histogram at its upper end.

    Whatever is not cut off has fewer pixels at its largest value than at the one below.
    """
    largest = values.max(initial=-np.inf)
    at, rest = int((values == largest).sum()), values[values < largest]
    below = int((rest == rest.max(initial=-np.inf)).sum())
    return float(largest) if at > below and at >= CEILING * values.size else np.inf


def _patches(block: Values) -> NDArray[np.float64]:
    """Mean and noise variance of the patches of a block, (2, n); NaN where masked."""
    if min(block.shape) < PATCH + 2:
        return np.empty((2, 0))
    z = block.astype(np.float64)
    rows = z[:-2] - 2 * z[1:-1] + z[2:]
    second = (rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]) / 6  # of white noise: its variance
    h, w = (n // PATCH for n in second.shape)
    tiles = np.s_[: h * PATCH, : w * PATCH]
    shape = (h, PATCH, w, PATCH)
    level = z[1:-1, 1:-1][tiles].reshape(shape).mean((1, 3))
    variance = (second[tiles] ** 2).reshape(shape).mean((1, 3))
    return np.stack([level.ravel(), variance.ravel()])


def levels(sample: Probe) -> tuple[float, float]:
    """Dark and bright end of an image: 1st and 99.9th percentile of 3 x 3 means."""
    smooth = []
    for block in sample.blocks:
        filled = np.where(
            np.isfinite(block), block, np.nanmedian(block) if np.isfinite(block).any() else 0
        )
        smooth.append(uniform_filter(filled.astype(np.float64), 3)[np.isfinite(block)])
    flat = np.concatenate(smooth)
    dark, bright = np.percentile(flat, [1, 99.9])
    return float(dark), float(bright)


def noise_correlation(sample: Probe) -> float:
    """Correlation of blank-sky noise with its nearest neighbours, 0 to 0.7."""
    products, squares = 0.0, 0.0
    for block in sample.blocks:
        finite = np.isfinite(block)
        if finite.sum() < 1000 or min(block.shape) < 8:
            continue
        level, sigma = block_sky(block)
        z = np.where(finite, block - level, 0).astype(np.float64)
        # sources, seen in a smoothed image, and their surroundings do not count as noise
        detected = np.abs(uniform_filter(z, 3)) > 1.5 * sigma
        blank = finite & ~maximum_filter(detected | ~finite, 9)
        share = np.maximum(uniform_filter(blank * 1.0, 11), 1e-9)
        z -= uniform_filter(z * blank, 11) / share
        for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            both = blank[a] & blank[b]
            products += float((z[a] * z[b])[both].sum()) / 2
            squares += float(((z[a] ** 2 + z[b] ** 2) / 2)[both].sum()) / 2
    return float(np.clip(products / squares + 1 / 121, 0, 0.7)) if squares > 0 else 0.0
