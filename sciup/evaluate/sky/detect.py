"""Sources that draws invent, miss, and promise: false sources and P(exists).

Truth and draws have the same PSF G, so one detector serves both: local maxima of the flux that a
point source would have there, ``sum(G x) / sum(G^2)``, above a limit. The limit is the flux of a
point source with S/N 5 in the input.

**P(exists)** of a candidate is ``(1/2 + n) / (K + 1)``, where n of the other K draws have a source
above the limit within half a PSF FWHM of it; the draw that it comes from does not vote. The truth
is one more draw, so a share P of the candidates should exist in it, in the same sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from sciup.evaluate.sky.fields import Field, flux_of
from sciup.evaluate.tables import Table
from sciup.existence.points import detections, point_flux
from sciup.existence.union import near, union
from sciup.generators.registry import ModelFacts

Array = NDArray[np.float64]
Row = dict[str, Any]

LIMIT = 5.0
"""S/N of the faintest source that counts."""
EMPTY = 1.0
"""Where the truth has less than this S/N within the reach of a match, the sky is empty."""
RIM = 8
"""Fine pixels at the edges that are left out."""
CHANCES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
"""Edges of the classes of P(exists)."""


def detect(field: Field, draws: Array, model: ModelFacts) -> tuple[list[Row], list[Row], Row]:
    """Candidates with their P(exists), true sources with that of theirs, and false sources.

    Returns
    -------
    candidates : list of dict
        ``field``, ``p``, ``exists`` (0 or 1), ``snr`` of the largest flux among the draws.
    sources : list of dict
        ``field``, ``p`` (0 without a candidate), ``snr`` of every true source above the limit.
    invented : dict
        ``field``; per draw ``false``: its sources where the truth is empty, ``empty``: pixels that
        are; ``missed``, ``blank``: the same with the parts of draw and truth exchanged.
    """
    limit, reach = flux_of(LIMIT, field), field.fwhm * model.scale / 2
    true_flux = point_flux(field.truth, model.target_fwhm)
    fluxes_of = [point_flux(d, model.target_fwhm) for d in draws]
    found = [detections(flux, limit, RIM) for flux in fluxes_of]
    places, fluxes, p = _candidates(found, reach)
    true_places, true_fluxes = detections(true_flux, limit, RIM)
    exists = near(places, true_places, reach)
    brightness = fluxes / limit * LIMIT
    candidates = [
        {"field": field.name, "p": float(a), "exists": int(b), "snr": float(c)}
        for a, b, c in zip(p, exists, brightness, strict=True)
    ]
    sources = []
    for place, flux in zip(true_places, true_fluxes, strict=True):
        close = np.hypot(*(places - place).T) <= reach if len(places) else np.zeros(0, bool)
        chance = float(p[close].max()) if close.any() else 0.0
        sources.append({"field": field.name, "p": chance, "snr": float(flux / limit * LIMIT)})
    size = 2 * int(np.ceil(reach)) + 1
    faint = flux_of(EMPTY, field)
    false = [_in_empty_sky(f[0], true_flux, faint, size) for f in found]
    missed = [_in_empty_sky(true_places, flux, faint, size) for flux in fluxes_of]
    names = ("false", "empty", "missed", "blank")
    counts = np.hstack([np.mean(false, 0), np.mean(missed, 0)])
    return candidates, sources, {"field": field.name} | dict(zip(names, counts, strict=True))


def _in_empty_sky(places: Array, flux: Array, faint: float, size: int) -> tuple[int, int]:
    """Sources of one image where another is empty, and its empty pixels."""
    empty = maximum_filter(flux, size) < faint
    return int(empty[tuple(places.astype(int).T)].sum()), int(empty[RIM:-RIM, RIM:-RIM].sum())


def _candidates(found: Sequence[tuple[Array, Array]], reach: float) -> tuple[Array, Array, Array]:
    """Union catalogue, the brightest of each group: places, fluxes and P(exists)."""
    places, fluxes, votes = union(found, reach)
    return places, fluxes, (0.5 + votes) / len(found)


def reliability_table(candidates: Sequence[Row], name: str, title: str) -> Table:
    """P(exists) against the share that exists, by class of P."""
    from sciup.evaluate.intervals import ratio

    out = []
    for low, high in pairwise(CHANCES):
        part = [r for r in candidates if low <= r["p"] < high]
        units = [r["field"] for r in part]
        share = ratio([r["exists"] for r in part], [1.0] * len(part), units)
        row: Row = {"P": f"{low:g}-{high:g}", "candidates": len(part)}
        row["mean_P"] = float(np.mean([r["p"] for r in part])) if part else float("nan")
        out.append(row | {"exist": share.value, "ci_low": share.ends[0], "ci_high": share.ends[1]})
    return Table(name, title, out, ["Limit: flux of a point source with S/N 5."])


def completeness_table(
    candidates: Sequence[Row], sources: Sequence[Row], name: str, title: str
) -> Table:
    """Share of true sources found with P > 1/2, and share of those candidates that exist."""
    out = []
    for low, high in ((5, 6), (6, 8), (8, 12), (12, 20), (20, np.inf)):
        true = [r["p"] > 0.5 for r in sources if low <= r["snr"] < high]
        said = [r["exists"] for r in candidates if r["p"] > 0.5 and low <= r["snr"] < high]
        out.append(
            {
                "S/N": f"{low:g}-{high:g}" if np.isfinite(high) else f">{low:g}",
                "sources": len(true),
                "completeness": float(np.mean(true)) if true else float("nan"),
                "candidates": len(said),
                "purity": float(np.mean(said)) if said else float("nan"),
            }
        )
    return Table(name, title, out, ["Candidates with P(exists) > 1/2; S/N of the largest draw."])


def false_table(invented: Sequence[Row], name: str, title: str) -> Table:
    """Sources above S/N 5 in empty sky, per draw and 10^6 fine pixels of it."""
    from sciup.evaluate.intervals import ratio

    def rate(count: str, pixels: str) -> Any:
        return ratio(
            [r[count] * 1e6 for r in invented],
            [float(r[pixels]) for r in invented],
            [r["field"] for r in invented],
        )

    found, missed = rate("false", "empty"), rate("missed", "blank")
    row: Row = {"fields": len(invented), "empty_Mpx": sum(r["empty"] for r in invented) / 1e6}
    row |= {"false_per_Mpx": found.value, "ci_low": found.ends[0], "ci_high": found.ends[1]}
    row |= {"missed_per_Mpx": missed.value, "missed_low": missed.ends[0]}
    row |= {"missed_high": missed.ends[1], "ok": "yes" if found.value < 1 else "no"}
    notes = [
        "Empty: S/N < 1 within half a PSF FWHM. false: sources of a draw where the truth is empty. "
        "missed: sources of the truth where the draw is empty. Truth and draw are exchangeable if "
        "the sampler is right: then both rates are equal, and fewer false ones are not possible."
    ]
    return Table(name, title, [row], notes)
