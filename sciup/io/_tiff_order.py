"""Which page of an OME-TIFF holds which plane of which map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sciup.errors import OptionError
from sciup.image import Plane

Address = tuple[int, int, int]
"""Time, channel and z of a page."""


@dataclass(frozen=True)
class MapOrder:
    """The maps of a result as channels: of every map, and of every sample, all of the image's own.

    Attributes
    ----------
    axes : str
        Of the image, ``yx`` included.
    shape : tuple of int
        Of a map.
    maps : tuple of str
        Without ``samples``, which come last.
    samples : int
        Number of samples.

    Examples
    --------
    >>> order = MapOrder("cyx", (2, 40, 60), ("mean", "std"), samples=1)
    >>> order.sizes, order.page("std", (1,)), order.page("samples", (0, 1))
    ((1, 6, 1), (0, 3, 0), (0, 5, 0))
    >>> order.plane((0, 5, 0))
    ('samples', (0, 1))
    """

    axes: str
    shape: tuple[int, ...]
    maps: tuple[str, ...]
    samples: int

    @cached_property
    def parts(self) -> list[tuple[str, Plane]]:
        """Maps and samples in the order of the channels."""
        return [(n, ()) for n in self.maps] + [("samples", (k,)) for k in range(self.samples)]

    @cached_property
    def _own(self) -> Address:
        return page_sizes(self.axes, self.shape)

    @property
    def channels(self) -> int:
        """Number of channels of the image itself."""
        return self._own[1]

    @property
    def sizes(self) -> Address:
        """Number of times, channels and z of the TIFF."""
        times, channels, depth = self._own
        return times, channels * len(self.parts), depth

    def page(self, name: str, plane: Plane) -> Address:
        """Where a plane of a map is; of ``samples``, `plane` is ``(k, *plane)``."""
        k, plane = (plane[:1], plane[1:]) if name == "samples" else ((), plane)
        at = dict(zip(self.axes[:-2], plane, strict=True))
        channel = self.parts.index((name, k)) * self.channels + at.get("c", 0)
        return at.get("t", 0), channel, at.get("z", 0)

    def plane(self, page: Address) -> tuple[str, Plane]:
        """Map and plane of a page, the other way round."""
        (name, k), channel = self.parts[page[1] // self.channels], page[1] % self.channels
        at = {"t": page[0], "c": channel, "z": page[2]}
        return name, (*k, *(at[a] for a in self.axes[:-2]))


def page_sizes(axes: str, shape: Sequence[int]) -> Address:
    """Number of times, channels and z of an image.

    Raises
    ------
    OptionError
        If it has axes that OME-TIFF does not know.

    Examples
    --------
    >>> page_sizes("zyx", (5, 40, 60))
    (1, 1, 5)
    """
    if other := set(axes) - set("tczyx"):
        raise OptionError(
            f"OME-TIFF has no place for the axes {', '.join(sorted(other))} of {axes}",
            "t, c, z, y, x",
        )
    sizes = dict(zip(axes, shape, strict=True))
    return sizes.get("t", 1), sizes.get("c", 1), sizes.get("z", 1)


__all__ = ["Address", "MapOrder", "page_sizes"]
