"""Blind rating in napari: nothing tells the method, keys and buttons, pause, end, closing."""

import threading
import time

import numpy as np
import pytest
import tifffile
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QPushButton, QWidget

from sciup_napari.rating import session, widget
from sciup_napari.rating.record import Log, read_ratings
from sciup_napari.rating.study import open_study
from sciup_napari.rating.widget import BlindRating

METHODS = ["bicubicname", "goldname", "sciupname"]
TRUTH = "goldname"
IMAGES = ["fieldone", "fieldtwo", "fieldthree"]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for level, method in enumerate(METHODS):
        (tmp_path / method).mkdir()
        for image in IMAGES:
            values = rng.normal(9, 1, (40, 50)) + 2 * level
            tifffile.imwrite(tmp_path / method / f"{image}.tif", values.astype("f4"))
    return tmp_path


@pytest.fixture(autouse=True)
def _no_guard(monkeypatch):
    monkeypatch.setattr(session, "GUARD", 0.0)


@pytest.fixture
def dock(make_napari_viewer, folder, qtbot):
    viewer = make_napari_viewer(show=True)
    rating = BlindRating(viewer)
    viewer.window.add_dock_widget(rating, name="Blind rating")
    rating.setup.folder.setText(str(folder))
    rating.look()
    qtbot.waitUntil(lambda: rating.setup.truth.count() == 4)
    rating.setup.truth.setCurrentText(TRUTH)
    rating.setup.rater.setText("Ann")
    return rating


def shown(rating):
    return rating.session is not None and rating.session._since is not None


def started(rating, qtbot, task="scores"):
    rating.setup.tasks[task].setChecked(True)
    rating.setup.start.click()
    qtbot.waitUntil(lambda: shown(rating), timeout=10000)
    return rating.session


def answered(rating, qtbot, given):
    at = rating.session
    rating.session.answer(given)
    qtbot.waitUntil(lambda: rating.session is not at or shown(rating), timeout=10000)


def active(rating, qtbot):
    """The window, ready for keys."""
    home = rating.window()
    home.raise_()
    home.activateWindow()
    qtbot.waitUntil(home.isActiveWindow, timeout=10000)
    return home


def told():
    return " ".join(str(n.message) for n in notification_manager.records)


def words(rating):
    """Everything a rater could read."""
    viewer = rating.viewer
    home = rating.window()
    found = [viewer.title, viewer.status if isinstance(viewer.status, str) else str(viewer.status)]
    found += [w.toolTip() for w in home.findChildren(QWidget)]
    found += [w.text() for kind in (QLabel, QPushButton) for w in home.findChildren(kind)
              if w.isVisible()]  # fmt: skip
    found += [home.windowTitle()]
    for layer in viewer.layers:
        found += [repr(layer), layer.name, str(layer.metadata), repr(layer.source), layer.help]
        found += [str(layer.get_status((1, 1))), str(layer.as_layer_data_tuple()[1])]
    return " ".join(found).casefold()


@pytest.mark.parametrize("task", ["scores", "choice"])
def test_nothing_tells_method_or_image(dock, qtbot, task):
    started(dock, qtbot, task)
    given = "3" if task == "scores" else "left"
    while dock.session is not None:
        seen = words(dock)
        for secret in (*METHODS, *IMAGES):
            assert secret not in seen, secret
        layers = dock.viewer.layers
        assert [x.name for x in layers] == (["Image"] if task == "scores" else ["Left", "Right"])
        assert all(x.source.path is None and not x.metadata for x in layers)
        assert all(x.data.dtype == np.float32 and tuple(x.contrast_limits) == (0, 1)
                   for x in layers)  # fmt: skip
        answered(dock, qtbot, given)


@pytest.mark.parametrize("task", ["scores", "choice"])
def test_each_trial_shows_what_its_row_says(dock, qtbot, folder, task):
    running = started(dock, qtbot, task)
    study = open_study(folder, truth=TRUTH)
    for trial in running.log.trials:
        expected = study.pictures(trial)
        layers = list(dock.viewer.layers)
        assert len(layers) == len(expected)
        for layer, picture in zip(layers, expected, strict=True):
            assert np.array_equal(layer.data, picture)
        answered(dock, qtbot, "4" if task == "scores" else "right")


def test_left_and_right_are_where_the_rows_say(dock, qtbot):
    """Seen on the canvas: napari decides which layer of a grid is on the left."""
    running = started(dock, qtbot, "choice")
    for trial in running.log.trials[:4]:
        for layer in dock.viewer.layers:
            layer.data = np.full_like(layer.data, layer.name == "Left")
        seen = dock.viewer.screenshot(canvas_only=True, flash=False)[..., 0]
        half = seen.shape[1] // 2
        assert seen[:, :half].mean() > 50
        assert seen[:, half:].mean() < 5
        truth, method = (running.log.study.field(trial.image)[m] for m in (TRUTH, trial.method))
        left, right = running.log.study.pictures(trial)
        assert np.array_equal(left, truth if trial.truth_side == "left" else method)
        assert np.array_equal(right, method if trial.truth_side == "left" else truth)
        answered(dock, qtbot, "left")


