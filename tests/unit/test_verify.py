"""`sciup verify`: whatever is damaged is found and named, and nothing else is."""

import json
import shutil

import numpy as np
import pytest
import toy_run
import zarr
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_run import each
from typer.testing import CliRunner

from sciup.cli import app
from sciup.errors import InputError
from sciup.geometry import Box
from sciup.io import Layout
from sciup.io._array import open_array
from sciup.io._fits_sums import data_sum, encode, ones_sum, walk
from sciup.io._fits_writer import FitsWriter
from sciup.io._journal import Journal
from sciup.io._provenance import read_provenance
from sciup.io._zarr_writer import ZarrWriter
from sciup.results.convert import convert
from sciup.results.verify import Verdict, check_map, verify


@pytest.fixture(params=toy_run.SUFFIXES)
def result(request, tmp_path):
    return copied(request.param, tmp_path)


@pytest.fixture
def fits_result(tmp_path):
    return copied(".fits", tmp_path)


@pytest.fixture
def zarr_result(tmp_path):
    return copied(".ome.zarr", tmp_path)


def copied(suffix, folder):
    source, path = toy_run.straight(suffix), folder / f"out{suffix}"
    (shutil.copytree if source.is_dir() else shutil.copy)(source, path)
    return path


def flip(path, at, bit=0):
    with path.open("r+b") as stream:
        stream.seek(at)
        byte = stream.read(1)[0]
        stream.seek(at)
        stream.write(bytes([byte ^ 1 << bit]))


def named(path):
    return [damage.where for damage in verify(path).damage]


def place_of(path, name):
    """Bytes of the data of an HDU."""
    with fits.open(path) as hdus:
        info = hdus[name].fileinfo()
    return info["datLoc"], info["datLoc"] + info["datSpan"]


def test_what_was_written_is_whole(result):
    verdict = verify(result)
    assert not verdict.damage
    assert verdict.stated
    assert verdict.shards == 5 * 3  # sample, mean, std and two samples, 4200 rows each
    done = CliRunner().invoke(app, ["verify", str(result)], catch_exceptions=False)
    assert done.exit_code == 0


def test_the_command_tells_programs_and_fails_with_3(fits_result):
    begin, _ = place_of(fits_result, "MEAN")
    flip(fits_result, begin + 4 * (100 * 2100 + 7), bit=6)
    done = CliRunner().invoke(app, ["verify", str(fits_result), "--json"], catch_exceptions=False)
    assert done.exit_code == 3
    assert json.loads(done.stdout)["damage"] == [
        {
            "where": "mean, y 2048:4096, x 0:100",
            "what": "the values are not those that were written",
        }
    ]
    assert CliRunner().invoke(app, ["verify", str(fits_result)]).exit_code == 3


@pytest.fixture(scope="module")
def spare(tmp_path_factory):
    return copied(".fits", tmp_path_factory.mktemp("spare"))


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_flipped_bit_anywhere_in_fits_is_found(spare, data):
    """Headers, tables and values; only NaN stays NaN, and what fills up the last block of a map."""
    with spare.open("rb") as stream:
        parts = list(walk(stream, spare.stat().st_size))
    part = parts[data.draw(st.integers(0, len(parts) - 1))]
    low, high = data.draw(st.sampled_from([(part.begin, part.data), (part.data, part.end)]))
    at = data.draw(st.integers(low, max(high - 1, low)))
    before, values = spare.read_bytes(), toy_run.arrays(spare)
    flip(spare, at, data.draw(st.integers(0, 7)))
    try:
        if not verify(spare).damage:
            assert at >= part.data
            for name, plane in toy_run.arrays(spare).items():
                assert np.array_equal(plane, values[name], equal_nan=True)
    finally:
        spare.write_bytes(before)


def test_fits_that_is_cut_off_says_from_where_on(fits_result):
    begin, _ = place_of(fits_result, "STD")
    with fits_result.open("r+b") as stream:
        stream.truncate(begin + 4 * 100 * 3000)
    found = {damage.where: damage.what for damage in verify(fits_result).damage}
    assert "1200000 of" in found["std"]
    assert {"samples", "provenance"} <= set(found)  # they came after it
    assert "sample" not in found
    assert "mean" not in found


@pytest.mark.parametrize("more", [bytes(100), bytes(2880), bytes(5000), b"x" * 2880])
def test_what_stands_behind_the_end_of_fits_is_told(more, fits_result):
    size = fits_result.stat().st_size
    with fits_result.open("ab") as stream:
        stream.write(more)
    assert [(d.where, d.what) for d in verify(fits_result).damage] == [
        (f"byte {size}", f"{len(more)} bytes stand behind the end of the result")
    ]
    done = CliRunner().invoke(app, ["verify", str(fits_result)], catch_exceptions=False)
    assert done.exit_code == 3


