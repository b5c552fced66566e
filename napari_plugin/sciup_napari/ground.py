"""What can be measured: finished results that are open, and layers whose draws are made as needed.

Places are told in input pixels, whatever the grid of the layer that shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sciup.errors import OptionError
from sciup.geometry import Box
from sciup.image import parse_roi
from sciup_napari.layer_source import level_0, plane_of, source_of
from sciup_napari.messages import Source
from sciup_napari.place import Matrix, finer, on_screen, to_world
from sciup_napari.regions import region_of

SHOWN = ("sample", "mean")
"""Maps of a result that stand for it, if they are open."""


def facts_of(layer: Any) -> dict[str, Any]:
    """What the reader told of a map of a finished result; empty for other layers."""
    ours: dict[str, Any] = layer.metadata.get("sciup", {})
    return ours if "map" in ours and "path" in ours else {}


def key_of(layer: Any) -> tuple[str, Any] | None:
    """Path and channel of a finished result."""
    ours = {} if layer is None else facts_of(layer)
    return (ours["path"], ours["channel"]) if ours else None


def results(viewer: Any) -> dict[Any, str]:
    """One layer for each finished result and channel, topmost first, with a name for people."""
    best: dict[tuple[str, Any], Any] = {}
    for layer in reversed(viewer.layers):
        ours = facts_of(layer)
        if not ours or ours["map"] == "samples":
            continue
        key = ours["path"], ours["channel"]
        if key not in best or _rank(layer) < _rank(best[key]):
            best[key] = layer
    return {layer: f"result {layer.name.partition(' · ')[2]}" for layer in best.values()}


def _rank(layer: Any) -> int:
    name = facts_of(layer)["map"]
    return SHOWN.index(name) if name in SHOWN else len(SHOWN)


def input_matrix(layer: Any) -> Matrix:
    """The (3, 3) matrix from input pixels to the world."""
    ours = facts_of(layer)
    if not ours:
        return to_world(layer)
    inner = finer(np.eye(3), ours["scale"], ours["region"][0])
    return np.asarray(to_world(layer) @ np.linalg.inv(inner))


def place_of(layer: Any, viewer: Any) -> dict[str, int]:
    """Index of the plane that the viewer shows of a finished result, by the letter of the axis."""
    ours = facts_of(layer)
    axes = ours["axes"].replace("c", "")
    index = plane_of(layer, viewer)
    plane = dict(zip(axes, index[len(index) - len(axes) :], strict=True))
    return plane | {"c": ours["channel"] or 0}


def draws_of(layer: Any, viewer: Any, moved: str | None = None) -> Callable[[Path], Source]:
    """What tells where the draws of the shown plane are read, or what they are made of.

    It takes a folder for what must be written, and may be called in a thread. The input of a
    finished result may have `moved` to another place.
    """
    if ours := facts_of(layer):
        found = Source(ours["path"], "result", plane=place_of(layer, viewer), moved=moved)
        return lambda _: found
    plane = plane_of(layer, viewer)
    return lambda folder: source_of(layer, plane, folder)


def roi_of(viewer: Any, layer: Any, where: str) -> str | None:
    """``Y0:Y1,X0:X1`` in input pixels of ``view`` or ``shape``; None of ``all``.

    Raises
    ------
    OptionError
        If nothing is drawn, or nothing of the layer is there.
    """
    ours = facts_of(layer)
    if where == "all":
        return None
    if where == "view":
        box = seen(viewer, layer)
    else:
        box = parse_roi(region_of(viewer, layer), level_0(layer).shape[-2:])
        box = inputs(ours, box) if ours else box
    if not box.size:
        raise OptionError("nothing of it is on the screen", fix="move it into view")
    (y0, x0), (y1, x1) = box.start, box.stop
    return f"{y0}:{y1},{x0}:{x1}"


def seen(viewer: Any, layer: Any) -> Box:
    """The input pixels on the screen, inside of what can be measured."""
    ours, shape = facts_of(layer), level_0(layer).shape[-2:]
    box = on_screen(viewer, layer, shape)
    return inputs(ours, box) if ours else box


def inputs(ours: dict[str, Any], box: Box) -> Box:
    """The input pixels under a box of output pixels of a result."""
    whole = Box(*(tuple(int(n) for n in corner) for corner in ours["region"]))
    return box.coarsened(ours["scale"]).shifted(whole.start).intersect(whole)


def domain_of(layer: Any) -> str | None:
    """Domain of a finished result; micrographs have a bright end."""
    told = facts_of(layer).get("provenance", {}).get("instrument")
    if not told:
        return None
    return "night-sky" if told[0]["bright"]["value"] is None else "fluorescence"


__all__ = [
    "domain_of", "draws_of", "facts_of", "input_matrix", "key_of", "results", "roi_of", "seen",
]  # fmt: skip