def test_two_pictures_share_one_camera_until_the_end(dock, qtbot):
    dock.viewer.dims.ndisplay = 2
    running = started(dock, qtbot, "choice")
    first = dock.viewer.camera.zoom
    dock.viewer.camera.zoom = 5 * first
    answered(dock, qtbot, "left")
    assert dock.viewer.camera.zoom == pytest.approx(first, rel=0.05)  # all begin alike
    while dock.session is not None:
        answered(dock, qtbot, "left")
    assert not running.stage._grid.enabled
    assert len(dock.viewer.layers) == 0


def test_keys_of_scores(dock, qtbot, folder):
    started(dock, qtbot)
    home = active(dock, qtbot)
    for key in (Qt.Key.Key_1, Qt.Key.Key_5, Qt.Key.Key_3):
        qtbot.keyClick(home, key)
        qtbot.waitUntil(lambda: shown(dock))
    qtbot.keyClick(home, Qt.Key.Key_6)
    qtbot.keyClick(home, Qt.Key.Key_Backspace)
    qtbot.waitUntil(lambda: shown(dock))
    assert dock.session.log.position == 2
    qtbot.keyClick(home, Qt.Key.Key_P)
    assert dock.session.paused
    qtbot.keyClick(home, Qt.Key.Key_4)  # nothing is in view
    found = read_ratings(dock.session.log.path)
    assert [a.given for a in found.answers] == ["1", "5"]


def test_keys_of_choices(dock, qtbot):
    started(dock, qtbot, "choice")
    home = active(dock, qtbot)
    for key in (Qt.Key.Key_A, Qt.Key.Key_B, Qt.Key.Key_Left, Qt.Key.Key_Right):
        qtbot.keyClick(home, key)
        qtbot.waitUntil(lambda: shown(dock))
    found = read_ratings(dock.session.log.path)
    assert [a.given for a in found.answers] == ["left", "right", "left", "right"]


def test_buttons_progress_end_and_results(dock, qtbot, folder, monkeypatch):
    running = started(dock, qtbot)
    total = len(running.log.trials)
    page = running.page
    assert not page.back.isEnabled()
    while dock.session is not None:
        assert page.count.text() == f"{running.log.position + 1} of {total}"
        at = running.log.position
        qtbot.mouseClick(page.answers["2"], Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: dock.session is None or shown(dock))
        assert running.log.position == at + 1
    done = dock._pages.currentWidget()
    assert done.path.text() == str(folder / "ratings" / "scores_ann.csv")
    assert len(read_ratings(running.log.path).answers) == total
    monkeypatch.setattr(dock, "_confirmed", lambda: pytest.fail("asked though finished"))
    done.results.click()
    qtbot.waitUntil(lambda: hasattr(dock, "results"), timeout=20000)
    assert "sciupname" in dock.results.text.toPlainText()
    dock.results.save.click()
    assert (folder / "ratings" / "results" / "opinions.csv").is_file()
    dock.results.close()
    done.again.click()
    assert dock._pages.currentWidget() is dock.setup


def test_results_are_not_shown_without_a_word(dock, qtbot, folder, monkeypatch):
    Log(open_study(folder, truth=TRUTH), "Ann", "scores").answer("3", 1)
    monkeypatch.setattr(dock, "_confirmed", lambda: False)
    dock.setup.results.click()
    qtbot.wait(300)
    assert not hasattr(dock, "results")
    monkeypatch.setattr(dock, "_confirmed", lambda: True)
    dock.setup.results.click()
    qtbot.waitUntil(lambda: hasattr(dock, "results"), timeout=20000)
    dock.results.close()


def test_a_double_click_answers_once(dock, qtbot, monkeypatch):
    running = started(dock, qtbot)
    monkeypatch.setattr(session, "GUARD", 0.5)
    qtbot.wait(600)
    running.answer("4")
    qtbot.waitUntil(lambda: shown(dock))
    running.answer("4")
    assert running.log.position == 1


def test_a_pause_hides_and_its_time_does_not_count(dock, qtbot):
    running = started(dock, qtbot)
    running.pause()
    assert not any(layer.visible for layer in dock.viewer.layers)
    assert not any(button.isEnabled() for button in running.page.answers.values())
    running.answer("1")
    qtbot.wait(700)
    running.pause()
    qtbot.waitUntil(lambda: shown(dock))
    running.answer("4")
    found = read_ratings(running.log.path).answers
    assert [a.given for a in found] == ["4"]
    assert found[0].seconds < 0.6


def test_the_time_in_view_is_logged(dock, qtbot):
    running = started(dock, qtbot)
    qtbot.wait(300)
    running.answer("4")
    assert 0.25 < read_ratings(running.log.path).answers[0].seconds < 5


