"""The list of models that fit a layer, and of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QFileDialog

from sciup.errors import SciupError
from sciup_napari.models import Choice, choices, fitting, own
from sciup_napari.parts import silent
from sciup_napari.patience import patiently

OTHER = "another folder…"


class ModelBox(QComboBox):
    """Choose a model; the last entry asks for a folder."""

    def __init__(self) -> None:
        super().__init__()
        self.activated.connect(self._ask)

    @property
    def choice(self) -> Choice | None:
        """The model that is chosen."""
        found = self.currentData()
        return found if isinstance(found, Choice) else None

    def offer(self, layer: Any, able: Callable[[Choice], bool] = lambda _: True) -> None:
        """List the models for a layer that are `able`; nothing without one. Nobody is told."""
        if not choices.cache_info().currsize:
            patiently(choices)  # checks the weights, and imports what calibrations need
        with silent(self):
            self.clear()
            for choice in filter(able, fitting(layer) if layer is not None else ()):
                self.addItem(choice.label, choice)
                self.setItemData(self.count() - 1, choice.about, Qt.ItemDataRole.ToolTipRole)
            if layer is not None:
                self.addItem(OTHER)

    def add(self, folder: Path) -> None:
        """Offer a model folder of the user, and choose it."""
        try:
            choice = own(folder)
        except SciupError as error:
            show_error(str(error))
            self.setCurrentIndex(0)
            return
        self.insertItem(0, choice.label, choice)
        self.setCurrentIndex(0)

    def _ask(self, _: int) -> None:
        """Ask for a folder, if the user has chosen to be asked."""
        if self.currentText() != OTHER:
            return
        folder = QFileDialog.getExistingDirectory(self, "A model folder of sciup train")
        self.add(Path(folder)) if folder else self.setCurrentIndex(0)
