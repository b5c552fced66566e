"""`sciup convert`: other containers hold the same, field by field, and say what they cannot."""

import json
import shutil
import tracemalloc

import numpy as np
import ome_zarr_models.v04 as v04
import pytest
import tifffile
import toy_run
import zarr
from astropy.io import fits
from astropy.wcs import WCS
from converted import (
    OPTIONS,
    equal_fits,
    equal_values,
    equal_zarr,
    level_0,
    results,
    there_and_back,
)
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import sciup
from sciup.cli import app
from sciup.errors import InputError, OptionError, OutputError
from sciup.geometry import Box
from sciup.io import Layout, open_image, open_writer
from sciup.io._array import open_array
from sciup.io._provenance import read_provenance
from sciup.report.write import write_report
from sciup.results.convert import convert
from sciup.results.encode import DTYPES, Encoding
from sciup.results.finished import Finished
from sciup.results.verify import verify


@pytest.fixture(scope="module")
def made():
    return results()


ALL = ("sky.fits", "sky.ome.zarr", "cells", "large.fits", "large.ome.zarr")
BY = ("", ".ome.tif")


@pytest.mark.parametrize("name", ALL)
def test_values_and_provenance_survive_bit_for_bit(name, made, tmp_path):
    first = level_0(made[name])
    assert {"sample", "mean", "samples", "psf"} <= set(first)
    assert np.isnan(first["mean"]).any()
    for copy in there_and_back(made[name], tmp_path):
        equal_values(made[name], copy)
        assert verify(copy).damage == []
        assert verify(copy).shards == verify(made[name]).shards > 0


@pytest.mark.parametrize("via", BY)
@pytest.mark.parametrize("name", ["sky.ome.zarr", "cells", "large.ome.zarr"])
def test_every_field_of_ome_zarr_comes_back(name, via, made, tmp_path):
    equal_zarr(made[name], there_and_back(made[name], tmp_path, via)[1])


@pytest.mark.parametrize("via", BY)
@pytest.mark.parametrize("name", ["sky.fits", "large.fits"])
def test_every_card_of_fits_comes_back(name, via, made, tmp_path):
    equal_fits(made[name], there_and_back(made[name], tmp_path, via)[1])


def test_the_sky_stays_where_it_is(made, tmp_path):
    there, _ = there_and_back(made["sky.ome.zarr"], tmp_path)
    with fits.open(made["sky.fits"]) as direct, fits.open(there) as converted:
        for name in ("SAMPLE", "MEAN", "SAMPLES"):
            old, new = (
                WCS(h[name].header, naxis=2).all_pix2world([[0, 0], [60, 40]], 0)
                for h in (direct, converted)
            )
            assert np.array_equal(old, new)
        for key in ("SCISCALE", "SCIROI", "SCISRC", "SCIMODEL", "SCISEED", "SCIMAPS"):
            assert direct[0].header[key] == converted[0].header[key], key
        assert converted["MEAN"].header["BUNIT"] == "electron"
        assert "BUNIT" not in converted["SUPPORT"].header
        assert converted["MEAN"].header["SCI_GAIN"] == 1.5


def test_pixel_sizes_of_cells_stand_in_fits(made, tmp_path):
    there, _ = there_and_back(made["cells"], tmp_path)
    header = fits.getheader(there, "MEAN")
    assert (header["CDELT1"], header["CDELT2"]) == pytest.approx((0.055, 0.05))
    assert header["CUNIT1"].strip() == "um"
    assert header["CRVAL2"] == pytest.approx(7.3 - 0.025)


def test_a_copy_is_a_finished_result(made, tmp_path):
    there, back = there_and_back(made["sky.fits"], tmp_path)
    for copy in (there, back):
        done = Finished.open(copy)
        assert done.scale == 2
        assert done.region == Box((2, 3), (36, 47))
        page, *_ = write_report(copy, model=str(made["sky.fits"].parent / "sky"))
        assert done.facts["weights"] in page.read_text()
    assert sciup.upscale(  # and counts as done
        made["sky.fits"].parent / "sky.fits", model=made["sky.fits"].parent / "sky",
        roi="2:36,3:47", **OPTIONS,
    ).save(there, resume=True) == there  # fmt: skip


def test_steps_are_told(made, tmp_path):
    _, back = there_and_back(made["sky.fits"], tmp_path)
    steps = read_provenance(back)["converted"]
    assert [(s["from"], s["to"]) for s in steps] == [("fits", "ome-zarr"), ("ome-zarr", "fits")]


# -- OME-TIFF ----------------------------------------------------------------------------------


