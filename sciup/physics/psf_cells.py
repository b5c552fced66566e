"""A PSF that varies over the field: an image for every cell of a grid that lies on the input.

Cells are squares that begin at pixel 0 and hold whole cores of windows. So a window has one PSF,
and which one follows from its place alone: not from the region, the tiles or the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.geometry import Box, plan_tiles
from sciup.image import Fact
from sciup.physics.psf import image_fwhm
from sciup.physics.psf_error import fine
from sciup.physics.psf_image import fine_psf

if TYPE_CHECKING:
    from sciup.physics.instrument import Instrument

Array = NDArray[np.float64]
Cell = tuple[int, int]

CORE = 128
"""Sides of cells are multiples of it: the side of the core of a window, input px."""

MOST = 64
"""Cells, at most: a provenance holds an image of each."""

CHANGE = 0.02
"""By how much images of cells beside each other may differ (root of the summed squares, as a
share). A Gaussian that is 2 % wider differs by .028, by less where the pixel is a part of it."""

PLACES = 5
"""Places along each axis at which the variation is looked at."""

REACH = 10
"""Input px around the core of an image that are kept; no kernel reaches beyond 7."""


class Varying(Protocol):
    """A PSF that is known everywhere."""

    @property
    def step(self) -> float:
        """Input px per pixel of its images."""

    def at(self, y: float, x: float) -> Array:
        """Image at a place in input px, counted from 0."""


@dataclass(frozen=True, slots=True, eq=False)
class PsfCells:
    """PSF images on a grid of cells.

    Attributes
    ----------
    images : ndarray (rows, columns, M, N), float16
        Of the middle of every cell, peak 1: rounded by less than .0005, so that files stay small.
    side : int
        Of a cell, input px.
    step : float
        Input px per pixel of the images; never 1.
    widths : ndarray (rows, columns)
        FWHM, input px.
    """

    images: NDArray[np.float16]
    side: int
    step: float
    widths: Array

    @property
    def note(self) -> str:
        """How wide the PSF is, and how much wider or narrower in the next cell."""
        steps = [np.abs(np.diff(np.log(self.widths), axis=axis)) for axis in (0, 1)]
        most = max(float(step.max(initial=0)) for step in steps)
        return (
            f"FWHM {self.widths.min():.3g} to {self.widths.max():.3g} px, by up to"
            f" {100 * most:.2g} % from cell to cell; each window has its own"
        )

    @classmethod
    def of(cls, psf: Varying, shape: tuple[int, int]) -> PsfCells | None:
        """Cells on an image of `shape`; None where the PSF is the same everywhere.

        Examples
        --------
        >>> from sciup.physics.psfex import Psfex
        >>> one, wide = (np.exp(-(np.mgrid[-9:10, -9:10] ** 2).sum(0) / s) for s in (8, 12))
        >>> psf = Psfex(np.stack([one, wide - one, 0 * one]), 0.5, 1, (1, 1), (512, 512))
        >>> cells = PsfCells.of(psf, (256, 512))
        >>> cells.side, cells.images.shape[:2]
        (128, (2, 4))
        """
        side = _side(psf, shape)
        rows, columns = (-(-n // side) for n in shape)
        if rows * columns == 1:
            return None
        middles = [[(a + min(a + side, n) - 1) / 2 for a in range(0, n, side)] for n in shape]
        found = [fine(psf.at(y, x), psf.step) for y, x in product(*middles)]
        step = found[0][1]
        images = np.stack([_core(image, round(REACH / step)) for image, _ in found])
        peaks = images.max((1, 2), keepdims=True)
        if not (np.isfinite(images).all() and (peaks > 0).all()):
            raise _dark()
        images /= peaks
        widths = np.array([image_fwhm(image, step) for image in images]).reshape(rows, columns)
        small = images.astype(np.float16).reshape(rows, columns, *images.shape[1:])
        return cls(small, side, step, widths)


def _side(psf: Varying, shape: tuple[int, int]) -> int:
    """Side of cells whose images differ by less than `CHANGE`, as far as their number allows."""
    places = [np.linspace(0, n - 1, PLACES) for n in shape]
    seen = np.array([[_seen(psf, y, x) for x in places[1]] for y in places[0]])
    rate = max(
        float(np.linalg.norm(b - a, axis=(-2, -1)).max()) / max(float(at[1] - at[0]), 1)
        for at, rows in ((places[0], seen), (places[1], seen.swapaxes(0, 1)))
        for a, b in pairwise(rows)
    )
    if not np.isfinite(rate):
        raise _dark()
    side = max(int(CHANGE / max(rate, 1e-9)) // CORE, 1) * CORE
    while -(-shape[0] // side) * -(-shape[1] // side) > MOST:
        side += CORE
    return side


def _dark() -> InputError:
    return InputError(
        "the PSF has no light, or no finite light, somewhere in the image",
        "a PSF that has light everywhere",
        "make the PSF file again",
    )


def _seen(psf: Varying, y: float, x: float) -> Array:
    """The image at a place, centred, on half pixels, with a root of the summed squares of 1."""
    image, step = fine(psf.at(y, x), psf.step)
    seen = fine_psf(image, 2, 33, step)
    return np.asarray(seen / np.linalg.norm(seen))


def _core(image: Array, reach: int) -> Array:
    """`reach` pixels around the brightest one; nothing where the image ends."""
    y, x = (int(i) for i in np.unravel_index(int(image.argmax()), image.shape))
    return np.pad(image, reach)[y : y + 2 * reach + 1, x : x + 2 * reach + 1]


def cell_of(instrument: Instrument, place: tuple[float, ...]) -> Cell | None:
    """The cell that a place (y, x) in input px lies in; None where there is one PSF."""
    if instrument.psf_cells.value is None:
        return None
    side, counts = int(instrument.psf_cell.value), instrument.psf_cells.value.shape
    row, column = (
        min(max(int(p // side), 0), n - 1) for p, n in zip(place, counts[:2], strict=True)
    )
    return row, column


def in_cell(instrument: Instrument, cell: Cell | None) -> Instrument:
    """The instrument with the PSF of a cell, as if it were so everywhere."""
    if cell is None:
        return instrument
    image = np.asarray(instrument.psf_cells.value[cell], np.float64)
    width = image_fwhm(image, float(instrument.psf_step.value or 1))
    note, none = f"of cell {cell[0]}, {cell[1]}", Fact(None, "assumed")
    return replace(
        instrument,
        psf=Fact(image, instrument.psf_cells.origin, note),
        psf_fwhm=Fact(width, instrument.psf_cells.origin, note),
        psf_cells=none,
        psf_cell=none,
    )


def pieces(instrument: Instrument, region: Box) -> Iterator[tuple[Box, Instrument]]:
    """The parts of a region that have one PSF each, with it; the region where there is one PSF."""
    if instrument.psf_cells.value is None:
        yield region, instrument
        return
    for tile in plan_tiles(region, int(instrument.psf_cell.value), 0, 1):
        part = tile.core.intersect(region)
        yield part, in_cell(instrument, cell_of(instrument, part.start))


__all__ = ["Cell", "PsfCells", "Varying", "cell_of", "in_cell", "pieces"]
