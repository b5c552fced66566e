"""How the Explore widget looks: its controls, without what they do."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel, QPushButton
from superqt import QCollapsible

from sciup_napari.answer_table import AnswerTable
from sciup_napari.parts import Note, column, fill, folded, form, row, show_row, spin, warning
from sciup_napari.regions import WAYS
from sciup_napari.subject import Subject

GOALS = {
    "distinct": "How different can images be that agree with the data?",
    "brightest": "Which flux is permitted? The brightest image first",
    "faintest": "Which flux is permitted? The faintest image first",
    "one-or-two": "Is this one point source or two?",
    "farthest": "What is farthest from the sample that is delivered?",
    "sketch": "Is my idea permitted, and what comes nearest to it?",
}
"""Goals of `sciup.explore`, and what they ask."""

FLUX = ("brightest", "faintest")
SEVERAL = ("distinct", "farthest", "sketch")
"""Goals with a number of answers; the others have two ends."""


def number(low: float, high: float, value: float, step: float) -> QDoubleSpinBox:
    """A box for a number with one decimal."""
    box = QDoubleSpinBox()
    box.setDecimals(1)
    box.setRange(low, high)
    box.setSingleStep(step)
    box.setValue(value)
    return box


class ExplorePanel(Subject):
    """What is asked, the buttons, what was found, and what is believed, from top to bottom."""

    def __init__(self) -> None:
        super().__init__()
        self.question_words, self.words, self.meaning = Note(), Note(), Note()
        self.failure = warning()
        self.answer_table = AnswerTable()
        self._buttons()
        self.question_form = self._question()
        parts: tuple[Any, ...] = (
            self.question_form, self.question_words,
            self.progress, row(self.begin, self.cancel), self.status,
            self.failure, self.words, self.answer_table, row(self.blink, self.residual),
            self.meaning, QLabel("<b>Instrument</b>"), self.table, self._more(),
        )  # fmt: skip
        fill(self, column(*parts))

    def _question(self) -> Any:
        self.goal, self.way, self.sketch = QComboBox(), QComboBox(), QComboBox()
        for goal, meaning in GOALS.items():
            self.goal.addItem(goal)
            self.goal.setItemData(self.goal.count() - 1, meaning, Qt.ItemDataRole.ToolTipRole)
        for way, (short, meaning) in WAYS.items():
            self.way.addItem(short, way)
            self.way.setItemData(self.way.count() - 1, meaning, Qt.ItemDataRole.ToolTipRole)
        self.way.setToolTip("The region that is searched; its middle, or the point, is asked about")
        self.answers, self.radius = spin(2, 32, 4), number(0.0, 60.0, 0.0, 0.5)
        self.radius.setSuffix(" px")
        self.sketch.setToolTip(
            "Labels and shapes are bright on dark; level and contrast are fitted to the data"
        )
        return form(
            ("layer", self.layer_box), ("model", self.model_box), ("goal", self.goal),
            ("where", self.way), ("answers", self.answers), ("radius", self.radius),
            ("sketch", self.sketch),
        )  # fmt: skip

    def ask_for(self, goal: str) -> None:
        """Show the controls of a goal."""
        self.question_words.setText(GOALS[goal])
        self.radius.setSpecialValueText("whole region" if goal in FLUX else "from the PSF")
        show_row(self.question_form, self.answers, goal in SEVERAL)
        show_row(self.question_form, self.radius, goal in (*FLUX, "one-or-two"))
        show_row(self.question_form, self.sketch, goal == "sketch")

    def _buttons(self) -> None:
        self.begin, self.cancel = QPushButton("Search"), QPushButton("Cancel")
        self.begin.setToolTip("Look for images of the region that agree with the data")
        self.blink, self.residual = QCheckBox("Blink"), QCheckBox("Residual")
        self.blink.setToolTip("Show the answers in turn")
        self.residual.setToolTip("What the image leaves of the data, from -4 to 4 deviations")
        self.acting = (self.begin,)

    def _more(self) -> QCollapsible:
        self.steps, self.reach = spin(1, 10_000, 100), number(0.1, 1000.0, 5.0, 1.0)
        self.steps.setToolTip("Evaluations of each search")
        self.reach.setToolTip("How far the noise of a draw may be moved, in its deviations")
        rows = (
            ("seed", self.seed), ("steps", self.steps), ("reach", self.reach),
            ("device", self.device),
        )  # fmt: skip
        return folded(form(*rows))
