"""The Measure widget in a real viewer, with a toy model: the numbers are those of the library."""

from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from qtpy.QtWidgets import QPushButton

import sciup
from sciup.geometry import Box
from sciup.results.draws import Draws
from sciup.science.detect.rows import words_of
from sciup.testing.toy_images import star, star_field
from sciup.testing.toy_model import write_toy_model
from sciup_napari import kept_draws
from sciup_napari.ground import input_matrix
from sciup_napari.kept_draws import KeptDraws
from sciup_napari.measure import MeasureWidget
from sciup_napari.measure_messages import Catalogue, Head
from sciup_napari.measure_panel import HINT, OWN
from sciup_napari.measure_rows import standing
from sciup_napari.outlines import around_ellipse
from sciup_napari.session import session_of

pytestmark = pytest.mark.usefixtures("one_child")

PATIENCE = 120_000
SHAPE = (64, 90)
STATED = {"psf_fwhm": 2.3, "background": 100.0, "noise_sigma": 5.0, "gain": 10.0}
STARS = np.array([[20.3, 20.6], [31.1, 68.2], [50.4, 33.0]])
SQUARE = np.array([[12.2, 14.3], [12.2, 27.9], [26.6, 27.9], [26.6, 14.3]])
OVAL = np.array([[24.5, 60.0], [24.5, 76.4], [37.7, 76.4], [37.7, 60.0]])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "toy"
    return write_toy_model(folder, scale=2, channels=4, head_channels=4, name="toy")


@pytest.fixture(scope="module")
def result(model, tmp_path_factory):
    """A result whose input is where it was."""
    return make_result(tmp_path_factory.mktemp("field"), model)


def make_result(folder, model):
    """Three stars on a sky with pixels of 0.36 arcsec: rows 8 on of the field."""
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "BUNIT": "electron"})
    header.update(CRPIX1=1, CRPIX2=1, CRVAL1=150.0, CRVAL2=2.0, CDELT1=-1e-4, CDELT2=1e-4)
    image = star_field(SHAPE, stars=0) + sum(20000 * star(SHAPE, *p, 2.3) for p in STARS)
    fits.PrimaryHDU(image.astype("f4"), header).writeto(folder / "field.fits")
    lazy = sciup.upscale(
        folder / "field.fits", model=model, samples=4, roi="8:64,0:90", device="cpu", **STATED
    )
    return lazy.save(folder / "sharp.fits")


@pytest.fixture
def viewer(make_napari_viewer):
    made = make_napari_viewer()
    yield made
    session_of(made).close()


@pytest.fixture
def dock(viewer, result, model, qtbot):
    """The widget on a finished result, asked for six draws."""
    viewer.open(str(result), plugin="sciup")
    widget = MeasureWidget(viewer)
    qtbot.addWidget(widget)
    widget.model_box.add(model)
    widget.draws.setValue(6)
    return widget


def drawn(dock, corners=(SQUARE, OVAL), kinds=("polygon", "ellipse"), **place):
    """A layer of shapes on the input pixels of the result."""
    place = place or {"affine": input_matrix(dock.layer)}
    return dock.viewer.add_shapes(list(corners), shape_type=list(kinds), ndim=2, **place)


def rest(dock, qtbot, n):
    """Wait until so many rows are up to date."""

    def done():
        rows = dock.measuring.rows
        return len(rows) == n and all(row.fresh for row in rows)

    qtbot.waitUntil(done, timeout=PATIENCE)
    return [row.answer for row in dock.measuring.rows]


def texts(table):
    cells = [
        [table.item(i, j) for j in range(table.columnCount())] for i in range(table.rowCount())
    ]
    return [[cell.text() for cell in row] for row in cells]


def same(answers, table):
    """All cells of the dock are those of the library's table, bit for bit."""
    assert len(answers) == len(table)
    for answer, row in zip(answers, table, strict=True):
        assert list(answer.row.heads) == table.colnames
        for name in set(table.colnames) - {"id"}:
            np.testing.assert_array_equal(answer.row.columns[name], [row[name]], name)


def as_saved(path, corners, kinds):
    """A CSV as napari saves shapes that were drawn on the input."""
    lines = ["index,shape-type,vertex-index,axis-0,axis-1"]
    for i, (shape, kind) in enumerate(zip(corners, kinds, strict=True)):
        lines += [f"{i},{kind},{j},{y!r},{x!r}" for j, (y, x) in enumerate(shape.tolist())]
    path.write_text("\n".join(lines))
    return path


