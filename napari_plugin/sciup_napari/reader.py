"""What napari asks when a file is opened: FITS, OME-Zarr, and the results of sciup."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sciup.errors import InputError, SciupError
from sciup.io import detect_format
from sciup_napari.fits_layers import LayerData

PathLike = str | os.PathLike[str]
Reader = Callable[[Any], list[LayerData]]


def get_reader(path: PathLike | Sequence[PathLike]) -> Reader | None:
    """The reader for one path or several; None leaves them to other readers.

    The first bytes decide, not the name. TIFF is left to napari.

    Parameters
    ----------
    path : path or sequence of paths
        Several files are opened side by side.

    Examples
    --------
    >>> get_reader("picture.png") is None
    True
    """
    paths = _paths(path)
    return read if paths and all(kind(p) for p in paths) else None


def kind(path: Path) -> str | None:
    """``fits`` or ``ome-zarr`` by content; None for all else."""
    try:
        found = detect_format(path)
    except (SciupError, OSError, ValueError):
        return None
    return found if found in ("fits", "ome-zarr") else None


def read(path: PathLike | Sequence[PathLike]) -> list[LayerData]:
    """Layers of one file or several, for napari, which adds all of them at once.

    See `layers_of`.
    """
    import napari

    layers, viewer = layers_of(path), napari.current_viewer()
    if viewer is not None and len(layers) > 1:
        _paint_between(viewer, len(layers))
    return layers


def layers_of(path: PathLike | Sequence[PathLike]) -> list[LayerData]:
    """Layers of one file or several.

    Raises
    ------
    InputError
        If a file is damaged or holds no image; napari shows the message.
    """
    import napari

    paths = _paths(path)
    if napari.current_viewer() is None:
        layers, fits = _read_all(paths)
    else:
        from sciup_napari.patience import patiently

        layers, fits = patiently(_read_all, paths)
    return prepare_viewer(layers, fits=fits)


def _read_all(paths: Sequence[Path]) -> tuple[list[LayerData], bool]:
    """Layers, and whether a file is FITS; touches no viewer, and may be called in a thread."""
    layers: list[LayerData] = []
    fits = False
    for one in paths:
        found = kind(one)
        if found is None:
            raise InputError(f"{one} is neither FITS nor OME-Zarr", "FITS, OME-Zarr")
        fits = fits or found == "fits"
        layers += _read_fits(one) if found == "fits" else _read_zarr(one)
    return layers, fits


def _paths(path: PathLike | Sequence[PathLike]) -> list[Path]:
    several = [path] if isinstance(path, str | os.PathLike) else list(path)
    return [Path(os.fspath(p)).expanduser() for p in several]


def _read_fits(path: Path) -> list[LayerData]:
    from sciup_napari import fits_layers

    hdus = fits_layers.hdus_of(path)
    if fits_layers.is_result(hdus):
        from sciup_napari.result_layers import read_result

        return read_result(path)
    return fits_layers.read_fits(path, hdus)


def _read_zarr(path: Path) -> list[LayerData]:
    from sciup_napari import plate_layers, zarr_layers

    if plate_layers.is_plate(path):
        return plate_layers.read_plate(path)
    if zarr_layers.is_result(path):
        from sciup_napari.result_layers import read_result

        return read_result(path)
    return zarr_layers.read_zarr(path)


def prepare_viewer(layers: list[LayerData], *, fits: bool) -> list[LayerData]:
    """Sky coordinates, first row of FITS at the bottom, outlines; nothing without a viewer."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        return layers
    from sciup_napari import sky_cursor
    from sciup_napari.overview import in_background

    sky = any(keywords["metadata"].get("wcs") is not None for _, keywords, _ in layers)
    sky_cursor.orient(viewer, fits or sky)
    if sky:
        sky_cursor.install(viewer)
    _finish_later(viewer)
    if len(layers) > 1 and not len(viewer.layers):
        _fit_later(viewer, len(layers))
    return in_background(viewer, layers)


def _finish_later(viewer: Any) -> None:
    """Set what a layer can only be given once it exists, on the layers of maps that come."""
    viewer.layers.events.inserted.disconnect(_finish)
    viewer.layers.events.inserted.connect(_finish)


def _paint_between(viewer: Any, count: int) -> None:
    """Let the event loop go on between layers that napari adds in one turn of it."""
    from qtpy.QtCore import QCoreApplication, QEventLoop

    def go_on() -> None:
        nonlocal count
        count -= 1
        if count:
            QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
        else:
            viewer.layers.events.inserted.disconnect(go_on)

    # last: panel, canvas and list know the layer by then
    viewer.layers.events.inserted.connect(go_on, position="last")


def _fit_later(viewer: Any, count: int) -> None:
    """Show all of several layers: napari fits its view to the first one only."""

    def fit() -> None:
        if len(viewer.layers) >= count:
            viewer.layers.events.inserted.disconnect(fit)
            viewer.reset_view()

    viewer.layers.events.inserted.connect(fit)


def _finish(event: Any) -> None:
    from sciup_napari.looks import after

    about = event.value.metadata.get("sciup")
    ours = isinstance(about, dict) and not about.get("live")
    name = about.get("map") if ours else None
    for attribute, value in after(name).items() if name else ():
        setattr(event.value, attribute, value)


__all__ = ["get_reader", "kind", "layers_of", "prepare_viewer", "read"]