def test_what_was_hidden_or_removed_is_shown_again_and_not_judged(dock, qtbot):
    running = started(dock, qtbot)
    dock.viewer.layers[0].visible = False
    running.answer("1")
    qtbot.waitUntil(lambda: shown(dock))
    assert dock.viewer.layers[0].visible
    dock.viewer.layers.clear()
    running.answer("1")
    qtbot.waitUntil(lambda: shown(dock))
    assert running.log.position == 0
    dock.viewer.layers[0].gamma, dock.viewer.layers[0].contrast_limits = 0.5, (0.2, 0.3)
    answered(dock, qtbot, "2")
    assert dock.viewer.layers[0].gamma == 1
    assert tuple(dock.viewer.layers[0].contrast_limits) == (0, 1)


def test_goes_on_where_it_was(dock, qtbot, folder):
    log = Log(open_study(folder, truth=TRUTH), "Ann", "scores")
    for _ in range(4):
        log.answer("3", 1)
    running = started(dock, qtbot)
    assert running.page.count.text().startswith("5 of ")


def test_pictures_are_read_in_a_thread_and_ahead(dock, qtbot, monkeypatch):
    from sciup_napari.rating.study import Study

    read, before = [], Study.pictures

    def watched(self, trial):
        read.append((trial, threading.current_thread() is threading.main_thread()))
        return before(self, trial)

    monkeypatch.setattr(Study, "pictures", watched)
    running = started(dock, qtbot)
    qtbot.waitUntil(lambda: len(read) == 2)
    assert [trial for trial, _ in read] == list(running.log.trials[:2])
    assert not any(main for _, main in read)


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda d, f: d.setup.folder.setText("/nowhere"), "no folder /nowhere"),
        (lambda d, f: d.setup.folder.setText(" "), "no folder is chosen"),
        (lambda d, f: d.setup.rater.setText(" "), "no name"),
        (lambda d, f: (f / TRUTH / "fieldone.tif").unlink(), "lacks fieldone"),
        (lambda d, f: (f / TRUTH / "fieldone.tif").write_bytes(b"II*\0"), "fieldone.tif"),
        (lambda d, f: d.viewer.add_image(np.ones((4, 4))), "viewer holds layers"),
        (lambda d, f: d.setup.truth.setCurrentText("none"), "without a truth"),
    ],
)
def test_what_cannot_be_rated_is_told_with_the_fix(dock, qtbot, folder, spoil, word):
    notification_manager.records.clear()
    dock.setup.tasks["choice"].setChecked(True)
    spoil(dock, folder)
    dock.start()
    qtbot.waitUntil(lambda: word in told(), timeout=10000)
    assert "To fix it:" in told()
    qtbot.waitUntil(lambda: dock.setup.start.text() == "Start")
    assert dock.session is None


def test_a_file_lost_in_the_middle_is_told_without_its_name(dock, qtbot, folder):
    notification_manager.records.clear()
    running = started(dock, qtbot)
    kept = {path: path.read_bytes() for path in folder.glob("*/*.tif")}
    for path in kept:
        path.unlink()
    running.log.study._fields.clear()
    while not running.paused:
        answered_or_failed(running, qtbot)
    assert "cannot be shown" in told()
    assert not any(secret in told() for secret in (*METHODS, *IMAGES, ".tif"))
    for path, data in kept.items():
        path.write_bytes(data)
    assert running.page.pause.text() == "Try again"
    running.page.pause.click()
    qtbot.waitUntil(lambda: shown(dock))


def answered_or_failed(running, qtbot):
    running.answer("3")
    qtbot.waitUntil(lambda: running.paused or running._since is not None, timeout=10000)


def test_the_check_can_be_stopped(dock, qtbot, monkeypatch):
    def slow(self, *, pixels=False):
        for image in self.images * 100:
            time.sleep(0.02)
            yield image

    monkeypatch.setattr("sciup_napari.rating.study.Study.check", slow)
    monkeypatch.setattr(widget, "EVERY", 0.0)
    dock.setup.start.click()
    qtbot.waitUntil(lambda: "Checking" in dock.setup.found.text())
    dock.setup.start.click()
    qtbot.waitUntil(lambda: dock.setup.start.text() == "Start", timeout=5000)
    assert dock.session is None


@pytest.mark.parametrize("loading", [False, True])
def test_the_viewer_is_closed_in_the_middle(dock, qtbot, folder, monkeypatch, loading):
    from sciup_napari.rating.study import Study

    running = started(dock, qtbot)
    answered(dock, qtbot, "4")
    if loading:  # the next picture arrives after the end
        before = Study.pictures
        monkeypatch.setattr(Study, "pictures", lambda s, t: (time.sleep(0.5), before(s, t))[1])
        running.loader._found.clear()
        running.answer("2")
    dock.viewer.close()
    qtbot.wait(1000)
    assert Log(open_study(folder, truth=TRUTH), "Ann", "scores").position == 1 + loading
