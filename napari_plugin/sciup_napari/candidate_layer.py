"""Candidates as points, coloured by the chance that they exist."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Points

from sciup_napari.ground import input_matrix
from sciup_napari.layer_list import add
from sciup_napari.measure_messages import Catalogue

LEAST_SIZE = 3.0
"""Input px: smaller discs are not seen."""


class CandidateLayer:
    """The last catalogue of a viewer as a layer.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.layer: Any = None
        self.found = Catalogue()
        self._size = LEAST_SIZE

    def fill(self, found: Catalogue, source: Any) -> None:
        """Show candidates on the layer that they were found in, instead of those before."""
        self.clear()
        self.found = found
        columns = found.columns
        if not columns["p_exists"]:
            return
        self._size = max(2 * float(found.meta["radius"]), LEAST_SIZE)
        matrix = input_matrix(source)
        # napari draws points as large as `scale` says, and does not ask `affine`
        steps = np.linalg.norm(matrix[:2, :2], axis=0)
        self.layer = Points(
            np.stack([columns["y"], columns["x"]], -1),
            ndim=2,
            name=f"detected: {columns['kind'][0]}",
            features={name: np.array(values) for name, values in columns.items()},
            size=self._size,
            canvas_size_limits=(0, 10_000),
            face_color="transparent",
            border_color="p_exists",
            border_colormap="viridis",
            border_contrast_limits=(0.0, 1.0),
            border_width=0.08,
            scale=steps,
            affine=matrix @ np.diag([*1 / steps, 1]),
            units=source.units[-2:],
            axis_labels=source.axis_labels[-2:],
            metadata={"sciup": {"map": "detected", "found": dict(found.meta)}},
        )
        add(self.viewer, self.layer)

    def show_from(self, least: float) -> int:
        """Show those that exist at least so likely; returns their number."""
        if self.layer is None or self.layer not in self.viewer.layers:
            return 0
        shown = np.array(self.found.columns["p_exists"]) >= least
        self.layer.shown = shown
        self.layer.size = np.where(shown, self._size, 0.0)  # in 2D napari draws all, shown or not
        return int(shown.sum())

    def clear(self) -> None:
        """Remove them."""
        if self.layer is not None and self.layer in self.viewer.layers:
            self.viewer.layers.remove(self.layer)
        self.layer, self.found = None, Catalogue()
