"""Where `sciup convert` writes: nothing is lost that stood there, and nothing is left behind."""

import shutil
from types import SimpleNamespace

import pytest
import toy_run

from sciup.errors import InputError, OutputError
from sciup.io._tiff_writer import Levels, Pages
from sciup.results.beside import growing, put
from sciup.results.convert import convert
from sciup.results.verify import verify


@pytest.mark.parametrize("new", ["holder.zarr", "holder.zarr/in.fits/new.zarr"])
def test_a_place_that_holds_the_source_is_refused(new, tmp_path):
    source = tmp_path / "holder.zarr" / "in.fits"
    source.parent.mkdir()
    shutil.copy(toy_run.straight(".fits"), source)
    with pytest.raises(OutputError, match="lies inside"):
        convert(source, tmp_path / new, overwrite=True)
    assert verify(source).damage == []


def test_a_link_is_replaced_and_not_what_it_points_to(tmp_path):
    other, link = tmp_path / "other", tmp_path / "new.ome.zarr"
    other.mkdir()
    (other / "precious").touch()
    for target in (other, tmp_path / "nowhere"):
        link.symlink_to(target)
        with pytest.raises(OutputError, match="--overwrite"):
            convert(toy_run.straight(".fits"), link)
        convert(toy_run.straight(".fits"), link, overwrite=True)
        assert not link.is_symlink()
        assert verify(link).damage == []
        shutil.rmtree(link)
    assert (other / "precious").exists()


def test_the_old_one_stays_where_the_new_one_cannot_be_moved_in(tmp_path, monkeypatch):
    old = tmp_path / "new.ome.zarr"
    old.mkdir()
    (old / "precious").touch()

    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pathlib.Path.replace", fail)

    def attempt():
        with growing(old) as work:
            (work / "made").mkdir()
            put(work / "made", old)

    with pytest.raises(OutputError, match="cannot be written"):
        attempt()
    assert (old / "precious").exists()
    assert [p.name for p in tmp_path.iterdir()] == [old.name]


def test_what_a_killed_conversion_left_is_swept(tmp_path):
    new, left = tmp_path / "new.ome.zarr", tmp_path / ".new.ome.zarr.partial"
    (left / "level1").mkdir(parents=True)
    (left / "before").mkdir()
    (left / "before" / "precious").touch()
    with growing(new) as work:
        assert [p.name for p in work.iterdir()] == ["lock"]
        with pytest.raises(OutputError, match="another conversion"), growing(new):
            pass
    assert [p.name for p in tmp_path.iterdir()] == [new.name]
    assert (new / "precious").exists()


@pytest.mark.parametrize(("name", "free"), [("a.ome.tif", 5.9), ("a.ome.zarr", 5.2)])
def test_the_space_is_counted_before_compression(name, free, tmp_path, monkeypatch):
    """Values, levels and scratch: 4 bytes each, and 4/3 or 5/3 of the pixels."""
    pixels = 5 * 4200 * 100  # sample, mean, std and two samples
    usage = SimpleNamespace(free=int(free * pixels))
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match="needs up to"):
        convert(toy_run.straight(".fits"), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_scratch_files_have_their_room_before_they_are_mapped(tmp_path):
    pages = Pages((1, 1, 1), (2000, 2000), ["a"], None, None, "float32")
    Levels(tmp_path, pages)
    sizes = [path.stat() for path in sorted(tmp_path.iterdir())]
    assert [s.st_size for s in sizes] == [4_000_000, 1_000_000, 250_000]
    assert all(512 * s.st_blocks >= s.st_size for s in sizes)


def test_what_cannot_be_read_is_not_said_to_be_unwritable(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("sciup.results.finished.ZarrPixels.values", fail)
    with pytest.raises(InputError, match=r"the map sample of .* cannot be read"):
        convert(toy_run.straight(".ome.zarr"), tmp_path / "a.fits")
