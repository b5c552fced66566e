"""The work: window by window, region by region, draw by draw."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.image import Plane
from sciup.physics.instrument import Instrument
from sciup.results.draws import Draws
from sciup.results.level import Level
from sciup.science.measure.context import Context, ring_around
from sciup.science.measure.frame import Frame
from sciup.science.measure.groups import Group, Place, grouped, largest
from sciup.science.measure.measurements import significance
from sciup.science.measure.quantities import Quantity, photometry
from sciup.science.measure.shapes import Region

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

log = logging.getLogger(__name__)

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
    numbers : dict of str to ndarray (n,)
        One number for each draw, by name; empty where nothing could be measured.
    flag : str
        What is wrong, in words.
    snr : float
        Of the light in the region, see `measurements.significance`; NaN where it is not known.
    area : float
        Of the region, input px.
    """

    region: Region
    plane: Plane
    numbers: dict[str, NDArray[Any]] = field(default_factory=dict)
    flag: str = ""
    snr: float = float("nan")
    area: float = float("nan")


class Told:
    """Counts regions for a progress bar."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def add(self, n: int) -> None:
        """So many more are done."""
        self.done += n
        if self.progress is not None:
            self.progress(self.done, self.total)


@dataclass
class Run:
    """A quantity of the draws of a result; `count` falls if only stored draws can be had."""

    draws: Draws
    quantity: Quantity
    count: int
    known: bool
    may_fall: bool
    levels: dict[Plane, Level] = field(default_factory=dict)

    def rows(self, plane: Plane, regions: list[Region], told: Told) -> list[Row]:
        """One for each region, in their order."""
        rows = [Row(region, plane) for region in regions]
        if self.known:
            self.levels[plane] = Level(self.draws, plane)
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
            images = self.draws.window(plane, box, self.count)
            # all rows are of as many draws
            self.may_fall = self.may_fall and not np.isfinite(images).any()
            return images
        except InputError as error:
            fewer = self.draws.samples
            if not self.may_fall or fewer >= self.count or not self.draws.holds(fewer):
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
        found = [self.quantity.function(image, mask, context) for image in images]
        for numbers in found:
            if set(numbers) != set(found[0]):
                raise OptionError(
                    f"{self.quantity.given or self.quantity.name} returned"
                    f" {', '.join(found[0])} for one draw and {', '.join(numbers)} for another",
                    "the same names for every draw",
                )
        row.numbers = {name: np.array([n[name] for n in found]) for name in found[0]}
        lights = [photometry(image, mask, context)["flux"] for image in images]
        row.area = float(weights.sum()) / context.scale**2
        row.snr = significance(float(np.mean(lights)), row.area, self._instrument(plane))

    def _instrument(self, plane: Plane) -> Instrument:
        return self.draws.instruments[self.draws.planes.index(plane)]

    def _context(self, place: Place, weights: Array, plane: Plane) -> Context:
        draws = self.draws
        (y0, x0), (cy, cx) = place.box.start, place.region.shape.centre
        corner = Frame(draws).to_input([[y0, x0]])[0]
        size, unit = draws.pixel or (1 / draws.scale, "pix")
        return Context(
            weights=weights,
            ring=ring_around(weights > 0, draws.target_fwhm),
            centre=(cy - y0, cx - x0),
            corner=(float(corner[0]), float(corner[1])),
            level=self.levels[plane].window(place.box) if self.known else None,
            noise=draws.noise(plane),
            fwhm=draws.target_fwhm,
            scale=draws.scale,
            flux=draws.flux,
            step=size,
            length_unit=unit,
            unit=draws.unit,
            domain="night-sky" if draws.night_sky else "fluorescence",
        )


__all__ = ["Progress", "Row", "Run", "Told"]
