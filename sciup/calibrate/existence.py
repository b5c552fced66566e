"""How often what draws show is true: curves of P(exists) from fields of known truth."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sciup.calibrate.covered import covered_table
from sciup.calibrate.fields import KnownField, Source
from sciup.calibrate.observe import observe
from sciup.errors import InputError
from sciup.evaluate.sky.detect import reliability_table
from sciup.evaluate.tables import Table
from sciup.existence.believed import Believed
from sciup.existence.candidates import agreement, search
from sciup.existence.curves import LEAST, VERSION, Curve, Errors, Existence
from sciup.existence.target import KINDS
from sciup.risk.columns import Columns, kept
from sciup.risk.conformal import LEAST as FEWEST
from sciup.risk.conformal import UNITS, Ends, below, crossed, ends
from sciup.risk.ranks import LEVELS, interval

Array = NDArray[np.float64]
Row = dict[str, Any]
Progress = Callable[[str, int], None]

SNR = ((-np.inf, 5.0), (5.0, 10.0), (10.0, 20.0), (20.0, np.inf))
"""Classes of S/N of the table of fluxes."""

TRUE_LEVEL = 0.0
"""Of a truth where there is no light: it has neither a sky nor the pedestal of a camera."""


@dataclass(frozen=True)
class Pairs(Columns):
    """Candidates of known truth, n of them.

    Attributes
    ----------
    kind, unit : ndarray of str (n,)
        What was looked for; the independent field.
    p : ndarray (n,)
        Chance as the draws say.
    exists : ndarray of bool (n,)
    snr : ndarray (n,)
        Of the mean flux of the draws.
    covered : ndarray (n, levels)
        Whether the true flux lies in the intervals of `sciup.risk.ranks.LEVELS`: 1, 0, or NaN
        where the draws are too few for one.
    score, away : ndarray (n,)
        Error of the flux, and distance of the true place, in spreads of the draws; NaN where there
        is no spread or no true place.
    """

    kind: NDArray[np.str_]
    unit: NDArray[np.str_]
    p: Array
    exists: NDArray[np.bool_]
    snr: Array
    covered: Array
    score: Array
    away: Array

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """All of several parts; none at all where there is none."""
        if not parts:
            words, number, yes = (np.empty(0, t) for t in ("U1", float, bool))
            nothing = np.empty((0, len(LEVELS)))
            return cls(words, words, number, yes, number, nothing, number, number)
        return super().join(parts)


def compare(one: KnownField, kind: str, limit: float, seen: Any) -> Pairs:
    """The candidates of one field beside its truth.

    Light of the draws is above the sky that the run believed in, as in `sciup detect`; light of the
    truth above its own, which is 0: a wrong belief is an error of the draws. Of micrographs only
    light above its surroundings counts, in draws and truth alike, so that no level matters.

    Those at the edges do not count: a small field has more edge than what it stands for.
    """
    job = one.result.job
    believed = Believed.of(
        kind,
        limit,
        job.instruments[0],
        scale=job.model.scale,
        target_fwhm=job.model.target_fwhm,
        flux=job.model.scale**2 if job.image.flux_per_pixel else 1,
    )
    target = believed.target
    found = search(seen.draws, seen.level, target)
    found = found.take(found.rim(one.truth.shape) >= target.around)
    exists, true, away = agreement(found, one.truth, TRUE_LEVEL, target)
    mean, spread = found.fluxes.mean(1), found.fluxes.std(1, ddof=1)
    plain = [interval(found.fluxes, level) for level in LEVELS]
    return Pairs(
        np.full(len(found), kind, dtype="U16"),
        np.full(len(found), one.labels["unit"], dtype="U256"),
        found.p_raw,
        exists,
        believed.snr(mean * believed.per_sum),
        np.stack([_within(true, *pair) for pair in plain], axis=-1),
        np.divide(true - mean, spread, out=np.full_like(mean, np.nan), where=spread > 0),
        np.divide(away, found.spread, out=np.full_like(mean, np.nan), where=found.spread > 0),
    )


def _within(true: Array, low: Array, high: Array) -> Array:
    return np.where(np.isfinite(low), (low <= true) & (true <= high), np.nan)


@dataclass
class Gathering:
    """Candidates of some conditions; each is kept in a folder, so that a stopped run goes on.

    Attributes
    ----------
    source : Source
    folder : Path
        Of one ``.npz`` per condition, limit, number of draws, and digest of all that decides.
    limit : float
        S/N of the faintest point source that counts.
    split : str
        Of the manifest; night sky: role of the galaxies.
    progress : callable
        Called with the condition and the number of its fields done.
    skipped : list of str
        What could not be used, and why.
    """

    source: Source
    folder: Path
    limit: float
    split: str = "calibrate"
    progress: Progress = lambda _condition, _done: None
    skipped: list[str] = field(default_factory=list)

    def pairs(self, condition: str) -> Pairs:
        """Of one condition."""
        stem = f"{condition.replace(':', '-')}_{self.source.samples}_{self.limit:g}"
        path = self.folder / f"{stem}_{self.source.digest(self.split, VERSION)}.npz"
        return kept(path, Pairs, lambda: self._gather(condition))

    def _gather(self, condition: str) -> Pairs:
        kinds = _kinds(self.source)
        parts: list[Pairs] = []
        chosen = self.source.fields(condition, self.split, skipped=self.skipped.append)
        for done, one in enumerate(chosen, 1):
            seen = observe(one.result, self.source.samples + 1)
            parts += [compare(one, kind, self.limit, seen) for kind in kinds]
            self.progress(condition, done)
        return Pairs.join(parts)


def _kinds(source: Source) -> tuple[str, ...]:
    domain: Any = source.model.domain
    return KINDS[domain]


def make(gathering: Gathering) -> tuple[Existence, list[Table]]:
    """The curves of a model, and what they are worth.

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
    pairs = Pairs.join([gathering.pairs(c) for c in source.conditions])
    curves, tables = [], []
    for kind in _kinds(source):
        part = pairs.take(pairs.kind == kind)
        try:
            curve, shown = fitted(part, kind, gathering.limit, source.samples)
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


__all__ = ["Gathering", "Pairs", "compare", "fitted", "flux_errors", "make", "place_errors"]
