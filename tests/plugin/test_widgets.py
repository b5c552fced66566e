"""The widgets and what they share, without a child process."""

import gc
import signal
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QFileDialog

from sciup.engine.stopping import stoppable
from sciup.errors import InputError
from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model
from sciup_napari import link as link_module
from sciup_napari import model_box as model_box_module
from sciup_napari import runs as runs_module
from sciup_napari import session as session_module
from sciup_napari import stored as stored_module
from sciup_napari.enhance import EnhanceWidget
from sciup_napari.instrument_table import STATED
from sciup_napari.lens import TrustLens
from sciup_napari.lens_state import LensState
from sciup_napari.lens_words import pixel_words
from sciup_napari.live import LiveView
from sciup_napari.messages import Failed, Opened, Source
from sciup_napari.readout import COMMON_ALARM, Judge
from sciup_napari.regions import NAME, region_of
from sciup_napari.run_dialog import RunDialog
from sciup_napari.session import session_of
from sciup_napari.stored import Stored, alarm_of, calibration_of

SAMPLES = 4
ROWS = (
    ("psf_fwhm", "2.4", "input px", "estimated", ""),
    ("read_noise", "3", "electron", "estimated", ""),
)
FACTS = Opened(
    1, "token", "toy", 2, 64, (300, 280), 1, SAMPLES, ROWS, ("a warning",), True, "words", None,
    "3sigma",
)  # fmt: skip


class NoLink:
    """Takes the place of the line to a child."""

    made = ()

    def __init__(self, heard, command=()):
        self.heard, self.sent, self.closed = heard, [], False
        self.alive = True
        type(self).made = (*type(self).made, self)

    def send(self, message):
        self.sent.append(message)

    def close(self):
        self.closed = True

    def interrupt(self):
        self.heard(Failed(0, "interrupted"))


@pytest.fixture(autouse=True)
def _no_child(monkeypatch):
    NoLink.made = ()
    monkeypatch.setattr(runs_module, "Link", NoLink)
    monkeypatch.setattr("sciup_napari.talk.Link", NoLink)


@pytest.fixture
def viewer(make_napari_viewer):
    made = make_napari_viewer()
    yield made
    session_of(made).close()


@pytest.fixture
def enhance(viewer, qtbot):
    viewer.add_image(cells((300, 280)), name="cells")
    widget = EnhanceWidget(viewer)
    qtbot.addWidget(widget)
    return widget


def told():
    return " ".join(str(n.message) for n in notification_manager.records)


def opened(live, layer, **changes):
    """As if a child had answered."""
    live._sight.watch(layer)
    live._opened(replace(FACTS, **changes))


def cell(table, name):
    rows = [i for i in range(table.rowCount()) if name in table.item(i, 0).text()]
    return table.item(rows[0], 1)


# -- opening and closing -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Blind rating", "Enhance", "Trust lens"])
def test_each_widget_opens_from_the_menu(make_napari_viewer, name):
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("sciup", name)
    assert widget.viewer is viewer  # not the proxy, whose layers are never those of the viewer
    session_of(viewer).close()


def test_a_closed_session_does_not_keep_its_viewer():
    class Viewer:
        pass

    viewer, ended = Viewer(), []
    held = SimpleNamespace(viewer=viewer)
    session_module._sessions[viewer] = held
    gone = weakref.ref(viewer)
    closing = SimpleNamespace(
        viewer=viewer,
        live=SimpleNamespace(close=lambda: ended.append(1)),
        search=SimpleNamespace(close=lambda: None),
        measuring=SimpleNamespace(close=lambda: None),
        running=None,
        _threads=SimpleNamespace(shutdown=lambda **_: None),
        _folder=SimpleNamespace(cleanup=lambda: None),
    )
    session_module.Session.close(closing)
    assert ended
    del viewer, held, closing
    gc.collect()
    assert gone() is None


