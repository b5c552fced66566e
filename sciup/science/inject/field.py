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
    what becomes brighter than the saturation that the file states is masked.

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
        out = np.where(footprint, values + more, values).astype(np.float32)
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


def injected(result: Result, patches: Sequence[Patch]) -> Result:
    """The same run with the same beliefs on the image with sources."""
    job, gain = result.job, float(result.instrument.electrons_per_unit.value)
    return Result(replace(job, image=Injected.of(job.image, patches, gain)))


__all__ = ["Injected", "injected"]
