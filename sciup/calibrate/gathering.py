"""Learn something of every field of known truth, in a way that can be stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from sciup.calibrate.fields import KnownField, Source, Told, name_of
from sciup.risk.columns import Columns, kept_each

C = TypeVar("C", bound=Columns)
Progress = Callable[[str, int], None]
"""Called with what is gathered and the number of its fields done."""


def _silent(what: str, done: int) -> None:
    """No progress."""


@dataclass
class Gathering:
    """Fields, and a folder that keeps what was learned of each: a stopped run goes on.

    Attributes
    ----------
    source : Source
    folder : Path
        Of one folder for all that is gathered together; its name holds the digest of what decides.
    split : str
        Of the manifest; night sky: role of the galaxies.
    progress : callable
    skipped : list of str
        What could not be used, and why.
    """

    source: Source
    folder: Path
    split: str = "calibrate"
    progress: Progress = _silent
    skipped: list[str] = field(default_factory=list)

    def of_fields(
        self,
        condition: str,
        kind: type[C],
        make: Callable[[KnownField], C],
        *decides: object,
        what: str = "",
        split: str = "",
        told: Told = "nothing",
    ) -> list[C]:
        """One table for every field of a condition.

        Parameters
        ----------
        condition : str
        kind, make
            Class of the tables, and what makes one of a field.
        *decides
            All that decides it beside the source and the split.
        what : str
            For people and the name of the folder; default: the condition.
        split : str
            Another one than that of all.
        told : str
            What the program is told of the instrument.
        """
        what, split = what or condition, split or self.split
        name = what.replace(":", "-").replace(", ", "_").replace(" ", "_")
        return kept_each(
            self.folder / f"{name}_{self.source.digest(split, *decides)}",
            kind,
            self.source.fields(condition, split, told, self.skipped.append),
            make,
            partial(self.progress, what),
            name_of,
        )


__all__ = ["Gathering", "Progress"]
