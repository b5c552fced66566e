"""The trust lens: what of the enhanced image can be believed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from sciup_napari.histogram import Histogram
from sciup_napari.lens_state import OVERLAYS
from sciup_napari.readout import chosen, summary
from sciup_napari.session import bare, session_of

SHOWS = {
    "sample": ("Draw", "One sharp image that agrees with the data"),
    "mean": ("Mean", "Mean of all draws: nearest to the truth on average (Alt-M)"),
    "blend": ("Blend", "The draw, fading to the mean where it is risky"),
    "mix": ("Mix", "Sharpness by hand, from the mean to the draw: not calibrated"),
}

CHOSEN = {
    "nearest": "The draw nearest to the mean on this screen: chosen, so its risk is not calibrated",
    "typical": "The draw of middle distance from the mean on this screen: chosen",
    "farthest": "The draw farthest from the mean on this screen: chosen",
}

TOLERANCE_STEP = 0.1
"""Sigmas per step of the slider."""

ANIMATE, BLINK = 350, 500
"""Milliseconds per draw, and per half of a blink."""


class TrustLens(QScrollArea):
    """Look at the draws, at where they disagree, and at one pixel.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The name is what napari fills in.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = bare(napari_viewer)
        self.live = session_of(napari_viewer).live
        self._build()
        self._connect()
        self._bind()
        if self.live.facts is not None:
            self._opened(self.live.facts)

    # -- how it looks --------------------------------------------------------------------------

    def _build(self) -> None:
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.addLayout(self._show_rows())
        layout.addLayout(self._trust_rows())
        self.pixel, self.histogram = QLabel("Click on the image to ask about a pixel."), Histogram()
        self.pixel.setWordWrap(True)
        self.pixel.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout.addWidget(QLabel("<b>Pixel</b>"))
        layout.addWidget(self.histogram)
        layout.addWidget(self.pixel)
        layout.addStretch()
        self.setWidget(body)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(300)

    def _show_rows(self) -> QVBoxLayout:
        self.shows = QButtonGroup(self)
        radios = QHBoxLayout()
        for i, (label, tip) in enumerate(SHOWS.values()):
            radio = QRadioButton(label)
            radio.setToolTip(tip)
            radio.setChecked(i == 0)
            self.shows.addButton(radio, i)
            radios.addWidget(radio)
        self.draw = QSpinBox()
        self.draw.setRange(0, 16)
        self.draw.setPrefix("draw ")
        self.animate, self.blink = QCheckBox("Animate"), QCheckBox("Blink")
        self.draw.setToolTip("Alt-N: the next one")
        self.animate.setToolTip("Show one draw after the other, each with its own risk")
        self.blink.setToolTip("Input and enhanced image in turn (Alt-B)")
        draws = _row(self.draw, self.animate, self.blink)
        picks = QHBoxLayout()
        self.picks = {}
        for name, tip in CHOSEN.items():
            button = QPushButton(name.capitalize())
            button.setToolTip(tip)
            picks.addWidget(button)
            self.picks[name] = button
        self.mix, self.swipe = _slider(0, 100, 50), _slider(0, 100, 0)
        self.mix.setToolTip("From the mean (left) to the draw (right); not calibrated")
        self.swipe.setToolTip("Share of the view, from the left, that shows the input")
        self.mix_row = QWidget()
        mixing = QHBoxLayout(self.mix_row)
        mixing.setContentsMargins(0, 0, 0, 0)
        for widget in (QLabel("mean"), self.mix, QLabel("draw")):
            mixing.addWidget(widget)
        self.mix_row.hide()
        self.beside = QCheckBox("side by side")
        self.beside.setToolTip("Input, or any layer just below, beside the enhanced image")
        swipe = QFormLayout()
        swipe.addRow("swipe to input", self.swipe)
        swipe.addRow("", self.beside)
        self.shown = QLabel("")
        self.shown.setWordWrap(True)
        self.result = QPushButton("Look at this result")
        self.result.setToolTip(
            "Show the draws and the risk of the result that is chosen in the list"
        )
        self.result.hide()
        rows = QVBoxLayout()
        rows.addWidget(self.result)
        rows.addWidget(QLabel("<b>Show</b>"))
        for part in (radios, draws, picks):
            rows.addLayout(part)
        rows.addWidget(self.mix_row)
        rows.addLayout(swipe)
        rows.addWidget(self.shown)
        return rows

    def _trust_rows(self) -> QVBoxLayout:
        self.overlay, self.contour = QComboBox(), QCheckBox("line around flagged pixels")
        self.overlay.addItems(OVERLAYS)
        self.overlay.setCurrentText("risk")
        self.overlay.setToolTip("Alt-T: the next one")
        self.tolerance, self.alarm = _slider(5, 100, 30), _slider(1, 99, 30)
        self.tolerance_words, self.alarm_words = QLabel(), QLabel()
        self.domain = QLabel()
        for label in (self.tolerance_words, self.alarm_words, self.domain):
            label.setWordWrap(True)
        self.domain.setStyleSheet("color: #E69F00;")
        self.reset = QPushButton("Calibrated values")
        self.reset.setToolTip("Back to the tolerance of the order and the calibrated alarm")
        form = QFormLayout()
        form.addRow("overlay", self.overlay)
        form.addRow("", self.contour)
        form.addRow("tolerance", self.tolerance)
        form.addRow("", self.tolerance_words)
        form.addRow("alarm at", self.alarm)
        form.addRow("", self.alarm_words)
        form.addRow("", self.reset)
        rows = QVBoxLayout()
        rows.addWidget(QLabel("<b>Trust</b>"))
        rows.addWidget(self.domain)
        rows.addLayout(form)
        return rows

    def _connect(self) -> None:
        live = self.live
        self.shows.idClicked.connect(self._show)
        self.draw.valueChanged.connect(lambda k: self._set(draw=k))
        self.mix.valueChanged.connect(lambda v: self._set(mix=v / 100))
        self.swipe.valueChanged.connect(lambda v: self._set(swipe=v / 100))
        self.overlay.currentTextChanged.connect(lambda text: self._set(overlay=text))
        self.contour.toggled.connect(lambda on: self._set(contour=on))
        self.tolerance.valueChanged.connect(self._tolerance)
        self.alarm.valueChanged.connect(lambda v: self._set(alarm=v / 100))
        self.reset.clicked.connect(self._reset)
        for name, button in self.picks.items():
            button.clicked.connect(lambda _=False, n=name: self._pick(n))
        self._animation, self._blinking = QTimer(self), QTimer(self)
        self._animation.setInterval(ANIMATE)
        self._blinking.setInterval(BLINK)
        self._animation.timeout.connect(self.flip)
        self._blinking.timeout.connect(self._wink)
        self.animate.toggled.connect(_runs(self._animation))
        self.blink.toggled.connect(self._blink)
        self.beside.toggled.connect(self._beside)
        self.result.clicked.connect(lambda: live.show_result(self._result_layer()))
        live.opened.connect(self._opened)
        live.drawn.connect(self._words)

    def _bind(self) -> None:
        """Keys, clicks and the layer list, as long as there is this widget."""
        viewer, clicked, selected = self.viewer, self._clicked, self._selected
        active = viewer.layers.selection.events.active
        keys = [
            (key, _pressed(action))
            for key, action in (
                ("Alt-N", self.flip),
                ("Alt-B", self.blink.toggle),
                ("Alt-M", self._mean_or_draw),
                ("Alt-T", self._next_overlay),
            )
        ]
        for key, press in keys:
            viewer.bind_key(key, press, overwrite=True)
        viewer.mouse_drag_callbacks.append(clicked)
        active.connect(selected)
        presses = [press for _, press in keys]

        def unbind(*_: Any) -> None:
            active.disconnect(selected)
            if clicked in viewer.mouse_drag_callbacks:
                viewer.mouse_drag_callbacks.remove(clicked)
            for key, action in list(viewer.keymap.items()):
                if action in presses:  # a later lens may have taken the key
                    del viewer.keymap[key]

        self.destroyed.connect(unbind)
        self._selected()

    # -- what the user does --------------------------------------------------------------------

    def flip(self) -> None:
        """Show the next draw."""
        self.draw.setValue((self.draw.value() + 1) % (self.draw.maximum() + 1))

    def _set(self, **changes: Any) -> None:
        self.live.set_lens(**changes)
        self._words()

    def _show(self, number: int) -> None:
        name = list(SHOWS)[number]
        self.mix_row.setVisible(name == "mix")
        self._set(show=name)

    def _tolerance(self, steps: int) -> None:
        sigmas = round(steps * TOLERANCE_STEP, 3)
        facts = self.live.facts
        same = facts is not None and facts.tolerance == f"{sigmas:g}sigma"
        self._set(tolerance=None if same else sigmas)

    def _reset(self) -> None:
        ordered = self.live.facts.tolerance if self.live.facts is not None else "3sigma"
        if ordered.endswith("sigma"):
            self.tolerance.setValue(round(float(ordered.removesuffix("sigma")) / TOLERANCE_STEP))
        self._set(tolerance=None, alarm=None)
        self._level()

    def _selected(self, *_: Any) -> None:
        self.result.setVisible(bool(self._result_layer()))

    def _pick(self, name: str) -> None:
        """Show a draw by its distance from the mean; it is said to be chosen."""
        windows = self.live.windows()
        if not windows or self.live.frame is None:
            return
        number = chosen(self.live.frame.draws(windows)[:, ::4, ::4])[name]
        show = "sample" if self.live.lens.show == "mean" else self.live.lens.show
        self.live.set_lens(draw=number, chosen=name, show=show)
        self._follow_lens()
        self._words()

    def _blink(self, on: bool) -> None:
        _runs(self._blinking)(on)
        if not on and self.live.image is not None:
            self.live.image.visible = True

    def _wink(self) -> None:
        if self.live.image is not None:
            self.live.image.visible = not self.live.image.visible

    def _result_layer(self) -> Any:
        """The chosen layer, if it is a map of a finished result."""
        layer = self.viewer.layers.selection.active
        ours = {} if layer is None else layer.metadata.get("sciup", {})
        return layer if "map" in ours and "path" in ours else None

    def _beside(self, on: bool) -> None:
        """Show the live layers in one cell of a grid and those below in the other."""
        grid = self.viewer.grid
        if on:
            grid.shape = (1, 2)
            grid.stride = -max(self.live.layer_count, 1)
        grid.enabled = on

    def _mean_or_draw(self) -> None:
        number = 0 if self.live.lens.show == "mean" else 1
        self.shows.button(number).setChecked(True)
        self._show(number)

    def _next_overlay(self) -> None:
        self.overlay.setCurrentIndex((self.overlay.currentIndex() + 1) % self.overlay.count())

    def _clicked(self, _: Any, event: Any) -> Any:
        """Tell of the pixel that was clicked on; a drag moves the view as usual."""
        yield
        dragged = False
        while event.type == "mouse_move":
            dragged = True
            yield
        if not dragged:
            self.ask(event.position)

    def ask(self, position: Any) -> None:
        """Tell of the pixel at a position in the world."""
        facts = self.live.at(position)
        self.histogram.show_facts(facts)
        self.pixel.setText("Nothing is enhanced here yet." if facts is None else words_of(facts))

    # -- what it says --------------------------------------------------------------------------

    def _opened(self, facts: Any) -> None:
        in_sigmas = facts.tolerance.endswith("sigma")
        self.tolerance.setEnabled(in_sigmas and facts.countable)
        with _silent(self.draw):
            self.draw.setMaximum(facts.samples)
        self._follow_lens()
        self._words()

    def _follow_lens(self) -> None:
        """Let every control say what is shown."""
        lens, tolerance = self.live.lens, self.live.tolerance
        radio = self.shows.button(list(SHOWS).index(lens.show))
        with _silent(
            self.draw, self.mix, self.swipe, self.overlay, self.contour, self.tolerance, radio
        ):
            self.draw.setValue(lens.draw)
            self.mix.setValue(round(100 * lens.mix))
            self.swipe.setValue(round(100 * lens.swipe))
            self.overlay.setCurrentText(lens.overlay)
            self.contour.setChecked(lens.contour)
            radio.setChecked(True)
            if tolerance.endswith("sigma"):
                sigmas = float(tolerance.removesuffix("sigma"))
                self.tolerance.setValue(round(sigmas / TOLERANCE_STEP))
        self.mix_row.setVisible(lens.show == "mix")
        self._level()

    def _level(self) -> None:
        with _silent(self.alarm):
            self.alarm.setValue(round(100 * self.live.alarm))

    def _words(self) -> None:
        """Say what is certified and what is not."""
        live, lens = self.live, self.live.lens
        if live.facts is None:
            return
        strange, windows = live.strange
        self.domain.setText(domain_words(strange, windows))
        calibrated = self._calibrated and not lens.chosen
        certified = calibrated and lens.show == "sample" and not strange
        words = "certified" if certified else "exploratory: not certified"
        if calibrated and lens.show != "sample":
            words = f"of draw {lens.draw}, not of what is shown"
        elif lens.show != "sample":
            words += f"; of draw {lens.draw}, not of what is shown"
        elif calibrated and strange:
            words = "calibrated, but out of domain here"
        self.tolerance_words.setText(f"{live.tolerance.replace('sigma', ' sigma')} — {words}")
        own = lens.alarm is not None
        level = "calibrated level" if certified and not own else "exploratory"
        share = live.flagged_share
        flags = "" if share is None else f"; {100 * share:.0f} % of the screen flagged"
        self.alarm_words.setText(f"risk {live.alarm:.2f} — {level}{flags}")
        if not own:
            self._level()
        if lens.chosen:
            text = f"{lens.chosen} draw of this screen — chosen, not typical of a result"
        else:
            text = "sharpness set by hand — not calibrated" if lens.show == "mix" else ""
        self.shown.setText(text)

    @property
    def _calibrated(self) -> bool:
        """Whether the risk of a draw is calibrated at the tolerance that is shown."""
        live, facts = self.live, self.live.facts
        if facts is None or live.tolerance in live.judge.certified:
            return facts is not None
        # as the engine found it
        return facts.calibrated and live.lens.draw == 0 and live.tolerance == facts.tolerance


