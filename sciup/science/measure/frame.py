"""From places as people give them to output pixels of a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.results.sky import Sky

Array = NDArray[np.float64]

TINY = 1 / 3600
"""Degrees over which directions on the sky are turned into pixels."""

LENGTHS = "input px, or with a unit: 0.5arcsec, 2micrometer"


class Placed(Protocol):
    """Pixels that have a place: those of `Draws`, or of an image at scale 1."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def scale(self) -> int:
        """Output pixels per input pixel along each axis."""

    @property
    def region(self) -> Box:
        """Input pixels that the output pixels cover."""

    @property
    def pixel(self) -> tuple[float, str] | None:
        """Size of an output pixel and its unit."""

    @property
    def sky(self) -> Sky | None:
        """World coordinates of the output pixels."""


@dataclass(frozen=True)
class Frame:
    """Positions, directions and lengths on the output pixels of a result."""

    draws: Placed

    def from_input(self, places: Any) -> Array:
        """Output px (n, 2) of input px (n, 2), both (y, x) with pixel centres at integers."""
        inside = np.asarray(places, np.float64) - np.array(self.draws.region.start)
        return np.asarray((inside + 0.5) * self.draws.scale - 0.5)

    def to_input(self, places: Any) -> Array:
        """Inverse of `from_input`."""
        inside = (np.asarray(places, np.float64) + 0.5) / self.draws.scale - 0.5
        return np.asarray(inside + np.array(self.draws.region.start))

    def from_sky(self, coordinates: Any) -> Array:
        """Output px (n, 2) of an array of `SkyCoord`; NaN where they are not in the projection.

        Raises
        ------
        InputError
            If the result has no world coordinates.
        """
        if self.draws.sky is None:
            raise InputError(
                f"{self.draws.name} has no world coordinates, and the places are on the sky",
                "places in input px",
            )
        return self.draws.sky.pixels(coordinates)

    def jacobian(self, coordinate: Any) -> Array:
        """Output px (y, x) in rows per degree to the west and to the north in columns."""
        from astropy import units

        at = self.from_sky(coordinate)[0]
        west, north = (
            self.from_sky(coordinate.directional_offset_by(turn * units.deg, TINY * units.deg))[0]
            for turn in (270.0, 0.0)
        )
        return np.stack([west - at, north - at], 1) / TINY

    def length(self, value: float, unit: str | None = None) -> float:
        """Output px of a length in input px, or in a physical unit or an angle.

        Raises
        ------
        OptionError
            If the pixel size is not known, or of another kind.
        """
        if unit in (None, "", "pix", "px"):
            return value * self.draws.scale
        from astropy import units

        if self.draws.pixel is None:
            raise OptionError(
                f"a length of {value:g} {unit}, but {self.draws.name} has no pixel size",
                "input px",
                "give --pixel-size when the result is made",
            )
        try:
            size, name = self.draws.pixel
            return float((value * units.Unit(unit)).to_value(units.Unit(name)) / size)
        except (ValueError, TypeError, units.UnitConversionError):
            raise OptionError(
                f"a length of {value:g} {unit}, with pixels in {self.draws.pixel[1]}", LENGTHS
            ) from None

    def radius(self, text: str | float | None) -> float | None:
        """A radius as given on the command line, in output px."""
        import re

        if text is None:
            return None
        found = re.fullmatch(r"\s*([-+.\deE]+?)\s*([a-zA-Zµ]*)\s*", str(text))
        try:
            value = float(found[1]) if found else np.nan
        except ValueError:
            value = np.nan
        if found is None or not (np.isfinite(value) and value > 0):
            raise OptionError(f"--radius {text}", f"a number above 0 in {LENGTHS}")
        return self.length(value, found[2] or None)


__all__ = ["Frame"]
