"""What a reader hands over: a lazy image, where its pixels are, what it says of the instrument."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciup.errors import OptionError
from sciup.geometry import Box

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]
Plane = tuple[int, ...]
Domain = Literal["night-sky", "fluorescence"]

KEYPOINT_KINDS: dict[Domain, tuple[str, ...]] = {
    "fluorescence": ("spot", "nucleus", "filament"),
    "night-sky": ("point", "extended"),
}
"""Kinds of keypoints that progressive samplers of a domain learn; see `sciup.keypoints`."""
Origin = Literal["given", "header", "estimated", "assumed"]


@dataclass(frozen=True, slots=True)
class Fact:
    """A value believed about the instrument, and where it came from.

    Attributes
    ----------
    value : Any
        A number, or an array for a PSF image.
    origin : {"given", "header", "estimated", "assumed"}
        Given by the user, read from the file, measured on the pixels, or a default.
    note : str
        For people: the header card, the formula, the reason.
    """

    value: Any
    origin: Origin
    note: str = ""


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """Size and place of the pixels along (y, x).

    Attributes
    ----------
    size : (float, float) or None
        Pixel size along y and x, in `unit`; None if the file does not say.
    unit : str or None
        Name of the length or angle unit: ``micrometer``, ``arcsec``, ...
    origin : (float, float)
        Position of the *centre* of pixel (0, 0) along y and x, in `unit`.
    """

    size: tuple[float, float] | None = None
    unit: str | None = None
    origin: tuple[float, float] = (0.0, 0.0)

    def scaled(self, scale: int, start: tuple[int, int] = (0, 0)) -> PixelGrid:
        """The grid that is `scale` times finer and begins at input pixel `start`.

        With p the input pixel size, the first centre moves from t to t - p/2 + p/(2 s).

        Examples
        --------
        >>> PixelGrid((1.0, 1.0), "micrometer").scaled(4).origin
        (-0.375, -0.375)
        """
        if self.size is None or (scale, start) == (1, (0, 0)):  # exactly the same grid
            return self
        y, x = (
            t + p * n - p / 2 + p / (2 * scale)
            for t, p, n in zip(self.origin, self.size, start, strict=True)
        )
        return replace(self, size=(self.size[0] / scale, self.size[1] / scale), origin=(y, x))


@dataclass(eq=False)
class Image(ABC):
    """A lazy image: axes ending in ``yx``, read window by window.

    Readers subclass it and implement `load`. An image is picklable, so that workers can open it
    on their own, and never keeps pixel data of a file in memory.

    Attributes
    ----------
    axes : str
        A subset of ``tczyx`` in this order for microscopy; any letters before ``yx`` for cubes.
    shape : tuple of int
        One length per axis.
    dtype : numpy.dtype
        Data type as stored.
    source : str
        Path or a word such as ``array``.
    format : str
        ``fits``, ``ome-zarr``, ``tiff``, ``picture`` or ``array``.
    grid : PixelGrid
        Pixel size and origin; for the sky the size on the sky in arcsec.
    unit : str or None
        Unit of the values as an astropy unit string.
    flux_per_pixel : bool
        True where a value is a flux per pixel (a block *sum* is conserved); False where it is an
        intensity or surface brightness (a block *mean* is conserved).
    domain : {"night-sky", "fluorescence"}
        Which family of generators fits.
    facts : mapping of str to Fact
        What the file says of the instrument. Keys: ``electrons_per_unit``, ``read_noise``
        [electron], ``pedestal`` [units], ``psf`` (2D array), ``psf_fwhm`` [input px],
        ``saturation`` [units].
    header : Any
        astropy Header with the WCS, for FITS; else None.
    metadata : mapping
        JSON-ready extras to carry along (channel names, colours, other axes' scales, ...).
    random_access : bool
        False for formats that must be unpacked before a window can be read.
    part_of : (shape, index), optional
        Shape of the image that this one is a part of, and index in it of the first plane here. The
        noise of draws belongs to planes of the whole image, so that a plane gets the same draws
        alone and within its stack.
    """

    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    source: str
    format: str
    grid: PixelGrid = PixelGrid()
    unit: str | None = None
    flux_per_pixel: bool = False
    domain: Domain = "fluorescence"
    facts: Mapping[str, Fact] = field(default_factory=dict)
    header: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    random_access: bool = True
    part_of: tuple[tuple[int, ...], Plane] | None = None

    @abstractmethod
    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Values (h, w) float32 and footprint (h, w) of a box that lies inside the image.

        The footprint is True where there is data; elsewhere the value is unspecified.
        """

    def load_sigma(self, plane: Plane, box: Box) -> Float | None:
        """One-sigma noise (h, w) in the image's units, if the file brings it; else None."""
        return None

    @property
    def sky_source(self) -> Image:
        """The image on which level and noise of the sky are measured: this one."""
        return self

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.shape[-2], self.shape[-1]

    @property
    def planes(self) -> Iterator[Plane]:
        """Indices of all planes, row-major over the axes before ``yx``."""
        return itertools.product(*(range(n) for n in self.shape[:-2]))

    def in_whole(self, plane: Plane) -> tuple[tuple[int, ...], Plane, int]:
        """Shape of the whole image, and index and row-major number of a plane in it.

        Examples
        --------
        >>> from sciup.io import open_image
        >>> open_image(np.zeros((2, 3, 8, 8)), z=1).in_whole((1, 0))
        ((2, 3, 8, 8), (1, 1), 4)
        """
        shape, first = self.part_of or (self.shape, (0,) * len(plane))
        index = tuple(a + b for a, b in zip(first, plane, strict=True))
        number = 0
        for i, n in zip(index, shape[:-2], strict=True):
            number = number * n + i
        return shape, index, number

    def read(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Values and footprint of any box; outside the image values are mirrored.

        Parameters
        ----------
        plane : tuple of int
            Index on the axes before ``yx``.
        box : Box
            Two axes; may stick out of the image on every side.

        Returns
        -------
        values : ndarray of shape box.shape, float32
            Mirrored outside the image; NaN where masked or not finite.
        footprint : ndarray of shape box.shape, bool
            True = data. False for masked, not finite and mirrored pixels.
        """
        rows, cols = (
            mirror(a, b, n) for a, b, n in zip(box.start, box.stop, self.plane_shape, strict=True)
        )
        inner = Box((int(rows.min()), int(cols.min())), (int(rows.max()) + 1, int(cols.max()) + 1))
        values, footprint = self.load(plane, inner)
        footprint = footprint & np.isfinite(values)
        values = np.where(footprint, values, np.float32(np.nan)).astype(np.float32, copy=False)
        pick = np.ix_(rows - inner.start[0], cols - inner.start[1])
        inside = np.outer(
            *(
                (np.arange(a, b) >= 0) & (np.arange(a, b) < n)
                for a, b, n in zip(box.start, box.stop, self.plane_shape, strict=True)
            )
        )
        return values[pick], footprint[pick] & inside.astype(bool)


def mirror(start: int, stop: int, length: int) -> NDArray[np.intp]:
    """Indices ``start..stop`` folded into ``0..length`` by reflection at the outer pixel edges.

    Examples
    --------
    >>> mirror(-2, 5, 3).tolist()
    [1, 0, 0, 1, 2, 2, 1]
    """
    index = np.arange(start, stop) % (2 * length)
    return np.where(index < length, index, 2 * length - 1 - index)


def parse_roi(text: str, shape: tuple[int, int]) -> Box:
    """Read ``Y0:Y1,X0:X1`` (input pixels, half-open) and check it against the image.

    Examples
    --------
    >>> parse_roi("10:20,:5", (30, 30))
    Box(start=(10, 0), stop=(20, 5))
    """
    allowed = f"Y0:Y1,X0:X1 inside 0:{shape[0]},0:{shape[1]}"
    try:
        pairs = [part.split(":") for part in text.split(",")]
        (y0, y1), (x0, x1) = (
            (int(a) if a.strip() else 0, int(b) if b.strip() else n)
            for (a, b), n in zip(pairs, shape, strict=True)
        )
    except ValueError:
        raise OptionError(
            f"--roi {text!r} cannot be read",
            allowed,
            "for example --roi 0:256,0:256, or on the sky --roi '150.1 2.2 30arcsec'",
        ) from None
    box = Box((y0, x0), (y1, x1))
    if box.size == 0 or not Box.of_shape(shape).contains(box):
        raise OptionError(
            f"--roi {text!r} is empty or not inside the image of {shape[0]} x {shape[1]} px",
            allowed,
        )
    return box
