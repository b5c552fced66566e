"""A search for images of a region that the data permit: asked of a child, shown on its layer."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Signal

from sciup.errors import OptionError
from sciup_napari.answer_layers import AnswerLayers
from sciup_napari.bar import Bar
from sciup_napari.layer_source import plane_of, source_of
from sciup_napari.messages import Explored, Failed
from sciup_napari.sight import Sight
from sciup_napari.talk import Talk


class Search(QObject):
    """One viewer's search; its child is kept for the next one.

    Attributes
    ----------
    busy : bool
        Whether a search goes on.
    found : Explored or None
        The last answers, as long as they are in the viewer.
    layers : AnswerLayers

    Signals
    -------
    progress (int, int)
        Steps done, and in all.
    explored (Explored)
        The answers are there.
    failed (str)
        Why there are none.
    ended (str)
        The search is over; one line about how.
    cleared ()
        The answers are of something that is no longer there, and gone.
    """

    progress = Signal(int, int)
    explored = Signal(object)
    failed = Signal(str)
    ended = Signal(str)
    cleared = Signal()

    def __init__(self, viewer: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self.viewer, self.busy = viewer, False
        self.found: Explored | None = None
        self.layers = AnswerLayers(viewer, self)
        self._sight, self._talk = Sight(viewer, self), Talk(self)
        self._plane: tuple[int, ...] = ()
        self._bar: Bar | None = None
        self._sight.lost.connect(lambda: self._forget("the layer is gone"))
        self._sight.replaced.connect(lambda: self._forget("the layer has other pixels now"))
        self._sight.changed.connect(self.layers.place)
        self._sight.turned.connect(self._turned)
        self._talk.progress.connect(self._progressed)
        self._talk.explored.connect(self._explored)
        self._talk.failed.connect(self._failed)

    @property
    def layer(self) -> Any:
        """The layer that is explored, if there is one."""
        return self._sight.layer

    @property
    def here(self) -> bool:
        """Whether the viewer shows the plane that was explored, as a picture."""
        return self.layer is not None and self._sight.flat and self._sight.plane == self._plane

    def warm_up(self) -> None:
        """Start the child, so that it has loaded its libraries when it is needed."""
        self._talk.warm_up()

    def begin(self, layer: Any, order: dict[str, Any], question: dict[str, Any]) -> None:
        """Look for answers; those that are there stay until others are found.

        Parameters
        ----------
        layer : napari Image layer
        order : dict
            Fields of `Order` but the source.
        question : dict
            See `sciup_napari.messages.Explore`.

        Raises
        ------
        OptionError
            If another search goes on, or no plane is shown.
        """
        if self.busy:
            raise OptionError("another search goes on", fix="wait for it or cancel it")
        if not self._sight.flat:
            raise OptionError("the viewer shows no plane", fix="show y and x in 2D")
        plane = plane_of(layer, self.viewer)
        if (layer, plane) != (self.layer, self._plane):
            self._forget("")
        self._plane = plane
        self._sight.watch(layer)
        self.busy = True
        self._bar = Bar(f"sciup: exploring {layer.name}")
        if self.busy:  # what happens meanwhile may have ended it
            self._talk.explore(lambda folder: source_of(layer, plane, folder), question, **order)

    def cancel(self, why: str = "cancelled") -> None:
        """End the search; the answers of an earlier one stay."""
        if self.busy:
            self._talk.stop()
            self._over(why)

    def show(self, index: int) -> None:
        """Show one of the images."""
        if self.here:
            self.layers.show(index)

    def close(self) -> None:
        """End the child: the viewer is closed."""
        self.busy = False
        self._sight.watch(None)
        self.layers.close()
        self._talk.close()

    def _over(self, text: str) -> None:
        self.busy = False
        if self._bar is not None:
            self._bar.close()
        self.ended.emit(text)

    def _forget(self, why: str) -> None:
        """What was explored is not there any longer."""
        self.cancel(why)
        self._sight.watch(None)
        self.layers.clear()
        self.found = None
        self.cleared.emit()

    def _turned(self) -> None:
        if not self.here:
            self.layers.hide()
        elif self.found is not None:
            self.layers.refresh()  # adding a layer moves the sliders, too: none is added here

    def _progressed(self, done: int, total: int) -> None:
        self.progress.emit(done, total)
        if self._bar is not None:  # last, because events happen meanwhile, such as the end
            self._bar.at(done, total)

    def _explored(self, found: Explored) -> None:
        self.found = found
        self.layers.fill(found, self.layer)
        self._turned()
        self.explored.emit(found)
        self._over("found" if found.region.found else "nothing found")

    def _failed(self, failure: Failed) -> None:
        if self.busy:  # a child that ends without having anything to do starts again when asked
            self._over("failed")
        self.failed.emit(f"{failure.text}\n{failure.details}".rstrip())
