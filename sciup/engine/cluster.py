"""The same shards on the workers of a Dask client: one task per shard, sent in waves.

The graph holds no pixels and no weights: a task is a few numbers and the path of the job, which
every worker process reads once, together with the network. Workers write shards and their own
journals into the folder of the unfinished output; what comes back is a number. A worker that dies
costs the shards it had at hand, a client that dies costs nothing: `--resume` goes on.
"""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

from sciup.engine.job import Job, Task
from sciup.engine.shard import Bench, Record, windows
from sciup.errors import ClusterError, OptionError, SciupError
from sciup.io import OutputFormat
from sciup.io._journal import Shard

log = logging.getLogger(__name__)

AHEAD = 3
"""Tasks that are sent for every thread of the workers: none waits for the client."""

POLL, SILENCE = 1.0, 60.0
"""Seconds between looks at the world while nothing happens, and until it is told."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""

SAME = "workers must see input, output and model under the same paths as the client"

MOST_BYTES = 32_000_000
"""Of a job that every worker reads: more than this are pixels."""

ATTEMPTS = 4
"""How often a shard is tried on workers that die, each time with half as many windows at a time."""


@dataclass(frozen=True, slots=True)
class _Order:
    """What is sent to a worker."""

    folder: str
    kind: OutputFormat
    job: str
    source: str
    task: Task
    record: Record | None
    attempt: int


def compute(
    client: Any,
    job: Job,
    work: Path,
    kind: OutputFormat,
    records: Mapping[Shard, Record],
    advance: Callable[[int], None],
) -> None:
    """Make all shards of a job on the workers of a client.

    Parameters
    ----------
    client : dask.distributed.Client
    job : Job
    work : Path
        Folder of the unfinished output, which all workers see.
    kind : {"fits", "ome-zarr"}
    records : mapping
        What journals of earlier runs say of each shard.
    advance : callable
        Called with the number of windows of every finished shard.

    Raises
    ------
    ClusterError
        If a shard failed on several workers, or they do not see the files.
    SciupError
        What a worker said, for example that the disk is full.
    """
    name = _store(job, work)
    folder = str(work.absolute())
    source = job.image.source if Path(job.image.source).exists() else ""
    orders = (
        _Order(folder, kind, name, source, task, records.get((task.number, task.index)), 0)
        for task in job.tasks()
    )
    flying: dict[Any, _Order] = {}
    done: SimpleQueue[Any] = SimpleQueue()
    try:
        with _lost_scheduler():
            _send(client, orders, flying, done)
            while flying:
                future = _next(done, client, advance)
                order = flying.pop(future)
                if again := _outcome(future, order):
                    _send(client, iter([again]), flying, done, room=1)
                else:
                    advance(windows(job, order.task))
                _send(client, orders, flying, done)
    finally:
        # orders that workers still hold find their job gone, and write nothing
        (work / name).unlink(missing_ok=True)
        with suppress(Exception):
            client.cancel(list(flying))


def _store(job: Job, work: Path) -> str:
    """Write the job where workers find it, under a name that no other run has."""
    data = pickle.dumps(job)
    if len(data) > MOST_BYTES:
        raise OptionError(
            f"the job has {len(data) / 1e6:.0f} MB, because its image is in memory",
            "images in files, and Dask or Zarr arrays of files",
            "save the image, for example as OME-Zarr, and open that",
        )
    for old in work.glob("job-*.pickle"):
        old.unlink(missing_ok=True)
    name = f"job-{uuid.uuid4().hex}.pickle"
    part = work / (name + ".part")
    part.write_bytes(data)
    part.replace(work / name)
    return name


@contextmanager
def _lost_scheduler() -> Iterator[None]:
    """A broken connection is no broken disk."""
    from distributed.comm.core import CommClosedError

    try:
        yield
    except (CommClosedError, TimeoutError, ConnectionError) as error:
        raise ClusterError(
            f"the connection to the scheduler is lost ({type(error).__name__})",
            fix="see that it runs, then go on with --resume",
        ) from None


def _next(done: SimpleQueue[Any], client: Any, advance: Callable[[int], None]) -> Any:
    """The next future that is done; meanwhile whoever waits may stop us, and is told of silence."""
    silent = 0.0
    while True:
        try:
            return done.get(timeout=POLL)
        except Empty:
            advance(0)
        silent = 0.0 if client.nthreads() else silent + POLL
        if silent and silent % SILENCE < POLL:
            log.warning("no worker for %.0f s; waiting (Ctrl-C, then --resume, is safe)", silent)


def _send(
    client: Any,
    orders: Iterator[_Order],
    flying: dict[Any, _Order],
    done: SimpleQueue[Any],
    room: int | None = None,
) -> None:
    """Send orders while workers have fewer than `AHEAD` for each of their threads."""
    if room is None:
        room = AHEAD * max(sum(client.nthreads().values()), 1) - len(flying)
    for order in islice(orders, max(room, 0)):
        task = order.task
        index = "-".join(map(str, task.index))
        key = f"shard-{order.job}-{task.number}-{index}-{order.attempt}"
        future = client.submit(_make, order, key=key, pure=False)
        flying[future] = order
        future.add_done_callback(done.put)


def _outcome(future: Any, order: _Order) -> _Order | None:
    """Nothing if the shard is there; what to send again if its worker died."""
    from distributed.scheduler import KilledWorker

    where = f"shard {order.task.index} of plane {order.task.number}"
    error = future.exception()
    if error is None:
        # a future that is cancelled, as all are when the connection breaks, has no exception
        if future.status == "finished":
            return None
        raise ClusterError(
            f"{where} was {future.status}: the scheduler was lost or restarted",
            fix="go on with --resume",
        )
    if isinstance(error, SciupError | OSError):
        raise error
    if not isinstance(error, KilledWorker):
        raise ClusterError(
            f"{where} failed on a worker: {type(error).__name__}: {error}",
            fix="see the log of the worker; --resume goes on",
        ) from error
    if order.attempt + 1 >= ATTEMPTS:
        raise ClusterError(
            f"{where} failed: its workers died in each of {ATTEMPTS} attempts, perhaps of memory",
            fix="give workers more memory or fewer --threads, then go on with --resume",
        )
    log.warning("%s: its workers died; again, with fewer windows at a time", where)
    return replace(order, attempt=order.attempt + 1)


def _make(order: _Order) -> bool:
    """Run on a worker: one shard at a time per process, its windows on all threads granted."""
    _keep_memory()
    with _alone:
        if order.source and not Path(order.source).exists():
            raise ClusterError(f"{socket.gethostname()} does not see {order.source}", fix=SAME)
        bench = _bench(order.folder, order.kind, order.job, _granted(), order.attempt)
        return bench.make(order.task, order.record)


_alone = Lock()


@lru_cache(maxsize=16)
def _bench(folder: str, kind: OutputFormat, name: str, granted: int, attempt: int) -> Bench:
    """Network and files of a job, once per process; `sciup batch` has several at a time."""
    path = Path(folder) / name
    try:
        job: Job = pickle.loads(path.read_bytes())  # noqa: S301 - written by our own client
    except OSError as error:
        raise ClusterError(
            f"{socket.gethostname()} cannot read {path}: {error.strerror}", fix=SAME
        ) from None
    wanted = job.threads or (1 if job.device == "cuda" else granted)
    threads = max(min(wanted, granted) >> attempt, 1)
    here = f"{socket.gethostname()}-{os.getpid()}"
    return Bench.of(replace(job, threads=threads), Path(folder), kind, here, path)


@cache
def _keep_memory() -> None:
    """Let the process keep what it frees, as it does without Dask.

    Dask's nannies set MALLOC_TRIM_THRESHOLD_, which also stops glibc from learning that large
    blocks come again and again: every tensor is then mapped and returned page by page, and a window
    takes more than twice as long (measured).
    """
    with suppress(OSError, AttributeError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 512 << 20)


def _granted() -> int:
    """Threads that Dask gave this worker."""
    from distributed import get_worker

    return int(get_worker().state.nthreads)
