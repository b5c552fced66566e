"""The OME-Zarr writer: what is stored, where it lies, and that others can open it."""

import hashlib
import json
import logging
import pickle

import numpy as np
import ome_zarr_models.v05 as models
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.errors import InputError, OptionError, OutputError
from sciup.geometry import Box, shards
from sciup.image import PixelGrid
from sciup.io import SHARD, Layout, open_image
from sciup.io import _shards as arrays
from sciup.io._array import open_array
from sciup.io._pyramid import halve
from sciup.io._zarr_writer import ZarrWriter, json_ready, read_provenance

MAPS = ("sample", "mean", "std", "risk_raw", "support")
RNG = np.random.default_rng(0)


def source(axes="yx", shape=(50, 60), **options):
    return open_array(RNG.normal(size=shape).astype("f4"), axes=axes, **options)


def layout_of(image, scale=4, region=None, maps=MAPS, samples=0):
    region = region or Box.of_shape(image.plane_shape)
    return Layout(image, region, scale, maps, dict.fromkeys(maps, "electron"), samples)


def fill(writer, seed=0):
    """Write random numbers everywhere; return them by name."""
    rng = np.random.default_rng(seed)
    out = {}
    for name in writer.layout.names:
        out[name] = rng.normal(size=writer.layout.shape_of(name)).astype("f4")
        for plane in np.ndindex(out[name].shape[:-2]):
            for _, box in shards(writer.layout.plane_shape, SHARD):
                writer.write(name, plane, box, out[name][(*plane, *box.slices)])
    return out


