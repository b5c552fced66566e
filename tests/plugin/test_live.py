"""The live view, the widgets and the runs in a real viewer, with a toy model."""

import sys

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt, QTimer

from sciup.testing.toy_calibration import write_toy_calibration
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model
from sciup_napari import link as link_module
from sciup_napari import live as live_module
from sciup_napari.enhance import EnhanceWidget
from sciup_napari.lens import TrustLens
from sciup_napari.live import LiveView
from sciup_napari.messages import QUICK
from sciup_napari.place import camera_of, grid_of
from sciup_napari.run_dialog import RunDialog
from sciup_napari.session import session_of

pytestmark = pytest.mark.usefixtures("one_child")

PATIENCE = 240_000
SAMPLES = 4
SHAPE = (300, 280)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A calibrated and a plain toy model."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("plain", "calibrated", "strange"):
        write_toy_model(
            folder / name, domain="fluorescence", scale=2, channels=4, head_channels=4, name=name
        )
    write_toy_calibration(folder / "calibrated", samples=SAMPLES)
    return folder


@pytest.fixture
def viewer(make_napari_viewer):
    """A shown viewer, because only a drawn canvas has a view."""
    made = make_napari_viewer(show=True)
    made.window.resize(900, 600)
    yield made
    session_of(made).close()


@pytest.fixture
def scene(viewer, models, qtbot):
    """An image, zoomed in, with both widgets on the calibrated model."""
    layer = viewer.add_image(cells(SHAPE), name="cells", contrast_limits=(0, 300))
    enhance, lens = EnhanceWidget(viewer), TrustLens(viewer)
    for widget in (enhance, lens):
        qtbot.addWidget(widget)
    enhance.model_box.add(models / "calibrated")
    enhance.samples.setValue(SAMPLES)
    camera_of(viewer).zoom = 3
    camera_of(viewer).center = (0, 140, 130)
    qtbot.wait(100)
    return Scene(viewer, layer, enhance, lens, enhance.live, qtbot)


class Scene:
    """Everything a test touches."""

    def __init__(self, viewer, layer, enhance, lens, live, qtbot):
        self.viewer, self.layer, self.enhance, self.lens = viewer, layer, enhance, lens
        self.live, self.qtbot = live, qtbot

    def complete(self):
        """All windows are there with all their draws, and all layers."""
        live = self.live
        if live.facts is None or live.frame is None or live._gather.isActive():
            return False
        there = live.image is not None and np.isfinite(live.image.data).all()
        return there and all(map(live.has, live.wanted()))

    def wait(self, condition=None):
        self.qtbot.waitUntil(condition or self.complete, timeout=PATIENCE)

    def follow(self):
        self.enhance.follow.setChecked(True)
        self.wait()


def names(viewer):
    return [layer.name for layer in viewer.layers]


def corners(layer):
    h, w = layer.data.shape[-2:]
    at = [(-0.5, -0.5), (h - 0.5, w - 0.5)]
    return np.array([layer.data_to_world(c)[-2:] for c in at])


# -- the live view -----------------------------------------------------------------------------


def test_what_is_on_the_screen_is_enhanced_and_lies_on_the_source(scene):
    scene.follow()
    image = scene.live.image
    frame = scene.live.frame
    expected = [
        scene.layer.data_to_world(np.array(edge) - 0.5)
        for edge in (frame.box.start, frame.box.stop)
    ]
    assert np.abs(corners(image) - expected).max() < 1e-6
    assert image.contrast_limits == pytest.approx(scene.layer.contrast_limits)
    blocks = image.data.reshape(frame.box.shape[0], 2, frame.box.shape[1], 2).mean((1, 3))
    part = scene.layer.data[frame.box.slices]
    assert np.corrcoef(blocks.ravel(), part.ravel())[0, 1] > 0.8


def test_what_is_painted_moves_with_the_camera(scene):
    """napari is told of other pixels and another place in one step."""
    scene.follow()
    visual = scene.viewer.window._qt_viewer.canvas.layer_to_visual[scene.live.image]
    before, values = scene.live.frame, scene.live.image.data
    camera_of(scene.viewer).center = (0, 124, 131)
    scene.wait(lambda: scene.live.frame != before and scene.complete())
    assert scene.live.image.data is values  # written into the array that is there
    y, x = scene.live.image.data_to_world((-0.5, -0.5))
    corner = visual.node.transform.map((0, 0))
    assert np.abs(np.array(corner[:2]) - (x, y)).max() < 1e-5


