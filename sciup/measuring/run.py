"""Measure a quantity on every draw of a result, region by region."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result
from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.image import Plane
from sciup.io import open_image
from sciup.measuring.context import Context, ring_around
from sciup.measuring.groups import Group, Place, grouped, largest
from sciup.measuring.own import find_quantity
from sciup.measuring.places import find_regions
from sciup.measuring.quantities import Quantity
from sciup.measuring.shapes import Region
from sciup.results.draws import Draws

if TYPE_CHECKING:
    from astropy.table import Table

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

log = logging.getLogger(__name__)

USUAL = 64
"""Draws unless asked otherwise: 39 are the least for an interval of 95 % that assumes nothing; with
64 its ends do not hang on the two outermost draws alone."""

MOST = 1024
BACKGROUNDS = ("known", "ring")

OUTSIDE = "outside the result"
STICKS_OUT = "sticks out of the result"
MASKED = "on masked pixels"
EMPTY = "holds no pixel centre"
TOO_LARGE = "too large: at most {} px with {} draws"


@dataclass
class Row:
    """What was measured in one region.

    Attributes
    ----------
    region : Region
    plane : tuple of int
    numbers : dict of str to list
        One number for each draw, by name; empty where nothing could be measured.
    flag : str
        What is wrong, in words.
    """

    region: Region
    plane: Plane
    numbers: dict[str, list[Any]] = field(default_factory=dict)
    flag: str = ""


def measure(
    result: str | Path | Result | Draws,
    with_: str | Callable[..., Any],
    *,
    regions: Any = None,
    catalog: Any = None,
    labels: Any = None,
    radius: str | float | None = None,
    samples: int | None = None,
    plane: str | Plane | None = None,
    background: str | None = None,
    source: str | None = None,
    model: str | None = None,
    opener: Any = open_image,
    progress: Progress | None = None,
) -> Table:
    """Measure a quantity on every draw of a result: values with intervals.

    Parameters
    ----------
    result : path, Result or Draws
        A finished result, or a lazy one of `sciup.upscale`.
    with_ : str or callable
        ``photometry``, ``centroid``, ``size``, ``length``, ``count``, ``intensity``,
        ``FILE.py:FUNCTION``, or a function ``f(image, mask)`` or ``f(image, mask, context)`` that
        returns a number or a dict of numbers.
    regions : path or str, optional
        Regions of DS9 (a file or their text), or shapes or points that napari saved as CSV.
    catalog : path or Table, optional
        With columns ``ra`` and ``dec``, or ``y`` and ``x`` in input px; also ``id``, ``radius``.
    labels : path or ndarray, optional
        Label image on the grid of the input or of the result.
    radius : float or str, optional
        Of the circles of a catalogue and of points: input px, or ``"0.5arcsec"``.
    samples : int, optional
        Draws to measure; 64 by default.
    plane : str or tuple of int, optional
        Indices on the axes before y and x, or ``all``; needed where there are several planes.
    background : {"known", "ring"}, optional
        Above which light is counted: the level that the result believes in, or the median around
        the region. Default: known for the sky, ring for micrographs.
    source, model : str, optional
        Where input and model are now, for a finished result.
    opener : callable
        Opens the input as the run did.
    progress : callable, optional
        Called with the number of regions done and in all.

    Returns
    -------
    astropy.table.Table
        One row for each region; ``meta`` says how it was made and what the intervals mean.

    Examples
    --------
    >>> import numpy as np, sciup
    >>> image = np.random.default_rng(0).poisson(20.0, (32, 48)).astype("float32")
    >>> image[10:20, 10:30] += 100
    >>> result = sciup.upscale(image, samples=3, psf_fwhm=2.0)
    >>> table = sciup.measure(result, "intensity", regions="box(20.5,15.5,20,10,0)", samples=4)
    >>> bool(60 < table["intensity"][0] < 140)
    True
    """
    from sciup.measuring.table import make_table

    quantity = find_quantity(with_)
    draws = _draws(result, source, model, opener)
    known = _known(background, draws)
    count = USUAL if samples is None else samples
    if not 2 <= count <= MOST:
        raise OptionError(f"--samples {count}", f"2 to {MOST}; 39 or more for 95 %")
    planes = _planes(plane, draws)
    found = [
        (p, find_regions(draws, p, largest(count), regions=regions, catalog=catalog,
                         labels=labels, radius=radius))
        for p in planes
    ]  # fmt: skip
    told = _Told(sum(len(r) for _, r in found), progress)
    run = _Run(draws, quantity, count, known, samples is None)
    rows = [row for p, r in found for row in run.rows(p, r, told)]
    return make_table(rows, draws, quantity, run.count, known=known)


def _draws(result: Any, source: str | None, model: str | None, opener: Any) -> Draws:
    if isinstance(result, Draws):
        return result
    if isinstance(result, Result):
        return Draws.of_result(result)
    return Draws.open(result, source=source, model=model, opener=opener)


def _known(background: str | None, draws: Draws) -> bool:
    """Whether light is counted above a known level."""
    if background is None:
        return draws.night_sky
    if background not in BACKGROUNDS:
        raise OptionError(f"--background {background}", " or ".join(BACKGROUNDS))
    return background == "known"


def _planes(wanted: str | Plane | None, draws: Draws) -> list[Plane]:
    allowed = f"all, or one of {', '.join(','.join(map(str, p)) for p in draws.planes[:20])}"
    if wanted is None:
        if len(draws.planes) > 1:
            raise OptionError(
                f"{draws.name} has {len(draws.planes)} planes", allowed, "choose with --plane"
            )
        return draws.planes
    if wanted == "all":
        return draws.planes
    try:
        index = tuple(int(n) for n in (wanted.split(",") if isinstance(wanted, str) else wanted))
    except ValueError:
        index = (-1,)
    if index not in draws.planes:
        raise OptionError(f"--plane {wanted}", allowed)
    return [index]


class _Told:
    """Counts regions for a progress bar."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def add(self, n: int) -> None:
        self.done += n
        if self.progress is not None:
            self.progress(self.done, self.total)