def test_the_end_of_one_run_does_not_hide_the_next(viewer, qtbot):
    widget = EnhanceWidget(viewer)
    qtbot.addWidget(widget)
    session = widget.session
    session.running = SimpleNamespace(over=False, close=lambda: None)
    widget.progress.show()
    session.progress.emit(1, 9)
    session.ended.emit("done: first")
    assert widget.progress.isVisibleTo(widget)
    assert widget.status.text() == "run: 1 of 9 windows"
    session.running.over = True
    session.ended.emit("done: second")
    assert not widget.progress.isVisibleTo(widget)
    assert widget.status.text() == "done: second"


def test_widgets_that_open_later_show_what_goes_on(viewer, qtbot):
    layer = viewer.add_image(cells((300, 280)), name="cells")
    viewer.add_image(cells((30, 20)), name="other")
    live = session_of(viewer).live
    opened(live, layer)
    live.following = True
    live.lens = LensState("mix", draw=2, mix=0.25, overlay="std", contour=True, swipe=0.4)
    lens, enhance = TrustLens(viewer), EnhanceWidget(viewer)
    for widget in (lens, enhance):
        qtbot.addWidget(widget)
    assert live.lens == LensState("mix", 2, 0.25, "std", contour=True, swipe=0.4)  # unchanged
    assert (lens.draw.value(), lens.draw.maximum()) == (2, SAMPLES)
    assert (lens.mix.value(), lens.swipe.value(), lens.overlay.currentText()) == (25, 40, "std")
    assert lens.shows.checkedId() == 3
    assert enhance.layer is layer
    assert enhance.follow.isChecked()
    assert enhance.cancel.isEnabled()
    assert cell(enhance.table, "PSF FWHM").text() == "2.4"
    assert enhance.warning.text() == "a warning"
    live.lens = LensState()
    lens._opened(FACTS)
    assert (lens.draw.value(), lens.swipe.value(), lens.shows.checkedId()) == (0, 0, 0)


def test_a_lens_that_is_gone_hears_no_clicks_and_no_keys(viewer, qtbot):
    before = len(viewer.mouse_drag_callbacks)
    first, second = TrustLens(viewer), TrustLens(viewer)
    assert len(viewer.mouse_drag_callbacks) == before + 2
    for lens, left in ((first, 1), (second, 0)):
        with qtbot.waitSignal(lens.destroyed):
            lens.deleteLater()
        assert len(viewer.mouse_drag_callbacks) == before + left
        assert ("Alt+N" in {str(key) for key in viewer.keymap}) == bool(left)
    viewer.add_image(np.zeros((8, 8)))  # the layer list tells nobody who is gone


def test_the_animation_waits_for_the_risk_of_the_draw_that_is_shown(viewer, qtbot, monkeypatch):
    lens = TrustLens(viewer)
    qtbot.addWidget(lens)
    lens._animation.setInterval(10)
    monkeypatch.setattr(LiveView, "counting", True)
    lens.animate.setChecked(True)
    qtbot.wait(100)
    assert lens.draw.value() == 0
    monkeypatch.setattr(LiveView, "counting", False)
    qtbot.waitUntil(lambda: lens.draw.value() > 0)
    lens.animate.setChecked(False)


# -- what is certified -------------------------------------------------------------------------


def test_only_a_draw_that_nobody_chose_is_certified(viewer, tmp_path, qtbot):
    layer = viewer.add_image(cells((300, 280)))
    write_toy_model(
        tmp_path / "toy", domain="fluorescence", scale=2, channels=4, head_channels=4, name="toy"
    )
    write_toy_calibration(tmp_path / "toy", samples=SAMPLES)
    lens = TrustLens(viewer)
    qtbot.addWidget(lens)
    opened(lens.live, layer, calibration=str(tmp_path / "toy" / "calibration.json"))
    lens.live.judge = Judge(str(tmp_path / "toy" / "calibration.json"))

    def says():
        lens._words()
        return lens.tolerance_words.text()

    assert says() == "3 sigma — certified"
    for show in ("mean", "blend", "mix"):
        lens.live.set_lens(show=show, draw=1)
        assert says() == "3 sigma — of draw 1, not of what is shown"
        assert "exploratory" in lens.alarm_words.text()
    lens.live.set_lens(show="sample", draw=2, chosen="nearest")
    assert says() == "3 sigma — exploratory: not certified"
    assert lens.shown.text().startswith("nearest draw")
    lens.draw.setValue(3)
    assert says() == "3 sigma — certified"
    assert lens.shown.text() == ""
    lens.live.set_lens(tolerance=2.2)
    assert says() == "2.2 sigma — exploratory: not certified"


