"""Files that are replaced at once, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from sciup.errors import OutputError


def write(path: Path, save: Callable[[Path], Any]) -> None:
    """Replace a file by what `save` writes, or leave the old one and say why.

    Raises
    ------
    OutputError
        If the disk is full or the place cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> write(path, lambda part: part.write_text("whole"))
    >>> path.read_text()
    'whole'
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(part)
        os.replace(part, path)
    # torch raises a RuntimeError on a full disk, safetensors one of its own
    except (OSError, RuntimeError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise OutputError(
            f"{path} cannot be written: {str(error).splitlines()[0]}",
            fix="free some space or choose another place, and run the same command again",
        ) from None
