"""The widget that asks which images of a region the data permit."""

from __future__ import annotations

from functools import partial
from typing import Any

from napari.utils.notifications import show_error, show_warning

from sciup.errors import OptionError, SciupError
from sciup_napari.explore_panel import FLUX, SEVERAL, ExplorePanel
from sciup_napari.instrument_table import in_words
from sciup_napari.layer_source import check
from sciup_napari.messages import Explored
from sciup_napari.models import Choice
from sciup_napari.parts import BLINK, run, silent, ticking
from sciup_napari.place import finer, to_world
from sciup_napari.regions import region_to_explore
from sciup_napari.sketch import KINDS, sketch_of


class ExploreWidget(ExplorePanel):
    """Ask a question about a region, and look at the answers.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The name is what napari fills in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.attend(napari_viewer)
        self.search = self.session.search
        self._blinking = ticking(self, BLINK, self._next)
        self._connect()
        self.refresh_layers()
        self.ask_for(self.goal.currentText())
        if self.search.found is not None:
            self._explored(self.search.found)
        self._going(self.search.busy)
        self.search.warm_up()

    def _connect(self) -> None:
        self.goal.currentTextChanged.connect(self.ask_for)
        self.begin.clicked.connect(self.start)
        self.cancel.clicked.connect(self.stop)
        self.answer_table.chosen.connect(self._chosen)
        self.blink.toggled.connect(partial(run, self._blinking))
        self.residual.toggled.connect(self.search.layers.show_residual)
        self.search.progress.connect(self._progressed)
        self.search.explored.connect(self._explored)
        self.search.failed.connect(self._complain)
        self.search.ended.connect(self._ended)
        self.search.cleared.connect(self._cleared)

    # -- what is asked -------------------------------------------------------------------------

    def able(self, choice: Choice) -> bool:
        """Only the noise of a sampler can be moved."""
        return choice.architecture == "posterior"

    def at_work(self) -> bool:
        """Whether a search goes on."""
        return self.search.busy

    def refresh_layers(self, *changes: Any) -> None:
        """Offer layers, and what can be a sketch."""
        super().refresh_layers(*changes)
        before = self.sketch.currentData()
        with silent(self.sketch):
            self.sketch.clear()
            for layer in reversed(self.viewer.layers):
                fits = type(layer).__name__ in KINDS and layer is not self.layer
                if fits and not self.session.made(layer):
                    self.sketch.addItem(layer.name, layer)
            self.sketch.setCurrentIndex(max(self.sketch.findData(before), 0))
        self._going(self.search.busy)

    def question(self) -> dict[str, Any]:
        """What is asked: keyword arguments of `sciup.explore`.

        Raises
        ------
        SciupError
            With what is missing and how to give it.
        """
        goal, radius = self.goal.currentText(), self.radius.value() or None
        drawing = self.sketch.currentData() if goal == "sketch" else None
        box, place = region_to_explore(self.viewer, self.layer, self.way.currentData(), but=drawing)
        asked: dict[str, Any] = {
            "roi": box, "goal": goal, "steps": self.steps.value(), "reach": self.reach.value(),
        }  # fmt: skip
        if goal in SEVERAL:
            asked["answers"] = self.answers.value()
        if goal == "one-or-two" or (goal in FLUX and radius is not None):
            asked |= {"at": place, "radius": radius}
        if goal == "sketch":
            asked["sketch"] = self._drawing(drawing, box)
        return asked

    def _drawing(self, layer: Any, box: Any) -> Any:
        if layer is None:
            raise OptionError(
                "there is no sketch yet", fix="draw your idea in a Labels or Shapes layer"
            )
        scale = self.model.scale if self.model else 1
        matrix = finer(to_world(self.layer), scale, box.start)
        return sketch_of(layer, self.viewer, matrix, box.scaled(scale).shape)

    def start(self) -> None:
        """Search."""
        try:
            check(self.layer)
            if self.model is None:
                raise OptionError("no model is chosen", fix="choose one above")
            self.search.begin(self.layer, self.order(), self.question())
        except SciupError as error:
            self._complain(str(error))
            return
        self.failure.setText("")
        self._going(self.search.busy)
        self.progress.setRange(0, 0)
        self.status.setText("reading what the image says of its instrument")

    def _complain(self, text: str) -> None:
        """Say what is wrong here, too: a notification shows half a line, and goes."""
        text = in_words(text)
        show_error(text)
        self.failure.setText(text.partition("\n")[0])

    def stop(self) -> None:
        """Cancel the search."""
        self.search.cancel()

    # -- what was found ------------------------------------------------------------------------

    def _going(self, on: bool) -> None:
        self.begin.setEnabled(not on and self.layer is not None)
        self.cancel.setEnabled(on)
        self.progress.setVisible(on)

    def _progressed(self, done: int, total: int) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.status.setText(f"search: {done} of {total} evaluations")

    def _explored(self, found: Explored) -> None:
        region, layers = found.region, self.search.layers
        if self.search.layer is self.layer:
            self.table.fill(found.instrument)
        self.failure.setText(f"Nothing found: {region.failure}." if region.failure else "")
        self.words.setText("" if region.failure else f"<b>{region.words}</b>")
        self.meaning.setText(found.meaning)
        self.answer_table.fill(layers.images, region)
        self.answer_table.choose(layers.current)
        self.residual.setChecked(False)
        for text in found.warnings:
            show_warning(text)

    def _chosen(self, index: int) -> None:
        self.search.show(index)

    def _next(self) -> None:
        """Show the answer after the one that is shown."""
        images = self.search.layers.images
        answers = [i for i, image in enumerate(images) if image.name.startswith("answer")]
        later = [i for i in answers if i > self.answer_table.currentRow()]
        if answers:
            self.answer_table.choose((later or answers)[0])

    def _ended(self, text: str) -> None:
        self._going(False)
        self.status.setText(text)

    def _cleared(self) -> None:
        """What was found is gone."""
        self.answer_table.clear()
        for note in (self.failure, self.words, self.meaning):
            note.setText("")
