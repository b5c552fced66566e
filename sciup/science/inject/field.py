"""An image with sources added to what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sciup.api import Result
from sciup.geometry import Box
from sciup.image import Bool, Float, Image, Plane
from sciup.io._salvage import about
from sciup.science.inject.light import Patch, total


@dataclass(eq=False)
class Injected(Image):
    """A lazy image to which sources are added, window by window.

    A pixel gets the same light in whatever window it is read. Masked pixels stay as they are, and
    what becomes brighter than the saturation that the file states is masked. Integers end at the
    largest of their kind.

    Attributes
    ----------
    base : Image
    patches : tuple of Patch
    gain : float
        Electrons per unit.
    """

    base: Image = field(kw_only=True)
    patches: tuple[Patch, ...] = field(kw_only=True)
    gain: float = field(kw_only=True)

    @classmethod
    def of(cls, base: Image, patches: Sequence[Patch], gain: float) -> Injected:
        """Wrap an image."""
        more = about(base) | {"dtype": np.dtype(np.float32)}
        return cls(**more, base=base, patches=tuple(patches), gain=gain)

    @property
    def sky_source(self) -> Image:
        """Added sources must not change what is believed of the sky."""
        return self.base.sky_source

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """The image's own, plus the sources."""
        values, footprint = self.base.load(plane, box)
        more = total(self.patches, box)
        full = np.maximum(values, brightest(self.base))  # where the reader clips, so does light
        out = np.where(footprint, np.minimum(values + more, full), values).astype(np.float32)
        limit = self.facts.get("saturation")
        if limit is not None:
            footprint = footprint & ~((more > 0) & (out >= limit.value))
        return out, footprint

    def load_sigma(self, plane: Plane, box: Box) -> Float | None:
        """Noise of the file, with that of the added light."""
        sigma = self.base.load_sigma(plane, box)
        if sigma is None or not box.size:
            return sigma
        more = np.maximum(total(self.patches, box, counted=False), 0) / self.gain
        return np.sqrt(np.square(sigma, dtype=np.float64) + more).astype(np.float32)


def brightest(image: Image) -> float:
    """The largest value that the integers of a file can have; infinite for floats.

    Examples
    --------
    >>> from sciup.io import open_image
    >>> [brightest(open_image(np.zeros((8, 8), kind))) for kind in ("uint8", "int16", "float32")]
    [255.0, 32767.0, inf]
    """
    if image.dtype.kind not in "iu":
        return np.inf
    top = float(np.iinfo(image.dtype).max)
    raw = image.dtype.kind == ("u" if image.dtype.itemsize == 1 else "i")
    if image.header is None or not raw:  # FITS: unsigned integers are told by their BZERO
        return top
    return float(image.header.get("BSCALE", 1)) * top + float(image.header.get("BZERO", 0))


def injected(result: Result, patches: Sequence[Patch]) -> Result:
    """The same run with the same beliefs on the image with sources."""
    job, gain = result.job, float(result.instrument.electrons_per_unit.value)
    return Result(replace(job, image=Injected.of(job.image, patches, gain)))


__all__ = ["Injected", "brightest", "injected"]