def test_a_header_without_end_is_not_looked_for_in_all_pixels(tmp_path):
    path = tmp_path / "a.fits"
    header = fits.PrimaryHDU().header.tostring().encode().replace(b"END", b"EN ")
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(2880 * 100_000)
    with path.open("rb") as stream:
        with pytest.raises(ValueError, match="END"):
            list(walk(stream, path.stat().st_size))
        assert stream.tell() < 30e6


def test_a_damaged_end_card_is_named(fits_result):
    begin, _ = place_of(fits_result, "MEAN")
    text = fits_result.read_bytes()[:begin]
    flip(fits_result, text.rindex(b"END   "))
    assert "END" in verify(fits_result).damage[0].what


def test_fits_without_provenance_is_compared_by_rows_only_if_there(fits_result):
    with fits.open(fits_result, mode="update") as hdus:
        del hdus["PROVENANCE"]
    verdict = verify(fits_result)
    assert [d.where for d in verdict.damage] == ["provenance"]
    assert not verdict.stated


def test_a_deleted_map_of_fits_is_named(fits_result):
    with fits.open(fits_result, mode="update") as hdus:
        del hdus["MEAN"]
    assert named(fits_result) == ["mean"]


@pytest.mark.parametrize("file", [
    "zarr.json", "OME/zarr.json", "OME/METADATA.ome.xml", "mean/zarr.json", "mean/0/zarr.json",
    "mean/2/zarr.json", "psf/zarr.json", "psf/c/0/0", "mean/0/c/1/0", "mean/1/c/0/0",
    "mean/4/c/0/0", "samples/0/c/1/2/0",
])  # fmt: skip
def test_a_flipped_bit_in_any_kind_of_file_is_found(file, zarr_result):
    path = zarr_result / file
    flip(path, path.stat().st_size // 2)
    found = named(zarr_result)
    assert found
    assert all(file.split("/")[0] in where for where in found), found


def test_a_missing_shard_is_named_with_its_pixels(zarr_result):
    (zarr_result / "mean/0/c/1/0").unlink()
    assert [(d.where, d.what) for d in verify(zarr_result).damage] == [
        ("mean, y 2048:4096, x 0:100", "the shard 0/c/1/0 is missing")
    ]


def test_an_empty_and_a_cut_shard_are_named(zarr_result):
    (zarr_result / "mean/0/c/1/0").write_bytes(b"")
    shard = zarr_result / "std/0/c/0/0"
    shard.write_bytes(shard.read_bytes()[:-100])
    assert named(zarr_result) == ["mean, y 2048:4096, x 0:100", "std, y 0:2048, x 0:100"]


def test_a_level_of_another_result_is_named(zarr_result):
    shutil.copy(zarr_result / "std/1/c/0/0", zarr_result / "mean/1/c/0/0")
    assert named(zarr_result) == ["mean, level 1, y 0:1024, x 0:50"]


def test_a_missing_shard_of_a_level_is_named(zarr_result):
    (zarr_result / "mean/3/c/0/0").unlink()
    assert named(zarr_result) == ["mean, level 3, y 0:525, x 0:13"]


def test_a_deleted_map_is_named_once(zarr_result):
    shutil.rmtree(zarr_result / "mean")
    assert named(zarr_result) == ["mean"]


def test_a_result_that_lost_its_root_is_damaged_not_foreign(zarr_result):
    (zarr_result / "zarr.json").unlink()
    assert named(zarr_result) == ["zarr.json"]


def test_values_that_were_changed_on_purpose_are_found(zarr_result):
    zarr.open_array(str(zarr_result / "mean" / "0"), mode="r+")[3000, 50] = 7.0
    assert named(zarr_result) == ["mean, y 2048:4096, x 0:100"]


def test_an_image_is_refused(tmp_path):
    with pytest.raises(InputError, match="sciup inspect"):
        verify(toy_run.base() / "in.fits")
    with pytest.raises(InputError, match="no result"):
        verify(tmp_path)


def test_a_foreign_container_is_refused(tmp_path):
    """What bioformats2raw writes has the same root and OME-XML, and is no damaged result."""
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    group.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    group.create_group("0").create_array("0", data=np.ones((9, 9), "f4"))
    (tmp_path / "a.zarr" / "OME").mkdir()
    (tmp_path / "a.zarr" / "OME" / "METADATA.ome.xml").write_text("<OME/>")
    with pytest.raises(InputError, match="no result"):
        verify(tmp_path / "a.zarr")
    convert(copied(".fits", tmp_path), tmp_path / "b.ome.zarr", ome_zarr="0.4")
    with pytest.raises(InputError, match="no result"):
        verify(tmp_path / "b.ome.zarr")


def test_a_folder_of_results_is_no_damaged_result(zarr_result):
    with pytest.raises(InputError, match="no result"):
        verify(zarr_result.parent)


def edited(path, **changes):
    """The root with other entries under `sciup`; None takes one away."""
    root = json.loads((path / "zarr.json").read_text())
    about = root["attributes"]["sciup"]
    about.update(changes)
    root["attributes"]["sciup"] = {k: v for k, v in about.items() if v is not None}
    (path / "zarr.json").write_text(json.dumps(root))
    return path


def test_maps_that_were_taken_off_the_list_are_named(zarr_result):
    assert named(edited(zarr_result, maps=["sample"], checksum=None)) == [
        "zarr.json", "mean", "samples", "std"
    ]  # fmt: skip


@pytest.mark.parametrize("changes", [{"files": []}, {"provenance": {"checksums": {"maps": [1]}}}])
def test_metadata_that_make_no_sense_are_damage(changes, zarr_result):
    assert "metadata" in named(edited(zarr_result, **changes))


@pytest.mark.parametrize("writer", [FitsWriter, ZarrWriter])
def test_older_results_hold_no_checksums(writer, tmp_path):
    layout = Layout(open_array(np.ones((20, 30), "f4")), Box((0, 0), (20, 30)), 2, ("mean",), {})
    made = writer(tmp_path, layout)
    made.create()
    made.write("mean", (), Box((0, 0), (40, 60)), np.ones((40, 60), "f4"))
    made.finish({"model": "toy"}, {})
    verdict = verify(made.path)
    assert not verdict.damage
    assert not verdict.stated


@pytest.mark.parametrize(("name", "found"), [("mean", ["mean"]), ("risk_bound", [])])
def test_a_map_of_nothing_is_damage_unless_it_may_be_withheld(name, found):
    def read(_, box):
        return np.full(box.shape, np.nan, "f4")

    assert [d.where for d in check_map(name, (9, 9), read, {}, Verdict(None))] == found


def test_a_map_of_another_shape_is_damage():
    stated = {"shard": 2048, "maps": {"mean": [["crc32:00000000"]]}}
    found = check_map("mean", (2, 9, 9), None, stated, Verdict(None))
    assert ["shape" in d.what for d in found] == [True]


@each
def test_lost_input_has_checksums_too(suffix, tmp_path, monkeypatch):
    """Records of lost input do not count: the sums are those of what is stored."""
    monkeypatch.setattr("sciup.io._journal.Journal.read", lambda self: {})
    out = toy_run.lazy().save(tmp_path / f"out{suffix}")
    monkeypatch.undo()
    assert (
        read_provenance(out)["checksums"] == read_provenance(toy_run.straight(suffix))["checksums"]
    )


def test_shards_that_were_made_twice_have_the_sums_of_what_is_stored(tmp_path, monkeypatch):
    """An earlier record in a file with a later name: a worker that was slow, on another device."""
    add = Journal.add

    def twice(self, shard, sums, *more):
        add(Journal(tmp_path / "out.fits.partial", "zzz"), shard, dict.fromkeys(sums, "crc32:0"))
        add(self, shard, sums, *more)

    monkeypatch.setattr(Journal, "add", twice)
    assert named(toy_run.lazy().save(tmp_path / "out.fits")) == []


def test_sums_of_fits_are_those_of_astropy(fits_result):
    with fits.open(fits_result, checksum=True) as hdus:  # a warning would be an error
        assert all(hdu.verify_checksum() == hdu.verify_datasum() == 1 for hdu in hdus)


@given(st.binary(max_size=400), st.integers(0, 2**32 - 1))
def test_encoded_sums_are_letters_and_digits_that_cancel(data, start):
    data += b"\0" * (-len(data) % 4)
    total = ones_sum(data, start)
    text = encode(total)
    assert text.isalnum()
    assert text.isascii()
    shifted = (text[1:] + text[:1]).encode()  # in a card it begins one byte before a word
    assert ones_sum(shifted, total) % 0xFFFFFFFF == ones_sum(b"0" * 16) % 0xFFFFFFFF


def test_sums_take_constant_memory(tmp_path):
    import tracemalloc

    path = tmp_path / "a.fits"
    header = fits.ImageHDU(np.zeros((1, 1), "f4")).header
    header["NAXIS1"] = header["NAXIS2"] = 5000
    with path.open("wb") as stream:
        stream.write(fits.PrimaryHDU().header.tostring().encode())
        stream.write(header.tostring().encode())
        stream.truncate(2880 * (2 + -(-100_000_000 // 2880)))
    with path.open("rb") as stream:
        part = list(walk(stream, path.stat().st_size))[1]
        tracemalloc.start()
        assert data_sum(stream, part) == 0
        assert tracemalloc.get_traced_memory()[1] < 30e6
        tracemalloc.stop()


@pytest.mark.parametrize("change", [{"node_type": None}, {"zarr_format": 2}, {"more": 1}])
def test_the_root_beside_its_attributes_is_looked_at(change, zarr_result):
    """Found by tests/faults/fuzz_beside.py: no reader opens such a folder, but it was whole."""
    file = zarr_result / "zarr.json"
    document = {**json.loads(file.read_text()), **change}
    file.write_text(json.dumps({k: v for k, v in document.items() if v is not None}))
    assert named(zarr_result) == ["zarr.json"]
