"""A plate as napari layers: the first field of each well, side by side as on the plate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sciup.errors import InputError
from sciup_napari.fits_layers import LayerData
from sciup_napari.zarr_layers import attributes_of, images_in, layers_of

MOST_LAYERS = 24
"""Layers that are opened; more would bury the viewer."""

GAP = 0.05
"""Between wells, as a share of the largest field."""


def is_plate(path: Path) -> bool:
    """Whether there is a plate at a path."""
    return isinstance(attributes_of(path).get("plate"), Mapping)


def read_plate(path: Path) -> list[LayerData]:
    """The first field of as many wells as the viewer can show, each where the plate has it.

    Channels keep their names and colours, and have one contrast in all wells. Every layer knows its
    field, so that it can be enhanced and measured by itself.

    Raises
    ------
    InputError
        If the plate has no wells, or a field is damaged.
    """
    plate = attributes_of(path)["plate"]
    listed = [dict(well) for well in plate.get("wells") or []]
    if not listed:
        raise InputError(f"{path} is a plate without wells", "an image or a plate with images")
    shown: list[tuple[dict[str, Any], list[LayerData]]] = []
    for well in listed:
        layers = _layers(path, str(well["path"]))
        if shown and sum(len(row) for _, row in shown) + len(layers) > MOST_LAYERS:
            break
        shown.append((well, layers))
    _arrange(shown, plate)
    _share_contrast([layers for _, layers in shown])
    note = f"first field of {len(shown)} of {len(listed)} wells; open others by their folder"
    flat = [layer for _, layers in shown for layer in layers]
    for _, keywords, _ in flat:
        keywords["metadata"]["sciup"]["notes"].append(note)
    return flat


def _layers(path: Path, well: str) -> list[LayerData]:
    """Those of the first field of a well, named by its place."""
    fields, _ = images_in(path / well)
    return layers_of(fields[0], path, several=True)


def _arrange(shown: Sequence[tuple[dict[str, Any], list[LayerData]]], plate: Any) -> None:
    """Move each well to its row and column; the first one stays where it is."""
    sizes = [_size(layer) for _, layers in shown for layer in layers]
    pitch = [max(size[axis] for size in sizes) * (1 + GAP) for axis in (0, 1)]
    home = shown[0][1][0][1]["translate"][-2:]
    first = _place(shown[0][0], plate)
    for well, layers in shown:
        steps = [a - b for a, b in zip(_place(well, plate), first, strict=True)]
        moved = tuple(h + n * p for h, n, p in zip(home, steps, pitch, strict=True))
        for _, keywords, _ in layers:
            keywords["translate"] = (*keywords["translate"][:-2], *moved)


def _size(layer: LayerData) -> tuple[float, float]:
    """Height and width in the unit of the layer."""
    data, keywords, _ = layer
    shape = (data[0] if isinstance(data, list | tuple) else data).shape
    y, x = (n * s for n, s in zip(shape[-2:], keywords["scale"][-2:], strict=True))
    return y, x


def _place(well: Mapping[str, Any], plate: Mapping[str, Any]) -> tuple[int, int]:
    """Row and column of a well; some writers leave the numbers out and only name them."""
    if "rowIndex" in well and "columnIndex" in well:
        return int(well["rowIndex"]), int(well["columnIndex"])
    paths = [str(one["path"]).split("/") for one in plate["wells"]]
    own = str(well["path"]).split("/")
    rows, columns = (list(dict.fromkeys(p[part] for p in paths)) for part in (0, 1))
    return rows.index(own[0]), columns.index(own[1])


def _share_contrast(wells: Sequence[Sequence[LayerData]]) -> None:
    """One contrast for a channel in all wells: brightness is compared across a plate."""
    for channel in zip(*wells, strict=False):
        keywords = [layer[1] for layer in channel if "contrast_limits" in layer[1]]
        low = min((k["contrast_limits"][0] for k in keywords), default=0.0)
        high = max((k["contrast_limits"][1] for k in keywords), default=1.0)
        for k in keywords:
            k["contrast_limits"] = (low, high)


__all__ = ["is_plate", "read_plate"]
