"""Checksums of the small files of an OME-Zarr result: metadata, and arrays such as the PSF."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sciup.io._journal import CRC

OWN = "checksum"
"""Key of the root's checksum of all its other attributes."""


def small_files(root: Path, levels: Mapping[str, int], extras: Mapping[str, Any]) -> dict[str, str]:
    """Checksum of every file but shards and the metadata of the root, by its path inside it.

    Parameters
    ----------
    root : Path
    levels : mapping of str to int
        Number of levels of every image.
    extras : mapping
        Names of the small arrays.
    """
    return {str(path.relative_to(root)): file_sum(path) for path in _paths(root, levels, extras)}


def _paths(root: Path, levels: Mapping[str, int], extras: Mapping[str, Any]) -> Iterator[Path]:
    yield from (root / "OME" / name for name in ("zarr.json", "METADATA.ome.xml"))
    for image, count in levels.items():
        yield from (root / image / name for name in ("zarr.json", *_arrays(count)))
    yield from (
        root / folder / "zarr.json" for folder in {i.split("/")[0] for i in levels} - {*levels}
    )
    for name in extras:
        yield from sorted(path for path in (root / name).rglob("*") if path.is_file())


def _arrays(count: int) -> Iterator[str]:
    return (f"{level}/zarr.json" for level in range(count))


def file_sum(path: Path) -> str:
    """Checksum of the bytes of a file."""
    return f"{CRC}{zlib.crc32(path.read_bytes()):08x}"


def file_is_whole(path: Path, stated: str) -> bool | None:
    """Whether a file has this checksum; None if it is not there."""
    return file_sum(path) == stated if path.is_file() else None


def own_sum(attributes: Mapping[str, Any]) -> str:
    """Checksum of the attributes of the root, without itself."""
    about = {key: value for key, value in attributes["sciup"].items() if key != OWN}
    text = json.dumps({**attributes, "sciup": about}, sort_keys=True)
    return f"{CRC}{zlib.crc32(text.encode()):08x}"


__all__ = ["OWN", "file_is_whole", "file_sum", "own_sum", "small_files"]
