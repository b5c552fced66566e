"""The layers that show the live view; they lie exactly on the source."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciup_napari.cache import Maps
from sciup_napari.lens_state import LensState
from sciup_napari.looks import kind_of, look
from sciup_napari.messages import Core
from sciup_napari.mosaic import Frame, Values
from sciup_napari.readout import Risk, blend

OVERLAYS = {
    "risk": ("risk",),
    "invented and missed": ("risk_invented", "risk_missed"),
    "std": ("std",),
    "support": ("support",),
}


class LiveLayers:
    """At most an image, one or two overlays and a contour, made when they are first needed."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self._layers: dict[str, Any] = {}
        self._units: dict[str, Any] = {}
        self._hidden: set[str] = set()  # by us: what the user hides stays hidden
        self._stretch: Any = None

    def show(
        self,
        frame: Frame,
        windows: list[tuple[Core, Maps]],
        lens: LensState,
        risk: Risk | None,
        matrix: Any,
        source: Any,
        flux: int,
    ) -> None:
        """Show an image and the overlay that the lens asks for."""
        image = picture(frame, windows, lens, risk)
        cut = np.s_[:, : int(lens.swipe * frame.shape[1])]
        image[cut] = np.nan
        self._units = {"units": source.units[-2:], "axis_labels": source.axis_labels[-2:]}
        self._like(self._put("sample", image, matrix, f"live: {title(lens)}"), source, flux)
        wanted = OVERLAYS.get(lens.overlay, ())
        for name in {name for names in OVERLAYS.values() for name in names} - set(wanted):
            self._hide(name)
        for name in wanted:
            values = overlay(frame, windows, name, risk)
            if values is None:  # what was there belongs to something else
                self._hide(name)
                continue
            values[cut] = np.nan
            self._put(name, values, matrix, f"live: {overlay_title(name, risk)}")

    def show_alarm(self, risk: Risk | None, level: float, lens: LensState, matrix: Any) -> None:
        """Draw a line around what is flagged."""
        if not lens.contour or risk is None:
            self._hide("alarm")
            return
        with np.errstate(invalid="ignore"):
            flagged = (risk.risk >= level).astype(np.uint8)
        flagged[:, : int(lens.swipe * flagged.shape[1])] = 0
        self._put("alarm", flagged, matrix, "live: alarm")

    @property
    def image(self) -> Any:
        """The layer with the enhanced image, if there is one."""
        layer = self._layers.get("sample")
        return layer if layer is not None and layer in self.viewer.layers else None

    @property
    def count(self) -> int:
        """How many there are in the viewer."""
        return sum(layer in self.viewer.layers for layer in self._layers.values())

    def hide(self) -> None:
        """Make all invisible."""
        for name in self._layers:
            self._hide(name)

    def _hide(self, name: str) -> None:
        layer = self._layers.get(name)
        if layer is not None and layer.visible:
            layer.visible = False
            self._hidden.add(name)

    def clear(self) -> None:
        """Remove all."""
        for layer in list(self._layers.values()):
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self._layers.clear()
        self._hidden.clear()

    def _put(self, name: str, values: Any, matrix: Any, title: str) -> Any:
        layer = self._layers.get(name)
        if layer is None or layer not in self.viewer.layers:
            layer = self._add(name, values, matrix, title)
        else:
            if not np.array_equal(layer.affine.affine_matrix, matrix):
                with layer.events.blocker_all():
                    layer.affine = matrix
            layer.data = values
            if layer.name != title:
                layer.name = title
            if name in self._hidden:
                layer.visible = True
        self._hidden.discard(name)
        return layer

    def _add(self, name: str, values: Any, matrix: Any, title: str) -> Any:
        active = self.viewer.layers.selection.active
        options = look(name) | {"name": title, "affine": matrix, "visible": True}
        options |= self._units
        options["metadata"] = {"sciup": {"map": name, "live": True}}
        labels = kind_of(name) == "labels"
        layer = (self.viewer.add_labels if labels else self.viewer.add_image)(values, **options)
        if labels:
            layer.contour = 1  # fine pixels: a line of two covers what it surrounds
        self._layers[name] = layer
        if name == "sample":
            self._stretch = None
            layers = self.viewer.layers
            above = [i for i, x in enumerate(layers) if self._has(x) and x is not layer]
            if above and min(above) < layers.index(layer):
                layers.move(layers.index(layer), min(above))
        if active is not None:  # the user's choice stays chosen
            self.viewer.layers.selection.active = active
        return layer

    def _has(self, layer: Any) -> bool:
        return any(layer is mine for mine in self._layers.values())

    def _like(self, layer: Any, source: Any, flux: int) -> None:
        """The same stretch as the source, to compare; the user may change it afterwards."""
        limits = tuple(v / flux for v in source.contrast_limits)
        wanted = (limits, source.gamma, source.colormap.name)
        if wanted == self._stretch:
            return
        self._stretch = wanted
        layer.contrast_limits, layer.gamma = limits, source.gamma
        if layer.colormap.name != source.colormap.name:
            layer.colormap = source.colormap


def overlay_title(name: str, risk: Risk | None) -> str:
    """Name of an overlay: a vote that is not certified is not called risk."""
    known = str(look(name)["name"])
    if not name.startswith("risk") or risk is None or risk.certified:
        return known
    return "vote, not certified" if name == "risk" else f"{known} (vote, not certified)"


def title(lens: LensState) -> str:
    """What is shown, in words that hide nothing."""
    if lens.show == "mean":
        return "mean of all draws"
    if lens.show == "blend":
        return f"draw {lens.draw}, faded to the mean where risky"
    if lens.show == "mix":
        return f"{100 * lens.mix:.0f} % draw {lens.draw}, rest mean (not calibrated)"
    how = lens.chosen or ("delivered" if lens.draw == 0 else "")
    mark = ", chosen" if lens.chosen else ""
    return f"draw {lens.draw}" + (f" ({how}{mark})" if how else "")


def picture(
    frame: Frame, windows: list[tuple[Core, Maps]], lens: LensState, risk: Risk | None
) -> Values:
    """The image that the lens asks for."""
    if lens.show == "mean":
        return frame.fill(windows, lambda maps: maps.get("mean"))
    sample = frame.fill(windows, lambda maps: draw_of(maps, lens.draw))
    if lens.show == "sample":
        return sample
    mean = frame.fill(windows, lambda maps: maps.get("mean"))
    if lens.show == "mix":
        return np.asarray(mean + np.float32(lens.mix) * (sample - mean))
    return mean if risk is None else blend(sample, mean, risk.risk).astype(np.float32)


def draw_of(maps: Maps, number: int) -> Values | None:
    """A draw of a window, if it has come already."""
    draws: Values = maps["draws"]
    return draws[number] if number < len(draws) else None


def overlay(
    frame: Frame, windows: list[tuple[Core, Maps]], name: str, risk: Risk | None
) -> Values | None:
    """The values of an overlay."""
    if name in ("std", "support"):
        return frame.fill(windows, lambda maps: maps.get(name))
    if risk is None:
        return None
    found = {"risk": risk.risk, "risk_invented": risk.invented, "risk_missed": risk.missed}[name]
    return found.copy()
