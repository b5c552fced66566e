"""What Ctrl-C leaves of a command that writes all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.markup import escape

from sciup.console import console


@contextmanager
def all_or_nothing(out: Path) -> Iterator[None]:
    """Say in one line that nothing was finished; the exit code is 130, as in a shell."""
    try:
        yield
    except KeyboardInterrupt:
        console.print(f"stopped: no result was written to {escape(str(out))}", soft_wrap=True)
        raise
