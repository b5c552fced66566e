"""The widget that measures what is drawn on a result, and finds what may be there."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QApplication

from sciup.errors import OptionError, SciupError
from sciup_napari.candidate_layer import CandidateLayer
from sciup_napari.ground import domain_of, facts_of, input_matrix, key_of, results, roi_of
from sciup_napari.instrument_table import in_words
from sciup_napari.layer_source import check
from sciup_napari.measure_messages import Catalogue, Detected
from sciup_napari.measure_panel import HINT, OWN, USUAL, MeasurePanel
from sciup_napari.measure_rows import ask_for_file, joined, save, standing, text_of
from sciup_napari.measuring import Question
from sciup_napari.models import Choice
from sciup_napari.outlines import KINDS
from sciup_napari.parts import once_after, silent
from sciup_napari.picked import Picked
from sciup_napari.regions import NAME as ELSEWHERE
from sciup_napari.regions import new_shapes

NAME = "regions"
WIDTH = 0.25
"""Of the line around a region, input px: it hides nothing."""

RECORDED = "as recorded"
"""The model of a finished result."""


class MeasureWidget(MeasurePanel):
    """Draw regions, and read what they hold, with intervals.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The name is what napari fills in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.attend(napari_viewer)
        self.measuring = measuring = self.session.measuring
        self.found = CandidateLayer(self.viewer)
        self._picked = Picked(self.measured.choose)
        self._words = ("", "")
        self._seen = once_after(0, lambda: self.ensureWidgetVisible(self.candidates), self)
        self._known: set[Any] = set()
        self._connect()
        self.destroyed.connect(lambda: measuring.ask(None))
        self.refresh_layers()
        self._going(measuring.detecting)
        self._show_found()
        measuring.warm_up()

    def _connect(self) -> None:
        for box in (self.quantity, self.regions, self.background):
            box.currentIndexChanged.connect(self.ask)
        for value in (self.radius, self.draws, self.seed):
            value.valueChanged.connect(self.ask)
        self.device.currentIndexChanged.connect(self.ask)
        self.own.changed.connect(self.ask)
        self.moved.changed.connect(self._moved)
        self.new.clicked.connect(self.new_regions)
        self.again.clicked.connect(self.measure_again)
        self.copy.clicked.connect(self.copy_table)
        self.save.clicked.connect(lambda: self._save(joined(self.measuring.rows)))
        self.measured.chosen.connect(self._chosen)
        self.detect.clicked.connect(self.start)
        self.cancel.clicked.connect(self.stop)
        self.save_found.clicked.connect(lambda: self._save(self.found.found))
        self.least.valueChanged.connect(self._show_found)
        self.measuring.changed.connect(self._changed)
        self.measuring.failed.connect(self._failed)
        self.measuring.detected.connect(self._detected)
        self.measuring.progress.connect(self._progressed)

    # -- what is measured ----------------------------------------------------------------------

    def offered(self) -> dict[Any, str]:
        """Finished results first, then images, whose draws are made as needed."""
        return results(self.viewer) | super().offered()

    def heir(self, chosen: Any, offered: list[Any]) -> Any:
        """The same result by another map; a result that was just opened, if nothing goes on."""
        keys = {key_of(layer): layer for layer in reversed(offered)}
        keys.pop(None, None)
        fresh = [layer for key, layer in keys.items() if key not in self._known]
        self._known = set(keys)
        if fresh and not self.at_work():
            return fresh[-1]
        return keys.get(key_of(chosen), super().heir(chosen, offered))

    def able(self, choice: Choice) -> bool:
        """A finished result says which model made it, unless that is a folder of the user."""
        return not facts_of(self.layer)

    def at_work(self) -> bool:
        """Whether something is measured or looked for."""
        return bool(self.measuring.rows) or self.measuring.detecting

    def refresh_layers(self, *changes: Any) -> None:
        """Offer layers, and what holds regions."""
        before = self.regions.currentData()
        drawn = [x for x in reversed(self.viewer.layers) if type(x).__name__ in KINDS]
        # candidates, and what is drawn for Enhance and Explore, are measured on demand only
        mine = [x for x in drawn if x.name != ELSEWHERE and not self.session.made(x)]
        chosen = before if before in drawn else next(iter(mine), None)
        with silent(self.regions):
            self.regions.clear()
            for layer in drawn:
                self.regions.addItem(layer.name, layer)
            self.regions.setCurrentIndex(self.regions.findData(chosen))
        super().refresh_layers(*changes)
        self.ask()

    def values_stated(self) -> None:
        """Measure with what is believed now."""
        self.ask()

    def _layer_changed(self, *changes: Any) -> None:
        ours = facts_of(self.layer) if self.layer is not None else {}
        # before anything is asked: what another result was made of is not what this one was
        self.moved.show(self.session.moved.get(ours.get("path", "")))
        super()._layer_changed(*changes)
        if ours:
            with silent(self.model_box):
                self.model_box.insertItem(0, RECORDED)
                self.model_box.setCurrentIndex(0)

    def _model_changed(self, *_: Any) -> None:
        super()._model_changed()
        self.ask()

    def _moved(self) -> None:
        """Somebody has said where the input of a result is; it holds for all of its maps."""
        # what was typed is told when the field is hidden, too: then nothing of it is chosen
        if self.layer is not None and (ours := facts_of(self.layer)):
            self.session.moved[ours["path"]] = self.moved.place
            self.ask()

    def question(self) -> Question | None:
        """What is asked; None as long as something is missing.

        Raises
        ------
        SciupError
            With what is missing, and how to give it.
        """
        if self.layer is None or (self._owned and not self.own.place):
            return None
        draws, background = self.draws.value(), self.background.currentText()
        asked = {
            "with_": self.own.place if self._owned else self.quantity.currentText(),
            "samples": draws if draws > 1 else None,
            "background": None if background == USUAL else background,
        }
        ours, order = facts_of(self.layer), self.order()
        if ours:
            order = {"model": order["model"], "device": order["device"]}
        else:
            check(self.layer)
            if self.model is None:
                raise OptionError("no model is chosen", fix="choose one above")
        made_by = self.session.made_by.get(ours.get("path", ""))
        regions, radius = self.regions.currentData(), self.radius.value()
        moved = self.moved.place if ours else None
        return Question(self.layer, regions, asked, radius, order, made_by, moved)

    @property
    def _owned(self) -> bool:
        return bool(self.quantity.currentText() == OWN)

    def ask(self, *_: Any) -> None:
        """Measure what is asked for now."""
        regions = self.regions.currentData()
        result = self.layer is not None and bool(facts_of(self.layer))
        points = type(regions).__name__ == "Points"
        self.show_rows(own=self._owned, points=points, result=result)
        if self.layer is not None:
            own = self.model.domain if self.model else None
            self.offer_kinds(domain_of(self.layer) if result else own)
        if result or self.model is not None:
            self.about.setText("")
        self.failure.setText("")
        question = None
        try:
            question = self.question()
        except SciupError as error:
            self.failure.setText(str(error))
        self._picked.follow(regions)
        self.measuring.ask(question)
        self._going(self.measuring.detecting)  # another layer ends a search for candidates

    def measure_again(self) -> None:
        """Measure everything once more."""
        if self._owned and self.own.path is not None:
            self.own.choose(self.own.path)
        self.failure.setText("")
        self.measuring.again()

    def new_regions(self) -> None:
        """Make a layer to draw in, in input pixels of what is measured."""
        layer = new_shapes(self.viewer, self.layer, NAME, input_matrix(self.layer), WIDTH)
        self.regions.setCurrentIndex(self.regions.findData(layer))
        self.viewer.layers.selection.active = layer
        layer.mode = "add_ellipse"

    # -- what was measured ---------------------------------------------------------------------

    def _changed(self) -> None:
        rows = self.measuring.rows
        answers = [row.answer for row in rows if row.fresh and row.answer]
        known = [a for a in answers if a.row.columns]
        self.measured.fill(rows)
        for button in (self.copy, self.save):
            button.setEnabled(bool(known))
        self.again.setEnabled(bool(rows))
        if self.measuring.waiting:
            self.failure.setText("")
        self.status.setText(self.measuring.words or ("" if rows else HINT))
        self.words.setText(standing(rows))
        self.words.setToolTip(str(known[0].row.meta["coverage"]) if known else "")
        told = [text for a in answers for text in a.told]
        self.warning.setText("\n".join(dict.fromkeys(told)))

    def _failed(self, text: str) -> None:
        self.failure.setText(in_words(text))
        self.status.setText("failed")
        self._going(self.measuring.detecting)

    def copy_table(self) -> None:
        """Copy what is up to date, for a spreadsheet."""
        QApplication.clipboard().setText(text_of(joined(self.measuring.rows)))

    def _save(self, table: Catalogue) -> None:
        try:
            if path := ask_for_file(self):
                self.status.setText(f"saved: {save(table, path)}")
        except SciupError as error:
            self.failure.setText(str(error))

    def _chosen(self, index: int) -> None:
        self.regions.currentData().selected_data = {index}

    # -- what may be there ---------------------------------------------------------------------

    def start(self) -> None:
        """Look for candidates."""
        draws = self.draws.value()
        asked: dict[str, Any] = {"kind": self.kind.currentText(), "limit": self.limit.value()}
        if draws > 1:
            asked["samples"] = draws
        try:
            asked["roi"] = roi_of(self.viewer, self.layer, self.place.currentData())
        except SciupError as error:
            self.failure.setText(str(error))
            return
        self.failure.setText("")
        self.measuring.detect(asked)
        self.progress.setRange(0, 0)
        self._going(self.measuring.detecting)

    def stop(self) -> None:
        """Cancel the search for candidates."""
        self.measuring.cancel()
        self._going(on=False)

    def _going(self, on: bool) -> None:
        self.detect.setEnabled(not on and self.layer is not None)
        self.cancel.setEnabled(on)
        self.progress.setVisible(on)

    def _progressed(self, done: int, total: int) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)

    def _detected(self, message: Detected) -> None:
        self._going(on=False)
        self.found.fill(message.found, self.layer)
        self._words = message.words
        self._show_found()
        self._seen.start()

    def _show_found(self, *_: Any) -> None:
        """Show candidates from the least chance on; nothing is computed anew."""
        least = self.least.value() / 100
        shown = self.found.show_from(least)
        total = len(self.found.found.columns.get("id", ()))
        self.save_found.setEnabled(bool(total))
        self.least.setEnabled(bool(total))
        if self.found.found.heads:
            count, calibrated = self._words
            told = f"<b>{count}.</b><br>P: {calibrated}."
            self.candidates.setText(f"{told}<br>Shown: {shown} with P of {least:.2f} or more.")
        if self.found.layer is not None and self.found.layer is self.regions.currentData():
            self.measuring.read()
