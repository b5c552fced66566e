"""Which one of a layer's shapes or points is selected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Picked:
    """Follows the selection in one layer at a time.

    Parameters
    ----------
    action : callable
        Called with the index of what is selected, if it is one.
    """

    def __init__(self, action: Callable[[int], None]) -> None:
        self._action = action
        self._layer: Any = None
        self._events: Any = None

    def follow(self, layer: Any) -> None:
        """Follow this layer, and another one no longer; None follows none."""
        self._layer = layer
        events = getattr(getattr(layer, "selected_data", None), "events", None)  # since napari 0.9
        if self._events is events:
            return
        if self._events is not None:
            self._events.items_changed.disconnect(self._changed)
        self._events = events
        if events is not None:
            events.items_changed.connect(self._changed)

    def _changed(self, *_: Any) -> None:
        chosen = list(self._layer.selected_data)
        if len(chosen) == 1:
            self._action(int(chosen[0]))


__all__ = ["Picked"]
