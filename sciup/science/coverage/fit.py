"""Calibrated intervals from errors on fields of known truth, and tables of what they are worth."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sciup.calibrate.covered import covered_table, snr_words
from sciup.calibrate.fields import Source
from sciup.errors import InputError
from sciup.evaluate.intervals import ratio
from sciup.evaluate.tables import Table
from sciup.risk.conformal import LEAST, UNITS, crossed, ends
from sciup.science.coverage.gather import SAMPLES, SHOWN, Errors
from sciup.science.coverage.regions import RADII, SQUARE
from sciup.science.measure.interval import LEVELS
from sciup.science.measure.measurements import EDGES, Measurements, Stratum

Array = NDArray[np.float64]


def fit(errors: Errors, source: Source) -> Measurements:
    """The intervals of a model.

    Raises
    ------
    InputError
        If no quantity has enough regions.
    """
    domain = source.model.domain
    strata = [s for part, low, high in classes(errors) if (s := stratum(part, low, high, domain))]
    if not strata:
        raise InputError(
            f"{len(errors)} measurements are too few",
            f"{LEAST} or more of one quantity and class of S/N, in {UNITS} or more fields",
            "check DATA and --split, or give more fields",
        )
    about = {
        "data": source.words,
        "conditions": list(source.conditions),
        "precision": source.precision,
        "day": datetime.date.today().isoformat(),
    }
    return Measurements(key=source.model.key, about=about, strata=tuple(strata), draws=SAMPLES)


def classes(errors: Errors) -> Iterator[tuple[Errors, float, float]]:
    """The errors by number, knowledge and S/N; those without any error are left out."""
    for name in dict.fromkeys(errors.name.tolist()):
        for known in ("stated", "estimated"):
            mine = errors.take((errors.name == name) & (errors.knowledge == known))
            for low, high in pairwise(EDGES):
                part = mine.take((mine.snr >= low) & (mine.snr < high))
                if len(part):
                    yield part, low, high


def stratum(part: Errors, low: float, high: float, domain: str) -> Stratum | None:
    """One class; None if it has too few regions or fields."""
    units = part.unit.tolist()
    if len(part) < LEAST or len(set(units)) < UNITS:
        return None
    narrow, wide = (ends(part.score, level) for level in LEVELS)
    plain, more = part.inside.mean(0).tolist()
    covered, covered_more = crossed(part.score, units, LEVELS)
    return Stratum(
        name=str(part.name[0]),
        knowledge=str(part.knowledge[0]),
        low=low,
        high=None if math.isinf(high) else high,
        areas=areas(str(part.name[0]), domain),
        regions=len(part),
        units=len(set(units)),
        ends=(narrow, wide),
        plain=(plain, more),
        covered=(covered, covered_more),
    )


def areas(name: str, domain: str) -> tuple[float, float]:
    """Smallest and largest region [input px] that a calibration speaks for."""
    if name in SHOWN[domain]:
        return (SQUARE / 2) ** 2, (SQUARE * 2.0) ** 2
    low, high = RADII[domain]
    return math.pi * low**2 * (1 - 1e-6), math.pi * high**2 * (1 + 1e-6)


def table(errors: Errors, known: Measurements, split: str, domain: str) -> Table:
    """What intervals held on some fields: those of the draws as such, and the calibrated ones."""
    rows = []
    for part, low, high in classes(errors):
        name, told = str(part.name[0]), str(part.knowledge[0])
        found = known.find(name, told, low, areas(name, domain)[0])
        row = {
            "number": name,
            "instrument": told,
            "S/N": snr_words(low, high),
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
    """What a calibration keeps; its coverage is that of all other fields."""
    return covered_table(
        "measurements",
        "Intervals of measurements, on the fields they are from.",
        (
            ({"number": s.name, "instrument": s.knowledge, "regions": s.regions}, s)
            for s in known.strata
        ),
    )


__all__ = ["classes", "fit", "strata_table", "stratum", "table"]
