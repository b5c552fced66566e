"""A run that is killed, stopped or starved goes on to the same result, or says why not."""

import errno
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from toy_run import (
    SHARD_WINDOWS,
    assert_equal_results,
    base,
    each,
    interrupt,
    lazy,
    straight,
)

import sciup
from sciup.engine import run as engine_run
from sciup.engine import shard as engine_shard
from sciup.engine.run import output_format, work_folder
from sciup.errors import InputError, InterruptedRunError, OutputError, ResumeError
from sciup.io import open_writer
from sciup.io._journal import Journal
from sciup.io._provenance import read_provenance


def stop_at(window, action):
    def progress(done, total):
        assert total == 17
        if done == window:
            action()

    return progress


@functools.cache
def broken(suffix):
    """A folder with a run stopped in its second shard."""
    folder = base() / f"broken{suffix}"
    folder.mkdir()
    with pytest.raises(InterruptedRunError):
        lazy().save(folder / f"out{suffix}", progress=stop_at(SHARD_WINDOWS + 3, interrupt))
    return folder


@pytest.fixture
def out(suffix, tmp_path):
    """The place of an output whose first shard is done."""
    shutil.copytree(broken(suffix), tmp_path, dirs_exist_ok=True)
    return tmp_path / f"out{suffix}"


def windows_of(path, **more):
    """Resume, and count the windows that were computed anew."""
    seen = []
    result = lazy(**more)
    calls = []
    from sciup.engine.block import PlaneSampler

    whole = PlaneSampler.maps

    def counted(self, tile, samples=None):
        calls.append(tile.index)
        return whole(self, tile, samples)

    PlaneSampler.maps = counted
    try:
        result.save(path, resume=True, progress=lambda done, total: seen.append((done, total)))
    finally:
        PlaneSampler.maps = whole
    assert seen[-1] == (17, 17)
    return len(calls)


CHILD = """
import os, pathlib, signal, sys, time
sys.path.insert(0, sys.argv[1])
import sciup
journals = pathlib.Path(sys.argv[4] + ".partial") / "journal"
def progress(done, total):
    if done == int(sys.argv[5]):
        # the first shard is written by another thread meanwhile: no race about its record
        while not any(path.read_bytes().endswith(b"\\n") for path in journals.glob("*.jsonl")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
sciup.upscale(
    sys.argv[2], model=sys.argv[3], samples=1, maps=("sample", "mean", "std"), psf_fwhm=2.4,
    device="cpu", precision="fp32", keep_samples=2,
).save(sys.argv[4], progress=progress)
"""


@each
def test_kill_9_then_resume(suffix, tmp_path):
    """Killed twice: in the first shard, and in the second shard of the continuation."""
    out = tmp_path / f"out{suffix}"
    root = str(Path(sciup.__file__).parents[1])
    arguments = [root, str(base() / "in.fits"), str(base() / "m0"), str(out)]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments, str(SHARD_WINDOWS + 5)],
        capture_output=True,
        timeout=300,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert not out.exists()
    assert work_folder(out).is_dir()
    assert windows_of(out) == 17 - SHARD_WINDOWS
    assert_equal_results(straight(suffix), out)


@each
def test_checksums_of_the_first_journals_still_count(suffix, out):
    """They were BLAKE2b without a name."""
    path = next(work_folder(out).glob("journal/*.jsonl"))
    record = json.loads(path.read_text())
    writer = open_writer(work_folder(out), lazy().job.layout, output_format(out, lazy().job))
    task = next(lazy().job.tasks())
    for name in record["maps"]:
        where = ("samples", (int(name[-1]),)) if name.startswith("samples_") else (name, ())
        stored = writer.read(*where, task.box).astype("<f4")
        stored[np.isnan(stored)] = np.nan
        record["maps"][name] = hashlib.blake2b(stored.tobytes(), digest_size=8).hexdigest()
    path.write_text(json.dumps(record) + "\n")
    assert windows_of(out) == 17 - SHARD_WINDOWS


@each
def test_resume_computes_only_what_is_missing(suffix, out):
    assert windows_of(out) == 17 - SHARD_WINDOWS
    assert_equal_results(straight(suffix), out)


@pytest.mark.parametrize("suffix", [".fits"])
@pytest.mark.parametrize("tail", ['{"plane": 0, "ind', "\x00\x00\x00", '{"plane": 0}\n', "[]\n"])
def test_a_torn_journal_line_is_ignored(suffix, out, tail):
    path = next(work_folder(out).glob("journal/*.jsonl"))
    path.write_text(path.read_text() + tail)
    assert windows_of(out) == 17 - SHARD_WINDOWS
    assert_equal_results(straight(suffix), out)


def test_records_after_a_torn_line_are_read(tmp_path):
    journal = Journal(tmp_path)
    journal.add((0, (0, 0)), {"mean": "a"})
    path = next(tmp_path.glob("journal/*.jsonl"))
    path.write_text(path.read_text() + '{"plane": 0, "ind')
    journal.add((0, (1, 0)), {"mean": "b"})
    assert journal.read() == {(0, (0, 0)): {"mean": "a"}, (0, (1, 0)): {"mean": "b"}}


