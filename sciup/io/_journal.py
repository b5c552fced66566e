"""What has been done already: one durable record per shard, written after its data."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.io._salvage import Part

Shard = tuple[int, tuple[int, ...]]
"""Number of the plane and index of the shard in it."""

Scores = Mapping[tuple[int, ...], Sequence[float]]
"""How strange each block of input pixels is, by its first absolute pixel."""


def checksum(values: NDArray[np.float32]) -> str:
    """Checksum of decoded values; every NaN counts as the same.

    A CRC, because it is to find damage, not malice, and is the quickest in the standard library.
    Row by row in small groups: a copy of a whole shard would double the memory of a run.
    """
    value = 0
    for part in _plain(values):
        value = zlib.crc32(part, value)
    return f"{CRC}{value:08x}"


def agrees(values: NDArray[np.float32], stated: str) -> bool:
    """Whether values have this checksum, be it one of the first journals."""
    if stated.startswith(CRC):
        return checksum(values) == stated
    digest = hashlib.blake2b(digest_size=8)
    for part in _plain(values):
        digest.update(part)
    return digest.hexdigest() == stated


def _plain(values: NDArray[np.float32]) -> Iterator[bytes]:
    """The bytes of values, with one kind of NaN."""
    for start in range(0, len(values), 64):
        part = values[start : start + 64].astype("<f4")  # a copy
        part[np.isnan(part)] = np.nan
        yield part.tobytes()


CRC = "crc32:"
"""Begins the checksums of today; those of the first journals have no name."""


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

    def add(
        self,
        shard: Shard,
        checksums: Mapping[str, str],
        scores: Scores | None = None,
        unreadable: Iterable[Part] = (),
    ) -> None:
        """Record a shard whose data is on the disk; returns when the record is too."""
        self._folder.mkdir(exist_ok=True)
        rows = [[list(at), [_short(v) for v in row]] for at, row in (scores or {}).items()]
        lost = [[list(plane), list(box.start), list(box.stop)] for plane, box in unreadable]
        record = {"plane": shard[0], "index": list(shard[1]), "maps": dict(checksums)}
        extra = {"scores": rows, "unreadable": lost}
        record |= {key: value for key, value in extra.items() if value}
        line = json.dumps(record, separators=(",", ":"))
        with (self._folder / f"{self._worker}.jsonl").open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(end - 1, 0))
            torn = file.read(1) not in (b"", b"\n")  # a killed run left half a line: end it
            file.write((torn * "\n" + line + "\n").encode())
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> dict[Shard, dict[str, str]]:
        """Checksums of the shards of all workers that are as they should be.

        A torn last line is ignored, and so are shards whose input could not be read: the disk may
        be well again.
        """
        return {shard: maps for shard, maps, record in self._records() if not _lost(record)}

    def disputed(self) -> set[Shard]:
        """Shards whose records disagree: made twice, and nothing tells which was written last.

        The files of the workers have no common order.
        """
        first: dict[Shard, dict[str, str]] = {}
        return {s for s, maps, _ in self._records() if first.setdefault(s, maps) != maps}

    def shards(self) -> set[Shard]:
        """All that have a record."""
        return {shard for shard, _, _ in self._records()}

    def unreadable(self) -> list[Any]:
        """Parts of the input that shards lack: ``[plane, start, stop]``, each once."""
        well = self.read()
        lost = [row for s, _, record in self._records() if s not in well for row in _lost(record)]
        return sorted({json.dumps(row): row for row in lost}.values())

    def scores(self) -> dict[int, NDArray[np.float64]]:
        """Scores of all blocks (blocks, statistics), plane by plane."""
        found: dict[int, dict[tuple[int, ...], list[float]]] = {}
        well = self.read()
        for shard, _, record in self._records():
            if _lost(record) and shard in well:
                continue  # made again since
            plane, rows = shard[0], record.get("scores", [])
            found.setdefault(plane, {}).update({tuple(at): row for at, row in rows})
        return {plane: np.array(list(rows.values())) for plane, rows in found.items() if rows}

    def _records(self) -> Iterator[tuple[Shard, dict[str, str], dict[str, Any]]]:
        for path in sorted(self._folder.glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    record: dict[str, Any] = json.loads(line)
                    shard = (int(record["plane"]), tuple(int(i) for i in record["index"]))
                    maps = {str(k): str(v) for k, v in record["maps"].items()}
                    yield shard, maps, record
                except (ValueError, KeyError, TypeError):
                    continue


def _lost(record: Mapping[str, Any]) -> list[Any]:
    return list(record.get("unreadable", []))


def _short(value: float) -> float:
    """Four digits: a large job has millions of these."""
    return float(f"{value:.4g}")
