"""The layers that show the live view; they lie exactly on the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sciup_napari.looks import kind_of, look
from sciup_napari.pictures import Picture


class LiveLayers:
    """At most an image, one or two overlays and a contour, made when they are first needed.

    A new layer costs napari a tenth of a second, so at most one is made in a turn of the event
    loop. Pixels are written into the array of a layer where they fit: a new array would let napari
    work out the sliders and the extent of all layers anew.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self._layers: dict[str, Any] = {}
        self._hidden: set[str] = set()  # by us: what the user hides stays hidden
        self._stretch: Any = None

    def show(self, pictures: Sequence[Picture], matrix: Any, source: Any, flux: int) -> bool:
        """Show pictures and nothing else.

        Parameters
        ----------
        pictures : sequence of Picture
        matrix : ndarray (3, 3)
            From pixels to the world.
        source : napari Image layer
            What it looks like.
        flux : int
            Values of the source are divided by this.

        Returns
        -------
        bool
            Whether all are there; if not, call again in another turn of the event loop.
        """
        wanted = {picture.name for picture in pictures}
        for name in set(self._layers) - wanted:  # what was there belongs to something else
            self._hide(name)
        made = False
        for picture in pictures:
            there = self._there(picture.name)
            if there:
                self._update(picture, matrix)
            elif made:
                return False
            else:
                self._add(picture, matrix, source, flux)
                made = True
            if picture.name == "sample":
                self._like(source, flux)
        return True

    @property
    def image(self) -> Any:
        """The layer with the enhanced image, if there is one."""
        return self._layers["sample"] if self._there("sample") else None

    @property
    def count(self) -> int:
        """How many there are in the viewer."""
        return sum(map(self._there, self._layers))

    def hide(self) -> None:
        """Make all invisible."""
        for name in self._layers:
            self._hide(name)

    def clear(self) -> None:
        """Remove all."""
        for name in filter(self._there, list(self._layers)):
            self.viewer.layers.remove(self._layers[name])
        self._layers.clear()
        self._hidden.clear()

    def _there(self, name: str) -> bool:
        return name in self._layers and self._layers[name] in self.viewer.layers

    def _hide(self, name: str) -> None:
        layer = self._layers[name]
        if layer.visible:
            layer.visible = False
            self._hidden.add(name)

    def _update(self, picture: Picture, matrix: Any) -> None:
        layer = self._layers[picture.name]
        moved = not np.array_equal(layer.affine.affine_matrix, matrix)
        if layer.data.shape == picture.values.shape:
            layer.data[...] = picture.values
            if moved:
                # Its extent is always within that of the source. The new slice is told with it.
                with layer.events.extent.blocker(), layer.events.affine.blocker():
                    layer.affine = matrix
            else:
                layer.refresh(thumbnail=False, extent=False)
        else:
            if moved:
                with layer.events.blocker_all():
                    layer.affine = matrix
            layer.data = picture.values
        if layer.name != picture.title:
            layer.name = picture.title
        if picture.name in self._hidden:
            layer.visible = True
        self._hidden.discard(picture.name)

    def _add(self, picture: Picture, matrix: Any, source: Any, flux: int) -> None:
        name, active = picture.name, self.viewer.layers.selection.active
        options = look(name) | {"name": picture.title, "affine": matrix, "visible": True}
        options |= world_of(source) | {"metadata": {"sciup": {"map": name, "live": True}}}
        if name == "sample":
            options |= stretch_of(source, flux)
            self._stretch = None
        labels = kind_of(name) == "labels"
        add = self.viewer.add_labels if labels else self.viewer.add_image
        layer = self._layers[name] = add(picture.values, **options)
        self._hidden.discard(name)
        if labels:
            layer.editable = False
            layer.contour = 1  # fine pixels: a line of two covers what it surrounds
        if name == "sample":
            self._sink(layer)
        if active is not None:  # the user's choice stays chosen
            self.viewer.layers.selection.active = active

    def _sink(self, layer: Any) -> None:
        """Move a layer below all others of ours."""
        layers = self.viewer.layers
        above = [layers.index(self._layers[n]) for n in self._layers if self._there(n)]
        if min(above) < layers.index(layer):
            layers.move(layers.index(layer), min(above))

    def _like(self, source: Any, flux: int) -> None:
        """The same stretch as the source, to compare; the user may change it afterwards."""
        wanted, layer = stretch_of(source, flux), self._layers["sample"]
        key = (*wanted["contrast_limits"], wanted["gamma"], wanted["colormap"].name)
        if key == self._stretch:
            return
        self._stretch = key
        for name, value in wanted.items():
            if name != "colormap" or layer.colormap.name != value.name:
                setattr(layer, name, value)


def world_of(source: Any) -> dict[str, Any]:
    """Units and names of the axes of a picture on a layer."""
    return {"units": source.units[-2:], "axis_labels": source.axis_labels[-2:]}


def stretch_of(source: Any, flux: int) -> dict[str, Any]:
    """The stretch of a layer, for values that are divided by `flux`."""
    limits = tuple(v / flux for v in source.contrast_limits)
    return {"contrast_limits": limits, "gamma": source.gamma, "colormap": source.colormap}
