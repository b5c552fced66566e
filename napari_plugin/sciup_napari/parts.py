"""Small parts of which the widgets are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

WARNING = "color: #E69F00;"
"""Style of what must not be overlooked."""

BLINK = 500
"""Milliseconds per half of a blink."""

WIDTH = 300
"""Least width of a widget beside the canvas."""


SPACE = 4
"""Pixels between rows: all of a widget fits beside a canvas of 700 pixels."""


class Note(QLabel):
    """Words that wrap; without words it takes no room."""

    def __init__(self) -> None:
        super().__init__("")
        self.setWordWrap(True)
        self.hide()

    def setText(self, text: str | None) -> None:  # noqa: N802 (Qt's name)
        """Show words."""
        super().setText(text)
        self.setVisible(bool(text))


def warning() -> Note:
    """A note that is not overlooked."""
    label = Note()
    label.setStyleSheet(WARNING)
    return label


def form(*rows: tuple[str, Any]) -> QFormLayout:
    """Labels, each with its widget."""
    layout = QFormLayout()
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setVerticalSpacing(SPACE)
    for label, widget in rows:
        if isinstance(widget, QComboBox):
            narrow(widget)
        layout.addRow(label, widget)
    return layout


def narrow(box: QComboBox) -> None:
    """Do not let a long entry make all wider than the dock: it grows with it all the same."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)


def beside(box: QWidget, button: QPushButton) -> QWidget:
    """A box with a button at its side, as one row of a form."""
    if isinstance(box, QComboBox):
        narrow(box)
    whole = QWidget()
    layout = QHBoxLayout(whole)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(box, 1)
    layout.addWidget(button)
    return whole


def row(*widgets: QWidget) -> QHBoxLayout:
    """Widgets side by side."""
    layout = QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget)
    return layout


def column(*parts: Any) -> QVBoxLayout:
    """Widgets and layouts below each other."""
    layout = QVBoxLayout()
    layout.setSpacing(SPACE)
    for part in parts:
        layout.addWidget(part) if isinstance(part, QWidget) else layout.addLayout(part)
    return layout


def folded(content: QFormLayout) -> QCollapsible:
    """What is seldom needed, behind the word More."""
    inner = QWidget()
    inner.setLayout(content)
    box = QCollapsible("More")
    box.setContent(inner)
    box.collapse(animate=False)
    return box


def show_row(rows: QFormLayout, widget: QWidget, on: bool) -> None:
    """Show or hide a widget of a form with its label."""
    widget.setVisible(on)
    if (label := rows.labelForField(widget)) is not None:
        label.setVisible(on)


def fill(area: QScrollArea, content: QVBoxLayout) -> None:
    """Put a column into an area that scrolls up and down only."""
    content.addStretch()
    body = QWidget()
    body.setLayout(content)
    area.setWidget(body)
    area.setWidgetResizable(True)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setMinimumWidth(WIDTH)


def spin(low: int, high: int, value: int) -> QSpinBox:
    """A box for a whole number."""
    box = QSpinBox()
    box.setRange(low, high)
    box.setValue(value)
    return box


def slider(low: int, high: int, value: int) -> QSlider:
    """A slider from left to right."""
    made = QSlider(Qt.Orientation.Horizontal)
    made.setRange(low, high)
    made.setValue(value)
    return made


def ticking(parent: Any, milliseconds: int, action: Callable[[], None]) -> QTimer:
    """A timer that calls something again and again once it is started."""
    timer = QTimer(parent)
    timer.setInterval(milliseconds)
    timer.timeout.connect(action)
    return timer


def once_after(milliseconds: int, action: Callable[[], None], parent: Any) -> QTimer:
    """A timer that calls something once, so long after it was started last."""
    timer = ticking(parent, milliseconds, action)
    timer.setSingleShot(True)
    return timer


def run(timer: QTimer, on: bool) -> None:
    """Start or stop a timer."""
    timer.start() if on else timer.stop()


@contextmanager
def silent(*widgets: Any) -> Iterator[None]:
    """Change widgets as if nobody had."""
    before = [widget.blockSignals(True) for widget in widgets]
    yield
    for widget, blocked in zip(widgets, before, strict=True):
        widget.blockSignals(blocked)