def test_ome_tiff_holds_all_maps_and_says_so(made, tmp_path):
    path = tmp_path / "cells.ome.tif"
    lost = convert(made["cells"], path)
    assert lost == ["the place of the first pixel is kept in the provenance only"]
    values = level_0(made["cells"])
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        assert tiff.is_ome
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        names = [c["Name"] for c in pixels["Channel"]]
        assert names == [f"{m} {c}" for m in ("sample", "mean", "support", "sample 0", "sample 1")
                         for c in ("DAPI", "Actin")]  # fmt: skip
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (0.055, "µm")
        assert (pixels["PhysicalSizeZ"], pixels["TimeIncrement"]) == (0.3, 2.5)
        stack = tiff.series[0].asarray()
        assert tiff.series[0].axes == "TCZYX"
        assert tiff.pages[0].is_tiled
        assert tiff.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
        note = tifffile.xml2dict(tiff.ome_metadata)["OME"]["StructuredAnnotations"]
    for i, name in enumerate(("sample", "mean", "support")):
        assert np.array_equal(stack[:, 2 * i : 2 * i + 2], values[name], equal_nan=True)
    for k in (0, 1):
        part = stack[:, 6 + 2 * k : 8 + 2 * k]
        assert np.array_equal(part, values["samples"][k], equal_nan=True)
    facts = json.loads(note["CommentAnnotation"]["Value"])["provenance"]
    assert facts["weights"] == read_provenance(made["cells"])["weights"]
    image = open_image(path)
    assert image.axes == "tczyx"
    assert image.grid.size == (0.05, 0.055)


def test_levels_of_ome_tiff_are_those_of_ome_zarr(made, tmp_path):
    convert(made["large.fits"], tmp_path / "a.ome.tif")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        levels = tiff.series[0].levels
        assert [level.shape[-2:] for level in levels][:3] == [(4200, 100), (2100, 50), (1050, 25)]
        for number, level in enumerate(levels):
            expected = zarr.open_array(str(made["large.ome.zarr"] / "mean" / str(number)), mode="r")
            assert np.array_equal(level.asarray()[1], expected[...], equal_nan=True), number
        note = tifffile.xml2dict(tiff.ome_metadata)["OME"]["StructuredAnnotations"]
    assert "fits_header" in json.loads(note["CommentAnnotation"]["Value"])


# -- OME-Zarr 0.4, and fewer bits ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["cells", "large.fits", "sky.fits"])
def test_ome_zarr_04_holds_the_same_without_shards(name, made, tmp_path):
    path = tmp_path / "old.ome.zarr"
    convert(made[name], path, ome_zarr="0.4")
    values = level_0(made[name])
    for key in ("sample", "mean", "support"):
        if key not in values:
            continue
        v04.Image.from_zarr(zarr.open_group(str(path / key), mode="r"))
        array = zarr.open_array(str(path / key / "0"), mode="r")
        assert array.metadata.zarr_format == 2
        assert array.shards is None
        assert np.array_equal(array[...], values[key], equal_nan=True)
        new, old = open_image(path / key), Finished.open(made[name]).image
        if name == "cells":
            assert (new.axes, new.grid, new.metadata["axes"]) == (
                old.axes, old.grid, old.metadata["axes"]
            )  # fmt: skip
    assert open_image(path).plane_shape == values["sample"].shape[-2:]
    attributes = json.loads((path / ".zattrs").read_text())
    assert attributes["sciup"]["provenance"]["weights"] == read_provenance(made[name])["weights"]
    assert ("fits_header" in attributes["sciup"]) == (name != "cells")


def test_levels_of_ome_zarr_04_are_those_of_the_result(made, tmp_path):
    convert(made["large.ome.zarr"], tmp_path / "old.ome.zarr", ome_zarr="0.4")
    for level in range(6):
        old, new = (
            zarr.open_array(str(root / "mean" / str(level)), mode="r")[...]
            for root in (made["large.ome.zarr"], tmp_path / "old.ome.zarr")
        )
        assert np.array_equal(old, new, equal_nan=True)


SINGLE = st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False)


