"""The same numbers measured on the draws and on a bicubic picture, beside the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciup.evaluate.intervals import ratio
from sciup.evaluate.tables import Table
from sciup.science.coverage.gather import Errors

Array = NDArray[np.float64]

METHODS = {"draws": "value", "bicubic": "bicubic"}
"""Name in the table, and of the numbers."""


def rivals_table(errors: Errors, split: str) -> Table:
    """How far off each number is, of the mean over the draws and of a bicubic picture.

    Parameters
    ----------
    errors : Errors
    split : str
        Of the fields, for the title.
    """
    rows = []
    for name in dict.fromkeys(errors.name.tolist()):
        for told in dict.fromkeys(errors.knowledge.tolist()):
            part = errors.take((errors.name == name) & (errors.knowledge == told))
            part = part.take(np.isfinite(part.bicubic))
            if len(part):
                rows.append(_row(part, name, told))
    notes = [
        "off: mean distance from the truth; bias: mean error; per cent of the mean truth, of"
        " centroids in input px; from, to: 95 % interval by resampling fields. All regions, also"
        " faint ones. bicubic: the same function on the interpolated input, PSF and noise in it."
        " nearer: by how much the draws are less off, region by region.",
    ]
    return Table(
        "rivals", f"Numbers of draws and of bicubic pictures, {split} fields.", rows, notes
    )


def _row(part: Errors, name: str, told: str) -> dict[str, object]:
    """One number."""
    position = name.startswith("centroid")
    units = part.unit.tolist()
    whole: Array = np.full(len(part), 1.0 if position else 0.01 * float(np.abs(part.truth).mean()))
    row: dict[str, object] = {
        "number": name,
        "instrument": told,
        "regions": len(part),
        "fields": len(set(units)),
        "truth": np.nan if position else float(part.truth.mean()),
    }
    distance: dict[str, Array] = {}
    for method, column in METHODS.items():
        error = getattr(part, column) - part.truth
        distance[method] = np.abs(error)
        row |= _with_ends(f"{method} off", distance[method], whole, units)
        row[f"{method} bias"] = float(error.sum() / whole.sum())
    nearer = distance["bicubic"] - distance["draws"]
    return row | _with_ends("nearer", nearer, whole, units)


def _with_ends(name: str, value: Array, whole: Array, units: list[str]) -> dict[str, object]:
    """A share of the whole with its bootstrap interval."""
    share = ratio(value.tolist(), whole.tolist(), units)
    short = name.removesuffix(" off")
    return {name: share.value, f"{short} from": share.ends[0], f"{short} to": share.ends[1]}


__all__ = ["rivals_table"]
