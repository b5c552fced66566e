"""Where sources go: at random, or as a catalogue says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter

from sciup.errors import InputError, OptionError
from sciup.existence.believed import Believed
from sciup.existence.target import point_limit
from sciup.geometry import Box
from sciup.image import Image, Plane
from sciup.results.draws import Draws
from sciup.science.detect.rows import flux_unit, unit_of
from sciup.science.inject.light import Optics
from sciup.science.measure.frame import Frame
from sciup.science.measure.shapes import Ellipse
from sciup.science.measure.tables import catalogue, read_table

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[np.float64]

APART = 5.0
"""Least distance of two sources of one round, in FWHM of the input's PSF, beside their stamps."""

CLEAR = 2.0
"""Least distance of a random place from edges and masked pixels, in FWHM of the input's PSF."""

ROUNDS = 8
"""Runs of the engine that the sources may be spread over."""

MOST = 5000
"""Sources."""

SPARE = 3
"""Random places to choose from for each source, so that most fit into one round."""

TRIES = 100
"""Random places that are tried for each that is wanted."""

BLOCK = 512
"""Input px per side whose footprint is read at a time."""

WANTED = "columns ra, dec or y, x (input px from 0), and flux (input units) or snr"


@dataclass(frozen=True)
class Sources:
    """What is injected, n sources.

    Attributes
    ----------
    places : ndarray (n, 2)
        Input px (y, x).
    fluxes, snr : ndarray (n,)
        Sum over input pixels, input units; in the noise of the background.
    """

    places: Array
    fluxes: Array
    snr: Array

    def __len__(self) -> int:
        return len(self.places)


@dataclass(frozen=True)
class Room:
    """Where sources may be.

    Attributes
    ----------
    image : Image
    plane : tuple of int
    region : Box
        Input px of the run.
    clear : int
        Input px from a place to edges and masked pixels.
    """

    image: Image
    plane: Plane
    region: Box
    clear: int

    def free(self, places: Array) -> NDArray[np.bool_]:
        """Which of some places are in the region and clear of edges and masked pixels."""
        at = np.rint(places).astype(np.intp)
        low, high = (np.array(end) for end in (self.region.start, self.region.stop))
        inside = ((at >= low + self.clear) & (at < high - self.clear)).all(1)
        out = np.zeros(len(at), bool)
        blocks = at // BLOCK
        for index in np.unique(blocks[inside], axis=0):
            here = inside & (blocks == index).all(1)
            y, x = at[here].T
            box = Box((int(y.min()), int(x.min())), (int(y.max()) + 1, int(x.max()) + 1))
            footprint = self.image.read(self.plane, box.grown(self.clear))[1]
            good = minimum_filter(footprint, 2 * self.clear + 1)
            out[here] = good[y - box.start[0] + self.clear, x - box.start[1] + self.clear]
        return out

    def gather(self, count: int, propose: Callable[[int], Array]) -> Array:
        """The first `count` free places of those that are proposed; fewer if there is no room."""
        found = np.empty((0, 2))
        for _ in range(TRIES):
            proposed = propose(count)
            found = np.concatenate([found, proposed[self.free(proposed)]])
            if len(found) >= count:
                break
        return found[:count]

    def uniform(self, count: int, rng: np.random.Generator) -> Array:
        """Places spread evenly over the free part of the region."""
        low, high = np.array(self.region.start) - 0.5, np.array(self.region.stop) - 0.5
        return self.gather(count, lambda n: rng.uniform(low, high, (n, 2)))


def scattered(
    count: int, span: tuple[float, float], room: Room, apart: float, optics: Optics, b: Believed,
    seed: int,
) -> Sources:  # fmt: skip
    """Sources at random places, `apart` from each other, whose S/N is log-uniform in a range.

    Raises
    ------
    OptionError
        If there is no room for so many.
    InputError
        If nothing is far enough from edges and masked pixels.
    """
    low, high = span
    rng = np.random.default_rng([seed, 0])
    places = room.uniform(SPARE * count, rng)
    if not len(places):
        raise InputError(
            f"no place lies {room.clear} input px away from edges and masked pixels",
            "a region with data",
            "choose a larger --roi",
        )
    places = places[np.concatenate(packed(places, apart))[:count]]
    if len(places) < count:
        raise _crowded(count, apart, len(places))
    snr = np.exp(rng.uniform(np.log(low), np.log(high), count))
    return Sources(places, _fluxes(snr, optics, b), snr)