def test_shapes_anywhere_give_the_numbers_of_the_library_and_only_what_moved_is_measured_again(
    dock, result, model, tmp_path, qtbot
):
    kinds = ("polygon", "ellipse")
    assert (dock.status.text(), dock.measured.isHidden()) == (HINT, True)
    layer = drawn(dock)
    answers = rest(dock, qtbot, 2)
    saved = as_saved(tmp_path / "shapes.csv", (SQUARE, OVAL), kinds)
    told = {"regions": saved, "samples": 6, "model": str(model)}
    same(answers, sciup.measure(result, "photometry", **told))
    flux = answers[0].row.columns
    cells = texts(dock.measured)[0]
    assert dock.measured.horizontalHeaderItem(1).text() == "flux\nelectron"
    assert float(cells[1]) == pytest.approx(flux["flux"][0], rel=1e-2)
    assert [float(c) for c in cells[3].split(" to ")] == pytest.approx(
        [flux["flux_lo95"][0], flux["flux_hi95"][0]], rel=1e-2
    )
    heard = []
    dock.measuring._talk.measured.connect(heard.append)
    layer.data = [SQUARE + 1, OVAL]
    dock.measuring.read()
    assert [row.fresh for row in dock.measuring.rows] == [False, True]
    assert dock.measured.item(0, 1).text() == cells[1]  # the old number, in grey
    assert dock.measured.item(0, 1).foreground().color().name() == "#909090"
    told["regions"] = as_saved(tmp_path / "moved.csv", (SQUARE + 1, OVAL), kinds)
    same(rest(dock, qtbot, 2), sciup.measure(result, "photometry", **told))
    assert len(heard) == 1
    layer.data = [SQUARE, OVAL]  # known already
    dock.measuring.read()
    assert (dock.measuring.waiting, len(heard)) == (0, 1)
    dock.measured.setCurrentCell(1, 0)
    assert set(layer.selected_data) == {1}
    layer.selected_data = {0}
    assert dock.measured.currentRow() == 0
    elsewhere = {"scale": (0.7, 0.2), "rotate": 30, "translate": (5, -3)}
    turned = drawn(dock, **elsewhere)
    there = np.linalg.inv(turned.affine.affine_matrix @ turned._data_to_world.affine_matrix)
    there = there @ input_matrix(dock.layer)
    turned.data = [(np.c_[c, np.ones(4)] @ there.T)[:, :2] for c in (SQUARE, SQUARE + 1)]
    turned.shape_type = ["polygon", "polygon"]
    dock.regions.setCurrentIndex(dock.regions.findData(turned))
    dock.measuring.read()
    assert dock.measuring.rows[0].outline.corners == tuple(map(tuple, SQUARE.tolist()))
    assert len(heard) == 1  # the same places, and so the same numbers


def test_candidates_lie_where_the_library_says_and_can_be_measured(
    dock, result, model, viewer, qtbot
):
    dock.place.setCurrentIndex(dock.place.findData("all"))
    dock.detect.click()
    qtbot.waitUntil(lambda: not dock.measuring.detecting, timeout=PATIENCE)
    table = sciup.detect(result, "point", samples=6, model=str(model))
    assert len(table) >= 3
    points = dock.found.layer
    for name in table.colnames:
        np.testing.assert_array_equal(points.features[name], np.asarray(table[name]), name)
    places = [points.data_to_world(p) for p in points.data]
    pixels = np.stack([table["y_output"], table["x_output"]], -1)
    expected = [dock.layer.data_to_world(p) for p in pixels]
    np.testing.assert_allclose(places, expected, rtol=0, atol=1e-6)
    for words in words_of(table):
        assert words in dock.candidates.text()
    assert "raw: " in dock.candidates.text()
    dock.least.setValue(50)
    likely = np.asarray(table["p_exists"]) >= 0.5
    assert np.array_equal(points.shown, likely)
    assert np.array_equal(points.size > 0, likely)
    assert f"Shown: {likely.sum()} " in dock.candidates.text()
    assert dock.regions.currentData() is None  # on demand only
    dock.regions.setCurrentIndex(dock.regions.findData(points))
    dock.radius.setValue(4)
    answers = rest(dock, qtbot, int(likely.sum()))
    where = Table({"y": np.round(table["y"][likely], 4), "x": np.round(table["x"][likely], 4)})
    known = sciup.measure(
        result, "photometry", catalog=where, radius=4, samples=6, model=str(model)
    )
    same(answers, known)
    viewer.layers.remove(points)
    assert not dock.measuring.rows


