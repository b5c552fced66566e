"""Work that takes longer than a viewer may stand still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from qtpy.QtCore import QCoreApplication, QEventLoop, QObject, Qt, QTimer, Signal

T = TypeVar("T")


class _Bell(QObject):
    rung = Signal()


def patiently(function: Callable[..., T], *arguments: Any) -> T:
    """What a function returns, which is called in a thread while the viewer goes on.

    For what must be there when the caller goes on: napari wants the layers of a file from its
    reader. The viewer paints, and timers run; mouse and keys wait. Without a viewer, or in another
    thread than the viewer's, the function is just called.

    Parameters
    ----------
    function : callable
        Touches no widget and no layer. What it raises is raised.
    *arguments
        Of the function.

    Examples
    --------
    >>> patiently(divmod, 7, 2)
    (3, 1)
    """
    here = threading.current_thread() is threading.main_thread()
    if QCoreApplication.instance() is None or not here:
        return function(*arguments)
    loop, bell = QEventLoop(), _Bell()
    # queued: heard as soon as the loop runs, even if it rang before
    bell.rung.connect(loop.quit, Qt.ConnectionType.QueuedConnection)
    with ThreadPoolExecutor(1, "sciup-patience") as thread:
        future = thread.submit(function, *arguments)
        future.add_done_callback(lambda _: bell.rung.emit())
        loop.exec(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
        return future.result()


def step_by_step(steps: Iterator[Any], parent: Any) -> QTimer:
    """Do one step in each turn of the event loop, until the steps end or one of them fails."""
    timer = QTimer(parent)
    timer.setSingleShot(True)

    def go_on() -> None:
        # started again behind the step only: a step may have a local event loop of its own
        try:
            next(steps)
        except StopIteration:
            return
        timer.start(0)

    timer.timeout.connect(go_on)
    timer.start(0)
    return timer


__all__ = ["patiently", "step_by_step"]
