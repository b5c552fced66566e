"""Zarr in a zip file: where in the file it is."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from sciup.errors import InputError
from sciup.io._check import input_errors

ZARR = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
"""Files that a Zarr node has one of."""


@dataclass(frozen=True)
class Zipped:
    """A place inside a zip file, with the few habits of a path that readers need.

    Attributes
    ----------
    file : Path
        The zip file.
    inner : str
        Names inside it, joined by ``/``; empty for its root.

    Examples
    --------
    >>> place = Zipped(Path("a.ome.zarr.zip")) / "0"
    >>> str(place), place.name, str(place.parent)
    ('a.ome.zarr.zip/0', '0', 'a.ome.zarr.zip')
    """

    file: Path
    inner: str = ""

    def __truediv__(self, name: object) -> Zipped:
        return Zipped(self.file, f"{self.inner}/{name}".strip("/"))

    def __str__(self) -> str:
        return str(self.file / self.inner)

    @property
    def parent(self) -> Zipped:
        """The place without its last part."""
        return Zipped(self.file, self.inner.rpartition("/")[0])

    @property
    def name(self) -> str:
        """The last part."""
        return self.inner.rpartition("/")[2]


def zipped(path: Path) -> Zipped | None:
    """The place that a path leads to, if it is a zip file or leads into one.

    A file leads to its outermost Zarr, which may be in a folder; ``FILE.zip/A/1/0`` leads to the
    group of that name below it.

    Raises
    ------
    InputError
        If the file is damaged, holds no Zarr, or several side by side.

    Examples
    --------
    >>> zipped(Path("no.zip/A/1")) is None
    True
    """
    file = next((p for p in (path, *path.parents) if p.exists()), path)
    if not file.is_file():
        return None
    with input_errors(f"{file} cannot be read"), file.open("rb") as stream:
        if not stream.read(4).startswith(b"PK\x03\x04"):
            return None
    with input_errors(f"{file} is a damaged zip file", "copy or download it again"):
        names = _names(file, version_of(file))
    inner = path.relative_to(file).as_posix().removeprefix(".")
    roots = _roots(names)
    if inner and any(name.startswith(f"{inner}/") for name in names):
        return Zipped(file, inner)
    if len(roots) == 1:
        return Zipped(file, roots[0]) / inner
    if not roots:
        raise InputError(
            f"{file} is a zip file without a Zarr image", "a zip file with one Zarr inside",
            "unzip it and give what is inside",
        )  # fmt: skip
    raise InputError(
        f"{file} is a zip file with {len(roots)} Zarr images", "one image",
        "give one of them: " + ", ".join(str(file / root) for root in roots[:8]),
    )  # fmt: skip


def version_of(file: Path) -> tuple[int, ...]:
    """What changes with the content of a file, and with the process, which reads by itself."""
    found = file.stat()
    return found.st_mtime_ns, found.st_size, os.getpid()


@lru_cache(4)
def _names(file: Path, _version: tuple[int, ...]) -> tuple[str, ...]:
    with zipfile.ZipFile(file) as archive:
        return tuple(archive.namelist())


def _roots(names: Iterable[str]) -> list[str]:
    """The outermost folders with Zarr metadata."""
    nodes = [PurePosixPath(name).parent for name in names if name.rpartition("/")[2] in ZARR]
    least = min((len(node.parts) for node in nodes), default=0)
    return sorted({"/".join(node.parts) for node in nodes if len(node.parts) == least})


__all__ = ["ZARR", "Zipped", "version_of", "zipped"]
