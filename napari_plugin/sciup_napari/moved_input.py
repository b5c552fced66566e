"""Where the input of a finished result is now, if it was moved."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, QUrl, Signal
from qtpy.QtWidgets import QFileDialog, QLineEdit, QPushButton, QWidget

from sciup_napari.parts import beside

INSIDE_ZARR = ("zarr.json", ".zgroup", ".zattrs")
"""Files that stand for the folder in which they lie: a dialog for files offers no folders."""


class MovedInput(QObject):
    """Takes a path, typed, dropped or chosen.

    Attributes
    ----------
    row : QWidget
        The controls.

    Signals
    -------
    changed ()
        Another place is stated.
    """

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.line, button = QLineEdit(), QPushButton("File…")
        self.line.setPlaceholderText("where it was")
        self.line.setToolTip(
            "Where the input of the result is now, if it was moved: draws that are not stored"
            " are made of it again"
        )
        button.setToolTip("Choose the input; of a Zarr, its zarr.json")
        self.row = beside(self.line, button)
        self._told = ""
        self.line.editingFinished.connect(self._edited)
        button.clicked.connect(self._ask)

    @property
    def place(self) -> str | None:
        """The path; None where nothing is stated."""
        return self._told or None

    def choose(self, place: str | None) -> None:
        """State a place, as if somebody had typed it."""
        self.show(place)
        self.changed.emit()

    def show(self, place: str | None) -> None:
        """Show what is stated already; nobody is told."""
        self._told = place_of(place or "")
        self.line.setText(self._told)

    def _edited(self) -> None:
        if place_of(self.line.text()) != self._told:
            self.choose(self.line.text())

    def _ask(self) -> None:
        found, _ = QFileDialog.getOpenFileName(self.row, "The input of the result")
        if found:
            self.choose(found)


def place_of(text: str) -> str:
    """A path as it is typed, dropped from a file manager, or chosen inside of a Zarr.

    Examples
    --------
    >>> place_of(" cells.ome.zarr/zarr.json "), place_of("file:///data/sky.fits"), place_of("")
    ('cells.ome.zarr', '/data/sky.fits', '')
    """
    text = text.strip()
    if text.startswith("file:"):
        text = QUrl(text).toLocalFile()
    path = Path(text)
    return str(path.parent) if path.name in INSIDE_ZARR else text


__all__ = ["MovedInput", "place_of"]
