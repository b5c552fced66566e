"""The images that a search has found, as layers; they lie exactly on the source."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from sciup.explorer.answers import Answer, Region
from sciup_napari.aperture_layer import ApertureLayer
from sciup_napari.layer_list import add, remove
from sciup_napari.live_layers import stretch_of, world_of
from sciup_napari.looks import look
from sciup_napari.messages import Explored
from sciup_napari.place import finer, to_world

PAUSE = 20
"""Milliseconds between two new layers: each costs napari a tenth of a second."""

RESIDUAL = "residual"


def images_of(region: Region) -> list[Answer]:
    """What is there to be looked at: sample 0, the sketch if there is one, and the answers."""
    first = Answer(
        "sample_0", "as drawn", region.shown, region.shown_residual, dict(region.shown_facts)
    )
    drawing = [] if region.drawing is None else [region.drawing]
    return [first, *drawing, *region.answers]


def name_of(image: Answer) -> str:
    """In words.

    Examples
    --------
    >>> name_of(Answer("answer_2", "", None, None, {}))
    'answer 2'
    """
    return image.name.replace("_", " ")


class AnswerLayers(QObject):
    """A layer for each image, of which one is shown, and one for the residual of that one.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self._aperture = ApertureLayer(viewer)
        self.images: list[Answer] = []
        self.current = 0
        self._found: Explored | None = None
        self._source: Any = None
        self._layers: dict[str, Any] = {}
        self._more = QTimer(self)
        self._more.setSingleShot(True)
        self._more.setInterval(PAUSE)
        self._more.timeout.connect(self._add_next)

    def fill(self, found: Explored, source: Any) -> None:
        """Show what was found of a layer instead of what was found before: the first answer."""
        self.clear()
        self.images, self._found, self._source = images_of(found.region), found, source
        answers = [i for i, image in enumerate(self.images) if image in found.region.answers]
        self.show(answers[0] if answers else 0)
        self._more.start()

    def show(self, index: int) -> None:
        """Show one image and no other."""
        if not 0 <= index < len(self.images):
            return
        self.current, image = index, self.images[index]
        if not self._there(image.name):
            self._add(image.name, image.image)
        self.refresh()
        if self._there(RESIDUAL):
            self._layers[RESIDUAL].data = image.residual
            self._layers[RESIDUAL].name = self._title(RESIDUAL)

    def refresh(self) -> None:
        """Show the current image, if it is there, and no other."""
        self._aperture.show(True)
        for i, image in enumerate(self.images):
            if self._there(image.name):
                self._layers[image.name].visible = i == self.current

    def show_residual(self, on: bool) -> None:
        """Lay over the image what it leaves of the data, or take that away."""
        if self.images and on and not self._there(RESIDUAL):
            self._add(RESIDUAL, self.images[self.current].residual)
        if self._there(RESIDUAL):
            self._layers[RESIDUAL].visible = on

    def hide(self) -> None:
        """Show none."""
        self._aperture.show(False)
        for name in filter(self._there, self._layers):
            self._layers[name].visible = False

    def place(self) -> None:
        """Put all where the source is now."""
        self._aperture.place()
        for name in filter(self._there, self._layers):
            self._layers[name].affine = self._matrix(name)

    def clear(self) -> None:
        """Remove all."""
        self._more.stop()
        self._aperture.clear()
        remove(self.viewer, self._layers.values())
        self._layers.clear()
        self.images, self._found, self._source = [], None, None

    def close(self) -> None:
        """Add nothing any longer: the viewer is closed."""
        self._more.stop()

    def _there(self, name: str) -> bool:
        return name in self._layers and self._layers[name] in self.viewer.layers

    def _add_next(self) -> None:
        """Add what is still missing, hidden: one in a turn of the event loop."""
        wanted = [image.name for image in self.images if image.name not in self._layers]
        if wanted:
            image = next(i for i in self.images if i.name == wanted[0])
            self._add(image.name, image.image, visible=False)
        elif RESIDUAL not in self._layers and self.images:
            self._add(RESIDUAL, self.images[self.current].residual, visible=False)
        if len(self._layers) <= len(self.images):
            self._more.start()
        elif self._found is not None:  # above all others
            self._aperture.fill(self._found.region, self._source)

    def _add(self, name: str, values: Any, *, visible: bool = True) -> None:
        source = self._source
        options = look(RESIDUAL if name == RESIDUAL else "answer") | world_of(source)
        options |= {"name": self._title(name), "visible": visible, "affine": self._matrix(name)}
        if name != RESIDUAL and self._found is not None:
            options |= stretch_of(source, self._found.flux)
        options["metadata"] = {"sciup": {"map": name, "explored": self._about(name)}}
        self._layers[name] = add(self.viewer, Image(values, **options))

    def _title(self, name: str) -> str:
        image = self.images[self.current]
        if name == RESIDUAL:
            return f"explored: residual, {name_of(image)}"
        image = next(i for i in self.images if i.name == name)
        return f"explored: {name_of(image)}" + " (possible)" * name.startswith("answer")

    def _about(self, name: str) -> dict[str, Any]:
        """Numbers of an image, for those who read metadata."""
        if self._found is None:
            return {}
        of = [dict(i.facts) | {"title": i.title} for i in self.images if i.name == name]
        region = self._found.region
        asked = {"goal": region.goal, "roi": region.roi, "words": region.words, **region.facts}
        return {**asked, "meaning": self._found.meaning, "image": of[0] if of else {}}

    def _matrix(self, name: str) -> Any:
        if self._found is None:  # pragma: no cover - there are no layers then
            raise RuntimeError("nothing was found")
        scale = 1 if name == RESIDUAL else self._found.scale
        return finer(to_world(self._source), scale, self._found.region.box.start)