def test_many_movements_at_once_are_one_look_and_small_ones_none(scene, monkeypatch):
    scene.follow()
    scene.qtbot.wait(300)
    drawn, looks = [], []
    real = type(scene.live).look
    monkeypatch.setattr(scene.live._settle, "_action", lambda: looks.append(real(scene.live)))
    scene.live.drawn.connect(lambda: drawn.append(1))
    for step in (30, 31, 32):
        camera_of(scene.viewer).center = (0, 140 - step, 130)
    scene.wait(lambda: bool(drawn))
    assert len(looks) == 1
    scene.wait()
    scene.qtbot.wait(300)
    drawn.clear()
    frame = scene.live.frame
    y, x = camera_of(scene.viewer).center[-2:]
    for way in (1e-6, -1e-6):
        camera_of(scene.viewer).center = (0, y + way, x)
        scene.qtbot.wait(50)
    assert scene.live.frame == frame
    assert not drawn


def test_zooming_out_says_what_to_do_and_in_again_goes_on(scene):
    scene.follow()
    told = []
    scene.live.status.connect(told.append)
    camera_of(scene.viewer).zoom = 0.3
    scene.wait(lambda: any("zoom in" in text for text in told))
    camera_of(scene.viewer).zoom = 5
    before = scene.live.frame
    scene.wait(lambda: scene.live.frame != before and scene.complete())
    assert scene.live.frame.box.size < before.box.size


def test_a_place_seen_before_comes_from_memory(scene):
    scene.follow()
    asked = []
    scene.live._talk._link.send = asked.append
    camera_of(scene.viewer).center = (0, 142, 131)
    scene.qtbot.wait(200)
    assert asked
    assert all(not wish.cores for wish in asked)
    assert scene.complete()


def test_preview_shows_one_view_and_does_not_follow(scene):
    scene.enhance.preview.click()
    scene.wait()
    before = scene.live.frame
    camera_of(scene.viewer).center = (0, 60, 60)
    scene.qtbot.wait(200)
    assert scene.live.frame == before
    assert not scene.live.following


def test_physical_scale_rotation_and_leading_axes(viewer, models, qtbot):
    stack = np.stack([cells((140, 150), seed=s) for s in range(2)])[None]
    turn = np.eye(4)
    turn[2:, 2:] = [[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]]
    layer = viewer.add_image(
        stack, scale=(1, 2, 0.3, 0.2), translate=(0, 0, 5, -7), rotate=turn,
        units=("s", "um", "um", "um"),
    )  # fmt: skip
    viewer.dims.set_current_step(1, 1)
    enhance = EnhanceWidget(viewer)
    qtbot.addWidget(enhance)
    enhance.model_box.add(models / "plain")
    enhance.samples.setValue(2)
    viewer.reset_view()
    camera_of(viewer).zoom *= 2
    qtbot.wait(100)
    enhance.preview.click()
    live = enhance.live
    qtbot.waitUntil(lambda: live.image is not None, timeout=PATIENCE)
    frame = live.frame
    start = [0, 1, *(np.array(frame.box.start) - 0.5)]
    assert np.abs(corners(live.image)[0] - layer.data_to_world(start)[-2:]).max() < 1e-6
    lens = TrustLens(viewer)
    qtbot.addWidget(lens)
    lens.ask(layer.data_to_world([0, 1, *np.array(frame.box.start) + 8.0]))
    qtbot.waitUntil(lambda: "Value" in lens.pixel.text(), timeout=PATIENCE)
    viewer.dims.set_current_step(1, 0)
    assert not live.image.visible  # another plane is another image
    assert "Nothing is enhanced here" in lens.pixel.text()
    camera_of(viewer).zoom *= 1.1
    live.set_lens(show="mean")
    live.look()
    assert not live.image.visible
    viewer.dims.set_current_step(1, 1)
    qtbot.waitUntil(lambda: live.image.visible, timeout=PATIENCE)
    assert "Value" in lens.pixel.text()
    viewer.dims.ndisplay = 3
    assert not live.image.visible
    viewer.dims.ndisplay = 2


def follow_through(stack, viewer, models, qtbot, monkeypatch):
    """Live zoom on the first plane of a stack; the planes that the child is asked to open."""
    viewer.add_image(stack)
    enhance = EnhanceWidget(viewer)
    qtbot.addWidget(enhance)
    enhance.model_box.add(models / "plain")
    enhance.samples.setValue(2)
    viewer.dims.set_current_step(0, 0)
    camera_of(viewer).zoom = 4
    live, asked = enhance.live, []
    order = live._talk.order
    monkeypatch.setattr(
        live._talk, "order", lambda *a, **k: asked.append(live._plane) or order(*a, **k)
    )
    enhance.follow.setChecked(True)
    qtbot.waitUntil(lambda: live.image is not None, timeout=PATIENCE)
    return enhance, asked


def test_live_zoom_goes_on_behind_a_plane_that_cannot_be_enhanced(
    viewer, models, qtbot, monkeypatch
):
    stack = np.stack([cells((90, 80), seed=s) for s in range(3)])
    stack[1] = 7.0  # nothing can be found out of it
    enhance, asked = follow_through(stack, viewer, models, qtbot, monkeypatch)
    live = enhance.live
    with qtbot.waitSignal(live.failed, timeout=PATIENCE) as said:
        viewer.dims.set_current_step(0, 1)
    assert "all pixels have the same value" in said.args[0]
    assert enhance.follow.isChecked()
    qtbot.wait(2 * live_module.PAUSE)
    assert not live.image.visible
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(lambda: live.image.visible, timeout=PATIENCE)
    assert asked == [(0,), (1,), (2,)]  # that which fails is not tried again


