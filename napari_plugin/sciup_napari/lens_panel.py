"""How the trust lens looks: its controls, without what they do."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from sciup_napari.docked import Docked
from sciup_napari.histogram import Histogram
from sciup_napari.lens_state import OVERLAYS
from sciup_napari.lens_words import place_words
from sciup_napari.parts import Note, column, fill, form, row, slider, spin, warning

SHOWS = {
    "sample": ("Draw", "One sharp image that agrees with the data"),
    "mean": ("Mean", "Mean of all draws: nearest to the truth on average (Alt-M)"),
    "blend": ("Blend", "The draw, fading to the mean where it is risky"),
    "mix": ("Mix", "Sharpness by hand, from the mean to the draw: not calibrated"),
}

CLICK = "Click on the enhanced image to ask about a pixel."

CHOSEN = {
    "nearest": "The draw nearest to the mean on this screen: chosen, so its risk is not calibrated",
    "typical": "The draw of middle distance from the mean on this screen: chosen",
    "farthest": "The draw farthest from the mean on this screen: chosen",
}


class LensPanel(Docked):
    """What is shown, what can be trusted, and one pixel, from top to bottom."""

    def __init__(self) -> None:
        super().__init__()
        self.pixel, self.histogram = Note(), Histogram()
        self.place = QLabel(place_words(None))
        self.pixel.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        parts = (self._show_part(), self._trust_part(), self.place)
        fill(self, column(*parts, self.histogram, self.pixel))
        self.pixel.setText(CLICK)

    def _show_part(self) -> QVBoxLayout:
        self.result = QPushButton("Look at this result")
        self.result.setToolTip(
            "Show the draws and the risk of the result that is chosen in the list"
        )
        self.result.hide()
        self.shown = Note()
        self.swipe, self.beside = slider(0, 100, 0), QCheckBox("side by side")
        self.swipe.setToolTip("Share of the view, from the left, that shows the input")
        self.beside.setToolTip("Input, or any layer just below, beside the enhanced image")
        compare = form(("swipe to input", self.swipe), ("", self.beside))
        return column(
            self.result, QLabel("<b>Show</b>"), self._radios(), self._draws(), self._picks(),
            self._mixing(), compare, self.shown,
        )  # fmt: skip

    def _radios(self) -> QHBoxLayout:
        self.shows = QButtonGroup(self)
        radios = [QRadioButton(label) for label, _ in SHOWS.values()]
        for i, (radio, (_, tip)) in enumerate(zip(radios, SHOWS.values(), strict=True)):
            radio.setToolTip(tip)
            self.shows.addButton(radio, i)
        radios[0].setChecked(True)
        return row(*radios)

    def _draws(self) -> QHBoxLayout:
        self.draw = spin(0, 16, 0)
        self.draw.setPrefix("draw ")
        self.animate, self.blink = QCheckBox("Animate"), QCheckBox("Blink")
        self.draw.setToolTip("Alt-N: the next one")
        self.animate.setToolTip("Show one draw after the other, each with its own risk")
        self.blink.setToolTip("Input and enhanced image in turn (Alt-B)")
        return row(self.draw, self.animate, self.blink)

    def _picks(self) -> QHBoxLayout:
        self.picks = {name: QPushButton(name.capitalize()) for name in CHOSEN}
        for name, button in self.picks.items():
            button.setToolTip(CHOSEN[name])
        return row(*self.picks.values())

    def _mixing(self) -> QWidget:
        self.mix = slider(0, 100, 50)
        self.mix.setToolTip("From the mean (left) to the draw (right); not calibrated")
        self.mix_row = QWidget()
        mixing = row(QLabel("mean"), self.mix, QLabel("draw"))
        mixing.setContentsMargins(0, 0, 0, 0)
        self.mix_row.setLayout(mixing)
        self.mix_row.hide()
        return self.mix_row

    def _trust_part(self) -> QVBoxLayout:
        self.overlay, self.contour = QComboBox(), QCheckBox("line around flagged pixels")
        self.overlay.addItems(OVERLAYS)
        self.overlay.setCurrentText("risk")
        self.overlay.setToolTip("Alt-T: the next one")
        self.tolerance, self.alarm = slider(5, 100, 30), slider(1, 99, 30)
        self.tolerance_words, self.alarm_words, self.domain = Note(), Note(), warning()
        self.reset = QPushButton("Calibrated values")
        self.reset.setToolTip("Back to the tolerance of the order and the calibrated alarm")
        rows = form(
            ("overlay", self.overlay), ("", self.contour),
            ("tolerance", self.tolerance), ("", self.tolerance_words),
            ("alarm at", self.alarm), ("", self.alarm_words), ("", self.reset),
        )  # fmt: skip
        return column(QLabel("<b>Trust</b>"), self.domain, rows)
