"""The table of calibrated intervals: what they are made of, and how often they held the truth."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

from sciup.evaluate.tables import Table
from sciup.risk.ranks import LEVELS

Pairs = tuple[tuple[float, float], tuple[float, float]]
Shares = tuple[float | None, float | None]

NOTE = (
    "draws: share of truths in the intervals of the draws as such; calibrated: in intervals that"
    " all other fields gave, field by field; z: ends of the calibrated interval, in spreads of the"
    " draws from their mean."
)


class Class(Protocol):
    """Errors of one class of S/N, such as `sciup.existence.curves.Errors`."""

    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def units(self) -> int: ...
    @property
    def ends(self) -> Pairs: ...
    @property
    def plain(self) -> Shares: ...
    @property
    def covered(self) -> tuple[float, float]: ...


def covered_table(
    name: str, title: str, rows: Iterable[tuple[dict[str, Any], Class]], note: str = ""
) -> Table:
    """Calibrated intervals class by class; their coverage is that of fields that had no part.

    Parameters
    ----------
    name, title : str
        See `sciup.evaluate.tables.Table`.
    rows : iterable of (dict, Class)
        What a class is of and from how much, and the class.
    note : str
        To be said beside `NOTE`.
    """
    made = []
    for labels, one in rows:
        row = labels | {"S/N": snr_words(one.low, one.high), "fields": one.units}
        for i, level in enumerate(LEVELS):
            plain = one.plain[i]
            row[f"draws {level:.0%}"] = math.nan if plain is None else plain
            row[f"calibrated {level:.0%}"] = one.covered[i]
            row |= {f"{level:.0%} z low": one.ends[i][0], f"{level:.0%} z high": one.ends[i][1]}
        made.append(row)
    return Table(name, title, made, [note, NOTE] if note else [NOTE])


def snr_words(low: float | None, high: float | None) -> str:
    """A class of S/N; None and infinity are no end.

    Examples
    --------
    >>> snr_words(5.0, 10.0), snr_words(20.0, None), snr_words(None, 5.0)
    ('5-10', '> 20', '0-5')
    """
    low = low or 0.0
    return f"> {low:g}" if high is None or math.isinf(high) else f"{low:g}-{high:g}"


__all__ = ["NOTE", "covered_table", "snr_words"]
