"""The reader of OME-Zarr: axes, places, containers, and what it refuses."""

import itertools
import json
import logging
import warnings

import numpy as np
import pytest
import zarr

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.io import open_image
from sciup.io._lengths import convert, unit_name
from sciup.io._ome_zarr import open_ome_zarr
from sciup.testing.microscopy_files import (
    truncate,
    write_container,
    write_group,
    write_ome_zarr,
    write_plate,
)

PLANE = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)
ALL_AXES = [
    "".join(kept) + "yx" for n in range(4) for kept in itertools.combinations("tcz", n)
]  # fmt: skip


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ALL_AXES)
def test_every_legal_combination_of_axes(axes, version, tmp_path):
    lengths = {"t": 2, "c": 3, "z": 4, "y": 5, "x": 6}
    shape = tuple(lengths[a] for a in axes)
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    image = open_ome_zarr(write_ome_zarr(tmp_path / "i", array, axes, version=version))
    assert (image.axes, image.shape, image.dtype) == (axes, shape, array.dtype)
    assert (image.format, image.domain, image.flux_per_pixel) == ("ome-zarr", "fluorescence", False)
    last = tuple(n - 1 for n in shape[:-2])
    np.testing.assert_array_equal(image.read(last, Box((0, 0), (5, 6)))[0], array[last])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_pixel_size_and_origin_of_data_set_and_image_are_combined(version, tmp_path):
    path = write_ome_zarr(
        tmp_path / "i", np.zeros((2, 8, 8), "u1"), "zyx", version=version,
        scale=(2.0, 0.5, 0.25), translation=(1.0, 3.0, 4.0),
        image_scale=(10.0, 2.0, 4.0), image_translation=(5.0, 100.0, 200.0),
    )  # fmt: skip
    image = open_ome_zarr(path)
    # A point goes through the data set's scale and shift first, then through the image's.
    assert image.grid.size == (1.0, 1.0)
    assert image.grid.origin == (3.0 * 2 + 100, 4.0 * 4 + 200)
    assert image.grid.unit == "micrometer"
    z = image.metadata["axes"]["z"]
    assert (z["scale"], z["translation"], z["unit"]) == (20.0, 15.0, "micrometer")


def test_units_of_y_and_x_may_differ(tmp_path):
    path = write_ome_zarr(tmp_path / "i", np.zeros((8, 8), "u1"), "yx", scale=(0.1, 100.0))
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"]["ome"]["multiscales"][0]["axes"][1]["unit"] = "nanometer"
    (path / "zarr.json").write_text(json.dumps(document))
    grid = open_ome_zarr(path).grid
    assert grid.size == pytest.approx((0.1, 0.1))
    assert grid.unit == "micrometer"


def test_names_of_units():
    assert [unit_name(u) for u in ("µm", "\\u00B5m", "Micron", "M", "pixel", None, "")] == [
        "micrometer", "micrometer", "micrometer", "meter", None, None, None,
    ]  # fmt: skip
    assert convert(1.0, "inch", "micrometer") == 25400.0
    assert convert(1.0, "arcsec", "micrometer") is None


def test_channels(tmp_path):
    channels = [{"label": "DAPI", "color": "0000FF", "window": {}}, {"color": "00FF00"}]
    path = write_ome_zarr(tmp_path / "i", np.zeros((2, 8, 8), "u1"), "cyx", channels=channels)
    assert open_ome_zarr(path).metadata["channels"] == [
        {"label": "DAPI", "color": "0000FF"},
        {"label": "", "color": "00FF00"},
    ]


def test_missing_chunks_with_fill_nan_are_masked(tmp_path):
    array = np.full((64, 64), np.nan, "f4")
    array[:32, :32] = 7
    path = write_ome_zarr(tmp_path / "i", array, "yx", chunks=(32, 32), fill_value=np.nan)
    assert not (path / "0" / "c" / "1" / "1").exists()
    values, footprint = open_ome_zarr(path).read((), Box((0, 0), (64, 64)))
    np.testing.assert_array_equal(footprint, np.isfinite(array))
    np.testing.assert_array_equal(values, array)


def test_too_large_for_float32_is_masked(tmp_path):
    array = np.full((8, 8), 1e300)
    array[0, 0] = 1
    values, footprint = open_ome_zarr(write_ome_zarr(tmp_path / "i", array, "yx")).read(
        (), Box((0, 0), (8, 8))
    )
    assert footprint.sum() == 1
    assert np.isnan(values[1, 1])


