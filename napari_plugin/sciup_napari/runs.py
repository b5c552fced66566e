"""Whole results, made by a child process of their own while the viewer goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

from qtpy.QtCore import QObject, Signal

from sciup.errors import SciupError
from sciup_napari.link import Link
from sciup_napari.messages import Done, Failed, Progress, Run

GO_ON = "go on with an unfinished run"
"""What the user ticks so that a cancelled run goes on."""

_numbers = count(1)


class Running(QObject):
    """One run: prepared in a thread, then made by a child.

    Parameters
    ----------
    prepare : callable
        Gives the run; reads or writes pixels, which takes its time.
    threads : concurrent.futures.Executor
        Where it is called.

    Attributes
    ----------
    run : Run or None
        None as long as it is prepared.

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

    def __init__(self, prepare: Callable[[], Run], threads: Executor, parent: Any = None) -> None:
        super().__init__(parent)
        self.run: Run | None = None
        self.cancelled = False
        self._over = False
        self._link: Link | None = None
        self._heard.connect(self._on_message)
        threads.submit(self._prepare, prepare)

    def _prepare(self, prepare: Callable[[], Run]) -> None:
        """Called in another thread."""
        try:
            message: Any = prepare()
        except SciupError as error:
            message = Failed(0, str(error))
        except Exception as error:  # noqa: BLE001 (any kind of array may be in a layer)
            message = Failed(0, f"the layer cannot be read: {error}")
        with suppress(RuntimeError):  # closed meanwhile
            self._heard.emit(message)

    def cancel(self) -> None:
        """Stop; what was done stays in a ``.partial`` folder and can go on."""
        self.cancelled = True
        if self._link is not None:
            self._link.interrupt()
        elif not self._over:
            self._over = True
            self.failed.emit("")

    def close(self) -> None:
        """Stop at once, without another word."""
        self._over = True
        if self._link is not None:
            self._link.close()

    @property
    def over(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self._over

    def _on_message(self, message: Any) -> None:
        if self._over:
            return
        if isinstance(message, Run):
            self.run = replace(message, number=next(_numbers))
            self._link = Link(self._heard.emit)
            self._link.send(self.run)
        elif isinstance(message, Progress):
            self.progress.emit(message.done, message.total)
        elif isinstance(message, Done):
            self._over = True
            self.finished.emit(message.output)
        elif isinstance(message, Failed):
            self._over = True
            text = f"{message.text}\n{message.details}".rstrip()
            self.failed.emit("" if self.cancelled else text)
