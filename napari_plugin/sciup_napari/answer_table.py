"""The numbers of what a search has found, one image per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from sciup.explorer.answers import Answer, Region
from sciup_napari.answer_layers import name_of

REJECTED = "#E69F00"

MOST_HIGH = 240
"""Pixels of the screen: longer tables scroll."""

HEADERS = {
    "": "A rejected image does not agree with the data",
    "χ²": "Chi squared of the region; the header says of how many pixels",
    "8 px": "Chi squared of the worst block of 8 x 8 px, in its deviations (allowed: 5)",
    "moved": "How far the noise of a draw was moved, in its deviations: the typicality. With * the"
    " noise no longer looks like noise",
}
"""Columns, and what they mean."""

ASKED = {
    "flux": ("flux", "Flux of the image, above sky or pedestal"),
    "from_sample_0_sigma": ("away", "Distance from sample 0, in deviations of the noise"),
    "from_sketch_sigma": ("away", "Distance from the sketch, in deviations of the noise"),
    "from_model_sigma": ("away", "Distance from the point sources, in deviations of the noise"),
}
"""Facts of answers that tell of what was asked: header and meaning."""


def asked_of(region: Region) -> str:
    """The fact of the answers that tells of what was asked; empty if none does."""
    return next((key for key in ASKED for a in region.answers if key in a.facts), "")


def number_words(value: float) -> str:
    """Four digits, without an exponent as long as that is short: columns are narrow.

    Examples
    --------
    >>> number_words(24753.2), number_words(0.8512), number_words(3.2e9)
    ('24750', '0.8512', '3.2e+09')
    """
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.4g}"
    return np.format_float_positional(value, 4, unique=False, fractional=False, trim="-")


def row_of(image: Answer, asked: str) -> list[str]:
    """The cells of an image.

    Examples
    --------
    >>> facts = {"chi2": 200.2, "worst_8px_block_sigma": -2.13, "flux": 12884.6}
    >>> row_of(Answer("answer_1", "", None, None, facts), "flux")
    ['answer 1', '200', '-2.1', '', '12880']
    """
    facts = image.facts
    cells = [name_of(image)]
    known = "chi2" in facts
    cells.append(f"{facts['chi2']:.0f}" if known else "")
    cells.append(f"{facts['worst_8px_block_sigma']:+.1f}" if known else "")
    noise: Mapping[str, Any] = facts.get("typicality", {})
    mark = "" if noise.get("ordinary", True) else " *"
    cells.append(f"{noise['moved_sigma']:.1f}{mark}" if noise else "")
    if asked:
        cells.append(number_words(facts[asked]) if asked in facts else "")
    return cells


def permitted(facts: Mapping[str, Any]) -> list[str]:
    """The cells of the permitted range of a flux; none where another thing was asked.

    Examples
    --------
    >>> permitted({"flux_low": 3.1, "flux_high": 5.4})
    ['permitted', '3.1 to 5.4 (95 %)']
    """
    if "flux_low" not in facts:
        return []
    ends = " to ".join(number_words(facts[end]) for end in ("flux_low", "flux_high"))
    return ["permitted", f"{ends} (95 %)"]


class AnswerTable(QTableWidget):
    """Chooses an image.

    Signals
    -------
    chosen (int)
        The row that the user, or `choose`, has gone to.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__(0, len(HEADERS))
        self.verticalHeader().hide()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrap(False)
        self.setToolTip("Select a row to see that image")
        self.currentCellChanged.connect(self._changed)
        self.hide()

    def fill(self, images: Sequence[Answer], region: Region) -> None:
        """Show images of a region; none of them is chosen."""
        asked = asked_of(region)
        self.blockSignals(True)
        self.clearSpans()
        self._head(asked, region)
        rows = [(row_of(i, asked), i.title, i.name.startswith("rejected")) for i in images]
        if ends := permitted(region.facts):
            rows.append((ends, region.words, False))
        self.setRowCount(len(rows))
        for i, (cells, tip, rejected) in enumerate(rows):
            for j, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(tip)
                if rejected:
                    item.setForeground(QColor(REJECTED))
                if i == len(images):  # the range is no image
                    item.setFlags(Qt.ItemFlag.ItemIsEnabled)
                self.setItem(i, j, item)
        if ends:
            self.setSpan(len(images), 1, 1, self.columnCount() - 1)
        self.setCurrentCell(-1, -1)
        self.blockSignals(False)
        high = sum(self.rowHeight(i) for i in range(len(rows)))
        self.setFixedHeight(min(self.horizontalHeader().sizeHint().height() + high + 4, MOST_HIGH))
        self.setVisible(bool(images))

    def choose(self, index: int) -> None:
        """Go to a row."""
        self.setCurrentCell(index, 0)

    def clear(self) -> None:
        """Show nothing."""
        self.setRowCount(0)
        self.hide()

    def _head(self, asked: str, region: Region) -> None:
        columns = [*HEADERS.items(), *([ASKED[asked]] if asked else [])]
        self.setColumnCount(len(columns))
        pixels = region.shown_facts.get("pixels")
        for j, (name, meaning) in enumerate(columns):
            item = QTableWidgetItem(f"{name}\nof {pixels}" if name == "χ²" and pixels else name)
            item.setToolTip(meaning)
            self.setHorizontalHeaderItem(j, item)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(columns) - 1, QHeaderView.ResizeMode.Stretch)

    def _changed(self, row: int, _: int, before: int, __: int) -> None:
        if row >= 0 and row != before:
            self.chosen.emit(row)