def test_the_full_resolution_is_read_whatever_its_name(tmp_path):
    path = write_ome_zarr(tmp_path / "i", PLANE, "yx")
    (path / "0").rename(path / "full")
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace('"path": "0"', '"path": "full"'))
    assert open_ome_zarr(path).shape == PLANE.shape


# -- containers, plates, plain arrays ----------------------------------------------------------


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_container_opens_at_its_first_image_and_names_the_others(version, tmp_path, caplog):
    path = write_container(tmp_path / "c", [PLANE, PLANE[:10], PLANE[:5]], version)
    with caplog.at_level(logging.INFO, "sciup"):
        assert open_ome_zarr(path).shape == PLANE.shape
    assert "'0'" in caplog.text
    assert "1, 2" in caplog.text


def test_a_container_obeys_the_list_of_images(tmp_path):
    path = write_container(tmp_path / "c", [PLANE, PLANE[:10]])
    write_group(path / "OME", {"series": ["1", "0"]})
    assert open_ome_zarr(path).shape == (10, 40)


def test_a_plate_names_what_to_give(tmp_path):
    path = write_plate(tmp_path / "p")
    with pytest.raises(InputError, match="plate with 2 wells") as error:
        open_ome_zarr(path)
    for well in ("A/1/0", "B/2/0"):
        assert str(path / well) in error.value.fix
        assert open_ome_zarr(path / well).shape == (8, 8)
    assert open_ome_zarr(path / "A/1").shape == (8, 8)


def test_a_well_with_fields_names_them(tmp_path):
    path = write_plate(tmp_path / "p", fields=2)
    with pytest.raises(InputError, match="well with 2 fields") as error:
        open_ome_zarr(path / "A/1")
    assert str(path / "A/1/1") in error.value.fix


def test_a_level_of_an_image_keeps_its_place(tmp_path):
    path = write_ome_zarr(tmp_path / "i", PLANE[None], "zyx", scale=(3.0, 0.5, 0.5))
    image = open_ome_zarr(path / "0")
    assert (image.axes, image.grid.size) == ("zyx", (0.5, 0.5))
    assert image.source == str(path / "0")


@pytest.mark.parametrize(
    ("names", "axes"),
    [(None, "czyx"), (["t", "c", "y", "x"], "tcyx"), (["a", "b", "y", "x"], "czyx")],
)
def test_plain_arrays(names, axes, tmp_path):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(2, 3, 8, 9), dtype="u1", dimension_names=names
    )
    array[...] = 5
    image = open_ome_zarr(tmp_path / "a.zarr")
    assert (image.axes, image.shape, image.grid.size) == (axes, (2, 3, 8, 9), None)
    assert image.read((1, 2), Box((0, 0), (2, 2)))[0].tolist() == [[5, 5], [5, 5]]


# -- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [
        ((8, 8), "complex64", "complex"), ((8, 8), "bool", "bool"), ((8, 8), "U4", "U4"),
        ((8,), "u1", "1 axis"), ((0, 8), "u1", "empty"), ((1, 1), "u1", "1 x 1"),
        ((1,) * 4 + (8, 8), "u1", "6 axes"),
    ],
)  # fmt: skip
def test_what_is_not_an_image_is_refused(shape, dtype, words, tmp_path):
    with warnings.catch_warnings():
        # Strings in Zarr v3 have no specification yet, which zarr says on writing.
        warnings.simplefilter("ignore", zarr.errors.UnstableSpecificationWarning)
        zarr.create_array(tmp_path / "a", shape=shape, dtype=dtype)
        with pytest.raises(InputError, match=words) as error:
            open_ome_zarr(tmp_path / "a")
    assert str(tmp_path / "a") in str(error.value)


@pytest.mark.parametrize("axes", ["xy", "ycx", "zcyx", "ctyx"])
def test_axes_in_another_order_are_refused(axes, tmp_path):
    path = write_ome_zarr(tmp_path / "i", np.zeros((4,) * len(axes), "u1"), axes)
    with pytest.raises(InputError, match="has axes"):
        open_ome_zarr(path)


