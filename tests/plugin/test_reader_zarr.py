"""OME-Zarr in napari: channels, colours, windows, units, labels, plates; lazily."""

import json
import time

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from sciup.errors import InputError
from sciup.testing.microscopy_files import (
    write_container,
    write_group,
    write_ome_zarr,
    write_plate,
)
from sciup_napari.reader import get_reader

CHANNELS = [
    {"label": "DAPI", "color": "0000FF", "window": {"start": 5, "end": 50, "min": 0, "max": 255}},
    {"label": "GFP", "color": "00FF00", "active": False},
]


def opened(path):
    return get_reader(str(path))(str(path))


def stack(shape, dtype="u2"):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_channels_become_layers_with_their_colours_and_windows(tmp_path, version):
    array = stack((2, 3, 20, 30))
    path = write_ome_zarr(
        tmp_path / "a.ome.zarr", array, "czyx", version=version, channels=CHANNELS,
        scale=(1, 0.5, 0.2, 0.25), translation=(0, 3, 10, 20),
    )  # fmt: skip
    (blue, b, _), (green, g, _) = opened(path)
    assert np.array_equal(np.asarray(blue), array[0])
    assert np.array_equal(np.asarray(green), array[1])
    assert blue.dtype == np.uint16
    assert [b["name"], g["name"]] == ["DAPI · a", "GFP · a"]
    assert [b["colormap"], g["colormap"]] == ["#0000FF", "#00FF00"]
    assert b["contrast_limits"] == (5, 50)
    assert 150 < g["contrast_limits"][1] < 200
    assert [b["visible"], g["visible"]] == [True, False]
    assert b["blending"] == "additive"
    for k in (b, g):
        assert k["scale"] == (0.5, 0.2, 0.25)
        assert k["translate"] == (3, 10, 20)
        assert k["units"] == ("micrometer",) * 3
        assert k["axis_labels"] == ("z", "y", "x")
    assert g["metadata"]["sciup"]["source"]["options"] == {"channel": 1}
    assert g["metadata"]["sciup"]["source"]["axes"] == "z"


def test_sciup_opens_the_same_channel_again(tmp_path):
    from sciup.geometry import Box
    from sciup.io import open_image

    array = stack((2, 3, 20, 30))
    path = write_ome_zarr(tmp_path / "a.ome.zarr", array, "czyx", channels=CHANNELS)
    for data, keywords, _ in opened(path):
        source = keywords["metadata"]["sciup"]["source"]
        image = open_image(source["path"], **source["options"])
        assert np.array_equal(image.load((0, 2), Box((0, 0), (20, 30)))[0], np.asarray(data[2]))


def test_a_window_of_the_whole_type_is_no_window(tmp_path):
    told = [{"label": "", "color": "FFFFFF", "window": {"start": 0, "end": 65535}}]
    path = write_ome_zarr(tmp_path / "a.zarr", stack((20, 30)), "yx", channels=told)
    ((_, keywords, _),) = opened(path)
    assert keywords["contrast_limits"][1] < 250
    assert keywords["colormap"] == "gray"
    assert keywords["name"] == "a"


@pytest.mark.parametrize("unit", [None, "furlongs of the king", "nanometer", "micrometer"])
def test_units_that_napari_does_not_know_are_pixels(tmp_path, make_napari_viewer, unit):
    path = write_ome_zarr(tmp_path / "a.zarr", stack((20, 30)), "yx", unit=unit)
    viewer = make_napari_viewer()
    (layer,) = viewer.open(path, plugin="sciup")
    want = unit if unit and unit.endswith("meter") else "pixel"
    assert [str(u) for u in layer.units] == [want] * 2


def pyramid(path, side, levels, *, fill=0):
    datasets = []
    for level in range(levels):
        n = side >> level
        zarr.create_array(
            LocalStore(path / str(level)), shape=(n, n), chunks=(512, 512), dtype="u2",
            fill_value=fill, overwrite=True,
        )  # fmt: skip
        steps = [{"type": "scale", "scale": [0.1 * 2**level] * 2}]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]
    return write_group(path, {"multiscales": [{"axes": axes, "datasets": datasets}]})


@pytest.fixture
def chunk_reads(monkeypatch):
    """Keys of all chunks that are asked of any folder."""
    read = []
    real = LocalStore.get

    async def get(self, key, *args, **kwargs):
        if "/" in key and "json" not in key and not key.startswith("."):
            read.append(f"{self.root.name}/{key}")
        return await real(self, key, *args, **kwargs)

    monkeypatch.setattr(LocalStore, "get", get)
    return read


def test_a_huge_pyramid_opens_at_once_and_reads_only_what_is_shown(tmp_path, chunk_reads):
    path = pyramid(tmp_path / "big.ome.zarr", 20_000, 6)
    opened(pyramid(tmp_path / "warm.ome.zarr", 600, 1))  # imports
    chunk_reads.clear()
    start = time.perf_counter()
    ((levels, keywords, _),) = opened(path)
    assert time.perf_counter() - start < 1
    assert keywords["multiscale"]
    assert [level.shape[0] for level in levels] == [20_000, 10_000, 5_000, 2_500, 1_250, 625]
    assert {key.split("/")[0] for key in chunk_reads} <= {"5"}
    assert len(chunk_reads) <= 4
    chunk_reads.clear()
    np.asarray(levels[0][10_000:10_700, 5_000:6_000])
    assert 4 <= len(chunk_reads) <= 9
    assert {key.split("/")[0] for key in chunk_reads} == {"0"}