def test_live_zoom_follows_through_a_stack_and_passes_planes_that_are_passed(
    viewer, models, qtbot, monkeypatch
):
    stack = np.stack([cells((90, 80), seed=s) for s in range(4)])
    enhance, asked = follow_through(stack, viewer, models, qtbot, monkeypatch)
    live = enhance.live
    for plane in (1, 2, 3):
        viewer.dims.set_current_step(0, plane)
    assert not live.image.visible  # what belongs to another plane is never shown
    qtbot.waitUntil(lambda: live.image.visible, timeout=PATIENCE)
    assert asked == [(0,), (3,)]
    assert enhance.follow.isChecked()
    enhance.follow.setChecked(False)
    viewer.dims.set_current_step(0, 0)
    qtbot.wait(2 * live_module.PAUSE)
    assert len(asked) == 2
    assert "press Preview view" in enhance.status.text()


def test_masked_pixels_stay_masked(viewer, models, qtbot):
    values = cells((140, 150))
    values[60:70, 40:60] = np.nan
    viewer.add_image(values, contrast_limits=(0, 300))
    enhance = EnhanceWidget(viewer)
    qtbot.addWidget(enhance)
    enhance.model_box.add(models / "plain")
    enhance.samples.setValue(2)
    qtbot.wait(100)
    enhance.preview.click()
    live = enhance.live
    qtbot.waitUntil(lambda: live.image is not None, timeout=PATIENCE)
    qtbot.waitUntil(lambda: len(live.windows()) == 4, timeout=PATIENCE)
    qtbot.wait(100)
    hole = np.isnan(live.image.data)
    top, left = live.frame.box.start
    rows, cols = np.nonzero(hole)
    assert (rows.min() // 2 + top, cols.min() // 2 + left) == (60, 40)
    assert hole.sum() == 10 * 20 * 4


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (40, 40)])
def test_tiny_images_work_or_say_why_not(viewer, models, qtbot, shape):
    viewer.add_image(cells((64, 256))[: shape[0], : shape[1]])
    enhance = EnhanceWidget(viewer)
    qtbot.addWidget(enhance)
    enhance.model_box.add(models / "plain")
    enhance.samples.setValue(2)
    said = []
    enhance.live.failed.connect(said.append)
    qtbot.wait(100)
    enhance.preview.click()
    qtbot.waitUntil(lambda: bool(said) or enhance.live.image is not None, timeout=PATIENCE)
    assert all("Traceback" not in text for text in said)


# -- what is refused, and what breaks ----------------------------------------------------------


def test_rgb_is_refused_with_what_to_do(viewer, models, qtbot):
    viewer.add_image(np.zeros((40, 40, 3), np.uint8), rgb=True)
    enhance = EnhanceWidget(viewer)
    qtbot.addWidget(enhance)
    notification_manager.records.clear()
    enhance.follow.setChecked(True)
    assert not enhance.follow.isChecked()
    assert any("Split RGB" in str(n) for n in notification_manager.records)
    assert "Split RGB" in enhance.warning.text()  # a notification shows half a line of it


def test_wrong_options_are_told_and_the_next_try_works(scene):
    said = []
    scene.live.failed.connect(said.append)
    scene.enhance.table.given["psf_fwhm"] = -4.0
    scene.enhance.preview.click()
    scene.wait(lambda: bool(said))
    assert "psf-fwhm" in said[0]
    scene.enhance.table.given.clear()
    scene.follow()


def test_the_death_of_the_child_is_told_and_survived(scene):
    scene.follow()
    said = []
    scene.live.failed.connect(said.append)
    scene.live._talk._link._process.kill()
    scene.wait(lambda: bool(said))
    assert not scene.live.following
    assert not scene.enhance.follow.isChecked()
    scene.enhance.preview.click()
    scene.wait(lambda: scene.live.facts is not None and scene.complete())


def test_removing_the_source_ends_everything(scene):
    scene.follow()
    scene.viewer.layers.remove(scene.layer)
    assert names(scene.viewer) == []
    assert scene.live.facts is None
    scene.qtbot.wait(300)
    assert names(scene.viewer) == []
    assert not scene.enhance.preview.isEnabled()


def test_other_pixels_in_the_source_end_what_was_shown(scene):
    scene.follow()
    said = []
    scene.live.status.connect(said.append)
    scene.layer.data = scene.layer.data[::-1].copy()
    assert not scene.live.image.visible
    assert "other pixels" in said[-1]
    scene.enhance.preview.click()
    scene.wait(lambda: scene.live.facts is not None and scene.live.image.visible)


