"""Something that is done once, however often it was asked for meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal


class Soon(QObject):
    """Calls a function after the event that goes on, and before the next painting.

    A timer of 0 ms would come after the painting, which then happens twice: Qt paints as soon as no
    posted event is left.

    Parameters
    ----------
    action : callable
    """

    _asked = Signal()

    def __init__(self, action: Callable[[], None], parent: Any = None) -> None:
        super().__init__(parent)
        self._action = action
        self._waiting = False
        self._asked.connect(self._act, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Call it soon."""
        if not self._waiting:
            self._waiting = True
            self._asked.emit()

    def stop(self) -> None:
        """Do not call it after all."""
        self._waiting = False

    def _act(self) -> None:
        if self._waiting:
            self._waiting = False
            self._action()
