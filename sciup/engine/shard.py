"""One shard of an output: look whether it is there, compute it, write it, record it.

This is the function that every scheduler calls: the loop of one process, and Dask on any number of
machines. Whoever calls it, the same shard gets the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sciup.engine.job import Job, Task, Worker
from sciup.errors import ClusterError, InputError
from sciup.image import Float
from sciup.io import OutputFormat, Writer, open_writer
from sciup.io._journal import Journal, Scores, agrees, checksum
from sciup.io._salvage import Part

Record = Mapping[str, str]
"""Checksums of a shard's maps, from the journal of an earlier run."""


@dataclass(frozen=True)
class Made:
    """A shard that is computed and not yet stored; `Bench.store` takes its maps."""

    task: Task
    maps: dict[str, Float]
    scores: Scores
    unreadable: Sequence[Part]


@dataclass(frozen=True)
class Bench:
    """What a process needs to make shards of one output: network, writer, its own journal.

    While `token`, if there is one, exists, the run goes on; afterwards nothing is written.
    """

    worker: Worker
    writer: Writer
    journal: Journal
    token: Path | None = None

    @classmethod
    def of(
        cls,
        job: Job,
        work: Path,
        kind: OutputFormat,
        name: str = "serial",
        token: Path | None = None,
    ) -> Bench:
        """Reopen the output that grows in `work`; `name` is the one of the journal."""
        return cls(job.worker(), open_writer(work, job.layout, kind), Journal(work, name), token)

    def make(
        self, task: Task, record: Record | None, done: Callable[[], None] | None = None
    ) -> bool:
        """Make one shard, unless the stored one is still what the record says.

        Returns
        -------
        bool
            Whether it was made and not only found.
        """
        made = self.compute(task, record, done)
        if made is not None:
            self.store(made)
        return made is not None

    def compute(
        self, task: Task, record: Record | None, done: Callable[[], None] | None = None
    ) -> Made | None:
        """Compute one shard, or nothing if the stored one is still what the record says."""
        if record and all(self._intact(task, *item) for item in record.items()):
            return None
        self._check_run()
        maps = self.worker.compute(task, done=done)
        return Made(task, maps, self.worker.scores, self.worker.unreadable(task))

    def store(self, made: Made) -> None:
        """Data first, then its record: a shard without a record is made again.

        May be called in another thread than `compute`.
        """
        task, sums = made.task, {}
        for name in list(made.maps):
            self._check_run()  # a write may hang for hours, and others have made the shard since
            values = made.maps.pop(name)  # what is written makes room for the next shard
            map_name, plane = _address(name, task.plane)
            self.writer.write(map_name, plane, task.box, values)
            sums[name] = checksum(values)
        self.journal.add((task.number, task.index), sums, made.scores, made.unreadable)

    def _check_run(self) -> None:
        """Leave a run that has ended, and an output that may be another's by now, alone."""
        if self.token is not None and not self.token.exists():
            raise ClusterError("the run that this shard belongs to has ended")

    def _intact(self, task: Task, name: str, value: str) -> bool:
        """Whether the stored values of a shard have this checksum.

        What follows from them, the coarser levels, has none: it is written again.
        """
        address = _address(name, task.plane)
        try:
            stored = self.writer.read(*address, task.box)
        except InputError:  # damaged so far that it cannot even be decoded
            return False
        if not agrees(stored, value):
            return False
        self.writer.derive(*address, task.box, stored)
        return True


def _address(name: str, plane: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """Map and plane under which a writer stores an array of the block function."""
    if name.startswith("samples_"):
        return "samples", (int(name.removeprefix("samples_")), *plane)
    return name, plane
