"""Regions that a viewer shows, measured live: asked of a child, kept until they change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from sciup_napari.ground import draws_of, input_matrix
from sciup_napari.measure_messages import Detected, MadeBy, Measured, Outline
from sciup_napari.messages import CHILD, Failed, Source
from sciup_napari.outlines import outlines_of
from sciup_napari.parts import once_after
from sciup_napari.sight import PLACE, Sight
from sciup_napari.talk import Talk

SETTLE = 150
"""Milliseconds of rest before what was drawn is measured."""

GATHER = 50
"""Milliseconds in which answers are gathered before they are told: many come at once."""


@dataclass(frozen=True)
class Question:
    """What is measured where.

    Attributes
    ----------
    layer : napari Image or Labels layer
        What `sciup_napari.ground` offers.
    regions : napari Shapes or Points layer, or None
    asked : dict
        See `sciup_napari.measure_messages.Measure`.
    radius : float
        Around points, input px.
    order : dict
        Fields of `Order` but the source.
    made_by : MadeBy or None
    moved : str or None
        Where the input of a finished result is now, if it was moved.
    """

    layer: Any
    regions: Any
    asked: dict[str, Any] = field(default_factory=dict)
    radius: float = 3.0
    order: dict[str, Any] = field(default_factory=dict)
    made_by: MadeBy | None = None
    moved: str | None = None

    def same_draws(self, other: Question | None) -> bool:
        """Whether another question is about the same draws."""
        mine = self.order, self.made_by, self.moved
        return other is not None and self.layer is other.layer and mine == (
            other.order, other.made_by, other.moved
        )  # fmt: skip


@dataclass
class Row:
    """One region.

    Attributes
    ----------
    index : int
        In its layer.
    outline : Outline
    answer : Measured or None
    fresh : bool
        Whether the answer is that of the outline, not of what it was before.
    """

    index: int
    outline: Outline
    answer: Measured | None
    fresh: bool


class Measuring(QObject):
    """One viewer's measurements; their child is kept for the next ones.

    Attributes
    ----------
    rows : list of Row
    detecting : bool

    Signals
    -------
    changed ()
        There are other rows, or answers.
    failed (str)
        Why nothing is measured or detected.
    detected (Detected)
        The candidates.
    progress (int, int)
        Parts done of what is searched for candidates, and in all.
    """

    changed = Signal()
    failed = Signal(str)
    detected = Signal(object)
    progress = Signal(int, int)

    def __init__(self, viewer: Any, parent: Any = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.question: Question | None = None
        self.rows: list[Row] = []
        self.detecting = self._closed = False
        self._answers: dict[Outline, Measured] = {}
        self._asked: set[Outline] = set()
        self._plane: tuple[int, ...] = ()
        self._found: list[Source] = []
        self._watched: list[Any] = []
        self._talk, self._sight = Talk(self), Sight(viewer, self)
        self._settle = once_after(SETTLE, self.read, self)
        self._gather = once_after(GATHER, self.changed.emit, self)
        self._connect()

    def _connect(self) -> None:
        for signal in (self._sight.changed, self._sight.turned):
            signal.connect(self._settle.start)
        self._sight.replaced.connect(self._replaced)
        self._talk.measured.connect(self._measured)
        self._talk.detected.connect(self._detected)
        self._talk.progress.connect(self.progress)
        self._talk.failed.connect(self._failed)

    def warm_up(self) -> None:
        """Start the child, so that it has loaded its libraries when it is needed."""
        self._talk.warm_up()

    @property
    def waiting(self) -> int:
        """Regions that are still to be measured."""
        return len(self._asked)

    @property
    def words(self) -> str:
        """What goes on."""
        if self.question is not None and not self._sight.flat:
            return "the viewer shows no plane: show y and x in 2D"
        if self._asked:
            return f"measuring: {len(self._asked)} of {len(self.rows)} to go"
        known = [row.answer.row.meta for row in self.rows if row.fresh and row.answer]
        draws = {str(meta["draws"]) for meta in known if meta}
        return f"measured on {' or '.join(sorted(draws))} draws" if draws else ""

    def ask(self, question: Question | None) -> None:
        """Measure this from now on, or nothing."""
        if self._closed:  # layers go one by one when a viewer closes
            return
        before, self.question = self.question, question
        same = question is not None and question.same_draws(before)
        if question is None or not same:
            self._found = []
            self._sight.watch(None if question is None else question.layer)
            self.cancel()
        if question is None or before is None or not same or question.asked != before.asked:
            self._forget()
        self._watch(None if question is None else question.regions)
        self.read()

    def again(self) -> None:
        """Measure everything once more, after a function or file has changed."""
        self._forget()
        self.read()

    def read(self) -> None:
        """See what there is to be measured, and ask for what is not known."""
        self._settle.stop()
        question, found = self.question, []
        if question is not None and self._sight.flat:
            if self._plane != self._sight.plane:
                self._plane, self._found = self._sight.plane, []
                self._forget()
            if question.regions is not None:
                matrix = input_matrix(question.layer)
                found = outlines_of(question.regions, self.viewer, matrix, question.radius)
        self.rows = [self._row(i, outline, len(found)) for i, outline in found]
        self._wish()
        self.changed.emit()

    def detect(self, asked: dict[str, Any]) -> None:
        """Look for candidates; see `sciup_napari.measure_messages.Detect`."""
        if self.question is not None:
            self.detecting = True
            question = self.question
            self._talk.detect(self._find(question), asked, question.made_by, **question.order)

    def cancel(self) -> None:
        """End the search for candidates; measurements go on."""
        if self.detecting:
            self.detecting = False
            self._talk.stop()
            self._asked = set()
            self.read()

    def close(self) -> None:
        """End the child: the viewer is closed."""
        self.question, self.detecting, self._closed = None, False, True
        self._settle.stop()
        self._gather.stop()
        self._sight.watch(None)
        self._watch(None)
        self._talk.close()

    def _row(self, index: int, outline: Outline, count: int) -> Row:
        """With the answer, or that of what was there before if it may be the same shape."""
        answer = self._answers.get(outline)
        if answer is not None:
            return Row(index, outline, answer, fresh=True)
        before = (
            [r.answer for r in self.rows if r.index == index] if count == len(self.rows) else []
        )
        return Row(index, outline, before[0] if before else None, fresh=False)

    def _wish(self) -> None:
        """Have what is missing measured, and nothing else."""
        question = self.question
        missing = tuple(dict.fromkeys(r.outline for r in self.rows if not r.fresh))
        if set(missing) == self._asked:
            return
        self._asked = set(missing)
        if question is None:
            self._talk.stop()
            return
        find, made_by = self._find(question), question.made_by
        self._talk.measure(find, question.asked, missing, made_by, **question.order)

    def _find(self, question: Question) -> Callable[[Path], Source]:
        """Where the draws come from: found out once, for pixels may have to be written down."""
        known = self._found
        find = draws_of(question.layer, self.viewer, question.moved)

        def once(folder: Path) -> Source:
            if not known:
                known.append(find(folder))
            return known[0]

        return once

    def _forget(self) -> None:
        self._answers, self._asked = {}, set()
        for row in self.rows:
            row.fresh = False

    def _watch(self, regions: Any) -> None:
        """Follow what is drawn in a layer, and in another one no longer."""
        for event in self._watched:
            event.disconnect(self._changed)
        names = () if regions is None else ("data", *PLACE)
        self._watched = [getattr(regions.events, name) for name in names]
        for event in self._watched:
            event.connect(self._changed)

    def _changed(self, *_: Any) -> None:
        self._settle.start()

    def _replaced(self) -> None:
        """The layer has other pixels."""
        self._found = []
        self._forget()
        self._settle.start()

    def _measured(self, message: Measured) -> None:
        self._answers[message.outline] = message
        self._asked.discard(message.outline)
        for row in self.rows:
            if row.outline == message.outline:
                row.answer, row.fresh = message, True
        if not self._asked:
            self._gather.stop()
            self.changed.emit()
        elif not self._gather.isActive():
            self._gather.start()

    def _detected(self, message: Detected) -> None:
        self.detecting = False
        self.detected.emit(message)

    def _failed(self, failure: Failed) -> None:
        about = self._talk.about(failure)
        if about == "detect" or failure.number == CHILD:
            self.detecting = False
        if about == "measure" or failure.number == CHILD:
            self._asked = set()
        self.failed.emit(f"{failure.text}\n{failure.details}".rstrip())
