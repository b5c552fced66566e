"""What the viewer asks of the child, and what the child says."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from sciup.errors import SciupError
from sciup_napari.link import Link
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
    failed (Failed)
        Why the last order or question, a window or the child itself failed.
    """

    opened = Signal(object)
    progress = Signal(int, int)
    explored = Signal(object)
    made = Signal(object)
    failed = Signal(object)
    _heard = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._link: Link | None = None
        self._number = 0
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

    def _ask(self, make: Callable[[int, Path], Open | Explore]) -> None:
        """Have a message made in a thread, and send it unless something else is asked for first."""
        self.warm_up()
        self.forget()
        number = self._number

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

    def forget(self) -> None:
        """The answer to the last order or question is not wanted any more."""
        self._number += 1

    def stop(self) -> None:
        """End the search."""
        self.forget()
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
            if message.number in (self._number, WINDOW, CHILD):
                self.failed.emit(message)
        elif message.number != self._number:  # an answer to an earlier order
            return
        elif isinstance(message, Open | Explore):
            self._tell(message)
        elif isinstance(message, Opened):
            self.opened.emit(message)
        elif isinstance(message, Progress):
            self.progress.emit(message.done, message.total)
        elif isinstance(message, Explored):
            self.explored.emit(message)
