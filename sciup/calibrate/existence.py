"""How often what draws show is true: curves of P(exists) from fields of known truth."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.calibrate.candidates import Pairs, kinds_of, pairs_of
from sciup.calibrate.covered import covered_table
from sciup.calibrate.gathering import Gathering
from sciup.errors import InputError
from sciup.evaluate.sky.detect import reliability_table
from sciup.evaluate.tables import Table
from sciup.existence.curves import LEAST, Curve, Errors, Existence
from sciup.risk.conformal import LEAST as FEWEST
from sciup.risk.conformal import UNITS, Ends, below, crossed, ends
from sciup.risk.ranks import LEVELS

Array = NDArray[np.float64]
Row = dict[str, Any]

SNR = ((-np.inf, 5.0), (5.0, 10.0), (10.0, 20.0), (20.0, np.inf))
"""Classes of S/N of the table of fluxes."""


def make(gathering: Gathering, limit: float) -> tuple[Existence, list[Table]]:
    """The curves of a model, and what they are worth.

    Parameters
    ----------
    gathering : Gathering
    limit : float
        S/N of the faintest point source that counts.

    Returns
    -------
    existence : Existence
        One curve per kind of which enough was found.
    tables : list of Table
        Per kind P(exists) against the share that exists, raw and calibrated by the curve of the
        other half of the fields; and how often intervals of fluxes cover.

    Raises
    ------
    InputError
        If no kind has enough candidates.
    """
    source = gathering.source
    pairs = Pairs.join([pairs_of(gathering, c, limit) for c in source.conditions])
    curves, tables = [], []
    for kind in kinds_of(source):
        part = pairs.take(pairs.kind == kind)
        try:
            curve, shown = fitted(part, kind, limit, source.samples)
        except InputError as error:
            gathering.skipped.append(str(error))
            continue
        curves.append(curve)
        tables += shown
    if not curves:
        raise InputError(
            f"too few candidates: {'; '.join(gathering.skipped[-3:])}",
            f"{LEAST} or more in each half of the fields",
            "check DATA and --split, give more fields, or a lower --limit",
        )
    about = {
        "data": source.words,
        "conditions": list(source.conditions),
        "instrument": "estimated by the program, field by field",
        "precision": source.precision,
        "day": datetime.date.today().isoformat(),
    }
    return Existence(key=source.model.key, about=about, curves=tuple(curves)), tables


def fitted(pairs: Pairs, kind: str, limit: float, samples: int) -> tuple[Curve, list[Table]]:
    """A curve of all candidates, with tables whose every half was calibrated by the other."""
    # as many fields in either half, whatever their names
    units = sorted(set(pairs.unit.tolist()), key=lambda u: sha256(u.encode()).digest())
    half = np.array([units.index(unit) % 2 for unit in pairs.unit.tolist()])
    honest = np.empty(len(pairs))

    def fit(part: Pairs) -> Curve:
        units = part.unit.tolist()
        return Curve.fit(part.p, part.exists, kind=kind, limit=limit, samples=samples, units=units)

    for which in (0, 1):
        honest[half == which] = fit(pairs.take(half != which))(pairs.p[half == which])
    about = f"{kind}, S/N {limit:g}, {samples} + 1 draws"
    raw, calibrated = (
        reliability_table(
            _rows(pairs, p), f"existence_{kind}_{name}", f"P(exists), {name}: {about}."
        )
        for name, p in (("raw", pairs.p), ("calibrated", honest))
    )
    notes = ["P of every candidate by the curve of the other half of the fields; edges left out."]
    raw, calibrated = replace(raw, notes=[]), replace(calibrated, notes=notes)
    rows = tuple({k: _plain(v) for k, v in row.items()} for row in calibrated.rows)
    curve = replace(
        fit(pairs), reliability=rows, fluxes=flux_errors(pairs), places=place_errors(pairs)
    )
    return curve, [raw, calibrated, errors_table(curve, about)]


def flux_errors(pairs: Pairs) -> tuple[Errors, ...]:
    """How far off the fluxes of all candidates are, class by class."""
    return _errors(pairs, pairs.score, pairs.covered, ends)


def place_errors(pairs: Pairs) -> tuple[Errors, ...]:
    """How far off the places are of those that exist; the spread as such is that of 68 %."""
    inside = np.stack([pairs.away <= 1, np.full(len(pairs), np.nan)], axis=-1)
    return _errors(pairs, pairs.away, inside, below)


def _errors(pairs: Pairs, scores: Array, inside: Array, made: Ends) -> tuple[Errors, ...]:
    found = []
    for low, high in SNR:
        mine = (pairs.snr >= low) & (pairs.snr < high) & np.isfinite(scores)
        units = pairs.unit[mine].tolist()
        if mine.sum() < FEWEST or len(set(units)) < UNITS:
            continue
        first, second = (made(scores[mine], level) for level in LEVELS)
        covered = crossed(scores[mine], units, LEVELS, made)
        plain = inside[mine].mean(0).tolist()
        found.append(
            Errors(
                low=_end(low),
                high=_end(high),
                candidates=int(mine.sum()),
                units=len(set(units)),
                ends=(first, second),
                plain=(_plain(plain[0]), _plain(plain[1])),
                covered=(covered[0], covered[1]),
            )
        )
    return tuple(found)


def _end(snr: float) -> float | None:
    return snr if math.isfinite(snr) else None


def _rows(pairs: Pairs, p: Array) -> list[Row]:
    """What `reliability_table` counts."""
    named = zip(pairs.unit.tolist(), p.tolist(), pairs.exists.tolist(), strict=True)
    # a chance of 1 belongs to the last class
    return [{"field": u, "p": min(x, 1 - 1e-9), "exists": int(e)} for u, x, e in named]


def _plain(value: Any) -> Any:
    """For JSON, which has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def errors_table(curve: Curve, about: str) -> Table:
    """How often the truth was inside: of intervals of the draws as such, and of calibrated ones."""
    kinds = (("flux", curve.fluxes), ("place", curve.places))
    rows = (({"of": of, "candidates": c.candidates}, c) for of, classes in kinds for c in classes)
    return covered_table(
        f"existence_{curve.kind}_errors",
        f"Intervals of candidates: {about}.",
        rows,
        "flux: of all candidates, also of those that do not exist; place: of those that exist.",
    )


__all__ = ["fitted", "flux_errors", "make", "place_errors"]