def domain_words(strange: int, windows: int) -> str:
    """What the badge says of the windows on the screen.

    Examples
    --------
    >>> domain_words(0, 6)
    ''
    """
    if not strange:
        return ""
    return (
        f"Out of domain: {strange} of {windows} windows here look unlike the fields of the"
        " calibration. Their risk is not certified."
    )


def words_of(facts: Any) -> str:
    """One pixel in words."""
    lines = [summary(facts)]
    lines.append(
        f"Value {facts['shown']:.4g}, spread {facts['std']:.3g}, S/N of the input"
        f" {facts['snr']:.1f}."
    )
    if np.isfinite(facts["support"]):
        lines.append(
            f"{100 * facts['support']:.0f} % of the detail here was measured, the rest drawn."
        )
    if facts["chi_squared"] is not None and np.isfinite(facts["chi_squared"]):
        surprise = facts["chi_squared"]
        said = "as expected"
        if surprise >= 2:
            said = f"strange (1 in {10**surprise:.0f})" if surprise < 7 else "very strange"
        lines.append(f"Fit to the data (chi squared of this window): {said}.")
    return "\n".join(lines)


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget)
    return row


def _slider(low: int, high: int, value: int) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setValue(value)
    return slider


@contextmanager
def _silent(*widgets: Any) -> Iterator[None]:
    """Change widgets as if nobody had."""
    before = [widget.blockSignals(True) for widget in widgets]
    yield
    for widget, blocked in zip(widgets, before, strict=True):
        widget.blockSignals(blocked)


def _pressed(action: Any) -> Any:
    """A key binding, which napari calls with the viewer."""

    def press(_: Any) -> None:
        action()

    return press


def _runs(timer: QTimer) -> Any:
    return lambda on: timer.start() if on else timer.stop()
