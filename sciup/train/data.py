"""Truth images in memory: crops by importance, all from (seed, step). Needs numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciup.image import mirror

Float = NDArray[np.float32]
Split = Literal["train", "calibrate", "test"]
Rng = np.random.Generator


def log_uniform(rng: Rng, ends: tuple[float, float], count: int) -> NDArray[np.float64]:
    """Numbers whose logarithm is uniform."""
    return np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]), count))


@dataclass(frozen=True)
class Truths:
    """Truth images with the probability of each to be picked.

    Attributes
    ----------
    images : list of ndarray (h, w), float32, float16 or uint16
        Times `quantum`. Fluorescence: 0 at the 1st, 1 at the 99.9th percentile. Night sky: flux per
        fine pixel in units in which the noise of an input pixel is about 1.
    noise : ndarray (N,)
        One-sigma noise of each truth, in its units.
    share : ndarray (N,)
        Probability that a crop comes from this image.
    quantum : float
        Value of 1 in `images`.
    group : ndarray (N,) of int, optional
        Source of each image.
    """

    images: list[NDArray[Any]]
    noise: NDArray[np.float64]
    share: NDArray[np.float64]
    quantum: float = 1.0
    group: NDArray[np.int64] | None = None

    @property
    def nbytes(self) -> int:
        """Size of all pixels."""
        return sum(image.nbytes for image in self.images)

    def crop(
        self, rng: Rng, side: int, inner: int, step: int
    ) -> tuple[Float, NDArray[np.bool_], int]:
        """A random square of `side` px whose middle `inner` px lie in the image.

        Outside the image it is mirrored at an edge that falls on a multiple of `step` px of the
        square, as the edges of an input image do. Returns the square, where it is real, and the
        index of its image.
        """
        i = int(rng.choice(len(self.images), p=self.share))
        image = self.images[i]
        trim = rng.integers(0, step, 2)
        height, width = ((n - t) // step * step for n, t in zip(image.shape, trim, strict=True))
        image = image[trim[0] : trim[0] + height, trim[1] : trim[1] + width]
        border = (side - inner) // 2
        index, inside = [], []
        for n in (height, width):
            start = int(rng.integers(0, (n - inner) // step + 1)) * step - border
            index.append(mirror(start, start + side, n))
            inside.append(
                (np.arange(start, start + side) >= 0) & (np.arange(start, start + side) < n)
            )
        square = image[np.ix_(*index)].astype(np.float32) * np.float32(self.quantum)
        real = np.outer(*inside).astype(bool)
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        square, real = np.rot90(square, turns), np.rot90(real, turns)
        if flip:
            square, real = square[:, ::-1], real[:, ::-1]
        return np.ascontiguousarray(square), np.ascontiguousarray(real), i


@dataclass(frozen=True)
class Pairs:
    """Measured pairs, registered and with the same place.

    Attributes
    ----------
    low : list of ndarray (h, w), float32
        Electrons above the pedestal.
    high : list of ndarray (s h, s w), uint16
        Truths as in `Truths`; times quantum, slope and plus offset they are electrons.
    facts : ndarray (N, 6)
        Slope, offset, dark end, bright end, read noise [electrons], noise of the truth.
    fwhm : ndarray (N,)
        Relative kernel, input px.
    share : ndarray (N,)
        Probability of each; the rest up to 1 is simulated.
    """

    low: list[Float]
    high: list[NDArray[np.uint16]]
    facts: NDArray[np.float64]
    fwhm: NDArray[np.float64]
    share: NDArray[np.float64]

    def crop(
        self, rng: Rng, k: int, window: int, core: int
    ) -> tuple[Float, NDArray[np.bool_], NDArray[np.uint16]]:
        """A window of low image k, where it is real, and the truth of its middle `core` px."""
        low, high = self.low[k], self.high[k]
        s, rim = high.shape[0] // low.shape[0], (window - core) // 2
        start = [int(rng.integers(0, n - core + 1)) for n in low.shape]
        index = [
            mirror(a - rim, a - rim + window, n) for a, n in zip(start, low.shape, strict=True)
        ]
        inside = [
            (np.arange(a - rim, a - rim + window) >= 0) & (np.arange(a - rim, a - rim + window) < n)
            for a, n in zip(start, low.shape, strict=True)
        ]
        y, x = (slice(a * s, (a + core) * s) for a in start)
        pictures = [low[np.ix_(*index)], np.outer(*inside).astype(bool), high[y, x]]
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        pictures = [np.rot90(p, turns)[:, :: -1 if flip else 1] for p in pictures]
        return pictures[0], pictures[1], pictures[2]


def robust_noise(image: NDArray[Any]) -> float:
    """Standard deviation of white noise in an image, from the median of its second differences.

    References
    ----------
    Immerkaer (1996), CVIU 64, 300 (mask), with the median in place of the mean.
    """
    rows = np.diff(np.asarray(image, np.float64), 2, axis=0)
    return float(np.median(np.abs(np.diff(rows, 2, axis=1))) / 6 / 0.6745)
