"""The viewer while somebody rates: neutral layers, and nothing that tells the method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sciup.errors import OptionError
from sciup_napari.rating.pictures import Array

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.viewer import Viewer

NAMES = {1: ("Image",), 2: ("Left", "Right")}
GAP = 6
"""Pixels between two pictures."""

LOOK: dict[str, Any] = {"contrast_limits": (0.0, 1.0), "gamma": 1.0, "opacity": 1.0}


class Stage:
    """Shows one picture, or two with one camera.

    The layers stay and their data change, so that no trial looks different from another.

    Parameters
    ----------
    viewer : napari.Viewer

    Raises
    ------
    OptionError
        If the viewer holds layers: they may be what is to be judged, with their names.
    """

    def __init__(self, viewer: Viewer) -> None:
        if len(viewer.layers):
            raise OptionError(
                "the viewer holds layers, which could tell what is shown",
                "an empty viewer",
                "remove the layers, or open a new window",
            )
        self.viewer = viewer
        self.layers: list[Image] = []
        grid = self._grid
        self._before = {
            name: getattr(grid, name) for name in ("enabled", "shape", "stride", "spacing")
        }

    @property
    def _grid(self) -> Any:
        """Since napari 0.9 the grid belongs to the canvas."""
        canvas = getattr(self.viewer, "canvas", None)
        return self.viewer.grid if canvas is None else canvas.grid

    @property
    def intact(self) -> bool:
        """Nobody has removed or hidden what is to be judged."""
        return bool(self.layers) and all(
            layer in self.viewer.layers and layer.visible for layer in self.layers
        )

    def show(self, pictures: Sequence[Array]) -> None:
        """Show pictures from left to right, as large as they fit."""
        rgb = pictures[0].ndim == 3
        names = NAMES[len(pictures)]
        kept = [layer for layer in self.layers if layer in self.viewer.layers]
        if len(kept) != len(names) or any(layer.rgb != rgb for layer in kept):
            self._remove()
            self.layers = [
                self.viewer.add_image(picture, name=name, rgb=rgb, interpolation2d="linear", **LOOK)
                for name, picture in zip(names, pictures, strict=True)
            ]
        for layer, name, picture in zip(self.layers, names, pictures, strict=True):
            layer.data = picture
            for key, value in {**LOOK, "name": name, "visible": True}.items():
                seen = getattr(layer, key)  # setting it anew would draw once more
                if (tuple(seen) if isinstance(seen, list) else seen) != value:
                    setattr(layer, key, value)
        self.viewer.dims.ndisplay = 2
        self._arrange(len(names))
        self.viewer.reset_view()

    def hide(self) -> None:
        """Show nothing, for a pause."""
        for layer in self.layers:
            layer.visible = False

    def clear(self) -> None:
        """Leave the viewer as it was found."""
        self._remove()
        for name, value in self._before.items():
            setattr(self._grid, name, value)

    def _arrange(self, count: int) -> None:
        grid = self._grid
        grid.stride, grid.shape = 1, (1, count)
        grid.spacing = GAP
        grid.enabled = count > 1

    def _remove(self) -> None:
        for layer in self.layers:
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self.layers = []
