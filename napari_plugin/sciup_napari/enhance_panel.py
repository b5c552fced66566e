"""How the Enhance widget looks: its controls, without what they do."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel, QPushButton
from superqt import QCollapsible

from sciup_napari.parts import Note, column, fill, folded, form, row, spin, warning
from sciup_napari.subject import Subject

TOLERANCES = ("3sigma", "1sigma", "10%")


class EnhancePanel(Subject):
    """What is enhanced by what, the buttons, and what is believed, from top to bottom."""

    def __init__(self) -> None:
        super().__init__()
        self.risk, self.warning, self.domain = Note(), warning(), warning()
        self._buttons()
        what = form(("layer", self.layer_box), ("model", self.model_box))
        parts: tuple[Any, ...] = (
            what, self.about, self.pixels,
            row(self.preview, self.follow), row(self.region, self.everything),
            self.progress, row(self.status, self.cancel), self.warning,
            QLabel("<b>Instrument</b>"), self.table, self.risk, self.domain, self._more(),
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
        self.acting = (self.preview, self.follow, self.region, self.everything)

    def _more(self) -> QCollapsible:
        self.samples, self.budget = spin(1, 64, 16), spin(100, 64000, 2000)
        self.budget.setSingleStep(500)
        self.budget.setSuffix(" MB")
        self.tolerance = QComboBox()
        self.tolerance.addItems(TOLERANCES)
        self.tolerance.setToolTip("How far off a 3 px mean must be to count as wrong")
        self.samples.setToolTip("Draws that vote; one more is shown. Models are calibrated for 16")
        return folded(
            form(
                ("samples", self.samples), ("seed", self.seed), ("tolerance", self.tolerance),
                ("device", self.device), ("memory", self.budget),
            )
        )  # fmt: skip
