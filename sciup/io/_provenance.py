"""How a result was made, read back from any container."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance of a finished result.

    Parameters
    ----------
    path : path
        A FITS file or OME-Zarr folder written by sciup.

    Raises
    ------
    InputError
        If it is not a result of sciup.
    """
    if Path(path).is_dir():
        from sciup.io._zarr_writer import read_provenance as read
    else:
        from sciup.io._fits_writer import read_provenance as read
    return read(path)
