"""What draws of fields of known truth show, and whether the truth has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sciup.calibrate.fields import KnownField, Source
from sciup.calibrate.gathering import Gathering
from sciup.calibrate.observe import observe
from sciup.existence.believed import Believed
from sciup.existence.candidates import agreement, search
from sciup.existence.curves import VERSION
from sciup.existence.target import KINDS
from sciup.risk.columns import Columns
from sciup.risk.ranks import LEVELS, interval

Array = NDArray[np.float64]

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


def pairs_of(gathering: Gathering, condition: str, limit: float) -> Pairs:
    """The candidates of all fields of one condition.

    Parameters
    ----------
    gathering : Gathering
    condition : str
    limit : float
        S/N of the faintest point source that counts.
    """
    source = gathering.source
    make = partial(compared, kinds=kinds_of(source), limit=limit, samples=source.samples)
    decides = (VERSION, source.samples, limit)
    return Pairs.join(gathering.of_fields(condition, Pairs, make, *decides))


def compared(one: KnownField, *, kinds: Sequence[str], limit: float, samples: int) -> Pairs:
    """The candidates of one field, of every kind."""
    seen = observe(one.result, samples + 1)
    return Pairs.join([compare(one, kind, limit, seen) for kind in kinds])


def kinds_of(source: Source) -> tuple[str, ...]:
    """What can be looked for in these fields."""
    domain: Any = source.model.domain
    return KINDS[domain]


__all__ = ["Pairs", "compare", "compared", "kinds_of", "pairs_of"]