def test_the_viewer_reads_a_few_chunks_of_a_huge_pyramid(tmp_path, chunk_reads, make_napari_viewer):
    path = pyramid(tmp_path / "big.ome.zarr", 20_000, 6, fill=300)
    viewer = make_napari_viewer(show=True)
    (layer,) = viewer.open(path, plugin="sciup")
    assert layer.multiscale
    viewer.screenshot(canvas_only=True, flash=False)
    assert 0 < len(chunk_reads) < 60
    assert "0" not in {key.split("/")[0] for key in chunk_reads}


def test_a_large_array_without_levels_gets_coarse_ones(tmp_path, chunk_reads):
    array = stack((3000, 2500))
    path = write_ome_zarr(tmp_path / "a.zarr", array, "yx", chunks=(512, 512))
    ((levels, keywords, _),) = opened(path)
    assert keywords["multiscale"]
    assert [level.shape for level in levels] == [(3000, 2500), (1500, 1250), (750, 625)]
    assert len(chunk_reads) < 40
    assert np.array_equal(np.asarray(levels[2]), array[2::4, 2::4])
    assert levels[2].dtype == np.uint16


def test_a_level_that_is_missing_or_not_smaller_is_left_out(tmp_path):
    path = pyramid(tmp_path / "a.zarr", 1024, 3)
    about = json.loads((path / "zarr.json").read_text())
    datasets = about["attributes"]["ome"]["multiscales"][0]["datasets"]
    datasets[1:1] = [{"path": "nothing"}, {"path": "0"}]
    (path / "zarr.json").write_text(json.dumps(about))
    ((levels, _, _),) = opened(path)
    assert [level.shape[0] for level in levels] == [1024, 512, 256]


def test_labels_come_along(tmp_path, make_napari_viewer):
    path = write_ome_zarr(
        tmp_path / "a.zarr", stack((2, 20, 30)), "cyx", channels=CHANNELS, scale=(1, 0.5, 0.5)
    )
    cells = np.zeros((1, 20, 30), "i4")
    cells[0, 5:9, 6:12] = 3
    write_ome_zarr(path / "labels" / "cells", cells, "cyx", scale=(1, 0.5, 0.5))
    write_ome_zarr(path / "labels" / "heat", cells.astype("f4"), "cyx")
    write_group(path / "labels", {"labels": ["cells", "heat", "nothing"]})
    viewer = make_napari_viewer()
    viewer.open(path, plugin="sciup")
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image", "Image", "Labels"]
    layer = viewer.layers["cells"]
    assert np.array_equal(np.asarray(layer.data), cells[0])
    assert tuple(layer.scale) == (0.5, 0.5)


def test_time_and_depth(tmp_path, make_napari_viewer):
    array = stack((2, 3, 4, 20, 30), "f4")
    array[0, 0, 0, :5] = np.nan
    path = write_ome_zarr(tmp_path / "a.zarr", array, "tczyx")
    viewer = make_napari_viewer(show=True)
    layers = viewer.open(path, plugin="sciup")
    assert len(layers) == 3
    assert viewer.dims.ndim == 4
    assert viewer.screenshot(canvas_only=True, flash=False)[..., :3].std() > 5


def test_containers_show_their_first_image(tmp_path):
    path = write_container(tmp_path / "a.zarr", [stack((20, 30)), stack((10, 15))])
    layers = opened(path)
    assert [k["visible"] for _, k, _ in layers] == [True, False]
    assert [k["name"] for _, k, _ in layers] == ["a 0", "a 1"]


def test_a_well_opens_its_first_field_and_says_so(tmp_path):
    path = write_plate(tmp_path / "a.zarr", fields=2)
    ((data, keywords, _),) = opened(path / "A/1")
    assert data.shape == (8, 8)
    assert keywords["metadata"]["sciup"]["notes"]


def test_a_plain_array(tmp_path):
    array = stack((4, 20, 30))
    zarr.create_array(LocalStore(tmp_path / "a.zarr"), data=array)
    ((data, keywords, _),) = opened(tmp_path / "a.zarr")
    assert np.array_equal(np.asarray(data), array)
    assert keywords["units"] == ("pixel",) * 3


def test_what_is_damaged_says_so(tmp_path):
    path = write_ome_zarr(tmp_path / "a.zarr", stack((20, 30)), "yx")
    (path / "zarr.json").write_text("{ nonsense")
    with pytest.raises(InputError):
        opened(path)
    (tmp_path / "b.zarr").mkdir()
    assert get_reader(str(tmp_path / "b.zarr")) is None
    write_group(tmp_path / "c.zarr", {})
    with pytest.raises(InputError, match="without OME"):
        opened(tmp_path / "c.zarr")
    write_group(tmp_path / "d.zarr", {"plate": {"wells": []}})
    with pytest.raises(InputError, match="without wells"):
        opened(tmp_path / "d.zarr")


def test_napari_tells_errors_in_our_words(tmp_path, make_napari_viewer):
    write_group(tmp_path / "c.zarr", {})
    viewer = make_napari_viewer()
    with pytest.raises(InputError, match="To fix it"):
        viewer.open(tmp_path / "c.zarr", plugin="sciup")
