"""The same shards on the workers of a Dask client: one task per shard, sent in waves.

The graph holds no pixels and no weights: a task is a few numbers and the path of the job, which
every worker process reads once, together with the network. Workers write shards and their own
journals into the folder of the unfinished output; what comes back is a number. A worker that dies
costs the shards it had at hand, a client that dies costs nothing: `--resume` goes on.
"""

from __future__ import annotations

import logging
import pickle
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from weakref import WeakKeyDictionary

from sciup.engine.cluster_task import Found, Order, make
from sciup.engine.job import Job
from sciup.engine.shard import Record
from sciup.engine.stragglers import Watch
from sciup.errors import ClusterError, OptionError, SciupError
from sciup.io import OutputFormat
from sciup.io._journal import Shard

log = logging.getLogger(__name__)

AHEAD = 3
"""Tasks that are sent for every thread of the workers: none waits for the client."""

POLL, SILENCE, LOOK = 1.0, 60.0, 5.0
"""Seconds to wait for something to happen, until it is told that no worker is there, and between
looks at who hangs."""

MOST_BYTES = 32_000_000
"""Of a job that every worker reads: more than this are pixels."""

ATTEMPTS = 4
"""How often a shard is tried on workers that die, each time with half as many windows at a time."""


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
        Order(folder, kind, name, source, task, records.get((task.number, task.index)))
        for task in job.tasks()
    )
    field = _Field(client)
    try:
        with _lost_scheduler():
            field.send(orders)
            while field.flying:
                for order in field.finished():
                    advance(job.windows_of(order.task))
                advance(0)  # whoever waits may stop us
                field.look()
                field.send(orders)
    finally:
        # orders that workers still hold find their job gone, and write nothing
        (work / name).unlink(missing_ok=True)
        field.cancel()


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


_watches: WeakKeyDictionary[Any, Watch] = WeakKeyDictionary()
"""One for each client: a worker that makes shards of another image of a batch does not hang."""


class _Field:
    """Orders that are out in the field.

    Attributes
    ----------
    flying : dict of future to Order
        What nobody has made yet.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.flying: dict[Any, Order] = {}
        self._done: SimpleQueue[Any] = SimpleQueue()
        self._twins: dict[Any, Any] = {}  # two futures of one shard, each by the other
        self._late: set[Any] = set()  # whose twin was quicker
        self._watch = _watches.setdefault(client, Watch())
        self._since: dict[str, float] = {}  # since when each worker has orders of ours
        self._hanging: set[str] = set()
        self._looked = self._heard = time.monotonic()

    def send(self, orders: Iterator[Order]) -> None:
        """Send orders while workers have fewer than `AHEAD` for each of their threads."""
        threads = sum(self.client.nthreads().values())
        room = AHEAD * max(threads, 1) - len(self.flying)
        for order in islice(orders, max(room, 0)):
            self._send(order)

    def _send(self, order: Order) -> Any:
        index = "-".join(map(str, order.task.index))
        key = f"shard-{order.job}-{order.task.number}-{index}-{order.attempt}-{order.copy}"
        wish: dict[str, Any] = {}
        if self._hanging and (
            well := [w for w in self.client.nthreads() if w not in self._hanging]
        ):
            # no condition: those that are well may die, and those that hang may wake up
            wish = {"workers": well, "allow_other_workers": True}
        future = self.client.submit(make, order, key=key, pure=False, **wish)
        self.flying[future] = order
        future.add_done_callback(self._done.put)
        return future

    def finished(self) -> Iterator[Order]:
        """Orders whose shard is there now; waits a moment for one, and sends what failed again."""
        future = self._next()
        if future in self._late:
            self._late.discard(future)
            self._hear(future)
        if future not in self.flying:  # none, or its twin was quicker
            return
        order, twin = self.flying.pop(future), self._twins.pop(future, None)
        self._twins.pop(twin, None)
        again = _outcome(future, order)
        if again is None:
            self._hear(future)
            if self.flying.pop(twin, None):
                self._late.add(twin)
            yield order
        elif twin is None:
            self._send(again)

    def _hear(self, future: Any) -> None:
        """Note who finished when."""
        if future.status == "finished" and isinstance(found := future.result(), Found):
            took = found.seconds if found.made else None
            self._watch.finished(found.worker, took, time.monotonic())

    def _next(self) -> Any:
        """The next future that is done, or None after a while; silence is told."""
        now = time.monotonic()
        try:
            found = self._done.get(timeout=POLL)
        except Empty:
            found = None
        if found or self.client.nthreads():
            self._heard = now
        silent = now - self._heard
        if silent and silent % SILENCE < POLL:
            log.warning("no worker for %.0f s; waiting (Ctrl-C, then --resume, is safe)", silent)
        return found

    def look(self) -> None:
        """Every now and then, give what hanging workers hold to others."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        ours = {future.key: future for future in self.flying}
        held = {
            worker: [ours[key] for key in keys if key in ours]
            for worker, keys in self.client.processing().items()
        }
        self._since = {w: self._since.get(w, now) for w, orders in held.items() if orders}
        self._hanging = self._watch.hanging(self._since, now) & set(held)
        if self._hanging == set(held):
            return  # nobody is better off
        for worker in self._hanging:
            self._relieve(worker, [f for f in held.get(worker, ()) if f not in self._twins])

    def _relieve(self, worker: str, held: list[Any]) -> None:
        """Order once more what a worker is at; what it has not begun goes to others."""
        first, *rest = sorted(held, key=list(self.flying).index) or [None]
        if first is not None:
            where = self.flying[first].where
            log.warning("%s: %s hangs; the shard is ordered once more", where, worker)
            twin = self._send(replace(self.flying[first], copy=self.flying[first].copy + 1))
            self._twins |= {first: twin, twin: first}
        for future in rest:
            order = self.flying.pop(future)
            self.client.cancel([future])
            self._send(replace(order, copy=order.copy + 1))

    def cancel(self) -> None:
        """Nobody needs what is out any longer."""
        with suppress(Exception):
            self.client.cancel([*self.flying, *self._late])


def _outcome(future: Any, order: Order) -> Order | None:
    """Nothing if the shard is there; what to send again if its worker died."""
    from distributed.scheduler import KilledWorker

    where, error = order.where, future.exception()
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
    if not isinstance(error, KilledWorker | MemoryError):
        raise ClusterError(
            f"{where} failed on a worker: {type(error).__name__}: {error}",
            fix="see the log of the worker; --resume goes on",
        ) from error
    lack = isinstance(error, MemoryError)
    end = "had too little memory" if lack else "died, perhaps of memory,"
    if order.attempt + 1 >= ATTEMPTS:
        raise ClusterError(
            f"{where} failed: its workers {end} in each of {ATTEMPTS} attempts",
            fix="give workers more memory or fewer --threads, then go on with --resume",
        )
    log.warning("%s: its workers %s; again, with fewer windows at a time", where, end)
    return replace(order, attempt=order.attempt + 1)
