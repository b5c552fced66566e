"""World coordinates of the output pixels of a result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.io._writer import Layout
from sciup.results.finished import Finished

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sky:
    """World coordinates of the output pixels."""

    wcs: Any

    @classmethod
    def of(cls, done: Finished) -> Sky | None:
        """Those of the result; None without, or where they cannot be read."""
        from astropy.wcs import WCS

        from sciup.io._fits_clean import open_hdus, quiet

        try:
            with quiet(str(done.path)):
                if done.container == "ome-tiff":
                    wcs = WCS(done.image.header).celestial
                elif done.container == "ome-zarr":
                    wcs = WCS(_header(done.path)).celestial
                else:
                    first = next(name for name in done.maps if name != "samples")
                    with open_hdus(str(done.path), memmap=False) as hdus:
                        wcs = WCS(hdus[first.upper()].header, hdus).celestial
        except (ValueError, KeyError, AttributeError, TypeError):
            return None
        return cls(wcs) if wcs.has_celestial else None

    @classmethod
    def of_layout(cls, layout: Layout) -> Sky | None:
        """Those that a result of this layout will have, with its lookup tables; None without."""
        from astropy.io import fits
        from astropy.wcs import WCS

        from sciup.io._fits_cards import carried_header, table_hdus
        from sciup.io._fits_clean import quiet

        if layout.image.header is None:
            return None
        try:
            with quiet(layout.image.source):
                tables = fits.HDUList([fits.PrimaryHDU(), *table_hdus(layout)])
                wcs = WCS(carried_header(layout), tables).celestial
        except (InputError, ValueError, KeyError, AttributeError, TypeError):
            return None
        return cls(wcs) if wcs.has_celestial else None

    def degrees(self, y: float, x: float) -> tuple[float, float]:
        """Right ascension and declination, ICRS, of an output pixel counted from 0.

        Also where the header is in FK5, which is some 0.02 arcsec away, or in another frame.
        """
        from sciup.io._fits_clean import quiet

        with quiet("world coordinates"):
            place = self.wcs.pixel_to_world(x, y).icrs
        return float(place.ra.deg), float(place.dec.deg)

    def compass(self, y: float, x: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """Directions (dy, dx) to north and to east at an output pixel, of length 1."""
        from astropy.coordinates import SkyCoord

        ra, dec = self.degrees(y, x)
        step = 1e-4 if dec < 89 else -1e-4
        there = SkyCoord(
            [ra, ra + step / max(np.cos(np.radians(dec)), 1e-6)],
            [dec + step, dec],
            unit="deg",
            frame="icrs",
        )
        found = (self.pixels(there) - (y, x)) * np.sign(step)
        north, east = (d / np.hypot(*d) for d in found)
        return (float(north[0]), float(north[1])), (float(east[0]), float(east[1]))

    def pixels(self, coordinates: Any) -> Array:
        """Output pixels (n, 2) as (y, x), counted from 0, of an array of `SkyCoord`."""
        from sciup.io._fits_clean import quiet

        with quiet("world coordinates"):
            x, y = self.wcs.world_to_pixel(coordinates)
        return np.stack([np.atleast_1d(y), np.atleast_1d(x)], -1).astype(np.float64)


def _header(path: Path) -> Any:
    """The header that an OME-Zarr result of a FITS image carries."""
    import zarr
    from astropy.io import fits
    from zarr.storage import LocalStore

    about: Any = zarr.open_group(LocalStore(path, read_only=True), mode="r").attrs["sciup"]
    return fits.Header.fromstring(about["fits_header"], sep="\n")


__all__ = ["Sky"]