def finished(work, image=None, **options):
    writer = ZarrWriter(work, layout_of(image or source(pixel_size=0.1), **options))
    writer.create()
    values = fill(writer)
    writer.finish({"seed": 7}, {"psf": np.ones((5, 5))})
    return writer, values


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of 64 px, so that small images have many."""
    for module in ("_shards", "_zarr_writer"):
        monkeypatch.setattr(f"sciup.io.{module}.SHARD", 64)
    for module in ("_shards", "_pyramid"):
        monkeypatch.setattr(f"sciup.io.{module}.CHUNK", 32)
    return 64


# -- storage -----------------------------------------------------------------------------------


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_shards_are_aligned_or_single(height, width):
    shard, chunk = arrays.storage((2, height, width))
    assert shard[0] == chunk[0] == 1
    for side, small, n in zip(shard[1:], chunk[1:], (height, width), strict=True):
        assert side % small == 0
        assert side == SHARD or n <= side < n + small
        assert small == 512 or small == n


@given(st.integers(1, 9000))
def test_a_shard_of_the_image_covers_the_shards_of_its_own_levels(n):
    """Two tasks never write into one shard of a coarser level."""
    assert arrays.own_levels() == 2
    (side, _), _ = arrays.storage((n, n))
    for level in (1, 2):
        coarse = -(-n // 2**level)
        (mine, _), _ = arrays.storage((coarse, coarse), level)
        assert mine == side >> level or n <= SHARD
        assert mine % min(512, coarse) == 0
        assert -(-coarse // mine) == -(-n // SHARD)


def test_coarser_levels_are_written_with_the_image(tmp_path, small_shards):
    """Before the end, in files that no other shard touches."""
    writer = ZarrWriter(tmp_path, layout_of(source(shape=(150, 170)), maps=("mean",)))
    writer.create()
    values = np.random.default_rng(0).normal(size=writer.layout.plane_shape).astype("f4")
    values[100:250] = np.nan
    seen = set()
    for _, box in shards(writer.layout.plane_shape, 64):
        writer.write("mean", (), box, values[box.slices])
        now = {f for f in (writer.path / "mean/1/c").rglob("*") if f.is_file()}
        assert len(now - seen) == 1
        seen = now
    np.testing.assert_array_equal(zarr.open_array(writer.path / "mean/1")[...], halve(values))


def test_levels_that_are_lost_are_derived_again(tmp_path, small_shards):
    writer = ZarrWriter(tmp_path, layout_of(source(shape=(150, 170)), maps=("mean",)))
    writer.create()
    values = fill(writer)["mean"]
    for path in (writer.path / "mean/1/c").rglob("*"):
        if path.is_file():
            path.write_bytes(b"rubbish")
    for _, box in shards(writer.layout.plane_shape, 64):
        writer.derive("mean", (), box, values[box.slices])
    np.testing.assert_array_equal(zarr.open_array(writer.path / "mean/1")[...], halve(values))


def test_what_is_written_is_read_back_also_in_another_process(tmp_path):
    writer = ZarrWriter(tmp_path, layout_of(source("cyx", (2, 50, 60)), samples=2))
    writer.create()
    values = fill(pickle.loads(pickle.dumps(writer)))
    for name, array in values.items():
        for plane in np.ndindex(array.shape[:-2]):
            got = writer.read(name, plane, Box((3, 5), (70, 90)))
            np.testing.assert_array_equal(got, array[(*plane, slice(3, 70), slice(5, 90))])


def test_a_shard_without_data_is_written_all_the_same(tmp_path, small_shards):
    writer = ZarrWriter(tmp_path, layout_of(source(shape=(50, 60)), maps=("mean",)))
    writer.create()
    box = Box((0, 64), (64, 128))
    assert np.isnan(writer.read("mean", (), box)).all()
    writer.write("mean", (), box, np.full(box.shape, np.nan, "f4"))
    files = [f for f in (writer.path / "mean" / "0" / "c").rglob("*") if f.is_file()]
    assert [str(f.relative_to(writer.path)) for f in files] == ["mean/0/c/0/1"]


def test_one_write_touches_one_file(tmp_path, small_shards):
    writer = ZarrWriter(tmp_path, layout_of(source(shape=(50, 60)), maps=("mean",)))
    writer.create()
    seen = set()
    for _, box in shards(writer.layout.plane_shape, 64):
        writer.write("mean", (), box, np.ones(box.shape, "f4"))
        now = {f for f in (writer.path / "mean/0/c").rglob("*") if f.is_file()}
        assert len(now - seen) == 1
        seen = now


@pytest.mark.parametrize(
    "box", [Box((1, 0), (64, 64)), Box((0, 0), (32, 64)), Box((0, 0), (999, 64))]
)
def test_boxes_that_are_not_shards_are_a_mistake(box, tmp_path, small_shards):
    writer = ZarrWriter(tmp_path, layout_of(source(shape=(50, 60)), maps=("mean",)))
    writer.create()
    with pytest.raises(ValueError, match="whole shards"):
        writer.write("mean", (), box, np.zeros(box.shape, "f4"))


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    digests = []
    for run in "ab":
        (tmp_path / run).mkdir()
        writer, _ = finished(tmp_path / run)
        files = sorted(f for f in writer.path.rglob("*") if f.is_file())
        digests.append([hashlib.sha256(f.read_bytes()).hexdigest() for f in files])
    assert digests[0] == digests[1]


# -- resuming ----------------------------------------------------------------------------------


def test_create_keeps_what_an_interrupted_run_has_written(tmp_path):
    layout = layout_of(source(), maps=("mean",))
    writer = ZarrWriter(tmp_path, layout)
    writer.create()
    values = fill(writer)
    again = ZarrWriter(tmp_path, layout)
    again.create()
    np.testing.assert_array_equal(again.read("mean", (), Box((0, 0), (200, 240))), values["mean"])


def test_an_unfinished_result_of_another_shape_is_refused(tmp_path):
    ZarrWriter(tmp_path, layout_of(source())).create()
    with pytest.raises(OutputError, match="another job"):
        ZarrWriter(tmp_path, layout_of(source(), scale=2)).create()


def test_an_unfinished_result_does_not_open(tmp_path):
    writer = ZarrWriter(tmp_path, layout_of(source()))
    writer.create()
    fill(writer)
    for path in (writer.path, writer.path / "sample"):
        with pytest.raises(InputError):
            open_image(path)
    with pytest.raises(InputError, match="no provenance"):
        read_provenance(writer.path)


def test_finishing_twice_is_the_same(tmp_path):
    writer, _ = finished(tmp_path)
    before = (writer.path / "zarr.json").read_text()
    writer.finish({"seed": 7}, {"psf": np.ones((5, 5))})
    assert (writer.path / "zarr.json").read_text() == before


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "work").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        ZarrWriter(tmp_path / "work", layout_of(source())).create()


# -- the right place ---------------------------------------------------------------------------


def test_opening_a_result_gives_the_sample(tmp_path, caplog):
    image = source(
        "cyx", (2, 80, 90), pixel_size=PixelGrid((0.5, 0.25), "micrometer", (10.0, 20.0))
    )
    writer, values = finished(tmp_path, image, region=Box((3, 5), (43, 65)))
    with caplog.at_level(logging.INFO, "sciup"):
        result = open_image(writer.path)
    assert result.source.endswith("sample")
    assert "mean, std" in caplog.text
    assert (result.axes, result.shape, result.unit) == ("cyx", (2, 160, 240), "electron")
    np.testing.assert_array_equal(
        result.read((1,), Box((0, 0), (160, 240)))[0], values["sample"][1]
    )
    # The first output centre is 3/8 of an input pixel before the first input centre.
    assert result.grid.size == (0.125, 0.0625)
    assert result.grid.origin == pytest.approx((10 + 3 * 0.5 - 0.1875, 20 + 5 * 0.25 - 0.09375))


@given(st.sampled_from([1, 2, 3, 4, 8]), st.integers(0, 20), st.integers(0, 20), st.integers(0, 6))
@settings(max_examples=25)
def test_every_level_lies_where_the_input_lies(scale, top, left, level):
    from sciup.io._ome_metadata import multiscales

    pixel, origin = (0.5, 0.25), (10.0, -20.0)
    image = open_array(np.zeros((40, 40)), pixel_size=PixelGrid(pixel, "micrometer", origin))
    layout = layout_of(image, scale, Box((top, left), (40, 40)))
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    steps = multiscales("m", axes, layout, 7)[0]["datasets"][level]["coordinateTransformations"]
    size, centre = steps[0]["scale"], steps[1]["translation"]
    for i, first in enumerate((top, left)):
        # The outer edge of the first pixel never moves.
        edge = origin[i] + (first - 0.5) * pixel[i]
        assert centre[i] - size[i] / 2 == pytest.approx(edge)
        assert size[i] == pytest.approx(pixel[i] / scale * 2**level)


def test_other_axes_and_channels_are_carried_along(tmp_path):
    image = source("czyx", (2, 2, 20, 30), pixel_size=0.1)
    image.metadata = {
        "axes": {"z": {"name": "z", "unit": "nanometer", "scale": 300.0, "translation": 50.0}},
        "channels": [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP", "color": "00FF00"}],
    }
    writer, _ = finished(tmp_path, image)
    result = open_image(writer.path / "mean")
    z = result.metadata["axes"]["z"]
    assert (z["unit"], z["scale"], z["translation"]) == ("nanometer", 300.0, 50.0)
    assert result.metadata["channels"] == image.metadata["channels"]
    omero = json.loads((writer.path / "mean/zarr.json").read_text())["attributes"]["ome"]["omero"]
    assert [c["label"] for c in omero["channels"]] == ["DAPI mean", "GFP mean"]
    assert [c["color"] for c in omero["channels"]] == ["0000FF", "00FF00"]
    assert open_image(writer.path, channel="GFP").shape == (1, 2, 80, 120)


def test_without_a_pixel_size_the_place_is_in_input_pixels(tmp_path):
    writer, _ = finished(tmp_path, source(), region=Box((10, 0), (50, 60)))
    grid = open_image(writer.path).grid
    assert (grid.size, grid.origin, grid.unit) == ((0.25, 0.25), (9.625, -0.375), None)


# -- what others need --------------------------------------------------------------------------

SHAPES = {"yx": (30, 40), "zyx": (2, 20, 30), "cyx": (2, 20, 30), "tyx": (2, 20, 30),
          "tcyx": (1, 2, 20, 30), "czyx": (2, 1, 20, 30), "tczyx": (1, 2, 2, 20, 30)}  # fmt: skip


@pytest.mark.parametrize("axes", SHAPES)
def test_every_image_is_valid_ome_zarr(axes, tmp_path):
    writer, values = finished(tmp_path, source(axes, SHAPES[axes], pixel_size=0.1), samples=2)
    root = zarr.open_group(writer.path, mode="r")
    models.BioFormats2Raw.from_zarr(root)
    series = root["OME"].attrs["ome"]["series"]
    assert series[:5] == list(MAPS)
    for name in series:
        models.Image.from_zarr(root[name])
    # Time must come first and five axes are the most: then every sample is an image.
    alone = "t" in axes or len(axes) == 5
    assert series[5:] == (["samples/0", "samples/1"] if alone else ["samples"])
    second = (
        open_image(writer.path / "samples" / "1") if alone else open_image(writer.path / "samples")
    )
    plane = (0,) * (len(axes) - 2)
    box = Box((0, 0), values["mean"].shape[-2:])
    got = second.read(plane if alone else (1, *plane), box)[0]
    np.testing.assert_array_equal(got, values["samples"][(1, *plane)])


def test_rendering_windows(tmp_path):
    writer, values = finished(tmp_path, source(shape=(100, 100)))
    for name in MAPS:
        document = json.loads((writer.path / name / "zarr.json").read_text())
        (channel,) = document["attributes"]["ome"]["omero"]["channels"]
        window = channel["window"]
        if name in ("risk_raw", "support"):
            assert window == {"min": 0.0, "max": 1.0, "start": 0.0, "end": 1.0}
        else:
            coarse = halve(values[name])
            assert window["min"] == pytest.approx(coarse.min())
            assert window["max"] == pytest.approx(coarse.max())
            assert window["start"] == pytest.approx(np.percentile(coarse, 0.5), rel=1e-5)
            assert window["end"] == pytest.approx(np.percentile(coarse, 99.8), rel=1e-5)


@pytest.mark.parametrize("value", [np.nan, 0.0, 5.0])
def test_rendering_windows_of_nothing(value, tmp_path):
    writer = ZarrWriter(tmp_path, layout_of(source(shape=(10, 10)), maps=("mean",)))
    writer.create()
    writer.write("mean", (), Box((0, 0), (40, 40)), np.full((40, 40), value, "f4"))
    writer.finish({}, {})
    document = json.loads((writer.path / "mean/zarr.json").read_text())
    window = document["attributes"]["ome"]["omero"]["channels"][0]["window"]
    assert window["end"] > window["start"]


def test_ome_zarr_py_opens_the_maps_at_the_right_place(tmp_path):
    reader = pytest.importorskip("ome_zarr.reader")
    from ome_zarr.io import parse_url

    writer, values = finished(tmp_path, source("cyx", (2, 80, 90), pixel_size=0.1))
    (node,) = list(reader.Reader(parse_url(writer.path / "mean"))())
    np.testing.assert_array_equal(np.asarray(node.data[0]), values["mean"])
    assert [a["name"] for a in node.metadata["axes"]] == ["c", "y", "x"]
    steps = node.metadata["coordinateTransformations"]
    assert steps[0][0]["scale"] == [1.0, 0.025, 0.025]
    assert steps[0][1]["translation"] == pytest.approx([0.0, -0.0375, -0.0375])
    assert steps[1][1]["translation"] == pytest.approx([0.0, -0.025, -0.025])


@pytest.mark.parametrize("axes", ["abyx", "ztyx", "atczyx"])
def test_axes_without_a_place_in_ome_zarr_are_refused(axes, tmp_path):
    image = open_array(np.zeros((2,) * len(axes)), axes=axes) if len(axes) < 6 else None
    if image is None:
        image = source("tczyx", (1, 1, 1, 8, 8))
        image.axes, image.shape = axes, (1, *image.shape)
    with pytest.raises(OptionError, match="cannot hold the axes"):
        ZarrWriter(tmp_path, layout_of(image))


def test_an_axis_of_another_kind_is_kept(tmp_path):
    writer, _ = finished(tmp_path, source("wyx", (2, 20, 30)))
    models.Image.from_zarr(zarr.open_group(writer.path / "mean", mode="r"))
    assert open_image(writer.path).axes == "wyx"


# -- provenance --------------------------------------------------------------------------------


def test_provenance_and_extras(tmp_path):
    writer = ZarrWriter(tmp_path, layout_of(source(), maps=("mean",)))
    writer.create()
    fill(writer)
    psf = RNG.normal(size=(7, 7)).astype("f4")
    told = {"seed": np.int64(3), "tau": np.float32(0.5), "noise": float("nan"), "path": writer.path,
            "list": (1, np.arange(2)), "none": None, "flag": True}  # fmt: skip
    writer.finish(told, {"psf": psf})
    got = read_provenance(writer.path)
    assert got == {"seed": 3, "tau": 0.5, "noise": None, "path": str(writer.path),
                   "list": [1, [0, 1]], "none": None, "flag": True}  # fmt: skip
    stored = zarr.open_array(writer.path / "psf", mode="r")
    np.testing.assert_array_equal(stored[...], psf)
    assert stored.attrs["sciup"]["extra"] == "psf"


@given(st.recursive(st.none() | st.floats() | st.text(max_size=5), st.lists, max_leaves=5))
def test_json_ready_is_always_strict_json(value):
    ready = json_ready({"value": value})
    assert json.loads(json.dumps(ready, allow_nan=False)) == ready


def test_provenance_of_something_else(tmp_path):
    with pytest.raises(InputError, match="no provenance"):
        read_provenance(tmp_path)


def test_the_header_of_a_fits_source_is_scaled_and_kept(tmp_path):
    fits = pytest.importorskip("astropy.io.fits")
    pytest.importorskip("sciup.io._wcs")
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 10.0,
                          "CRPIX2": 20.0,
                          "CD1_1": -1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4,
                          "CRVAL1": 10.0, "CRVAL2": 2.0})  # fmt: skip
    image = source(domain="night-sky", pixel_size=0.36)
    image.header = header
    writer, _ = finished(tmp_path, image, region=Box((4, 2), (50, 60)))
    ours = json.loads((writer.path / "zarr.json").read_text())["attributes"]["sciup"]
    kept = fits.Header.fromstring(ours["fits_header"], sep="\n")
    assert kept["CRPIX1"] == pytest.approx(4 * (10 - 2 - 0.5) + 0.5)
    assert kept["CRPIX2"] == pytest.approx(4 * (20 - 4 - 0.5) + 0.5)
    assert kept["CD2_2"] == pytest.approx(2.5e-5)
    assert open_image(writer.path).grid.unit == "arcsec"
