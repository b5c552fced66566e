"""What is shown of a layer: its windows, through the lens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from sciup_napari.cache import Cache, Maps
from sciup_napari.lens_state import LensState
from sciup_napari.live_layers import LiveLayers
from sciup_napari.messages import Core, Opened
from sciup_napari.mosaic import Frame
from sciup_napari.pictures import pictures
from sciup_napari.pixel import pixel_at
from sciup_napari.place import cores_in, finer, to_world
from sciup_napari.readout import Judge, Risk
from sciup_napari.sight import Sight
from sciup_napari.votes import Votes

GATHER = 40
"""Milliseconds in which windows that arrive are gathered to one redraw."""

MAPS = 12
"""Maps of a window beside its draws, for an estimate of its size."""


class Shown(QObject):
    """The windows of a layer that are there, put on the screen.

    Signals
    -------
    failed (str)
        In the user's words.
    status (str)
        What is going on, one line.
    drawn ()
        The layers show something new, or nothing any longer.
    """

    failed = Signal(str)
    status = Signal(str)
    drawn = Signal()

    def __init__(self, viewer: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.cache = Cache()
        self.facts: Opened | None = None
        self.judge = Judge(None)
        self.lens = LensState()
        self.frame: Frame | None = None
        self._risk: Risk | None = None
        self._plane: tuple[int, ...] = ()
        self._stale = True  # what is on the screen shows something else
        self._layers, self._sight, self._votes = (
            LiveLayers(viewer),
            Sight(viewer, self),
            Votes(self),
        )
        self._gather = self._timer(GATHER, self.draw)
        self._votes.counted.connect(self.draw)
        self._votes.failed.connect(self.failed)

    def _timer(self, milliseconds: int, action: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(action)
        return timer

    @property
    def layer(self) -> Any:
        """The layer that is enhanced, if there is one."""
        return self._sight.layer

    def here(self) -> bool:
        """Whether the viewer shows the plane that was enhanced, as a picture; if not, say so."""
        if self.layer is None or self.facts is None:
            return False
        if not self._sight.flat:
            words = "show y and x in 2D to see enhanced detail"
        elif self._sight.plane != self._plane:
            words = "another plane: press Preview view again"
        else:
            return True
        self._layers.hide()
        self._stale = True
        self.status.emit(words)
        return False

    # -- windows -------------------------------------------------------------------------------

    def has(self, core: Core) -> bool:
        """Whether a window is there with all its draws."""
        return self.facts is not None and self.cache.has(self.facts.token, core)

    def wanted(self) -> list[Core]:
        """The cores that are on the screen."""
        if self.facts is None or self.layer is None:
            return []
        return self._sight.cores(self.facts)

    @property
    def room(self) -> int:
        """Number of windows that fit into the memory for them."""
        if self.facts is None:
            return 0
        pixels = (self.facts.core * self.facts.scale) ** 2
        return int(self.cache.budget * 1e6 / (4 * pixels * (self.facts.samples + 1 + MAPS)))

    def windows(self, *, whole: bool = False) -> list[tuple[Core, Maps]]:
        """The windows of the frame that are there, or those of them that have all their draws."""
        if self.facts is None or self.frame is None:
            return []
        found = []
        for core in cores_in(self.frame.box, self.facts.core):
            maps = self.cache.get(self.facts.token, core)
            if maps is not None and (self.has(core) or not whole):
                found.append((core, maps))
        return found

    # -- what is shown -------------------------------------------------------------------------

    def set_lens(self, **changes: Any) -> None:
        """Look in another way at the same draws."""
        if "draw" in changes and "chosen" not in changes:
            changes["chosen"] = ""
        self.lens = replace(self.lens, **changes)
        self.draw()

    def draw(self) -> None:
        """Put the windows that are there on the screen."""
        windows = self.windows()
        if self.facts is None or self.frame is None or not windows or not self.here():
            return
        facts, frame, lens = self.facts, self.frame, self.lens
        self._stale = False
        risk = self._risk = self._votes.risk(
            facts, frame, windows, lens, self.judge, self.tolerance
        )
        matrix = finer(to_world(self.layer), facts.scale, frame.box.start)
        made = pictures(frame, windows, lens, risk, self.alarm, self._swiped(facts, frame))
        if not self._layers.show(made, matrix, self.layer, facts.flux):
            self._gather.start()
        self.status.emit(self._progress())
        self.drawn.emit()

    def _swiped(self, facts: Opened, frame: Frame) -> int:
        """Columns of the frame, from its left, that show the input: up to a share of the screen."""
        if not self.lens.swipe:
            return 0
        seen = self._sight.seen(facts)
        column = seen.start[1] + self.lens.swipe * seen.shape[1] - frame.box.start[1]
        return max(round(column * facts.scale), 0)

    def _progress(self) -> str:
        wanted = self.wanted()
        there, kept = sum(map(self.has, wanted)), f"{self.cache.megabytes:.0f} MB kept"
        if there < len(wanted):
            return f"{there} of {len(wanted)} windows; {kept}"
        windows = "1 window" if len(wanted) == 1 else f"{len(wanted)} windows"
        return f"{windows}, all draws; {kept}"

    @property
    def tolerance(self) -> str:
        """The tolerance that is shown."""
        return self.lens.tolerance_or("3sigma" if self.facts is None else self.facts.tolerance)

    @property
    def alarm(self) -> float:
        """The risk from which a pixel is flagged."""
        if self.lens.alarm is not None:
            return self.lens.alarm
        product, facts = "mean" if self.risk_of_mean else "sample", self.facts
        if self.judge.promise(self.tolerance, product) is None and facts is not None:
            # a finished result whose model was calibrated again, or is not here
            own = product == "sample" and self.tolerance == facts.tolerance
            if own and facts.alarm is not None:
                return facts.alarm
        return self.judge.alarm(self.tolerance, product)

    @property
    def risk_of_mean(self) -> bool:
        """Whether the risk that is shown is that of the mean, not of a draw."""
        return self._risk is not None and self._risk.of_mean

    @property
    def counting(self) -> bool:
        """Whether votes are being counted for what is shown."""
        return self._votes.counting

    @property
    def image(self) -> Any:
        """The layer with the enhanced image, if there is one."""
        return self._layers.image

    @property
    def layer_count(self) -> int:
        """Number of layers that the live view has in the viewer."""
        return self._layers.count

    @property
    def flagged_share(self) -> float | None:
        """Share of the enhanced screen that is flagged."""
        if self._risk is None:
            return None
        known = np.isfinite(self._risk.risk)
        return float((self._risk.risk[known] >= self.alarm).mean()) if known.any() else None

    @property
    def strange(self) -> tuple[int, int]:
        """How many windows of the screen look unlike the calibration's fields, and of how many."""
        marks = [maps["ood"] for _, maps in self.windows() if "ood" in maps]
        return sum(bool(np.any(mark > 0)) for mark in marks), len(marks)

    def at(self, world: Any) -> Mapping[str, Any] | None:
        """Everything about the output pixel at a position in the world; None if there is nothing.

        Parameters
        ----------
        world : sequence of float
            Position of the cursor, its last two axes.
        """
        if self.facts is None or self.layer is None or not self._sight.flat:
            return None
        if self._sight.plane != self._plane:  # what is kept is of another one
            return None
        matrix = finer(to_world(self.layer), self.facts.scale)
        return pixel_at(world, matrix, self.facts, self.cache, self.lens, self.judge)
