"""What draws of fields of known truth show, and whether the truth has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sciup.calibrate.fields import KnownField, Source, name_of
from sciup.calibrate.observe import observe
from sciup.existence.believed import Believed
from sciup.existence.candidates import agreement, search
from sciup.existence.curves import VERSION
from sciup.existence.target import KINDS
from sciup.risk.columns import Columns, kept_each
from sciup.risk.ranks import LEVELS, interval

Array = NDArray[np.float64]
Progress = Callable[[str, int], None]

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
    """Candidates of some conditions; those of each field are kept, so that a stopped run goes on.

    Attributes
    ----------
    source : Source
    folder : Path
        Of one folder per condition, limit, number of draws, and digest of all that decides.
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
        return Pairs.join(
            kept_each(
                self.folder / f"{stem}_{self.source.digest(self.split, VERSION)}",
                Pairs,
                self.source.fields(condition, self.split, skipped=self.skipped.append),
                self._compared,
                partial(self.progress, condition),
                name_of,
            )
        )

    def _compared(self, one: KnownField) -> Pairs:
        """Of one field."""
        seen = observe(one.result, self.source.samples + 1)
        return Pairs.join([compare(one, k, self.limit, seen) for k in kinds_of(self.source)])


def kinds_of(source: Source) -> tuple[str, ...]:
    """What can be looked for in these fields."""
    domain: Any = source.model.domain
    return KINDS[domain]


__all__ = ["Gathering", "Pairs", "compare", "kinds_of"]
