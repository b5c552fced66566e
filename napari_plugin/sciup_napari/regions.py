"""From what the user has drawn, or looks at, to a region of interest."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciup.errors import OptionError
from sciup.explorer.where import LARGEST, Place, regions
from sciup.geometry import Box
from sciup.image import parse_roi
from sciup_napari.aperture_layer import is_aperture
from sciup_napari.layer_source import level_0
from sciup_napari.place import middle_of_view, to_world

NAME = "sciup region"


def region_of(viewer: Any, layer: Any, but: Any = None) -> str:
    """``Y0:Y1,X0:X1`` in input pixels: the bounding box of the last shape that was drawn.

    A selected shape goes first. Where there is none, an empty Shapes layer is made, ready to draw
    a rectangle. Shapes of the layer `but` mean something else.

    Raises
    ------
    OptionError
        If there is no shape, or it lies beside the image.
    """
    shapes = [s for s in _drawn(viewer, "Shapes") if s is not but]
    if not shapes:
        _offer(viewer, layer)
        raise OptionError(
            "there is no rectangle yet", fix="draw one in the layer 'sciup region', then run again"
        )
    drawn = shapes[-1]
    chosen = sorted(drawn.selected_data) or [len(drawn.data) - 1]
    corners = np.asarray(drawn.data[chosen[-1]], float)
    pixels = _on(layer, drawn, corners)
    shape = level_0(layer).shape[-2:]
    # pixel n reaches from n - 1/2 to n + 1/2
    low = np.clip(np.floor(pixels.min(0) + 0.5).astype(int), 0, shape)
    high = np.clip(np.ceil(pixels.max(0) + 0.5).astype(int), 0, shape)
    if (high <= low).any():
        raise OptionError(
            "the rectangle lies beside the image", f"inside {shape[0]} x {shape[1]} px of it"
        )
    return f"{low[0]}:{high[0]},{low[1]}:{high[1]}"


def _drawn(viewer: Any, kind: str) -> list[Any]:
    """Layers of a kind in which somebody has drawn something."""
    found = [s for s in viewer.layers if type(s).__name__ == kind and len(s.data)]
    return [s for s in found if not is_aperture(s)]


def _on(layer: Any, drawn: Any, points: Any) -> Any:
    """Points of another layer in pixels of an image layer, (n, 2)."""
    world = np.array([np.asarray(drawn.data_to_world(p), float)[-2:] for p in points])
    return (np.c_[world, np.ones(len(world))] @ np.linalg.inv(to_world(layer)).T)[:, :2]


WAYS = {
    "rectangle": ("last rectangle", "The selected or last shape of a Shapes layer"),
    "view": ("middle of the view", "33 x 33 px in the middle of the view"),
    "point": ("last point", "33 x 33 px around the selected or last point of a Points layer"),
}
"""What can be explored: in short, and in words."""


def region_to_explore(viewer: Any, layer: Any, way: str, but: Any = None) -> tuple[Box, Place]:
    """A region, and the place (y, x) in it that is asked about, in input pixels.

    Parameters
    ----------
    viewer, layer, but
        See `region_of`.
    way : str
        From `WAYS`.

    Raises
    ------
    OptionError
        If nothing is drawn, or what is drawn lies beside the image or is too large.
    """
    shape = level_0(layer).shape[-2:]
    if way == "rectangle":
        box = parse_roi(region_of(viewer, layer, but), shape)
        if max(box.shape) > LARGEST:
            raise OptionError(
                f"the rectangle covers {box.shape[0]} x {box.shape[1]} px, too many to search",
                f"up to {LARGEST} x {LARGEST} px",
                "draw or select a smaller one",
            )
        y, x = ((a + b - 1) / 2 for a, b in zip(box.start, box.stop, strict=True))
        return box, (y, x)
    place = middle_of_view(viewer, layer) if way == "view" else _point(viewer, layer)
    inside = all(-0.5 <= at < n - 0.5 for at, n in zip(place, shape, strict=True))
    if not inside:
        raise OptionError(
            f"the {'middle of the view' if way == 'view' else 'point'} lies beside the image",
            fix="move it onto the image",
        )
    return regions(None, [place], shape)[0], place


def _point(viewer: Any, layer: Any) -> Place:
    """The selected or last point."""
    points = _drawn(viewer, "Points")
    if not points:
        raise OptionError("there is no point yet", fix="make a Points layer and add one to it")
    drawn = points[-1]
    chosen = sorted(drawn.selected_data) or [len(drawn.data) - 1]
    ((y, x),) = _on(layer, drawn, [drawn.data[chosen[-1]]])
    return float(y), float(x)


def _offer(viewer: Any, image: Any) -> None:
    """Make a layer to draw in ready; one that waits already is used again."""
    old = [s for s in viewer.layers if type(s).__name__ == "Shapes" and s.name == NAME]
    layer = old[-1] if old else new_shapes(viewer, image, NAME, to_world(image))
    viewer.layers.selection.active = layer
    layer.visible = True
    layer.mode = "add_rectangle"


def new_shapes(viewer: Any, image: Any, name: str, matrix: Any, width: float = 1) -> Any:
    """An empty layer to draw in, on the pixels that `matrix` takes to the world of an image."""
    return viewer.add_shapes(
        name=name,
        ndim=2,
        edge_color="#56B4E9",
        face_color="transparent",
        edge_width=width,
        affine=matrix,
        units=image.units[-2:],
        axis_labels=image.axis_labels[-2:],
    )