@given(st.lists(SINGLE, min_size=1, max_size=9), st.sampled_from(DTYPES))
def test_fewer_bits_lose_what_they_say(values, dtype):
    array = np.array([*values, np.nan], "f4")
    code = Encoding.of(dtype, min(values), max(values))
    stored = code.stored(array)
    assert stored.dtype == dtype
    assert (stored[-1] == 0) if dtype == "uint16" else np.isnan(stored[-1])
    back = code.offset + code.step * stored[:-1].astype(float)
    error = np.abs(back - array[:-1].astype(float))
    if dtype == "uint16":
        assert (stored[:-1] > 0).all()
        assert (error <= code.step * 0.5 + 1e-9 * np.abs(array[:-1]).max()).all()
    elif dtype == "float16":
        far = np.abs(array[:-1].astype(float) - code.offset)
        assert (error <= 2.0**-11 * far + 2.0**-25 * code.step).all()
        assert (np.abs(stored[:-1].astype(float)) <= 2.0**15).all()
    else:
        assert (error == 0).all()


@pytest.mark.parametrize("options", [{"ome_zarr": "0.4"}, {}])
def test_uint16_states_its_scale(options, made, tmp_path):
    path = tmp_path / ("a.ome.zarr" if options else "a.ome.tif")
    notes = convert(made["large.fits"], path, dtype="uint16", **options)
    values = level_0(made["large.fits"])["mean"]
    if options:
        stored = zarr.open_array(str(path / "mean" / "0"), mode="r")[...]
        code = json.loads((path / "mean" / ".zattrs").read_text())["sciup"]["encoding"]
    else:
        with tifffile.TiffFile(path) as tiff:
            stored = tiff.series[0].asarray()[1]
            note = tifffile.xml2dict(tiff.ome_metadata)["OME"]["StructuredAnnotations"]
        code = json.loads(note["CommentAnnotation"]["Value"])["encoding"]["mean"]
    assert stored.dtype == np.uint16
    assert np.array_equal(stored == 0, np.isnan(values))
    back = np.where(stored == 0, np.nan, code["offset"] + code["step"] * stored.astype(float))
    assert np.nanmax(np.abs(back - values)) <= code["step"] * 0.501
    assert any(line.startswith("mean: value = ") and "adu" in line for line in notes)
    if not options:
        with pytest.raises(InputError, match="fewer bits"):
            open_image(path)
        return
    for copy in (path / "mean", path / "mean" / "0"):
        image = open_image(copy)
        read, footprint = image.read((), Box.of_shape(image.shape))
        assert np.array_equal(footprint, np.isfinite(values))
        assert np.abs(read - values)[footprint].max() <= code["step"] * 0.501
        assert image.dtype == np.float32  # 65535 is not a saturated pixel


def test_float16_keeps_faint_and_bright_pixels(made, tmp_path):
    path = tmp_path / "a.ome.zarr"
    notes = convert(made["large.fits"], path, dtype="float16", ome_zarr="0.4")
    values = level_0(made["large.fits"])["mean"]
    stored = zarr.open_array(str(path / "mean" / "0"), mode="r")
    code = json.loads((path / "mean" / ".zattrs").read_text())["sciup"]["encoding"]
    assert (stored.dtype, code["dtype"], code["masked"]) == (np.float16, "float16", "NaN")
    image = open_image(path / "mean")
    read, footprint = image.read((), Box.of_shape(image.shape))
    assert image.dtype == np.float32
    assert np.array_equal(footprint, np.isfinite(values))
    far = np.abs(values.astype(float) - code["offset"])
    error = np.abs(read - values)[footprint]
    assert (error <= (far * 2.0**-11 + np.abs(values) * 2.0**-23)[footprint]).all()
    assert code["offset"] == pytest.approx(np.nanmedian(values), abs=float(np.nanstd(values) / 2))
    assert any(line.startswith("mean: value = ") and "0.05 %" in line for line in notes)


@pytest.mark.parametrize(("new", "options", "words"), [
    ("a.ome.zarr", {"dtype": "uint16"}, "float32"), ("a.ome.tif", {"dtype": "float16"}, "uint16"),
    ("a.ome.zarr", {"dtype": "float16"}, "float32"), ("a.fits", {"dtype": "float16"}, "float32"),
    ("a.ome.tif", {"ome_zarr": "0.4"}, "zarr"), ("a.ome.zarr", {"ome_zarr": "0.3"}, "0.5, 0.4"),
    ("a.ome.zarr", {"ome_zarr": "0.4", "dtype": "int8"}, "uint16"),
])  # fmt: skip
def test_options_that_do_not_fit_are_refused(new, options, words, made, tmp_path):
    with pytest.raises(OptionError, match=words):
        convert(made["sky.fits"], tmp_path / new, **options)


