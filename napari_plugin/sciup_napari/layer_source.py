"""From a napari layer to a source that the child process opens on its own."""

from __future__ import annotations

import tempfile
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


def source_of(layer: Any, step: tuple[int, ...], folder: Path) -> Source:
    """Where the child finds the pixels of a layer.

    Files opened by sciup are opened again there. Zarr and Dask arrays stay lazy. Other arrays are
    written down once, one plane only.

    Parameters
    ----------
    layer : napari Image layer
    step : tuple of int
        What is shown of the leading axes of the layer.
    folder : Path
        For what must be written.
    """
    check(layer)
    told = layer.metadata.get("sciup", {}).get("source")
    data = level_0(layer)
    leading = step[-data.ndim :][: data.ndim - 2] if data.ndim > 2 else ()
    if told is not None:
        plane = dict(told.get("plane", {})) | dict(zip(told.get("axes", ""), leading, strict=False))
        return Source(told["path"], "file", dict(told.get("options", {})), plane)
    plane = dict(zip(AXES[-data.ndim : -2], leading, strict=True))
    size = pixel_size(layer)
    if (path := _zarr_path(data)) is not None:
        return Source(path, "zarr", plane=plane, pixel_size=size)
    if hasattr(data, "dask"):
        return Source(str(_pickled(data, folder)), "dask", plane=plane, pixel_size=size)
    return Source(str(_written(data, leading, folder)), "npy", pixel_size=size)


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
    with tempfile.NamedTemporaryFile(suffix=suffix, dir=folder, delete=False) as file:
        return Path(file.name)