def test_own_functions_refusals_and_tables(dock, result, model, tmp_path, monkeypatch, qtbot):
    path = tmp_path / "my.py"
    path.write_text("def peak(image, mask):\n    return float(image[mask].max())\n")
    drawn(dock, (SQUARE, OVAL, SQUARE - 100, SQUARE[:2]), ("polygon", "ellipse", "polygon", "line"))
    dock.quantity.setCurrentText(OWN)
    assert dock.measuring.question is None
    dock.own.choose(path)
    answers = rest(dock, qtbot, 4)
    told = {"samples": 6, "model": str(model)}
    saved = as_saved(tmp_path / "s.csv", (SQUARE, OVAL), ("polygon", "ellipse"))
    known = sciup.measure(result, f"{path}:peak", regions=saved, **told)
    same(answers[:2], known)
    assert answers[2].flag == "outside the result"
    assert answers[3].flag == "it is a line and has no area"
    assert texts(dock.measured)[3][-1] == answers[3].flag
    assert "Draw a polygon around" in dock.warning.text()
    out = tmp_path / "table.ecsv"
    monkeypatch.setattr(
        "sciup_napari.measure_rows.QFileDialog.getSaveFileName", lambda *_: (str(out), "")
    )
    dock.save.click()
    written = Table.read(out)
    assert written.meta["quantity"] == f"{path}:peak"
    assert list(written["id"]) == ["1", "2", "3"]
    assert np.array_equal(written["peak_hi68"][:2], known["peak_hi68"])
    path.write_text("def peak(image, mask):\n    return image[mask].mux()\n")
    dock.again.click()
    qtbot.waitUntil(lambda: "mux" in dock.failure.text(), timeout=PATIENCE)
    assert "line 2" in dock.failure.text()
    assert dock.status.text() == "failed"
    dock.quantity.setCurrentText("centroid")
    rest(dock, qtbot, 4)
    assert not dock.failure.text()


def test_an_input_that_was_moved_is_named_in_the_dock(viewer, model, tmp_path, monkeypatch, qtbot):
    (tmp_path / "before").mkdir()
    moved = make_result(tmp_path / "before", model)
    known = {"samples": 6, "model": str(model), "regions": "polygon(14,15,28,15,28,28,14,28)"}
    expected = sciup.measure(moved, "photometry", **known)
    now = tmp_path / "archive" / "renamed.fits"
    now.parent.mkdir()
    (tmp_path / "before" / "field.fits").rename(now)
    viewer.open(str(moved), plugin="sciup")
    dock = MeasureWidget(viewer)
    qtbot.addWidget(dock)
    dock.model_box.add(model)
    dock.draws.setValue(6)
    box = np.array([[14.0, 13.0], [14.0, 27.0], [27.0, 27.0], [27.0, 13.0]])
    drawn(dock, (box,), ("polygon",))
    qtbot.waitUntil(
        lambda: "field.fits is no longer there" in dock.failure.text(), timeout=PATIENCE
    )
    dock.moved.line.setText(f"file://{tmp_path}/nowhere.fits")
    dock.moved.line.editingFinished.emit()
    qtbot.waitUntil(
        lambda: f"{tmp_path}/nowhere.fits is no longer there" in dock.failure.text(),
        timeout=PATIENCE,
    )
    chosen = "sciup_napari.moved_input.QFileDialog.getOpenFileName"
    monkeypatch.setattr(chosen, lambda *_: (str(now), ""))
    dock.moved.row.findChild(QPushButton).click()
    same(rest(dock, qtbot, 1), expected)
    assert not dock.failure.text()
    image = viewer.add_image(star_field((40, 48), stars=3).astype("f4"), name="stars")
    shown = dock.layer
    dock.layer_box.setCurrentIndex(dock.layer_box.findData(image))
    assert not dock.moved.row.isVisibleTo(dock)
    assert dock.moved.place is None
    dock.moved.choose("typed too late")  # Qt tells it when the field is hidden
    assert list(dock.session.moved.values()) == [str(now)]
    dock.layer_box.setCurrentIndex(dock.layer_box.findData(shown))
    assert dock.moved.row.isVisibleTo(dock)
    assert dock.moved.line.text() == dock.measuring.question.moved == str(now)  # with the result


def test_the_draws_of_a_layer_are_made_as_needed(viewer, model, qtbot):
    image = star_field((40, 48), stars=3).astype("f4")
    viewer.add_image(image, name="stars", scale=(0.3, 0.2))
    dock = MeasureWidget(viewer)
    qtbot.addWidget(dock)
    dock.model_box.add(model)
    dock.table.given.update(STATED)
    dock.draws.setValue(4)
    drawn(dock, (SQUARE,), ("polygon",))
    answers = rest(dock, qtbot, 1)
    lazy = sciup.upscale(image, model=model, device="cpu", **STATED)
    corners = ",".join(f"{x + 1!r},{y + 1!r}" for y, x in SQUARE.tolist())
    known = sciup.measure(lazy, "photometry", regions=f"polygon({corners})", samples=4)
    assert answers[0].row.columns["flux"][0] == known["flux"][0]
    assert answers[0].row.columns["flux_hi95"][0] == known["flux_hi95"][0]


