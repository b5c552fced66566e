"""The trust lens: what of the enhanced image can be believed."""

from __future__ import annotations

from functools import partial
from typing import Any

from sciup_napari.lens_panel import CLICK, SHOWS, LensPanel
from sciup_napari.lens_words import (
    alarm_words,
    domain_words,
    pixel_words,
    place_words,
    shown_words,
    tolerance_words,
)
from sciup_napari.parts import BLINK, run, silent, ticking
from sciup_napari.place import grid_of
from sciup_napari.readout import chosen
from sciup_napari.session import bare, session_of

TOLERANCE_STEP = 0.1
"""Sigmas per step of the slider."""

ANIMATE = 350
"""Milliseconds per draw."""

GAP = 4
"""Pixels of the screen between the halves that are side by side."""


class TrustLens(LensPanel):
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
        self._asked: Any = None  # position in the world of the pixel that is told of
        self._animation = ticking(self, ANIMATE, self._next_frame)
        self._blinking = ticking(self, BLINK, self._wink)
        self._connect()
        self._bind()
        if self.live.facts is not None:
            self._opened(self.live.facts)

    def _connect(self) -> None:
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
        self.animate.toggled.connect(partial(run, self._animation))
        self.blink.toggled.connect(self._blink)
        self.beside.toggled.connect(self._beside)
        self.result.clicked.connect(lambda: self.live.show_result(self._result_layer()))
        self.live.opened.connect(self._opened)
        self.live.drawn.connect(self._words)
        self.live.cleared.connect(self._cleared)

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

    def _next_frame(self) -> None:
        """The next draw, once the risk of the one that is shown is there."""
        if not self.live.counting:
            self.flip()

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
        windows = self.live.windows(whole=True)
        if not windows or self.live.frame is None:
            return
        number = chosen(self.live.frame.draws(windows)[:, ::4, ::4])[name]
        show = "sample" if self.live.lens.show == "mean" else self.live.lens.show
        self.live.set_lens(draw=number, chosen=name, show=show)
        self._follow_lens()
        self._words()

    def _blink(self, on: bool) -> None:
        run(self._blinking, on)
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
        grid = grid_of(self.viewer)
        if on:
            grid.shape, grid.spacing = (1, 2), GAP
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
        """Tell of the pixel at a position in the world, and again when something else is shown."""
        self._asked, facts = position, self.live.at(position)
        self.histogram.show_facts(facts)
        self.place.setText(place_words(facts))
        self.pixel.setText("Nothing is enhanced here yet." if facts is None else pixel_words(facts))

    # -- what it says --------------------------------------------------------------------------

    def _opened(self, facts: Any) -> None:
        in_sigmas = facts.tolerance.endswith("sigma")
        self.tolerance.setEnabled(in_sigmas and facts.countable)
        with silent(self.draw):
            self.draw.setMaximum(facts.samples)
        self._follow_lens()
        self._words()

    def _follow_lens(self) -> None:
        """Let every control say what is shown."""
        lens, tolerance = self.live.lens, self.live.tolerance
        radio = self.shows.button(list(SHOWS).index(lens.show))
        with silent(
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
        with silent(self.alarm):
            self.alarm.setValue(round(100 * self.live.alarm))

    def _words(self) -> None:
        """Say what is certified and what is not."""
        if self.live.facts is None:
            return
        self.domain.setText(domain_words(*self.live.strange))
        self.tolerance_words.setText(tolerance_words(self.live))
        self.alarm_words.setText(alarm_words(self.live))
        self.shown.setText(shown_words(self.live))
        if self._asked is not None:
            self.ask(self._asked)
        if self.live.lens.alarm is None:
            self._level()

    def _cleared(self) -> None:
        """Nothing is enhanced any longer: what was said of it is of nothing."""
        self._asked = None
        self.histogram.show_facts(None)
        self.place.setText(place_words(None))
        self.pixel.setText(CLICK)
        for note in (self.domain, self.tolerance_words, self.alarm_words, self.shown):
            note.setText("")


def _pressed(action: Any) -> Any:
    """A key binding, which napari calls with the viewer."""

    def press(_: Any) -> None:
        action()

    return press