@pytest.mark.parametrize("suffix", [".fits"])
def test_a_journal_without_end_of_record_counts_as_not_done(suffix, out):
    path = next(work_folder(out).glob("journal/*.jsonl"))
    path.write_text(path.read_text()[:-20])
    assert windows_of(out) == 17
    assert_equal_results(straight(suffix), out)


def damage_fits(work):
    path = work / "result.fits"
    with fits.open(path) as hdus:
        offset = hdus["MEAN"].fileinfo()["datLoc"]
    with path.open("r+b") as file:
        file.seek(offset + 4 * 50000)
        file.write(b"\x41\x00\x00\x00")


def damage_zarr(work):
    path = sorted((work / "result.ome.zarr" / "mean" / "0" / "c").rglob("*"))
    path = next(p for p in path if p.is_file())
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(bytes(data))


def cut_zarr(work):
    path = sorted((work / "result.ome.zarr" / "mean" / "0" / "c").rglob("*"))
    path = next(p for p in path if p.is_file())
    path.write_bytes(path.read_bytes()[:1000])


def lose_zarr(work):
    shutil.rmtree(work / "result.ome.zarr" / "mean" / "0" / "c")


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".fits", damage_fits),
        (".ome.zarr", damage_zarr),
        (".ome.zarr", cut_zarr),
        (".ome.zarr", lose_zarr),
    ],
)
def test_a_damaged_shard_is_computed_anew(suffix, damage, out):
    damage(work_folder(out))
    assert windows_of(out) == 17
    assert_equal_results(straight(suffix), out)


@functools.cache
def unfinished(suffix):
    """A folder with a run that had all shards when it was stopped in `finish`."""
    folder = base() / f"unfinished{suffix}"
    folder.mkdir()
    whole = engine_run.open_writer

    def stopped(*arguments):
        writer = whole(*arguments)
        writer.finish = lambda *_: interrupt()
        return writer

    engine_run.open_writer = stopped
    try:
        with pytest.raises(InterruptedRunError):
            lazy().save(folder / f"out{suffix}")
    finally:
        engine_run.open_writer = whole
    return folder


@each
def test_stopped_before_the_end_of_finish(suffix, tmp_path):
    shutil.copytree(unfinished(suffix), tmp_path, dirs_exist_ok=True)
    out = tmp_path / f"out{suffix}"
    assert windows_of(out) == 0
    assert_equal_results(straight(suffix), out)


@pytest.mark.parametrize("keep", [0, 100])
def test_a_damaged_shard_at_the_edge_is_replaced(keep, tmp_path):
    """It holds fewer chunks than others, and writing a part of a shard reads the rest first."""
    shutil.copytree(unfinished(".ome.zarr"), tmp_path, dirs_exist_ok=True)
    out = tmp_path / "out.ome.zarr"
    path = work_folder(out) / "result.ome.zarr" / "mean" / "0" / "c" / "2" / "0"
    path.write_bytes(path.read_bytes()[:keep])
    assert windows_of(out) == 1
    assert_equal_results(straight(".ome.zarr"), out)


def newer_input():
    path = base() / "in.fits"
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    return stat


@pytest.mark.parametrize("suffix", [".fits"])
@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": 7}, "settings"),
        ({"samples": 2}, "settings"),
        ({"maps": ("mean",)}, "settings"),
        ({"model": "m1"}, "weights"),
        ({"roi": "0:2100,0:40"}, "region"),
        ({"psf_fwhm": 2.5}, "instrument"),
        ({"noise_free": True}, "settings"),
        ({"tolerance": "5%"}, "settings"),
    ],
    ids=str,
)
def test_resume_refuses_another_job(suffix, change, word, out):
    if "model" in change:
        change = {"model": base() / "m1"}
    before = sorted(p.stat().st_mtime_ns for p in work_folder(out).rglob("*"))
    with pytest.raises(ResumeError, match=word):
        lazy(**change).save(out, resume=True)
    assert sorted(p.stat().st_mtime_ns for p in work_folder(out).rglob("*")) == before
    # the same holds for a finished output
    with pytest.raises(ResumeError, match=word):
        lazy(**change).save(straight(suffix), resume=True)


