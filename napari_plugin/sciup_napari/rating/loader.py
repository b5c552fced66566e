"""Pictures are read in a thread, the next ones while the present ones are judged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker

from sciup_napari.rating.pictures import Array
from sciup_napari.rating.record import Log

Pictures = tuple[Array, ...]


class Loader:
    """Calls back in the thread of the viewer when a trial can be shown.

    Parameters
    ----------
    log : Log
        Whose trials are wanted.
    ready : callable
        Takes the number of the trial and its pictures.
    failed : callable
        Takes the number of the trial and the error.
    """

    def __init__(
        self,
        log: Log,
        ready: Callable[[int, Pictures], None],
        failed: Callable[[int, Exception], None],
    ) -> None:
        self._log, self._ready, self._failed = log, ready, failed
        self._found: dict[int, Pictures | Exception] = {}
        self._running: set[int] = set()
        self._wanted: int | None = None

    def want(self, number: int) -> None:
        """Ask for a trial; what was asked for before is forgotten."""
        self._wanted = number
        self._found = {n: f for n, f in self._found.items() if abs(n - number) <= 1}
        self._deliver()

    def stop(self, *_: Any) -> None:
        """Call back no more."""
        self._wanted = None

    def _deliver(self) -> None:
        number = self._wanted
        if number is None:
            return
        if number not in self._found:
            self._start(number)
            return
        self._wanted = None
        found = self._found[number]
        if isinstance(found, Exception):
            del self._found[number]  # asked again, it is tried again
            self._failed(number, found)
            return
        self._ready(number, found)
        following = number + 1
        if following < len(self._log.trials) and following not in self._found:
            self._start(following)

    def _start(self, number: int) -> None:
        if number in self._running:
            return
        self._running.add(number)

        def arrived(found: Pictures | Exception) -> None:
            self._running.discard(number)
            self._found[number] = found
            if self._wanted == number:
                self._deliver()

        create_worker(
            self._log.study.pictures,
            self._log.trials[number],
            _connect={"returned": arrived, "errored": arrived},
            _ignore_errors=True,  # told in our own words
        )