def edited(path, edit):
    document = json.loads((path / "zarr.json").read_text())
    edit(document["attributes"]["ome"])
    (path / "zarr.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    "edit",
    [
        lambda ome: ome.update(multiscales=[]),
        lambda ome: ome.update(multiscales="?"),
        lambda ome: ome["multiscales"][0].update(datasets=[]),
        lambda ome: ome["multiscales"][0]["datasets"][0].update(path="5"),
        lambda ome: ome["multiscales"][0]["axes"].pop(),
        lambda ome: ome["multiscales"][0]["datasets"][0].update(
            coordinateTransformations=[{"type": "scale", "scale": [1, 2, 3]}]
        ),
        lambda ome: ome["multiscales"][0]["datasets"][0].update(
            coordinateTransformations=[{"type": "scale", "scale": [1, 0]}]
        ),
        lambda ome: ome.update(omero=7),
    ],
)
def test_damaged_metadata(edit, tmp_path):
    path = write_ome_zarr(tmp_path / "i", PLANE, "yx")
    edited(path, edit)
    with pytest.raises(InputError, match=str(path)):
        open_ome_zarr(path)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_truncated_metadata(version, tmp_path):
    path = write_ome_zarr(tmp_path / "i", PLANE, "yx", version=version)
    truncate(path / ("zarr.json" if version == "0.5" else ".zattrs"))
    with pytest.raises(InputError, match=str(path)):
        open_ome_zarr(path)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(
    "options",
    [
        {"version": "0.4", "chunks": (16, 20)},
        {"chunks": (16, 20)},
        {"chunks": (8, 10), "shards": (16, 20)},
    ],
)
def test_truncated_data(options, fraction, tmp_path):
    array = np.random.default_rng(0).integers(0, 9999, (32, 40), np.uint16)
    path = write_ome_zarr(tmp_path / "i", array, "yx", **options)
    files = sorted(f for f in (path / "0").rglob("*") if f.is_file() and f.name.isdecimal())
    files = files or sorted((path / "0").glob("[0-9]*"))
    truncate(files[0], fraction)
    image = open_ome_zarr(path)
    with pytest.raises(InputError, match=r"cannot be read at plane|holds no bytes") as error:
        image.read((), Box((0, 0), (32, 40)))
    assert str(path) in str(error.value)


OPTICS = """<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
  <Instrument><Objective ID="O:1" LensNA="1.4"/><Objective ID="O:2" LensNA="0.7"/></Instrument>
  <Image><ObjectiveSettings ID="O:1"/><Pixels PhysicalSizeX="0.1"><Channel Name="GFP"
    EmissionWavelength="520"/></Pixels></Image>
  <Image><ObjectiveSettings ID="O:2"/><Pixels PhysicalSizeX="0.1"><Channel
    EmissionWavelength="520"/><Channel EmissionWavelength="620"/></Pixels></Image></OME>"""


def test_the_psf_follows_from_what_the_microscope_wrote_beside_the_images(tmp_path):
    path = write_container(tmp_path / "c", [PLANE])
    write_ome_zarr(path / "1", np.stack([PLANE, PLANE]), "cyx")
    write_group(path / "OME", {"series": ["0", "1"]})
    (path / "OME" / "METADATA.ome.xml").write_text(OPTICS)
    first = open_ome_zarr(path)
    assert first.facts["psf_fwhm"].value == pytest.approx(0.51 * 520 / 1.4 / 100)
    assert first.facts["psf_fwhm"].origin == "header"
    assert first.metadata["channels"][0]["label"] == "GFP"
    # two colours: the width is that of the channel that is taken
    assert not open_image(path / "1").facts
    red = open_image(path / "1", channel=1)
    assert red.facts["psf_fwhm"].value == pytest.approx(0.51 * 620 / 0.7 / 100)


@pytest.mark.parametrize("text", ["<OME/>", "<OME", OPTICS.replace("LensNA", "Lens"), "\ud800"])
def test_optics_that_cannot_be_read_are_left_out(text, tmp_path):
    path = write_container(tmp_path / "c", [PLANE])
    write_group(path / "OME", {"series": ["0"]})
    (path / "OME" / "METADATA.ome.xml").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert not open_ome_zarr(path).facts


def test_a_group_that_is_no_image_tells_what_is_inside(tmp_path):
    write_ome_zarr(tmp_path / "g" / "inner", PLANE, "yx")
    write_group(tmp_path / "g", {})
    with pytest.raises(InputError, match="without OME image metadata") as error:
        open_ome_zarr(tmp_path / "g")
    assert str(tmp_path / "g" / "inner") in error.value.fix


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        open_ome_zarr(tmp_path / "nowhere")