@pytest.mark.parametrize("suffix", [".fits"])
def test_resume_refuses_a_changed_input(suffix, out):
    stat = newer_input()
    try:
        with pytest.raises(ResumeError, match="input modified"):
            lazy().save(out, resume=True)
    finally:
        os.utime(base() / "in.fits", ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("suffix", [".fits"])
@pytest.mark.parametrize("text", ["{", "{}", "[]", ""])
def test_a_damaged_job_file_is_refused(suffix, out, text):
    (work_folder(out) / "job.json").write_text(text)
    with pytest.raises(ResumeError, match="--overwrite"):
        lazy().save(out, resume=True)


@each
def test_resume_of_a_finished_result_returns_at_once(suffix):
    path = straight(suffix)
    before = path.stat().st_mtime_ns

    def never(done, total):
        raise AssertionError("computed something")

    assert lazy().save(path, resume=True, progress=never) == path
    assert path.stat().st_mtime_ns == before
    assert not work_folder(path).exists()


def test_resume_refuses_a_file_that_is_no_result(tmp_path):
    path = tmp_path / "out.fits"
    shutil.copy(base() / "in.fits", path)
    with pytest.raises((InputError, ResumeError)):
        lazy().save(path, resume=True)
    assert path.read_bytes() == (base() / "in.fits").read_bytes()


@pytest.mark.parametrize("suffix", [".fits"])
def test_killed_after_the_move(suffix, tmp_path):
    """The result is in its place, but its working folder is still there."""
    out = tmp_path / f"out{suffix}"
    shutil.copy(straight(suffix), out)
    work = work_folder(out)
    shutil.copytree(work_folder(broken(suffix) / f"out{suffix}"), work)
    (work / "result.fits").unlink()
    assert lazy().save(out, resume=True) == out
    assert_equal_results(straight(suffix), out)


@pytest.mark.parametrize(
    "action", [interrupt, lambda: os.kill(os.getpid(), signal.SIGTERM)], ids=["ctrl-c", "sigterm"]
)
def test_stopped_from_outside(action, tmp_path):
    handler = signal.getsignal(signal.SIGTERM)
    out = tmp_path / "out.fits"
    with pytest.raises(InterruptedRunError, match="--resume") as caught:
        lazy().save(out, progress=stop_at(2, action))
    assert caught.value.exit_code == 75
    assert signal.getsignal(signal.SIGTERM) == handler
    assert not out.exists()
    assert work_folder(out).is_dir()


def test_the_disk_is_full_from_the_start(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OutputError, match=r"GB free"):
        lazy().save(tmp_path / "out.fits")
    assert list(tmp_path.iterdir()) == []


@each
def test_the_disk_fills_up_on_the_way(suffix, tmp_path, monkeypatch):
    out = tmp_path / f"out{suffix}"
    whole = engine_shard.open_writer

    def starved(*arguments):
        writer = whole(*arguments)
        write, count = writer.write, [0]

        def fail(*a):
            count[0] += 1
            if count[0] > 7:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(*a)

        writer.write = fail
        return writer

    monkeypatch.setattr(engine_shard, "open_writer", starved)
    with pytest.raises(OutputError, match=r"No space left.*--resume"):
        lazy().save(out)
    assert not out.exists()
    monkeypatch.undo()
    assert windows_of(out) == 17 - SHARD_WINDOWS
    assert_equal_results(straight(suffix), out)


@each
def test_what_is_unfinished_does_not_open_as_finished(suffix, out):
    name = "result.fits" if suffix == ".fits" else "result.ome.zarr"
    with pytest.raises(InputError):
        read_provenance(work_folder(out) / name)
    with pytest.raises(InputError):
        read_provenance(work_folder(out))


@each
def test_an_existing_output_is_not_touched(suffix, tmp_path):
    out = tmp_path / f"out{suffix}"
    out.write_text("precious")
    with pytest.raises(OutputError, match="exists already"):
        lazy().save(out)
    assert out.read_text() == "precious"


@pytest.mark.parametrize("suffix", [".fits"])
def test_an_unfinished_output_is_not_restarted_by_mistake(suffix, out):
    with pytest.raises(OutputError, match=r"unfinished.*--resume"):
        lazy().save(out)
    assert windows_of(out) == 17 - SHARD_WINDOWS


def test_overwrite_replaces_output_and_remains(tmp_path):
    out = tmp_path / "out.fits"
    out.write_text("old")
    work_folder(out).mkdir()
    (work_folder(out) / "job.json").write_text("{")
    lazy().save(out, overwrite=True)
    assert_equal_results(straight(".fits"), out)


def test_an_interrupted_overwrite_keeps_the_old_output(tmp_path):
    out = tmp_path / "out.fits"
    out.write_text("old")
    with pytest.raises(InterruptedRunError):
        lazy().save(out, overwrite=True, progress=stop_at(1, interrupt))
    assert out.read_text() == "old"


def test_the_input_is_never_overwritten(tmp_path):
    path = tmp_path / "in.fits"
    shutil.copy(base() / "in.fits", path)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="is the input"):
        sciup.upscale(path, model=base() / "m0", samples=1, psf_fwhm=2.0).save(path, overwrite=True)
    assert path.read_bytes() == before


def test_no_folder(tmp_path):
    with pytest.raises(OutputError, match="mkdir"):
        lazy().save(tmp_path / "none" / "out.fits")


def test_unwritable_folder(tmp_path, monkeypatch):
    # root may write anywhere, so the question is answered for it
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="not writable"):
        lazy().save(tmp_path / "out.fits")
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffix(tmp_path):
    with pytest.raises(OutputError, match="suffix"):
        lazy().save(tmp_path / "out.png")
