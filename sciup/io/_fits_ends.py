"""Whether a FITS file is all there: its last data, and what stands behind them."""

from __future__ import annotations

import logging
from typing import Any

from sciup.errors import InputError
from sciup.io._remote_file import open_stream

logger = logging.getLogger("sciup")

BLOCK = 2880
"""Bytes of which headers and data are multiples."""


def check_complete(size: int, source: str, hdu: Any, index: int, end: int) -> None:
    """Refuse an HDU whose data end behind the file."""
    if end > size:
        raise InputError(
            f"{source} is cut off: the data of HDU {index} ({hdu.name or 'no name'}) end at byte "
            f"{end}, but the file has only {size} bytes",
            "complete files",
            "download or copy it again",
        )


def check_rest(local: str, source: str, index: int, end: int) -> None:
    """Look at what stands behind the last HDU: astropy passes over a header that it cannot read."""
    with open_stream(local) as stream:
        stream.seek(-(-end // BLOCK) * BLOCK)
        rest = bytes(stream.read(BLOCK) or b"")
    if rest.startswith(b"XTENSION"):
        raise InputError(
            f"{source} is cut off or damaged: the header of HDU {index + 1}, at byte {end}, cannot "
            "be read",
            "complete files", "download or copy it again",
        )  # fmt: skip
    if rest.strip(b"\0 "):
        logger.warning(
            "%s: what stands behind HDU %d cannot be read and is left out", source, index
        )


__all__ = ["check_complete", "check_rest"]
