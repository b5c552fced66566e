"""The same shards on the workers of a Dask client: one task per shard, sent in waves.

The graph holds no pixels and no weights: a task is a few numbers and the path of the job, which
every worker process reads once, together with the network. Workers write shards and their own
journals into the folder of the unfinished output; what comes back is a number. A worker that dies
costs the shards it had at hand, a client that dies costs nothing: `--resume` goes on.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
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
    from distributed import as_completed

    name = _store(job, work)
    folder = str(work.absolute())
    orders = (
        _Order(folder, kind, name, task, records.get((task.number, task.index)), 0)
        for task in job.tasks()
    )
    flying: dict[Any, _Order] = {}
    finished = as_completed()
    try:
        _send(client, orders, flying, finished)
        for future in finished:
            order = flying.pop(future)
            if again := _outcome(future, order):
                _send(client, iter([again]), flying, finished)
            else:
                advance(windows(job, order.task))
            _send(client, orders, flying, finished)
    finally:
        client.cancel(list(flying))


def _store(job: Job, work: Path) -> str:
    """Write the job where workers find it; the name tells one job from another."""
    data = pickle.dumps(job)
    if len(data) > MOST_BYTES:
        raise OptionError(
            f"the job has {len(data) / 1e6:.0f} MB, because its image is in memory",
            "images in files, and Dask or Zarr arrays of files",
            "save the image, for example as OME-Zarr, and open that",
        )
    name = f"job-{hashlib.blake2b(data, digest_size=8).hexdigest()}.pickle"
    part = work / (name + ".part")
    part.write_bytes(data)
    part.replace(work / name)
    return name


def _send(client: Any, orders: Iterator[_Order], flying: dict[Any, _Order], finished: Any) -> None:
    """Send orders while workers have fewer than `AHEAD` for each of their threads."""
    room = AHEAD * max(sum(client.nthreads().values()), 1) - len(flying)
    for order in islice(orders, max(room, 0)):
        task = order.task
        index = "-".join(map(str, task.index))
        key = f"shard-{order.job}-{task.number}-{index}-{order.attempt}"
        future = client.submit(_make, order, key=key, pure=False)
        flying[future] = order
        finished.add(future)


def _outcome(future: Any, order: _Order) -> _Order | None:
    """Nothing if the shard is there; what to send again if its worker died."""
    from distributed.scheduler import KilledWorker

    error = future.exception()
    if error is None:
        return None
    where = f"shard {order.task.index} of plane {order.task.number}"
    if isinstance(error, SciupError | OSError):
        raise error
    if not isinstance(error, KilledWorker):
        raise ClusterError(
            f"{where} failed on a worker: {type(error).__name__}: {error}",
            fix="see the log of the worker; --resume goes on",
        ) from error
    if order.attempt + 1 >= ATTEMPTS:
        raise ClusterError(
            f"{where} failed: the workers that had it died {ATTEMPTS} times, perhaps of memory",
            fix="give workers more memory or fewer --threads, then go on with --resume",
        )
    log.warning("%s: its workers died; again, with fewer windows at a time", where)
    return replace(order, attempt=order.attempt + 1)


def _make(order: _Order) -> bool:
    """Run on a worker: one shard at a time per process, its windows on all threads granted."""
    with _alone:
        bench = _bench(order.folder, order.kind, order.job, max(_granted() >> order.attempt, 1))
        return bench.make(order.task, order.record)


_alone = Lock()


@lru_cache(maxsize=2)
def _bench(folder: str, kind: OutputFormat, name: str, threads: int) -> Bench:
    """Network and files of a job, once per process."""
    path = Path(folder) / name
    try:
        job: Job = pickle.loads(path.read_bytes())  # noqa: S301 - written by our own client
    except OSError as error:
        raise ClusterError(
            f"{socket.gethostname()} cannot read {path}: {error.strerror}",
            fix="workers must see input, output and model under the same paths as the client",
        ) from None
    here = f"{socket.gethostname()}-{os.getpid()}"
    return Bench.of(replace(job, threads=threads), Path(folder), kind, here)


def _granted() -> int:
    """Threads that Dask gave this worker."""
    from distributed import get_worker

    return int(get_worker().state.nthreads)
