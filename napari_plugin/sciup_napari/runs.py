"""Whole results, made by a child process of their own while the viewer goes on."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

from qtpy.QtCore import QObject, Signal

from sciup_napari.link import Link
from sciup_napari.messages import Done, Failed, Progress, Run

_numbers = count(1)


class Running(QObject):
    """One run.

    Signals
    -------
    progress (int, int)
        Windows done, and in all.
    finished (str)
        The path of the result.
    failed (str)
        Why there is none; empty if the user has cancelled.
    """

    progress = Signal(int, int)
    finished = Signal(str)
    failed = Signal(str)
    _heard = Signal(object)

    def __init__(self, run: Run, parent: Any = None) -> None:
        super().__init__(parent)
        self.run = replace(run, number=next(_numbers))
        self.cancelled = False
        self._over = False
        self._heard.connect(self._on_message)
        self._link = Link(self._heard.emit)
        self._link.send(self.run)

    def cancel(self) -> None:
        """Stop; what was done stays in a ``.partial`` folder and can go on."""
        self.cancelled = True
        self._link.interrupt()

    def close(self) -> None:
        """Stop at once, without another word."""
        self._over = True
        self._link.close()

    @property
    def over(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self._over

    def _on_message(self, message: Any) -> None:
        if self._over:
            return
        if isinstance(message, Progress):
            self.progress.emit(message.done, message.total)
        elif isinstance(message, Done):
            self._over = True
            self.finished.emit(message.output)
        elif isinstance(message, Failed):
            self._over = True
            text = f"{message.text}\n{message.details}".rstrip()
            self.failed.emit("" if self.cancelled else text)
