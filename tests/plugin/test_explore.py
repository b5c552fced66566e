"""The Explore widget in a real viewer, with a toy model: every goal, every end, every refusal."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from napari.utils.notifications import notification_manager

import sciup
from sciup.errors import OptionError
from sciup.explorer.answers import POSSIBLE
from sciup.explorer.goals import GOALS as LIBRARY_GOALS
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model
from sciup_napari.answer_table import number_words
from sciup_napari.enhance import EnhanceWidget
from sciup_napari.explore import ExploreWidget
from sciup_napari.explore_panel import GOALS
from sciup_napari.messages import CHILD, Failed
from sciup_napari.place import camera_of, finer, to_world
from sciup_napari.regions import NAME, _drawn, region_to_explore
from sciup_napari.session import session_of
from sciup_napari.sketch import sketch_of

pytestmark = pytest.mark.usefixtures("one_child")

PATIENCE = 240_000
STATED = {"psf_fwhm": 2.4, "gain": 1.0, "read_noise": 1.0, "background": 0.0}
CORNERS = np.array([[20.2, 30.4], [31.4, 42.0]])
BOX = ((20, 30), (32, 43))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "toy"
    write_toy_model(folder, domain="fluorescence", scale=2, channels=4, head_channels=4, name="toy")
    return folder


@pytest.fixture
def viewer(make_napari_viewer):
    made = make_napari_viewer()
    yield made
    session_of(made).close()


@pytest.fixture
def explore(viewer, model, qtbot):
    """The widget on a scaled and moved image with a rectangle, asked for little."""
    layer = viewer.add_image(
        cells((64, 60)), name="cells", scale=(0.3, 0.2), translate=(5, -7), contrast_limits=(0, 300)
    )
    widget = ExploreWidget(viewer)
    qtbot.addWidget(widget)
    widget.model_box.add(model)
    widget.table.given.update(STATED)
    widget.steps.setValue(2)
    widget.answers.setValue(2)
    viewer.add_shapes(name="mine", ndim=2, scale=layer.scale, translate=layer.translate)
    viewer.layers["mine"].add_rectangles(CORNERS)
    return widget


def told():
    return " ".join(str(n.message) for n in notification_manager.records)


def search(widget, qtbot):
    notification_manager.records.clear()
    widget.begin.click()
    qtbot.waitUntil(lambda: not widget.search.busy, timeout=PATIENCE)


def made_by(widget):
    """The layers of the answers, by what they are."""
    found = (layer for layer in widget.viewer.layers if widget.session.made(layer))
    return {layer.metadata["sciup"]["map"]: layer for layer in found}


def shown_by(widget):
    return [name for name, layer in made_by(widget).items() if layer.visible]


def all_there(widget):
    layers = widget.search.layers
    return len(made_by(widget)) == len(layers.images) + 1  # and the residual


def corners(layer):
    h, w = layer.data.shape[-2:]
    return np.array([layer.data_to_world(c) for c in ((-0.5, -0.5), (h - 0.5, w - 0.5))])


def texts(table):
    rows, columns = table.rowCount(), table.columnCount()
    cells = [[table.item(i, j) for j in range(columns)] for i in range(rows)]
    return [[cell.text() for cell in row if cell is not None] for row in cells]


# -- answers -----------------------------------------------------------------------------------


def test_answers_lie_on_the_source_and_are_those_of_the_library(explore, model, qtbot):
    search(explore, qtbot)
    qtbot.waitUntil(lambda: all_there(explore))
    layers, source = made_by(explore), explore.layer
    assert set(layers) == {"sample_0", "answer_1", "answer_2", "residual"}
    expected = np.array([source.data_to_world(np.array(edge) - 0.5) for edge in BOX])
    for layer in layers.values():
        assert np.abs(corners(layer) - expected).max() < 1e-6
        assert layer.units == source.units
    assert layers["answer_1"].data.shape == (24, 26)
    assert layers["residual"].data.shape == (12, 13)
    assert layers["answer_1"].contrast_limits == [0, 300]
    assert "possible" in layers["answer_1"].name
    known = sciup.explore(
        source.data, roi="20:32,30:43", answers=2, steps=2, model=model, device="cpu", **STATED
    ).regions[0]
    for answer in known.answers:
        assert np.array_equal(layers[answer.name].data, answer.image)
    assert known.words in explore.words.text()
    assert explore.meaning.text() == POSSIBLE
    assert explore.status.text() == "found"
    rows = texts(explore.answer_table)
    first = known.answers[0].facts
    assert [row[0] for row in rows] == ["sample 0", "answer 1", "answer 2"]
    assert rows[1][1] == f"{first['chi2']:.0f}"
    assert rows[1][2] == f"{first['worst_8px_block_sigma']:+.1f}"
    assert rows[1][3].startswith(f"{first['typicality']['moved_sigma']:.1f}")
    assert layers["answer_1"].metadata["sciup"]["explored"]["image"]["chi2"] == first["chi2"]
    a_row_shows_its_image_and_answers_blink(explore, qtbot)
    layers = made_by(explore)
    source.translate = (1, 2)  # and they go with it
    moved = np.array([source.data_to_world(np.array(edge) - 0.5) for edge in BOX])
    assert np.abs(corners(layers["answer_2"]) - moved).max() < 1e-6
    source.data = source.data[::-1].copy()
    assert not made_by(explore)
    assert not explore.answer_table.rowCount()


def a_row_shows_its_image_and_answers_blink(explore, qtbot):
    assert shown_by(explore) == ["answer_1"]
    assert explore.answer_table.currentRow() == 1
    layers, table = made_by(explore), explore.answer_table
    residual = layers["residual"].data
    table.choose(0)
    assert shown_by(explore) == ["sample_0"]
    assert not np.array_equal(layers["residual"].data, residual)
    assert layers["residual"].name == "explored: residual, sample 0"
    explore.residual.setChecked(True)
    assert shown_by(explore) == ["sample_0", "residual"]
    explore.residual.setChecked(False)
    explore._blinking.setInterval(1)
    seen = []
    table.chosen.connect(seen.append)
    explore.blink.setChecked(True)
    qtbot.waitUntil(lambda: len(seen) > 2)
    explore.blink.setChecked(False)
    assert seen[:3] == [1, 2, 1]  # not sample 0
    explore.viewer.layers.remove(layers["answer_2"])
    table.choose(0)
    table.choose(2)  # made again
    assert shown_by(explore) == ["answer_2"]
    explore.viewer.dims.ndisplay = 3
    assert not shown_by(explore)
    search(explore, qtbot)
    assert "2D" in told()
    explore.viewer.dims.ndisplay = 2
    assert shown_by(explore) == ["answer_2"]
    later = ExploreWidget(explore.viewer)
    qtbot.addWidget(later)
    assert texts(later.answer_table) == texts(table)


def test_every_other_goal_and_way_to_ask(explore, viewer, qtbot):
    """One after the other, because a viewer takes seconds to open."""
    checks = (
        a_flux_around_a_point, the_middle_of_the_view, sketches, one_source_or_two, nothing_found,
    )  # fmt: skip
    for check in checks:
        check(explore, viewer, qtbot)
    what_is_stated_in_one_widget_holds_in_the_other(explore, viewer, qtbot)


def a_flux_around_a_point(explore, viewer, qtbot):
    layer = explore.layer
    viewer.add_points([[20.0, 31.0]], scale=layer.scale, translate=layer.translate)
    explore.goal.setCurrentText("brightest")
    explore.way.setCurrentIndex(explore.way.findData("point"))
    explore.radius.setValue(3)
    assert explore.answers.isHidden()
    search(explore, qtbot)
    region = explore.search.found.region
    assert region.box.start == (4, 15)
    assert region.facts["at"] == pytest.approx((20, 31))
    assert region.facts["radius"] == 3
    qtbot.waitUntil(lambda: "explored: aperture" in viewer.layers)
    circle = viewer.layers[-1]  # above what was found
    assert circle.name == "explored: aperture"
    around = np.array([circle.data_to_world(corner) for corner in circle.data[0]])
    np.testing.assert_allclose(around.min(0), layer.data_to_world((17, 28)), rtol=1e-6)
    np.testing.assert_allclose(around.max(0), layer.data_to_world((23, 34)), rtol=1e-6)
    assert circle not in _drawn(viewer, "Shapes")  # nobody has drawn it
    low, high = region.facts["flux_low"], region.facts["flux_high"]
    assert f"between {low:.4g} and {high:.4g}" in explore.words.text()
    assert explore.answer_table.horizontalHeaderItem(4).text() == "flux"
    first, last, permitted = texts(explore.answer_table)[1:]
    assert float(first[4]) > float(last[4])
    assert permitted[:2] == ["permitted", f"{number_words(low)} to {number_words(high)} (95 %)"]


def the_middle_of_the_view(explore, viewer, qtbot):
    centre = explore.layer.data_to_world((30, 28))
    camera_of(viewer).center = (0, *centre)
    explore.goal.setCurrentText("one-or-two")
    explore.way.setCurrentIndex(explore.way.findData("view"))
    assert explore.question()["at"] == pytest.approx((30, 28))
    explore.radius.setValue(0)
    assert explore.radius.text() == "from the PSF"
    explore.radius.setValue(1)
    search(explore, qtbot)
    assert "larger --radius" in told()  # the library's word, with the fix
    assert explore.status.text() == "failed"


def sketches(explore, viewer, qtbot):
    layer = explore.layer
    explore.way.setCurrentIndex(explore.way.findData("rectangle"))
    explore.goal.setCurrentText("sketch")
    explore.sketch.setCurrentIndex(explore.sketch.findText("mine"))
    search(explore, qtbot)
    assert "no rectangle" in told()  # that of the sketch is none
    viewer.layers.remove(NAME)
    labels = np.zeros(layer.data.shape, int)
    viewer.add_labels(labels, name="idea", scale=layer.scale, translate=layer.translate)
    explore.sketch.setCurrentIndex(explore.sketch.findText("idea"))
    search(explore, qtbot)
    assert "shows nothing in the region" in told()
    labels[24:28, 34:38] = 3
    search(explore, qtbot)
    assert [row[0] for row in texts(explore.answer_table)[:2]] == ["sample 0", "sketch"]
    assert explore.answer_table.horizontalHeaderItem(4).text() == "away"
    assert "the sketch itself is" in explore.words.text()
    assert "explored: aperture" not in viewer.layers


def one_source_or_two(explore, viewer, qtbot):
    explore.goal.setCurrentText("one-or-two")
    explore.radius.setValue(0)
    search(explore, qtbot)
    region = explore.search.found.region
    assert region.facts["at"] == (25.5, 36)  # the middle of the rectangle
    assert region.facts["verdict"] in explore.words.text()
    assert explore.answer_table.horizontalHeaderItem(4).text() == "away"


def nothing_found(explore, viewer, qtbot):
    explore.goal.setCurrentText("farthest")
    explore.table.given["gain"] = 1e4  # hardly any noise
    search(explore, qtbot)
    assert explore.status.text() == "nothing found"
    assert explore.failure.text().startswith("Nothing found: no image found that agrees")
    assert "believed smaller than it is" in explore.failure.text()
    assert texts(explore.answer_table)[1][0] == "rejected 1"
    assert shown_by(explore) == ["rejected_1"]
    explore._next()  # there is no answer to blink to
    assert shown_by(explore) == ["rejected_1"]


# -- what ends a search ------------------------------------------------------------------------


def begun(widget, qtbot):
    """A search that would take minutes."""
    widget.steps.setValue(10_000)
    notification_manager.records.clear()
    widget.begin.click()
    qtbot.waitUntil(lambda: "evaluations" in widget.status.text(), timeout=PATIENCE)
    assert not widget.begin.isEnabled()


def test_what_is_refused_and_what_ends_a_search(explore, viewer, qtbot, model):
    what_cannot_be_searched_is_told_with_the_fix(explore, viewer, qtbot)
    explore.layer_box.setCurrentIndex(explore.layer_box.findText("cells"))
    explore.model_box.add(model)
    explore.goal.setCurrentText("distinct")
    begun(explore, qtbot)
    with pytest.raises(OptionError, match="another search goes on"):
        explore.search.begin(explore.layer, {}, {})
    explore.cancel.click()
    assert (explore.status.text(), explore.cancel.isEnabled()) == ("cancelled", False)
    begun(explore, qtbot)  # the same child, at once
    explore.layer.data = explore.layer.data[::-1].copy()
    assert explore.status.text() == "the layer has other pixels now"
    begun(explore, qtbot)
    explore.search._talk.failed.emit(Failed(CHILD, "the process that computes ended (-9)", "why"))
    assert explore.status.text() == "failed"
    assert "ended (-9)\nwhy" in told()
    begun(explore, qtbot)
    viewer.layers.remove("cells")
    assert explore.status.text() == "the layer is gone"
    assert not explore.begin.isEnabled()
    assert not made_by(explore)
    assert not told()


def test_a_viewer_that_closes_ends_its_search(make_napari_viewer, model, qtbot):
    viewer = make_napari_viewer()
    viewer.add_image(cells((64, 60)), name="cells")
    _, widget = viewer.window.add_plugin_dock_widget("sciup", "Explore")  # as from the menu
    assert widget.viewer is viewer
    widget.model_box.add(model)
    widget.way.setCurrentIndex(widget.way.findData("view"))
    begun(widget, qtbot)
    session = widget.session
    link = session.search._talk._link
    session.close()
    assert not session.search.busy
    assert link is not type(link).owner


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "corners", "words"),
    [
        ("rectangle", None, "no rectangle.*draw one"),
        ("rectangle", [[-30, -30], [-5, -5]], "beside the image"),
        ("rectangle", [[0, 0], [150, 20]], "151 x 21 px.*up to 128 x 128.*smaller"),
        ("point", None, "no point.*Points layer"),
        ("point", [[400, 3]], "the point lies beside.*move it"),
        ("view", None, "middle of the view lies beside"),
    ],
)
def test_regions_that_cannot_be_explored(way, corners, words):
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((200, 180)), scale=(2, 2))
    camera_of(viewer).center = (0, -100, -100)
    if corners is not None:
        points = way == "point"
        drawn = Points(corners) if points else Shapes([np.array(corners)], shape_type="rectangle")
        drawn.scale = (2, 2)
        viewer.add_layer(drawn)
    with pytest.raises(OptionError, match=words):
        region_to_explore(viewer, layer, way)


def what_cannot_be_searched_is_told_with_the_fix(explore, viewer, qtbot):
    viewer.layers.remove("mine")
    search(explore, qtbot)
    assert "draw one in the layer" in told()
    assert viewer.layers[NAME].mode == "add_rectangle"
    explore.goal.setCurrentText("sketch")
    viewer.layers[NAME].add_rectangles(CORNERS)
    explore.sketch.clear()
    search(explore, qtbot)
    assert "no sketch yet" in told()
    explore.model_box.clear()
    search(explore, qtbot)
    assert "no model is chosen" in told()
    picture = viewer.add_image(np.zeros((9, 9, 3), "u1"), rgb=True)
    viewer.layers.selection.active = picture
    search(explore, qtbot)
    assert "Split RGB" in told()
    viewer.layers.remove(picture)


def what_is_stated_in_one_widget_holds_in_the_other(explore, viewer, qtbot):
    enhance = EnhanceWidget(viewer)
    qtbot.addWidget(enhance)
    explore.table.fill_given()
    explore.table.item(0, 1).setText("3.5")
    assert enhance.table.given["psf_fwhm"] == 3.5
    assert enhance.table.item(0, 1).text() == "3.5"
    assert explore.order()["instrument"] == enhance.order()["instrument"]


def test_every_goal_of_the_library_is_offered():
    assert tuple(GOALS) == LIBRARY_GOALS


# -- parts -------------------------------------------------------------------------------------


def test_a_sketch_of_any_kind_is_the_same_drawing():
    """Of a layer that lies elsewhere, at another pixel size and turned by a quarter."""
    viewer, source = ViewerModel(), Image(np.zeros((40, 40)), scale=(0.5, 0.5), translate=(3, 4))
    matrix, shape = finer(to_world(source), 4, (10, 12)), (32, 40)
    expected = np.zeros(shape, np.float32)
    expected[8:16, 12:20] = 1  # input pixels 12:14, 15:17
    truth = np.zeros((40, 40), int)
    truth[12:14, 15:17] = 5
    place = {"scale": (0.5, 0.5), "translate": (3, 4)}
    turned = {"scale": (0.5, 0.5), "rotate": -90, "translate": (3, 4 + 39 * 0.5)}
    rectangle = np.array([[11.5, 14.5], [11.5, 16.49], [13.49, 16.49], [13.49, 14.5]])
    drawn = Shapes([rectangle], shape_type="rectangle", **place)
    for layer in (Labels(truth, **place), Labels(np.rot90(truth), **turned), drawn):
        assert np.array_equal(sketch_of(layer, viewer, matrix, shape), expected)
    light = sketch_of(Image(truth.astype("f4"), **place), viewer, matrix, shape)
    assert light.max() == 5
    assert np.corrcoef(light.ravel(), expected.ravel())[0, 1] > 0.9
    with pytest.raises(OptionError, match="does not cover the region"):
        sketch_of(Image(np.ones((15, 40)), **place), viewer, matrix, shape)
    with pytest.raises(OptionError, match="shows nothing"):
        sketch_of(Shapes(**place), viewer, matrix, shape)
