"""The table of what was measured, with how and what it means."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciup.results.draws import Draws
from sciup.science.measure import interval
from sciup.science.measure.frame import Frame
from sciup.science.measure.interval import LEVELS, Summary, summarise
from sciup.science.measure.measurements import Measurements, Stratum, knowledge
from sciup.science.measure.quantities import Kind, Quantity

if TYPE_CHECKING:
    from astropy.table import Table

    from sciup.physics.instrument import Instrument
    from sciup.results.level import Level
    from sciup.science.measure.work import Row

Array = NDArray[np.float64]

FEWEST = 0.5
"""Share of the draws in which a quantity must be measurable for its row to say anything."""

NOTHING: Array = np.empty(0)

ASSUMES = (
    "the truth is one more draw: noise, PSF and sampler are right. The interval holds the spread of"
    " the draws only, no error of zero points, distortion or the region itself."
)
CALIBRATED = (
    "intervals of rows with *_covered are calibrated by the errors of {regions} regions of fields"
    " of known truth, in units of the draws' spread, by class of S/N, with the instrument"
    " {knowledge}; *_covered is how often such intervals held the truth in other fields. They hold"
    " the sampler's errors, not those of zero points or of the region itself. Other rows: {rest}"
)
PLAIN = "intervals are those of the draws as such: {}"
NO_CLASS = "nothing like these regions was calibrated (quantity, S/N, size, instrument {knowledge})"


def make_table(
    rows: list[Row],
    draws: Draws,
    quantity: Quantity,
    count: int,
    level: Level | None,
    known: Measurements | str,
) -> Table:
    """One row for each region.

    Parameters
    ----------
    rows : list of Row
    draws : Draws
    quantity : Quantity
    count : int
        Draws measured.
    level : Level or None
        Background of the first plane measured; None where each region has a ring.
    known : Measurements or str
        What calibrates the intervals, or why nothing does.
    """
    from astropy.table import Table

    table = Table(meta=_meta(rows, draws, quantity, count, level))
    table["id"] = [row.region.id for row in rows]
    if len(draws.planes) > 1:
        table["plane"] = [",".join(map(str, row.plane)) for row in rows]
    _places(table, np.array([row.region.shape.centre for row in rows]), draws)
    _column(table, "snr", [row.snr for row in rows], None, "of the light in the region")
    used: list[Stratum] = []
    for name in _names(rows, quantity):
        used += _quantity(table, rows, name, quantity, draws, known)
    table.meta["coverage"] = _coverage(used, known, draws)
    if used:  # the plain formula and what it assumes are those of the other rows only
        for key in [k for k in table.meta if k.startswith("interval_")]:
            table.meta[key] = f"rows without *_covered: {table.meta[key]}"
    if quantity.kinds.get("centroid_y") == "position":
        _sky_of_centroids(table, draws)
    for row in rows:
        row.flag = row.flag or _failures(row, count)
    table["draws"] = [count if row.numbers else 0 for row in rows]
    table["flag"] = [row.flag for row in rows]
    return table


def _names(rows: list[Row], quantity: Quantity) -> list[str]:
    """Names of all numbers, also of a table in which nothing could be measured."""
    return list(dict.fromkeys([*quantity.kinds, *(n for row in rows for n in row.numbers)]))


def _places(table: Table, centres: Array, draws: Draws) -> None:
    """Where the regions are: input px, output px, on the sky or in the specimen."""
    frame = Frame(draws)
    inside = np.abs(centres).max(1) < 1e5
    centres = np.where(inside[:, None], centres, np.nan)
    inputs = frame.to_input(centres)
    for axis, name in enumerate("yx"):
        _column(table, name, inputs[:, axis], "pix", "centre of the region, input px from 0")
    for axis, name in enumerate("yx"):
        _column(table, f"{name}_output", centres[:, axis], "pix", "the same in output px from 0")
    if draws.sky is not None:
        _degrees(table, ("ra", "dec"), centres, draws)
    elif draws.pixel is not None:
        sizes, unit = draws.pixel_sizes, draws.pixel[1]
        for axis, name in enumerate("yx"):
            at = inputs[:, axis] * sizes[axis] * draws.scale
            _column(table, f"{name}_physical", at, unit, "from the middle of the first input px")


def _quantity(
    table: Table,
    rows: list[Row],
    name: str,
    quantity: Quantity,
    draws: Draws,
    known: Measurements | str,
) -> list[Stratum]:
    """The columns of a number; returns the classes that calibrated its intervals."""
    values = [row.numbers.get(name, NOTHING) for row in rows]
    whole = quantity.whole or _all_whole(values)
    plain = [_summary(v, whole) for v in values]
    strata = [
        _stratum(row, name, draws, known) if s.std > 0 else None
        for row, s in zip(rows, plain, strict=True)
    ]
    found = [s.intervals(p, whole=whole) if s else p for p, s in zip(plain, strata, strict=True)]
    unit = _unit(quantity.kinds.get(name, "own"), draws)
    _column(table, name, [s.value for s in found], unit, "mean of the draws")
    _column(table, f"{name}_std", [s.std for s in found], unit, "standard deviation of the draws")
    for i, level in enumerate(LEVELS):
        percent = f"{level * 100:.0f}"
        for end, side in enumerate(("lo", "hi")):
            ends = [s.intervals[i][end] for s in found]
            words = f"{'upper' if end else 'lower'} end of the {percent} % interval"
            _column(table, f"{name}_{side}{percent}", ends, unit, words)
        if any(strata):
            shares = [s.covered[i] if s else np.nan for s in strata]
            words = f"share of truths in such {percent} % intervals; none: not calibrated"
            _column(table, f"{name}_covered{percent}", shares, None, words)
    return [s for s in strata if s]


def _stratum(row: Row, name: str, draws: Draws, known: Measurements | str) -> Stratum | None:
    """The class of S/N of a row, if the model's intervals were measured there."""
    if isinstance(known, str):
        return None
    believed = draws.instruments[draws.planes.index(row.plane)]
    return known.find(name, knowledge(believed), row.snr, row.area)


