"""Runs that end early: by the user, by the batch system, by a full disk."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sciup.errors import InterruptedRunError, OutputError, SciupError


@contextmanager
def stoppable(remains: str) -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and SIGUSR1 (what Slurm sends before the end) into an error.

    Parameters
    ----------
    remains : str
        Where that lies which was done.
    """

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = {}
    warned = getattr(signal, "SIGUSR1", None)  # Windows has none
    try:
        for name in (signal.SIGTERM, *([] if warned is None else [warned])):
            before[name] = signal.signal(name, stop)
    except ValueError:  # not in the main thread
        pass
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"stopped; what was done is in {remains}", fix="go on with --resume"
        ) from None
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def machine_errors(output: Path, work: Path) -> Iterator[None]:
    """A full disk, lost permission or too little memory is told in the user's words.

    Parameters
    ----------
    output : Path
    work : Path
        Where that lies which was done.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"writing {output} failed: {error.strerror or error}",
            fix=f"make room or check the disk, then go on with --resume ({work})",
        ) from None
    except MemoryError as error:
        raise SciupError(
            f"memory ran out: {error}",
            fix="end other programs, or use fewer --threads, a smaller --tile or --device cpu;"
            " then go on with --resume",
        ) from None


__all__ = ["machine_errors", "stoppable"]
