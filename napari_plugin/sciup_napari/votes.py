"""Risk of what is shown: as the engine found it, or counted anew in a thread."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from qtpy.QtCore import QObject, Signal

from sciup_napari.cache import Maps
from sciup_napari.frame_risk import (
    counted_risk,
    has_risk_of_mean,
    risk_of_mean,
    stored_risk,
)
from sciup_napari.lens_state import LensState
from sciup_napari.messages import QUICK, Core, Opened
from sciup_napari.mosaic import Frame
from sciup_napari.readout import Judge, Risk

Windows = list[tuple[Core, Maps]]


class Votes(QObject):
    """Risk of a frame.

    Signals
    -------
    counted ()
        What was asked for last is there: ask again.
    failed (str)
        In the user's words.
    """

    counted = Signal()
    failed = Signal(str)
    _done = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._thread = ThreadPoolExecutor(1, "sciup-viewer-counts")
        self._count: Future[Risk] | None = None
        self._asked: Any = None
        self._windows: Windows = []  # of what was asked: their ids are part of the key
        self._found: tuple[Any, Risk] | None = None
        self._done.connect(self._on_done)

    @property
    def counting(self) -> bool:
        """Whether votes are being counted for what is shown."""
        return self._asked is not None and (self._found is None or self._found[0] != self._asked)

    def risk(
        self,
        facts: Opened,
        frame: Frame,
        windows: Windows,
        lens: LensState,
        judge: Judge,
        tolerance: str,
    ) -> Risk | None:
        """The risk of what a lens shows; None where it is not known, or not yet.

        That is the risk of its draw, or of the mean, where that is shown and its risk is there.
        """
        windows = [(core, maps) for core, maps in windows if not maps.get(QUICK, False)]
        if not windows:
            return None
        both = lens.overlay == "invented and missed"  # the mean has neither
        ordered = tolerance == facts.tolerance
        if lens.show == "mean" and ordered and not both and has_risk_of_mean(windows):
            return risk_of_mean(frame, windows)
        if lens.draw == 0 and ordered:
            return stored_risk(frame, windows, facts.calibrated, both=both)
        if not facts.countable:
            return None
        key = (facts.token, frame, lens.draw, tolerance, tuple(id(maps) for _, maps in windows))
        if self._found is not None and self._found[0] == key:
            return self._found[1]
        if key != self._asked:
            self._asked, self._windows = key, windows
            self._begin(key, frame, windows, judge, lens.draw, tolerance, facts.tolerance)
        return None

    def forget(self) -> None:
        """What was counted belongs to something else."""
        self._asked = self._found = None
        self._windows = []

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(self, key: Any, *question: Any) -> None:
        if self._count is not None:
            self._count.cancel()
        self._count = self._thread.submit(counted_risk, *question)
        self._count.add_done_callback(
            lambda f: None if f.cancelled() else self._done.emit((key, f))
        )

    def _on_done(self, found: tuple[Any, Future[Risk]]) -> None:
        key, future = found
        if key != self._asked:
            return
        error = future.exception()
        if error is None:
            self._found = (key, future.result())
            self.counted.emit()
        else:
            self._asked = None
            self.failed.emit(f"votes cannot be counted: {error}")


__all__ = ["Votes"]
