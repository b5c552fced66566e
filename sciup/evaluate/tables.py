"""Tables as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]


@dataclass
class Table:
    """Rows under one heading.

    Attributes
    ----------
    name : str
        File name without suffix.
    title : str
        One sentence above the table.
    rows : list of mappings
        All with the same keys.
    notes : list of str
        Sentences below the table.
    """

    name: str
    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """Columns in the order in which they appear."""
        return list(dict.fromkeys(key for row in self.rows for key in row))

    def markdown(self) -> str:
        """A Markdown table with its title and notes.

        Examples
        --------
        >>> print(Table("t", "Title", [{"set": "w2s", "gain": 1.25, "n": 3}]).markdown())
        Title
        <BLANKLINE>
        | set | gain | n |
        |---|---|---|
        | w2s | 1.250 | 3 |
        <BLANKLINE>
        """
        head = f"| {' | '.join(self.keys)} |\n|{'---|' * len(self.keys)}\n"
        body = "".join(
            f"| {' | '.join(cell(row.get(key, '')) for key in self.keys)} |\n" for row in self.rows
        )
        notes = "".join(f"\n{note}\n" for note in self.notes)
        return f"{self.title}\n\n{head}{body}{notes}"

    def write(self, folder: Path) -> None:
        """Write ``NAME.md``, ``NAME.csv`` and ``NAME.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.md").write_text(self.markdown())
        with (folder / f"{self.name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, self.keys)
            writer.writeheader()
            writer.writerows(self.rows)
        data = {"title": self.title, "notes": list(self.notes), "rows": _plain(self.rows)}
        (folder / f"{self.name}.json").write_text(json.dumps(data, indent=1) + "\n")


def cell(value: Any) -> str:
    """Text of a cell; an empty one for NaN."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.3f}"
    return str(value)


def _plain(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """JSON has no NaN: null instead."""
    return [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in rows
    ]
