"""Background and noise of the sky as a coarse mesh: one robust value per absolute block.

A value is a function of its block's pixels only, so a region or a preview reads only the blocks it
touches and agrees with the whole image to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter, label, uniform_filter

from sciup.geometry import Box, iterate
from sciup.image import Image, Plane

BLOCK = 256
"""Side of a block in input pixels."""

LEAST = 64
"""Pixels with data that a block needs for values of its own."""

LOCAL = 9
"""Side of a local mean in input pixels."""

SMOOTH = 1.06
"""Standard deviation of the Gaussian that sources are looked for with, input pixels."""

BRIGHT, SMALLEST = 3.0, 5
"""Sources rise so many sigmas of the smoothed noise, and have so many pixels that do."""

GROW = (4, 2, 0)
"""Pixels by which sources are grown; less where too little sky would be left."""

REST = 0.1
"""Share of a block that must be left without sources."""

ROUNDS = 3

Field = NDArray[np.float64]


def _median(ordered: Field) -> float:
    """Of values in order; NaN of none."""
    half, odd = divmod(len(ordered), 2)
    if not len(ordered):
        return float("nan")
    return float(ordered[half] if odd else (ordered[half - 1] + ordered[half]) / 2)


def robust_sky(values: NDArray[np.float32]) -> tuple[float, float]:
    """Background and noise of a sample of sky pixels that may hold sources.

    Three rounds of clipping at 3 sigma; the noise is measured on the pixels below the median, which
    sources do not reach.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sky = rng.normal(10, 2, 65536).astype(np.float32)
    >>> sky[:2000] += 100
    >>> level, sigma = robust_sky(sky)
    >>> abs(level - 10) < 0.1, abs(sigma - 2) < 0.1
    (True, True)
    """
    kept = np.sort(values, axis=None).astype(np.float64)  # once; what is kept is a part of it
    middle = sigma = 0.0
    for _ in range(4):
        middle = _median(kept)
        offset = kept - middle
        below = offset[: np.searchsorted(offset, 0, "right")]
        sigma = 1.4826 * abs(_median(below))
        near = slice(
            np.searchsorted(offset, -3 * sigma), np.searchsorted(offset, 3 * sigma, "right")
        )
        if not sigma > 0 or len(kept[near]) == len(kept):
            break
        kept = kept[near]
    return middle, sigma


def sourceless(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels of a block (h, w) on which no source is seen; False where masked.

    What rises above the noise of the smoothed image, grown by the reach of its wings. Clipping
    single pixels leaves the wings and the faint sources in: they raise level and noise of a crowded
    field (docs/design/0032).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sky = rng.normal(10, 2, (64, 64)).astype(np.float32)
    >>> sky[20:24, 30:34] += 10
    >>> left = sourceless(sky)
    >>> bool(left[18:26, 28:36].any()), bool(left.mean() > 0.95)
    (False, True)
    """
    finite = np.isfinite(values)
    share = gaussian_filter(finite.astype(np.float64), SMOOTH, mode="nearest")
    filled = np.where(finite, values, 0).astype(np.float64)
    smooth = gaussian_filter(filled, SMOOTH, mode="nearest") / np.maximum(share, 1e-9)
    rest = finite
    for _ in range(ROUNDS):
        level, sigma = robust_sky(smooth[rest])
        if not sigma > 0:
            break
        found, _n = label(finite & (smooth > level + BRIGHT * sigma))
        large = np.bincount(found.ravel()) >= SMALLEST
        large[0] = False
        new = _around(large[found], finite)
        if new is None:
            break
        rest = new
    return rest


