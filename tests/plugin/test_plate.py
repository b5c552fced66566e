"""A plate of results in napari: wells side by side, channels, times, and each field a result."""

import shutil

import numpy as np
import pytest
from toy_plate import (
    COLOURS,
    NAMES,
    PIXEL,
    SCALE,
    SHAPE,
    TIME,
    WELLS,
    arguments,
    write_models,
    write_toy_plate,
)
from typer.testing import CliRunner

from sciup.cli import app
from sciup.testing.microscopy_files import write_plate
from sciup_napari.plate_layers import GAP, MOST_LAYERS
from sciup_napari.reader import get_reader

STEP = PIXEL / SCALE


@pytest.fixture(scope="module")
def plates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plates")
    write_toy_plate(folder / "plate.ome.zarr")
    write_models(folder)
    done = CliRunner().invoke(
        app, arguments(folder / "plate.ome.zarr", folder, folder / "sharp.ome.zarr")
    )
    assert done.exit_code == 0, done.output
    return folder


def opened(path):
    return get_reader(str(path))(str(path))


@pytest.mark.parametrize(("name", "scale"), [("plate.ome.zarr", 1), ("sharp.ome.zarr", SCALE)])
def test_wells_lie_as_on_the_plate_with_channels_and_times(plates, name, scale):
    layers = opened(plates / name)
    stem = name.removesuffix(".ome.zarr")
    word = " sample" if scale > 1 else ""
    wanted = [f"{n}{word} · {stem} {well}/0" for well in WELLS for n in NAMES]
    assert [k["name"] for _, k, _ in layers] == wanted
    assert [k["colormap"] for _, k, _ in layers] == [f"#{c}" for c in COLOURS] * 4
    for data, keywords, kind in layers:
        assert kind == "image"
        assert np.shape(data) == (3, *(n * scale for n in SHAPE))
        assert keywords["scale"] == pytest.approx((TIME, PIXEL / scale, PIXEL / scale))
        assert keywords["axis_labels"] == ("t", "y", "x")
        assert keywords["units"] == ("second", "micrometer", "micrometer")
        assert keywords["metadata"]["sciup"]["notes"]
    high, wide = ((1 + GAP) * n * PIXEL for n in SHAPE)
    home = np.array(layers[0][1]["translate"][-2:])
    moved = [np.array(k["translate"][-2:]) - home for _, k, _ in layers[::2]]
    np.testing.assert_allclose(moved, [(0, 0), (0, wide), (high, 0), (high, wide)])
    for channel in (0, 1):
        assert len({layers[2 * i + channel][1]["contrast_limits"] for i in range(4)}) == 1


def test_a_layer_knows_its_field(plates):
    layers = opened(plates / "plate.ome.zarr")
    sources = [k["metadata"]["sciup"]["source"] for _, k, _ in layers]
    assert [s["path"] for s in sources[::2]] == [
        str(plates / "plate.ome.zarr" / w / "0") for w in WELLS
    ]
    assert [s["options"] for s in sources[:2]] == [{"channel": 0}, {"channel": 1}]


def test_a_field_opens_as_a_result(plates):
    names = [k["name"] for _, k, _ in opened(plates / "sharp.ome.zarr/B/1/0")]
    assert [f"Mean · 0 · {channel}" in names for channel in NAMES] == [True, True]


def test_an_unfinished_plate_shows_what_is_finished(plates, tmp_path):
    shutil.copytree(plates / "sharp.ome.zarr", tmp_path / "part.ome.zarr")
    from sciup.io._plate import PlateWriter

    writer = PlateWriter.of(plates / "plate.ome.zarr", tmp_path / "part.ome.zarr")
    (tmp_path / "part.ome.zarr/zarr.json").unlink()
    shutil.rmtree(tmp_path / "part.ome.zarr/A/2")
    writer._write_plate({"B/1"})
    assert {k["name"].split()[-1] for _, k, _ in opened(tmp_path / "part.ome.zarr")} == {"B/1/0"}


def test_a_large_plate_shows_as_many_wells_as_the_viewer_can_bear(tmp_path):
    wells = [f"A/{i}" for i in range(1, MOST_LAYERS + 5)]
    layers = opened(write_plate(tmp_path / "a.zarr", wells))
    assert len(layers) == MOST_LAYERS
    assert f"{MOST_LAYERS} of {len(wells)} wells" in layers[0][1]["metadata"]["sciup"]["notes"][-1]


def test_napari_shows_it(plates, make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.open(plates / "sharp.ome.zarr", plugin="sciup")
    assert len(viewer.layers) == 8
    assert viewer.layers[0].axis_labels[0] == "t"  # which sliders show since napari 0.9
    assert viewer.dims.nsteps[0] == 3
