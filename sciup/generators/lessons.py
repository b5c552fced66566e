"""Which images a model was trained on: what it draws of those proves nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sciup.errors import ModelError
from sciup.image import Image

FILE = "training.txt"
"""In a model folder: ``plane DIGEST NAME`` and ``sky RA DEC RADIUS NAME`` (degrees), one a line."""


@dataclass(frozen=True)
class Lessons:
    """What a model was trained on.

    Attributes
    ----------
    planes : dict of str to str
        Names of images by the digest of the pixels of a plane, see `sciup.physics.estimate.probe`.
    skies : tuple of (float, float, float, str)
        Right ascension, declination and radius in degrees of parts of the sky, and their names.
    """

    planes: dict[str, str] = field(default_factory=dict)
    skies: tuple[tuple[float, float, float, str], ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Lessons:
        """Those of a model folder; none where it says nothing.

        Raises
        ------
        ModelError
            If a line cannot be understood.
        """
        path = folder / FILE
        planes, skies = {}, []
        text = path.read_text(errors="replace") if path.is_file() else ""
        for number, line in enumerate(text.splitlines(), 1):
            try:
                match line.split():
                    case ["plane", digest, *name]:
                        planes[digest] = " ".join(name)
                    case ["sky", ra, dec, radius, *name]:
                        skies.append((float(ra), float(dec), float(radius), " ".join(name)))
                    case [] | ["#", *_]:
                        pass
                    case _:
                        raise ValueError(line)
            except ValueError:
                raise ModelError(
                    f"line {number} of {path} cannot be understood: {line!r}",
                    "plane DIGEST NAME, or sky RA DEC RADIUS NAME",
                ) from None
        return cls(planes, tuple(skies))

    def near(self, image: Image) -> str:
        """The part of the sky that training images show, and this one lies in; or empty.

        Parameters
        ----------
        image : Image
            Its header tells where on the sky it is.
        """
        place = _middle(image) if self.skies else None
        if place is None:
            return ""
        from astropy.coordinates import SkyCoord

        here = SkyCoord(*place, unit="deg")
        for ra, dec, radius, name in self.skies:
            if here.separation(SkyCoord(ra, dec, unit="deg")).deg < radius:
                return name
        return ""


def _middle(image: Image) -> tuple[float, float] | None:
    """Right ascension and declination of the middle of an image in degrees, if it tells."""
    from sciup.io._fits_clean import quiet
    from sciup.io._sky_roi import celestial

    height, width = image.plane_shape
    try:
        wcs = celestial(image)
        if wcs is None:
            return None
        with quiet(image.source):
            place = wcs.pixel_to_world((width - 1) / 2, (height - 1) / 2).icrs
    except (ValueError, KeyError, AttributeError, TypeError):
        return None  # coordinates that cannot be read are told by the reader
    return float(place.ra.deg), float(place.dec.deg)


def write_lessons(folder: Path, planes: Iterable[tuple[str, str]]) -> None:
    """Write digests and names of the planes that a model is trained on, sorted by name."""
    lines = (f"plane {digest} {name}\n" for name, digest in sorted({(n, d) for d, n in planes}))
    (folder / FILE).write_text("".join(lines))


__all__ = ["FILE", "Lessons", "write_lessons"]
