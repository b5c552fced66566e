"""All that the numbers of an injection rest on, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sciup.existence.believed import Believed
from sciup.image import Fact
from sciup.physics.instrument import Instrument
from sciup.science.inject.methods import OURS, Classical
from sciup.science.inject.rows import Recovery

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
    rate = 100 * float(recoveries[OURS].false.mean())
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
        f"false rate: {rate:.2f} % of {len(plan.empty)} places without injection have a detection"
        f" ({recoveries[OURS].different} different ones); sources that the field really has are"
        " among them. Other methods have the lowest threshold whose rate is not higher",
    ]
    return lines + [method_words(m, recoveries[m.name], plan.believed) for m in methods]


def optics_words(i: Instrument) -> str:
    """PSF and gain, and where they are from."""
    return (
        f"PSF {float(i.psf_fwhm.value):.3g} input px ({origin(i.psf_fwhm)}), "
        f"{float(i.electrons_per_unit.value):.4g} electrons per unit"
        f" ({origin(i.electrons_per_unit)})"
    )


def origin(fact: Fact) -> str:
    """Where a fact is from, with its note."""
    return f"{fact.origin}: {fact.note}" if fact.note else str(fact.origin)


def method_words(m: Classical, r: Recovery, b: Believed) -> str:
    """Settings and threshold of a classical method."""
    rate = 100 * float(r.false.mean())
    least = (
        f"threshold S/N {float(b.snr(np.array(r.threshold))):.2f}"
        if np.isfinite(r.threshold)
        else "all that it finds counts"
    )
    return (
        f"{m.label}: maxima of the flux of a point {m.fwhm:.2f} output px wide, as a star of S/N 20"
        f" is in its picture; {least}, false rate {rate:.2f} %"
    )


__all__ = ["assumptions"]
