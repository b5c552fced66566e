"""The widget with which a layer is enhanced."""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import show_error, show_info, show_warning

from sciup.errors import SciupError
from sciup_napari.enhance_panel import EnhancePanel
from sciup_napari.instrument_table import in_words
from sciup_napari.layer_source import check
from sciup_napari.lens_words import domain_words
from sciup_napari.messages import Opened
from sciup_napari.parts import WARNING, silent


class EnhanceWidget(EnhancePanel):
    """Choose a layer and a model, and see more.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The name is what napari fills in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.attend(napari_viewer)
        self.live = self.session.live
        self._live_on = self.live.following
        self.budget.setValue(int(self.live.cache.budget))
        self._connect()
        self.refresh_layers()
        if self.live.facts is not None:
            self._catch_up(self.live.facts)
        self._stoppable()
        self.live.warm_up()

    def _connect(self) -> None:
        self.preview.clicked.connect(lambda: self.start(follow=self.follow.isChecked()))
        self.follow.toggled.connect(self._follow)
        self.region.clicked.connect(self.run_region)
        self.everything.clicked.connect(self.run_all)
        self.cancel.clicked.connect(self.stop)
        self.budget.valueChanged.connect(lambda v: setattr(self.live.cache, "budget", float(v)))
        self.live.opened.connect(self._opened)
        self.live.failed.connect(self._failed)
        self.live.cleared.connect(self._cleared)
        self.live.status.connect(self._say)
        self.live.drawn.connect(self._judged)
        self.session.progress.connect(self._progressed)
        self.session.ended.connect(self._ended)

    def at_work(self) -> bool:
        """Whether the camera is followed."""
        return self.live.following

    def _layer_changed(self, *changes: Any) -> None:
        super()._layer_changed(*changes)
        for note in (self.warning, self.risk):
            note.setText("")  # of the layer before
        if self.live.facts is not None and self.live.layer is self.layer:
            self._tell(self.live.facts)
        self._judged()

    def _model_changed(self, *_: Any) -> None:
        super()._model_changed()
        if self.model is None or self.layer is None:
            return
        if self.follow.isChecked() and not self._quiet:
            self.start(follow=True)

    # -- live ----------------------------------------------------------------------------------

    def order(self) -> dict[str, Any]:
        """What is asked for besides the source."""
        more = {"samples": self.samples.value(), "tolerance": self.tolerance.currentText()}
        return super().order() | more

    def start(self, *, follow: bool) -> None:
        """Enhance what is on the screen."""
        try:
            check(self.layer)
        except SciupError as error:
            self._complain(str(error))
            self.follow.setChecked(False)
            return
        self.warning.setText("")
        self._live_on = True
        self._stoppable()
        self.live.enhance(self.layer, follow, **self.order())

    def _follow(self, on: bool) -> None:
        if on:
            self.start(follow=True)
        else:
            self._stop_live()

    def values_stated(self) -> None:
        """Enhance anew, or say how."""
        self.status.setText("values stated: press Preview view")
        if self.follow.isChecked():
            self.start(follow=True)

    def _opened(self, facts: Opened) -> None:
        self._check_follow()
        self._live_on = self._live_on or self.live.following
        self._stoppable()
        self._tell(facts)
        for text in facts.warnings:
            show_warning(text)

    def _tell(self, facts: Opened) -> None:
        if self.live.layer is not self.layer:  # but a result, or the layer before
            return
        self.table.fill(facts.instrument)
        self.risk.setText(f"Risk: {facts.words}.")
        self.risk.setStyleSheet("" if facts.calibrated else WARNING)
        self.warning.setText("\n".join(facts.warnings))

    def _judged(self) -> None:
        """Say where the risk promises nothing: whoever has no lens open must know, too."""
        mine = self.live.layer is self.layer
        self.domain.setText(domain_words(*self.live.strange) if mine else "")

    def _catch_up(self, facts: Opened) -> None:
        """Show what goes on since before this widget was opened."""
        where = self.layer_box.findData(self.live.layer)
        if where < 0:  # a finished result is looked at
            return
        self._quiet = True
        self.layer_box.setCurrentIndex(where)
        self._quiet = False
        self._check_follow()
        self._tell(facts)

    def _check_follow(self) -> None:
        with silent(self.follow):
            self.follow.setChecked(self.live.following and self.live.layer is self.layer)

    def _failed(self, text: str) -> None:
        self._check_follow()
        self._live_on = self.live.following
        self._stoppable()
        self._complain(text)

    def _complain(self, text: str) -> None:
        """Say what is wrong here, too: a notification shows half a line, and goes."""
        text = in_words(text)
        show_error(text)
        self.warning.setText(text.partition("\n")[0])

    def _say(self, text: str) -> None:
        """What the live view does, and of which layer if another one is chosen."""
        live = self.live.layer
        other = text and live is not None and live is not self.layer
        self.status.setText(f"{live.name}: {text}" if other else text)

    def _cleared(self) -> None:
        """The layer that was enhanced is gone."""
        self._live_on = False
        self._check_follow()
        self._stoppable()
        for note in (self.warning, self.risk, self.domain):
            note.setText("")

    def stop(self) -> None:
        """Cancel the run; if there is none, stop the live view."""
        if self.session.busy:
            self.session.cancel()
        elif self.follow.isChecked():
            self.follow.setChecked(False)
        else:
            self._stop_live()

    def _stop_live(self) -> None:
        self.live.stop()
        self._live_on = False
        self._stoppable()

    def _stoppable(self) -> None:
        """Let the button say what it stops."""
        self.cancel.setText("Cancel run" if self.session.busy else "Stop")
        self.cancel.setEnabled(self.session.busy or self._live_on)

    # -- runs ----------------------------------------------------------------------------------

    def run_region(self) -> None:
        """Make a result of a rectangle and open it."""
        from sciup_napari.regions import region_of

        try:
            roi = region_of(self.viewer, self.layer)
        except SciupError as error:
            show_info(str(error))
            self.status.setText(str(error))
            return
        self._run(self.session.temporary_output(), roi=roi, keep=True)

    def run_all(self) -> None:
        """Make a result of the whole layer; ask where it goes and who computes."""
        from sciup_napari.run_dialog import RunDialog

        dialog = RunDialog(self.layer.name, parent=self)
        if dialog.exec():
            self._run(dialog.output, machines=dialog.machines, **dialog.how)

    def _run(self, output: str, **how: Any) -> None:
        try:
            self.session.run(self.layer, self.order(), output, **how)
        except SciupError as error:
            self._complain(str(error))
            return
        self._stoppable()
        self.progress.setRange(0, 0)
        self.progress.show()
        self.status.setText("run: starting")

    def _progressed(self, done: int, total: int) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        self.status.setText(f"run: {done} of {total} windows")

    def _ended(self, text: str) -> None:
        if not self.session.busy:  # the last layers of a result may come while the next run goes on
            self.progress.hide()
            self.status.setText(text)
        self._stoppable()