def test_a_source_that_moves_or_is_stretched_takes_the_live_layers_along(scene):
    scene.follow()
    scene.layer.translate = (7, -3)
    scene.layer.contrast_limits = (10, 150)
    scene.wait(lambda: tuple(scene.live.image.contrast_limits) == (10, 150))
    start = np.array(scene.live.frame.box.start) - 0.5
    assert np.abs(corners(scene.live.image)[0] - scene.layer.data_to_world(start)).max() < 1e-6


def test_what_the_user_hides_stays_hidden(scene):
    scene.follow()
    risk = scene.viewer.layers["live: Risk"]
    risk.visible = False
    scene.live.image.contrast_limits = (1, 50)
    camera_of(scene.viewer).center = (0, 143, 132)
    scene.qtbot.wait(200)
    assert not risk.visible
    assert list(scene.live.image.contrast_limits) == [1, 50]


def test_another_source_gets_the_same_layers_above_it(scene, models):
    scene.follow()
    viewer, old = scene.viewer, {scene.live.image, scene.viewer.layers["live: Risk"]}
    place = {"scale": (0.5, 0.5), "units": ("um", "um"), "axis_labels": ("y", "x")}
    other = viewer.add_image(cells(SHAPE) / 2, contrast_limits=(0, 150), **place)
    viewer.layers.selection.active = other
    scene.enhance.layer_box.setCurrentText(other.name)
    scene.enhance.model_box.add(models / "calibrated")
    scene.enhance.preview.click()
    assert not any(layer.visible for layer in old)
    scene.wait(lambda: scene.live.facts is not None and scene.complete())
    assert list(viewer.layers)[:2] == [scene.layer, other]
    assert set(viewer.layers[2:]) == old
    assert viewer.layers[2] is scene.live.image
    assert all(layer.visible and layer.units == other.units for layer in old)
    assert scene.live.image.axis_labels == ("y", "x")
    assert tuple(scene.live.image.contrast_limits) == (0, 150)
    start = np.array(scene.live.frame.box.start) - 0.5
    assert np.abs(corners(scene.live.image)[0] - other.data_to_world(start)).max() < 1e-6


def test_the_choice_of_layers_stays_and_nobody_hears_of_another(scene):
    scene.follow()
    viewer, heard = scene.viewer, []
    chosen = {scene.layer, viewer.add_points()}
    viewer.layers.selection.update(chosen)
    viewer.layers.selection.events.changed.connect(heard.append)
    scene.lens.contour.setChecked(True)
    scene.wait(lambda: "live: alarm" in names(viewer) and viewer.layers["live: alarm"].visible)
    assert viewer.layers.selection == chosen
    rows = viewer.window._qt_viewer.layers.selectionModel().selectedIndexes()
    assert len(rows) == 2
    assert not heard


def test_removing_a_live_layer_is_allowed(scene):
    scene.follow()
    scene.viewer.layers.remove(scene.live.image)
    camera_of(scene.viewer).zoom = 4
    scene.wait()
    assert "live: draw 0 (delivered)" in names(scene.viewer)


def test_closing_in_mid_run_ends_the_child(make_napari_viewer, models, qtbot, monkeypatch):
    monkeypatch.setattr("sciup_napari.talk.Link", link_module.Link)
    viewer = make_napari_viewer(show=True)
    viewer.add_image(cells(SHAPE))
    live = LiveView(viewer)
    live.warm_up()
    live.enhance(viewer.layers[0], True, model=str(models / "plain"), samples=4)
    qtbot.wait(300)
    process = live._talk._link._process
    viewer.close()
    live.close()
    assert process.wait(20) is not None


def test_cancel_stops_what_is_not_begun(scene):
    scene.follow()
    camera_of(scene.viewer).center = (0, 250, 250)
    scene.enhance.cancel.click()
    assert not scene.live.following
    count = len(scene.live.cache._windows)
    scene.qtbot.wait(1500)
    assert len(scene.live.cache._windows) <= count + 3  # what was under way


# -- the lens ----------------------------------------------------------------------------------


def test_every_way_of_showing(scene):
    scene.follow()
    live, lens = scene.live, scene.lens
    draw0 = live.image.data.copy()
    lens.shows.button(1).click()
    mean = live.image.data.copy()
    assert live.image.name == "live: mean of all draws"
    lens.shows.button(3).click()
    lens.mix.setValue(25)
    assert np.allclose(live.image.data, mean + 0.25 * (draw0 - mean), rtol=1e-4, atol=1e-3)
    assert "not calibrated" in live.image.name
    assert "not calibrated" in lens.shown.text()
    lens.shows.button(2).click()
    between = np.abs(live.image.data - mean) <= np.abs(draw0 - mean) * 1.001 + 1e-3
    assert between.all()
    lens.shows.button(0).click()
    lens.draw.setValue(2)
    assert not np.array_equal(live.image.data, draw0)
    lens.flip()
    assert lens.draw.value() == 3


