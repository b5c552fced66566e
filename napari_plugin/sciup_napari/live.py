"""The live view: what the camera sees is enhanced, nearest to the middle first."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal

from sciup.errors import SciupError
from sciup_napari.layer_source import plane_of, source_of
from sciup_napari.lens_state import LensState
from sciup_napari.messages import CHILD, WINDOW, Core, Failed, Made, Opened, Source
from sciup_napari.readout import Judge
from sciup_napari.shown import Shown
from sciup_napari.soon import Soon
from sciup_napari.talk import Talk

LEAST_PIXEL = 0.5
"""Canvas pixels that an output pixel must cover: below, finer detail cannot be seen."""

PAUSE = 300
"""Milliseconds on another plane until it is read: whoever scrolls through a stack passes most."""

AT_ONCE = 2
"""Windows in the middle of which a few draws are wanted before all draws of any window."""


class LiveView(Shown):
    """Enhances what a viewer shows of one layer.

    Signals
    -------
    opened (Opened)
        What is believed, as soon as it is known.
    cleared ()
        Nothing is enhanced any longer.
    """

    opened = Signal(object)
    cleared = Signal()

    def __init__(self, viewer: Any, parent: Any = None) -> None:
        super().__init__(viewer, parent)
        self.following = False
        self._settle = Soon(
            self.look, self
        )  # zooming moves the centre, too: but one look is enough
        self._planes = self._timer(PAUSE, self._follow_plane)
        self._order: dict[str, Any] | None = None  # of the layer's planes; a result has none
        self._talk = Talk(self)
        self._connect()

    def _connect(self) -> None:
        sight, talk = self._sight, self._talk
        sight.moved.connect(self._moved)
        sight.turned.connect(self._turned)
        sight.changed.connect(self._changed)
        sight.replaced.connect(self._replaced)
        sight.lost.connect(self.clear)
        talk.opened.connect(self._opened)
        talk.made.connect(self._made)
        talk.failed.connect(self._failed)

    # -- what to enhance -----------------------------------------------------------------------

    def warm_up(self) -> None:
        """Start the child, so that it has loaded its libraries when it is needed."""
        self._talk.warm_up()

    def show_result(self, layer: Any) -> None:
        """Look through the lens at a finished result, of which a map is a layer."""
        ours = layer.metadata["sciup"]
        wanted = (ours["path"], "sample", ours["channel"])

        def is_sample(other: Any) -> bool:
            found = other.metadata.get("sciup", {})
            return (found.get("path"), found.get("map"), found.get("channel")) == wanted

        shown = next(filter(is_sample, self.viewer.layers), layer)
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
        if layer is not self.layer:
            self._layers.move_to(layer)
            self._sight.watch(layer)
        self._planes.stop()
        self._order = order if source is None else None
        self.following, self.facts = follow, None
        plane = self._plane = self._sight.plane
        self.status.emit("reading what the image says of its instrument")
        self._talk.order(lambda folder: source or source_of(layer, plane, folder), **order)

    def stop(self) -> None:
        """Follow no longer; what is shown stays."""
        self.following = False
        self._settle.stop()
        self._planes.stop()
        if self.facts is None:
            self._talk.forget()
        self._ask(())
        self.status.emit("stopped")

    def clear(self) -> None:
        """Take everything off the screen."""
        self.following = False
        self._forget()
        self._sight.watch(None)
        self._layers.clear()
        self.status.emit("")
        self.cleared.emit()

    def close(self) -> None:
        """End the child, its files and the windows that it made."""
        self.following, self.facts = False, None
        self._talk.close()
        self._votes.close()
        self.cache.clear()

    def _forget(self) -> None:
        """Answers to what was asked so far are not wanted any more."""
        for timer in (self._settle, self._gather, self._planes):
            timer.stop()
        self._ask(())
        self._talk.forget()
        self.facts = self.frame = None

    # -- what the child says -------------------------------------------------------------------

    def _opened(self, facts: Opened) -> None:
        self.facts, self.frame = facts, None
        self._votes.forget()
        self.lens = LensState(overlay=self.lens.overlay, contour=self.lens.contour)
        try:
            self.judge = Judge(facts.calibration)
        except SciupError as error:
            self.judge = Judge(None)
            self.failed.emit(str(error))
        self.opened.emit(facts)
        self.look()

    def _made(self, window: Made) -> None:
        if not (window.quick and self.cache.has(window.token, window.core)):  # all draws were first
            self.cache.put(window.token, window.core, window.maps)
        mine = self.facts is not None and window.token == self.facts.token
        if mine and not self._gather.isActive():
            self._gather.start()

    def _failed(self, failure: Failed) -> None:
        # another plane of a stack may have what this one lacks
        goes_on = failure.number == WINDOW or (failure.number != CHILD and bool(self._plane))
        self.following = self.following and goes_on
        self.status.emit("failed")
        self.failed.emit(f"{failure.text}\n{failure.details}".rstrip())

    # -- the camera ----------------------------------------------------------------------------

    def _moved(self) -> None:
        if self.following:
            self._settle.start()

    def _turned(self) -> None:
        # not drawn at once: adding a layer moves the sliders, too
        if self.here():
            self._changed()
        else:
            self._ask(())
            self.drawn.emit()  # nothing is, where something was
        if self._elsewhere():
            self.status.emit("another plane")
            self._planes.start()

    def _elsewhere(self) -> bool:
        """Whether the camera is followed, and another plane of the layer is on the screen."""
        known = self.following and self._order is not None and self.layer is not None
        return known and self._sight.flat and self._sight.plane != self._plane

    def _follow_plane(self) -> None:
        if self._elsewhere() and self._order is not None:
            self._layers.hide()
            self.enhance(self.layer, True, **self._order)

    def _changed(self) -> None:
        if self.facts is not None:
            self._stale = True
            self._settle.start()

    def _replaced(self) -> None:
        self._forget()
        self._layers.hide()
        self.status.emit("the layer has other pixels now: press Preview view again")

    def look(self) -> None:
        """Ask for the windows that are on the screen, and show those that are there."""
        if self.facts is None or not self.here():
            self._ask(())
            return
        cores = self.wanted()
        more = LEAST_PIXEL * self.facts.scale / max(self._sight.pixel(), 1e-9)
        if more > 1 or len(cores) > self.room:
            self._ask(())
            why = "finer detail is too small to see" if more > 1 else "or allow more memory"
            self.status.emit(f"zoom in {max(more, 1.5):.1f} x or more: {why}")
            return
        before, self.frame = self.frame, self._sight.frame(self.facts)
        self._ask(tuple(c for c in cores if not self.has(c)))
        # small movements show what is drawn already, unless its edge stays on the screen
        if self._stale or self.frame != before or self.lens.swipe:
            self.draw()

    def _ask(self, cores: tuple[Core, ...]) -> None:
        if self.facts is not None:
            fresh = [c for c in cores if self.cache.get(self.facts.token, c) is None]
            self._talk.wish(self.facts.token, cores, tuple(fresh[:AT_ONCE]))
