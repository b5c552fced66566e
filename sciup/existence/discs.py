"""Light in discs, above the level around them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from sciup.existence.union import Array

RING = (1.5, 2.0)
"""Ring whose median is the level below structures of micrographs, in radii of their disc."""

CORE = 4.0
"""Radius that lies within every nucleus, px."""

SIZES = np.arange(8.0, 29.0, 2.0)
"""Radii that nuclei may have, px: those found have 8 to 22, and their edges are soft."""

BEYOND = 40.0
"""Radius beyond which nothing belongs to a nucleus or to its surroundings, px."""


def disc(values: Array, places: Array, radius: float, *, level: bool) -> Array:
    """Sums (n,) over discs of one radius at places (n, 2).

    Parameters
    ----------
    values : ndarray (h, w)
    places : ndarray (n, 2)
    radius : float
        Px; half a pixel of soft edge, so that a shift by less than a pixel changes little.
    level : bool
        Whether the median of a ring is subtracted.

    Examples
    --------
    >>> image = np.zeros((40, 40)) + 7
    >>> image[20, 20] = 12
    >>> disc(image, np.array([[20.0, 20.2]]), 4.0, level=True).tolist()
    [5.0]
    """
    reach = int(np.ceil(radius * RING[1])) + 1 if level else int(np.ceil(radius)) + 1
    near, far, whole = _around(values, places, reach)
    if level:
        ring = (whole > RING[0] * radius) & (whole <= RING[1] * radius)
        near = near - np.median(near[:, ring], axis=1, keepdims=True)
    return np.asarray((near * np.clip(radius + 0.5 - far, 0, 1)).sum(1))


def blob(values: Array, places: Array) -> Array:
    """Light (n,) of nuclei at places (n, 2), each in a disc of its own size.

    The radius is where the median of a ring falls to half between the core and the darkest ring,
    and a quarter more for the soft edge. Where nothing is brighter than its surroundings, the disc
    is the smallest.

    Examples
    --------
    >>> y, x = np.mgrid[:96, :96]
    >>> image = 3.0 + (np.hypot(y - 48, x - 48) < 15)
    >>> bool(abs(blob(image, np.array([[48.0, 48.0]]))[0] / (np.pi * 15**2) - 1) < 0.02)
    True
    """
    near, far, whole = _around(values, places, int(BEYOND))
    edges = [*SIZES, 32.0, 36.0, BEYOND]
    rings = np.stack(
        [np.median(near[:, (whole > a) & (whole <= b)], axis=1) for a, b in pairwise(edges)]
    )
    core = np.median(near[:, whole <= CORE], axis=1)
    dark = rings.min(0)
    below = rings[: len(SIZES) - 1] < (core + dark) / 2
    first = np.where(below.any(0), below.argmax(0), len(SIZES) - 1)
    # a ring that is below half begins at its size: the edge lies about the middle of it
    radius = 1.25 * np.where(core > dark, SIZES[first] + 1, SIZES[0])
    share = np.clip(radius[:, None] + 0.5 - far, 0, 1)
    return np.asarray(((near - dark[:, None]) * share).sum(1))


def _around(values: Array, places: Array, reach: int) -> tuple[Array, Array, Array]:
    """Values (n, m) of the pixels around places, and how far they are, px.

    From the places themselves (n, m), and (m,) from their pixels, the same for all.
    """
    steps = np.stack(np.meshgrid(*[np.arange(-reach, reach + 1)] * 2, indexing="ij")).reshape(2, -1)
    padded = np.pad(values, reach, mode="symmetric")
    middle = np.clip(np.rint(places), 0, np.array(values.shape) - 1).astype(np.intp)
    y, x = (middle[:, i, None] + steps[i] + reach for i in (0, 1))
    far = np.hypot(*(steps[:, None] - (places - middle).T[:, :, None]))
    return padded[y, x], far, np.hypot(*steps)


__all__ = ["BEYOND", "RING", "blob", "disc"]
