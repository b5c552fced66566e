"""What a run will cost, before it begins."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sciup.engine.job import Job, Worker
from sciup.engine.run import output_format
from sciup.io._writer import SHARD
from sciup.physics.psf_error import node_of

BASE, WINDOW = 450e6, 150e6
"""Memory [bytes] of the program, and of a window at 4x while it is computed; measured."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will cost: output and free disk [bytes], memory [bytes], windows, seconds."""

    disk: int
    free: int
    memory: int
    windows: int
    seconds: float


def estimate(job: Job, output: Path) -> Estimate:
    """Disk and memory from the layout; time from one real window (two draws)."""
    layout = job.layout
    count = sum(int(np.prod(layout.shape_of(n), dtype=np.int64)) for n in layout.names)
    pyramid = 4 / 3 if output_format(output, job) == "ome-zarr" else 1
    shard = min(SHARD, max(layout.plane_shape)) ** 2
    worker = Worker(job)
    stored = 4 * shard * (len(job.maps) + 2 * job.settings.keep + 2)
    window = WINDOW * max(job.model.scale / 4, 1) ** 2
    return Estimate(
        disk=int(4 * count * pyramid),
        free=shutil.disk_usage(_existing_parent(output)).free,
        memory=int(BASE + worker.threads * window + stored),
        windows=job.windows,
        seconds=_seconds(job, worker),
    )


def _seconds(job: Job, worker: Worker) -> float:
    task = next(job.tasks())
    sampler = worker.sampler(task.number, task.plane)
    tile = worker.tiles(job.input_box(task))[0]
    believed = [k for k in range(6) if node_of(k) == 0][:3]
    trunks = 3 if sampler.instrument.psf_error.value else 1

    def timed() -> list[float]:
        times = []
        for samples in ((0,), (0,), believed):  # the first call compiles
            began = time.perf_counter()
            sampler.maps(tile, samples)
            times.append(time.perf_counter() - began)
        return times

    _, once, thrice = worker.submit(timed).result()
    draw = max(thrice - once, 1e-3) / 2
    rounds = -(-job.windows // worker.threads)
    return rounds * (max(once - draw, 0) * trunks + draw * (job.settings.samples + 1))


def _existing_parent(path: Path) -> Path:
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    return parent
