"""Windows that are computed at a time: as many as there are threads, fewer once memory ran out."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

log = logging.getLogger(__name__)

LACK = ("out of memory", "allocate memory", "ALLOC_FAILED")
"""Words of torch's RuntimeErrors for GPUs, CPUs, and the libraries of GPUs."""


class Flight(Generic[T, R]):
    """Calls a function for many windows in threads.

    When memory runs out, the windows that could not be done are done again, with half as many at a
    time from then on. What a window gives does not depend on how many are computed with it.

    Parameters
    ----------
    submit : callable
        Calls a function with a window in a thread.
    threads : int
        Windows that the threads compute at a time.
    """

    def __init__(self, submit: Callable[[Callable[[T], R], T], Future[R]], threads: int) -> None:
        self._submit = submit
        self._threads = threads
        # twice as many, so that no thread waits while the maps of its last window are copied
        self.most = 2 * threads

    def over(
        self, windows: Iterable[T], function: Callable[[T], R]
    ) -> Generator[tuple[T, R], None, None]:
        """Each window with what the function gave for it, in the order in which they are done.

        Raises
        ------
        MemoryError
            If memory does not suffice for one window.
        """
        waiting, flying = deque(windows), dict[Future[R], tuple[T, int]]()
        try:
            while waiting or flying:
                while waiting and len(flying) < self.most:
                    window = waiting.popleft()
                    flying[self._submit(function, window)] = window, self.most
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    window, most = flying.pop(future)
                    error = future.exception()
                    if error is None:
                        yield window, future.result()
                        continue
                    self._use_fewer(error, most)
                    waiting.appendleft(window)
                    waiting.extend(flying.pop(f)[0] for f in list(flying) if f.cancel())
                    del error
        finally:
            for future in flying:
                future.cancel()

    def _use_fewer(self, error: BaseException, most: int) -> None:
        """After a lack of memory, allow half as many windows; raise what is no lack, or no way out.

        Parameters
        ----------
        error : BaseException
            Of a window that began when `most` were allowed.
        """
        if not isinstance(error, MemoryError) and not any(word in str(error) for word in LACK):
            raise error
        error.__traceback__ = None  # its frames hold what was computed so far
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if most > self.most:
            return  # it began before another one failed
        if most == 1:
            raise MemoryError(f"too little for one window at a time ({error})") from error
        self.most = max(min(most, self._threads) // 2, 1)
        log.warning("memory ran out; %d windows at a time from here on (%s)", self.most, error)
