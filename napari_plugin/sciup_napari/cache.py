"""Windows that were made, kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from sciup_napari.messages import QUICK, Core

Maps = Mapping[str, Any]
"""Maps of one window by name, and ``draws`` (K + 1, h, w)."""

BUDGET = 2000
"""MB; about 75 windows at 4x with 17 draws."""


class Cache:
    """The windows that were used last, up to a number of bytes.

    Parameters
    ----------
    budget : float
        MB.

    Examples
    --------
    >>> import numpy as np
    >>> cache = Cache(budget=1e-3)
    >>> for x in range(3):
    ...     cache.put("a", (0, x), {"mean": np.zeros(100, np.float32)})
    >>> cache.get("a", (0, 0)) is None, cache.get("a", (0, 2)) is None
    (True, False)
    """

    def __init__(self, budget: float = BUDGET) -> None:
        self.budget = budget
        self._windows: OrderedDict[tuple[str, Core], Maps] = OrderedDict()
        self._bytes = 0

    def put(self, token: str, core: Core, maps: Maps) -> None:
        """Keep a window; those not used for longest go."""
        self._forget((token, core))
        self._windows[token, core] = maps
        self._bytes += _size(maps)
        while self._bytes > self.budget * 1e6 and len(self._windows) > 1:
            self._forget(next(iter(self._windows)))

    def get(self, token: str, core: Core) -> Maps | None:
        """A window, if it is still there."""
        maps = self._windows.get((token, core))
        if maps is not None:
            self._windows.move_to_end((token, core))
        return maps

    def has(self, token: str, core: Core) -> bool:
        """Whether a window is there with all its draws."""
        maps = self.get(token, core)
        return maps is not None and not maps.get(QUICK, False)

    def clear(self) -> None:
        """Forget everything."""
        self._windows.clear()
        self._bytes = 0

    @property
    def megabytes(self) -> float:
        """MB in use."""
        return self._bytes / 1e6

    def _forget(self, key: tuple[str, Core]) -> None:
        if (maps := self._windows.pop(key, None)) is not None:
            self._bytes -= _size(maps)


def _size(maps: Maps) -> int:
    return sum(int(getattr(values, "nbytes", 0)) for values in maps.values())
