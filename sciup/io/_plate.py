"""A plate of results as OME-Zarr 0.5: it lists what is finished, field by field, and nothing else.

Every field is a whole result that grows beside its place. Only when it is there do its well and the
plate name it, so that a plate can be opened at any time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sciup.errors import InputError, OutputError
from sciup.io._ome_metadata import VERSION
from sciup.io._zarr_groups import Place, attributes_of, fields_of, read_node
from sciup.io._zarr_sums import OWN, own_sum
from sciup.io._zarr_writer import output_errors, write_group

ROOT = "zarr.json"
FACE = "sample"
"""Map that a field shows where it is opened as an image."""


@dataclass(frozen=True)
class PlateWriter:
    """The plate that the fields of another one grow into.

    Attributes
    ----------
    path : Path
        Folder of the new plate.
    source : str
        The plate that is read.
    about : mapping
        Its metadata ``plate``.
    wells : mapping of str to mapping
        Its metadata ``images`` of every well, by the path of the well.
    """

    path: Path
    source: str
    about: Mapping[str, Any]
    wells: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def of(cls, source: Place, path: Path) -> PlateWriter:
        """For a plate; nothing is written yet.

        Raises
        ------
        InputError
            If there is no plate at the source, or it has no fields.
        """
        fields = fields_of(source)
        if fields is None:
            raise InputError(f"{source} is no plate", "an OME-Zarr plate")
        listed = dict.fromkeys(well_of(name) for name in fields)
        wells = {well: _ome(source / well)["well"]["images"] for well in listed}
        return cls(Path(path), str(source), _ome(source)["plate"], wells)

    @property
    def fields(self) -> list[str]:
        """All fields that the plate will have, ``ROW/COLUMN/FIELD``."""
        return [f"{well}/{one['path']}" for well, images in self.wells.items() for one in images]

    def begin(self) -> None:
        """Make the folder, or go on in it; a group that does not open as a plate yet.

        Raises
        ------
        OutputError
            If something else is there, or a plate made of another one.
        """
        ours = ours_of(self.path).get("plate")
        if ours is not None and ours["source"] != self.source:
            raise OutputError(
                f"{self.path} is a plate made of {ours['source']!r}, not of {self.source!r}",
                fix="choose another name, or delete it",
            )
        if ours is None and self.path.exists() and any(self.path.iterdir()):
            raise OutputError(
                f"{self.path} exists already and is no plate that `sciup batch` has begun",
                fix="choose another name",
            )
        if ours is None:
            with output_errors(self.path):
                write_group(self.path, {"sciup": {"plate": self._ours}})

    def add(self, names: Iterable[str]) -> None:
        """List fields that are finished, beside those that are listed already.

        Raises
        ------
        OutputError
            If the disk is full.
        """
        new = set(names)
        wells = {well_of(name) for name in new}
        with output_errors(self.path):
            for well in wells:
                here = new | set(listed_fields(self.path, well))
                kept = [dict(one) for one in self.wells[well] if f"{well}/{one['path']}" in here]
                about = {"well": {"images": kept, "version": VERSION}}
                write_group(self.path / PurePosixPath(well).parent, {})
                write_group(self.path / well, _ome_group(about))
            self._write_plate(wells | set(listed_wells(self.path)))

    @property
    def _ours(self) -> dict[str, Any]:
        return {"source": self.source, "fields": self.fields}

    def _write_plate(self, wells: set[str]) -> None:
        """The plate with the wells that have a finished field."""
        rows, columns = (self._names(key, part) for key, part in (("rows", 0), ("columns", 1)))
        plate: dict[str, Any] = {
            "version": VERSION,
            "name": str(self.about.get("name") or self.path.name.removesuffix(".ome.zarr")),
            "rows": [{"name": name} for name in rows],
            "columns": [{"name": name} for name in columns],
            "wells": [
                {
                    "path": well,
                    "rowIndex": rows.index(well.split("/")[0]),
                    "columnIndex": columns.index(well.split("/")[1]),
                }
                for well in self.wells
                if well in wells
            ],
            "field_count": max(map(len, self.wells.values())),
        }
        if self.about.get("acquisitions"):
            plate["acquisitions"] = self.about["acquisitions"]
        write_group(self.path, _ome_group({"plate": plate}) | {"sciup": {"plate": self._ours}})

    def _names(self, key: str, part: int) -> list[str]:
        """Names of rows or columns: as listed, else those of the wells."""
        listed = [str(one["name"]) for one in self.about.get(key) or ()]
        return listed or list(dict.fromkeys(well.split("/")[part] for well in self.wells))


def add_face(root: Path) -> None:
    """Make a result open as an image, too: that of its map `FACE`, or of the first one.

    The container of maps gets the metadata of one of them, whose arrays lie one folder deeper.
    """
    attributes = _attributes(root)
    about = attributes["sciup"]
    maps = [name for name in about["maps"] if not name.startswith("samples")]
    name = FACE if FACE in maps else maps[0]
    face = _attributes(root / name)
    for dataset in face["ome"]["multiscales"][0]["datasets"]:
        dataset["path"] = f"{name}/{dataset['path']}"
    attributes["ome"] = face["ome"]
    about |= {key: face["sciup"][key] for key in ("unit", "channels") if key in face["sciup"]}
    about[OWN] = own_sum(attributes)
    write_group(root, attributes)


def well_of(field: str) -> str:
    """``ROW/COLUMN`` of ``ROW/COLUMN/FIELD``."""
    return field.rpartition("/")[0]


def ours_of(path: Path) -> dict[str, Any]:
    """What sciup says in the metadata of a group; empty if nothing."""
    try:
        return dict(_attributes(path)["sciup"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def listed_wells(path: Path) -> list[str]:
    """The wells of a plate that have a finished field; none before the first.

    Raises
    ------
    InputError
        If the metadata of the plate are damaged.
    """
    try:
        plate = _attributes(path).get("ome", {"plate": {"wells": ()}})["plate"]
        return [str(well["path"]) for well in plate["wells"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the metadata of the plate {path} are damaged ({error!r})") from error


def listed_fields(path: Path, well: str) -> list[str]:
    """The finished fields of a well; none if the well cannot be read."""
    try:
        images = _attributes(path / well)["ome"]["well"]["images"]
        return [f"{well}/{one['path']}" for one in images]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _attributes(group: Path) -> dict[str, Any]:
    return dict(json.loads((group / ROOT).read_text(encoding="utf-8"))["attributes"])


def _ome(place: Place) -> dict[str, Any]:
    return attributes_of(read_node(place))


def _ome_group(what: dict[str, Any]) -> dict[str, Any]:
    return {"ome": {"version": VERSION, **what}}


__all__ = ["PlateWriter", "add_face", "listed_fields", "listed_wells", "ours_of", "well_of"]
