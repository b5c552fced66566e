"""The circle that an exploration asked about, drawn on what it found."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Shapes

from sciup.explorer.answers import Region
from sciup_napari.layer_list import add, remove
from sciup_napari.place import to_world

APERTURE = "aperture"


class ApertureLayer:
    """The aperture of the last exploration of a viewer; none where all of a region was asked about.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.layer: Any = None
        self._source: Any = None

    def fill(self, region: Region, source: Any) -> None:
        """Draw the circle of this exploration instead of that of the one before."""
        self.clear()
        at, radius = region.facts.get("at"), region.facts.get("radius")
        if at is None or radius is None:
            return
        self._source = source
        centre = np.asarray(at, float)
        corners = centre + radius * np.array([(-1, -1), (-1, 1), (1, 1), (1, -1)])
        self.layer = Shapes(
            [corners],
            shape_type="ellipse",
            ndim=2,
            name=f"explored: {APERTURE}",
            edge_color="#56B4E9",
            face_color="transparent",
            edge_width=0.2,
            affine=to_world(source),
            units=source.units[-2:],
            axis_labels=source.axis_labels[-2:],
            metadata={"sciup": {"map": APERTURE, "at": [float(x) for x in at], "radius": radius}},
        )
        add(self.viewer, self.layer)

    def show(self, on: bool) -> None:
        """Show or hide it."""
        if self._there():
            self.layer.visible = on

    def place(self) -> None:
        """Put it where the source is now."""
        if self._there():
            self.layer.affine = to_world(self._source)

    def clear(self) -> None:
        """Remove it."""
        remove(self.viewer, [self.layer] if self._there() else [])
        self.layer = self._source = None

    def _there(self) -> bool:
        return self.layer is not None and self.layer in self.viewer.layers


def is_aperture(layer: Any) -> bool:
    """Whether a layer is such a circle: nobody has drawn it."""
    return bool(layer.metadata.get("sciup", {}).get("map") == APERTURE)