def test_what_is_measured_goes_while_it_is_measured(dock, viewer, qtbot):
    layer = drawn(dock)
    dock.draws.setValue(700)  # takes a while
    dock.measuring.read()
    assert dock.measuring.waiting == 2
    viewer.layers.remove(layer)
    assert not dock.measuring.rows
    assert not dock.measuring.waiting
    drawn(dock)
    dock.detect.click()
    assert dock.cancel.isEnabled()
    dock.cancel.click()
    assert not dock.measuring.detecting
    viewer.dims.ndisplay = 3
    dock.measuring.read()
    assert "in 2D" in dock.status.text()
    viewer.layers.clear()
    assert dock.measuring.question is None
    assert not dock.detect.isEnabled()


def test_the_end_of_a_search_whose_layer_is_gone_is_seen(dock, viewer):
    dock.detect.click()
    viewer.add_image(np.zeros((8, 8)), name="other")
    assert (dock.detect.isEnabled(), dock.cancel.isEnabled()) == (False, True)
    for layer in [x for x in viewer.layers if x.name != "other"]:
        viewer.layers.remove(layer)
    assert not dock.measuring.detecting
    assert (dock.detect.isEnabled(), dock.cancel.isEnabled()) == (True, False)
    assert dock.progress.isHidden()


def test_a_viewer_that_closes_ends_its_measurements(make_napari_viewer, result, qtbot):
    viewer = make_napari_viewer()
    viewer.open(str(result), plugin="sciup")
    _, dock = viewer.window.add_plugin_dock_widget("sciup", "Measure")  # as from the menu
    dock.new.click()
    assert dock.regions.currentData().mode == "add_ellipse"
    dock.regions.currentData().add_ellipses(OVAL)
    dock.measuring.read()
    assert dock.measuring.waiting == 1
    link = dock.measuring._talk._link
    session_of(viewer).close()
    assert dock.measuring.question is None
    assert link is not type(link).owner


def test_kept_draws_are_those_of_the_library_however_little_room_there_is(
    result, model, monkeypatch
):
    box, calls = Box((3, 5), (90, 150)), []
    known = Draws.open(result, model=str(model)).window((), box, 7)
    kept = KeptDraws.open(result, model=str(model))
    kept.before = lambda: calls.append(1)
    for count in (4, 7, 4):
        assert np.array_equal(kept.window((), box, count), known[:count])
    assert len(calls) == 2
    monkeypatch.setattr(kept_draws, "ROOM", 1)
    monkeypatch.setattr(kept_draws, "CORE", 32)
    assert np.array_equal(kept.window((), box, 5), known[:5])
    assert len(kept._parts) == 1


def test_a_sheared_ellipse_keeps_its_points():
    """Any parallelogram around an ellipse says which ellipse it is."""
    shear = np.array([[1.3, 0.4], [-0.2, 0.9]])
    corners = around_ellipse((OVAL - OVAL.mean(0)) @ shear.T)
    a, b = (corners[1] - corners[0]) / 2, (corners[2] - corners[1]) / 2
    assert abs(a @ b) < 1e-9
    turn = np.linspace(0, 2 * np.pi, 9)
    u, v = (OVAL[1] - OVAL[0]) / 2, (OVAL[2] - OVAL[1]) / 2
    points = (np.outer(np.cos(turn), u) + np.outer(np.sin(turn), v)) @ shear.T
    along, across = points @ a / (a @ a), points @ b / (b @ b)
    np.testing.assert_allclose(along**2 + across**2, 1)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.7, 0.66), "All intervals are calibrated"),
        ((0.7, float("nan"), 0.7), "Intervals of 1, 3 are calibrated"),
        ((float("nan"),), "of the draws as such: no file fits"),
        ((None, None), "of the draws as such: no file fits"),
    ],
)
def test_the_dock_says_which_rows_are_calibrated_and_not_by_columns_that_it_does_not_show(
    shares, said
):
    def row(index, share):
        columns = {"flux": [1.0], "flux_lo68": [0.9]}
        if share is not None:  # a table in which nothing is calibrated has no such column
            columns["flux_covered68"] = [share]
        meta = {"coverage": "intervals are those of the draws as such: no file fits"}
        table = Catalogue(dict.fromkeys(columns, Head("", "")), columns, meta)
        return SimpleNamespace(index=index, fresh=True, answer=SimpleNamespace(row=table))

    words = standing([row(i, share) for i, share in enumerate(shares)])
    assert said in words
    assert "*_" not in words
    assert ("others" in words) == (said.startswith("Intervals of"))
    assert standing([]) == ""
