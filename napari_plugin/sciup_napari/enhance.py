"""The widget with which a layer is enhanced."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from sciup.errors import SciupError
from sciup_napari.instrument_table import InstrumentTable
from sciup_napari.layer_source import check
from sciup_napari.messages import Opened
from sciup_napari.models import Choice, fitting, own, size_words
from sciup_napari.session import bare, session_of

OTHER = "another folder…"

TOLERANCES = ("3sigma", "1sigma", "10%")


class EnhanceWidget(QScrollArea):
    """Choose a layer and a model, and see more.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The name is what napari fills in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = bare(napari_viewer)
        self.session = session_of(napari_viewer)
        self.live = self.session.live
        self._given: WeakKeyDictionary[Any, dict[str, float]] = WeakKeyDictionary()
        self._quiet = False
        self._live_on = self.live.following
        self._build()
        self._connect()
        self.refresh_layers()
        if self.live.facts is not None:
            self._catch_up(self.live.facts)
        self._stoppable()
        self.live.warm_up()

    # -- how it looks --------------------------------------------------------------------------

    def _build(self) -> None:
        self.layer_box, self.model_box = QComboBox(), QComboBox()
        self.about, self.pixels = _note(), _note()
        self.preview = QPushButton("Preview view")
        self.preview.setToolTip("Enhance what is on the screen now")
        self.follow = QCheckBox("Live zoom")
        self.follow.setToolTip("Go on enhancing as you pan and zoom")
        self.region, self.everything = QPushButton("Run on region"), QPushButton("Run on all…")
        self.region.setToolTip("Make a result of the last rectangle of a Shapes layer")
        self.everything.setToolTip("Make a result file of the whole layer, here or on a cluster")
        self.cancel = QPushButton("Stop")
        self.progress = QProgressBar()
        self.progress.hide()
        self.status, self.risk, self.warning = _note(), _note(), _note()
        self.warning.setObjectName("sciup-warning")
        self.warning.setStyleSheet("color: #E69F00;")
        self.table = InstrumentTable()
        self.table.setMinimumHeight(150)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("layer", self.layer_box)
        form.addRow("model", self.model_box)
        rows: tuple[Any, ...] = (
            form, self.about, self.pixels,
            _row(self.preview, self.follow), _row(self.region, self.everything),
            self.progress, _row(self.status, self.cancel), self.warning,
            QLabel("<b>Instrument</b>"), self.table, self.risk, self._more(),
        )  # fmt: skip
        body = QWidget()
        layout = QVBoxLayout(body)
        for row in rows:
            layout.addWidget(row) if isinstance(row, QWidget) else layout.addLayout(row)
        layout.addStretch()
        self.setWidget(body)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(300)

    def _more(self) -> QCollapsible:
        self.samples, self.seed, self.budget = _spin(1, 64, 16), _spin(0, 2**31 - 1, 0), QSpinBox()
        self.budget.setRange(100, 64000)
        self.budget.setSingleStep(500)
        self.budget.setValue(int(self.live.cache.budget))
        self.budget.setSuffix(" MB")
        self.tolerance, self.device = QComboBox(), QComboBox()
        self.tolerance.addItems(TOLERANCES)
        self.tolerance.setToolTip("How far off a 3 px mean must be to count as wrong")
        self.samples.setToolTip("Draws that vote; one more is shown. Models are calibrated for 16")
        self.device.addItems(("auto", "cpu", "cuda"))
        inner = QWidget()
        form = QFormLayout(inner)
        for label, widget in (
            ("samples", self.samples), ("seed", self.seed), ("tolerance", self.tolerance),
            ("device", self.device), ("memory", self.budget),
        ):  # fmt: skip
            form.addRow(label, widget)
        box = QCollapsible("More")
        box.setContent(inner)
        box.collapse(animate=False)
        return box

    def _connect(self) -> None:
        layers, refresh, activated = self.viewer.layers, self.refresh_layers, self._activated
        changes = (layers.events.inserted, layers.events.removed, layers.events.reordered)
        for event in changes:
            event.connect(refresh)
        layers.selection.events.active.connect(activated)

        def unbind(*_: Any) -> None:
            for event in changes:
                event.disconnect(refresh)
            layers.selection.events.active.disconnect(activated)

        self.destroyed.connect(unbind)
        self.layer_box.currentIndexChanged.connect(self._layer_changed)
        self.model_box.currentIndexChanged.connect(self._model_changed)
        self.model_box.activated.connect(self._other_model)
        self.preview.clicked.connect(lambda: self.start(follow=self.follow.isChecked()))
        self.follow.toggled.connect(self._follow)
        self.region.clicked.connect(self.run_region)
        self.everything.clicked.connect(self.run_all)
        self.cancel.clicked.connect(self.stop)
        self.budget.valueChanged.connect(lambda v: setattr(self.live.cache, "budget", float(v)))
        self.table.stated.connect(self._stated)
        self.live.opened.connect(self._opened)
        self.live.failed.connect(self._failed)
        self.live.cleared.connect(self._cleared)
        self.live.status.connect(self.status.setText)
        self.session.progress.connect(self._progressed)
        self.session.ended.connect(self._ended)

    # -- layers and models ---------------------------------------------------------------------

    def refresh_layers(self, *_: Any) -> None:
        """Offer the image layers that there are, but not what sciup itself has made.

        Nothing begins here: if the layer that is enhanced goes, the live view ends.
        """
        chosen = self.layer
        offered = [
            layer
            for layer in reversed(self.viewer.layers)  # as in the list: the topmost first
            if type(layer).__name__ == "Image" and not self.session.made(layer)
        ]
        self.layer_box.blockSignals(True)
        self.layer_box.clear()
        for layer in offered:
            self.layer_box.addItem(layer.name, layer)
        wanted = chosen if chosen in offered else self.viewer.layers.selection.active
        self.layer_box.setCurrentIndex(offered.index(wanted) if wanted in offered else 0)
        self.layer_box.blockSignals(False)
        if self.layer is not chosen:
            self._quiet = True
            self._layer_changed()
            self._quiet = False
        for button in (self.preview, self.follow, self.region, self.everything):
            button.setEnabled(self.layer is not None)

    @property
    def layer(self) -> Any:
        """The layer that is chosen."""
        return self.layer_box.currentData()

    @property
    def model(self) -> Choice | None:
        """The model that is chosen."""
        found = self.model_box.currentData()
        return found if isinstance(found, Choice) else None

    def _activated(self, event: Any) -> None:
        """Follow the layer list, unless something is going on."""
        where = self.layer_box.findData(event.value)
        if where >= 0 and not self.live.following:
            self.layer_box.setCurrentIndex(where)

    def _layer_changed(self, *_: Any) -> None:
        self.table.given = {}
        if self.layer is not None:  # sample data know their instrument
            known = self.layer.metadata.get("sciup", {}).get("given", {})
            self.table.given = self._given.setdefault(self.layer, dict(known))
        self.table.fill_given()
        self.model_box.blockSignals(True)
        self.model_box.clear()
        for choice in fitting(self.layer) if self.layer is not None else ():
            self.model_box.addItem(choice.label, choice)
            index = self.model_box.count() - 1
            self.model_box.setItemData(index, choice.about, Qt.ItemDataRole.ToolTipRole)
        if self.layer is not None:
            self.model_box.addItem(OTHER)
        self.model_box.blockSignals(False)
        self._model_changed()

    def add_model(self, folder: Path) -> None:
        """Offer a model folder of the user, and choose it."""
        try:
            choice = own(folder)
        except SciupError as error:
            show_error(str(error))
            self.model_box.setCurrentIndex(0)
            return
        self.model_box.insertItem(0, choice.label, choice)
        self.model_box.setCurrentIndex(0)

    def _other_model(self, _: int) -> None:
        """Ask for a folder, if the user has chosen to be asked."""
        if self.model_box.currentText() != OTHER:
            return
        folder = QFileDialog.getExistingDirectory(self, "A model folder of sciup train")
        self.add_model(Path(folder)) if folder else self.model_box.setCurrentIndex(0)

    def _model_changed(self, *_: Any) -> None:
        if self.model is None or self.layer is None:
            none = "" if self.model_box.count() > 1 else f"No model is here: choose {OTHER!r}."
            self.about.setText("Open an image first." if self.layer is None else none)
            self.pixels.setText("")
            return
        self.about.setText(self.model.about)
        self.pixels.setText(size_words(self.layer, self.model.scale))
        if self.follow.isChecked() and not self._quiet:
            self.start(follow=True)

    # -- live ----------------------------------------------------------------------------------

    def order(self) -> dict[str, Any]:
        """What is asked for besides the source."""
        return {
            "model": str(self.model.folder) if self.model else None,
            "samples": self.samples.value(),
            "seed": self.seed.value(),
            "tolerance": self.tolerance.currentText(),
            "instrument": dict(self.table.given),
            "device": self.device.currentText(),
        }

    def start(self, *, follow: bool) -> None:
        """Enhance what is on the screen."""
        try:
            check(self.layer)
        except SciupError as error:
            show_error(str(error))
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

    def _stated(self) -> None:
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
        if self.live.layer is self.layer:  # not that of a result, or of the layer before
            self.table.fill(facts.instrument)
        self.risk.setText(f"Risk: {facts.words}.")
        self.warning.setText("\n".join(facts.warnings))

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
        self.follow.blockSignals(True)
        self.follow.setChecked(self.live.following and self.live.layer is self.layer)
        self.follow.blockSignals(False)

    def _failed(self, text: str) -> None:
        self._check_follow()
        self._live_on = self.live.following
        self._stoppable()
        show_error(text)

    def _cleared(self) -> None:
        """The layer that was enhanced is gone."""
        self._live_on = False
        self._check_follow()
        self._stoppable()
        self.warning.setText("")
        self.risk.setText("")

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
            show_error(str(error))
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
        self.progress.hide()
        self.status.setText(text)
        self._stoppable()


def _note() -> QLabel:
    label = QLabel("")
    label.setWordWrap(True)
    return label


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row


def _spin(low: int, high: int, value: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(low, high)
    box.setValue(value)
    return box
