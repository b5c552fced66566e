"""Adding layers to a viewer and taking them away, with as little work for napari as it can be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def add(viewer: Any, layer: Any) -> Any:
    """Add a layer; what the user has chosen stays chosen.

    napari chooses every new layer. Panel, buttons and list follow it there and back, which takes as
    long as the rest, so they are told of neither.
    """
    selection = viewer.layers.selection
    chosen = set(selection)
    if not chosen:
        return viewer.add_layer(layer)
    with selection.events.blocker_all():
        viewer.add_layer(layer)
        selection.clear()
        selection.update(chosen)
    return layer


def remove(viewer: Any, layers: Iterable[Any]) -> None:
    """Take those of some layers away that are there.

    napari collects the garbage of the whole process, a quarter of a second, after each layer; after
    several at once only if it is told that they belong together.
    """
    there = [layer for layer in layers if layer in viewer.layers]
    if there:
        with viewer.layers.batched_update():
            for layer in there:
                viewer.layers.remove(layer)


__all__ = ["add", "remove"]
