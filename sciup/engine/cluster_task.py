"""What runs on a worker of a Dask client: one shard, of a job that its process has read once."""

from __future__ import annotations

import os
import pickle
import socket
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from sciup.engine.heap import keep_memory
from sciup.engine.job import Job, Task
from sciup.engine.shard import Bench, Record
from sciup.errors import ClusterError
from sciup.io import OutputFormat

SAME = "workers must see input, output and model under the same paths as the client"


@dataclass(frozen=True, slots=True)
class Order:
    """What is sent to a worker."""

    folder: str
    kind: OutputFormat
    job: str
    source: str
    task: Task
    record: Record | None
    attempt: int = 0
    copy: int = 0

    @property
    def where(self) -> str:
        """Which shard it is, in words."""
        return f"shard {self.task.index} of plane {self.task.number}"


class Found(NamedTuple):
    """What comes back: who made a shard or found it intact, and in how many seconds."""

    made: bool
    worker: str
    seconds: float


def make(order: Order) -> Found:
    """Run on a worker: one shard at a time per process, its windows on all threads granted."""
    keep_memory()
    with _alone:
        if order.source and not Path(order.source).exists():
            raise ClusterError(f"{socket.gethostname()} does not see {order.source}", fix=SAME)
        began = time.monotonic()
        bench = _bench(order.folder, order.kind, order.job, _granted(), order.attempt)
        made = bench.make(order.task, order.record)
        return Found(made, _address(), time.monotonic() - began)


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


def _granted() -> int:
    """Threads that Dask gave this worker."""
    from distributed import get_worker

    return int(get_worker().state.nthreads)


def _address() -> str:
    """What the scheduler calls this worker."""
    from distributed import get_worker

    return str(get_worker().address)


__all__ = ["Found", "Order", "make"]
