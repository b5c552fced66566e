"""Shards made by workers of a cluster are those of one process, whatever dies on the way."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.scheduler import KilledWorker
from toy_run import assert_equal_results, base, each, interrupt, lazy, straight
from typer.testing import CliRunner

import sciup
from sciup.cli import app
from sciup.engine import cluster as engine_cluster
from sciup.engine import cluster_task
from sciup.engine import connect as engine_connect
from sciup.engine.connect import connect, read_cluster
from sciup.engine.run import work_folder
from sciup.errors import ClusterError, InterruptedRunError, OptionError, OutputError

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def client():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as pool, Client(pool) as found:  # fmt: skip
        yield found


@each
def test_two_workers_make_what_one_process_makes(suffix, client, tmp_path):
    seen = []
    path = lazy().save(
        tmp_path / f"out{suffix}", client=client, progress=lambda *now: seen.append(now)
    )
    assert_equal_results(path, straight(suffix))
    assert seen[-1] == (17, 17)
    assert not work_folder(path).exists()
    assert not client.futures


@each
def test_a_stopped_run_goes_on_with_another_number_of_workers(suffix, client, tmp_path):
    out = tmp_path / f"out{suffix}"

    def stop(done, total):
        if done:
            interrupt()

    with pytest.raises(InterruptedRunError):
        lazy().save(out, client=client, progress=stop)
    assert not out.exists()
    made = []
    keep = engine_cluster._outcome
    engine_cluster._outcome = lambda future, order: (
        made.append(future.result().made) or keep(future, order)
    )
    try:
        lazy().save(out, client=client, resume=True)
    finally:
        engine_cluster._outcome = keep
    assert len(made) == 3
    assert not all(made)  # what the first run left was found, by its checksum, and kept
    assert_equal_results(out, straight(suffix))


def kill_one(dask_worker, at):
    """Run in a worker: end the process as a lost node does."""
    if dask_worker.name == at:
        os.kill(os.getpid(), signal.SIGKILL)


@each
def test_a_worker_is_killed_in_the_middle(suffix, tmp_path):
    out = tmp_path / f"out{suffix}"
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as pool, Client(pool) as own:  # fmt: skip
        killed = []

        def progress(done, total):
            if done and not killed:
                killed.append(done)
                own.run(kill_one, at=0, nanny=False, on_error="ignore")

        lazy().save(out, client=own, progress=progress)
    assert killed
    assert_equal_results(out, straight(suffix))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (KilledWorker("shard", None, 3), "died, perhaps of memory,"),
        (MemoryError("too little for one window at a time"), "had too little memory"),
    ],
)
def test_a_shard_that_kills_its_workers_is_told(error, says, client, tmp_path, monkeypatch):
    """As with too little memory: tried again with fewer windows, then given up in words."""
    monkeypatch.setattr(engine_cluster, "ATTEMPTS", 2)
    tried = []

    def outcome(future, order):
        class Dead:
            def exception(self):
                tried.append(order.attempt)
                return error

        return keep(Dead(), order)

    keep = engine_cluster._outcome
    monkeypatch.setattr(engine_cluster, "_outcome", outcome)
    with pytest.raises(ClusterError, match=rf"{says} in each of 2 attempts.*--resume"):
        lazy().save(tmp_path / "out.fits", client=client)
    assert tried[:1] == [0]
    assert 1 in tried


@pytest.mark.parametrize("error", [OutputError("the disk is full"), OSError(28, "no space")])
def test_errors_of_workers_are_told_as_if_they_were_here(error, client, tmp_path, monkeypatch):
    class Failed:
        def exception(self):
            return error

    keep = engine_cluster._outcome
    monkeypatch.setattr(engine_cluster, "_outcome", lambda _, order: keep(Failed(), order))
    with pytest.raises(OutputError, match=r"disk is full|no space.*--resume"):
        lazy().save(tmp_path / "out.fits", client=client)


def test_orders_that_the_scheduler_forgot_are_not_taken_for_done(client, tmp_path, monkeypatch):
    """All futures are cancelled when the connection breaks, and have no exception then."""
    keep = engine_cluster._outcome

    class Forgotten:
        status = "cancelled"

        def exception(self):
            return None

    monkeypatch.setattr(engine_cluster, "_outcome", lambda _, order: keep(Forgotten(), order))
    with pytest.raises(ClusterError, match=r"was cancelled: the scheduler was lost.*--resume"):
        lazy().save(tmp_path / "out.fits", client=client)
    assert not (tmp_path / "out.fits").exists()


def test_a_shard_without_a_record_is_never_finished(client, tmp_path, monkeypatch):
    monkeypatch.setattr(engine_cluster, "compute", lambda *_: None)
    with pytest.raises(ClusterError, match=r"3 shards have no record.*--resume"):
        lazy().save(tmp_path / "out.fits", client=client)
    assert not (tmp_path / "out.fits").exists()


def test_orders_of_a_run_that_has_ended_write_nothing(tmp_path):
    from sciup.engine.shard import Bench

    job, token = lazy().job, tmp_path / "job-1.pickle"
    bench = Bench.of(job, tmp_path, "fits", "late", token)
    wrote = []
    object.__setattr__(bench.writer, "write", lambda *_: wrote.append(1))
    with pytest.raises(ClusterError, match="has ended"):
        bench.make(next(job.tasks()), None)
    assert not wrote
    assert not (tmp_path / "journal").exists()


def test_a_worker_that_does_not_see_the_input_is_no_damaged_file(tmp_path):
    order = cluster_task.Order(
        str(tmp_path),
        "fits",
        "job-0.pickle",
        "/no/such/input.fits",
        next(lazy().job.tasks()),
        None,
        0,
    )
    with pytest.raises(ClusterError, match=r"does not see /no/such/input.fits.*same paths"):
        cluster_task.make(order)


def test_an_image_in_memory_is_refused(client, tmp_path, monkeypatch):
    monkeypatch.setattr(engine_cluster, "MOST_BYTES", 100_000)
    values = np.random.default_rng(0).normal(10, 1, (200, 200)).astype(np.float32)
    result = sciup.upscale(
        values, model=base() / "m0", samples=1, psf_fwhm=2.4, maps=("mean",), device="cpu"
    )
    with pytest.raises(OptionError, match="its image is in memory"):
        result.save(tmp_path / "out.zarr", client=client)


@contextlib.contextmanager
def network(folder):
    """A scheduler and two workers as processes of their own; its file, and the workers."""
    file = folder / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": str(Path(sciup.__file__).parents[1])}
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    worker = ["worker", "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
    running = []
    try:
        for command in (scheduler, worker, worker):
            module = f"distributed.cli.dask_{command[0]}"
            running.append(
                subprocess.Popen(
                    [sys.executable, "-m", module, "--scheduler-file", str(file), *command[1:]],
                    env=environment, cwd=folder, stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )  # fmt: skip
            while not file.exists():
                assert running[0].poll() is None
                time.sleep(0.1)
        yield file, running[1:]
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def test_a_scheduler_and_workers_over_tcp(tmp_path):
    """Processes that know nothing but an address."""
    arguments = [
        "upscale", str(base() / "in.fits"), str(tmp_path / "out.fits"), "--model",
        str(base() / "m0"), "--samples", "1", "--maps", ",".join(("sample", "mean", "std")),
        "--psf-fwhm", "2.4", "--device", "cpu", "--precision", "fp32", "--keep-samples", "2",
        "--scheduler",
    ]  # fmt: skip
    with network(tmp_path) as (file, workers):
        done = CliRunner().invoke(app, [*arguments, str(file)])
        assert done.exit_code == 0, done.output
        assert all(process.poll() is None for process in workers)  # they were not ours to end
    assert_equal_results(tmp_path / "out.fits", straight(".fits"))


@each
def test_a_node_is_lost_in_the_middle(suffix, tmp_path):
    out = tmp_path / f"out{suffix}"
    lost = []
    with network(tmp_path) as (file, workers), connect(scheduler=str(file)) as client:
        client.wait_for_workers(2, timeout=60)

        def progress(done, total):
            if done and not lost:
                os.killpg(workers[0].pid, signal.SIGKILL)  # worker and nanny at once
                lost.append(done)

        lazy().save(out, client=client, progress=progress)
    assert lost
    assert lost[0] < 17
    assert_equal_results(out, straight(suffix))


def test_nobody_answers(monkeypatch):
    monkeypatch.setattr(engine_connect, "WAIT", 1)
    with (
        pytest.raises(ClusterError, match="no scheduler answers at tcp"),
        connect(scheduler="tcp://127.0.0.1:9"),
    ):
        pass


def test_a_scheduler_file_that_is_not_there():
    with (
        pytest.raises(ClusterError, match="no scheduler file nowhere"),
        connect(scheduler="nowhere.json"),
    ):
        pass


def test_options_that_contradict_or_ask_too_much():
    with (
        pytest.raises(OptionError, match="--workers and --scheduler were given"),
        connect(2, "tcp://a:1"),
    ):
        pass
    with pytest.raises(OptionError, match="--workers 100000"), connect(100000):
        pass
    with connect() as nobody:
        assert nobody is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("system: slurm\njob: 3", "unknown key 'job'.*write 'jobs'"),
        ("jobs: 3", "lacks the key 'system'"),
        ("system: cloud", "asks for the system 'cloud'.*slurm"),
        ("system: slurm\njobs: 0", "0 jobs"),
        ("system: slurm\noptions: 3", "options of .* are no table"),
        ("a: [", "cannot be read"),
    ],
)
def test_cluster_files_are_checked(text, says, tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(OptionError, match=says):
        read_cluster(path)


def test_a_missing_worker_folder_is_told(tmp_path):
    with pytest.raises(ClusterError, match=r"cannot read.*same paths as the client"):
        cluster_task._bench(str(tmp_path), "fits", "job-0.pickle", 1, 0)


SBATCH = """#!{python}
import pathlib, subprocess, sys
script = pathlib.Path(sys.argv[-1]).read_text()
pathlib.Path("{folder}/job.sh").write_text(script)
job = subprocess.Popen(
    ["bash", "-c", script], start_new_session=True, cwd="{folder}",
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
print("Submitted batch job", job.pid)
"""


def test_jobs_of_a_batch_system_make_the_same(tmp_path, monkeypatch):
    """A stand-in for sbatch starts the very script that Slurm would get."""
    (tmp_path / "bin").mkdir()
    for name, text in (
        ("sbatch", SBATCH.format(python=sys.executable, folder=tmp_path)),
        ("scancel", "#!/bin/sh\nkill -- -$1\n"),
    ):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(sciup.__file__).parents[1]))
    file = tmp_path / "slurm.yaml"
    file.write_text(
        "system: slurm\njobs: 1\noptions:\n  queue: short\n  cores: 1\n  memory: 2GB\n"
        "  walltime: '00:10:00'\n"
        "  scheduler_options: {host: 127.0.0.1, dashboard_address: ':0'}\n"
    )
    with connect(cluster=file) as client:
        lazy().save(tmp_path / "out.fits", client=client)
    assert_equal_results(tmp_path / "out.fits", straight(".fits"))
    script = (tmp_path / "job.sh").read_text()
    assert "#SBATCH -p short" in script
    assert "-t 00:10:00" in script


def test_the_examples_of_the_documentation_are_cluster_files():
    folder = Path(sciup.__file__).parents[1] / "docs" / "how-to" / "clusters"
    found = [read_cluster(path) for path in sorted(folder.glob("*.yaml"))]
    assert [f["jobs"] for f in found] == [40, 4]


# a cluster of distributed that was refused complains in its destructor
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_options_that_the_batch_system_does_not_know(tmp_path):
    file = tmp_path / "slurm.yaml"
    file.write_text("system: slurm\noptions: {cores: 1, memory: 1GB, colour: red}\n")
    with (
        pytest.raises(OptionError, match=r"refuses the options for slurm.*colour"),
        connect(cluster=file),
    ):
        pass
