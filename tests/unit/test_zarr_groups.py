"""Zarr that is no single OME image: zip files, plates, groups and arrays without metadata."""

import json
import logging
import shutil
import zipfile

import numpy as np
import pytest
import zarr

from sciup import batch
from sciup.errors import InputError
from sciup.geometry import Box
from sciup.io import detect_format, open_image, plate_fields
from sciup.testing.microscopy_files import (
    truncate,
    write_container,
    write_group,
    write_ome_zarr,
    write_plate,
    write_zip,
)

PLANE = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)
WHOLE = Box.of_shape(PLANE.shape)


def values(source):
    return open_image(source).read((), WHOLE)[0]


# -- zip ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("inside", ["", "a.ome.zarr", "some/where"])
def test_a_zarr_in_a_zip_is_found_at_the_root_or_in_a_folder(version, inside, tmp_path):
    folder = write_ome_zarr(tmp_path / "a", PLANE, "yx", version=version, scale=(0.5, 0.5))
    path = write_zip(folder, inside).rename(tmp_path / "no_suffix")
    assert detect_format(path) == "zarr-zip"
    image = open_image(path)
    assert (image.source, image.format) == (str(path / inside), "ome-zarr")
    assert image.grid.size == (0.5, 0.5)
    np.testing.assert_array_equal(values(path), PLANE)
    np.testing.assert_array_equal(values(image.source), PLANE)


def test_a_level_in_a_zip_keeps_its_pixel_size(tmp_path):
    path = write_zip(write_ome_zarr(tmp_path / "a", PLANE, "yx", scale=(0.5, 0.5)), "a.zarr")
    for level in (path / "0", path / "a.zarr" / "0"):
        assert open_image(level).grid.size == (0.5, 0.5)


def test_a_plain_array_at_the_root_of_a_zip(tmp_path):
    zarr.save_array(tmp_path / "a", PLANE)
    np.testing.assert_array_equal(values(write_zip(tmp_path / "a")), PLANE)


def test_a_zip_with_several_images_names_them(tmp_path):
    write_ome_zarr(tmp_path / "z" / "a", PLANE, "yx")
    write_ome_zarr(tmp_path / "z" / "b", PLANE + 1, "yx")
    path = write_zip(tmp_path / "z")
    with pytest.raises(InputError, match="2 Zarr images") as error:
        open_image(path)
    assert str(path / "b") in error.value.fix
    np.testing.assert_array_equal(values(path / "b"), PLANE + 1)


def test_a_container_in_a_zip_opens_at_its_first_image(tmp_path):
    path = write_zip(write_container(tmp_path / "c", [PLANE, PLANE[:10]]))
    assert open_image(path).shape == PLANE.shape
    assert open_image(path / "1").shape == (10, 40)


def test_zip_files_that_cannot_be_read(tmp_path):
    path = write_zip(write_ome_zarr(tmp_path / "a", PLANE, "yx"))
    with pytest.raises(InputError, match=r"metadata of .*nothing cannot be read"):
        open_image(path / "nothing")
    with pytest.raises(InputError, match="damaged zip"):
        open_image(truncate(path))