def _around(bright: NDArray[np.bool_], finite: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """What is left around sources; None if it is too little."""
    for grow in GROW:
        grown = binary_dilation(bright, iterations=grow) if grow else bright
        rest = finite & ~grown
        if rest.sum() >= max(LEAST, REST * finite.sum()):
            return np.asarray(rest)
    return None


def block_sky(values: NDArray[np.float32]) -> tuple[float, float]:
    """Background and noise of a block (h, w), NaN where masked, that may be full of light.

    `robust_sky` of the pixels without sources, unless the values spread over more than 1.3 times
    the noise about their 9 px local means: then they spread because a galaxy or a nebula fills the
    block. The noise is taken from the darker half of those differences, the level from the darkest
    local means.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y, x = np.mgrid[:128, :128] - 64
    >>> block = rng.normal(10, 2, (128, 128)) + 300 * np.exp(-np.hypot(x, y) / 20)
    >>> level, sigma = block_sky(block.astype(np.float32))
    >>> abs(level - 15) < 5, abs(sigma - 2) < 0.1
    (True, True)
    """
    finite = np.isfinite(values)
    level, sigma = robust_sky(values[sourceless(values)])
    if min(values.shape) < 2 * LOCAL or not sigma > 0:
        return level, sigma
    filled = np.where(finite, values, 0).astype(np.float64)
    share = uniform_filter(finite.astype(np.float64), LOCAL, mode="nearest")
    local = uniform_filter(filled, LOCAL, mode="nearest") / np.maximum(share, 1e-9)
    dark = finite & (local <= np.median(local[finite]))
    difference = (filled - local)[dark]
    # a pixel is part of its local mean
    noise = 1.4826 * float(np.median(np.abs(difference))) / np.sqrt(1 - LOCAL**-2)
    if not 0 < 1.3 * noise < sigma:
        return level, sigma
    return float(np.percentile(local[finite], 5)), float(noise)


@dataclass
class Mesh:
    """Background and noise of one plane, computed block by block when asked for.

    Attributes
    ----------
    image : Image
    plane : tuple of int
    level, sigma : float or None
        Constants that replace the measured values.
    fallback : (float, float)
        Values for blocks that have no pixels and no neighbours with pixels.
    """

    image: Image
    plane: Plane
    level: float | None = None
    sigma: float | None = None
    fallback: tuple[float, float] = (0.0, 1.0)
    _blocks: dict[tuple[int, int], tuple[float, float]] = field(
        default_factory=dict, repr=False, compare=False
    )
    _last: tuple[tuple[Box, int], tuple[Field, Field]] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def _grid(self) -> tuple[int, int]:
        h, w = self.image.plane_shape
        return -(-h // BLOCK), -(-w // BLOCK)

    def block(self, index: tuple[int, int]) -> tuple[float, float]:
        """Level and sigma of one block; NaN without enough pixels."""
        if self.level is not None and self.sigma is not None:
            return self.level, self.sigma
        if index not in self._blocks:
            box = Box(index, (index[0] + 1, index[1] + 1)).scaled(BLOCK)
            box = box.intersect(Box.of_shape(self.image.plane_shape))
            values, footprint = self.image.read(self.plane, box)
            kept = values[footprint]
            enough = len(kept) >= min(LEAST, box.size)
            measured = (
                block_sky(np.where(footprint, values, np.nan)) if enough else (np.nan, np.nan)
            )
            if not measured[1] > 0:  # a constant block has no noise to measure
                measured = (np.nan, np.nan)
            self._blocks[index] = (
                measured[0] if self.level is None else self.level,
                measured[1] if self.sigma is None else self.sigma,
            )
        return self._blocks[index]

    def _filled(self, index: tuple[int, int]) -> tuple[float, float]:
        """Values of a block, or the mean of the nearest ring of blocks that have some."""
        rows, cols = self._grid
        for ring in range(4):
            box = Box(index, (index[0] + 1, index[1] + 1)).grown(ring)
            found = [
                self.block((i[0], i[1]))
                for i in iterate(box.intersect(Box((0, 0), (rows, cols))))
                if max(abs(i[0] - index[0]), abs(i[1] - index[1])) == ring
            ]
            good = [f for f in found if np.isfinite(f).all()]
            if good:
                return float(np.mean([g[0] for g in good])), float(np.mean([g[1] for g in good]))
        return self.fallback

    def fields(self, box: Box, fine: int = 1) -> tuple[Field, Field]:
        """Level and sigma at the pixels of a box, joined bilinearly between block centres.

        Parameters
        ----------
        box : Box
            Pixels of a grid that is `fine` times finer than the image's; may stick out.
        fine : int
            Pixels per input pixel.

        Returns
        -------
        level, sigma : ndarray of shape box.shape, float64
            In the image's units, per *input* pixel; the last ones are kept: not to be written to.
        """
        last = self._last  # of this thread or another: whole, whoever replaces it
        if last is None or last[0] != (box, fine):
            self._last = last = ((box, fine), self._joined(box, fine))
        return last[1]

    def _joined(self, box: Box, fine: int) -> tuple[Field, Field]:
        """What `fields` returns, computed."""
        rows, cols = self._grid
        axes = []
        for axis, count in enumerate((rows, cols)):
            centre = (np.arange(box.start[axis], box.stop[axis]) + 0.5) / (fine * BLOCK) - 0.5
            centre = np.clip(centre, 0, count - 1)
            left = np.minimum(centre.astype(int), max(count - 2, 0))
            axes.append((left, centre - left))
        (y, wy), (x, wx) = axes
        y1, x1 = np.minimum(y + 1, rows - 1), np.minimum(x + 1, cols - 1)
        out = []
        corner = {(a, b): self._filled((a, b)) for a in {*y, *y1} for b in {*x, *x1}}
        for which in (0, 1):
            low, high = int(y.min()), int(x.min())
            table = np.zeros((int(y1.max()) - low + 1, int(x1.max()) - high + 1))
            for (a, b), value in corner.items():
                table[a - low, b - high] = value[which]
            upper = table[y - low][:, x - high] * (1 - wx) + table[y - low][:, x1 - high] * wx
            lower = table[y1 - low][:, x - high] * (1 - wx) + table[y1 - low][:, x1 - high] * wx
            out.append(upper * (1 - wy[:, None]) + lower * wy[:, None])
            out[-1].flags.writeable = False
        return out[0], out[1]
