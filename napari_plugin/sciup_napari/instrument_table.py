"""What is believed about the instrument, value by value, with the origin of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from sciup.errors import OptionError

OPTIONS = {
    "psf_fwhm": "psf_fwhm",
    "electrons_per_unit": "gain",
    "read_noise": "read_noise",
    "background": "background",
    "noise_sigma": "noise_sigma",
}
"""Rows that can be stated by hand, and the option that states them."""

NAMES = {
    "psf_fwhm": "PSF FWHM",
    "psf": "PSF",
    "psf_step": "PSF step",
    "psf_cells": "PSF over the field",
    "psf_cell": "PSF cell",
    "psf_error": "PSF width error",
    "psf_beta": "PSF Moffat exponent",
    "electrons_per_unit": "gain",
    "read_noise": "read noise",
    "background": "background",
    "noise_sigma": "noise",
    "correlation": "correlation",
    "dark": "dark end",
    "bright": "bright end",
    "star_fwhm": "stars' FWHM",
}

STATED = {
    "psf_fwhm": "input px",
    "electrons_per_unit": "electron per unit",
    "read_noise": "electron",
    "background": "input units",
    "noise_sigma": "input units",
}
"""Their units."""

UNITS = {"electron per unit": "e/unit", "electron": "e", "input px": "px", "input units": "unit"}

COLOURS = {"given": "#009E73", "header": "#56B4E9", "estimated": "#E69F00", "assumed": "#D55E00"}
"""Okabe and Ito's palette: told apart with every common colour vision."""

COLUMNS = ("", "value", "origin")

NAME, TEXT = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
"""What a value's cell keeps: the name of the value, and what was last shown."""

OPEN = "Not read yet. Type a value to state it, or let sciup find out."

MOST_HIGH = 280
"""Pixels of the screen: longer tables scroll."""

Row = tuple[str, str, str, str, str]


def in_words(text: str) -> str:
    """What is said of options of the command line, by the names of the table.

    Examples
    --------
    >>> in_words("--psf-fwhm -3 is not possible.")
    'PSF FWHM -3 is not possible.'
    """
    for name, option in OPTIONS.items():
        text = text.replace(f"--{option.replace('_', '-')}", NAMES[name])
    return text


class InstrumentTable(QTableWidget):
    """Values that can be edited; an edited one counts as given.

    Attributes
    ----------
    given : dict of str to float
        What the user states, by option.

    Signals
    -------
    stated ()
        The user has stated or unstated a value.
    """

    stated = Signal()

    def __init__(self) -> None:
        super().__init__(0, len(COLUMNS))
        self.given: dict[str, float] = {}
        self._filling = False
        self.setHorizontalHeaderLabels(COLUMNS)
        self.verticalHeader().hide()
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemChanged.connect(self._edited)
        self.setToolTip(
            "What is believed about the instrument. Type a value to state it; empty it to let"
            " sciup find out."
        )

    def fill(self, rows: Sequence[Row]) -> None:
        """Show (name, value, unit, origin, note)."""
        self._filling = True
        self.setRowCount(len(rows))
        for i, (name, value, unit, origin, note) in enumerate(rows):
            label = NAMES.get(name, name) + (f" [{UNITS.get(unit, unit)}]" if unit else "")
            texts = (label, value, origin)
            for j, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(in_words(": ".join(filter(None, (origin, note)))))
                editable = j == 1 and name in OPTIONS
                flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
                item.setFlags(flags | Qt.ItemFlag.ItemIsEditable if editable else flags)
                if j == 1:
                    item.setData(NAME, name)
                    item.setData(TEXT, text)
                if j == 2:
                    item.setForeground(QColor(COLOURS.get(origin, "#999999")))
                self.setItem(i, j, item)
        self._filling = False
        self._fit()

    def showEvent(self, event: Any) -> None:  # noqa: N802 (Qt's name)
        """Rows are as high as the style says, which is known once the table is seen."""
        super().showEvent(event)
        self._fit()

    def _fit(self) -> None:
        rows = sum(self.rowHeight(i) for i in range(self.rowCount()))
        high = self.horizontalHeader().sizeHint().height() + rows + 4
        self.setFixedHeight(min(high, MOST_HIGH))

    def fill_given(self) -> None:
        """Show what is stated and what can be, before anything else is known."""
        rows: list[Row] = []
        for name, option in OPTIONS.items():
            known = option in self.given
            value = f"{self.given[option]:.5g}" if known else ""
            rows.append(
                (name, value, STATED[name], "given" if known else "", "" if known else OPEN)
            )
        self.fill(rows)

    def _edited(self, item: QTableWidgetItem) -> None:
        name = item.data(NAME)
        if self._filling or name not in OPTIONS:
            return
        option, text = OPTIONS[name], item.text().strip()
        value = math.nan
        with suppress(ValueError):
            value = float(text.replace(",", "."))
        if text and not math.isfinite(value):
            self._put(item, item.data(TEXT))
            error = OptionError(
                f"{text!r} is no {NAMES.get(name, name)}",
                "a finite number",
                "type the number alone, or empty the cell to let sciup find out",
            )
            show_error(str(error))
            return
        if text:
            self.given[option] = value
        elif self.given.pop(option, None) is None:  # there was no statement to take back
            self._put(item, item.data(TEXT))
            return
        self._put(item, text)
        self._put_origin(item.row(), "given" if text else "")
        self.stated.emit()

    def _put_origin(self, row: int, origin: str) -> None:
        """Say where a value is from, though nobody has read it yet."""
        self._filling = True
        item = self.item(row, 2)
        if item is not None:
            item.setText(origin)
            item.setForeground(QColor(COLOURS.get(origin, "#999999")))
        self._filling = False

    def _put(self, item: QTableWidgetItem, text: str) -> None:
        """Show a value that nobody has typed."""
        self._filling = True
        item.setText(text)
        item.setData(TEXT, text)
        self._filling = False
