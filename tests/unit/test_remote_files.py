"""FITS and OME-Zarr over HTTP: right pixels, and hardly more bytes than the windows need."""

import gzip
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr
from astropy.io import fits
from range_server import serve

import sciup
from sciup.engine.provenance import fingerprint
from sciup.errors import InputError
from sciup.geometry import Box
from sciup.io import _remote, open_image
from sciup.io._remote_blocks import BLOCK, Blocks
from sciup.io._remote_file import RemoteFile
from sciup.io._version import SAMPLED, _sampled, version_of
from sciup.results.draws import Draws
from sciup.testing import fits_files
from sciup.testing.microscopy_files import write_ome_zarr, write_tiff, write_zip
from sciup.testing.toy_model import write_toy_model

SIDE, WINDOW, WINDOWS = 1500, 64, 10
BIG = np.arange(SIDE * SIDE, dtype=np.uint32).reshape(SIDE, SIDE).astype(np.float32)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of the test's folder; nobody waits for long."""
    monkeypatch.setattr("sciup.io._remote.FIRST", 0.001)
    with serve(tmp_path) as found:
        yield found


def boxes(seed=0):
    """Windows anywhere in the image."""
    corners = np.random.default_rng(seed).integers(0, SIDE - WINDOW, (WINDOWS, 2))
    return [Box((y, x), (y + WINDOW, x + WINDOW)) for y, x in corners.tolist()]


def read_all(image):
    for box in boxes():
        np.testing.assert_array_equal(image.load((), box)[0], BIG[box.slices])


def test_windows_of_remote_fits_fetch_their_rows_only(tmp_path, served):
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(BIG, name="SCI"), fits.ImageHDU(BIG, name="OTHER")]
    fits.HDUList(hdus).writeto(tmp_path / "big.fits")
    image = open_image(f"{served.address}/big.fits", hdu="SCI")
    assert served.bytes_of() < 20 * BLOCK  # headers
    image = pickle.loads(pickle.dumps(image))
    served.requests.clear()
    read_all(image)
    rows = len({row for box in boxes() for row in range(box.start[0], box.stop[0])})
    assert served.bytes_of() < 2 * rows * SIDE * BIG.itemsize
    assert len(served.requests) < 3 * WINDOWS


@pytest.mark.parametrize("tile", [(1, SIDE), (100, 100)])
def test_windows_of_remote_compressed_fits_fetch_their_tiles_only(tile, tmp_path, served):
    noise = np.random.default_rng(0).integers(0, 30000, (SIDE, SIDE)).astype("i4")
    fits.CompImageHDU(noise, tile_shape=tile).writeto(tmp_path / "big.fits.fz")
    image = pickle.loads(pickle.dumps(open_image(f"{served.address}/big.fits.fz").pixels))
    image.values((), Box((0, 0), (2, 2)))
    served.requests.clear()
    for box in boxes()[:3]:
        np.testing.assert_array_equal(image.values((), box), noise[box.slices])
    bands = 3 if tile[0] == 1 else 0  # rows are decoded, and kept, in bands of 256
    touched = bands * 256 * SIDE * 4 or 3 * 4 * (100 * 100 * 4)
    assert served.bytes_of() < 2 * touched + 6 * BLOCK
    assert served.bytes_of() < (tmp_path / "big.fits.fz").stat().st_size


@pytest.mark.parametrize(("block", "most"), [(4096, 5), (700, 70)])
def test_windows_of_long_rows_need_few_requests_and_are_kept(
    block, most, tmp_path, served, monkeypatch
):
    monkeypatch.setattr("sciup.io._remote_blocks.BLOCK", block)
    monkeypatch.setattr("sciup.io._remote_blocks.SPAN", 200_000)  # 33 rows
    fits.PrimaryHDU(BIG[:100]).writeto(tmp_path / "big.fits")
    pixels = open_image(f"{served.address}/big.fits").pixels
    served.requests.clear()
    for box in (Box((9, 700), (73, 764)), Box((10, 705), (70, 760))):
        np.testing.assert_array_equal(pixels.values((), box), BIG[box.slices])
    assert len(served.requests) < most
    assert served.bytes_of() < 64 * min(2 * block, 6000) + 6000


