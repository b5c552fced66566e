"""How the Measure widget looks: its controls, without what they do."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton
from superqt import QCollapsible

from sciup.image import KEYPOINT_KINDS
from sciup.science.measure.quantities import QUANTITIES
from sciup_napari.explore_panel import number
from sciup_napari.measure_table import MeasureTable
from sciup_napari.moved_input import MovedInput
from sciup_napari.own_function import OwnFunction
from sciup_napari.parts import (
    Note,
    beside,
    column,
    fill,
    folded,
    form,
    row,
    show_row,
    silent,
    slider,
    spin,
    warning,
)
from sciup_napari.subject import Subject

OWN = "own function"

HINT = "Press New, and draw around what is to be measured."

USUAL = "usual"

BACKGROUNDS = {
    USUAL: "The sky as the run believed it; a ring around each region of a micrograph",
    "known": "The sky as the run believed it, or the pedestal of the camera",
    "ring": "The median of a ring around the region",
}

PLACES = {
    "view": "what is on the screen",
    "shape": "the selected shape",
    "all": "all of it",
}
"""Where candidates are looked for."""


class MeasurePanel(Subject):
    """What is measured, the numbers, and what is looked for, from top to bottom."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.candidates = Note(), Note()
        self.failure, self.warning = warning(), warning()
        self.measured = MeasureTable()
        self._buttons()
        self.question_form = self._question()
        parts: tuple[Any, ...] = (
            self.question_form, self.about, self.failure, self.measured, self.status, self.warning,
            self.words, row(self.copy, self.save, self.again), QLabel("<b>Detect</b>"),
            self._search(), row(self.detect, self.cancel, self.save_found), self.progress,
            self.candidates, self._more(),
        )  # fmt: skip
        fill(self, column(*parts))

    def _question(self) -> Any:
        self.quantity, self.regions = QComboBox(), QComboBox()
        for name, quantity in QUANTITIES.items():
            self.quantity.addItem(name)
            self._explain(self.quantity, quantity.definition)
        self.quantity.addItem(OWN)
        self._explain(self.quantity, "A function f(image, mask) in a Python file of yours")
        self.own = OwnFunction(self)
        self.radius = number(0.1, 1000.0, 3.0, 0.5)
        self.radius.setSuffix(" px")
        self.radius.setToolTip("Of the disc around each point, input px")
        where = beside(self.regions, self.new)
        self.moved = MovedInput(self)
        return form(
            ("of", self.layer_box), ("model", self.model_box), ("input", self.moved.row),
            ("quantity", self.quantity),
            ("function", self.own.row), ("regions", where), ("radius", self.radius),
        )  # fmt: skip

    def _search(self) -> Any:
        self.kind, self.place, self.limit = QComboBox(), QComboBox(), number(0.1, 1000, 5, 1)
        self.limit.setPrefix("S/N ")
        self.limit.setToolTip("Of the faintest point source that counts, in the input's noise")
        for key, words in PLACES.items():
            self.place.addItem(words, key)
        self.least = slider(0, 100, 0)
        self.least.setToolTip("Least P(exists) of the candidates that are shown")
        self.search_form = form(
            ("kind", self.kind),
            ("where", self.place),
            ("limit", self.limit),
            ("P from", self.least),
        )
        return self.search_form

    def _buttons(self) -> None:
        self.new = QPushButton("New")
        self.new.setToolTip("A new Shapes layer, ready to draw in")
        self.copy, self.save = QPushButton("Copy table"), QPushButton("Save table…")
        self.again = QPushButton("Again")
        self.again.setToolTip("Measure everything once more, after a function or file has changed")
        self.detect, self.cancel = QPushButton("Detect"), QPushButton("Cancel")
        self.detect.setToolTip("Find sources or structures in every draw")
        self.save_found = QPushButton("Save…")
        self.save_found.setToolTip("Save the catalogue of candidates")
        self.acting = (self.new, self.detect)

    def _more(self) -> QCollapsible:
        self.draws, self.background = spin(1, 1024, 1), QComboBox()
        self.draws.setSpecialValueText(USUAL)
        self.draws.setToolTip(
            "64, or those that are stored if no more can be made;"
            " 39 or more for 95 % without assuming a distribution"
        )
        for name, words in BACKGROUNDS.items():
            self.background.addItem(name)
            self._explain(self.background, words)
        rows = (
            ("draws", self.draws), ("level", self.background), ("seed", self.seed),
            ("device", self.device),
        )  # fmt: skip
        return folded(form(*rows))

    def offer_kinds(self, domain: str | None) -> None:
        """What can be looked for in a domain; the first is the usual one."""
        kinds = [k for d, ks in KEYPOINT_KINDS.items() if domain in (None, d) for k in ks]
        if kinds == [self.kind.itemText(i) for i in range(self.kind.count())]:
            return
        with silent(self.kind):
            self.kind.clear()
            self.kind.addItems(kinds)

    def show_rows(self, *, own: bool, points: bool, result: bool) -> None:
        """Show the controls that matter."""
        show_row(self.question_form, self.moved.row, result)
        show_row(self.question_form, self.own.row, own)
        show_row(self.question_form, self.radius, points)

    @staticmethod
    def _explain(box: QComboBox, words: str) -> None:
        box.setItemData(box.count() - 1, words, Qt.ItemDataRole.ToolTipRole)
