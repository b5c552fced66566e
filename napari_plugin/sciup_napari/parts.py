"""Small parts of which the widgets are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QScrollArea, QSlider, QSpinBox, QVBoxLayout, QWidget

WARNING = "color: #E69F00;"
"""Style of what must not be overlooked."""

WIDTH = 300
"""Least width of a widget beside the canvas."""


def note() -> QLabel:
    """An empty line that wraps when words are put in."""
    label = QLabel("")
    label.setWordWrap(True)
    return label


def warning() -> QLabel:
    """A note that is not overlooked."""
    label = note()
    label.setStyleSheet(WARNING)
    return label


def row(*widgets: QWidget) -> QHBoxLayout:
    """Widgets side by side."""
    layout = QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget)
    return layout


def column(*parts: Any) -> QVBoxLayout:
    """Widgets and layouts below each other."""
    layout = QVBoxLayout()
    for part in parts:
        layout.addWidget(part) if isinstance(part, QWidget) else layout.addLayout(part)
    return layout


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
