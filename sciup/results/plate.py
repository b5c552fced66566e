"""A plate of results: what it holds, what is not finished yet, and whether all of it is whole."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciup.errors import InputError
from sciup.io._check import input_errors
from sciup.io._plate import listed_fields, listed_wells, ours_of
from sciup.results.about import about, size_on_disk
from sciup.results.finished import local
from sciup.results.verify import Damage, Verdict, verify

DECIDE = ("method", "weights", "texture", "calibration", "flux_per_pixel", "settings")
"""Of a fingerprint: what a user asks for, and not what a field brings."""

LEVELS = 3
"""Folders from a plate to a field: row, column, field."""


@dataclass(frozen=True)
class Plate:
    """A plate that `sciup batch` has made, or is making.

    Attributes
    ----------
    path : Path
    source : str
        The plate that it was made of.
    fields : list of str
        Finished fields, ``ROW/COLUMN/FIELD``.
    missing : list of str
        Those that failed or are not made yet.
    """

    path: Path
    source: str
    fields: list[str]
    missing: list[str]

    @classmethod
    def at(cls, path: str | Path) -> Plate | None:
        """The plate at a path; None if there is no plate of sciup."""
        path = local(path)
        ours = ours_of(path).get("plate")
        if ours is None:
            return None
        listed = [name for well in listed_wells(path) for name in listed_fields(path, well)]
        missing = [str(name) for name in ours["fields"] if name not in listed]
        return cls(path, str(ours["source"]), listed, missing)

    @classmethod
    def around(cls, field: str | Path) -> Plate | None:
        """The plate that a result is a field of."""
        field = local(field).absolute()
        return cls.at(field.parents[LEVELS - 1]) if len(field.parents) > LEVELS else None

    @property
    def otherwise(self) -> list[str]:
        """Fields that were made with other options than most; what is damaged is left to verify."""
        made = {name: _options(self.path / name) for name in self.fields}
        ((usual, _),) = Counter(filter(None, made.values())).most_common(1) or [("", 0)]
        return [name for name, options in made.items() if options not in ("", usual)]

    @property
    def again(self) -> str:
        """How to go on."""
        return (
            f"repeat the command that began it: sciup batch {self.source} --out {self.path}, with"
            " the same options"
        )

    def as_json(self) -> dict[str, Any]:
        """What `sciup info` tells, JSON-ready: of every finished field all that is stored."""
        return {
            "path": str(self.path),
            "container": "ome-zarr plate",
            "bytes": size_on_disk(self.path),
            "source": self.source,
            "missing": self.missing,
            "otherwise": self.otherwise,
            "fields": {name: about(self.path / name) for name in self.fields},
        }


def _options(field: Path) -> str:
    """What was asked of a run: model, settings, what was given of the instrument; or nothing."""
    try:
        prints = ours_of(field)["provenance"]["fingerprint"]
        given = [
            {name: fact["value"] for name, fact in plane.items() if fact["origin"] == "given"}
            for plane in prints["instrument"]
        ]
        decided = {key: prints[key] for key in DECIDE} | {"given": given}
    except (KeyError, TypeError, AttributeError):
        return ""
    # one field may have more times than another; channels come in the same order in each
    each = {
        key: [*dict.fromkeys(json.dumps(v, sort_keys=True) for v in _listed(value))]
        for key, value in decided.items()
    }
    return json.dumps(each, sort_keys=True)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def verify_plate(plate: Plate, progress: Callable[[int, int], None]) -> Verdict:
    """Look at all finished fields of a plate, and at what the plate says of them.

    Parameters
    ----------
    plate : Plate
    progress : callable
        Called with the number of fields looked at and in all.

    Returns
    -------
    Verdict
        Its maps and places begin with the field. A field that was never finished is no damage.
    """
    verdict = Verdict(plate.path, stated=True)
    for done, name in enumerate(plate.fields):
        progress(done, len(plate.fields))
        try:
            found = verify(plate.path / name)
        except InputError as error:
            verdict.damage.append(Damage(name, error.what))
            continue
        verdict.maps += [f"{name}/{map_}" for map_ in found.maps]
        verdict.shards += found.shards
        verdict.stated &= found.stated
        verdict.damage += [Damage(f"{name}: {d.where}", d.what) for d in found.damage]
    verdict.damage += _of_plate(plate.path)
    return verdict


def _of_plate(path: Path) -> Iterator[Damage]:
    """What is wrong with the lists of plate and wells."""
    wells = listed_wells(path)
    for well in wells:
        if not listed_fields(path, well):
            yield Damage(well, "the plate lists it, and it cannot be read")
    if wells:
        yield from _schema(path)


def _schema(path: Path) -> Iterator[Damage]:
    """What ome-zarr-models says of plate and wells, where it is installed."""
    try:
        import zarr
        from ome_zarr_models.v05.hcs import HCS
        from zarr.storage import LocalStore
    except ImportError:
        return
    try:
        with warnings.catch_warnings(), input_errors("the metadata are no valid OME-Zarr 0.5"):
            warnings.simplefilter("ignore")  # reports and the like may lie in the folder
            HCS.from_zarr(zarr.open_group(LocalStore(path, read_only=True), mode="r"))
    except InputError as error:
        yield Damage("plate", error.what)


__all__ = ["Plate", "verify_plate"]
