"""OME-TIFF as a result: everything comes back from it, and damage is found."""

import json
import re
import shutil
import tracemalloc
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from converted import equal_fits, equal_values, equal_zarr, results
from typer.testing import CliRunner

from sciup.cli import app
from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.io import Layout, open_writer
from sciup.io._array import open_array
from sciup.io._provenance import read_provenance
from sciup.io._tiff_result import TiffPixels
from sciup.report.write import default_page
from sciup.results.about import about
from sciup.results.contents import Contents
from sciup.results.convert import convert
from sciup.results.draws import Draws
from sciup.results.finished import Finished
from sciup.results.verify import verify
from sciup.testing.microscopy_files import point_back


@pytest.fixture(scope="module")
def tiffs(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("tiffs"), results()
    for name in ("sky.fits", "cells", "large.fits"):
        convert(made[name], folder / f"{name}.ome.tif")
    return folder


@pytest.fixture
def tiff(tiffs, tmp_path):
    """A copy of several shards that a test may damage."""
    return shutil.copy(tiffs / "large.fits.ome.tif", tmp_path / "a.ome.tif")


def xml_of(path):
    with tifffile.TiffFile(path) as tiff:
        return tiff.ome_metadata


def rewrite(path, change):
    """Another program's copy: the same pixels, other XML."""
    with tifffile.TiffFile(path) as old, tifffile.TiffWriter(path.with_name("b.tif")) as new:
        text = change(old.ome_metadata)
        new.write(
            old.series[0].asarray(), description=text.encode(), metadata=None, tile=(512, 512),
            photometric="minisblack",
        )  # fmt: skip
    return path.with_name("b.tif")


# -- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sky.fits", "cells", "large.fits"])
def test_it_is_whole_and_says_what_the_original_says(name, tiffs):
    path, original = tiffs / f"{name}.ome.tif", results()[name]
    verdict, expected = verify(path), verify(original)
    assert verdict.damage == []
    assert verdict.shards == expected.shards > 0
    told, before = about(path), about(original)
    maps = [{**m, "name": m["name"].split("/")[0]} for m in before["maps"]]  # samples/0 of t axes
    assert told["maps"] == [m for i, m in enumerate(maps) if m not in maps[:i]]
    assert told["container"] == "ome-tiff"
    for key in ("axes", "shape", "unit", "pixel_size", "pixel_unit", "centre", "input_region"):
        assert told[key] == before[key], key


@pytest.mark.parametrize(("name", "suffix"), [("sky.fits", ".ome.zarr"), ("cells", ".fits"),
                                              ("large.fits", ".ome.zarr")])  # fmt: skip
def test_the_way_by_tiff_gives_what_the_direct_way_gives(name, suffix, tiffs, tmp_path):
    direct, by_tiff = tmp_path / f"direct{suffix}", tmp_path / f"by{suffix}"
    convert(results()[name], direct)
    convert(tiffs / f"{name}.ome.tif", by_tiff)
    equal_values(direct, by_tiff)
    (equal_fits if suffix == ".fits" else equal_zarr)(direct, by_tiff)
    if suffix == ".fits":
        assert read_provenance(by_tiff)["image"] == read_provenance(direct)["image"]
    steps = [(s["from"], s["to"]) for s in read_provenance(by_tiff)["converted"]]
    assert [s[0] for s in steps[1:]] == ["ome-tiff"]
    assert verify(by_tiff).damage == []


@pytest.mark.parametrize("name", ["sky.fits", "cells"])
def test_all_that_makes_an_image_comes_back(name, tiffs):
    old, new = (Contents.of(Finished.open(p)) for p in (results()[name], tiffs / f"{name}.ome.tif"))
    assert new.record == old.record
    assert new.layout.maps == old.layout.maps
    assert np.array_equal(new.psf, old.psf)
    assert repr(new.layout.image.header) == repr(old.layout.image.header)
    assert new.done.image.header is None or "A_2_0" in new.done.image.header


def test_draws_are_read_from_it(tiffs):
    folder = results()["sky.fits"].parent
    first, second = (
        Draws.open(p, model=str(folder / "sky")).window((), Box((0, 0), (20, 30)))
        for p in (results()["sky.fits"], tiffs / "sky.fits.ome.tif")
    )
    assert np.array_equal(first, second, equal_nan=True)
    assert default_page(tiffs / "sky.fits.ome.tif").name == "sky.fits_report.html"


def test_the_commands_take_it(tiffs, tmp_path):
    path = str(tiffs / "cells.ome.tif")
    for command in (["info", path], ["verify", path], ["convert", path, str(tmp_path / "a.fits")]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output


# -- damage --------------------------------------------------------------------------------------


def test_a_value_that_was_changed_is_found(tiff, tmp_path):
    with tifffile.TiffFile(tiff) as old:
        values = old.series[0].asarray()
    values[1, 3000, 50] += np.float32(1e-3)
    path = tmp_path / "b.tif"
    tifffile.imwrite(
        path, values, description=xml_of(tiff).encode(), metadata=None, tile=(512, 512)
    )
    where = {d.where: d.what for d in verify(path).damage}
    damaged = where.pop("mean, y 2048:4096, x 0:100")
    assert damaged == "the values are not those that were written"
    assert set(where) == {f"{n}, level 1" for n in ("sample", "std", "samples")}  # it wrote none
    with pytest.raises(InputError, match="damaged at mean, y 2048:4096"):
        convert(path, tmp_path / "c.fits")
    assert not (tmp_path / "c.fits").exists()


def test_a_flipped_bit_of_a_tile_or_a_coarser_level_is_found(tiff):
    with tifffile.TiffFile(tiff) as old:
        pages = [old.pages[1], old.series[0].levels[1].pages[1]]
        places = [p.dataoffsets[0] + p.databytecounts[0] // 2 for p in pages]
    for at, where in zip(places, ("mean, y 0:2048", "mean, level 1, y 0:"), strict=True):
        data = bytearray(tiff.read_bytes())
        data[at] ^= 4
        tiff.write_bytes(data)
        assert [d.where.startswith(where) for d in verify(tiff).damage] == [True]
        data[at] ^= 4
        tiff.write_bytes(data)
    assert verify(tiff).damage == []


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_file_that_is_cut_off_is_damaged(share, tiff, tmp_path):
    data = tiff.read_bytes()
    tiff.write_bytes(data[: int(share * len(data))])
    damage = verify(tiff).damage
    assert damage
    assert "cut off" in damage[0].what or "missing" in damage[0].what
    done = CliRunner().invoke(app, ["verify", str(tiff)])
    assert done.exit_code == 3
    with pytest.raises(InputError):
        convert(tiff, tmp_path / "c.fits")


def test_pages_in_a_circle_are_damage_of_the_pages(tiff):
    """Not of some map; and a list of more than a hundred pages would have no end."""
    point_back(tiff, 1)
    assert [(d.where, "in a circle" in d.what) for d in verify(tiff).damage] == [("pages", True)]
    with pytest.raises(InputError, match="in a circle"):
        Finished.open(tiff)


@pytest.mark.parametrize(("old", "new"), [
    ('"seed": 0', '"seed": 1'), ('Name="mean"', 'Name="best"'), ('"grid"', '"gird"'),
    ("scale", "scal"), ("{", "["),
])  # fmt: skip
def test_metadata_that_were_changed_are_damage(old, new, tiff, tmp_path):
    raw = tiff.read_bytes()
    begin = raw.index(b"<OME ") if old.startswith("Name") else raw.index(b"<Value>")
    at = raw.index(old.encode(), begin)
    tiff.write_bytes(raw[:at] + new.ljust(len(old)).encode() + raw[at + len(old) :])
    assert verify(tiff).damage
    with pytest.raises(InputError):
        convert(tiff, tmp_path / "c.fits")


# -- what is no result ---------------------------------------------------------------------------


def without_note(xml):
    return re.sub(r"<StructuredAnnotations>.*</StructuredAnnotations>", "", xml, flags=re.DOTALL)


@pytest.mark.parametrize("change", [without_note, lambda _: "by another program"])
def test_without_its_annotation_it_is_no_result(change, tiff, tmp_path):
    path = rewrite(tiff, change)
    for ask in (verify, about, lambda p: convert(p, tmp_path / "c.fits")):
        with pytest.raises(InputError, match="is no result of sciup but an image"):
            ask(path)
    with pytest.raises(InputError, match="no provenance of sciup"):
        Finished.open(path)


def test_fewer_bits_are_no_result(tiff, tmp_path):
    path = tmp_path / "few.ome.tif"
    notes = convert(tiff, path, dtype="uint16")
    assert any("not as a result" in line for line in notes)
    for ask in (verify, about, lambda p: convert(p, tmp_path / "c.fits")):
        with pytest.raises(InputError, match=r"no result of sciup.*fewer bits") as error:
            ask(path)
        assert "the result that it was made of" in error.value.fix


def test_tiff_to_tiff_is_a_copy(tiff, tmp_path):
    with pytest.raises(OptionError, match="ome-tiff already"):
        convert(tiff, tmp_path / "c.ome.tif")


# -- size ----------------------------------------------------------------------------------------


def test_large_provenance_fits(tmp_path):
    """Checksums of a large result are megabytes of XML."""
    from sciup.io._tiff_note import PLACE, read_note, with_note

    xml = tifffile.OmeXml()
    note = {"Namespace": "sciup/provenance", "Value": PLACE}
    xml.addimage("float32", (16, 16), (1, 1, 1, 16, 16, 1), axes="YX", CommentAnnotation=note)
    told = {"provenance": {"sums": [f"crc32:{n:08x}" for n in range(200_000)], "a": "<&\"' µ\n"}}
    text = with_note(xml.tostring(declaration=True), told)
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((16, 16), "f4"), description=text.encode(), metadata=None
    )
    assert len(text) > 3e6
    ElementTree.fromstring(text)
    stored = read_note(tmp_path / "a.tif")
    assert stored.pop("checksum")
    assert stored == told == json.loads(json.dumps(told))


@pytest.mark.parametrize("suffix", [".fits", ".ome.zarr"])
def test_it_is_read_by_shards(suffix, tmp_path, monkeypatch):
    """67 MB in two maps; a shard has 16 MB."""
    region = Box((0, 0), (1024, 2048))
    layout = Layout(open_array(np.zeros(region.shape, "f4")), region, 2, ("sample", "mean"), {})
    writer = open_writer(tmp_path, layout, "fits")
    writer.create()
    for name in layout.maps:
        for x in (0, 2048):
            writer.write(name, (), Box((0, x), (2048, x + 2048)), np.ones((2048, 2048), "f4"))
    facts = read_provenance(results()["large.fits"])
    del facts["checksums"]
    facts["fingerprint"]["settings"]["keep"] = 0
    facts["fingerprint"]["region"] = [region.start, region.stop]
    writer.finish(facts, {})
    convert(writer.path, tmp_path / "a.ome.tif")
    read, values = [], TiffPixels.values

    def counted(self, plane, box):
        read.append(box.shape)
        return values(self, plane, box)

    monkeypatch.setattr(TiffPixels, "values", counted)
    tracemalloc.start()
    convert(tmp_path / "a.ome.tif", tmp_path / f"b{suffix}")
    assert tracemalloc.get_traced_memory()[1] < 80e6
    tracemalloc.stop()
    assert read == [(2048, 2048)] * 4
    assert verify(tmp_path / f"b{suffix}").shards == 4