def test_a_chunk_that_was_damaged_in_a_zip_is_noticed(tmp_path):
    folder = write_ome_zarr(tmp_path / "a", PLANE, "yx")
    chunk = next(f for f in (folder / "0" / "c").rglob("*") if f.is_file()).read_bytes()
    path = write_zip(folder)
    whole = bytearray(path.read_bytes())
    whole[whole.find(chunk) + len(chunk) // 2] ^= 255
    path.write_bytes(whole)
    with pytest.raises(InputError, match="cannot be read at plane"):
        values(path)


# -- groups without metadata -------------------------------------------------------------------


def group(path, **arrays):
    """A Zarr group with some arrays and no OME metadata."""
    made = zarr.create_group(path)
    for name, array in arrays.items():
        made.create_array(name, data=np.asarray(array))
    return path


@pytest.mark.parametrize("pack", [lambda path: path, write_zip])
def test_the_only_array_of_a_group_is_taken_with_a_warning(pack, tmp_path, caplog):
    path = pack(group(tmp_path / "g", counts=PLANE, x=np.arange(40)))
    with caplog.at_level(logging.INFO, "sciup"):
        image = open_image(path)
    assert (image.source, image.grid.size) == (str(path / "counts"), None)
    assert "no OME image metadata: its only array 'counts'" in caplog.text
    assert "axes yx (by their number), pixel size unknown" in caplog.text
    np.testing.assert_array_equal(values(path), PLANE)


def test_several_arrays_are_named_with_their_shapes(tmp_path):
    path = group(tmp_path / "g", a=PLANE, b=PLANE[:10])
    with pytest.raises(InputError, match="2 arrays") as error:
        open_image(path)
    assert f"{path / 'a'} (30, 40), {path / 'b'} (10, 40)" in error.value.fix


# -- plates ------------------------------------------------------------------------------------


def test_a_plate_names_fields_and_how_to_run_all(tmp_path):
    path = write_plate(tmp_path / "p.zarr", fields=2)
    fields = ["A/1/0", "A/1/1", "B/2/0", "B/2/1"]
    assert plate_fields(path) == fields
    with pytest.raises(InputError, match=r"2 wells \(A/1, B/2\)") as error:
        open_image(path)
    assert all(str(path / field) in error.value.fix for field in fields)
    assert f"sciup batch {path}" in error.value.fix
    assert open_image(path / "B/2/1").shape == (8, 8)


def test_a_plate_in_a_zip_runs_field_by_field(tmp_path):
    path = write_zip(write_plate(tmp_path / "p.zarr"))
    items = batch.items_of([str(path)], tmp_path / "out", None)
    assert [open_image(item.input).shape for item in items] == [(8, 8), (8, 8)]
    assert [item.output.relative_to(tmp_path / "out").as_posix() for item in items] == [
        "p/A/1/0.ome.zarr", "p/B/2/0.ome.zarr",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["../outside/1", "/outside/1", "A/../../1", "..\\1"])
def test_a_plate_that_leads_out_of_its_folder_is_refused(name, tmp_path):
    write_plate(tmp_path / "outside")
    path = write_group(tmp_path / "p.zarr", {"plate": {"wells": [{"path": name}]}})
    with pytest.raises(InputError, match="paths inside it"):
        plate_fields(path)
    items = batch.items_of([str(path)], tmp_path / "out", None)
    assert [i.output for i in items] == [tmp_path / "out/p.ome.zarr"]
    with pytest.raises(InputError, match="paths inside it"):
        open_image(items[0].input)


def test_a_well_that_leads_out_of_its_folder_is_refused(tmp_path):
    path = write_plate(tmp_path / "p.zarr")
    write_group(path / "A" / "1", {"well": {"images": [{"path": "../../1"}]}})
    with pytest.raises(InputError, match="paths inside it"):
        plate_fields(path)


def test_the_directory_of_a_zip_is_read_once_for_all_wells(tmp_path, monkeypatch):
    path = write_zip(write_plate(tmp_path / "p.zarr", fields=3))
    seen, parse = [], zipfile.ZipFile._RealGetContents

    def counted(archive):
        seen.append(archive)
        return parse(archive)

    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", counted)
    fields = plate_fields(path)
    assert [values(path / field)[:8, :8].tolist() for field in fields] == [[[1] * 8] * 8] * 6
    assert len(seen) == 2  # its names, and the store
    path.write_bytes(write_zip(write_plate(tmp_path / "q.zarr")).read_bytes())
    assert len(plate_fields(path)) == 2


def test_wells_that_were_never_written_are_left_out(tmp_path, caplog):
    path = write_plate(tmp_path / "p.zarr")
    shutil.rmtree(path / "A" / "1")
    with caplog.at_level(logging.WARNING, "sciup"):
        assert plate_fields(path) == ["B/2/0"]
    assert "A/1 is listed, but not there" in caplog.text
    shutil.rmtree(path / "B" / "2")
    with pytest.raises(InputError, match="without fields"):
        plate_fields(path)


@pytest.mark.parametrize("plate", [{}, {"wells": 3}, {"wells": [{}]}, {"wells": [3]}])
def test_a_damaged_list_of_wells_is_refused_and_ends_no_batch(plate, tmp_path):
    path = write_group(tmp_path / "p.zarr", {"plate": plate})
    for function in (open_image, plate_fields):
        with pytest.raises(InputError, match="list of wells"):
            function(path)
    assert [i.input for i in batch.items_of([str(path)], tmp_path, None)] == [str(path)]


def test_a_damaged_well_is_refused(tmp_path):
    path = write_plate(tmp_path / "p.zarr")
    (path / "A" / "1" / "zarr.json").write_text("{")
    with pytest.raises(InputError, match=r"metadata of .*A/1 cannot be read"):
        plate_fields(path)
    text = json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}})
    (path / "A" / "1" / "zarr.json").write_text(text)
    with pytest.raises(InputError, match="list of fields"):
        plate_fields(path)


def test_what_is_no_plate(tmp_path):
    (tmp_path / "f").write_text("hello")
    for path in (tmp_path, tmp_path / "f", write_ome_zarr(tmp_path / "i", PLANE, "yx")):
        assert plate_fields(path) is None
    assert plate_fields("https://example.org/a.fits") is None