def test_each_draw_has_its_own_vote(scene):
    scene.follow()
    risk = scene.viewer.layers["live: Risk"]
    first = risk.data.copy()
    scene.lens.draw.setValue(1)
    assert not risk.visible  # it was that of another draw
    scene.wait(lambda: risk.visible and not np.array_equal(risk.data, first, equal_nan=True))
    assert scene.lens.tolerance_words.text().endswith("certified")


def test_the_mean_is_shown_with_a_risk_of_its_own(scene):
    scene.follow()
    live, lens = scene.live, scene.lens
    of_draw = scene.viewer.layers["live: Risk"].data.copy()
    lens.draw.setValue(2)  # whichever draw was looked at before
    lens.shows.button(1).click()
    shown = scene.viewer.layers["live: Risk of the mean"]
    scene.wait(lambda: shown.visible)
    stored = live.frame.fill(live.windows(), lambda maps: maps["risk_mean"])
    assert np.array_equal(shown.data, stored, equal_nan=True)
    assert not np.array_equal(shown.data, of_draw, equal_nan=True)
    assert lens.tolerance_words.text() == "3 sigma — of the mean: certified"
    assert live.alarm == live.judge.promise("3sigma", "mean").alarm.threshold
    lens.ask(shown.data_to_world((40, 40)))
    assert lens.pixel.text().startswith("Of the mean: ")
    lens.overlay.setCurrentText("invented and missed")  # of a draw only, and it says so
    assert lens.tolerance_words.text() == "3 sigma — of draw 2, not of what is shown"
    lens.overlay.setCurrentText("risk")
    lens.tolerance.setValue(22)
    assert lens.tolerance_words.text().endswith("of draw 2, not of what is shown")


def test_tolerances_beside_the_calibrated_ones_are_exploratory(scene):
    scene.follow()
    risk = scene.viewer.layers["live: Risk"]
    before = risk.data.copy()
    scene.lens.tolerance.setValue(22)
    assert "exploratory" in scene.lens.tolerance_words.text()
    scene.wait(lambda: not np.array_equal(risk.data, before, equal_nan=True))
    scene.lens.tolerance.setValue(10)
    assert scene.lens.tolerance_words.text() == "1 sigma — certified"
    scene.lens.alarm.setValue(70)
    assert "exploratory" in scene.lens.alarm_words.text()
    scene.lens.reset.click()
    assert scene.lens.tolerance_words.text() == "3 sigma — certified"
    assert "calibrated level" in scene.lens.alarm_words.text()
    assert np.array_equal(risk.data, before, equal_nan=True)


def test_overlays_contour_and_swipe(scene):
    scene.follow()
    lens, viewer = scene.lens, scene.viewer
    lens.overlay.setCurrentText("invented and missed")
    assert not viewer.layers["live: Risk: invented"].visible  # in one turn added, in the next shown
    assert not viewer.layers["live: Risk"].visible
    lens.contour.setChecked(True)
    scene.wait(lambda: "live: alarm" in names(viewer))
    scene.wait()
    for name in ("Risk: invented", "Risk: missed", "alarm"):
        assert viewer.layers[f"live: {name}"].visible
    assert viewer.layers["live: alarm"].contour == 1
    lens.swipe.setValue(50)
    box, seen = scene.live.frame.box, scene.live._sight.seen(scene.live.facts)
    half = 2 * (seen.start[1] + seen.stop[1]) // 2 - 2 * box.start[1]
    assert np.isnan(scene.live.image.data[:, : half - 1]).all()
    assert np.isfinite(scene.live.image.data[:, half + 1 :]).all()
    assert (viewer.layers["live: alarm"].data[:, : half - 1] == 0).all()
    lens.overlay.setCurrentText("nothing")
    assert not viewer.layers["live: Risk: invented"].visible


def test_what_is_out_of_domain_is_said(scene, models):
    scene.follow()
    assert scene.lens.domain.text() == ""
    write_toy_calibration(models / "strange", samples=SAMPLES, strange=True)
    scene.enhance.follow.setChecked(False)
    scene.enhance.model_box.add(models / "strange")
    scene.enhance.preview.click()
    scene.wait(lambda: "Out of domain" in scene.lens.domain.text())
    assert scene.enhance.domain.text() == scene.lens.domain.text()
    scene.lens.ask((140.0, 130.0))
    assert "Not certified" in scene.lens.pixel.text()


def test_side_by_side_and_back(scene):
    scene.follow()
    scene.lens.beside.setChecked(True)
    grid = grid_of(scene.viewer)
    assert grid.enabled
    assert grid.spacing > 0  # whose half is whose can be seen
    assert abs(grid.stride) == scene.live.layer_count == 2
    scene.lens.beside.setChecked(False)
    assert not grid.enabled


