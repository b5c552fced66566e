"""From a napari layer to a source that the child process opens on its own."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from sciup.errors import InputError
from sciup_napari.messages import Source

MOST_AXES = 5

AXES = "tczyx"

SIZES = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "arcsecond": 1.0}
"""Units of a layer in the units of a pixel size: micrometer, or arcsec for the sky."""


def check(layer: Any) -> None:
    """Refuse layers that cannot be enhanced.

    Raises
    ------
    InputError
        With what to do instead.
    """
    kind = type(layer).__name__
    if kind != "Image":
        raise InputError(
            f"{layer.name!r} is a {kind} layer", "image layers", "choose an image layer"
        )
    if layer.rgb:
        raise InputError(
            f"{layer.name!r} is an RGB picture: its colours are not measured intensities",
            "images of one channel",
            "right-click the layer, choose Split RGB, and enhance a channel"
            " if it holds measured values",
        )
    data = level_0(layer)
    if data.ndim > MOST_AXES:
        raise InputError(f"{layer.name!r} has {data.ndim} axes", f"2 to {MOST_AXES}")
    if np.dtype(data.dtype).kind not in "uif":
        raise InputError(f"{layer.name!r} holds {data.dtype} values", "real numbers")


def level_0(layer: Any) -> Any:
    """The array with all pixels."""
    return layer.data[0] if layer.multiscale else layer.data


def plane_of(layer: Any, viewer: Any) -> tuple[int, ...]:
    """Index on the leading axes of what the viewer shows of a layer."""
    shape = level_0(layer).shape
    if len(shape) < 3:
        return ()
    at = layer.world_to_data(np.asarray(viewer.dims.point, float)[-layer.ndim :])[: len(shape) - 2]
    return tuple(int(np.clip(round(v), 0, n - 1)) for v, n in zip(at, shape, strict=False))


def source_of(layer: Any, plane: tuple[int, ...], folder: Path, whole: bool = False) -> Source:
    """Where the child finds the pixels of a layer.

    Files opened by sciup are opened again there. Zarr and Dask arrays stay lazy. Other arrays are
    written down, the shown plane only or the `whole` array.

    Parameters
    ----------
    layer : napari Image layer
    plane : tuple of int
        From `plane_of`.
    folder : Path
        For what must be written.
    whole : bool
        All planes are wanted.
    """
    check(layer)
    data = level_0(layer)
    if (told := _file_of(layer)) is not None:
        picks = dict(told.get("plane", {})) | dict(zip(told.get("axes", ""), plane, strict=True))
        return Source(told["path"], "file", dict(told.get("options", {})), picks)
    picks = dict(zip(AXES[-data.ndim : -2], plane, strict=True))
    size = pixel_size(layer)
    if (path := _zarr_path(data)) is not None:
        return Source(path, "zarr", plane=picks, pixel_size=size)
    if hasattr(data, "dask"):
        return Source(str(_pickled(data, folder)), "dask", plane=picks, pixel_size=size)
    if whole:
        return Source(str(_written(data, (), folder)), "npy", plane=picks, pixel_size=size)
    return Source(str(_written(data, plane, folder)), "npy", pixel_size=size)


def _file_of(layer: Any) -> dict[str, Any] | None:
    """What the reader tells of the file, if the layer still shows the file.

    Copies and projections carry the metadata of the layer that they were made of.
    """
    told: dict[str, Any] | None = layer.metadata.get("sciup", {}).get("source")
    mine = getattr(layer.source, "reader_plugin", None) == "sciup"
    if told is None or not mine:
        return None
    return told if level_0(layer).ndim - 2 == len(told.get("axes", "")) else None


def pixel_size(layer: Any) -> float | None:
    """Pixel size along x in micrometer or arcsec; None where the layer has no such unit."""
    unit = str(getattr(layer, "units", ("pixel",))[-1])
    if unit not in SIZES:
        return None
    return float(abs(layer.scale[-1])) * SIZES[unit]


def _zarr_path(data: Any) -> str | None:
    """The folder of a Zarr array on a local disk."""
    store = getattr(data, "store", None)
    root = getattr(store, "root", None)
    if root is None or not hasattr(data, "path"):
        return None
    path = Path(str(root)) / str(data.path)
    return str(path) if path.is_dir() else None


def _pickled(data: Any, folder: Path) -> Path:
    import cloudpickle

    path = _new(folder, ".dask")
    try:
        path.write_bytes(cloudpickle.dumps(data))
    except Exception as error:  # noqa: BLE001 (whatever a graph may hold)
        raise InputError(
            f"this Dask array cannot be handed to another process: {error}",
            "arrays from files, or whose graph can be pickled",
            "save it as OME-Zarr, or compute it first",
        ) from None
    return path


def _written(data: Any, leading: tuple[int, ...], folder: Path) -> Path:
    path = _new(folder, ".npy")
    np.save(path, np.asarray(data[leading] if leading else data))
    return path


def _new(folder: Path, suffix: str) -> Path:
    """A new file; all but the last one, which may still be read, go."""
    for old in sorted(folder.glob("*.*"), key=lambda p: p.stat().st_mtime_ns)[:-1]:
        if old.suffix in (".npy", ".dask"):
            with suppress(OSError):  # in use, where open files cannot be removed
                old.unlink()
    with tempfile.NamedTemporaryFile(suffix=suffix, dir=folder, delete=False) as file:
        return Path(file.name)
