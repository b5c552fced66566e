"""Whether a finished result is still what was written: all of it there, every value as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sciup.errors import InputError
from sciup.geometry import Box, shards
from sciup.image import Float, Plane
from sciup.io._check import input_errors
from sciup.io._journal import agrees
from sciup.io._provenance import container_at
from sciup.io._writer import SHARD
from sciup.results.finished import local
from sciup.results.recognise import check_result

Progress = Callable[[int, int], None]
Read = Callable[[Plane, Box], Float]

MAY_BE_EMPTY = ("risk_bound",)
"""Maps that are NaN everywhere where they are withheld."""


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not as it was written.

    Attributes
    ----------
    where : str
        Map or file, and output pixels where they are known.
    what : str
        What is wrong with it.
    """

    where: str
    what: str


@dataclass
class Verdict:
    """What was looked at, and what was found.

    Attributes
    ----------
    path : Path
    maps : list of str
        Maps that the result should have.
    shards : int
        Parts whose values were compared with their checksums.
    stated : bool
        Whether the result holds checksums of its values: older ones do not.
    damage : list of Damage
    """

    path: Path
    maps: list[str] = field(default_factory=list)
    shards: int = 0
    stated: bool = False
    damage: list[Damage] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "path": str(self.path),
            "whole": not self.damage,
            "maps": self.maps,
            "shards_compared": self.shards,
            "checksums": self.stated,
            "damage": [{"where": d.where, "what": d.what} for d in self.damage],
        }


def verify(path: str | Path, progress: Progress | None = None) -> Verdict:
    """Compare a finished result with the checksums and the structure that it was written with.

    Parameters
    ----------
    path : path
        FITS file, OME-Zarr folder or OME-TIFF file.
    progress : callable, optional
        Called with the number of maps looked at and in all.

    Returns
    -------
    Verdict
        Without damage if all is well. All pixels are read, a shard at a time.

    Raises
    ------
    InputError
        If it was never a finished result; it says what it is.
    """
    path = local(path)
    kind = _kind(path)
    if not kind.was_result(path):
        check_result(path)
    verdict = Verdict(path)
    try:
        with input_errors("what the result says of itself cannot be understood"):
            for damage in kind.check(path, verdict, progress or _silent):
                verdict.damage.append(damage)
    except InputError as error:
        verdict.damage.append(Damage("metadata", error.what))
    return verdict


def refuse_damage(path: Path) -> None:
    """Look at all but the pixels: metadata, headers, small arrays.

    Raises
    ------
    InputError
        If something is not as it was written.
    """
    with input_errors(f"what {path} says of itself cannot be understood"):
        for damage in _kind(path).around(path, Verdict(path)):
            raise InputError(
                f"{path} is damaged: {damage.where}: {damage.what}", "whole results",
                f"see all of it with: sciup verify {path}",
            )  # fmt: skip


def _kind(path: Path) -> Any:
    """The module that knows the container."""
    from sciup.results import verify_fits, verify_tiff, verify_zarr

    kinds = {"fits": verify_fits, "ome-zarr": verify_zarr, "ome-tiff": verify_tiff}
    return kinds[container_at(path)]


def _silent(*_: int) -> None:
    """Progress that nobody watches."""


def unlisted(maps: list[str], stated: Mapping[str, Any]) -> Iterator[Damage]:
    """Maps that have checksums and are not in the list of maps."""
    for name in sorted({*stated.get("maps", {})} - {name.partition("/")[0] for name in maps}):
        yield Damage(name, "the map is gone from the list of maps")


def check_map(
    name: str, shape: tuple[int, ...], read: Read, stated: Mapping[str, Any], verdict: Verdict
) -> Iterator[Damage]:
    """Read all of a map, shard by shard, and compare.

    Parameters
    ----------
    name : str
        As in the checksums, or ``samples/K``.
    shape : tuple of int
    read : callable
        Values of a window; raises `InputError` where they cannot be had.
    stated : mapping
        ``checksums`` of the provenance; empty if there are none.
    verdict : Verdict
        Where the shards are counted.
    """
    side, sums = stated.get("shard", SHARD), _sums(name, shape, stated)
    boxes = [box for _, box in shards((shape[-2], shape[-1]), side)]
    planes = list(np.ndindex(shape[:-2]))
    if sums is not None and [len(s) for s in sums] != [len(boxes)] * len(planes):
        yield Damage(name, f"its shape is {shape}, which is not that of what was written")
        return
    filled, fine = False, True
    for number, plane in enumerate(planes):
        for i, box in enumerate(boxes):
            try:
                values = read(plane, box)
            except InputError as error:
                fine = False
                yield Damage(place(name, plane, box), error.what)
                continue
            filled = filled or bool(np.isfinite(values).any())
            if sums is None:
                continue
            verdict.shards += 1
            if not agrees(values, sums[number][i]):
                fine = False
                yield Damage(place(name, plane, box), "the values are not those that were written")
    if fine and not filled and name not in MAY_BE_EMPTY:
        yield Damage(name, "every pixel is NaN")


def _sums(name: str, shape: tuple[int, ...], stated: Mapping[str, Any]) -> list[list[str]] | None:
    """Checksums of a map, plane by plane; a sample that is an image of its own has a part."""
    kind, _, k = name.partition("/")
    sums: list[list[str]] | None = stated.get("maps", {}).get(kind)
    if sums is None or not k:
        return sums
    planes = int(np.prod(shape[:-2], dtype=np.int64))
    return sums[int(k) * planes : (int(k) + 1) * planes]


def place(name: str, plane: Plane, box: Box) -> str:
    """A window of a map in words, output pixels.

    Examples
    --------
    >>> place("mean", (1,), Box((0, 2048), (2048, 2500)))
    'mean, plane 1, y 0:2048, x 2048:2500'
    """
    (y0, x0), (y1, x1) = box.start, box.stop
    number = f", plane {','.join(map(str, plane))}" if plane else ""
    return f"{name}{number}, y {y0}:{y1}, x {x0}:{x1}"


__all__ = ["Damage", "Verdict", "check_map", "place", "refuse_damage", "unlisted", "verify"]
