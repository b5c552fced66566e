"""The viewer's end of the line to a child process."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sciup_napari.messages import CHILD, Failed, Stop
from sciup_napari.pipe import Pipe

COMMAND = (sys.executable, "-m", "sciup_napari.child")

ALONE: dict[str, Any] = {"start_new_session": True}
"""Ctrl-C in the terminal of the viewer is not meant for the child."""

if sys.platform == "win32":
    ALONE = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}

LAST_WORDS = 2000
"""Characters of a dead child's output that are shown."""


class Link:
    """A child process, started at once, and a thread that listens to it.

    Parameters
    ----------
    heard : callable
        Called with every message, in the listening thread.
    command : tuple of str
        What is started instead of `COMMAND`.

    Notes
    -----
    If the child ends although nobody ended it, the last message is a `Failed` with number `CHILD`.
    """

    def __init__(self, heard: Callable[[Any], None], command: tuple[str, ...] = ()) -> None:
        self._heard = heard
        self._closed = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        try:
            self._process = subprocess.Popen(
                command or COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                **ALONE,
            )
        except OSError:
            self._errors.close()
            raise
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:  # for the type checker: both were asked for
            raise RuntimeError("a child without pipes")
        self._pipe = Pipe(stdout, stdin)  # type: ignore[arg-type]
        threading.Thread(target=self._listen, name="sciup-link", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether the child can be talked to."""
        return not self._closed and self._process.poll() is None

    def send(self, message: Any) -> None:
        """Tell the child something; silently nothing if it is gone (that is told by `heard`)."""
        with suppress(OSError, ValueError):
            self._pipe.send(message)

    def close(self) -> None:
        """End the child at once; nothing more is heard of it. The listening thread waits for it."""
        self._closed = True
        self._process.kill()

    def interrupt(self) -> None:
        """Ask the child to leave its run resumable; it tells so and ends."""
        self.send(Stop())  # no signal: Windows has none that can be heard

    def _listen(self) -> None:
        while True:
            try:
                message = self._pipe.receive()
            except (EOFError, OSError, ValueError):
                break
            if not self._closed:
                self._heard(message)
        code = self._process.wait()
        if not self._closed and code != 0:
            self._heard(Failed(CHILD, f"the process that computes ended ({code})", self._words()))
        self._closed = True
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with suppress(OSError):  # what was still to be sent has nobody to go to
                stream.close()  # type: ignore[union-attr]

    def _words(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-LAST_WORDS:]
