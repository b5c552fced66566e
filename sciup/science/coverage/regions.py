"""Where people would measure: circles around what can be seen, and squares for what is counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciup.geometry import Box
from sciup.keypoints import find
from sciup.results.draws import Draws
from sciup.science.measure.shapes import Ellipse, Polygon, Region

Array = NDArray[np.float64]

RADII = {"night-sky": (1.5, 5.0), "fluorescence": (1.5, 8.0)}
"""Of the circles, uniform in the logarithm, input px."""

SQUARE = 48
"""Side of the squares, input px."""

MOST = 40
"""Circles of a field: a crowded one should not speak for all."""

APART = 1.0
"""Places nearer than this, in FWHM of the output's PSF, are one."""


def circles(draws: Draws, mean: Array, truth: Array, rng: np.random.Generator) -> list[Region]:
    """Circles around what the mean of the draws shows, and around what the truth has.

    A user circles what can be seen; a catalogue of a deeper image also names what cannot.

    Parameters
    ----------
    draws : Draws
    mean, truth : ndarray (h, w)
        Above the background, output units.
    rng : Generator
        Of places, of which there may be too many, and of radii.
    """
    noise, fwhm, domain = draws.noise(draws.planes[0]), draws.target_fwhm, draws.domain
    found = [
        find(image, "night-sky" if draws.night_sky else "fluorescence", noise, fwhm).place
        for image in (mean, truth)
    ]
    places = _apart(np.concatenate(found), APART * fwhm)
    low, high = np.log(RADII[domain])
    regions: list[Region] = []
    for place in rng.permutation(places):
        radius = float(np.exp(rng.uniform(low, high))) * draws.scale
        shape = Ellipse((float(place[0]), float(place[1])), radius, radius)
        if _fits(shape.box, draws):
            regions.append(Region(str(len(regions) + 1), shape))
    return regions[:MOST]


def squares(draws: Draws) -> list[Region]:
    """Squares side by side, none of which sticks out; one as large as fits in a small field."""
    h, w = draws.plane_shape
    side = min(SQUARE * draws.scale, h, w)
    return [
        Region(f"{y},{x}", _square(y, x, side))
        for y in range(0, h - side + 1, side)
        for x in range(0, w - side + 1, side)
    ]


def _square(y: int, x: int, side: int) -> Polygon:
    corners = np.array([[0, 0], [0, side], [side, side], [side, 0]], float)
    return Polygon(corners + np.array([y, x]) - 0.5)


def _fits(box: Box, draws: Draws) -> bool:
    return Box.of_shape(draws.plane_shape).contains(box)


def _apart(places: Array, least: float) -> Array:
    """The first of all places that are nearer to each other than this."""
    kept: list[Array] = []
    for place in places:
        if all(np.hypot(*(place - other)) >= least for other in kept):
            kept.append(place)
    return np.array(kept).reshape(-1, 2)


__all__ = ["circles", "squares"]