@pytest.mark.parametrize("surprise", [float("nan"), float("inf"), 400.0, 3.0, None])
def test_the_fit_of_a_pixel_is_told_only_where_it_is_known(surprise):
    nothing = dict.fromkeys(("risk", "shown", "std", "snr", "support"), float("nan"))
    text = pixel_words(nothing | {"chi_squared": surprise})
    assert "nan)" not in text
    assert "inf" not in text
    assert ("1 in 1000" in text) == (surprise == 3.0)


@pytest.mark.parametrize(
    ("calibrated", "again", "found"),
    [(True, False, True), (True, True, False), (False, False, False)],
)
def test_a_result_gets_no_calibration_that_is_not_its_own(
    tmp_path, monkeypatch, calibrated, again, found
):
    folder = tmp_path / "toy"
    write_toy_model(folder, domain="fluorescence", scale=2, channels=4, head_channels=4, name="toy")
    own = write_toy_calibration(folder, samples=SAMPLES).digest
    if again:
        write_toy_calibration(folder, samples=SAMPLES, seed=1)
    monkeypatch.setattr("sciup.resources.find_model", lambda _: folder)
    facts = {"risk": {"calibrated": calibrated}, "model": "toy"}
    facts |= {"fingerprint": {"calibration": own}}
    assert (calibration_of(facts) is not None) == found


def test_a_result_of_an_older_calibration_keeps_the_alarm_it_was_made_with(viewer, qtbot):
    lens = TrustLens(viewer)
    qtbot.addWidget(lens)
    layer = viewer.add_image(cells((300, 280)))
    opened(lens.live, layer, calibration=None, alarm=0.03)
    assert lens.live.alarm == 0.03
    lens._words()
    assert lens.alarm_words.text().startswith("risk 0.03 — calibrated level")
    lens.live.set_lens(tolerance=2.2)  # of this nobody promised anything
    assert lens.live.alarm == COMMON_ALARM
    risk = {"calibrated": True, "alarm": {"threshold": 0.03}}
    assert alarm_of({"risk": risk}) == 0.03
    assert alarm_of({"risk": {"calibrated": False}}) is None


def test_a_result_without_draws_is_refused(monkeypatch):
    done = SimpleNamespace(path="r.fits", maps={"mean": 0, "risk": 0})
    monkeypatch.setattr(stored_module.Finished, "open", lambda _: done)
    with pytest.raises(InputError, match=r"no draw.*Allowed: results with the map 'sample'.*fix"):
        Stored(Source("r.fits", "result"))


# -- what is stated ----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["2.5 px", "nan", "inf", "much"])
def test_what_is_no_number_is_refused_and_changes_nothing(enhance, text):
    enhance.table.fill(ROWS)
    cell(enhance.table, "PSF FWHM").setText("2,5")
    notification_manager.records.clear()
    cell(enhance.table, "PSF FWHM").setText(text)
    assert enhance.table.given == {"psf_fwhm": 2.5}
    assert cell(enhance.table, "PSF FWHM").text() == "2,5"
    assert "a finite number" in told()
    cell(enhance.table, "PSF FWHM").setText("")
    assert enhance.table.given == {}


def test_how_a_value_came_about_names_the_row_that_states_it(enhance):
    enhance.table.fill([(*ROWS[0][:4], "+- 30 %; give --psf-fwhm if you know")])
    said = cell(enhance.table, "PSF FWHM").toolTip()
    assert said == "estimated: +- 30 %; give PSF FWHM if you know"


