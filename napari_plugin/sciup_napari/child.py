"""The process that computes for the viewer: ``python -m sciup_napari.child``.

It reads messages from its standard input and answers on its standard output. It ends when its
input ends, so it never outlives the viewer.
"""

from __future__ import annotations

import _thread
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from sciup_napari.feeder import Feeder
from sciup_napari.measure_messages import Detect, Measure
from sciup_napari.measurer import Measurer
from sciup_napari.messages import (
    CHILD,
    WINDOW,
    Done,
    Explore,
    Failed,
    Got,
    Open,
    Progress,
    Run,
    Stop,
    Wish,
)
from sciup_napari.orders import describe, image_of, result_of, warnings_told, with_draws
from sciup_napari.pipe import Pipe
from sciup_napari.searcher import Searcher
from sciup_napari.window_source import computed

POLITE = 5
"""Nice level: the viewer comes first when both want the processor."""


class Child:
    """Answers messages: one thread listens, one opens, one searches, one measures, one feeds.

    Windows are computed by several more.
    """

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self._feeder = Feeder(pipe.send, partial(self._tell_of, WINDOW))
        self._searcher = Searcher(pipe.send, self._guarded)
        self._measurer = Measurer(pipe.send, self._guarded)
        self._orders: queue.SimpleQueue[Open] = queue.SimpleQueue()
        threading.Thread(target=self._opener, daemon=True).start()

    def serve(self) -> None:
        """Answer until the viewer is gone."""
        while True:
            try:
                message = self.pipe.receive()
            except EOFError:
                return
            if isinstance(message, Run):
                threading.Thread(target=self._hear_stop, daemon=True).start()
                self._guarded(message.number, partial(self._run, message))
                return
            if isinstance(message, Open):
                self._orders.put(message)
            elif isinstance(message, Wish):
                self._feeder.wish(message)
            elif isinstance(message, Got):
                self._feeder.got(message)
            elif isinstance(message, Explore):
                self._searcher.ask(message)
            elif isinstance(message, Measure | Detect):
                self._measurer.ask(message)
            elif isinstance(message, Stop):
                self._searcher.stop()
                self._measurer.stop()

    # -- windows -------------------------------------------------------------------------------

    def _opener(self) -> None:
        """Open the last order that was asked for."""
        while True:
            message = self._orders.get()
            while not self._orders.empty():  # only the last one matters
                message = self._orders.get()
            self._guarded(message.number, partial(self._opened, message))

    def _opened(self, message: Open) -> None:
        if message.order.source.kind == "result":
            from sciup_napari.stored import Stored

            stored = Stored(message.order.source)
            facts = stored.describe(message.number)
            self._feeder.keep(facts.token, lambda: stored)
        else:
            with warnings_told() as told:
                result = with_draws(result_of(message.order, image_of(message.order)))
            facts = describe(message.number, result, told)
            self._feeder.keep(facts.token, partial(computed, result.job))
        self.pipe.send(facts)

    # -- whole results -------------------------------------------------------------------------

    def _hear_stop(self) -> None:
        """Stop the run when the user says so, or when the viewer is gone."""
        with suppress(EOFError):
            while not isinstance(self.pipe.receive(), Stop):
                pass
        stop_run()

    def _run(self, message: Run) -> None:
        """Make a result; the process is this run's own, and ends with it."""
        from sciup.engine.connect import connect

        image = image_of(message.order, whole=not message.plane_only)
        result = result_of(message.order, image, roi=message.roi)
        result = with_draws(result, usual=True) if message.keep else result
        seen = [0.0]

        def progress(done: int, total: int) -> None:
            if done == total or done / max(total, 1) - seen[0] >= 0.002 or done <= 2:
                seen[0] = done / max(total, 1)
                self.pipe.send(Progress(message.number, done, total))

        who = {"workers": None, "scheduler": None, "cluster": None} | dict(message.machines)
        with connect(**who, device=message.order.device) as client:
            path = result.save(
                message.output,
                resume=message.resume,
                overwrite=message.overwrite,
                progress=progress,
                client=client,
            )
        self.pipe.send(Done(message.number, str(path)))

    def _guarded(self, number: int, action: Callable[[], None]) -> None:
        """Whatever goes wrong is told, not raised: the viewer goes on."""
        try:
            action()
        except Exception as error:  # noqa: BLE001
            self._tell_of(number, error)

    def _tell_of(self, number: int, error: Exception) -> None:
        from sciup.errors import SciupError

        foreseen = isinstance(error, SciupError)
        self._tell(Failed(number, str(error)) if foreseen else _unforeseen(number, error))

    def _tell(self, failed: Failed) -> None:
        try:
            self.pipe.send(failed)
        except OSError:  # the viewer is gone: nobody to tell
            os._exit(1)


def stop_run() -> None:
    """Do to the main thread what SIGTERM does, where there are no signals, too."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # nothing has begun yet
        os._exit(1)
    if hasattr(signal, "pthread_kill"):  # wakes it from waiting
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    else:
        _thread.interrupt_main(signal.SIGTERM)


def _unforeseen(number: int, error: Exception) -> Failed:
    text = f"{type(error).__name__}: {error}. This should not happen; please report it."
    return Failed(number, text, "".join(traceback.format_exception(error)))


def main() -> None:
    """Serve on standard input and output; what else is printed goes to standard error."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdin.close()
    pipe = Pipe(incoming, outgoing)
    if hasattr(os, "nice"):
        os.nice(POLITE)
    try:
        import torch  # noqa: F401 (seconds, spent before anybody waits)

        import sciup.api  # noqa: F401
    except ImportError as error:
        text = f"sciup cannot compute: {error}. To fix it: {sys.executable} -m pip install torch."
        pipe.send(Failed(CHILD, text))
        return
    Child(pipe).serve()
    os._exit(0)  # threads that still compute have nobody to compute for


if __name__ == "__main__":
    main()
