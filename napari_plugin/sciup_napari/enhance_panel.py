"""How the Enhance widget looks: its controls, without what they do."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QWidget,
)
from superqt import QCollapsible

from sciup_napari.instrument_table import InstrumentTable
from sciup_napari.model_box import ModelBox
from sciup_napari.parts import Note, column, fill, form, row, spin, warning

TOLERANCES = ("3sigma", "1sigma", "10%")


class EnhancePanel(QScrollArea):
    """What is enhanced by what, the buttons, and what is believed, from top to bottom."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_box, self.model_box = QComboBox(), ModelBox()
        self.about, self.pixels = Note(), Note()
        self.progress = QProgressBar()
        self.progress.hide()
        self.status, self.risk, self.warning = QLabel(), Note(), warning()
        self.status.setWordWrap(True)  # keeps its room beside the button
        self.table = InstrumentTable()
        self._buttons()
        what = form(("layer", self.layer_box), ("model", self.model_box))
        parts: tuple[Any, ...] = (
            what, self.about, self.pixels,
            row(self.preview, self.follow), row(self.region, self.everything),
            self.progress, row(self.status, self.cancel), self.warning,
            QLabel("<b>Instrument</b>"), self.table, self.risk, self._more(),
        )  # fmt: skip
        fill(self, column(*parts))

    def _buttons(self) -> None:
        self.preview, self.follow = QPushButton("Preview view"), QCheckBox("Live zoom")
        self.preview.setToolTip("Enhance what is on the screen now")
        self.follow.setToolTip("Go on enhancing as you pan and zoom")
        self.region, self.everything = QPushButton("Run on region"), QPushButton("Run on all…")
        self.region.setToolTip("Make a result of the last rectangle of a Shapes layer")
        self.everything.setToolTip("Make a result file of the whole layer, here or on a cluster")
        self.cancel = QPushButton("Stop")

    def _more(self) -> QCollapsible:
        self.samples, self.seed, self.budget = (
            spin(1, 64, 16), spin(0, 2**31 - 1, 0), spin(100, 64000, 2000)
        )  # fmt: skip
        self.budget.setSingleStep(500)
        self.budget.setSuffix(" MB")
        self.tolerance, self.device = QComboBox(), QComboBox()
        self.tolerance.addItems(TOLERANCES)
        self.tolerance.setToolTip("How far off a 3 px mean must be to count as wrong")
        self.samples.setToolTip("Draws that vote; one more is shown. Models are calibrated for 16")
        self.device.addItems(("auto", "cpu", "cuda"))
        inner = QWidget()
        inner.setLayout(form(
            ("samples", self.samples), ("seed", self.seed), ("tolerance", self.tolerance),
            ("device", self.device), ("memory", self.budget),
        ))  # fmt: skip
        box = QCollapsible("More")
        box.setContent(inner)
        box.collapse(animate=False)
        return box