def _summary(values: NDArray[Any], whole: bool) -> Summary:
    numbers = values.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    return summarise(finite if len(finite) > FEWEST * len(numbers) else numbers[:0], whole=whole)


def _all_whole(values: list[NDArray[Any]]) -> bool:
    """Whether a function returned nothing but whole numbers."""
    kinds = {row.dtype.kind for row in values if len(row)}
    return bool(kinds) and kinds <= set("biu")


def _failures(row: Row, count: int) -> str:
    """In how many draws the quantity could not be measured, in words."""
    if not row.numbers:
        return ""
    bad = np.zeros(len(next(iter(row.numbers.values()))), bool)
    for values in row.numbers.values():
        bad |= ~np.isfinite(values)
    return f"not measurable in {int(bad.sum())} of {count} draws" if bad.any() else ""


def _unit(kind: Kind, draws: Draws) -> str | None:
    """Unit of a number."""
    if kind == "flux" and draws.flux == 1:
        return None if draws.unit is None else f"{draws.unit} pix2"
    if kind in ("flux", "value"):
        return draws.unit
    if kind == "position":
        return "pix"
    return (draws.pixel[1] if draws.pixel else "pix") if kind == "length" else None


def _column(table: Table, name: str, values: Any, unit: str | None, words: str) -> None:
    from astropy import units
    from astropy.table import Column

    try:
        known = None if unit is None else units.Unit(unit)
    except (ValueError, TypeError):
        known = None
    numbers = np.asarray(values, np.float64)
    table[name] = Column(numbers, unit=known, description=words)


def _degrees(table: Table, names: tuple[str, str], places: Array, draws: Draws) -> None:
    """ICRS coordinates of output px: what catalogues have, and what is read back as a catalogue."""
    from sciup.io._fits_clean import quiet

    degrees = np.full((len(places), 2), np.nan)
    known = np.isfinite(places).all(1)
    if draws.sky is not None and known.any():
        with quiet(draws.name):
            at = draws.sky.wcs.pixel_to_world(places[known, 1], places[known, 0]).icrs
        degrees[known] = np.stack([at.ra.deg, at.dec.deg], -1)
    for name, values in zip(names, degrees.T, strict=True):
        _column(table, name, values, "deg", "ICRS")


def _sky_of_centroids(table: Table, draws: Draws) -> None:
    if draws.sky is None:
        return
    places = np.stack([np.asarray(table[f"centroid_{axis}"]) for axis in "yx"], -1)
    _degrees(table, ("centroid_ra", "centroid_dec"), Frame(draws).from_input(places), draws)


def _meta(
    rows: list[Row], draws: Draws, quantity: Quantity, count: int, level: Level | None
) -> dict[str, Any]:
    """How the numbers were made: plain texts and numbers, so that every format holds them."""
    planes = list(dict.fromkeys(row.plane for row in rows)) or draws.planes
    believed = draws.instruments[draws.planes.index(planes[0])]
    first = ",".join(map(str, planes[0]))
    background = "local ring"
    if level is not None:
        background = f"{believed.background.value:g} in input units"
        if draws.night_sky and believed.background.origin != "given":
            background = f"{level.words}; about {background}"
        background += f" (plane {first})" if len(planes) > 1 else ""
    made = {f"result_{key}": value for key, value in draws.about.items()}
    return {
        "sciup": version("sciup"),
        "result": draws.name,
        "quantity": quantity.given or quantity.name,
        "definition": quantity.definition,
        "background": background,
        "value": "mean of the draws",
        "draws": count,
        **{f"interval_{share * 100:.0f}": interval.words(count, share) for share in LEVELS},
        "interval_assumes": ASSUMES,
        **made,
        "output_psf": f"FWHM {draws.target_fwhm:g} output px, part of every size and length",
        **({"instrument_of": f"plane {first}"} if len(draws.planes) > 1 else {}),
        **_instrument(believed),
    }


def _coverage(used: list[Stratum], known: Measurements | str, draws: Draws) -> str:
    """What the intervals are worth, in words."""
    told = " or ".join(sorted({knowledge(i) for i in draws.instruments}))
    if isinstance(known, str):
        return PLAIN.format(known)
    rest = NO_CLASS.format(knowledge=told)
    if not used:
        return PLAIN.format(rest)
    few, many = min(s.regions for s in used), max(s.regions for s in used)
    regions = str(few) if few == many else f"{few} to {many}"
    return CALIBRATED.format(regions=regions, knowledge=told, rest=rest)


def _instrument(believed: Instrument) -> dict[str, str]:
    """What was believed of the instrument, and why."""
    told = {}
    for name, fact in believed.as_json().items():
        value = "image" if isinstance(fact["value"], list) else fact["value"]
        if value is not None:
            note = f": {fact['note']}" if fact["note"] else ""
            told[f"instrument_{name}"] = f"{value} ({fact['origin']}{note})"
    return told


__all__ = ["make_table"]