def test_keys(scene):
    scene.follow()
    keys = {str(key): action for key, action in scene.viewer.keymap.items()}
    keys["Alt+N"](scene.viewer)
    assert scene.lens.draw.value() == 1
    keys["Alt+M"](scene.viewer)
    assert scene.live.lens.show == "mean"
    keys["Alt+M"](scene.viewer)
    assert scene.live.lens.show == "sample"
    keys["Alt+T"](scene.viewer)
    assert scene.live.lens.overlay == "invented and missed"


def test_a_draw_is_chosen_among_windows_that_have_all_draws(scene):
    """While others have a few only, or none."""
    scene.follow()
    live = scene.live
    (core, maps), *_ = live.windows()
    live.cache.put(live.facts.token, core, {QUICK: True} | {k: maps[k][:2] for k in ("draws",)})
    assert len(live.windows(whole=True)) == len(live.windows()) - 1
    scene.lens.picks["nearest"].click()
    assert "chosen" in scene.lens.shown.text()


def test_a_chosen_draw_is_said_to_be_chosen(scene):
    scene.follow()
    scene.lens.picks["farthest"].click()
    assert "chosen" in scene.lens.shown.text()
    assert "chosen" in scene.live.image.name
    assert "certified" not in scene.lens.tolerance_words.text().replace("not certified", "")
    assert not scene.live.at((140.0, 130.0))["certified"]
    scene.lens.draw.setValue((scene.lens.draw.value() + 1) % SAMPLES)
    assert scene.lens.shown.text() == ""


def test_a_pixel_tells_all_its_draws(scene):
    scene.follow()
    facts = scene.live.at((140.0, 130.0))
    y, x = (int(np.floor(v * 2 + 1)) for v in (140.0, 130.0))
    top, left = (v * 2 for v in scene.live.frame.box.start)
    assert facts["risk"] == pytest.approx(scene.viewer.layers["live: Risk"].data[y - top, x - left])
    assert len(facts["draws"]) == SAMPLES + 1
    assert facts["certified"]
    scene.lens.ask((140.0, 130.0))
    assert "pixels that look like this one" in scene.lens.pixel.text()
    middles = ((v + 0.5) / 2 - 0.5 for v in (y, x))
    assert "y {:g}, x {:g} of the input".format(*middles) in scene.lens.place.text()
    scene.lens.tolerance.setValue(20)  # what is said follows what is shown
    assert "2 sigma" in scene.lens.pixel.text()
    scene.lens.draw.setValue(2)
    assert f"Value {facts['draws'][2]:.4g}," in scene.lens.pixel.text()
    scene.lens.ask((-500.0, 0.0))
    assert "Nothing" in scene.lens.pixel.text()
    assert (
        scene.live.at((299.4, 279.4)) is None or scene.live.at((299.4, 279.4))["draws"] is not None
    )
    assert scene.live.at((300.6, 100.0)) is None


def test_a_click_asks_and_a_drag_does_not(scene, monkeypatch):
    asked = []
    monkeypatch.setattr(scene.lens, "ask", asked.append)

    class Event:
        type, position = "mouse_press", (1.0, 2.0)

    click = scene.lens._clicked(None, Event)
    next(click)
    Event.type = "mouse_release"
    assert next(click, None) is None
    assert asked == [(1.0, 2.0)]
    drag = scene.lens._clicked(None, Event)
    next(drag)
    Event.type = "mouse_move"
    next(drag)
    Event.type = "mouse_release"
    assert next(drag, None) is None
    assert len(asked) == 1


def test_blink_and_animation(scene):
    scene.follow()
    scene.lens.blink.setChecked(True)
    scene.wait(lambda: not scene.live.image.visible)
    scene.lens.blink.setChecked(False)
    assert scene.live.image.visible
    scene.lens.animate.setChecked(True)
    scene.wait(lambda: scene.lens.draw.value() == 2)
    scene.lens.animate.setChecked(False)


# -- Enhance -----------------------------------------------------------------------------------


def test_the_instrument_is_shown_and_can_be_stated(scene):
    scene.follow()
    table = scene.enhance.table
    rows = {table.item(i, 0).text(): i for i in range(table.rowCount())}
    row = rows["PSF FWHM [px]"]
    assert table.item(row, 2).text() == "estimated"
    before = scene.live.facts.token
    table.item(row, 1).setText("2,5")
    scene.wait(lambda: scene.live.facts is not None and scene.live.facts.token != before)
    assert table.item(row, 2).text() == "given"
    assert table.item(row, 1).text() == "2.5"
    assert not table.item(row, 0).flags() & Qt.ItemFlag.ItemIsEditable


