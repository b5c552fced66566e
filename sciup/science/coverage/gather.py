"""Measure the draws of fields of known truth, and the truth in the same way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from sciup.calibrate.fields import KnownField, Told
from sciup.calibrate.gathering import Gathering
from sciup.evaluate.baselines import bicubic
from sciup.geometry import Box
from sciup.image import Plane
from sciup.results.draws import Draws
from sciup.results.level import Level
from sciup.risk.columns import Columns
from sciup.science.coverage.regions import circles, squares
from sciup.science.measure.context import Context, Mask
from sciup.science.measure.interval import LEVELS, summarise
from sciup.science.measure.measurements import knowledge, significance, spread
from sciup.science.measure.quantities import QUANTITIES, Quantity
from sciup.science.measure.shapes import Region
from sciup.science.measure.work import Run
from sciup.science.measure.work import Told as Counter

Array = NDArray[np.float64]
Progress = Callable[[str, int], None]

SAMPLES = 17
"""Draws that are measured, as many as the risk map is made of."""

OTHERS = 2
"""Images behind the draws: bicubic picture, truth."""

TOLD: tuple[Told, ...] = ("nothing", "all")
"""Each field twice: as the program finds the instrument out, and with it stated."""

CIRCLES = ("photometry", "intensity", "centroid", "size")
SQUARES = {"night-sky": ("photometry", "count"), "fluorescence": ("photometry", "count", "length")}
SHOWN = {"night-sky": ("sources",), "fluorescence": ("spots", "nuclei", "length")}
"""Numbers of the squares: their light only tells how bright they are."""


@dataclass(frozen=True)
class Errors(Columns):
    """Measurements of known truth, n of them.

    Attributes
    ----------
    name, knowledge, unit : ndarray of str (n,)
        Number; what was known of the PSF; independent field.
    snr, score : ndarray (n,)
        S/N; error in units of the spread.
    spread : ndarray (n,)
        Of the draws, as the score has it.
    forced : ndarray (n,)
        Noise of the light in the same aperture on the input; NaN for all but light.
    inside : ndarray (n, levels)
        Whether the interval of the draws holds the truth.
    value, bicubic, truth : ndarray (n,)
        The number itself: mean of the draws, of the bicubic picture, and the true one.
    """

    name: NDArray[np.str_]
    knowledge: NDArray[np.str_]
    unit: NDArray[np.str_]
    snr: Array
    score: Array
    spread: Array
    forced: Array
    inside: NDArray[np.bool_]
    value: Array
    bicubic: Array
    truth: Array

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, Any]]) -> Errors:
        """Of one mapping each."""
        words = {"name": "U24", "knowledge": "U12", "unit": "U256"}
        made: dict[str, NDArray[Any]] = {
            f.name: np.array([r[f.name] for r in rows], dtype=words.get(f.name, "f8"))
            for f in fields(cls)
        }
        made["inside"] = made["inside"].astype(bool).reshape(-1, len(LEVELS))
        return cls(**made)


class Beside(Draws):
    """Draws of a whole plane, held in memory; behind them the bicubic picture and the truth."""

    held: Array

    @classmethod
    def of(cls, one: KnownField, count: int) -> Beside:
        """The first draws of a field with one plane, its bicubic picture and its truth.

        Light of the truth is counted above its own background, which is 0: the belief in another
        one is an error of the draws.
        """
        plain = Draws.of_result(one.result)
        made = cls(**{f.name: getattr(plain, f.name) for f in fields(Draws)})
        plane, whole = plain.planes[0], Box.of_shape(plain.plane_shape)
        level = Level(plain, plane).window(whole) if plain.night_sky else 0.0
        h, w = plain.plane_shape
        truth = one.truth[:h, :w] + level
        seen, footprint = one.result.job.image.load(plane, plain.region)
        picture = bicubic(np.where(footprint, seen, np.nanmedian(seen)), plain.scale) / plain.flux
        made.held = np.concatenate([plain.window(plane, whole, count), picture[None], truth[None]])
        return made

    def window(self, plane: Plane, box: Box, count: int | None = None) -> Array:
        """See `Draws`; the plane is the only one, and the number that of the held ones."""
        return self.held[:, *box.slices]


def measured(one: KnownField, count: int = SAMPLES) -> Errors:
    """All errors of one field."""
    draws = Beside.of(one, count)
    rng = np.random.default_rng(crc32(one.labels["field"].encode()))
    plane = draws.planes[0]
    level = Level(draws, plane).window(Box.of_shape(draws.plane_shape)) if draws.night_sky else 0.0
    mean, truth = draws.held[:-OTHERS].mean(0) - level, draws.held[-1] - level
    found = circles(draws, mean, truth, rng)
    rows = _rows(draws, CIRCLES, found, one)
    rows += _rows(draws, SQUARES[draws.domain], squares(draws), one, SHOWN[draws.domain])
    return Errors.of_rows(rows)


def _rows(
    draws: Beside,
    names: Sequence[str],
    regions: list[Region],
    one: KnownField,
    shown: Sequence[str] = (),
) -> list[dict[str, Any]]:
    quantity, plane = together([QUANTITIES[n] for n in names]), draws.planes[0]
    run = Run(draws, quantity, len(draws.held), draws.night_sky, False)
    rows: list[dict[str, Any]] = []
    for row in run.rows(plane, regions, Counter(0, None)):
        if not row.numbers:
            continue
        area = float(row.region.shape.weights(row.region.shape.box).sum()) / draws.scale**2
        flux = float(np.mean(row.numbers["flux"][:-OTHERS]))
        snr = significance(flux, area, draws.instruments[0])
        for name in shown or row.numbers:
            error = _error(row.numbers[name])
            if error is not None:
                forced = flux / snr if name == "flux" and snr > 0 else np.nan
                rows.append(
                    {"name": name, "knowledge": knowledge(draws.instruments[0]),
                     "unit": one.labels["unit"], "snr": snr, "forced": forced} | error
                )  # fmt: skip
    return rows


def together(quantities: Sequence[Quantity]) -> Quantity:
    """Several quantities as one, so that draws are made once."""

    def function(image: Array, mask: Mask, context: Context) -> dict[str, Any]:
        return {k: v for q in quantities for k, v in q.function(image, mask, context).items()}

    def pad(fwhm: float, side: int) -> int:
        return max(q.pad(fwhm, side) for q in quantities)

    kinds = {k: v for q in quantities for k, v in q.kinds.items()}
    return Quantity("together", function, "", kinds, pad)


def _error(values: NDArray[Any]) -> dict[str, Any] | None:
    """Score and coverage of one number; None where draws or truth cannot tell it."""
    whole = values.dtype.kind in "biu"
    *drawn, rival, true = values.astype(np.float64)
    finite = np.array([v for v in drawn if np.isfinite(v)])
    if not np.isfinite(true) or len(finite) <= len(drawn) / 2:
        return None
    summary = summarise(finite, whole=whole)
    scale = spread(summary, whole=whole)
    if not scale > 0:
        return None
    inside = [a <= true <= b for a, b in summary.intervals]
    numbers = {"value": summary.value, "bicubic": rival, "truth": true}
    return {"score": (true - summary.value) / scale, "spread": scale, "inside": inside} | numbers


def errors_of(gathering: Gathering) -> Errors:
    """Of all fields in all conditions, with nothing and with all told of the instrument."""
    parts = [
        part
        for told in TOLD
        for condition in gathering.source.conditions
        for part in gathering.of_fields(
            condition, Errors, measured, SAMPLES, what=f"{condition}, {told} stated", told=told
        )
    ]
    return Errors.join([Errors.of_rows([]), *parts])


__all__ = ["Errors", "errors_of", "measured", "together"]
