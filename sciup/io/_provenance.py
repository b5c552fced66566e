"""How a result was made, read back from any container."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from sciup.io._detect import TIFF

Container = Literal["fits", "ome-zarr", "ome-tiff"]


def container_at(path: Path) -> Container:
    """What a result at this path would be, by its first bytes."""
    if path.is_dir():
        return "ome-zarr"
    try:
        with path.open("rb") as file:
            return "ome-tiff" if file.read(4).startswith(TIFF) else "fits"
    except OSError:
        return "fits"


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance of a finished result.

    Parameters
    ----------
    path : path
        A FITS file, OME-Zarr folder or OME-TIFF file written by sciup.

    Raises
    ------
    InputError
        If it is not a result of sciup.
    """
    kind = container_at(Path(path))
    if kind == "ome-zarr":
        from sciup.io._zarr_writer import read_provenance as read
    elif kind == "ome-tiff":
        from sciup.io._tiff_note import read_provenance as read
    else:
        from sciup.io._fits_writer import read_provenance as read
    return read(path)


__all__ = ["Container", "container_at", "read_provenance"]
