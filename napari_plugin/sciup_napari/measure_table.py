"""What was measured, a region per row."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem

from sciup_napari.answer_table import number_words
from sciup_napari.measure_messages import Catalogue
from sciup_napari.measuring import Row

STALE, FLAG = "#909090", "#E69F00"

WAIT = "…"

SMALL = "QTableWidget, QHeaderView { font-size: 8pt; }"
"""Three columns of five digits fit beside a canvas."""

LEVELS = ("68", "95")

HIGH = (110, 240)
"""Pixels of the screen, least and most: longer tables scroll."""


def names_of(table: Catalogue) -> list[str]:
    """The numbers of a table that have intervals."""
    return [name for name in table.heads if f"{name}_lo68" in table.heads]


def decimals_of(low: float, high: float) -> int | None:
    """Digits after the point that show an interval with two of them; None if there is none.

    Examples
    --------
    >>> decimals_of(10.0, 12.0), decimals_of(0.1, 0.16), decimals_of(100.0, 4300.0)
    (1, 3, 0)
    """
    wide = high - low
    return max(0, 1 - math.floor(math.log10(wide))) if math.isfinite(wide) and wide > 0 else None


def cells_of(table: Catalogue, name: str) -> list[str]:
    """Value and intervals of a number, with as many digits as they tell.

    Examples
    --------
    >>> row = {"f": [12.345], "f_lo68": [11.1], "f_hi68": [13.4], "f_lo95": [9.9], "f_hi95": [14.8]}
    >>> cells_of(Catalogue({}, row), "f")
    ['12.3', '11.1 to 13.4', '9.9 to 14.8']
    """

    def of(end: str) -> float:
        return float(table.columns[f"{name}{end}"][0])

    places = decimals_of(of("_lo68"), of("_hi68"))

    def words(value: float) -> str:
        if not math.isfinite(value):
            return ""
        return number_words(value) if places is None else f"{value:.{places}f}"

    ends = [[words(of(f"_{side}{level}")) for side in ("lo", "hi")] for level in LEVELS]
    return [words(of("")), *(" to ".join(e) if all(e) else "" for e in ends)]


class MeasureTable(QTableWidget):
    """Shows rows; those that wait for an answer are grey.

    Signals
    -------
    chosen (int)
        The index in its layer of the region whose row the user has gone to.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__(0, 0)
        self.verticalHeader().hide()
        self.horizontalHeader().setStretchLastSection(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setWordWrap(False)
        self.setStyleSheet(SMALL)
        self.setToolTip("Select a row to select its region")
        self.currentCellChanged.connect(self._gone)
        self._rows: list[Row] = []
        self.hide()

    def fill(self, rows: Sequence[Row]) -> None:
        """Show rows; the one that was chosen stays chosen."""
        self.blockSignals(True)
        current, self._rows = self.currentRow(), list(rows)
        tables = [row.answer.row for row in rows if row.answer is not None]
        heads = {n: t.heads[n] for t in tables for n in names_of(t)}
        self._head({name: head.unit for name, head in heads.items()})
        self.setRowCount(len(rows))
        for i, row in enumerate(rows):
            self._fill_row(i, row, list(heads))
        flagged = any(row.answer is None or row.answer.flag for row in rows)
        self.setColumnHidden(self.columnCount() - 1, bool(heads) and not flagged)
        self.setCurrentCell(current if current < len(rows) else -1, 0)
        self.resizeColumnsToContents()
        high = sum(self.rowHeight(i) for i in range(len(rows)))
        high += self.horizontalHeader().sizeHint().height() + 20
        self.setFixedHeight(min(max(high, HIGH[0]), HIGH[1]))
        self.setVisible(bool(rows))
        self.blockSignals(False)

    def choose(self, index: int) -> None:
        """Go to the row of a region, as if nobody had."""
        rows = [i for i, row in enumerate(self._rows) if row.index == index]
        self.blockSignals(True)
        self.setCurrentCell(rows[0] if rows else -1, 0)
        self.blockSignals(False)

    def _head(self, units: dict[str, str]) -> None:
        words = ["#"]
        for name, unit in units.items():
            words += [f"{name}\n{unit}".rstrip(), *(f"{level} %" for level in LEVELS)]
        words.append("flag")
        self.setColumnCount(len(words))
        self.setHorizontalHeaderLabels(words)

    def _fill_row(self, i: int, row: Row, names: list[str]) -> None:
        cells, flag = [str(row.index + 1)], ""
        for name in names:
            known = row.answer is not None and name in row.answer.row.heads
            cells += cells_of(row.answer.row, name) if known and row.answer else ["", "", ""]
        if row.answer is not None:
            flag = row.answer.flag
        if row.answer is None:
            cells[-1 if not names else 1] = WAIT if names else cells[-1]
            flag = WAIT if not names else ""
        for j, text in enumerate([*cells, flag]):
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            if not row.fresh:
                item.setForeground(QColor(STALE))
                item.setToolTip("not measured yet")
            elif j == len(cells):
                item.setForeground(QColor(FLAG))
            if 0 < j < len(cells):
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(i, j, item)

    def _gone(self, row: int, _: int, before: int, __: int) -> None:
        if 0 <= row < len(self._rows) and row != before:
            self.chosen.emit(self._rows[row].index)


__all__ = ["MeasureTable", "cells_of", "names_of"]
