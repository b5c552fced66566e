"""A worker that hangs costs a shard's time, and no pixel; when it wakes up it spoils nothing."""

import threading
import time
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from distributed import Client, LocalCluster
from toy_run import assert_equal_results, each, lazy, straight

from sciup.engine import cluster as engine_cluster
from sciup.engine import stragglers
from sciup.engine.run import work_folder
from sciup.engine.stragglers import Watch
from sciup.io import open_writer

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def client():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as pool, Client(pool) as found:  # fmt: skip
        yield found


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(stragglers, "LEAST", 1.0)
    monkeypatch.setattr(engine_cluster, "LOOK", 0.5)


def hang(where, folder, dask_worker):
    """Run in a worker: its next shard stops in `where` until there is a file ``go``."""
    from sciup.engine.shard import Bench
    from sciup.io._fits_writer import FitsWriter
    from sciup.io._zarr_writer import ZarrWriter

    def late(function):
        def wait(*arguments):
            (folder / "hangs").touch()
            while not (folder / "go").exists():
                time.sleep(0.05)
            return function(*arguments)

        return wait

    dask_worker.kept = [(k, n, getattr(k, n)) for k, n in (
        (Bench, "compute"), (FitsWriter, "write"), (ZarrWriter, "write"),
    )]  # fmt: skip
    for kind, name, function in dask_worker.kept:
        if name == where:
            setattr(kind, name, late(function))


def heal(dask_worker):
    for kind, name, function in dask_worker.kept:
        setattr(kind, name, function)


def idle(dask_worker):
    return not dask_worker.state.executing


@each
@pytest.mark.parametrize("where", ["compute", "write"])
def test_a_worker_that_hangs(where, suffix, client, tmp_path, caplog):
    straight(suffix)
    out = tmp_path / f"out{suffix}"
    slow = list(client.nthreads())[:1]
    client.run(hang, where, tmp_path, workers=slow)
    try:
        lazy().save(out, client=client)
        assert (tmp_path / "hangs").exists()
        assert not (tmp_path / "go").exists()  # the run did not wait for it
        assert f"{slow[0]} hangs; the shard is ordered once more" in caplog.text
        assert_equal_results(out, straight(suffix))
    finally:
        (tmp_path / "go").touch()
        while not all(client.run(idle, workers=slow).values()):
            time.sleep(0.1)
        client.run(heal, workers=slow)
    # it woke up when the run had ended, and has left everything alone
    assert_equal_results(out, straight(suffix))
    assert not work_folder(out).exists()


def test_a_worker_that_wakes_up_in_time_is_used_again(client, tmp_path, monkeypatch):
    """Nobody is taken for hanging because of what was long ago."""
    slow = list(client.nthreads())[:1]
    client.run(hang, "compute", tmp_path, workers=slow)
    fields = []
    keep = engine_cluster._Field

    class Seen(keep):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            fields.append(self)

        def look(self):
            super().look()
            if self._hanging:
                (tmp_path / "go").touch()

    monkeypatch.setattr(engine_cluster, "_Field", Seen)
    out = tmp_path / "out.ome.zarr"
    lazy().save(out, client=client)
    client.run(heal, workers=slow)
    assert (tmp_path / "go").exists()
    assert_equal_results(out, straight(".ome.zarr"))


def test_who_hangs():
    watch = Watch()
    assert watch.hanging({"a": 0, "b": 0}, 0) == set()
    assert watch.hanging({"a": 0, "b": 0}, 9999) == set()  # nobody knows yet what is long
    watch.finished("a", 10, 9999)
    assert watch.hanging({"a": 0, "b": 0}, 9999) == {"b"}
    assert watch.hanging({"a": 0}, 10020) == {"b"}  # still: it has finished nothing
    assert watch.hanging({"a": 0}, 9999 + 81) == {"a", "b"}
    watch.finished("b", None, 10081)  # an order that was found made says nothing of durations
    assert watch.hanging({"b": 0}, 10082) == {"a"}
    assert watch.hanging({"b": 0, "c": 10083}, 10083) == {"a"}
    assert watch.hanging({"b": 0, "c": 10083}, 10083 + 81) == {"a", "b", "c"}


def test_a_worker_without_work_does_not_hang():
    watch = Watch()
    watch.finished("a", 10, 0)
    watch.finished("b", 10, 0)
    for now in range(0, 500, 10):
        watch.finished("b", 10, now)
        assert not watch.hanging({"b": 0}, now)
    assert not watch.hanging({"a": 500, "b": 0}, 500)


class Two:
    """A client with two workers, each at the shard of another image."""

    def nthreads(self):
        return {"a": 1, "b": 1}

    def processing(self):
        return {"a": ["one"], "b": ["two"]}


def test_one_of_two_images_at_once_sees_that_its_worker_hangs(monkeypatch):
    now, found = [0.0], []
    monkeypatch.setattr(engine_cluster, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(engine_cluster._Field, "_relieve", lambda _, *what: found.append(what))
    client, one, two = Two(), Mock(key="one"), Mock(key="two")
    fields = [engine_cluster._Field(client), engine_cluster._Field(client)]
    fields[0].flying, fields[1].flying = {one: None}, {two: None}
    for now[0] in range(1, 10):
        fields[1]._watch.finished("b", 1.0, now[0])
        for field in fields:
            field.look()
    assert found == []
    now[0] = 10
    fields[1]._watch.finished("b", 1.0, now[0])
    fields[0].look()
    assert found == [("a", [one])]


def test_a_shard_that_is_written_again_is_there_all_the_time(tmp_path):
    """Two workers may make one shard; the client may be reading it by then."""
    writer, reader = (open_writer(tmp_path, lazy().job.layout, "ome-zarr") for _ in range(2))
    writer.create()
    task = next(lazy().job.tasks())
    values = np.random.default_rng(0).normal(0, 1, task.box.shape).astype(np.float32)
    writer.write("mean", task.plane, task.box, values)
    stop = threading.Event()

    def again():
        while not stop.is_set():
            writer.write("mean", task.plane, task.box, values)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        for _ in range(100):
            np.testing.assert_array_equal(reader.read("mean", task.plane, task.box), values)
    finally:
        stop.set()
        thread.join()


def test_a_damaged_shard_is_replaced(tmp_path):
    writer = open_writer(tmp_path, lazy().job.layout, "ome-zarr")
    writer.create()
    for task in lazy().job.tasks():  # the last one ends at the edge, in the middle of a shard
        values = np.ones(task.box.shape, np.float32)
        shard = writer.path / "mean" / "0" / "c" / "/".join(map(str, task.index))
        shard.parent.mkdir(parents=True, exist_ok=True)
        shard.write_bytes(b"rubbish")
        writer.write("mean", task.plane, task.box, values)
        assert (writer.read("mean", task.plane, task.box) == 1).all()


def test_a_late_write_does_not_bring_the_folder_back(tmp_path):
    from sciup.engine.shard import Bench
    from sciup.errors import ClusterError

    job, token = lazy().job, tmp_path / "token"
    token.touch()
    work = tmp_path / "w"
    work.mkdir()
    open_writer(work, job.layout, "ome-zarr").create()
    bench = Bench.of(job, work, "ome-zarr", "late", token)
    made = bench.compute(next(job.tasks()), None)
    keep, wrote = bench.writer.write, []

    def write(*arguments):
        keep(*arguments)
        wrote.append(arguments[0])
        token.unlink()  # the run ends in the middle

    object.__setattr__(bench.writer, "write", write)
    with pytest.raises(ClusterError, match="has ended"):
        bench.store(made)
    assert len(wrote) == 1
    assert not (work / "journal").exists()  # nor a record
