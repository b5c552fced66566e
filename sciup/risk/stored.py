"""What is learned about a model: kept as JSON beside its weights, for these weights only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from sciup.errors import InputError, ModelError
from sciup.risk.plain import checked

STRICT: Any = {"extra": "forbid"}
"""``__pydantic_config__`` of everything in such a file: a misspelt key is never ignored."""


@dataclass(frozen=True)
class Key:
    """What decides the draws of a model beside the image; another value needs another calibration.

    Attributes
    ----------
    weights : str
        Checksum.
    projection : dict
        The recipe's trust.
    beliefs : int
        Version of how the instrument is found out, see `sciup.physics.beliefs`.
    """

    __pydantic_config__ = STRICT

    weights: str
    projection: dict[str, Any]
    beliefs: int

    def against(self, wanted: Key) -> str:
        """What this belongs to instead of what is wanted; empty if it fits.

        Examples
        --------
        >>> Key("abc", {}, 1).against(Key("abc", {}, 2))
        'beliefs 1, not 2'
        """
        for part in fields(Key):
            mine, other = getattr(self, part.name), getattr(wanted, part.name)
            if mine != other:
                return f"{part.name} {str(mine)[:60]}, not {str(other)[:60]}"
        return ""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Base of the files that say what draws of one model are worth.

    Attributes
    ----------
    key : Key
    about : dict
        For people: data, day, conditions.
    """

    __pydantic_config__ = STRICT
    file: ClassVar[str]
    version: ClassVar[int]
    command: ClassVar[str]  # of sciup, that makes it

    key: Key
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of_model(cls, folder: Path, key: Key) -> Self | str:
        """What lies beside a model, or why it cannot be used.

        Raises
        ------
        ModelError
            If the file is damaged.
        """
        path, name = folder / cls.file, folder.name
        if not path.is_file():
            return f"{name} has no {cls.file}: sciup calibrate {name} DATA {cls.command}".rstrip()
        found = cls.read(path)
        if against := found.key.against(key):
            return f"{cls.file} of {name} is for {against}"
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"version": self.version} | asdict(self)

    def write(self, path: Path) -> None:
        """Write as JSON: all of it or nothing."""
        part = path.with_suffix(".part")
        part.write_text(json.dumps(self.to_dict(), allow_nan=False) + "\n")
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises
        ------
        ModelError
            If it is damaged or of another version.
        """
        try:
            return cls.from_dict(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError, OverflowError, InputError) as error:
            raise ModelError(f"{path} cannot be read: {error}") from None

    @classmethod
    def parts(cls, data: object) -> dict[str, Any]:
        """The members of a file of this version; ModelError for anything else."""
        if isinstance(data, Mapping) and data.get("version") != cls.version:
            version = data.get("version")
            raise ModelError(f"{cls.file} has version {version!r}", str(cls.version), cls.again())
        found = dict(checked(data, ("version", *(f.name for f in fields(cls))), cls.file))
        del found["version"]
        return found

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Inverse of `to_dict`; ModelError for anything else."""
        from pydantic import TypeAdapter, ValidationError

        try:
            made = TypeAdapter(cls).validate_python(cls.parts(data))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            words = f"{cls.file} is damaged at {place}: {first['msg']}"
            raise ModelError(words, fix=cls.again()) from None
        made.check()
        return made

    @classmethod
    def again(cls) -> str:
        """How to make another one, or do without."""
        command = f"sciup calibrate MODEL DATA {cls.command}".rstrip()
        return f"write it again: {command}; or remove it"

    def check(self) -> None:
        """Refuse what no calibration writes, beyond types."""


__all__ = ["STRICT", "Key", "Stored"]