def test_without_a_calibration_it_is_said(viewer, models, qtbot):
    viewer.add_image(cells((100, 100)))
    enhance = EnhanceWidget(viewer)
    qtbot.addWidget(enhance)
    enhance.model_box.add(models / "plain")
    enhance.samples.setValue(2)
    camera_of(viewer).zoom = 4
    qtbot.wait(100)
    enhance.preview.click()
    qtbot.waitUntil(lambda: enhance.live.facts is not None, timeout=PATIENCE)
    assert "not calibrated" in enhance.risk.text()
    assert "not calibrated" in enhance.model_box.currentText()


def test_models_that_fit_come_first_and_layers_of_sciup_are_not_offered(scene):
    scene.follow()
    offered = [scene.enhance.layer_box.itemText(i) for i in range(scene.enhance.layer_box.count())]
    assert offered == ["cells"]
    micro = scene.viewer.add_image(cells((50, 50)), name="m", scale=(0.1, 0.1), units=("um", "um"))
    scene.enhance.follow.setChecked(False)
    scene.enhance.layer_box.setCurrentIndex(scene.enhance.layer_box.findData(micro))
    models = [scene.enhance.model_box.itemText(i) for i in range(scene.enhance.model_box.count())]
    assert models[0] == "fluorescence-x4"
    assert not any("night" in name for name in models)
    assert "0.1 micrometer per pixel becomes 0.025" in scene.enhance.pixels.text()


def test_a_folder_that_is_no_model_is_told(scene, tmp_path):
    notification_manager.records.clear()
    scene.enhance.model_box.add(tmp_path)
    assert any("recipe" in str(n) for n in notification_manager.records)


# -- runs --------------------------------------------------------------------------------------


class Turns:
    """Counts the turns of the event loop."""

    def __init__(self):
        self.count, self._timer = 0, QTimer()
        self._timer.timeout.connect(lambda: setattr(self, "count", self.count + 1))
        self._timer.start(0)


def test_a_region_is_run_and_opened_where_it_belongs(scene):
    notification_manager.records.clear()
    scene.enhance.region.click()
    assert any("rectangle" in str(n) for n in notification_manager.records)
    shapes = scene.viewer.layers["sciup region"]
    shapes.add_rectangles(np.array([[20.2, 30.4], [69.9, 91.0]]))
    camera = camera_of(scene.viewer)
    before = camera.center, camera.zoom
    turns, come = Turns(), []
    scene.viewer.layers.events.inserted.connect(lambda _: come.append(turns.count))
    scene.enhance.region.click()
    scene.wait(lambda: "done" in scene.enhance.status.text())
    assert len(set(come)) == len(come) > 5  # the event loop went on between two layers
    assert (camera.center, camera.zoom) == before
    made = [
        x for x in scene.viewer.layers if x.metadata.get("sciup", {}).get("map") == "mean"
    ]  # fmt: skip
    expected = [scene.layer.data_to_world(np.array(e) - 0.5) for e in ((20, 30), (71, 92))]
    level = made[0].data[0] if made[0].multiscale else made[0].data
    h, w = level.shape[-2:]
    lead = [0] * (made[0].ndim - 2)
    found = [made[0].data_to_world([*lead, *c])[-2:] for c in ((-0.5, -0.5), (h - 0.5, w - 0.5))]
    assert np.abs(np.array(found) - expected).max() < 1e-6
    assert made[0].contrast_limits == [0, 300]  # the same stretch as the source
    assert "done" in scene.enhance.status.text()
    assert not scene.enhance.progress.isVisible()


@pytest.fixture(scope="module")
def results(models, tmp_path_factory):
    """A result with all draws, and one with the usual maps only."""
    import sciup

    folder = tmp_path_factory.mktemp("results")
    options = {"model": models / "calibrated", "samples": SAMPLES, "psf_fwhm": 2.4}
    values = cells((150, 140))
    usual = sciup.upscale(values, **options)
    usual.save(folder / "usual.fits")
    maps = (*usual.job.maps, "tolerance", "snr", "risk_invented", "risk_missed", "risk_mean")
    sciup.upscale(values, maps=maps, keep_samples=SAMPLES + 1, **options).save(
        folder / "full.ome.zarr"
    )
    return folder


def look_at_result(viewer, lens, path, qtbot):
    layers = viewer.open(str(path), plugin="sciup")
    sample = next(x for x in layers if x.metadata["sciup"].get("map") == "sample")
    viewer.layers.selection.active = sample
    viewer.reset_view()
    camera_of(viewer).zoom = 3 / float(np.abs(sample.scale[-1]))
    qtbot.wait(100)
    lens.result.click()
    qtbot.waitUntil(lambda: "live: Risk" in names(viewer), timeout=PATIENCE)
    return sample


