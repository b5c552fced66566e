"""Windows on the screen: what the camera sees is enhanced, nearest to the middle first."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from sciup.errors import SciupError
from sciup.geometry import Box
from sciup_napari.cache import Cache, Maps
from sciup_napari.frame_risk import counted_risk, pixel_facts, stored_risk
from sciup_napari.layer_source import plane_of, source_of
from sciup_napari.lens_state import LensState
from sciup_napari.link import Link
from sciup_napari.live_layers import LiveLayers
from sciup_napari.messages import QUICK, Core, Failed, Made, Open, Opened, Order, Source, Wish
from sciup_napari.mosaic import Frame
from sciup_napari.place import (
    camera_of,
    cores_in,
    finer,
    is_flat,
    on_screen,
    pixel_on_canvas,
    to_world,
)
from sciup_napari.readout import Judge, Risk

SETTLE = 5
"""Milliseconds after a movement of the camera: napari draws first, then we ask what it drew."""

GATHER = 40
"""Milliseconds in which windows that arrive are gathered to one redraw."""

LEAST_PIXEL = 0.5
"""Canvas pixels that an output pixel must cover: below, finer detail cannot be seen."""

MARGIN = 8
"""Input pixels around the screen that are drawn as well, so that small movements show no edge."""


AT_ONCE = 2
"""Windows in the middle of which a few draws are wanted before all draws of any window."""

MAPS = 12
"""Maps of a window beside its draws, for an estimate of its size."""


class LiveView(QObject):
    """Enhances what a viewer shows of one layer.

    Signals
    -------
    opened (Opened)
        What is believed, as soon as it is known.
    failed (str)
        In the user's words.
    status (str)
        What is going on, one line.
    drawn ()
        The layers show something new.
    cleared ()
        Nothing is enhanced any longer.
    """

    opened = Signal(object)
    failed = Signal(str)
    status = Signal(str)
    drawn = Signal()
    cleared = Signal()
    _heard = Signal(object)
    _judged = Signal(object)

    def __init__(self, viewer: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.cache = Cache()
        self.layer: Any = None
        self.facts: Opened | None = None
        self.judge = Judge(None)
        self.lens = LensState()
        self.following = False
        self.frame: Frame | None = None
        self._layers = LiveLayers(viewer)
        self._link: Link | None = None
        self._number = 0
        self._risk: tuple[Any, Risk] | None = None
        self._shown_risk: Risk | None = None
        self._risk_of: Any = None
        self._folder = tempfile.TemporaryDirectory(
            prefix="sciup-napari-", ignore_cleanup_errors=True
        )
        self._reader = ThreadPoolExecutor(1, "sciup-viewer-reads")
        self._counter = ThreadPoolExecutor(1, "sciup-viewer-counts")
        self._counting: Future[Risk] | None = None
        self._plane: tuple[int, ...] = ()
        self._watched: list[Any] = []
        self._heard.connect(self._on_message)
        self._judged.connect(self._on_judged)
        self._settle, self._gather = self._timer(SETTLE, self.look), self._timer(GATHER, self.draw)
        camera = camera_of(viewer).events
        for event in (camera.center, camera.zoom):
            event.connect(self._moved)
        canvas: Any = getattr(getattr(viewer, "canvas", None), "events", None)  # napari 0.9
        if hasattr(canvas, "size"):
            canvas.size.connect(self._moved)
        viewer.grid.events.enabled.connect(self._moved)
        for event in (viewer.dims.events.current_step, viewer.dims.events.ndisplay):
            event.connect(self._stepped)
        viewer.layers.events.removed.connect(self._removed)

    def _timer(self, milliseconds: int, action: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(action)
        return timer

    # -- what to enhance -----------------------------------------------------------------------

    def warm_up(self) -> None:
        """Start the child, so that it has loaded its libraries when it is needed."""
        if self._link is None or not self._link.alive:
            self._link = Link(self._heard.emit)

    def show_result(self, layer: Any) -> None:
        """Look through the lens at a finished result, of which a map is a layer."""
        ours = layer.metadata["sciup"]
        same = [
            other
            for other in self.viewer.layers
            if (found := other.metadata.get("sciup", {})).get("path") == ours["path"]
            and (found.get("map"), found.get("channel")) == ("sample", ours["channel"])
        ]
        shown = same[0] if same else layer
        axes = ours["axes"].replace("c", "")
        index = plane_of(shown, self.viewer)
        plane = dict(zip(axes, index[len(index) - len(axes) :], strict=True))
        plane["c"] = ours["channel"] or 0
        self.enhance(shown, True, source=Source(ours["path"], "result", plane=plane))

    def enhance(self, layer: Any, follow: bool, source: Source | None = None, **order: Any) -> None:
        """Begin to enhance a layer.

        Parameters
        ----------
        layer : napari Image layer
        follow : bool
            Go on when the camera moves, or show this view only.
        source : Source, optional
            Where the pixels are; found out unless given.
        **order
            Fields of `Order` but the source.
        """
        self.warm_up()
        self.following = follow
        if layer is not self.layer:
            self._layers.clear()
            self._watch(layer)
        self.layer, self.facts = layer, None
        self._plane = plane = plane_of(layer, self.viewer)
        self._number += 1
        number = self._number
        self.status.emit("reading what the image says of its instrument")

        def prepare() -> None:
            try:
                found = source or source_of(layer, plane, Path(self._folder.name))
                message: Any = Open(number, Order(found, **order))
            except SciupError as error:
                message = Failed(number, str(error))
            except Exception as error:  # noqa: BLE001 (any kind of array may be in a layer)
                message = Failed(number, f"the layer cannot be read: {error}")
            self._heard.emit(message)

        self._reader.submit(prepare)

    def _watch(self, layer: Any) -> None:
        """Follow what happens to the layer; another one is followed no longer."""
        for event, action in self._watched:
            event.disconnect(action)
        self._watched = []
        if layer is None:
            return
        events = layer.events
        moved = ("affine", "scale", "translate", "rotate", "shear")
        looks = ("contrast_limits", "gamma", "colormap")
        for name in (*moved, *looks):
            self._watched.append((getattr(events, name), self._settled))
        self._watched.append((events.data, self._replaced))
        for event, action in self._watched:
            event.connect(action)

    def _settled(self, *_: Any) -> None:
        """Something about the source or the view has changed."""
        if self.facts is not None:
            self._settle.start()

    def _replaced(self, *_: Any) -> None:
        """The pixels of the source are others now."""
        self._forget()
        self._layers.hide()
        self.status.emit("the layer has other pixels now: press Preview view again")

    def _forget(self) -> None:
        """Answers to what was asked so far are not wanted any more."""
        for timer in (self._settle, self._gather):
            timer.stop()
        self._ask(())
        self._number += 1
        self.facts = self.frame = None

    def stop(self) -> None:
        """Follow no longer; what is shown stays."""
        self.following = False
        self._settle.stop()
        if self.facts is None:
            self._number += 1
        if self._link is not None and self.facts is not None:
            self._link.send(Wish(self.facts.token, ()))
        self.status.emit("stopped")

    def clear(self) -> None:
        """Take everything off the screen."""
        self.following = False
        self._forget()
        self._layers.clear()
        self._watch(None)
        self.layer = None
        self.status.emit("")
        self.cleared.emit()

    def close(self) -> None:
        """End the child and its files."""
        self.following = False
        if self._link is not None:
            self._link.close()
        for threads in (self._reader, self._counter):
            threads.shutdown(wait=False, cancel_futures=True)
        self._folder.cleanup()

    # -- what the child says -------------------------------------------------------------------

    def _on_message(self, message: Any) -> None:
        if isinstance(message, Made):
            self.cache.put(message.token, message.core, message.maps)
            mine = self.facts is not None and message.token == self.facts.token
            if mine and not self._gather.isActive():
                self._gather.start()
            return
        if isinstance(message, Failed):
            if message.number in (self._number, -1, -2):
                self.following = self.following and message.number == -1
                self.status.emit("failed")
                self.failed.emit(message.text + ("\n" + message.details).rstrip())
            return
        if message.number != self._number:  # an answer to an earlier question
            return
        if isinstance(message, Open):
            if self._link is not None:
                self._link.send(message)
        elif isinstance(message, Opened):
            self._opened(message)

    def _opened(self, facts: Opened) -> None:
        self.facts, self._risk, self.frame = facts, None, None
        self.lens = LensState(overlay=self.lens.overlay, contour=self.lens.contour)
        try:
            self.judge = Judge(facts.calibration)
        except SciupError as error:
            self.judge = Judge(None)
            self.failed.emit(str(error))
        self.opened.emit(facts)
        self.look()

    # -- the camera ----------------------------------------------------------------------------

    def _moved(self, *_: Any) -> None:
        if self.following:
            self._settle.start()

    def _stepped(self, *_: Any) -> None:
        """Another plane is another image."""
        # not drawn at once: adding a layer moves the sliders, too
        if self.facts is not None and self._here():
            self._settle.start()

    def _here(self) -> bool:
        """Whether the viewer shows the plane that was enhanced, as a picture."""
        if self.layer is None or self.facts is None:
            return False
        if not is_flat(self.viewer):
            self._layers.hide()
            self.status.emit("show y and x in 2D to see enhanced detail")
            return False
        if plane_of(self.layer, self.viewer) != self._plane:
            self._layers.hide()
            self._ask(())
            self.status.emit("another plane: press Preview view again")
            return False
        return True

    def _removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.clear()

    def look(self) -> None:
        """Ask for the windows that are on the screen, and show those that are there."""
        if self.facts is None or not self._here():
            return
        facts = self.facts
        seen = on_screen(self.viewer, self.layer, facts.plane_shape)
        cores = cores_in(seen, facts.core)
        pixel = pixel_on_canvas(self.layer, camera_of(self.viewer).zoom)
        more = LEAST_PIXEL * facts.scale / max(pixel, 1e-9)
        if more > 1 or len(cores) > self.room:
            self._ask(())
            why = "finer detail is too small to see" if more > 1 else "or allow more memory"
            self.status.emit(f"zoom in {max(more, 1.5):.1f} x or more: {why}")
            return
        box = seen.grown(MARGIN).intersect(Box.of_shape(facts.plane_shape))
        self.frame = Frame(box, facts.scale, facts.core)
        self._ask(tuple(c for c in cores if not self.has(c)))
        self.draw()

    def _ask(self, cores: tuple[Core, ...]) -> None:
        if self._link is not None and self.facts is not None:
            fresh = [c for c in cores if self.cache.get(self.facts.token, c) is None]
            self._link.send(Wish(self.facts.token, cores, tuple(fresh[:AT_ONCE])))

    def has(self, core: Core) -> bool:
        """Whether a window is there with all its draws."""
        if self.facts is None:
            return False
        maps = self.cache.get(self.facts.token, core)
        return maps is not None and not maps.get(QUICK, False)

    def wanted(self) -> list[Core]:
        """The cores that are on the screen."""
        if self.facts is None or self.layer is None:
            return []
        seen = on_screen(self.viewer, self.layer, self.facts.plane_shape)
        return cores_in(seen, self.facts.core)

    @property
    def room(self) -> int:
        """Number of windows that fit into the memory for them."""
        if self.facts is None:
            return 0
        pixels = (self.facts.core * self.facts.scale) ** 2
        return int(self.cache.budget * 1e6 / (4 * pixels * (self.facts.samples + 1 + MAPS)))

    def windows(self) -> list[tuple[Core, Maps]]:
        """The windows of the frame that are there."""
        if self.facts is None or self.frame is None:
            return []
        wanted = cores_in(self.frame.box, self.facts.core)
        found = ((core, self.cache.get(self.facts.token, core)) for core in wanted)
        return [(core, maps) for core, maps in found if maps is not None]

    # -- what is shown -------------------------------------------------------------------------

    def set_lens(self, **changes: Any) -> None:
        """Look in another way at the same draws."""
        if "draw" in changes and "chosen" not in changes:
            changes["chosen"] = ""
        self.lens = replace(self.lens, **changes)
        self.draw()

    @property
    def tolerance(self) -> str:
        """The tolerance that is shown."""
        if self.lens.tolerance is not None:
            return f"{self.lens.tolerance:g}sigma"
        return self.facts.tolerance if self.facts is not None else "3sigma"

    def draw(self) -> None:
        """Put the windows that are there on the screen."""
        windows = self.windows()
        if self.facts is None or self.frame is None or not windows or not self._here():
            return
        risk = self._shown_risk = self._current_risk(windows)
        matrix = finer(to_world(self.layer), self.facts.scale, self.frame.box.start)
        self._layers.show(self.frame, windows, self.lens, risk, matrix, self.layer, self.facts.flux)
        self._layers.show_alarm(risk, self.alarm, self.lens, matrix)
        wanted = self.wanted()
        there = sum(map(self.has, wanted))
        self.status.emit(self._words(there, len(wanted)))
        self.drawn.emit()

    @property
    def alarm(self) -> float:
        """The risk from which a pixel is flagged."""
        if self.lens.alarm is not None:
            return self.lens.alarm
        return self.judge.alarm(self.tolerance)

    @property
    def image(self) -> Any:
        """The layer with the enhanced image, if there is one."""
        return self._layers.image

    @property
    def flagged_share(self) -> float | None:
        """Share of the enhanced screen that is flagged."""
        risk = self._shown_risk
        if risk is None or not np.isfinite(risk.risk).any():
            return None
        known = np.isfinite(risk.risk)
        return float((risk.risk[known] >= self.alarm).mean())

    @property
    def strange(self) -> tuple[int, int]:
        """How many windows of the screen look unlike the calibration's fields, and of how many."""
        marks = [maps["ood"] for _, maps in self.windows() if "ood" in maps]
        return sum(bool(np.any(mark > 0)) for mark in marks), len(marks)

    @property
    def layer_count(self) -> int:
        """Number of layers that the live view has in the viewer."""
        return self._layers.count

    def _words(self, there: int, wanted: int) -> str:
        done = f"{there} of {wanted} windows" if there < wanted else f"{wanted} windows, all draws"
        return f"{done}; {self.cache.megabytes:.0f} MB kept"

    def _current_risk(self, windows: list[tuple[Core, Maps]]) -> Risk | None:
        """Risk of what is shown: from the windows, or counted again in a thread."""
        if self.facts is None or self.frame is None:
            return None
        if not any(map(self.has, (core for core, _ in windows))):
            return None
        if self.lens.draw == 0 and self.tolerance == self.facts.tolerance:
            both = self.lens.overlay == "invented and missed"
            return stored_risk(self.frame, windows, self.facts.calibrated, both=both)
        if not self.facts.countable:
            return None
        windows = [(core, maps) for core, maps in windows if not maps.get(QUICK, False)]
        made = tuple(id(maps) for _, maps in windows)
        key = (self.facts.token, self.frame, self.lens.draw, self.tolerance, made)
        if self._risk is not None and self._risk[0] == key:
            return self._risk[1]
        if key != self._risk_of:
            self._risk_of = key
            if self._counting is not None:
                self._counting.cancel()
            self._counting = self._counter.submit(
                counted_risk, self.frame, windows, self.judge, self.lens.draw, self.tolerance,
                self.facts.tolerance,
            )  # fmt: skip
            self._counting.add_done_callback(lambda f: self._tell_judged(key, f))
        return None

    def _tell_judged(self, key: Any, future: Future[Risk]) -> None:
        if not future.cancelled():
            self._judged.emit((key, future))

    def _on_judged(self, found: tuple[Any, Future[Risk]]) -> None:
        key, future = found
        if key != self._risk_of:
            return
        error = future.exception()
        if error is not None:
            self._risk_of = None
            self.failed.emit(f"votes cannot be counted: {error}")
            return
        self._risk = (key, future.result())
        self.draw()

    @property
    def counting(self) -> bool:
        """Whether votes are being counted for what is shown."""
        return self._counting is not None and not self._counting.done()

    # -- one pixel -----------------------------------------------------------------------------

    def at(self, world: Any) -> Mapping[str, Any] | None:
        """Everything about the output pixel at a position in the world; None if there is nothing.

        Parameters
        ----------
        world : sequence of float
            Position of the cursor, its last two axes.
        """
        if self.facts is None or self.layer is None or not is_flat(self.viewer):
            return None
        facts = self.facts
        fine = np.linalg.inv(finer(to_world(self.layer), facts.scale)) @ [*world[-2:], 1.0]
        y, x = (int(v) for v in np.floor(fine[:2] + 0.5))
        step = facts.scale * facts.core
        core = (y // step * facts.core, x // step * facts.core)
        maps = self.cache.get(facts.token, core)
        inside = 0 <= y < facts.plane_shape[0] * facts.scale
        if (
            not self.has(core)
            or maps is None
            or not inside
            or not 0 <= x < facts.plane_shape[1] * facts.scale
        ):
            return None
        i, j = y - core[0] * facts.scale, x - core[1] * facts.scale
        return pixel_facts(maps, i, j, self.lens, self.judge, self.tolerance, facts.tolerance)
