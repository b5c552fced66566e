"""Questions become answers; in the child process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from sciup_napari.messages import Explore, Progress
from sciup_napari.orders import answer


class Searcher:
    """Answers the question that was asked last; an earlier one ends at its next step.

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
        self._questions: queue.SimpleQueue[Explore] = queue.SimpleQueue()
        self._wanted = 0
        threading.Thread(target=self._search, daemon=True).start()

    def ask(self, message: Explore) -> None:
        """Answer this, and nothing else any longer."""
        self._wanted = message.number
        self._questions.put(message)

    def stop(self) -> None:
        """Answer nothing any longer."""
        self._wanted = 0

    def _search(self) -> None:
        while True:
            message = self._questions.get()
            if message.number == self._wanted:
                self._guarded(message.number, partial(self._answer, message))

    def _answer(self, message: Explore) -> None:
        def progress(done: int, total: int) -> None:
            if message.number != self._wanted:
                raise _NotWantedError
            self._send(Progress(message.number, done, total))

        with suppress(_NotWantedError):
            self._send(answer(message, progress))


class _NotWantedError(Exception):
    """Ends a search from inside."""
