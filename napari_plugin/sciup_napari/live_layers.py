"""The layers that show the live view; they lie exactly on the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Layer

from sciup_napari.layer_list import add, remove
from sciup_napari.looks import kind_of, look
from sciup_napari.pictures import Picture


class LiveLayers:
    """At most an image, one or two overlays and a contour, made when they are first needed.

    To add a layer and to paint it first cost napari a tenth of a second each. So in a turn of the
    event loop at most one is added, hidden, or shown first. Pixels are written into the array of a
    layer where they fit: a new array would let napari work out the sliders and the extent of all
    layers anew.
    """

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self._layers: dict[str, Any] = {}
        self._hidden: set[str] = set()  # by us: what the user hides stays hidden
        self._new: set[str] = set()  # hidden because they were never painted
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
        for picture in pictures:
            if not self._there(picture.name):
                self._add(picture, matrix, source, flux)
                return False
            self._update(picture, matrix)
            if picture.name == "sample":
                self._like(source, flux)
            if picture.name in self._new:
                self._new.discard(picture.name)
                return picture is pictures[-1]
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

    def move_to(self, source: Any) -> None:
        """Hide all, above another source: to remove them and add others would take a second."""
        self.hide()
        layers, mine = self.viewer.layers, list(self._layers.values())
        places = [place for place, layer in enumerate(layers) if layer in mine]
        if places and places[0] < layers.index(source):
            layers.move_multiple(places, len(layers))
        for layer in mine:
            for name, value in world_of(source).items():
                if getattr(layer, name) != value:
                    setattr(layer, name, value)

    def clear(self) -> None:
        """Remove all."""
        remove(self.viewer, self._layers.values())
        self._layers.clear()
        self._hidden.clear()
        self._new.clear()

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
        name = picture.name
        options = look(name) | {"name": picture.title, "affine": matrix, "visible": False}
        options |= world_of(source) | {"metadata": {"sciup": {"map": name, "live": True}}}
        if name == "sample":
            options |= stretch_of(source, flux)
            self._stretch = None
        layer = self._layers[name] = Layer.create(picture.values, options, kind_of(name))
        self._hidden.add(name)
        self._new.add(name)
        add(self.viewer, layer)
        if kind_of(name) == "labels":
            layer.editable = False
            layer.contour = 1  # fine pixels: a line of two covers what it surrounds
        if name == "sample":
            self._sink(layer)

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
