"""Calibrated intervals from errors on fields of known truth, and tables of what they are worth."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from sciup.calibrate.fields import Source
from sciup.errors import InputError
from sciup.evaluate.intervals import ratio
from sciup.evaluate.tables import Table
from sciup.science.coverage.gather import SAMPLES, Errors
from sciup.science.measure.interval import LEVELS
from sciup.science.measure.measurements import (
    EDGES,
    LEAST,
    UNITS,
    Measurements,
    Stratum,
    ends,
)

Array = NDArray[np.float64]

STATED = {"stated": "PSF stated", "estimated": "PSF estimated"}


def fit(errors: Errors, source: Source) -> Measurements:
    """The intervals of a model.

    Raises
    ------
    InputError
        If no quantity has enough regions.
    """
    strata = [s for part, low, high in classes(errors) if (s := stratum(part, low, high))]
    if not strata:
        raise InputError(
            f"{len(errors)} measurements are too few",
            f"{LEAST} or more of one quantity and class of S/N, in {UNITS} or more fields",
            "check DATA and --split, or give more fields",
        )
    about = {
        "data": source.words,
        "conditions": list(source.conditions),
        "draws": SAMPLES,
        "precision": source.precision,
        "day": datetime.date.today().isoformat(),
    }
    return Measurements(source.model.weights, dict(source.model.trust), tuple(strata), about)


def classes(errors: Errors) -> Iterator[tuple[Errors, float, float]]:
    """The errors by number, knowledge and S/N; those without any error are left out."""
    for name in dict.fromkeys(errors.name.tolist()):
        for known in STATED:
            mine = errors.take((errors.name == name) & (errors.knowledge == known))
            for low, high in pairwise(EDGES):
                part = mine.take((mine.snr >= low) & (mine.snr < high))
                if len(part):
                    yield part, low, high


def stratum(part: Errors, low: float, high: float) -> Stratum | None:
    """One class; None if it has too few regions or fields."""
    units = part.unit.tolist()
    if len(part) < LEAST or len(set(units)) < UNITS:
        return None
    return Stratum(
        str(part.name[0]),
        str(part.knowledge[0]),
        None if math.isinf(low) else low,
        None if math.isinf(high) else high,
        len(part),
        len(set(units)),
        tuple(ends(part.score, level) for level in LEVELS),
        tuple(part.inside.mean(0).tolist()),
        crossed(part),
    )


def crossed(part: Errors) -> tuple[float, ...]:
    """Coverage of intervals whose ends the other half of the fields gave."""
    half = np.array([crc32(f"half {unit}".encode()) % 2 for unit in part.unit.tolist()])
    shares = []
    for level in LEVELS:
        hit = np.zeros(len(part), bool)
        for which in (0, 1):
            low, high = ends(part.score[half != which], level)
            mine = half == which
            hit[mine] = (low <= part.score[mine]) & (part.score[mine] <= high)
        shares.append(float(hit.mean()))
    return tuple(shares)


def table(errors: Errors, known: Measurements, split: str) -> Table:
    """What intervals held on some fields: those of the draws as such, and the calibrated ones."""
    rows = []
    for part, low, high in classes(errors):
        name, told = str(part.name[0]), str(part.knowledge[0])
        found = known.find(name, told, low)
        row = {
            "number": name,
            "instrument": STATED[told],
            "S/N": _class(low, high),
            "regions": len(part),
            "fields": len(set(part.unit.tolist())),
        }
        units = part.unit.tolist()
        for i, level in enumerate(LEVELS):
            row[f"draws {level:.0%}"] = float(part.inside[:, i].mean())
            if found is None:
                row |= {f"calibrated {level:.0%}": math.nan, f"{level:.0%} from": math.nan}
                row[f"{level:.0%} to"] = math.nan
                continue
            a, b = found.ends[i]
            hit = (a <= part.score) & (part.score <= b)
            share = ratio(hit.astype(float).tolist(), [1.0] * len(part), units)
            row |= {f"calibrated {level:.0%}": share.value, f"{level:.0%} from": share.ends[0]}
            row[f"{level:.0%} to"] = share.ends[1]
        width = np.nan if found is None else (found.ends[0][1] - found.ends[0][0]) / 2
        lengths = width * part.spread / part.forced
        known_length = np.isfinite(lengths)
        row["length"] = float(np.median(lengths[known_length])) if known_length.any() else math.nan
        rows.append(row)
    notes = [
        "draws: intervals of the draws as such. calibrated: by the errors on the fields of the"
        " calibration; from, to: 95 % interval by resampling fields.",
        "length: half the calibrated 68 % interval over the noise (background and photons) of the"
        " same aperture on the input, which also has the light of neighbours and lacks what the PSF"
        " took out of it; median; flux only.",
    ]
    return Table("measurements", f"Intervals of measurements on {split} fields.", rows, notes)


def strata_table(known: Measurements) -> Table:
    """What a calibration keeps; its coverage is that of the other half of the fields."""
    rows = []
    for s in known.strata:
        low, high = s.low or 0.0, math.inf if s.high is None else s.high
        row = {
            "number": s.name,
            "instrument": STATED[s.knowledge],
            "S/N": _class(low, high),
            "regions": s.regions,
            "fields": s.units,
        }
        for i, level in enumerate(LEVELS):
            row |= {f"draws {level:.0%}": s.plain[i], f"calibrated {level:.0%}": s.covered[i]}
            row |= {f"{level:.0%} z low": s.ends[i][0], f"{level:.0%} z high": s.ends[i][1]}
        rows.append(row)
    notes = [
        "draws: share of truths in the intervals of the draws as such; calibrated: in intervals"
        " that the other half of the fields gave; z: ends of the calibrated interval, in units of"
        " the draws' spread from their mean.",
    ]
    return Table(
        "measurements", "Intervals of measurements, on the fields they are from.", rows, notes
    )


def _class(low: float, high: float) -> str:
    return f"{low:g}-{high:g}" if math.isfinite(high) else f"> {low:g}"


__all__ = ["classes", "fit", "strata_table", "stratum", "table"]
