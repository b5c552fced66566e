"""What the viewer asks of the child, and what the child says."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from sciup.errors import SciupError
from sciup_napari.link import Link
from sciup_napari.looks import look
from sciup_napari.measure_messages import Detect, Detected, MadeBy, Measure, Measured, Outline
from sciup_napari.messages import (
    CHILD,
    WINDOW,
    Core,
    Explore,
    Explored,
    Failed,
    Got,
    Made,
    Open,
    Opened,
    Order,
    Progress,
    Source,
    Stop,
    Wish,
)

ORDER = "order"
"""What is asked for besides ``measure`` and ``detect``: windows, or a search."""


class Talk(QObject):
    """Orders and wishes to a child process, which is started when it is first needed.

    Signals
    -------
    opened (Opened)
        The answer to the last order.
    made (Made)
        A window, of any order.
    progress (int, int)
        Steps done of the last question, and in all.
    explored (Explored)
        The answer to the last question.
    measured (Measured)
        One region of those that were asked for last.
    detected (Detected)
        The answer to the last question of this kind.
    failed (Failed)
        Why the last order or question, a window or the child itself failed.
    """

    opened = Signal(object)
    progress = Signal(int, int)
    explored = Signal(object)
    measured = Signal(object)
    detected = Signal(object)
    made = Signal(object)
    failed = Signal(object)
    _heard = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._link: Link | None = None
        self._numbers = count(1)
        self._wanted: dict[str, int] = {}
        self._folder = tempfile.TemporaryDirectory(
            prefix="sciup-napari-", ignore_cleanup_errors=True
        )
        self._reader = ThreadPoolExecutor(1, "sciup-viewer-reads")
        self._heard.connect(self._on_message)

    def warm_up(self) -> None:
        """Start the child, so that it has loaded its libraries when it is needed."""
        if self._link is None or not self._link.alive:
            self._link = Link(self._heard.emit)
            # What the viewer itself needs with the first answer; half a second on its own thread.
            self._reader.submit(import_module, "sciup.risk.calibration")
            self._reader.submit(look, "risk")  # its colours are matplotlib's: as much again

    def order(self, find: Callable[[Path], Source], **order: Any) -> None:
        """Ask for something to be opened; answers to earlier orders are not wanted any more.

        Parameters
        ----------
        find : callable
            Gives the source, with the help of a folder for what must be written; called in a
            thread, because it may read or write pixels.
        **order
            Fields of `Order` but the source.
        """
        self._ask(lambda number, folder: Open(number, Order(find(folder), **order)))

    def explore(
        self, find: Callable[[Path], Source], question: dict[str, Any], **order: Any
    ) -> None:
        """Ask for a search; see `order` for `find`, and `Explore` for `question`."""
        self._ask(lambda number, folder: Explore(number, Order(find(folder), **order), question))

    def measure(
        self,
        find: Callable[[Path], Source],
        asked: dict[str, Any],
        outlines: tuple[Outline, ...],
        made_by: MadeBy | None,
        **order: Any,
    ) -> None:
        """Ask for these regions, and no others any longer; see `order` and `Measure`."""

        def message(number: int, folder: Path) -> Measure:
            return Measure(number, Order(find(folder), **order), asked, outlines, made_by)

        self._ask(message, "measure")

    def detect(
        self,
        find: Callable[[Path], Source],
        asked: dict[str, Any],
        made_by: MadeBy | None,
        **order: Any,
    ) -> None:
        """Ask for a catalogue, and no other any longer; see `order` and `Detect`."""

        def message(number: int, folder: Path) -> Detect:
            return Detect(number, Order(find(folder), **order), asked, made_by)

        self._ask(message, "detect")

    def _ask(self, make: Callable[[int, Path], Any], kind: str = ORDER) -> None:
        """Have a message made in a thread, and send it unless another is asked for first."""
        self.warm_up()
        number = self._wanted[kind] = next(self._numbers)

        def prepare() -> None:
            try:
                message: Any = make(number, Path(self._folder.name))
            except SciupError as error:
                message = Failed(number, str(error))
            except Exception as error:  # noqa: BLE001 (any kind of array may be in a layer)
                message = Failed(number, f"the layer cannot be read: {error}")
            self._heard.emit(message)

        self._reader.submit(prepare)

    def wish(self, token: str, cores: tuple[Core, ...], quick: tuple[Core, ...] = ()) -> None:
        """Ask for windows, and for no others any longer."""
        self._tell(Wish(token, cores, quick))

    def about(self, failure: Failed) -> str:
        """What failed: ``order``, ``measure`` or ``detect``; empty for the child itself."""
        return next((k for k, n in self._wanted.items() if n == failure.number), "")

    def forget(self, kind: str = ORDER) -> None:
        """The answer to the last question of a kind is not wanted any more."""
        self._wanted.pop(kind, None)

    def stop(self) -> None:
        """End all searches and measurements."""
        self._wanted.clear()
        self._tell(Stop())

    def close(self) -> None:
        """End the child and its files."""
        if self._link is not None:
            self._link.close()
        self._reader.shutdown(wait=False, cancel_futures=True)
        self._folder.cleanup()

    def _tell(self, message: Any) -> None:
        if self._link is not None:
            self._link.send(message)

    def _on_message(self, message: Any) -> None:
        if isinstance(message, Made):
            self.made.emit(message)  # kept before the child is told: so no wish can lie between
            self._tell(Got(message.token, message.core, message.quick))
        elif isinstance(message, Failed):
            if message.number in (*self._wanted.values(), WINDOW, CHILD):
                self.failed.emit(message)
        elif message.number not in self._wanted.values():  # an answer to an earlier order
            return
        elif isinstance(message, Open | Explore | Measure | Detect):
            self._tell(message)
        elif isinstance(message, Progress):
            self.progress.emit(message.done, message.total)
        else:
            answers = {
                Opened: self.opened, Explored: self.explored, Measured: self.measured,
                Detected: self.detected,
            }  # fmt: skip
            answers[type(message)].emit(message)
