"""One rater at work: from the first picture to the last answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QWidget

from sciup.errors import InputError, SciupError
from sciup_napari.rating.loader import Loader, Pictures
from sciup_napari.rating.pages import TrialPage
from sciup_napari.rating.record import Log
from sciup_napari.rating.stage import Stage

if TYPE_CHECKING:
    from napari.viewer import Viewer

GUARD = 0.25
"""Seconds for which no answer is taken: a double click must not judge what nobody has seen."""

KEYS = {
    "scores": {"1": "1", "2": "2", "3": "3", "4": "4", "5": "5"},
    "choice": {"A": "left", "Left": "left", "B": "right", "Right": "right"},
}


class Session:
    """Shows trial after trial and writes the answers.

    Parameters
    ----------
    viewer : napari.Viewer
        Without layers.
    log : Log
        The rater's file.
    done : callable
        Takes the log when nothing is left.
    """

    def __init__(self, viewer: Viewer, log: Log, done: Callable[[Log], None]) -> None:
        self.log, self._done = log, done
        self.stage = Stage(viewer)
        self.page = TrialPage(log.task)
        self.loader = Loader(log, self._show, self._fail)
        self.paused = False
        self._since: float | None = None
        self._seen = 0.0
        self._shortcuts: list[QShortcut] = []
        for given, button in self.page.answers.items():
            button.clicked.connect(partial(self.answer, given))
        self.page.back.clicked.connect(self.back)
        self.page.pause.clicked.connect(self.pause)
        self.page.destroyed.connect(self.loader.stop)  # the viewer was closed

    def begin(self, dock: QWidget) -> None:
        """Take the keys of the window, and show the first trial."""
        window = dock.window() or dock
        window = window.parentWidget() or window  # a floating dock is a window of its own
        keys: dict[str, Callable[[], None]] = {"Backspace": self.back, "P": self.pause}
        for key, given in KEYS[self.log.task].items():
            keys[key] = partial(self.answer, given)
        for key, action in keys.items():
            shortcut = QShortcut(QKeySequence(key), window)
            shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
            shortcut.setAutoRepeat(False)
            shortcut.activated.connect(action)
            self._shortcuts.append(shortcut)
        self.page.destroyed.connect(self._release)
        self._next()

    def answer(self, given: str, _: bool = False) -> None:
        """Write an answer and show the next trial."""
        if self._since is None or self._elapsed() - self._seen < GUARD:
            return
        if not self.stage.intact:  # somebody removed or hid a layer: nothing was judged
            self._next()
            return
        self._do(lambda: self.log.answer(given, self._elapsed()))

    def back(self, _: bool = False) -> None:
        """Judge the trial before once more."""
        if not self.paused and self.log.can_go_back:
            self._do(self.log.back)

    def pause(self, _: bool = False) -> None:
        """Hide what is to be judged, or show it again; hidden time does not count."""
        self.paused = not self.paused
        if self.paused:
            self._seen = self._elapsed()
            self._since = None
            self.stage.hide()
            self.page.pause.setText("Go on")
            self._enable("Paused. All answers are kept: you can also close napari and go on later.")
        else:
            self.page.pause.setText("Pause")
            self._next(self._seen)

    def _do(self, write: Callable[[], None]) -> None:
        try:
            write()
        except SciupError as error:
            show_error(str(error))
            return
        self._next()

    def _next(self, seen: float = 0.0) -> None:
        """Ask for the present trial, or end."""
        self._since, self._seen = None, seen
        if self.log.finished:
            self.finish()
            self._done(self.log)
            return
        number, total = self.log.position, len(self.log.trials)
        self.page.count.setText(f"{number + 1} of {total}")
        self.page.bar.setRange(0, total)
        self.page.bar.setValue(number)
        self._enable("Loading…")
        self.loader.want(number)

    def _show(self, _: int, pictures: Pictures) -> None:
        if self.paused:
            return
        self.stage.show(pictures)
        self._since = monotonic()
        self._enable("")

    def _fail(self, number: int, error: Exception) -> None:
        """The error itself would name the method."""
        if not isinstance(error, SciupError | OSError):
            raise error
        self.paused = True
        self.stage.hide()
        self.page.pause.setText("Try again")
        self._enable("")
        told = InputError(
            f"trial {number + 1} cannot be shown: a file was changed or damaged, and to say which "
            "would tell the method",
            "",
            "ask whoever keeps the study to run `python -m sciup_napari.rating FOLDER --check`, "
            "then press 'Try again'",
        )
        show_error(str(told))

    def finish(self) -> None:
        """Give keys and viewer back."""
        self.loader.stop()
        self._release()
        self.stage.clear()

    def _release(self, *_: object) -> None:
        for shortcut in self._shortcuts:
            with suppress(RuntimeError):  # the window is gone, and its shortcuts with it
                shortcut.setEnabled(False)
                shortcut.deleteLater()
        self._shortcuts = []

    def _elapsed(self) -> float:
        """Seconds in view."""
        return self._seen + (0.0 if self._since is None else monotonic() - self._since)

    def _enable(self, message: str) -> None:
        """Answers are taken while something is in view."""
        self.page.message.setText(message)
        for button in self.page.answers.values():
            button.setEnabled(self._since is not None)
        self.page.back.setEnabled(not self.paused and self.log.can_go_back)