def listed(path: str | Path | Table, draws: Draws, optics: Optics, b: Believed) -> Sources:
    """Sources of a catalogue; the fluxes go before S/N.

    Raises
    ------
    InputError
        If it says neither flux nor S/N, or a place lies outside of the region.
    """
    table, name = (read_table(Path(path)), str(path)) if isinstance(path, str | Path) else (
        path, "the catalogue",
    )  # fmt: skip
    if not 1 <= len(table) <= MOST:
        raise InputError(f"{name} has {len(table)} rows", f"1 to {MOST}")
    frame = Frame(draws)
    shapes = [r.shape for r in catalogue(table, frame, name, 1.0)]
    places = frame.to_input([s.centre for s in shapes if isinstance(s, Ellipse)])
    low, high = np.array(draws.region.start) - 0.5, np.array(draws.region.stop) - 0.5
    outside = ~((places >= low) & (places < high)).all(1)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        (y0, x0), (y1, x1) = draws.region.start, draws.region.stop
        raise InputError(
            f"{name}: {int(outside.sum())} of {len(table)} places lie outside of the field or say"
            f" no place, the first in row {row + 1}",
            f"input px {y0}:{y1},{x0}:{x1}",
            "leave these rows out, or choose a larger --roi",
        )
    columns = {str(c).lower(): table[c] for c in table.colnames}
    key = next((k for k in ("flux_true", "flux", "snr") if k in columns), None)
    if key is None:
        raise InputError(f"{name} has the columns {', '.join(columns)}", WANTED)
    values = _positive(columns[key], key, name)
    unit = getattr(columns[key], "unit", None)
    if unit is not None:
        values = values * _factor(unit, key, draws, name)
    if key == "snr":
        return Sources(places, _fluxes(values, optics, b), values)
    return Sources(places, values, _snr(values, optics, b))


def _positive(column: Any, key: str, name: str) -> Array:
    try:
        plain: Any = np.ma.asarray(getattr(column, "value", column))
        values = np.asarray(plain.astype(np.float64).filled(np.nan))
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"{name}: not all of the column {key} are numbers above 0", WANTED)
    return values


def _factor(unit: Any, key: str, draws: Draws, name: str) -> float:
    """From the unit of a column to that of fluxes of the image; S/N has none."""
    from astropy import units

    wanted = [units.dimensionless_unscaled]
    if key != "snr":
        known = [u for u in (flux_unit(draws), unit_of(draws.unit)) if u is not None]
        wanted = known or wanted
    for one in wanted:
        if isinstance(unit, units.UnitBase) and unit.is_equivalent(one):
            return float(unit.to(one))
    raise InputError(
        f"{name}: the column {key} has the unit {unit}",
        f"{wanted[0]} or what is proportional to it" if str(wanted[0]) else "no unit",
        "convert the column; magnitudes are no fluxes",
    )


def _fluxes(snr: Array, optics: Optics, b: Believed) -> Array:
    return np.array([point_limit(float(s), b.sigma, optics.area, b.gain) for s in snr])


def _snr(fluxes: Array, optics: Optics, b: Believed) -> Array:
    return np.asarray(fluxes / np.sqrt(b.sigma**2 * optics.area + fluxes / b.gain))


def rounds(places: Array, apart: float) -> list[NDArray[np.intp]]:
    """Indices of the sources of each round: a source joins the first one in which it has room.

    Raises
    ------
    OptionError
        If there would be too many rounds.

    Examples
    --------
    >>> [r.tolist() for r in rounds(np.array([[0.0, 0], [0, 3], [0, 9]]), 5.0)]
    [[0, 2], [1]]
    """
    made = packed(places, apart)
    fit = sum(map(len, made))
    if fit < len(places):
        raise _crowded(len(places), apart, fit)
    return made


def packed(places: Array, apart: float) -> list[NDArray[np.intp]]:
    """The same for as many as fit into `ROUNDS`; the others are left out."""
    made: list[list[int]] = []
    for i, place in enumerate(places):
        for members in made:
            if np.hypot(*(places[members] - place).T).min() >= apart:
                members.append(i)
                break
        else:
            if len(made) < ROUNDS:
                made.append([i])
    return [np.array(members, np.intp) for members in made]


def _crowded(count: int, apart: float, fit: int) -> OptionError:
    return OptionError(
        f"{count} sources, {apart:.1f} input px apart, do not fit into {ROUNDS} rounds",
        f"about {fit}",
        "inject fewer, or choose a larger --roi",
    )


__all__ = ["APART", "CLEAR", "ROUNDS", "Room", "Sources", "listed", "rounds", "scattered"]