def test_what_is_stated_of_a_layer_is_kept(enhance, viewer):
    enhance.table.fill(ROWS)
    cell(enhance.table, "PSF FWHM").setText("2.5")
    other = viewer.add_image(cells((30, 20)), name="other")
    box = enhance.layer_box
    box.setCurrentIndex(box.findData(other))
    assert enhance.order()["instrument"] == {}
    box.setCurrentIndex(box.findText("cells"))
    assert enhance.order()["instrument"] == {"psf_fwhm": 2.5}
    assert cell(enhance.table, "PSF FWHM").text() == "2.5"


def test_values_can_be_stated_before_anything_is_read_in_the_units_of_later(enhance):
    from sciup.show import UNITS

    assert {name: UNITS[name] for name in STATED} == STATED
    table = enhance.table
    assert [table.item(i, 1).text() for i in range(table.rowCount())] == [""] * len(STATED)
    cell(table, "read noise [e]").setText("2.25")
    assert enhance.order()["instrument"] == {"read_noise": 2.25}
    enhance.table.fill_given()
    assert cell(table, "read noise [e]").text() == "2.25"
    assert table.item(table.row(cell(table, "read noise [e]")), 2).text() == "given"
    assert cell(table, "background").text() == ""


# -- Enhance -----------------------------------------------------------------------------------


def test_without_an_image_it_is_said_what_to_do(viewer, qtbot):
    widget = EnhanceWidget(viewer)
    qtbot.addWidget(widget)
    assert widget.about.text() == "Open an image first."
    assert widget.table.rowCount() == 0  # of nothing, nothing is stated
    viewer.add_image(cells((30, 20)))
    assert "Open" not in widget.about.text()
    viewer.layers.clear()
    assert widget.about.text() == "Open an image first."


def test_what_is_told_belongs_to_the_layer_that_is_chosen(enhance, viewer):
    opened(enhance.live, enhance.layer)
    assert "words" in enhance.risk.text()
    enhance.live.status.emit("1 of 2 windows")
    assert enhance.status.text() == "1 of 2 windows"
    other = viewer.add_image(cells((30, 20)), name="other")
    enhance.live.following = False
    enhance.layer_box.setCurrentIndex(enhance.layer_box.findData(other))
    assert enhance.risk.text() + enhance.warning.text() + enhance.domain.text() == ""
    enhance.live.status.emit("2 of 2 windows")
    assert enhance.status.text() == "cells: 2 of 2 windows"
    opened(enhance.live, enhance.live.layer, warnings=("of cells",))
    assert enhance.risk.text() + enhance.warning.text() == ""
    enhance.layer_box.setCurrentIndex(enhance.layer_box.findText("cells"))
    assert "words" in enhance.risk.text()
    assert cell(enhance.table, "PSF FWHM").text() == "2.4"


def test_no_model_opens_no_dialog_by_itself(viewer, qtbot, monkeypatch):
    asked = []
    monkeypatch.setattr(model_box_module, "fitting", lambda _: [])
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: asked.append(1) or "")
    viewer.add_image(cells((30, 20)))
    widget = EnhanceWidget(viewer)
    qtbot.addWidget(widget)
    assert not asked
    assert "No model" in widget.about.text()
    widget.model_box.activated.emit(0)
    assert asked


def test_removing_the_source_ends_live_zoom_though_another_layer_is_there(
    enhance, viewer, monkeypatch
):
    begun = []
    monkeypatch.setattr(LiveView, "enhance", lambda live, layer, *_, **__: begun.append(layer))
    other = viewer.add_image(cells((30, 20)), name="other")
    source = viewer.layers["cells"]
    enhance.layer_box.setCurrentIndex(enhance.layer_box.findData(source))
    enhance.follow.setChecked(True)
    enhance.live._sight.watch(source)
    enhance.live.following = True
    viewer.layers.remove(source)
    assert begun == [source]
    assert enhance.layer is other
    assert not enhance.follow.isChecked()
    assert not enhance.cancel.isEnabled()