def test_the_lens_looks_at_a_finished_result_with_all_draws(viewer, results, qtbot):
    lens = TrustLens(viewer)
    qtbot.addWidget(lens)
    sample = look_at_result(viewer, lens, results / "full.ome.zarr", qtbot)
    live = lens.live
    assert live.facts.countable
    frame = live.frame
    stored = np.asarray(sample.data[0] if sample.multiscale else sample.data)
    stored = stored[(0,) * (stored.ndim - 2)]
    assert np.array_equal(live.image.data, stored[frame.box.slices])
    start = [0] * (sample.ndim - 2) + [v - 0.5 for v in frame.box.start]
    assert np.abs(corners(live.image)[0] - sample.data_to_world(start)[-2:]).max() < 1e-6
    risk = viewer.layers["live: Risk"]
    before = risk.data.copy()
    lens.draw.setValue(2)
    qtbot.waitUntil(lambda: not np.array_equal(risk.data, before, equal_nan=True), timeout=PATIENCE)
    lens.tolerance.setValue(10)  # the model is not among those installed: no calibration at hand
    assert "exploratory" in lens.tolerance_words.text()
    lens.reset.click()
    lens.draw.setValue(0)
    lens.ask(
        [0] * (sample.ndim - 2)
        + list(np.array(viewer.layers["live: Risk"].data_to_world((40, 40))))
    )
    assert "pixels that look like this one" in lens.pixel.text()
    assert lens.place.text().endswith("of the result")  # whose pixels are half those of the input
    lens.shows.button(1).click()
    assert "live: Risk of the mean" in names(viewer)
    assert "of the mean" in lens.tolerance_words.text()


def test_a_result_without_draws_shows_what_is_stored(viewer, results, qtbot):
    lens = TrustLens(viewer)
    qtbot.addWidget(lens)
    look_at_result(viewer, lens, results / "usual.fits", qtbot)
    assert not lens.live.facts.countable
    assert not lens.tolerance.isEnabled()
    assert lens.draw.maximum() == 0
    lens.shows.button(1).click()
    assert lens.live.image.name == "live: mean of all draws"
    assert "live: Risk" in names(viewer)  # that of the mean was not asked for when it was made
    assert lens.tolerance_words.text() == "3 sigma — of draw 0, not of what is shown"
    image = lens.live.image
    lens.ask(image.data_to_world((30, 30)))
    assert "pixels that look like this one" in lens.pixel.text()


def test_a_run_can_be_cancelled_and_another_cannot_begin_meanwhile(scene, tmp_path):
    notification_manager.records.clear()
    session = session_of(scene.viewer)
    scene.enhance._run(str(tmp_path / "a.ome.zarr"))
    scene.enhance._run(str(tmp_path / "b.ome.zarr"))
    assert any("another run" in str(n) for n in notification_manager.records)
    scene.enhance.cancel.click()
    scene.wait(lambda: session.running.over)
    assert "cancelled" in scene.enhance.status.text()
    assert not (tmp_path / "a.ome.zarr").exists()


def test_a_run_that_fails_is_told_with_the_reason(scene, tmp_path):
    notification_manager.records.clear()
    scene.enhance._run(str(tmp_path / "nowhere" / "a.ome.zarr"))
    scene.wait(lambda: session_of(scene.viewer).running.over)
    assert any("no folder" in str(n) for n in notification_manager.records)
    assert scene.enhance.status.text() == "failed"


def test_the_dialog_says_who_computes(qtbot, tmp_path):
    dialog = RunDialog("my cells / 1")
    qtbot.addWidget(dialog)
    assert dialog.output.endswith("my_cells___1_sciup.ome.zarr")
    assert dialog.machines == {}
    dialog.who.setCurrentIndex(1)
    dialog.detail.setText("3")
    assert dialog.machines == {"workers": 3}
    dialog.who.setCurrentIndex(2)
    dialog.detail.setText("tcp://a:1")
    assert dialog.machines == {"scheduler": "tcp://a:1"}
    dialog.who.setCurrentIndex(3)
    dialog.detail.setText(str(tmp_path / "c.yaml"))
    assert dialog.machines == {"cluster": tmp_path / "c.yaml"}
    dialog.planes.setChecked(True)
    assert dialog.how == {
        "plane_only": False, "keep": False, "resume": False, "overwrite": False,
    }  # fmt: skip


def test_the_viewers_process_never_imports_torch(viewer, qtbot):
    """In a process of its own: this one has torch for the toy models."""
    import subprocess

    code = (
        "import sys;"
        "import sciup_napari.enhance, sciup_napari.explore, sciup_napari.lens, sciup_napari.reader;"
        "print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_a_missing_torch_is_told_plainly(viewer, models, qtbot, monkeypatch):
    code = "import sys; sys.modules['torch'] = None; from sciup_napari.child import main; main()"
    monkeypatch.setattr(link_module, "COMMAND", (sys.executable, "-c", code))
    monkeypatch.setattr("sciup_napari.talk.Link", link_module.Link)
    said = []
    live = LiveView(viewer)
    live.failed.connect(said.append)
    live.warm_up()
    qtbot.waitUntil(lambda: bool(said), timeout=PATIENCE)
    assert "torch" in said[0]
    assert "pip install" in said[0]
    live.close()
