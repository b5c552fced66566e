"""Windows put together to what is on the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciup.geometry import Box
from sciup_napari.cache import Maps
from sciup_napari.messages import Core

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Frame:
    """The part of the fine grid that is shown.

    Attributes
    ----------
    box : Box
        Input pixels.
    scale, core : int
        Output pixels per input pixel, and side of a core in input pixels.
    """

    box: Box
    scale: int
    core: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in output pixels."""
        h, w = self.box.shape
        return h * self.scale, w * self.scale

    def put(self, canvas: Values, core: Core, values: Values) -> None:
        """Copy the part of a window that lies in the frame to its place on a canvas (…, h, w)."""
        whole = Box(core, (core[0] + self.core, core[1] + self.core))
        part = whole.intersect(self.box)
        if part.size:
            rows, cols = part.relative_to(self.box).scaled(self.scale).slices
            y, x = part.relative_to(whole).scaled(self.scale).slices
            canvas[..., rows, cols] = values[..., y, x]

    def fill(
        self, windows: Iterable[tuple[Core, Maps]], pick: Callable[[Maps], Values | None]
    ) -> Values:
        """Something of all windows on one canvas; NaN where there is no window."""
        canvas = np.full(self.shape, np.nan, np.float32)
        for core, maps in windows:
            if (values := pick(maps)) is not None:
                self.put(canvas, core, values)
        return canvas

    def draws(self, windows: Iterable[tuple[Core, Maps]]) -> Values:
        """All draws, (K + 1, h, w)."""
        windows = list(windows)
        count = len(windows[0][1]["draws"]) if windows else 0
        canvas = np.full((count, *self.shape), np.nan, np.float32)
        for core, maps in windows:
            self.put(canvas, core, maps["draws"])
        return canvas
