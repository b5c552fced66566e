"""Where a whole result goes, and who computes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from sciup_napari.runs import GO_ON

WHO = {
    "this computer": "",
    "several processes on this computer": "number of processes, for example 4",
    "a running Dask scheduler": "tcp://HOST:PORT",
    "a batch system": "YAML file of Slurm, PBS, LSF or HTCondor",
}
KEYS = (None, "workers", "scheduler", "cluster")

ADDRESS = re.compile(r"(\w+://)?[^\s/]+:\d+")


class RunDialog(QDialog):
    """Ask for the output and the machines.

    Attributes
    ----------
    output : str
    machines : dict
        ``workers``, ``scheduler`` or ``cluster``.
    how : dict
        ``plane_only``, ``keep``, ``resume``, ``overwrite``.
    """

    def __init__(self, name: str, parent: Any = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("sciup: run on all")
        stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
        self.path = QLineEdit(str(Path.home() / f"{stem}_sciup.ome.zarr"))
        browse = QPushButton("…")
        browse.setFixedWidth(30)
        browse.clicked.connect(self._browse)
        self.who, self.detail = QComboBox(), QLineEdit()
        self.who.addItems(list(WHO))
        self.who.currentTextChanged.connect(self._who_changed)
        self.planes = QCheckBox("all planes (z, time, channels), not only the one shown")
        self.keep = QCheckBox("keep all draws, for the trust lens (17 images more)")
        self.resume = QCheckBox(GO_ON)
        self.overwrite = QCheckBox("replace what is there")
        self.note = QLabel("The file name decides the format: .ome.zarr or .fits")
        self.problem = QLabel("")
        self.problem.setWordWrap(True)
        self.problem.setStyleSheet("color: #E69F00;")
        self.problem.hide()
        where = QHBoxLayout()
        where.addWidget(self.path)
        where.addWidget(browse)
        form = QFormLayout()
        form.addRow("result", where)
        form.addRow("", self.note)
        form.addRow("computed by", self.who)
        form.addRow("", self.detail)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.button(QDialogButtonBox.StandardButton.Ok).setText("Run")
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        rows: tuple[QWidget, ...] = (self.planes, self.keep, self.resume, self.overwrite)
        for row in (*rows, self.problem, buttons):
            layout.addWidget(row)
        self.setMinimumWidth(460)
        self._who_changed(self.who.currentText())

    def accept(self) -> None:
        """Close, unless something is missing: that is told."""
        wrong = self.wrong
        self.problem.setText(wrong)
        self.problem.setVisible(bool(wrong))
        if not wrong:
            super().accept()

    @property
    def wrong(self) -> str:
        """What keeps the run from starting; empty if nothing."""
        if not self.path.text().strip():
            return "Say where the result goes."
        key, text = KEYS[self.who.currentIndex()], self.detail.text().strip()
        if key == "workers" and not (text.isdecimal() and int(text) > 0):
            return f"{text!r} is no number of processes. Allowed: 1, 2, 3 and so on."
        if key == "scheduler" and not ADDRESS.fullmatch(text):
            return f"{text!r} is no address of a Dask scheduler. Allowed: tcp://HOST:PORT."
        if key == "cluster" and not (text and Path(text).expanduser().is_file()):
            return f"There is no file {text!r}. Allowed: a YAML file that describes the cluster."
        return ""

    @property
    def output(self) -> str:
        """Path of the result."""
        return str(Path(self.path.text()).expanduser())

    @property
    def machines(self) -> dict[str, Any]:
        """Who computes, as `sciup_napari.messages.Run` wants it."""
        key, text = KEYS[self.who.currentIndex()], self.detail.text().strip()
        if key is None:
            return {}
        if key == "workers":
            return {key: int(text)}
        return {key: Path(text).expanduser() if key == "cluster" else text}

    @property
    def how(self) -> dict[str, bool]:
        """Which planes, and what to do with what is there."""
        return {
            "plane_only": not self.planes.isChecked(),
            "keep": self.keep.isChecked(),
            "resume": self.resume.isChecked(),
            "overwrite": self.overwrite.isChecked(),
        }

    def _who_changed(self, who: str) -> None:
        hint = WHO.get(who, "")
        self.detail.setPlaceholderText(hint)
        self.detail.setVisible(bool(hint))
        self.problem.hide()

    def _browse(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Result", self.path.text())
        if path:
            self.path.setText(path)
