"""From a layer to a drawing of a region: what the user imagines there."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from sciup.errors import OptionError
from sciup_napari.layer_source import check, level_0, plane_of
from sciup_napari.place import Matrix, to_world

Drawing = NDArray[np.float32]

KINDS = ("Labels", "Shapes", "Image")
"""Types of layers that can be a sketch."""


def sketch_of(layer: Any, viewer: Any, matrix: Matrix, shape: tuple[int, int]) -> Drawing:
    """A layer as a picture on a grid; labels and shapes are 1 on 0.

    Parameters
    ----------
    layer : napari Labels, Shapes or Image layer
        It may lie in the world as it likes.
    viewer : napari.Viewer
        Its sliders say which plane.
    matrix : ndarray (3, 3)
        From pixels of the grid to the world.
    shape : (int, int)
        Of the grid.

    Raises
    ------
    OptionError
        If there is nothing of it on the grid, or an image does not cover the grid.
    """
    if type(layer).__name__ == "Shapes":
        found = _shapes(layer, np.linalg.inv(matrix) @ to_world(layer), shape)
    else:
        found = _pixels(layer, viewer, np.linalg.inv(to_world(layer)) @ matrix, shape)
    if not np.isfinite(found).all():
        raise OptionError(
            f"the sketch {layer.name!r} does not cover the region",
            fix="explore a region inside it, or use a Labels layer",
        )
    if np.ptp(found) == 0:
        raise OptionError(
            f"the sketch {layer.name!r} shows nothing in the region", fix="draw something there"
        )
    return found


def _shapes(layer: Any, to_grid: Matrix, shape: tuple[int, int]) -> Drawing:
    """Filled shapes."""

    def moved(corners: Any) -> Any:
        flat = np.asarray(corners, float)[:, -2:]
        return (np.c_[flat, np.ones(len(flat))] @ to_grid.T)[:, :2]

    if not len(layer.data):
        return np.zeros(shape, np.float32)
    there = Shapes([moved(corners) for corners in layer.data], shape_type=list(layer.shape_type))
    return np.asarray(there.to_masks(shape).any(0), np.float32)


def _pixels(layer: Any, viewer: Any, to_layer: Matrix, shape: tuple[int, int]) -> Drawing:
    """A plane at the pixels of the grid: the nearest label, or interpolated light."""
    labels = type(layer).__name__ == "Labels"
    if not labels:
        check(layer)
    pixels = level_0(layer)[plane_of(layer, viewer)]
    corners = np.array([(y, x, 1) for y in (0, shape[0] - 1) for x in (0, shape[1] - 1)])
    at = (corners @ to_layer.T)[:, :2]
    # only what is needed of what may be large and lazy
    low = np.clip(np.floor(at.min(0)) - 1, 0, pixels.shape).astype(int)
    high = np.clip(np.ceil(at.max(0)) + 2, low, pixels.shape).astype(int)
    part = np.asarray(pixels[low[0] : high[0], low[1] : high[1]])
    outside = 0.0 if labels else np.nan
    if not part.size:
        return np.full(shape, outside, np.float32)
    return np.asarray(
        affine_transform(
            (part > 0 if labels else part).astype(np.float32),
            to_layer[:2, :2],
            to_layer[:2, 2] - low,
            shape,
            order=0 if labels else 1,
            cval=outside,
        )
    )
