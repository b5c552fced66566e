"""What every writer of results promises, and the layout that engine and writers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sciup.geometry import Box
from sciup.image import Float, Image, Plane

CHUNK = 512
"""Side of a stored chunk in output pixels."""

SHARD = 2048
"""Side of a stored shard in output pixels: one task writes one shard."""


ILLUSTRATIVE = "illustrative"
"""Label of maps that show what may be, without any claim that was calibrated."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Shape and names of the maps of one result.

    Attributes
    ----------
    image : Image
        The input: axes, WCS, pixel size, unit and metadata come from it.
    region : Box
        Input pixels (y, x) that the result covers.
    scale : int
        Output pixels per input pixel.
    maps : tuple of str
        Names of the maps, for example ``("sample", "mean", "std", "risk_raw", "support")``.
    units : mapping of str to str or None
        Astropy unit string of every map.
    samples : int
        Number of samples stored in the extra map ``samples`` (leading axis); 0 for none.
    labels : mapping of str to str
        What must be said of a map wherever it is shown.
    origin : (str, int, Box), optional
        Input, scale and region of a result that is converted: `image` has its own pixels then.
    """

    image: Image
    region: Box
    scale: int
    maps: tuple[str, ...]
    units: Mapping[str, str | None]
    samples: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    origin: tuple[str, int, Box] | None = None

    def title(self, name: str) -> str:
        """Name of a map, with its label."""
        return f"{name} ({self.labels[name]})" if name in self.labels else name

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of every map in output pixels."""
        height, width = self.region.scaled(self.scale).shape
        return height, width

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of every map: the image's leading axes, then the output plane."""
        return self.image.shape[:-2] + self.plane_shape

    @property
    def names(self) -> tuple[str, ...]:
        """All maps, ``samples`` last where it is stored."""
        return self.maps + (("samples",) if self.samples else ())

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Shape of one map."""
        return (self.samples, *self.shape) if name == "samples" else self.shape


class Writer(Protocol):
    """Fills a result in a working folder, shard by shard.

    All values are float32 with NaN for masked. Boxes are in output pixels of the plane, aligned
    to `SHARD` (shorter at the far edges). Different boxes may be written by different processes.
    """

    def create(self) -> None:
        """Allocate the result, or reopen one that an interrupted run left behind."""

    def write(self, name: str, plane: Plane, box: Box, values: Float) -> None:
        """Write one shard of one map; for ``samples``, `plane` is ``(k, *plane)``."""

    def read(self, name: str, plane: Plane, box: Box) -> Float:
        """Read back what was written (native byte order)."""

    def derive(self, name: str, plane: Plane, box: Box, values: Float) -> None:
        """Write again what `write` makes of a shard besides the shard, which is there as given."""

    def finish(self, provenance: Mapping[str, Any], extras: Mapping[str, Any]) -> None:
        """Pyramid, metadata and provenance, in this order; afterwards the result is complete.

        `extras` holds small arrays to store beside the maps, now the output PSF under ``psf``.
        """

    @property
    def path(self) -> Path:
        """The file or folder inside the working folder that is moved to the final place."""


__all__ = ["CHUNK", "ILLUSTRATIVE", "SHARD", "Layout", "Writer"]
