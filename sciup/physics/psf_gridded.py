"""PSF images at places of a grid, as STPSF writes them for photutils."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from itertools import count, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.io._check import input_errors

logger = logging.getLogger("sciup")
Array = NDArray[np.float64]

CARD = "DET_YX{}"
"""Card with the place (y, x) of an image, in pixels of the detector from 0; from image 0 on."""

SORTED = (1, 3)
"""WebbPSF from this version on, and STPSF, sort the images by y, then x, but not the cards."""


@dataclass(frozen=True, slots=True)
class GriddedPsf:
    """Images at the nodes of a grid, linear between them (as `photutils.psf.GriddedPSFModel`).

    Attributes
    ----------
    images : ndarray (rows, columns, M, N)
        Integrated over the input pixel, as STPSF does for such grids.
    ys, xs : ndarray (rows,), (columns,)
        Places in input px, counted from 0.
    step : float
        Input px per pixel of the images: 1 / OVERSAMP.
    """

    images: Array
    ys: Array
    xs: Array
    step: float

    kind = "grid of PSFs"

    @property
    def varies(self) -> bool:
        """Whether there is more than one image."""
        return len(self.ys) * len(self.xs) > 1

    def far(self, y: float, x: float) -> bool:
        """Whether a place in input px lies far outside of the grid."""
        return any(
            not nodes[0] - np.ptp(nodes) / 2 <= place <= nodes[-1] + np.ptp(nodes) / 2
            for nodes, place in ((self.ys, y), (self.xs, x))
            if len(nodes) > 1
        )

    @staticmethod
    def fits(hdu: Any) -> bool:
        """Whether an HDU of astropy holds such a grid."""
        return hdu.header.get("NAXIS") in (2, 3) and CARD.format(0) in hdu.header

    @classmethod
    def read(cls, hdu: Any, source: str) -> GriddedPsf:
        """From the HDU that astropy makes of the cube.

        Raises
        ------
        InputError
            If it is damaged, or its places are not those of a grid.
        """
        with input_errors(f"the grid of PSFs of {source} is damaged"):
            header, cube = hdu.header, np.array(hdu.data, np.float64)
            cube = cube.reshape(-1, *cube.shape[-2:])
            cards = takewhile(lambda card: card in header, map(CARD.format, count()))
            places = np.array([_numbers(str(header[card])) for card in cards])
            samples = float(header.get("OVERSAMP", 1))
        ys, xs = (np.unique(places[:, axis]) for axis in (0, 1))
        good = len(places) == len(cube) == len(ys) * len(xs) == len(np.unique(places, axis=0))
        if not (good and samples >= 1 and np.isfinite(cube).all() and (cube.sum((1, 2)) > 0).all()):
            raise InputError(
                f"{source} has {len(cube)} PSFs at {len(places)} places, on {len(ys)} lines and"
                f" {len(xs)} columns, OVERSAMP {samples:g}",
                "finite images, one at every node of a grid; OVERSAMP of 1 or more",
                "write it again, for example with STPSF (psf_grid)",
            )
        order = np.lexsort((places[:, 1], places[:, 0]))
        if _version(header) >= SORTED and (order != range(len(order))).any():
            logger.info("%s: its PSFs are taken by y, then x, as STPSF sorts them, not in the order"
                        " of the cards %s", source, CARD.format("n"))  # fmt: skip
            order = np.arange(len(order))
        return cls(cube[order].reshape(len(ys), len(xs), *cube.shape[1:]), ys, xs, 1 / samples)

    def at(self, y: float, x: float) -> Array:
        """Image at a place in input px, counted from 0; outside of the grid that of its rim.

        Examples
        --------
        >>> images = np.arange(4.0).reshape(2, 2, 1, 1) * np.ones((3, 3))
        >>> psf = GriddedPsf(images, np.array([0.0, 10.0]), np.array([0.0, 20.0]), 0.5)
        >>> float(psf.at(5.0, 5.0)[0, 0]), float(psf.at(99.0, -3.0)[0, 0])
        (1.25, 2.0)
        """
        (i, v), (j, u) = _between(self.ys, y), _between(self.xs, x)
        pair = self.images[i]
        across = pair[:, j[0]] * (1 - u) + pair[:, j[1]] * u
        return np.asarray(across[0] * (1 - v) + across[1] * v)


def _version(header: Any) -> tuple[int, int]:
    """Of WebbPSF or STPSF; (0, 0) if nothing is said.

    Examples
    --------
    >>> _version({"VERSION": "1.2.1"}), _version({})
    ((1, 2), (0, 0))
    """
    found = re.match(r"(\d+)\.(\d+)", str(header.get("VERSION", "")))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _numbers(text: str) -> tuple[float, float]:
    first, second = re.findall(r"[-+]?\d[\d.eE+-]*", text)
    return float(first), float(second)


def _between(nodes: Array, place: float) -> tuple[list[int], float]:
    """The nodes on both sides of a place, and how far it lies from the first to the second."""
    last = int(np.clip(np.searchsorted(nodes, place), 1, max(len(nodes) - 1, 1)))
    if len(nodes) == 1:
        return [0, 0], 0.0
    a, b = nodes[last - 1], nodes[last]
    return [last - 1, last], float(np.clip((place - a) / (b - a), 0, 1))


__all__ = ["GriddedPsf"]
