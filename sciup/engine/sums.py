"""Checksums of all shards of a result, for its provenance: `sciup verify` compares with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciup.engine.job import Job
from sciup.image import Plane
from sciup.io import SHARD, Writer
from sciup.io._journal import Journal, checksum


def checksums(job: Job, writer: Writer, journal: Journal) -> dict[str, Any]:
    """Side of the shards, and for every map a list per plane, row-major, of the shards' sums.

    The planes of ``samples`` are those of sample 0, then of sample 1, and so on. They are sums of
    values, not of bytes, so that they hold in every container.
    """
    disputed, leading = journal.disputed(), job.layout.shape[:-2]
    known = {shard: maps for shard, maps in journal.read().items() if shard not in disputed}
    maps: dict[str, list[list[str]]] = {}
    for name in job.layout.names:
        for k in range(job.layout.samples if name == "samples" else 1):
            planes: dict[Plane, list[str]] = {plane: [] for plane in np.ndindex(*leading)}
            for task in job.tasks():
                record = known.get((task.number, task.index), {})
                said = record.get(f"samples_{k}" if name == "samples" else name)
                if said is None:  # lost input, or workers that disagree: what is there counts
                    plane = (k, *task.plane) if name == "samples" else task.plane
                    said = checksum(writer.read(name, plane, task.box))
                planes[task.plane].append(said)
            maps.setdefault(name, []).extend(planes.values())
    return {"shard": SHARD, "maps": maps}
