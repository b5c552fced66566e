"""What is worked on, in every widget that computes: a layer, a model, and an instrument."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QComboBox, QLabel, QProgressBar, QWidget

from sciup_napari.docked import Docked
from sciup_napari.instrument_table import InstrumentTable
from sciup_napari.model_box import OTHER, ModelBox
from sciup_napari.models import Choice, size_words
from sciup_napari.parts import Note, silent, spin
from sciup_napari.session import bare, session_of

DEVICES = ("auto", "cpu", "cuda")


class Subject(Docked):
    """Controls for layer, model and instrument, and what they do; a base.

    Attributes
    ----------
    acting : tuple of QWidget
        What needs a layer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer_box, self.model_box = QComboBox(), ModelBox()
        self.about, self.pixels = Note(), Note()
        self.table = InstrumentTable()
        self.seed, self.device = spin(0, 2**31 - 1, 0), QComboBox()
        self.device.addItems(DEVICES)
        self.progress, self.status = QProgressBar(), QLabel()
        self.progress.hide()
        self.status.setWordWrap(True)  # keeps its room beside the button
        self.acting: tuple[QWidget, ...] = ()
        self._quiet = False

    def attend(self, napari_viewer: Any) -> None:
        """Follow the layers of a viewer, as long as there is this widget."""
        self.viewer, self.session = bare(napari_viewer), session_of(napari_viewer)
        layers, refresh, activated = self.viewer.layers, self.refresh_layers, self._activated
        changes = (layers.events.inserted, layers.events.removed, layers.events.reordered)
        for event in changes:
            event.connect(refresh)
        layers.selection.events.active.connect(activated)

        def unbind(*_: Any) -> None:
            for event in changes:
                event.disconnect(refresh)
            layers.selection.events.active.disconnect(activated)

        self.destroyed.connect(unbind)
        self.layer_box.currentIndexChanged.connect(self._layer_changed)
        self.model_box.currentIndexChanged.connect(self._model_changed)
        self.table.stated.connect(lambda: self.session.stated.emit(self.layer, self.table))
        self.session.stated.connect(self._stated)

    @property
    def layer(self) -> Any:
        """The layer that is chosen."""
        return self.layer_box.currentData()

    @property
    def model(self) -> Choice | None:
        """The model that is chosen."""
        return self.model_box.choice

    def order(self) -> dict[str, Any]:
        """What is asked for besides the source: fields of `Order`."""
        return {
            "model": str(self.model.folder) if self.model else None,
            "seed": self.seed.value(),
            "instrument": dict(self.table.given),
            "device": self.device.currentText(),
        }

    def refresh_layers(self, *_: Any) -> None:
        """Offer the layers that there are.

        Nothing begins here: if the layer that is enhanced goes, the live view ends.
        """
        chosen, names = self.layer, self.offered()
        offered = list(names)
        wanted = self.heir(chosen, offered)
        with silent(self.layer_box):
            self.layer_box.clear()
            for layer, name in names.items():
                self.layer_box.addItem(name, layer)
            self.layer_box.setCurrentIndex(offered.index(wanted) if wanted in offered else 0)
        if self.layer is not chosen or self.layer is None:
            self._quiet = True
            self._layer_changed()
            self._quiet = False
        for button in self.acting:
            button.setEnabled(self.layer is not None)

    # -- for those who differ ------------------------------------------------------------------

    def offered(self) -> dict[Any, str]:
        """Layers to choose from, with names: images, but not what sciup itself has made."""
        return {
            layer: layer.name
            for layer in reversed(self.viewer.layers)  # as in the list: the topmost first
            if type(layer).__name__ == "Image" and not self.session.made(layer)
        }

    def heir(self, chosen: Any, offered: list[Any]) -> Any:
        """What to choose after layers have come or gone."""
        return chosen if chosen in offered else self.viewer.layers.selection.active

    def at_work(self) -> bool:
        """Whether the choice stays, though another layer is selected in the list."""
        return False

    def able(self, choice: Choice) -> bool:
        """Whether a model can be used here."""
        return True

    def values_stated(self) -> None:
        """Somebody has stated something else of the instrument of the layer."""

    # ------------------------------------------------------------------------------------------

    def _activated(self, event: Any) -> None:
        """Follow the layer list, unless something is going on."""
        where = self.layer_box.findData(event.value)
        if where >= 0 and not self.at_work():
            self.layer_box.setCurrentIndex(where)

    def _stated(self, layer: Any, table: InstrumentTable) -> None:
        if layer is not self.layer or layer is None:
            return
        if table is not self.table:
            self.table.fill_given()  # what else is believed changes with it
        self.values_stated()

    def _layer_changed(self, *_: Any) -> None:
        self.table.given = {} if self.layer is None else self.session.given(self.layer)
        self.table.fill_given() if self.layer is not None else self.table.fill(())
        self.model_box.offer(self.layer, self.able)
        self._model_changed()

    def _model_changed(self, *_: Any) -> None:
        if self.model is None or self.layer is None:
            none = "" if self.model_box.count() > 1 else f"No model is here: choose {OTHER!r}."
            self.about.setText("Open an image first." if self.layer is None else none)
            self.pixels.setText("")
            return
        self.about.setText(self.model.about)
        self.pixels.setText(size_words(self.layer, self.model.scale))
