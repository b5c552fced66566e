"""Candidates as a table: units, descriptions, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units
from astropy.table import Column, Table
from numpy.typing import NDArray

from sciup.existence.believed import Believed
from sciup.existence.candidates import Candidates
from sciup.existence.curves import Errors
from sciup.existence.union import Array
from sciup.image import Plane
from sciup.results.draws import Draws
from sciup.risk.ranks import LEVELS, interval
from sciup.science.detect.chances import Chances

FLAGS = ("edge", "masked")
"""Words of the column `flag`."""

ELSEWHERE = "on fields whose instrument the program found out"
"""Where coverages were measured."""


@dataclass(frozen=True)
class Found:
    """The candidates of one plane.

    Attributes
    ----------
    plane : tuple of int
    candidates : Candidates
        In output pixels of the result.
    believed : Believed
        What was looked for there.
    """

    plane: Plane
    candidates: Candidates
    believed: Believed


def table_of(
    parts: Sequence[Found], draws: Draws, kind: str, chances: Chances, meta: dict[str, Any]
) -> Table:
    """The catalogue, most certain first, then brightest.

    Parameters
    ----------
    parts : sequence of Found
        One per plane.
    draws : Draws
    kind : str
    chances : Chances
        What calibrates them.
    meta : dict
        How it was made.
    """
    out = Table(meta=meta)
    columns = [_columns(part, draws, chances) for part in parts]
    for name, (_, unit, words) in columns[0].items():
        values = np.concatenate([c[name][0] for c in columns])
        out[name] = Column(values, unit=unit, description=words)
    if len(draws.planes) == 1:
        del out["plane"]
    order = np.lexsort((out["x_output"], out["y_output"], -out["flux"], -out["p_exists"]))
    out = out[order]
    out.add_column(
        Column(np.arange(1, len(out) + 1), description="number, from the most certain on"),
        name="id",
        index=0,
    )
    out.add_column(
        Column(np.full(len(out), kind), description="what was looked for"), name="kind", index=1
    )
    return out


Cells = dict[str, tuple[NDArray[Any], Any, str]]


def _columns(part: Found, draws: Draws, chances: Chances) -> Cells:
    """Name: values, unit, description."""
    found = part.candidates
    return {
        "plane": (
            np.full(len(found), ",".join(map(str, part.plane)), dtype="U32"),
            None,
            "indices of the plane",
        ),
        "p_exists": (chances(found.p_raw), None, chances.column),
        "p_raw": (found.p_raw, None, "(1/2 + votes) / (K + 1)"),
        "votes": (found.votes, None, "draws of K that show it, without the one it comes from"),
        **_positions(part, draws, chances),
        **_fluxes(part, draws, chances),
        "flag": (_flags(part, draws), None, f"{' or '.join(FLAGS)}, where it is near; else empty"),
    }


def _positions(part: Found, draws: Draws, chances: Chances) -> Cells:
    """Where it is, in every coordinate there is."""
    found, s, pix = part.candidates, draws.scale, units.pix
    inside = (found.place + 0.5) / s - 0.5 + np.array(draws.region.start)
    out: Cells = {
        name: (inside[:, axis], pix, "mean over the draws that show it, input px from 0")
        for axis, name in enumerate("yx")
    }
    out |= _spread(part, draws, chances)
    for axis, name in enumerate("yx"):
        out[f"{name}_output"] = (found.place[:, axis], pix, "the same in output px from 0")
    if draws.sky is not None:
        for name, values in zip(("ra", "dec"), _degrees(found.place, draws), strict=True):
            out[name] = (values, units.deg, "ICRS")
    elif draws.pixel is not None:
        sizes, unit = draws.pixel_sizes, draws.pixel[1]
        for axis, name in enumerate("yx"):
            at, words = inside[:, axis] * sizes[axis] * s, "from the middle of the first input px"
            out[f"{name}_physical"] = (at, unit_of(unit), words)
    return out


def _degrees(places: Array, draws: Draws) -> Array:
    """ICRS coordinates (2, n) of output px: what catalogues have, and `sciup measure` reads."""
    from sciup.io._fits_clean import quiet

    if draws.sky is None or not len(places):
        return np.empty((2, 0))
    with quiet(draws.name):
        at = draws.sky.wcs.pixel_to_world(places[:, 1], places[:, 0]).icrs
    return np.stack([at.ra.deg, at.dec.deg])


def _spread(part: Found, draws: Draws, chances: Chances) -> Cells:
    """How uncertain the place is."""
    spread = part.candidates.spread / draws.scale
    if not chances.places:
        return {"spread": (spread, units.pix, "radius that holds 68 % of these draws, input px")}
    ends, covered = _classes(chances.places, _like(part, draws, spread))
    radius = np.where(np.isfinite(covered[:, 0]), spread * ends[:, 0, 1], spread)
    words = "radius that held the true place of 68 % of such candidates that exist, input px"
    return {
        "spread": (radius, units.pix, words),
        "spread_covered68": (
            covered[:, 0],
            None,
            f"share of true places in such radii {ELSEWHERE}; none: holds 68 % of the draws",
        ),
    }


def _snr(part: Found) -> Array:
    """Of the mean flux, in the noise of the input."""
    return part.believed.snr(part.candidates.fluxes.mean(-1) * part.believed.per_sum)


def _like(part: Found, draws: Draws, spread: Array) -> Array:
    """S/N by which a candidate has its class; NaN for what no calibration has.

    That is what lies near an edge or a mask, and of which all draws say the same.
    """
    return np.where((_flags(part, draws) == "") & (spread > 0), _snr(part), np.nan)


def _classes(classes: Sequence[Errors], snr: Array) -> tuple[Array, Array]:
    """Ends (n, levels, 2) and coverage (n, levels) of candidates; NaN where no class has them."""
    ends = np.full((len(snr), len(LEVELS), 2), np.nan)
    covered = np.full((len(snr), len(LEVELS)), np.nan)
    for one in classes:
        mine = one.holds(snr)
        ends[mine], covered[mine] = one.ends, one.covered
    return ends, covered


def _fluxes(part: Found, draws: Draws, chances: Chances) -> Cells:
    """Light over all draws, those included that show nothing."""
    fluxes = part.candidates.fluxes * part.believed.per_sum
    mean, unit = fluxes.mean(-1), flux_unit(draws)
    spread = fluxes.std(-1, ddof=1)
    out: Cells = {
        "flux": (mean, unit, "mean over all draws, above the level around it"),
        "flux_std": (spread, unit, "standard deviation of the draws"),
    }
    ends, covered = _classes(chances.fluxes, _like(part, draws, spread))
    for i, level in enumerate(LEVELS):
        percent = round(100 * level)
        for j, plain in enumerate(interval(fluxes, level)):
            words = f"{('lower', 'upper')[j]} end of the {percent} % interval"
            made = mean + ends[:, i, j] * spread
            values = np.where(np.isfinite(covered[:, i]), made, plain)
            out[f"flux_{('lo', 'hi')[j]}{percent}"] = (values, unit, words)
        if chances.fluxes:
            words = f"share of truths in such {percent} % intervals {ELSEWHERE}; none: of the draws"
            out[f"flux_covered{percent}"] = (covered[:, i], None, words)
    out["snr"] = (_snr(part), None, "of this flux in the noise of the input")
    return out


def _flags(part: Found, draws: Draws) -> NDArray[np.str_]:
    """Words about places where something is missing."""
    found, target = part.candidates, part.believed.target
    edge = found.rim(draws.plane_shape) < target.around
    words = zip(edge, found.blemish < target.around, strict=True)
    texts = [" ".join(f for f, on in zip(FLAGS, row, strict=True) if on) for row in words]
    return np.array(texts, dtype="U16")


def words_of(found: Table) -> tuple[str, str]:
    """How many candidates there are, and whether their chances are calibrated.

    Parameters
    ----------
    found : Table
        Of `sciup.detect`.

    Examples
    --------
    >>> meta = {"limit": 5.0, "limitflx": 12.34, "p_exists": "raw: no existence.json"}
    >>> words_of(Table({"p_exists": [0.9, 0.2]}, meta=meta))[0]
    '2 candidates above S/N 5 (flux 12.34); 1.1 of them are expected to exist'
    """
    meta, expected = found.meta, sum(float(p) for p in found["p_exists"])
    return (
        f"{len(found)} candidates above S/N {meta['limit']:g} (flux {meta['limitflx']:.4g});"
        f" {expected:.1f} of them are expected to exist",
        str(meta["p_exists"]),
    )


def unit_of(text: str | None) -> units.UnitBase | None:
    """A unit, or none where the words of a file mean none.

    Examples
    --------
    >>> unit_of("electron / s"), unit_of("grey values")
    (Unit("electron / s"), None)
    """
    try:
        return units.Unit(text) if text else None
    except (ValueError, TypeError):
        return None


def flux_unit(draws: Draws) -> units.UnitBase | None:
    """Of sums over input pixels: an intensity is summed over their number."""
    unit = unit_of(draws.unit)
    return unit if unit is None or draws.flux > 1 or draws.scale == 1 else unit_of(f"{unit} pix2")


__all__ = ["FLAGS", "Found", "flux_unit", "table_of", "unit_of", "words_of"]
