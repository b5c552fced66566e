"""All that the numbers of an injection rest on, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sciup.existence.believed import Believed
from sciup.image import Fact
from sciup.physics.instrument import Instrument
from sciup.science.inject.methods import OURS, Classical
from sciup.science.inject.recover import FEWEST
from sciup.science.inject.rows import Recovery, Spurious

if TYPE_CHECKING:
    from sciup.science.inject.plan import Plan


def assumptions(
    plan: Plan,
    methods: Sequence[Classical],
    recoveries: Mapping[str, Recovery],
    calibrated: str,
) -> list[str]:
    """Sentences for console and tables."""
    n, s = len(plan.sources), plan.sources
    shape = "points" if plan.optics.stamp.size == 1 else "stamps"
    lines = [
        f"{n} {shape}, S/N {s.snr.min():.3g} to {s.snr.max():.3g} in the noise of the typical"
        f" background, rounds: {len(plan.rounds)}, at least {plan.apart:.1f} input px apart",
        f"{optics_words(plan.result.instrument)}; every source has the Poisson noise of its own"
        " light, independent from pixel to pixel; masked pixels get none",
        "PSF, noise and background are those of the field without injections: what a wrong PSF"
        " does is not seen here (sciup robustness shows it)",
        f"found: a detection with P(exists) of {plan.threshold:g} or more within"
        f" {plan.reach:.2f} input px; limit S/N {plan.limit:g}; P is {calibrated}",
        "what is detected there without the injection, too, counts only if it brightens by half of"
        " the injected flux",
        f"false: {false_words(recoveries[OURS].false)} on a simulated sky without sources: believed"
        " level and noise, white, mask and region of the field; artefacts and confusion are not in"
        " it",
        comparison(recoveries[OURS].false.number, plan.limit),
    ]
    if plan.optics.stamp.size > 1:
        held = ", ".join(f"{100 * r.held:.3g} % ({n})" for n, r in recoveries.items())
        lines.append(f"of the light of a stamp the detector gives {held} without noise: fluxes are"
                     " compared with this share")  # fmt: skip
    return lines + [method_words(m, recoveries[m.name], plan.believed) for m in methods]


def optics_words(i: Instrument) -> str:
    """PSF and gain, and where they are from."""
    varies = i.psf_cells.value is not None
    where = " in the middle; each source has that of its place, classical methods this one" * varies
    share = 100 * float(i.psf_error.value or 0)
    error = f", known to {share:g} % in the draws" if share else ""
    return (
        f"PSF {float(i.psf_fwhm.value):.3g} input px ({origin(i.psf_fwhm)}){error}{where}, "
        f"{float(i.electrons_per_unit.value):.4g} electrons per unit"
        f" ({origin(i.electrons_per_unit)})"
    )


def origin(fact: Fact) -> str:
    """Where a fact is from, with its note."""
    return f"{fact.origin}: {fact.note}" if fact.note else str(fact.origin)


def method_words(m: Classical, r: Recovery, b: Believed) -> str:
    """Settings and threshold of a classical method."""
    return (
        f"{m.label}: maxima of the flux of a point {m.fwhm:.2f} output px wide, as a star of S/N 20"
        f" is in its picture; threshold flux {r.threshold:.4g}, S/N"
        f" {float(b.snr(np.array(r.threshold))):.2f} in the noise of the input;"
        f" {false_words(r.false)}"
    )


def false_words(s: Spurious) -> str:
    """Number and density of false detections.

    Examples
    --------
    >>> false_words(Spurious.of(3, 150_000))
    '3 different false detections, 20 per Mpx (4.12-58.4)'
    """
    return (
        f"{s.number} different false detections, {s.per_mpx:.3g} per Mpx ({s.low:.3g}-{s.high:.3g})"
    )


def comparison(count: int, limit: float) -> str:
    """How the thresholds of the other methods come about."""
    if count < FEWEST:
        return (
            f"too few false detections ({count}, below {FEWEST}) to compare at equal purity;"
            f" thresholds are S/N {limit:g} for all, each in its own noise:"
            " read completeness beside the false detections of each"
        )
    return (
        "other methods have the lowest threshold with no more false detections, at least"
        f" S/N {limit:g} in their own noise"
    )


__all__ = ["assumptions"]
