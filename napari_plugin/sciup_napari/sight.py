"""What the camera shows of a layer, and when that changes."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Signal

from sciup.geometry import Box
from sciup_napari.layer_source import plane_of
from sciup_napari.messages import Core, Opened
from sciup_napari.mosaic import Frame
from sciup_napari.place import (
    camera_of,
    cores_in,
    frame_box,
    grid_of,
    is_flat,
    on_screen,
    pixel_on_canvas,
)

PLACE = ("affine", "scale", "translate", "rotate", "shear")
STRETCH = ("contrast_limits", "gamma", "colormap")


class Sight(QObject):
    """A viewer's view of one layer.

    Signals
    -------
    moved ()
        The camera or the canvas.
    turned ()
        The sliders show another plane, or the viewer another number of dimensions.
    changed ()
        The place or the stretch of the layer.
    replaced ()
        The layer has other pixels.
    lost ()
        The layer is not in the viewer any longer.
    """

    moved = Signal()
    turned = Signal()
    changed = Signal()
    replaced = Signal()
    lost = Signal()

    def __init__(self, viewer: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.layer: Any = None
        self._watched: list[Any] = []
        camera = camera_of(viewer).events
        canvas: Any = getattr(getattr(viewer, "canvas", None), "events", None)
        moves = [camera.center, camera.zoom, grid_of(viewer).events.enabled]
        if hasattr(canvas, "size"):  # since napari 0.9
            moves.append(canvas.size)
        for event in moves:
            event.connect(self._moved)
        for event in (viewer.dims.events.current_step, viewer.dims.events.ndisplay):
            event.connect(self._turned)
        viewer.layers.events.removed.connect(self._removed)

    def watch(self, layer: Any) -> None:
        """Follow what happens to a layer, and to another one no longer; None follows none."""
        for event, action in self._watched:
            event.disconnect(action)
        self._watched = []
        self.layer = layer
        if layer is None:
            return
        self._watched = [(getattr(layer.events, n), self._changed) for n in PLACE + STRETCH]
        self._watched.append((layer.events.data, self._replaced))
        for event, action in self._watched:
            event.connect(action)

    @property
    def plane(self) -> tuple[int, ...]:
        """Index of the plane of the layer that the sliders are at."""
        return plane_of(self.layer, self.viewer)

    @property
    def flat(self) -> bool:
        """Whether a plane is shown as a picture."""
        return is_flat(self.viewer)

    def pixel(self) -> float:
        """Side of an input pixel on the canvas, in canvas pixels."""
        return pixel_on_canvas(self.layer, camera_of(self.viewer).zoom)

    def cores(self, facts: Opened) -> list[Core]:
        """The cores that are on the screen, nearest to its middle first."""
        return cores_in(self.seen(facts), facts.core)

    def seen(self, facts: Opened) -> Box:
        """The input pixels that are on the screen."""
        return on_screen(self.viewer, self.layer, facts.plane_shape)

    def frame(self, facts: Opened) -> Frame:
        """What is to be drawn: a little more than the screen."""
        box = frame_box(self.viewer, self.layer, facts.plane_shape)
        return Frame(box, facts.scale, facts.core)

    def _moved(self, *_: Any) -> None:
        self.moved.emit()

    def _turned(self, *_: Any) -> None:
        self.turned.emit()

    def _changed(self, *_: Any) -> None:
        self.changed.emit()

    def _replaced(self, *_: Any) -> None:
        self.replaced.emit()

    def _removed(self, event: Any) -> None:
        if self.layer is not None and event.value is self.layer:
            self.lost.emit()
