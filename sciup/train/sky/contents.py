"""What a simulated scene of the night sky is made of: kinds, numbers, fluxes and places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FLUX_RANGE = (0.5, 1e5)
COUNTED = 2.0
"""Flux above which densities are stated."""
APRON = 64
"""Sources are placed this far outside too: their wings belong to the scene, they do not."""
KINDS = ("field", "crowded", "star-cluster", "galaxy-cluster", "nebula")
SHARES = (0.62, 0.12, 0.1, 0.08, 0.08)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one scene is made of; `kind` is one of `KINDS`.

    Attributes
    ----------
    stars, galaxies, nearby, lenses : int
        Number of sources, apron included.
    star_slope, galaxy_slope : float
        Slopes of the cumulative counts, N(>F) ~ F^-slope.
    r100 : float
        Typical half-light radius at flux 100 [px].
    haze : bool
        Whether there is extended light of low surface brightness.
    zoom : float
        Magnification of all lengths but that of the target PSF.
    """

    kind: str
    stars: int
    galaxies: int
    star_slope: float
    galaxy_slope: float
    r100: float
    nearby: int
    lenses: int
    haze: bool
    zoom: float = 1.0


def zoom_for(scale: int) -> float:
    """Magnification of scenes for a model of `scale`: 1 up to 4x, then as scale.

    Examples
    --------
    >>> zoom_for(2), zoom_for(4), zoom_for(8)
    (1.0, 1.0, 2.0)
    """
    return max(1.0, scale / 4)


def draw_recipe(rng: np.random.Generator, side: int, zoom: float = 1.0) -> Recipe:
    """Draw what a scene of `side` pixels is made of."""
    kind = str(rng.choice(KINDS, p=SHARES))
    area = ((side + 2 * APRON) / 512 / zoom) ** 2
    stars, galaxies = log_uniform(rng, 20, 500), log_uniform(rng, 40, 500)
    if kind == "crowded":
        stars, galaxies = log_uniform(rng, 300, 3000), 0.4 * galaxies
    elif kind == "star-cluster":
        galaxies *= 0.4
    elif kind == "nebula":
        stars, galaxies = 2.0 * stars, 0.2 * galaxies
    elif kind == "galaxy-cluster":
        galaxies = max(galaxies, 200.0)
    star_slope = 2.5 * float(rng.uniform(0.20, 0.30))
    galaxy_slope = 2.5 * float(rng.uniform(0.30, 0.42))
    return Recipe(
        kind=kind,
        stars=int(rng.poisson(stars * area * deeper(star_slope))),
        galaxies=int(rng.poisson(galaxies * area * deeper(galaxy_slope))),
        star_slope=star_slope,
        galaxy_slope=galaxy_slope,
        r100=zoom * log_uniform(rng, 1.4, 5.0),
        nearby=int(rng.poisson(1.2 * (side / 512 / zoom) ** 2)),
        lenses=int(rng.uniform() < (0.5 if kind == "galaxy-cluster" else 0.1)),
        haze=bool(rng.uniform() < 0.35),
        zoom=zoom,
    )


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two ends, each factor as likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def deeper(slope: float) -> float:
    """Sources in all of `FLUX_RANGE` for each one above `COUNTED`."""
    low, middle, high = (f**-slope for f in (FLUX_RANGE[0], COUNTED, FLUX_RANGE[1]))
    return float((low - high) / (middle - high))


def draw_fluxes(rng: np.random.Generator, count: int, slope: float) -> Array:
    """Fluxes with cumulative counts N(>F) ~ F^-slope, between the ends of `FLUX_RANGE`."""
    low, high = (limit**-slope for limit in FLUX_RANGE)
    return np.asarray((low - rng.uniform(size=count) * (low - high)) ** (-1.0 / slope))


def place(rng: np.random.Generator, count: int, side: int) -> Array:
    """Positions (count, 2), uniform over the scene and its apron."""
    return rng.uniform(-APRON - 0.5, side + APRON - 0.5, (count, 2))


def plummer(rng: np.random.Generator, count: int, side: int, scale: float) -> Array:
    """Positions (count, 2) about one random centre: r = a sqrt(u / (1 - u)) inverts N(<r)."""
    u = rng.uniform(0.0, 0.995, count)
    r, angle = scale * np.sqrt(u / (1.0 - u)), rng.uniform(0, 2 * np.pi, count)
    centre = rng.uniform(0.2 * side, 0.8 * side, 2)
    return centre + np.stack([r * np.sin(angle), r * np.cos(angle)], axis=-1)


def neighbour(rng: np.random.Generator, y: float, x: float, zoom: float) -> tuple[float, float]:
    """Find a place 1 to 4 px away (zoomed): a pair that is a test of resolution."""
    distance, angle = zoom * rng.uniform(1.0, 4.0), rng.uniform(0, 2 * np.pi)
    return float(y + distance * np.sin(angle)), float(x + distance * np.cos(angle))
