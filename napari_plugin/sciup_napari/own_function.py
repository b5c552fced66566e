"""A function of the user: a file, and which function of it."""

from __future__ import annotations

import ast
from pathlib import Path

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QPushButton, QWidget

from sciup_napari.parts import beside, silent


def functions_in(path: Path) -> list[str]:
    """Names of the functions that a file defines; none where it cannot be read.

    The file is not run: the child does that, and tells what is wrong with it.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return []
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


class OwnFunction(QObject):
    """Chooses a function.

    Attributes
    ----------
    row : QWidget
        The controls.

    Signals
    -------
    changed ()
        Another one is chosen.
    """

    changed = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.path: Path | None = None
        self.button, self.names = QPushButton("File…"), QComboBox()
        self.button.setToolTip("A Python file with a function f(image, mask) that returns a number")
        self.row = beside(self.names, self.button)
        self.button.clicked.connect(self._ask)
        self.names.currentIndexChanged.connect(lambda _: self.changed.emit())

    @property
    def place(self) -> str:
        """``FILE.py:FUNCTION``; empty as long as no file is chosen."""
        return f"{self.path}:{self.names.currentText() or 'function'}" if self.path else ""

    def choose(self, path: Path) -> None:
        """Offer the functions of a file; the last one, which may use the others, is chosen."""
        self.path = path
        self.button.setText(path.name)
        with silent(self.names):
            self.names.clear()
            self.names.addItems(functions_in(path))
            self.names.setCurrentIndex(self.names.count() - 1)
        self.changed.emit()

    def _ask(self) -> None:
        found, _ = QFileDialog.getOpenFileName(self.row, "A function of your own", "", "*.py")
        if found:
            self.choose(Path(found))
