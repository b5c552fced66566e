"""Too little memory, on a GPU or a CPU, means fewer windows at a time, and the same pixels."""

import threading
import time
from pathlib import Path

import pytest
import torch
from toy_run import assert_equal_results, lazy, straight

from sciup.engine.block import PlaneSampler
from sciup.engine.flight import Flight
from sciup.engine.heap import room
from sciup.engine.run import work_folder
from sciup.errors import SciupError

LACKS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
]


class Small:
    """Stands in for `PlaneSampler.maps` on a machine that has room for so many windows."""

    def __init__(self, room, error):
        self.room, self.error, self.keep = room, error, PlaneSampler.maps
        self.now = self.failures = 0
        self.lock = threading.Lock()

    def __get__(self, sampler, kind):
        return lambda *arguments, **more: self.call(sampler, *arguments, **more)

    def call(self, sampler, *arguments, **more):
        with self.lock:
            self.now += 1
        try:
            time.sleep(0.02)  # that the windows of all threads meet
            if self.now > self.room:
                self.failures += 1
                raise self.error
            return self.keep(sampler, *arguments, **more)
        finally:
            with self.lock:
                self.now -= 1


@pytest.mark.parametrize(("room", "error"), list(zip([1, 2, 2, 1], LACKS, strict=True)))
def test_fewer_windows_make_the_same_result(room, error, tmp_path, monkeypatch, caplog):
    straight(".fits")
    small = Small(room, error)
    monkeypatch.setattr(PlaneSampler, "maps", small)
    out = lazy(threads=4).save(tmp_path / "out.fits")
    assert small.failures
    assert f"memory ran out; {room} windows at a time" in caplog.text
    assert_equal_results(out, straight(".fits"))


def test_too_little_for_one_window_is_told_and_kept(tmp_path, monkeypatch):
    out = tmp_path / "out.ome.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(PlaneSampler, "maps", Small(0, LACKS[0]))
        with pytest.raises(SciupError, match=r"too little for one window.*--resume") as found:
            lazy(threads=4).save(out)
    assert found.value.exit_code == 2
    assert work_folder(out).exists()
    lazy().save(out, resume=True)
    assert_equal_results(out, straight(".ome.zarr"))


def test_other_errors_are_not_tried_again(tmp_path, monkeypatch):
    small = Small(0, RuntimeError("CUDA error: an illegal memory access was encountered"))
    monkeypatch.setattr(PlaneSampler, "maps", small)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        lazy(threads=1).save(tmp_path / "out.fits")
    assert small.failures <= 2


def test_who_began_before_the_first_failure_does_not_halve_again():
    """Four windows fail at once: that is one lack, and two at a time is the answer."""
    from concurrent.futures import ThreadPoolExecutor

    gate, running, seen = threading.Barrier(4), [0], []
    lock = threading.Lock()

    def work(n):
        with lock:
            running[0] += 1
            seen.append(running[0])
        try:
            if not gate.broken and n < 4 and len(seen) <= 4:
                gate.wait(10)
                raise MemoryError
            time.sleep(0.01)
            return n
        finally:
            with lock:
                running[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        flight = Flight(pool.submit, 4)
        assert sorted(flight.over(range(12), work)) == [(n, n) for n in range(12)]
    assert flight.most == 2
    assert max(seen[8:]) <= 2


def test_a_shard_that_the_system_has_no_room_for_is_a_lack_of_memory():
    with pytest.raises(MemoryError):
        room((1 << 24, 1 << 24))  # 1 PiB


def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith("RssAnon")) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells RssAnon")
def test_a_shard_takes_the_memory_of_the_rows_that_are_there():
    before = anonymous()
    shard = room((4096, 4096))  # 64 MB
    assert anonymous() < before + 8
    shard[:2048] = 1
    assert 24 < anonymous() - before < 40
    shard[2048:] = 1
    assert 56 < anonymous() - before < 72
    del shard
    assert anonymous() < before + 8
