"""Regions become numbers, and draws catalogues; in the child process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from sciup_napari.measure_messages import Detect, Measure
from sciup_napari.messages import Progress

KINDS = (Measure, Detect)
"""What goes first when both wait: a measurement is live, and soon over."""


class Measurer:
    """Does what was asked last of each kind; what was asked before ends at its next part.

    Parameters
    ----------
    send : callable
        Called with each message.
    guarded : callable
        Called with the number of a question and what is to be done; tells what goes wrong.
    """

    def __init__(
        self,
        send: Callable[[Any], None],
        guarded: Callable[[int, Callable[[], None]], None],
    ) -> None:
        self._send, self._guarded = send, guarded
        self._waiting: dict[type, Measure | Detect] = {}
        self._wanted: dict[type, int] = {}
        self._changed = threading.Condition()
        self._opened: Any = None
        threading.Thread(target=self._work, daemon=True).start()

    def ask(self, message: Measure | Detect) -> None:
        """Do this, and nothing else of its kind any longer."""
        with self._changed:
            self._waiting[type(message)] = message
            self._wanted[type(message)] = message.number
            self._changed.notify_all()

    def stop(self) -> None:
        """Do nothing any longer."""
        with self._changed:
            self._waiting.clear()
            self._wanted.clear()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                kind = next(k for k in KINDS if k in self._waiting)
                message = self._waiting.pop(kind)
            self._guarded(message.number, partial(self._answer, message))

    def _answer(self, message: Measure | Detect) -> None:
        from sciup_napari.measure_orders import Opened, detected, measured

        def wanted() -> None:
            if self._wanted.get(type(message)) != message.number:
                raise _NotWantedError

        def progress(done: int, total: int) -> None:
            wanted()
            self._send(Progress(message.number, done, total))

        self._opened = self._opened or Opened()
        with suppress(_NotWantedError):
            wanted()
            draws = self._opened.draws(message)
            draws.before = wanted
            if isinstance(message, Detect):
                self._send(detected(message, draws, progress))
                return
            for outline in message.outlines:
                wanted()
                self._send(measured(message, outline, draws))


class _NotWantedError(Exception):
    """Ends work from inside."""


__all__ = ["Measurer"]
