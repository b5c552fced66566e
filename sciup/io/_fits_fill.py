"""Recognises zeros that fill the corners of a mosaic: they are no data.

A rotated mosaic without a weight map often has zeros around it. Nothing in the file says so; but
measured values are not exactly 0 over large areas, unless the image is a noise-free simulation of
a dark sky. So zeros count as missing only where all of this holds:

- they fill a square of `SOLID` pixels with nothing else in it;
- a corner of the image is filled with them;
- what is not filled is measured: it scatters about 0, or lies far above it, and single zeros are
  rare in it, unlike in counts of few photons.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening

from sciup.geometry import Box

SOLID = 5
"""Side of the smallest square of zeros that is a fill, px."""
CORNER = 8
"""Side of a square of zeros in a corner of the image that raises the suspicion, px."""
STRAY = 0.01
"""Largest share of zeros outside such squares."""
NEGATIVE = 0.05
"""Least share of negative values in a sky that scatters about 0."""
PEDESTAL = 0.3
"""Least ratio of the lowest hundredth to the median in a sky far above 0."""

Values = NDArray[np.float32]
Read = Callable[[Box], Values]


def is_filled(read: Read, shape: tuple[int, int]) -> bool:
    """Whether zeros at the border of an image are a fill.

    Parameters
    ----------
    read : callable
        Values of a box inside the image.
    shape : (int, int)
        Height and width.
    """
    if min(shape) < 2 * CORNER:
        return False
    rows, cols = (((0, CORNER), (n - CORNER, n)) for n in shape)
    corners = [Box((y[0], x[0]), (y[1], x[1])) for y in rows for x in cols]
    if not any((read(corner) == 0).all() for corner in corners):
        return False
    seen = _middle(read, shape)
    kept = seen[np.isfinite(seen) & ~_solid(seen == 0)]
    if kept.size < CORNER**2 or (kept == 0).mean() > STRAY:
        return False
    scatters = float((kept < 0).mean()) > NEGATIVE
    low, middle = np.percentile(kept, [1, 50])
    return bool(scatters or (middle > 0 and low > PEDESTAL * middle))


def _solid(zero: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that lie in a square full of zeros."""
    return binary_opening(zero, np.ones((SOLID, SOLID), bool)) if zero.any() else zero


def _middle(read: Read, shape: tuple[int, int]) -> Values:
    """Values of a square in the middle of the image, which a fill hardly reaches."""
    box = [(max(0, n // 2 - 128), min(n, n // 2 + 128)) for n in shape]
    return read(Box((box[0][0], box[1][0]), (box[0][1], box[1][1])))


def measured(read: Read, box: Box, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels of a box are no fill: a function of the pixels near each, not of the box."""
    wide = box.grown(SOLID - 1).intersect(Box.of_shape(shape))
    return ~_solid(read(wide) == 0)[box.relative_to(wide).slices]
