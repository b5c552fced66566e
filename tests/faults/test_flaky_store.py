"""An object store that fails now and then costs time, and no pixel; one that is down is told."""

import random
from errno import ETIMEDOUT
from threading import Lock
from typing import ClassVar

import dask.array as da
import fsspec
import numpy as np
import pytest
import zarr
from fsspec.implementations.memory import MemoryFileSystem
from toy_run import arrays, interrupt
from typer.testing import CliRunner

import sciup
from sciup.cli import app
from sciup.engine.run import work_folder
from sciup.errors import InputError, InterruptedRunError
from sciup.geometry import Box
from sciup.io import _remote, open_image
from sciup.io._check import input_errors
from sciup.io._provenance import read_provenance
from sciup.io._salvage import Salvaged
from sciup.testing.toy_images import cells
from sciup.testing.toy_model import write_toy_model

SHAPE = (1300, 96)  # two shards at 2x
OPTIONS = {"samples": 1, "maps": ("mean",), "psf_fwhm": 2.4, "device": "cpu", "precision": "fp32"}


class Flaky(MemoryFileSystem):
    """Bytes in memory that are late, refused, or cut off with some probability."""

    protocol = "flaky"
    store: ClassVar = {}
    pseudo_dirs: ClassVar = [""]
    cachable = False
    rate = 0.0
    failures = 0
    rng = random.Random(0)
    lock = Lock()

    def cat_file(self, path, start=None, end=None, **more):
        found = super().cat_file(path, start, end, **more)
        with self.lock:
            if self.rng.random() >= self.rate:
                return found
            Flaky.failures += 1
            kind = self.rng.randrange(4)
        if kind == 0:
            raise TimeoutError("the server is silent")
        if kind == 1:
            raise OSError(16, "503 Slow Down")
        if kind == 2:
            raise RuntimeError("payload is not completed")  # aiohttp's errors are no OSErrors
        return found[: self.rng.choice([0, len(found) // 2, len(found) - 1])]


fsspec.register_implementation("flaky", Flaky, clobber=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(_remote, "FIRST", 1e-4)
    monkeypatch.setattr(_remote, "LONGEST", 1e-3)
    Flaky.rate, Flaky.failures, Flaky.rng = 0.0, 0, random.Random(0)
    yield
    Flaky.rate = 0.0


def write(folder, layout):
    """One image as OME-Zarr 0.4 with Blosc, as plain bytes, or in shards."""
    new = layout == "shards"
    group = zarr.open_group(str(folder), mode="w", zarr_format=3 if new else 2)
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    scale = [{"type": "scale", "scale": [0.1, 0.1]}]
    facts = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    if new:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [facts]}
    else:
        group.attrs["multiscales"] = [facts | {"version": "0.4"}]
    values = (cells(SHAPE, seed=1) + np.random.default_rng(0).normal(0, 1, SHAPE)).astype("f4")
    if new:
        group.create_array("0", data=values, chunks=(32, 24), shards=(64, 48))
    else:
        how = {"blosc": {}, "plain": {"compressors": None}}[layout]
        group.create_array("0", data=values, chunks=(64, 48), **how)


@pytest.fixture(scope="module", params=["blosc", "plain", "shards"])
def place(request, tmp_path_factory):
    """A local copy, and its address in the store."""
    folder = tmp_path_factory.mktemp(request.param)
    write_toy_model(folder / "model", scale=2, domain="fluorescence", channels=4, head_channels=4)
    write(folder / "in.zarr", request.param)
    address = f"flaky://{request.param}/in.zarr"
    Flaky.rate = 0.0
    Flaky().put(str(folder / "in.zarr"), address, recursive=True)
    return folder, address


def upscale(source, place, **more):
    return sciup.upscale(source, model=place[0] / "model", **OPTIONS | more)


def test_nothing_is_lost(place, tmp_path, caplog):
    local = upscale(place[0] / "in.zarr", place).save(tmp_path / "local.zarr")
    Flaky.rate = 0.25
    found = upscale(place[1], place).save(tmp_path / "far.zarr")
    assert Flaky.failures > 20
    assert "try 2 of 8" in caplog.text
    first, second = arrays(local), arrays(found)
    assert all(np.array_equal(v, second[k], equal_nan=True) for k, v in first.items())
    assert "unreadable" not in read_provenance(found)


def test_arrays_of_zarr_are_read_as_patiently(place):
    array = zarr.open_array(place[1] + "/0", mode="r")
    there = zarr.open_array(str(place[0] / "in.zarr" / "0"), mode="r")[...]
    Flaky.rate = 0.25
    values, footprint = open_image(array).load((), Box((0, 0), SHAPE))
    assert Flaky.failures
    assert footprint.all()
    np.testing.assert_array_equal(values, there)


def test_a_store_that_is_down_is_told_and_the_run_goes_on_later(place, tmp_path):
    out, straight = tmp_path / "out.zarr", tmp_path / "straight.zarr"
    upscale(place[1], place).save(straight)

    def go_down(done, total):
        if done == 8:  # the first shard
            Flaky.rate = 1.0

    with pytest.raises(InputError, match=r"failed 8 times, the last with"):
        upscale(place[1], place, tile=128).save(out, progress=go_down)
    assert not out.exists()
    assert work_folder(out).exists()
    Flaky.rate = 0.0
    seen = []
    upscale(place[1], place).save(out, resume=True, progress=lambda *now: seen.append(now))
    assert seen[0][0] == 8  # what was there was kept
    first, second = arrays(straight), arrays(out)
    assert all(np.array_equal(v, second[k], equal_nan=True) for k, v in first.items())
    assert read_provenance(out)["fingerprint"] == read_provenance(straight)["fingerprint"]


def test_the_command_line_takes_an_address(place, tmp_path):
    arguments = ["upscale", place[1], str(tmp_path / "o.zarr"), "--model", str(place[0] / "model"),
                 "--samples", "1", "--maps", "mean", "--psf-fwhm", "2.4"]  # fmt: skip
    Flaky.rate = 1.0
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, InputError)
    assert done.exception.exit_code == 2
    assert "failed 8 times" in str(done.exception)
    Flaky.rate = 0.0
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (tmp_path / "o.zarr" / "mean").is_dir()


def test_stopping_does_not_wait_for_all_tries(place, tmp_path):
    with pytest.raises(InterruptedRunError):
        upscale(place[1], place).save(tmp_path / "o.zarr", progress=lambda *_: interrupt())


@pytest.mark.parametrize("content", [b"rubbish", b""])
def test_a_chunk_that_is_damaged_in_the_store_is_masked_as_anywhere(content, place):
    key = next(k for k in sorted(Flaky.store) if place[1][7:] in k and k[-1].isdigit())
    keep = Flaky.store[key]
    Flaky().pipe_file(key, content)
    try:
        image = sciup.upscale(place[1], model=place[0] / "model", **OPTIONS).job.image
        values, footprint = image.load((), Box((0, 0), SHAPE))
    finally:
        Flaky.store[key] = keep
    assert not footprint.all()
    assert footprint.mean() > 0.7
    assert np.isnan(values[~footprint]).all()
    assert image.unreadable_in((), Box((0, 0), SHAPE))


class Refusal(Exception):  # noqa: N818
    """Stands in for an error of a library that speaks HTTP."""

    def __init__(self, status):
        super().__init__(f"HTTP {status}")
        self.status = status


class LostError(Exception):
    """Stands in for an error without a status."""

    __module__ = "aiohttp.client_exceptions"


def test_a_chunk_that_ends_too_early_for_its_server_is_masked(place, monkeypatch):
    key = next(k for k in sorted(Flaky.store) if place[1][7:] in k and k[-1].isdigit())
    keep = Flaky.cat_file

    def refuse(self, path, *arguments, **more):
        if self._strip_protocol(path) == key:
            raise Refusal(416)
        return keep(self, path, *arguments, **more)

    monkeypatch.setattr(Flaky, "cat_file", refuse)
    image = Salvaged.of(open_image(place[1]))
    _, footprint = image.load((), Box((0, 0), SHAPE))
    assert 0.7 < footprint.mean() < 1


@pytest.mark.parametrize("method", ["load", "load_sigma"])
@pytest.mark.parametrize("error", [OSError(ETIMEDOUT, "silent"), Refusal(503), LostError("gone")])
def test_a_store_that_goes_down_among_damaged_chunks_is_told(error, method):
    image, errors = open_image(np.zeros((200, 200))), [ValueError("rubbish"), error]

    def read(plane, box):
        with input_errors("it cannot be read"):
            raise errors.pop(0)

    setattr(image, method, read)
    with pytest.raises(InputError, match=str(error).split()[-1]):
        getattr(Salvaged.of(image), method)((), Box((0, 0), (200, 200)))


def test_what_is_not_allowed_is_not_asked_for_again(monkeypatch):
    def refuse(*_, **__):
        Flaky.failures += 1
        raise PermissionError("no credentials")

    monkeypatch.setattr(Flaky, "cat_file", refuse)
    with pytest.raises(InputError, match="no credentials"):
        open_image("flaky://private/in.zarr")
    assert Flaky.failures <= 4  # different files of metadata, each once


class Late:
    """A source of a dask array that fails the first times."""

    shape, dtype, ndim = (200, 200), np.dtype("f4"), 2

    def __init__(self, error, times):
        self.error, self.times = error, times

    def __getitem__(self, index):
        if self.times:
            self.times -= 1
            raise self.error
        return np.ones(self.shape, self.dtype)[index]


@pytest.mark.parametrize("error", [TimeoutError("silent"), OSError(16, "503 Slow Down")])
def test_dask_arrays_that_fail_now_and_then(error):
    array = da.from_array(Late(error, 5), chunks=100, lock=True)
    values, _ = open_image(array).load((), Box((0, 0), (200, 200)))
    assert (values == 1).all()


@pytest.mark.parametrize("error", [FileNotFoundError(2, "gone"), OSError("inflate() failed")])
def test_errors_of_files_are_no_reason_to_wait(error):
    source = Late(error, 0)
    array = da.from_array(source, chunks=200)
    source.times = 5
    with pytest.raises(InputError):
        open_image(array).load((), Box((0, 0), (200, 200)))
    assert source.times == 4