def test_threads_fetch_a_block_once_and_do_not_wait_for_others():
    fetched, inside, first = [], threading.Event(), threading.Event()

    def fetch(ranges):
        fetched.extend(ranges)
        if ranges[0][0] == 0:
            inside.set()
            assert first.wait(10)
        return [bytes([start // BLOCK]) * (stop - start) for start, stop in ranges]

    blocks = Blocks(fetch)

    def read(at):
        out = bytearray(4)
        blocks.fill([(at, memoryview(out))])
        return bytes(out)

    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(read, 0)]
        assert inside.wait(10)
        slow.append(pool.submit(read, 8))
        assert read(9 * BLOCK) == bytes([9] * 4)  # though the first is on its way
        first.set()
        assert [one.result(10) for one in slow] == [bytes(4)] * 2
    assert fetched == [(0, BLOCK), (9 * BLOCK, 10 * BLOCK)]


def test_a_block_that_failed_is_fetched_again():
    answers = iter([OSError("no"), bytes(BLOCK)])

    def fetch(ranges):
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return [answer]

    blocks, out = Blocks(fetch), bytearray(b"abc")
    with pytest.raises(OSError, match="no"):
        blocks.fill([(5, memoryview(out))])
    blocks.fill([(5, memoryview(out))])
    assert out == bytes(3)


def test_a_second_window_of_the_same_rows_costs_nothing(tmp_path, served):
    fits.PrimaryHDU(BIG).writeto(tmp_path / "big.fits")
    image = open_image(f"{served.address}/big.fits")
    image.load((), Box((99, 0), (165, 64)))
    served.requests.clear()
    image.load((), Box((100, 1400), (164, 1464)))
    assert served.requests == []


@pytest.mark.parametrize("shards", [None, (512, 512)])
def test_windows_of_remote_zarr_fetch_their_chunks_only(shards, tmp_path, served):
    write_ome_zarr(tmp_path / "big.zarr", BIG, "yx", chunks=(128, 128), shards=shards)
    image = open_image(f"{served.address}/big.zarr")
    served.requests.clear()
    read_all(image)
    chunks = sum(
        np.prod([-(-b // 128) - a // 128 for a, b in zip(box.start, box.stop, strict=True)])
        for box in boxes()
    )
    stored = sum(f.stat().st_size for f in (tmp_path / "big.zarr/0/c").rglob("*") if f.is_file())
    assert served.bytes_of() < 2 * chunks * stored / (SIDE / 128) ** 2


@pytest.mark.parametrize("name", sorted(fits_files.GOOD))
def test_every_good_file_reads_the_same_from_afar(name, tmp_path, served):
    path = fits_files.GOOD[name](tmp_path / f"{name}.fits")
    here, afar = open_image(path), open_image(f"{served.address}/{name}.fits", scratch=tmp_path)
    whole = Box.of_shape(here.plane_shape)
    for mine, other in zip(
        here.read(next(here.planes), whole), afar.read(next(here.planes), whole), strict=True
    ):
        np.testing.assert_array_equal(mine, other)
    assert (here.grid, here.unit, here.facts.keys()) == (afar.grid, afar.unit, afar.facts.keys())


def test_weights_and_masks_may_be_elsewhere(tmp_path, served):
    fits.PrimaryHDU(np.ones((30, 40))).writeto(tmp_path / "a.fits")
    flags = np.zeros((30, 40), "i2")
    flags[3, 4] = 1
    fits.PrimaryHDU(flags).writeto(tmp_path / "dq.fits")
    image = open_image(tmp_path / "a.fits", dq=f"{served.address}/dq.fits")
    np.testing.assert_array_equal(image.read((), Box((0, 0), (30, 40)))[1], flags == 0)


def test_packed_files_and_servers_without_parts_are_copied(tmp_path, served, caplog):
    caplog.set_level("INFO", "sciup")
    fits.PrimaryHDU(BIG[:30, :40]).writeto(tmp_path / "a.fits")
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
    packed = open_image(f"{served.address}/a.fits.gz", scratch=tmp_path)
    served.ranges = False
    for image in (packed, open_image(f"{served.address}/a.fits", scratch=tmp_path)):
        np.testing.assert_array_equal(image.read((), Box((0, 0), (30, 40)))[0], BIG[:30, :40])
    assert caplog.text.count("removed at the end") >= 2


def test_a_server_without_parts_gives_a_large_file_once(tmp_path, served, caplog):
    caplog.set_level("INFO", "sciup")
    fits.PrimaryHDU(BIG).writeto(tmp_path / "big.fits")  # many blocks
    size = (tmp_path / "big.fits").stat().st_size
    served.ranges = False
    read_all(open_image(f"{served.address}/big.fits", scratch=tmp_path))
    assert "copying 9.0 MB" in caplog.text
    # one copy; those who look at the start hang up, as far as the network does not hurry ahead
    assert size <= served.bytes_of() <= 5 * size


def test_a_whole_that_comes_for_a_part_is_not_asked_for_again(tmp_path, served):
    (tmp_path / "a").write_bytes(bytes(5 * BLOCK))
    file = RemoteFile(f"{served.address}/a")
    assert file.read(0, 4) == bytes(4)
    served.ranges = False
    served.requests.clear()
    with pytest.raises(InputError, match=f"{5 * BLOCK} of {BLOCK} bytes came"):
        file.read(2 * BLOCK, 2 * BLOCK + 4)
    assert len(served.requests) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_wrong_length_is_named(ranges, tmp_path, served):
    fits.PrimaryHDU(BIG[:30, :40]).writeto(tmp_path / "a.fits")
    served.ranges, served.told = ranges, 5000
    with pytest.raises(InputError, match=r"Content-Length says.*"):
        open_image(f"{served.address}/a.fits", scratch=tmp_path)


def test_a_run_is_another_once_its_remote_input_has_changed(tmp_path, served):
    fits.PrimaryHDU(BIG[:64, :64]).writeto(tmp_path / "a.fits")
    model = write_toy_model(tmp_path / "model", domain="night-sky", scale=2)
    result = sciup.upscale(f"{served.address}/a.fits", model=model, psf_fwhm=2.4, device="cpu")
    before = fingerprint(result.job, "fits")
    assert before == fingerprint(result.job, "fits")
    os.utime(tmp_path / "a.fits", (0, 0))
    changed = fingerprint(result.job, "fits")
    assert {k: v for k, v in changed.items() if v != before[k]} == {
        "input_modified": "Thu, 01 Jan 1970 00:00:00 GMT"
    }
    assert before["input_size"] == (tmp_path / "a.fits").stat().st_size


@pytest.mark.parametrize("kind", ["fits", "zarr", "zip"])
def test_draws_of_what_is_far_away_or_in_a_zip_are_made_again(kind, tmp_path, served):
    if kind == "fits":
        fits.PrimaryHDU(BIG[:32, :32]).writeto(tmp_path / "a.fits")
    else:
        write_ome_zarr(tmp_path / "a.zarr", BIG[:32, :32], "yx")
    place = f"{served.address}/a.{kind}"
    if kind == "zip":
        place = str(write_zip(tmp_path / "a.zarr", "a.zarr") / "a.zarr")
    model = write_toy_model(tmp_path / "model", domain="fluorescence", scale=2)
    result = sciup.upscale(place, model=model, psf_fwhm=2.4, device="cpu", samples=4)
    result.save(tmp_path / "out.fits")
    again = Draws.open(tmp_path / "out.fits", model=str(model)).window((), Box((0, 0), (64, 64)), 2)
    np.testing.assert_array_equal(again[0], result.sample(0).compute())


def test_other_files_must_be_downloaded(tmp_path, served):
    for path in (write_tiff(tmp_path / "a", BIG[:9, :9]), write_zip(tmp_path)):
        (tmp_path / path.name).write_bytes(path.read_bytes())
        with pytest.raises(InputError, match="not read from afar") as error:
            open_image(f"{served.address}/{path.name}")
        assert "download" in error.value.fix


def test_a_server_that_is_busy_is_asked_again(tmp_path, served):
    fits.PrimaryHDU(BIG).writeto(tmp_path / "big.fits")
    image = open_image(f"{served.address}/big.fits")
    served.fail = 3
    read_all(image)
    assert served.fail == 0


def test_what_is_not_there_or_was_cut_off(tmp_path, served):
    with pytest.raises(InputError, match="nothing"):
        open_image(f"{served.address}/nothing.fits")
    path = tmp_path / "short.fits"
    fits.PrimaryHDU(BIG).writeto(path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(InputError, match="cut off"):
        open_image(f"{served.address}/short.fits")


@pytest.mark.parametrize("changed", ["0/c/1/1", "0/zarr.json", "0/c/1/0"])
def test_a_run_is_another_once_a_file_of_its_zarr_has_changed(changed, tmp_path, served, caplog):
    caplog.set_level("INFO", "sciup")
    folder = write_ome_zarr(tmp_path / "a.zarr", BIG[:64, :64], "yx", chunks=(32, 32))
    (folder / "0/c/1/0").unlink()  # masked, and written later
    image = open_image(f"{served.address}/a.zarr")
    assert version_of(open_image(folder)) == (None, None)  # a disk is asked for values
    caplog.clear()
    before = version_of(image)
    assert before == version_of(image)
    assert not caplog.records  # what opening says was said
    (folder / changed).touch()
    os.utime(folder / changed, (0, 0))
    assert version_of(image) != before


def test_a_zip_is_as_old_as_its_file(tmp_path):
    path = write_zip(write_ome_zarr(tmp_path / "a.zarr", BIG[:64, :64], "yx"), "inside.zarr")
    os.utime(path, (5, 5))
    assert version_of(open_image(path)) == (path.stat().st_size, 5_000_000_000)


def test_of_a_large_zarr_few_chunks_are_looked_at(tmp_path):
    array = zarr.create_array(tmp_path / "a", shape=(10**6, 10**6), chunks=(100, 100), dtype="u1")
    names = list(_sampled(array))
    assert names == list(_sampled(array))
    assert len({name.split("/")[1] for name in names}) > SAMPLED // 2  # rows
    assert len({name.split("/")[2] for name in names}) > SAMPLED // 2
    assert len(names) == SAMPLED


@pytest.mark.parametrize("name", ["big.fits", "big.zarr"])
def test_a_silent_server_is_not_waited_for_forever(name, tmp_path, served, monkeypatch):
    monkeypatch.setattr("sciup.io._stores.SILENT", 0.1)
    monkeypatch.setattr("sciup.io._remote.TRIES", 2)
    served.silent = 0.5
    with pytest.raises(InputError, match="failed 2 times"):
        open_image(f"{served.address}/{name}")


@pytest.fixture
def fifty(monkeypatch):
    """All waits are fifty times as short, on a machine that has not reached anybody."""
    for name in ("FIRST", "LONGEST", "REACH"):
        monkeypatch.setattr(_remote, name, getattr(_remote, name) / 50)
    monkeypatch.setattr(_remote.Tries, "reached", set())


@pytest.mark.usefixtures("fifty")
@pytest.mark.parametrize("name", ["big.fits", "big.zarr"])
def test_without_a_network_one_is_told_within_ten_seconds(name, caplog):
    with pytest.raises(InputError, match=r"http://127.0.0.1:9 did not answer in") as error:
        open_image(f"http://127.0.0.1:9/{name}")
    assert "try 4 of 8" in caplog.text
    assert "try 7 of 8" not in caplog.text
    assert "check the network" in error.value.fix


@pytest.mark.usefixtures("fifty")
def test_a_machine_that_has_answered_is_waited_for(tmp_path, served, caplog):
    fits.PrimaryHDU(BIG).writeto(tmp_path / "big.fits")
    open_image(f"{served.address}/big.fits")
    assert _remote.Tries.reached == {served.address}
    _remote.Tries.reached.add("http://127.0.0.1:9")  # which has gone down since
    with pytest.raises(InputError, match="failed 8 times"):
        open_image("http://127.0.0.1:9/big.fits")
    assert "try 8 of 8" in caplog.text


def test_a_name_that_nobody_knows_is_not_asked_for_as_zarr(monkeypatch, caplog):
    """fsspec says that there is no such file."""
    monkeypatch.setattr(_remote, "REACH", 0.0)
    with pytest.raises(InputError, match=r"http://no\.such\.host\.invalid did not answer"):
        open_image("http://no.such.host.invalid/a.fits")
    assert "try 2" not in caplog.text
