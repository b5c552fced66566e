"""Where super-resolution helps: two stars closer than the PSF is wide, beside the rivals.

Pairs of equal stars stand on a grid in empty sky, at every angle and sub-pixel phase; PSF and noise
are known to all methods. What is asked:

- *One or two?* Along the line through both, the light falls between them below `DIP` of the fainter
  peak. The same is asked of single stars of the same total light: what is "two" there is invented.
- *How bright is one of them?* Light in a circle of half the separation, against the truth in the
  same circle. On the input that is forced photometry, corrected for what the PSF takes out of the
  circle but not for the neighbour's light; and a least-squares fit of the known PSF at both known
  places, which nothing can beat as long as places and PSF are right (King 1983, PASP 95, 163).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from sciup.evaluate.baselines import bicubic, richardson_lucy
from sciup.evaluate.draws import draw_samples
from sciup.evaluate.sky.fields import (
    DRAWS,
    ELECTRONS,
    Field,
    flux_of,
    make_field,
    observe_light,
    run_field,
)
from sciup.evaluate.sky.photometry import aperture_fluxes, to_input
from sciup.evaluate.tables import Table
from sciup.generators.registry import ModelFacts
from sciup.train.sky.scenes import add_star
from sciup.train.sky.target import at_target

Array = NDArray[np.float64]
Row = dict[str, Any]

SEPARATIONS = (0.5, 0.75, 1.0, 1.5)
"""FWHM of the total PSF."""

SNRS = (20.0, 50.0)
"""Of each star alone."""

SPACING = 24
"""Input px between pairs."""

ACROSS = 8
"""Pairs along a side."""

DIP = 0.8
"""Light between two stars is less than this share of that of the fainter."""

ITERATIONS = (10, 30)
"""Of Richardson-Lucy, both shown."""

NUMBER = 16
"""Of the field, which decides its PSF: a Moffat of exponent 4 with a FWHM of 2.3 input px."""


@dataclass(frozen=True)
class Grid:
    """Pairs in a field; places (n, 2, 2) as pair, star, (y, x) on the fine grid."""

    field: Field
    places: Array
    flux: float


def grid(model: ModelFacts, separation: float, snr: float, across: int = ACROSS) -> Grid:
    """A field of pairs; single stars of twice the flux for separation 0."""
    s, side = model.scale, across * SPACING
    empty = make_field(np.zeros((side * s, side * s)), [], NUMBER, model, 0)
    flux = flux_of(snr, empty)
    rng = np.random.default_rng([NUMBER, round(100 * separation), round(snr)])
    cells = (np.argwhere(np.ones((across, across))) + 0.5) * SPACING * s
    middles = cells + rng.uniform(-s, s, cells.shape)
    angle = rng.uniform(0, 2 * np.pi, len(cells))
    half = separation * empty.fwhm * s / 2 * np.stack([np.sin(angle), np.cos(angle)], -1)
    places = np.stack([middles - half, middles + half], 1)
    scene = np.zeros((side * s, side * s))
    for y, x in places.reshape(-1, 2):
        add_star(scene, y, x, flux)
    return Grid(make_field(scene, [], NUMBER, model, 0), places, flux)


def falls_between(images: Array, places: Array, reach: float) -> NDArray[np.bool_]:
    """Whether the light of images (k, h, w) falls between both stars of each pair: (k, n).

    Parameters
    ----------
    images : ndarray (k, h, w)
    places : ndarray (n, 2, 2)
    reach : float
        Separation in px; given, since single stars are asked, too.
    """
    middle, step = places.mean(1), places[:, 1] - places[:, 0]
    length = np.hypot(*step.T)[:, None]
    along = np.where(length > 0, step / np.maximum(length, 1e-9), [0.0, 1.0])
    t = np.linspace(-0.8, 0.8, 33)
    points = middle[:, None] + reach * t[:, None] * along[:, None]
    found = np.array(
        [map_coordinates(image, points.reshape(-1, 2).T, order=3) for image in images]
    ).reshape(len(images), len(places), len(t))
    left, right = found[..., t < -0.25].max(-1), found[..., t > 0.25].max(-1)
    between = found[..., np.abs(t) <= 0.25].min(-1)
    return np.asarray(between < DIP * np.minimum(left, right))


def _star(field: Field, model: ModelFacts, y: float, x: float, side: int = SPACING) -> Array:
    """A star of flux 1 on the fine grid as (side, side) input px see it, without noise."""
    scene = np.zeros((side * model.scale, side * model.scale))
    add_star(scene, y, x, 1.0)
    seen = np.asarray(at_target(scene, model.target_fwhm), float)
    return observe_light(seen, field.kernel, model.scale)


def fitted(field: Field, model: ModelFacts, places: Array) -> Array:
    """Fluxes (n, 2) by least squares with the known PSF at the known places of each pair alone."""
    fluxes, scale = [], model.scale
    for pair in places:
        start = np.rint(to_input(pair.mean(0), scale)).astype(int) - SPACING // 2
        start = np.clip(start, 0, field.observed.shape[0] - SPACING)
        seen = field.observed[tuple(slice(a, a + SPACING) for a in start)].astype(float)
        models = [_star(field, model, y, x).ravel() for y, x in pair - start * scale]
        fluxes.append(np.linalg.lstsq(np.array(models).T, seen.ravel(), rcond=None)[0])
    return np.array(fluxes)


def pictures(field: Field, scale: int) -> dict[str, Array]:
    """Rivals that make a picture, in flux per fine pixel; noise is counted as electrons."""
    seen = field.observed.astype(float)
    made = {"bicubic": bicubic(seen, scale) / scale**2}
    pedestal = ELECTRONS**2  # of a sky whose photon noise is that of the field
    for n in ITERATIONS:
        counts = richardson_lucy(seen * ELECTRONS + pedestal, scale, field.kernel, n)
        made[f"Richardson-Lucy {n}"] = (counts - pedestal) / ELECTRONS / scale**2
    return made


def table(
    model: ModelFacts,
    *,
    across: int = ACROSS,
    precision: str = "auto",
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Table:
    """Pairs and single stars, as the draws and as the rivals see them.

    Parameters
    ----------
    model : ModelFacts
        Night sky.
    across : int
        Pairs along a side of each field.
    precision : str
        See `sciup.upscale`.
    progress : callable
        Gets the number of fields done and of all.
    """
    rows: list[Row] = []
    cases = [(d, snr) for snr in SNRS for d in SEPARATIONS]
    for done, (separation, snr) in enumerate(cases):
        progress(done, len(cases))
        rows += _rows(model, separation, snr, across, precision)
    progress(len(cases), len(cases))
    fwhm = grid(model, 0, 20, 1).field.fwhm
    notes = [
        "two: light falls between the stars, draws: mean share of the draws (P of two); alone: the"
        " same for single stars with the light of both. off: rms error of the light in a circle of"
        " half the separation around a star, in per cent of the truth there; bias: its mean."
        " inside: share of truths in the 68 % interval of the draws.",
        f"Moffat PSF (4), FWHM {fwhm:g} input px, known to all methods; {ELECTRONS:g} electrons per"
        " sigma of the sky.",
    ]
    title = f"Pairs of equal stars, {model.name} (weights {model.weights[:12]}), {DRAWS} draws."
    return Table("sky_pairs", title, rows, notes)


def _rows(
    model: ModelFacts, separation: float, snr: float, across: int, precision: str
) -> list[Row]:
    s = model.scale
    pairs, alone = grid(model, separation, snr, across), grid(model, 0, snr, across)
    reach = separation * pairs.field.fwhm * s
    drawn = [
        draw_samples(run_field(g.field, model, "all", precision=precision), DRAWS)
        for g in (pairs, alone)
    ]
    made = [pictures(g.field, s) for g in (pairs, alone)]
    circles, radius = pairs.places.reshape(-1, 2), reach / 2
    true = aperture_fluxes(pairs.field.truth, circles, radius)
    about = {"separation": separation, "S/N": snr, "pairs": len(pairs.places)}

    def row(name: str, two: Array | None, single: Array | None, fluxes: Array | None) -> Row:
        out: Row = about | {"method": name}
        for key, shares in (("two", two), ("alone", single)):
            out[key] = np.nan if shares is None else float(np.mean(shares))
        error = np.full(1, np.nan) if fluxes is None else 100 * (fluxes / true - 1)
        out |= {"off": float(np.sqrt(np.mean(error**2))), "bias": float(np.mean(error))}
        return out | {"inside": np.nan}

    def two(images: Array, g: Grid) -> Array:
        return falls_between(images, g.places, reach).astype(float)

    fluxes = np.array([aperture_fluxes(d, circles, radius) for d in drawn[0].samples])
    ours = row("draws", two(drawn[0].samples, pairs), two(drawn[1].samples, alone), fluxes.mean(0))
    low, high = np.quantile(fluxes, [0.16, 0.84], axis=0, method="weibull")
    ours["inside"] = float(((low <= true) & (true <= high)).mean())
    rows = [ours]
    for name, image in made[0].items():
        light = None if name == "bicubic" else aperture_fluxes(image, circles, radius)
        rows.append(row(name, two(image[None], pairs), two(made[1][name][None], alone), light))
    rows.append(row("forced aperture", None, None, _forced(pairs, model, radius, true)))
    share = true / pairs.flux
    rows.append(
        row("PSF fit", None, None, fitted(pairs.field, model, pairs.places).ravel() * share)
    )
    return rows


def _forced(pairs: Grid, model: ModelFacts, radius: float, true: Array) -> Array:
    """Light in the same circles of the input, corrected as for a star that is alone."""
    s, places = model.scale, pairs.places.reshape(-1, 2)
    at = to_input(places, s)
    seen = aperture_fluxes(pairs.field.observed.astype(float), at, radius / s)
    shares = []
    for place, middle in zip(places, at, strict=True):
        corner = np.rint(middle).astype(int) - SPACING // 2
        y, x = place - corner * s
        light = _star(pairs.field, model, float(y), float(x))
        shares.append(aperture_fluxes(light, (middle - corner)[None], radius / s)[0])
    return np.asarray(seen / np.array(shares) * true / pairs.flux)


__all__ = ["falls_between", "fitted", "grid", "table"]
