"""From shapes and points, wherever they lie in the world, to regions in input pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup_napari.measure_messages import Outline
from sciup_napari.place import Matrix, to_world

Array = NDArray[np.float64]

DIGITS = 4
"""Of a place in input px: napari keeps shapes in single precision, and the way through the world is
rounded. The same place stays the same number."""

KINDS = ("Shapes", "Points")
"""Types of layers that hold regions."""


def outlines_of(
    layer: Any, viewer: Any, matrix: Matrix, radius: float
) -> list[tuple[int, Outline]]:
    """What of a layer is on the plane that is shown: index in the layer, and region.

    Parameters
    ----------
    layer : napari Shapes or Points layer
        Points that are not shown are left out.
    viewer : napari.Viewer
    matrix : ndarray (3, 3)
        From input pixels to the world.
    radius : float
        Around points, input px.
    """
    to_input = np.linalg.inv(matrix) @ to_world(layer)
    points = type(layer).__name__ == "Points"
    kinds = ["point"] * len(layer.data) if points else list(layer.shape_type)
    found = []
    for i, (data, kind) in enumerate(zip(layer.data, kinds, strict=True)):
        corners = np.atleast_2d(np.asarray(data, np.float64))
        if (points and not layer.shown[i]) or not _here(layer, corners[0], viewer):
            continue
        places = (np.c_[corners[:, -2:], np.ones(len(corners))] @ to_input.T)[:, :2]
        if kind == "ellipse":
            places = around_ellipse(places)
        pairs = tuple((float(y), float(x)) for y, x in np.round(places, DIGITS))
        found.append((i, Outline(kind, pairs, radius if points else 0.0)))
    return found


def _here(layer: Any, corner: Array, viewer: Any) -> bool:
    """Whether something of a stack is on the plane that the sliders are at."""
    if layer.ndim < 3:
        return True
    at = np.asarray(layer.data_to_world(corner), float)[:-2]
    first = viewer.dims.ndim - layer.ndim
    shown = np.array(viewer.dims.point[first:-2], float)
    steps = np.array([step for *_, step in viewer.dims.range[first:-2]], float)
    return bool((np.abs(at - shown) <= steps / 2).all())


def around_ellipse(corners: Array) -> Array:
    """Corners (4, 2) of the rectangle around an ellipse, from those of any parallelogram around it.

    The world may stretch and shear a rectangle. The ellipse in it is the unit circle under the
    matrix of two half sides; the singular vectors of that are its axes.

    Examples
    --------
    >>> square = np.array([[0.0, 0.0], [0.0, 4.0], [2.0, 4.0], [2.0, 0.0]])
    >>> sorted(np.round(around_ellipse(square), 6).tolist())
    [[0.0, 0.0], [0.0, 4.0], [2.0, 0.0], [2.0, 4.0]]
    """
    if len(corners) != 4:
        return corners
    sides = np.stack([corners[1] - corners[0], corners[2] - corners[1]], 1) / 2
    if abs(sides[:, 0] @ sides[:, 1]) <= 1e-9 * np.prod(np.linalg.norm(sides, axis=0)):
        return corners  # a rectangle already
    ways, lengths, _ = np.linalg.svd(sides)
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    return np.asarray(corners.mean(0) + (signs * lengths) @ ways.T)


__all__ = ["KINDS", "around_ellipse", "outlines_of"]
