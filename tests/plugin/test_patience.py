"""The viewer goes on while something is waited for."""

import gc
import threading
import time

import numpy as np
import pytest
import zarr
from napari.layers import Image
from qtpy.QtCore import QTimer

from sciup.errors import InputError
from sciup.testing.microscopy_files import write_ome_zarr
from sciup_napari import model_box, models, zarr_layers
from sciup_napari.layer_list import remove
from sciup_napari.model_box import ModelBox
from sciup_napari.patience import patiently, step_by_step
from sciup_napari.session import session_of

LONG = 0.4
"""Seconds that something takes."""


class Heart:
    """When the event loop went on, and the longest time that it did not."""

    def __init__(self):
        self.beats, self._timer = [time.monotonic()], QTimer()
        self._timer.timeout.connect(lambda: self.beats.append(time.monotonic()))
        self._timer.start(5)

    def beats_in(self, span):
        return sum(span[0] < beat < span[1] for beat in self.beats)


def slowly(function, spans):
    """A function that takes long, and tells when and where it did."""

    def slow(*arguments):
        began = time.monotonic()
        time.sleep(LONG)
        spans.append((began, time.monotonic(), threading.current_thread()))
        return function(*arguments)

    return slow


def check(heart, spans):
    (span,) = spans
    assert span[2] is not threading.main_thread()
    assert heart.beats_in(span) > 10


def test_the_event_loop_goes_on_and_what_comes_of_it_is_given_or_raised(qtbot):
    heart, spans = Heart(), []
    assert patiently(slowly(divmod, spans), 7, 2) == (3, 1)
    check(heart, spans)

    def bad():
        raise InputError("broken")

    with pytest.raises(InputError, match="broken"):
        patiently(bad)


def test_in_another_thread_it_is_just_called(qtbot):
    found = []
    thread = threading.Thread(target=lambda: found.append(patiently(threading.current_thread)))
    thread.start()
    thread.join()
    assert found == [thread]


def test_a_file_is_read_while_the_viewer_goes_on(make_napari_viewer, tmp_path, monkeypatch):
    zarr.create_array(str(tmp_path / "a.zarr"), data=np.arange(4096.0).reshape(64, 64))
    viewer, heart, spans = make_napari_viewer(), Heart(), []
    monkeypatch.setattr(zarr_layers, "read_zarr", slowly(zarr_layers.read_zarr, spans))
    (layer,) = viewer.open(tmp_path / "a.zarr", plugin="sciup")
    assert layer.data.shape == (64, 64)
    check(heart, spans)


def test_between_layers_of_a_file_the_viewer_goes_on_and_all_are_there_in_order(
    make_napari_viewer, tmp_path, qtbot
):
    write_ome_zarr(tmp_path / "c.zarr", np.ones((5, 8, 8), np.float32), "cyx")
    viewer, seen, clock = make_napari_viewer(), [], QTimer()
    clock.timeout.connect(lambda: seen.append(len(viewer.layers)))
    clock.start(0)
    opened = viewer.open(tmp_path / "c.zarr", plugin="sciup")
    clock.stop()
    assert list(viewer.layers) == opened
    assert len(opened) == 5
    assert {1, 2, 3, 4} <= set(seen)
    count = len(seen)
    clock.start(0)
    viewer.add_points()  # what is added by others is not waited for
    assert len(seen) == count


def test_several_layers_are_taken_away_at_once(make_napari_viewer, monkeypatch):
    viewer, collected = make_napari_viewer(), []
    layers = [viewer.add_image(np.zeros((8, 8))) for _ in range(4)]
    viewer.layers.remove(layers[3])
    with monkeypatch.context() as patched:
        patched.setattr(gc, "collect", lambda *_: collected.append(1))
        for _ in range(2):  # the second time there is nothing to do
            remove(viewer, layers[1:])
    assert list(viewer.layers) == layers[:1]
    assert len(collected) == 1


def test_models_are_looked_for_once_while_the_viewer_goes_on(qtbot, monkeypatch):
    spans = []
    choices = models.choices.__wrapped__
    fresh = models.functools.cache(slowly(choices, spans))
    monkeypatch.setattr(models, "choices", fresh)
    monkeypatch.setattr(model_box, "choices", fresh)
    box, heart = ModelBox(), Heart()
    qtbot.addWidget(box)
    layer = Image(np.zeros((8, 8)))
    for _ in range(2):
        box.offer(layer)
    assert box.count() == len(fresh()) + 1
    check(heart, spans)


def test_steps_end_when_they_are_told_to_and_after_a_failure(qtbot):
    parent, done = QTimer(), []

    def steps(bad):
        for i in range(4):
            done.append(i)
            yield
            if i == bad:
                raise InputError("broken")

    step_by_step(steps(None), parent)
    qtbot.waitUntil(lambda: len(done) == 4)
    timer = step_by_step(steps(None), parent)
    timer.stop()
    with qtbot.captureExceptions() as caught:
        failed = step_by_step(steps(1), parent)
        qtbot.waitUntil(lambda: bool(caught))
    assert not failed.isActive()
    assert len(caught) == 1
    assert done == [0, 1, 2, 3, 0, 1]


def test_a_step_that_waits_is_not_begun_again_meanwhile(qtbot):
    parent, done = QTimer(), []

    def steps():
        for i in range(3):
            patiently(time.sleep, 0.05)
            done.append(i)
            yield

    timer = step_by_step(steps(), parent)
    qtbot.waitUntil(lambda: not timer.isActive())
    assert done == [0, 1, 2]


def test_a_viewer_that_is_closed_gets_no_more_layers_of_a_result(make_napari_viewer):
    viewer, heard = make_napari_viewer(), []
    session = session_of(viewer)
    session.ended.connect(heard.append)
    picture = (np.zeros((8, 8)), {}, "image")
    steps = [session._add("a", [picture] * n, None, False) for n in (3, 1)]
    for layers in steps:
        next(layers)
    session.close()
    assert [list(layers) for layers in steps] == [[], []]
    assert len(viewer.layers) == 2
    assert not heard


def test_a_result_that_is_gone_is_told_and_the_run_has_ended(make_napari_viewer, monkeypatch):
    session, heard, told = session_of(make_napari_viewer()), [], []
    monkeypatch.setattr("sciup_napari.session.show_error", told.append)
    session.ended.connect(heard.append)
    session._finished("gone.ome.zarr")
    session.close()
    session._finished("gone.ome.zarr")
    assert heard == ["failed"]
    assert len(told) == 1
    assert "gone.ome.zarr" in told[0]