@dataclass
class _Run:
    """A quantity of the draws of a result; `count` falls if only stored draws can be had."""

    draws: Draws
    quantity: Quantity
    count: int
    known: bool
    may_fall: bool

    def rows(self, plane: Plane, regions: list[Region], told: _Told) -> list[Row]:
        """One for each region, in their order."""
        rows = [Row(region, plane) for region in regions]
        places = list(self._places(rows))
        told.add(len(rows) - len(places))
        for group in grouped(places, largest(self.count)):
            self._group(group, rows, plane)
            told.add(len(group.places))
        return rows

    def _places(self, rows: list[Row]) -> Iterator[Place]:
        """The regions that can be measured; the others get a flag."""
        whole, most = Box.of_shape(self.draws.plane_shape), largest(self.count)
        for index, row in enumerate(rows):
            box = row.region.shape.box
            if not whole.intersect(box).size:
                row.flag = OUTSIDE
            elif not whole.contains(box):
                row.flag = STICKS_OUT
            else:
                pad = self.quantity.pad(self.draws.target_fwhm, max(box.shape))
                wide = box.grown(pad).intersect(whole)
                if wide.size > most:
                    row.flag = TOO_LARGE.format(most, self.count)
                else:
                    yield Place(index, row.region, wide)

    def _group(self, group: Group, rows: list[Row], plane: Plane) -> None:
        images = self._window(plane, group.box)
        for place in group.places:
            inside = images[:, *place.box.relative_to(group.box).slices]
            self._measure(place, rows[place.index], inside, plane)

    def _window(self, plane: Plane, box: Box) -> Array:
        try:
            return self.draws.window(plane, box, self.count)
        except InputError as error:
            fewer = self.draws.samples
            if not self.may_fall or fewer >= self.count:
                raise
            images = self.draws.window(plane, box, fewer)
            log.warning("only the %d stored draws are measured: %s", fewer, error)
            self.count, self.may_fall = fewer, False
            return images

    def _measure(self, place: Place, row: Row, images: Array, plane: Plane) -> None:
        weights = place.region.shape.weights(place.box)
        mask = weights >= 0.5
        if not mask.any():
            row.flag = EMPTY
            return
        if np.isnan(images[:, weights > 0]).any():
            row.flag = MASKED
            return
        context = self._context(place, weights, plane)
        for image in images:
            numbers = self.quantity.function(image, mask, context)
            if row.numbers and set(numbers) != set(row.numbers):
                raise OptionError(
                    f"{self.quantity.given or self.quantity.name} returned"
                    f" {', '.join(numbers)} for one draw and {', '.join(row.numbers)} for another",
                    "the same names for every draw",
                )
            for name, value in numbers.items():
                row.numbers.setdefault(name, []).append(value)

    def _context(self, place: Place, weights: Array, plane: Plane) -> Context:
        from sciup.measuring.frame import Frame

        draws = self.draws
        (y0, x0), (cy, cx) = place.box.start, place.region.shape.centre
        corner = Frame(draws).to_input([[y0, x0]])[0]
        size, unit = draws.pixel or (1 / draws.scale, "pix")
        return Context(
            weights=weights,
            ring=ring_around(weights > 0, draws.target_fwhm),
            centre=(cy - y0, cx - x0),
            corner=(float(corner[0]), float(corner[1])),
            level=draws.background(plane) if self.known else None,
            noise=draws.noise(plane),
            fwhm=draws.target_fwhm,
            scale=draws.scale,
            flux=draws.flux,
            step=size,
            length_unit=unit,
            unit=draws.unit,
            domain="night-sky" if draws.night_sky else "fluorescence",
        )


__all__ = ["measure"]
