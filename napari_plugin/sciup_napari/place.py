"""Where windows lie on a layer, and which of them are on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.geometry import Box
from sciup_napari.messages import Core

Matrix = NDArray[np.float64]

SNAP = 16
"""Input pixels: what is drawn begins at a multiple of this."""


def to_world(layer: Any) -> Matrix:
    """The (3, 3) affine matrix from data to world on the last two axes of a layer.

    It is found from where three points go, so scale, translation, rotation, shear and affine are
    all in it. For a multiscale layer, data means level 0.
    """
    zero = np.zeros(layer.ndim)

    def world(y: float, x: float) -> NDArray[np.float64]:
        point = zero.copy()
        point[-2:] = y, x
        return np.asarray(layer.data_to_world(point), float)[-2:]

    origin = world(0, 0)
    matrix = np.eye(3)
    matrix[:2, 2] = origin
    matrix[:2, 0], matrix[:2, 1] = world(1, 0) - origin, world(0, 1) - origin
    return matrix


def finer(matrix: Matrix, scale: int, start: Sequence[int] = (0, 0)) -> Matrix:
    """The matrix of a grid that is `scale` times finer and begins at input pixel `start`.

    napari gives whole numbers to the centres of pixels, so the outer edge of input pixel n is
    n - 1/2, and the first fine centre inside it lies half a fine pixel further.

    Examples
    --------
    >>> finer(np.eye(3), 4)[:2, 2]
    array([-0.375, -0.375])
    """
    inner = np.eye(3)
    inner[0, 0] = inner[1, 1] = 1 / scale
    inner[:2, 2] = np.asarray(start, float) - 0.5 + 0.5 / scale
    return np.asarray(matrix @ inner)


def on_screen(viewer: Any, layer: Any, shape: tuple[int, int]) -> Box:
    """The input pixels of a layer that are on the canvas; empty if none are."""
    low, high = _view(viewer, layer)
    return _clipped(np.floor(low), np.ceil(high), shape)


def frame_box(viewer: Any, layer: Any, shape: tuple[int, int]) -> Box:
    """The input pixels that are drawn: the screen, rounded outwards to a grid of `SNAP`.

    Its size does not change while the camera moves over the image at one zoom, so its pixels can
    be written into a layer that is there; and small movements change nothing at all.
    """
    low, high = _view(viewer, layer)
    start = np.floor(low / SNAP) * SNAP
    size = (np.ceil((high - low) / SNAP - 1e-6) + 1) * SNAP
    return _clipped(start, start + size, shape)


def _view(viewer: Any, layer: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and largest edges (y, x) of what is on the canvas, in input pixels.

    Found from camera and canvas: `Layer.corner_pixels` is widened to chunks for pyramids.
    """
    camera = camera_of(viewer)
    half = np.asarray(cell_size(viewer), float) / (2 * camera.zoom)
    middle = np.asarray(camera.center, float)[-2:]
    signs = np.array([(a, b) for a in (-1, 1) for b in (-1, 1)])
    world = np.c_[middle + signs * half, np.ones(4)]
    pixels = (world @ np.linalg.inv(to_world(layer)).T)[:, :2] + 0.5  # from centres to edges
    return pixels.min(0), pixels.max(0)


def middle_of_view(viewer: Any, layer: Any) -> tuple[float, float]:
    """What is in the middle of the canvas, in input pixels, pixel centres at integers."""
    low, high = _view(viewer, layer)
    y, x = (low + high) / 2 - 0.5
    return float(y), float(x)


def _clipped(low: Any, high: Any, shape: tuple[int, int]) -> Box:
    low = np.clip(low, 0, shape).astype(int)
    high = np.clip(high, low, shape).astype(int)
    return Box((int(low[0]), int(low[1])), (int(high[0]), int(high[1])))


def is_flat(viewer: Any) -> bool:
    """Whether the viewer shows the last two axes, in their order."""
    dims = viewer.dims
    return dims.ndisplay == 2 and tuple(dims.displayed) == (dims.ndim - 2, dims.ndim - 1)


def cell_size(viewer: Any) -> tuple[float, float]:
    """Height and width of the canvas, or of one cell of its grid, in canvas pixels."""
    canvas = getattr(viewer, "canvas", None)  # napari 0.9; it was private before
    size = viewer._canvas_size if canvas is None else canvas.size
    if not grid_of(viewer).enabled:
        return size[0], size[1]
    try:
        rows, columns = grid_of(viewer).actual_shape(viewer.layers)
    except TypeError:  # before napari 0.9
        rows, columns = grid_of(viewer).actual_shape(len(viewer.layers))
    return size[0] / rows, size[1] / columns


def camera_of(viewer: Any) -> Any:
    """The camera: napari 0.9 moved it from the viewer to its scene."""
    scene = getattr(viewer, "scene", None)
    return viewer.camera if scene is None else scene.camera


def grid_of(viewer: Any) -> Any:
    """The grid mode: napari 0.9 moved it from the viewer to its canvas."""
    return getattr(viewer, "canvas", viewer).grid


def pixel_on_canvas(layer: Any, zoom: float) -> float:
    """Side of an input pixel on the canvas, in canvas pixels."""
    matrix = to_world(layer)[:2, :2]
    return float(zoom * np.sqrt(abs(np.linalg.det(matrix))))


def cores_in(box: Box, core: int) -> list[Core]:
    """First pixels of the cores that touch a box, nearest to its middle first.

    Examples
    --------
    >>> cores_in(Box((100, 0), (140, 20)), 128)
    [(0, 0), (128, 0)]
    """
    if not box.size:
        return []
    rows, cols = (
        range(a // core * core, b, core) for a, b in zip(box.start, box.stop, strict=True)
    )
    middle = [(a + b - core) / 2 for a, b in zip(box.start, box.stop, strict=True)]
    found = [(y, x) for y in rows for x in cols]
    return sorted(found, key=lambda c: (c[0] - middle[0]) ** 2 + (c[1] - middle[1]) ** 2)
