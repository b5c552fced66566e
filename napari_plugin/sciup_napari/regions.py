"""From a rectangle that the user has drawn to a region of interest."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciup.errors import OptionError
from sciup_napari.layer_source import level_0
from sciup_napari.place import to_world

NAME = "sciup region"


def region_of(viewer: Any, layer: Any) -> str:
    """``Y0:Y1,X0:X1`` in input pixels: the bounding box of the last shape that was drawn.

    A selected shape goes first. Where there is none, an empty Shapes layer is made, ready to draw
    a rectangle.

    Raises
    ------
    OptionError
        If there is no shape, or it lies beside the image.
    """
    shapes = [s for s in viewer.layers if type(s).__name__ == "Shapes" and len(s.data)]
    if not shapes:
        _offer(viewer, layer)
        raise OptionError(
            "there is no rectangle yet", fix="draw one in the layer 'sciup region', then run again"
        )
    drawn = shapes[-1]
    chosen = sorted(drawn.selected_data) or [len(drawn.data) - 1]
    corners = np.asarray(drawn.data[chosen[-1]], float)
    world = np.array([np.asarray(drawn.data_to_world(c), float)[-2:] for c in corners])
    pixels = np.c_[world, np.ones(len(world))] @ np.linalg.inv(to_world(layer)).T
    shape = level_0(layer).shape[-2:]
    # pixel n reaches from n - 1/2 to n + 1/2
    low = np.clip(np.floor(pixels[:, :2].min(0) + 0.5).astype(int), 0, shape)
    high = np.clip(np.ceil(pixels[:, :2].max(0) + 0.5).astype(int), 0, shape)
    if (high <= low).any():
        raise OptionError(
            "the rectangle lies beside the image", f"inside {shape[0]} x {shape[1]} px of it"
        )
    return f"{low[0]}:{high[0]},{low[1]}:{high[1]}"


def _offer(viewer: Any, image: Any) -> None:
    """Make a layer to draw in ready; one that waits already is used again."""
    old = [s for s in viewer.layers if type(s).__name__ == "Shapes" and s.name == NAME]
    layer = old[-1] if old else _new(viewer, image)
    viewer.layers.selection.active = layer
    layer.visible = True
    layer.mode = "add_rectangle"


def _new(viewer: Any, image: Any) -> Any:
    return viewer.add_shapes(
        name=NAME,
        ndim=2,
        edge_color="#56B4E9",
        face_color="transparent",
        edge_width=1,
        affine=to_world(image),
        units=image.units[-2:],
        axis_labels=image.axis_labels[-2:],
    )
