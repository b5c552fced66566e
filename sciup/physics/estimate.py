"""What the pixels tell about the instrument: gain, noise, PSF width, noise correlation.

All estimates look at a fixed, sparse set of absolute blocks, so that they do not depend on the
region asked for and cost the same for any size of image.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter

from sciup.geometry import Box, iterate
from sciup.image import Image, Plane
from sciup.physics.mesh import BLOCK, block_sky

SAMPLED = 16
"""Number of blocks that estimates look at."""

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


def photon_transfer(sample: Probe) -> tuple[float, float] | None:
    """Slope and intercept of noise variance against mean, in image units; None if not measurable.

    The variance of second differences in patches of 8 x 8 px, in bins of the patch mean; in each
    bin the lower envelope (10th to 25th percentile), which structure does not reach.

    References
    ----------
    Photon transfer: Janesick (2007), Photon Transfer, ch. 5; single images by the lower envelope:
    Foi et al. (2008), IEEE TIP 17, 1737.
    """
    means, variances = [], []
    for block in sample.blocks:
        if min(block.shape) < 10:
            continue
        z = block.astype(np.float64)
        second = (
            4 * z[1:-1, 1:-1]
            - 2 * (z[:-2, 1:-1] + z[2:, 1:-1] + z[1:-1, :-2] + z[1:-1, 2:])
            + (z[:-2, :-2] + z[:-2, 2:] + z[2:, :-2] + z[2:, 2:])
        ) / 6
        h, w = (n // 8 * 8 for n in second.shape)
        patches = second[:h, :w].reshape(h // 8, 8, w // 8, 8).swapaxes(1, 2).reshape(-1, 64)
        level = z[1 : h + 1, 1 : w + 1].reshape(h // 8, 8, w // 8, 8).mean((1, 3)).ravel()
        means.append(level)
        variances.append((patches**2).mean(1))
    if not means:
        return None
    m, v = np.concatenate(means), np.concatenate(variances)
    good = np.isfinite(m) & np.isfinite(v)
    m, v = m[good], v[good]
    if len(m) < 32 or not np.ptp(m) > 0:
        return None
    return _envelope(m, v)


def _envelope(m: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[float, float] | None:
    """Weighted line through the lower envelope of v over m."""
    edges = np.unique(np.quantile(m, np.linspace(0, 1, min(25, len(m) // 8 + 1))))
    x, y, n = [], [], []
    for a, b in pairwise(edges):
        inside = (m >= a) & (m <= b)
        if inside.sum() < 6:
            continue
        low, high = np.quantile(v[inside], [0.05, 0.3])
        part = v[inside][(v[inside] >= low) & (v[inside] <= high)]
        x.append(float(m[inside].mean()))
        # measured on pure Poisson noise: that band lies at 0.70 of the variance
        y.append(float(part.mean()) / 0.70 if len(part) else np.nan)
        n.append(int(inside.sum()))
    xs, ys, ns = (np.array(a, float) for a in (x, y, n))
    ok = np.isfinite(ys) & (ys > 0)
    if ok.sum() < 3:
        return None
    weight = np.sqrt(ns[ok]) / ys[ok]
    for _ in range(3):
        slope, intercept = np.polyfit(xs[ok], ys[ok], 1, w=weight)
        # points far above the line hold structure: they count less
        excess = np.maximum(ys[ok] / np.maximum(slope * xs[ok] + intercept, 1e-30) - 1, 0)
        weight = np.sqrt(ns[ok]) / ys[ok] / (1 + 4 * excess)
    return float(slope), float(intercept)


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