def test_the_region_layer_is_used_again(enhance, viewer):
    for _ in range(2):
        enhance.run_region()
    assert [layer.name for layer in viewer.layers].count(NAME) == 1
    assert viewer.layers[NAME].mode == "add_rectangle"
    viewer.layers[NAME].add_rectangles(np.array([[20.2, 30.4], [69.9, 91.0]]))
    assert region_of(viewer, enhance.layer) == "20:71,30:92"


# -- runs --------------------------------------------------------------------------------------


def test_a_run_reads_its_pixels_in_a_thread_and_one_button_stops_one_thing(
    enhance, tmp_path, qtbot, monkeypatch
):
    session, threads = enhance.session, []
    real = session_module.source_of

    def reads(*given, **how):
        threads.append(threading.current_thread())
        return real(*given, **how)

    monkeypatch.setattr(session_module, "source_of", reads)
    enhance._live_on = True
    enhance._stoppable()
    assert enhance.cancel.text() == "Stop"
    enhance._run(str(tmp_path / "a.ome.zarr"))
    assert (enhance.cancel.text(), enhance.cancel.isEnabled()) == ("Cancel run", True)
    qtbot.waitUntil(lambda: session.running.run is not None)
    assert threading.main_thread() not in threads
    path = Path(session.running.run.order.source.path)
    assert np.array_equal(np.load(path), enhance.layer.data)
    enhance.cancel.click()
    assert session.running.over
    assert RunDialog("cells").resume.text() in enhance.status.text()
    assert (enhance.cancel.text(), enhance.cancel.isEnabled()) == ("Stop", True)
    enhance.cancel.click()
    assert not enhance.cancel.isEnabled()


def test_a_cancelled_region_does_not_promise_to_go_on(enhance):
    enhance._run(enhance.session.temporary_output())
    enhance.cancel.click()  # at once: before anything has begun
    assert enhance.session.running.over
    assert enhance.status.text() == "cancelled"


def test_a_layer_that_cannot_be_read_is_told(enhance, viewer, tmp_path, qtbot):
    layer = viewer.add_image(np.zeros((8, 8), bool), name="bits")
    enhance.layer_box.setCurrentIndex(enhance.layer_box.findData(layer))
    notification_manager.records.clear()
    enhance._run(str(tmp_path / "a.ome.zarr"))
    qtbot.waitUntil(lambda: enhance.session.running.over)
    assert "bool values" in told()
    assert enhance.status.text() == "failed"


@pytest.mark.parametrize(
    ("who", "bad", "good"),
    [(1, "four", "4"), (1, "0", "2"), (2, "here", "tcp://host:8786"), (3, "no.yaml", __file__)],
)
def test_a_bad_answer_does_not_run_silently_on_this_computer(qtbot, who, bad, good):
    dialog = RunDialog("cells")
    qtbot.addWidget(dialog)
    dialog.who.setCurrentIndex(who)
    for text in ("", bad):
        dialog.detail.setText(text)
        dialog.accept()
        assert not dialog.result()
        assert "Allowed" in dialog.problem.text()
    dialog.detail.setText(good)
    dialog.accept()
    assert dialog.result()
    assert dialog.machines


# -- processes ---------------------------------------------------------------------------------


def test_a_child_is_out_of_reach_of_the_terminal(monkeypatch):
    given = {}

    def start(*_, **how):
        given.update(how)
        raise OSError

    monkeypatch.setattr(link_module.subprocess, "Popen", start)
    with pytest.raises(OSError):  # noqa: PT011 (ours)
        link_module.Link(print)
    assert given.get("start_new_session") or given.get("creationflags")


def test_a_system_without_sigusr1(monkeypatch):
    monkeypatch.delattr(signal, "SIGUSR1", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    with stoppable("nowhere"):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
