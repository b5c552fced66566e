"""Arrays in memory as images: NumPy, Dask and Zarr."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.image import Bool, Domain, Float, Image, PixelGrid, Plane
from sciup.io._check import check_pixels, default_axes, index_of, input_errors

KINDS = (
    "a numpy, dask or zarr array, an xarray DataArray, NDData of astropy, an image layer of napari"
)


class ArrayImage(Image):
    """An image over an array that is indexed window by window; see `open_array`."""

    def __init__(self, array: Any, mask: NDArray[np.bool_] | None, **about: Any) -> None:
        super().__init__(
            shape=tuple(int(n) for n in array.shape),
            dtype=np.dtype(array.dtype),
            source="array",
            format="array",
            **about,
        )
        self.array = array
        self.mask = mask

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Values and footprint of a box inside the image, shape (h, w)."""
        index = index_of(plane, box)
        with input_errors(f"the array cannot be read at plane {plane}, {box}"):
            part = np.asarray(self._part(index))
        with np.errstate(over="ignore"):
            values = part.astype(np.float32)
        footprint = np.isfinite(values)
        if self.mask is not None:
            footprint &= ~self.mask[box.slices if self.mask.ndim == 2 else index]
        return values, footprint

    def _part(self, index: Any) -> Any:
        """A part of the array, computed where it is lazy."""
        part = self.array[index]
        if not hasattr(part, "compute"):
            return part
        from sciup.io._remote import patiently

        # Dask's tasks may read from afar: only what they raise tells. The engine parallelises
        # over tasks of its own; a nested thread pool would fight with it.
        return patiently("a dask array", lambda: part.compute(scheduler="synchronous"))


def open_array(
    array: Any,
    *,
    axes: str | None = None,
    pixel_size: float | tuple[float, float] | PixelGrid | None = None,
    unit: str | None = None,
    flux_per_pixel: bool = False,
    domain: Domain = "fluorescence",
    mask: Any = None,
) -> Image:
    """Look at an array in memory as an image.

    Parameters
    ----------
    array : numpy, dask or zarr array of shape (..., h, w)
        Real numbers; never changed. A masked array brings its mask.
    axes : str, optional
        One letter per axis, ending in ``yx``; without it the last letters of ``tczyx``.
    pixel_size : float or (float, float) or PixelGrid, optional
        Size along (y, x), in micrometer for fluorescence and arcsec for the night sky.
    unit : str, optional
        Unit of the values as an astropy unit string.
    flux_per_pixel : bool
        True where a value is a flux per pixel, False for an intensity.
    domain : {"fluorescence", "night-sky"}
        Which family of generators fits.
    mask : array_like of bool, shape (..., h, w) or (h, w), optional
        True where there is no data, as in `numpy.ma`.

    Raises
    ------
    InputError
        If the array is not an image of real numbers.
    OptionError
        If `axes`, `pixel_size` or `mask` do not fit the array.

    Examples
    --------
    >>> image = open_array(np.zeros((2, 8, 9), "uint16"), axes="cyx", pixel_size=0.1)
    >>> image.shape, image.grid.unit
    ((2, 8, 9), 'micrometer')
    """
    if not all(hasattr(array, name) for name in ("shape", "dtype", "__getitem__")):
        raise InputError(f"a {type(array).__name__} is not an array", KINDS)
    if type(array).__module__.startswith("torch"):
        raise InputError("a torch tensor was given", KINDS, "call .numpy() on it")
    if any(n != n for n in array.shape):
        raise InputError(
            "the dask array has chunks of unknown size", "", "call .compute_chunk_sizes() on it"
        )
    shape = tuple(int(n) for n in array.shape)
    check_pixels(shape, np.dtype(array.dtype), "the array")
    if type(array).__module__.startswith("zarr"):
        from sciup.io._remote import patient_array

        array = patient_array(array)
    if isinstance(array, np.ma.MaskedArray):
        own = np.ma.getmaskarray(array)
        mask = own if mask is None else own | _mask(mask, shape)
        array = array.data
    return ArrayImage(
        array,
        None if mask is None else _mask(mask, shape),
        axes=_axes(axes, len(shape)),
        grid=_grid(pixel_size, domain),
        unit=unit,
        flux_per_pixel=flux_per_pixel,
        domain=domain,
    )


def _axes(axes: str | None, ndim: int) -> str:
    if axes is None:
        return default_axes(ndim, "the array")
    if len(axes) != ndim or not axes.endswith("yx") or len(set(axes)) != ndim:
        raise OptionError(
            f"axes {axes!r} do not fit an array of {ndim} axes",
            f"{ndim} different letters that end in yx, for example "
            f"{'tczyx'[-ndim:] if ndim <= 5 else 'yx'!r}",
        )
    return axes


def _grid(pixel_size: float | tuple[float, float] | PixelGrid | None, domain: Domain) -> PixelGrid:
    if pixel_size is None or isinstance(pixel_size, PixelGrid):
        return pixel_size or PixelGrid()
    size = np.broadcast_to(np.asarray(pixel_size, float), (2,))
    if not (np.isfinite(size).all() and (size > 0).all()):
        raise OptionError(f"pixel size {pixel_size} is not a length", "one or two positive numbers")
    unit = "arcsec" if domain == "night-sky" else "micrometer"
    return PixelGrid((float(size[0]), float(size[1])), unit)


def _mask(mask: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The mask as a view or copy of bool; it may cover the plane only."""
    out: NDArray[np.bool_] = np.asarray(mask).astype(bool)
    if out.shape not in (shape, shape[-2:]):
        raise OptionError(
            f"the mask has shape {out.shape} and the image {shape}", f"{shape} or {shape[-2:]}"
        )
    return out


__all__ = ["ArrayImage", "open_array"]
