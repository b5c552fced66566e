"""What has been done already: one durable record per shard, written after its data."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shard = tuple[int, tuple[int, ...]]
"""Number of the plane and index of the shard in it."""


def checksum(values: NDArray[np.float32]) -> str:
    """Checksum of decoded values; every NaN counts as the same.

    Row by row in small groups: a copy of a whole shard would double the memory of a run.
    """
    digest = hashlib.blake2b(digest_size=8)
    for start in range(0, len(values), 64):
        part = values[start : start + 64]
        plain = np.where(np.isnan(part), np.float32(np.nan), part).astype("<f4")
        digest.update(np.ascontiguousarray(plain).tobytes())
    return digest.hexdigest()


class Journal:
    """Append-only records in a working folder, one file per worker.

    Parameters
    ----------
    work : Path
        Working folder.
    worker : str
        Name of the worker that writes.
    """

    def __init__(self, work: Path, worker: str = "serial") -> None:
        self._folder = work / "journal"
        self._worker = worker

    def add(self, shard: Shard, checksums: Mapping[str, str]) -> None:
        """Record a shard whose data is on the disk; returns when the record is too."""
        self._folder.mkdir(exist_ok=True)
        line = json.dumps({"plane": shard[0], "index": list(shard[1]), "maps": dict(checksums)})
        with (self._folder / f"{self._worker}.jsonl").open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(end - 1, 0))
            torn = file.read(1) not in (b"", b"\n")  # a killed run left half a line: end it
            file.write((torn * "\n" + line + "\n").encode())
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> dict[Shard, dict[str, str]]:
        """All complete records of all workers; a torn last line is ignored."""
        done: dict[Shard, dict[str, str]] = {}
        for path in sorted(self._folder.glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    record: dict[str, Any] = json.loads(line)
                    shard = (int(record["plane"]), tuple(int(i) for i in record["index"]))
                    done[shard] = {str(k): str(v) for k, v in record["maps"].items()}
                except (ValueError, KeyError, TypeError):
                    continue
        return done