# -- memory, and what goes wrong ---------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".fits", ".ome.tif"])
def test_memory_is_that_of_a_shard(suffix, made, tmp_path):
    """100 MB in two maps; a shard has 16 MB."""
    layout = Layout(
        open_array(np.zeros((1024, 3072), "f4")), Box((0, 0), (1024, 3072)), 2,
        ("sample", "mean"), {},
    )  # fmt: skip
    writer = open_writer(tmp_path, layout, "ome-zarr")
    writer.create()
    for name in layout.maps:
        for x in range(0, 6144, 2048):
            writer.write(name, (), Box((0, x), (2048, x + 2048)), np.ones((2048, 2048), "f4"))
    facts = read_provenance(made["large.ome.zarr"])
    del facts["checksums"]
    facts["fingerprint"]["settings"]["keep"] = 0
    facts["fingerprint"]["region"] = [[0, 0], [1024, 3072]]
    writer.finish(facts, {})
    source = tmp_path / "in.ome.zarr"
    shutil.move(writer.path, source)
    tracemalloc.start()
    convert(source, tmp_path / f"out{suffix}")
    assert tracemalloc.get_traced_memory()[1] < 80e6
    tracemalloc.stop()
    if suffix == ".fits":
        assert verify(tmp_path / "out.fits").shards == 6


def test_a_damaged_result_is_not_copied(made, tmp_path):
    source, new = tmp_path / "in.ome.zarr", tmp_path / "new.fits"
    shutil.copytree(made["large.ome.zarr"], source)
    (source / "mean/0/c/1/0").unlink()
    for name in ("new.fits", "new.ome.tif"):
        with pytest.raises(InputError, match=r"damaged at mean, y 2048:4096.*sciup verify"):
            convert(source, tmp_path / name)
    assert not new.exists()
    assert [p.name for p in tmp_path.iterdir()] == ["in.ome.zarr"]


def test_ctrl_c_leaves_nothing(made, tmp_path):
    def stop(done, _):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(made["large.fits"], tmp_path / "a.ome.zarr", progress=stop)
    assert not list(tmp_path.iterdir())


def test_what_is_refused(made, tmp_path):
    source = made["sky.fits"]
    with pytest.raises(OptionError, match="fits already"):
        convert(source, tmp_path / "b.fits")
    with pytest.raises(OptionError, match="suffix"):
        convert(source, tmp_path / "b.png")
    with pytest.raises(OutputError, match="no folder"):
        convert(source, tmp_path / "no" / "b.ome.zarr")
    with pytest.raises(InputError, match="sciup inspect"):
        convert(source.parent / "sky.fits", tmp_path / "b.ome.zarr")
    (tmp_path / "b.ome.zarr").mkdir()
    with pytest.raises(OutputError, match="--overwrite"):
        convert(source, tmp_path / "b.ome.zarr")
    with pytest.raises(OutputError, match="itself"):
        convert(made["cells"], made["cells"], ome_zarr="0.4", overwrite=True)
    convert(source, tmp_path / "b.ome.zarr", overwrite=True)
    assert verify(tmp_path / "b.ome.zarr").damage == []


def test_the_command_prints_what_is_lost(made, tmp_path):
    new = tmp_path / "new.fits"
    done = CliRunner().invoke(app, ["convert", str(made["cells"]), str(new)])
    assert done.exit_code == 0
    assert new.exists()


def test_upscale_says_how_to_get_tiff(made, tmp_path):
    with pytest.raises(OutputError, match=r"sciup convert out\.ome\.zarr out\.ome\.tif"):
        toy_run.lazy().save(tmp_path / "out.ome.tif")


@pytest.mark.parametrize("name", ["sample/zarr.json", "psf/zarr.json"])
def test_metadata_that_are_not_as_they_were_written_are_not_copied(name, made, tmp_path):
    path = tmp_path / "out.ome.zarr"
    shutil.copytree(made["sky.ome.zarr"], path)
    assert (path / name).is_file()
    text = (path / name).read_text()
    (path / name).write_text(text + " ")
    with pytest.raises(InputError, match="damaged") as error:
        convert(path, tmp_path / "new.fits")
    assert "sciup verify" in error.value.fix


def test_headers_that_are_not_as_they_were_written_are_not_copied(made, tmp_path):
    path = tmp_path / "out.fits"
    data = made["sky.fits"].read_bytes()
    at = data.index(b"CRVAL1  =", data.index(b"XTENSION")) + 15
    digit = data.index(b".", at) + 1
    path.write_bytes(data[:digit] + bytes([data[digit] ^ 1]) + data[digit + 1 :])
    with pytest.raises(InputError, match="header is not the one that was written"):
        convert(path, tmp_path / "new.ome.zarr")
