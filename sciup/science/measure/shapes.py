"""Regions on the grid of output pixels: which share of each pixel they cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sciup.geometry import Box

Array = NDArray[np.float64]

POINTS = 4e6
"""Points at which a polygon is looked up at most; 8 x 8 in each pixel of a small one."""

SLOP = 1e-6
"""Pixels by which a border may miss the edge of a pixel: world coordinates are rounded."""


class Shape(Protocol):
    """A region; (y, x) in output pixels of the result, pixel centres at integers."""

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle."""

    @property
    def box(self) -> Box:
        """All pixels that it touches; may stick out of the result."""

    def weights(self, box: Box) -> Array:
        """Covered share of each pixel of a box, (h, w)."""


@dataclass(frozen=True)
class Region:
    """A named region."""

    id: str
    shape: Shape


@dataclass(frozen=True)
class Ellipse:
    """An ellipse, or a circle.

    Attributes
    ----------
    centre : (float, float)
    a, b : float
        Semi-axes.
    angle : float
        Of `a`, in radians from the x axis towards the y axis.

    Examples
    --------
    >>> disc = Ellipse((2.0, 2.0), 1.5, 1.5)
    >>> disc.box, round(float(disc.weights(disc.box).sum() / 1.5**2), 6)
    (Box(start=(1, 1), stop=(4, 4)), 3.141593)
    """

    centre: tuple[float, float]
    a: float
    b: float
    angle: float = 0.0

    @property
    def box(self) -> Box:
        """See `Shape`."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        half = np.hypot(self.a * s, self.b * c), np.hypot(self.a * c, self.b * s)
        middle = np.array(self.centre)
        return _around(middle - half, middle + half)

    def weights(self, box: Box) -> Array:
        """See `Shape`."""
        from photutils.geometry import elliptical_overlap_grid

        (y0, x0), (y1, x1) = box.start, box.stop
        y, x = self.centre
        edges = x0 - 0.5 - x, x1 - 0.5 - x, y0 - 0.5 - y, y1 - 0.5 - y
        return np.asarray(
            elliptical_overlap_grid(*edges, x1 - x0, y1 - y0, self.a, self.b, self.angle, 1, 1),
            np.float64,
        )


@dataclass(frozen=True, eq=False)
class Polygon:
    """A polygon.

    Attributes
    ----------
    corners : ndarray (n, 2)
        As (y, x).

    Examples
    --------
    >>> square = Polygon(np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 2.0], [2.0, 0.0]]))
    >>> square.weights(square.box)
    array([[0.25, 0.5 , 0.25],
           [0.5 , 1.  , 0.5 ],
           [0.25, 0.5 , 0.25]])
    """

    corners: Array

    @property
    def centre(self) -> tuple[float, float]:
        """See `Shape`; of the corners' box, since a curved region may not hold its barycentre."""
        y, x = (self.corners.min(0) + self.corners.max(0)) / 2
        return float(y), float(x)

    @property
    def box(self) -> Box:
        """See `Shape`."""
        return _around(self.corners.min(0), self.corners.max(0))

    def weights(self, box: Box) -> Array:
        """See `Shape`."""
        from matplotlib.path import Path

        n = int(np.clip(np.sqrt(POINTS / max(box.size, 1)), 1, 8))
        y, x = (
            (np.arange(a * n, b * n) + 0.5) / n - 0.5
            for a, b in zip(box.start, box.stop, strict=True)
        )
        points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
        inside = Path(self.corners[:, ::-1]).contains_points(points).astype(np.float64)
        h, w = box.shape
        return np.asarray(inside.reshape(h, n, w, n).mean((1, 3)))


@dataclass(frozen=True)
class Whole:
    """All of a plane."""

    plane_shape: tuple[int, int]

    @property
    def centre(self) -> tuple[float, float]:
        """See `Shape`."""
        return (self.plane_shape[0] - 1) / 2, (self.plane_shape[1] - 1) / 2

    @property
    def box(self) -> Box:
        """See `Shape`."""
        return Box.of_shape(self.plane_shape)

    def weights(self, box: Box) -> Array:
        """See `Shape`."""
        return np.pad(
            np.ones(self.box.intersect(box).shape),
            [
                (max(0, -a), max(0, b - n))
                for a, b, n in zip(box.start, box.stop, self.plane_shape, strict=True)
            ],
        )


def _around(low: Array, high: Array) -> Box:
    """Pixels between two points, each of which reaches half a pixel from its centre."""
    start = np.floor(low + 0.5 + SLOP).astype(int)
    stop = np.maximum(np.ceil(high - 0.5 - SLOP).astype(int) + 1, start + 1)
    return Box(tuple(start.tolist()), tuple(stop.tolist()))


__all__ = ["Ellipse", "Polygon", "Region", "Shape", "Whole"]
