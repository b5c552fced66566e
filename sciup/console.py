"""The terminal: everything for people goes to standard error through one console."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from rich.console import Console

console = Console(stderr=True, highlight=False)


def command_line() -> str:
    """The command line as a paragraph, without the folders of this machine."""
    words = [Path(w).name if "/" in w and ":" not in w else w for w in sys.argv[1:]]
    return f"`sciup {shlex.join(words)}`"


__all__ = ["command_line", "console"]
