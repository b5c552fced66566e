"""Images of astropy in memory: NDData and CCDData with mask, uncertainty, unit and WCS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.image import Bool, Fact, Float, Image, Plane
from sciup.io._check import check_pixels, index_of, input_errors
from sciup.io._fits import ALL_BITS, STRUCTURE, fits_image
from sciup.io._fits_clean import clean_header, logger, quiet
from sciup.io._fits_companions import Companion, Kind
from sciup.io._fits_files import Hdu

KINDS: dict[str, Kind] = {"std": "sigma", "var": "variance", "ivar": "inverse variance"}


@dataclass(frozen=True)
class ArrayPixels:
    """Windows of an array in memory, see `sciup.io._fits_pixels.Pixels`."""

    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape, ending in (y, x)."""
        return tuple(self.array.shape)

    def values(self, plane: Plane, box: Box) -> Float:
        """Values (h, w), float32."""
        with np.errstate(over="ignore"):
            return np.asarray(self.array[index_of(plane, box)]).astype(np.float32)

    def flags(self, plane: Plane, box: Box, bad: int) -> Bool:
        """True (h, w) where the value has one of the bits `bad`."""
        return np.asarray((np.asarray(self.array[index_of(plane, box)]).astype(int) & bad) != 0)


def open_nddata(source: Any) -> Image:
    """Look at an NDData or CCDData of astropy as an image.

    Its WCS and header tell pixel size, gain and read noise as those of a file do; masked pixels are
    left out; a standard deviation, variance or inverse variance is the noise.

    Raises
    ------
    InputError
        If the values, the mask or the uncertainty are not an image, or the headers are damaged.

    Examples
    --------
    >>> from astropy.nddata import CCDData
    >>> open_nddata(CCDData(np.ones((8, 9)), unit="adu")).unit
    'adu'
    """
    what = type(source).__name__
    shape, dtype = tuple(source.data.shape), np.dtype(source.data.dtype)
    check_pixels(shape, dtype, f"the {what}")
    with input_errors(f"the header or the WCS of the {what} cannot be used"):
        header = _header(source, shape)
    companions, notes = _companions(source, shape, what)
    with input_errors(f"the headers of the {what} contradict the FITS standard"):
        science = Hdu("", 0, "", 1, "image", shape, header, 0)
        image = fits_image(
            [science], science, companions, notes, ALL_BITS, what, ArrayPixels(source.data), dtype
        )
    image.format = "array"
    return image


def _header(source: Any, shape: tuple[int, ...]) -> Any:
    """The cards of the metadata, with those of the WCS and the unit."""
    from astropy.io import fits

    header = fits.Header()
    for key, value in dict(source.meta or {}).items():
        if STRUCTURE.fullmatch(str(key)) and source.wcs is not None:
            continue
        try:
            with quiet("the metadata"):
                header[key] = value
        except (ValueError, TypeError) as error:
            logger.debug("metadata %s are not carried: %s", key, error)
    if source.wcs is not None:
        low_level = getattr(source.wcs, "low_level_wcs", source.wcs)
        if not hasattr(low_level, "to_header"):
            raise InputError(
                f"a WCS of type {type(source.wcs).__name__} was given", "astropy.wcs.WCS",
                "approximate it, for example with gwcs's to_fits_sip",
            )  # fmt: skip
        with quiet("the WCS"):
            header.update(low_level.to_header(relax=True))
    header["NAXIS"] = len(shape)
    for number, length in enumerate(reversed(shape), 1):
        header[f"NAXIS{number}"] = length
    if source.unit is not None:
        header["BUNIT"] = str(source.unit)
    return clean_header(header, "the metadata")


def _companions(
    source: Any, shape: tuple[int, ...], what: str
) -> tuple[tuple[Companion, ...], dict[str, Fact]]:
    """Noise and mask, as far as there are."""
    companions: list[Companion] = []
    notes: dict[str, Fact] = {}
    uncertainty = source.uncertainty
    kind = KINDS.get(getattr(uncertainty, "uncertainty_type", ""))
    if uncertainty is not None and kind is None:
        logger.warning("the uncertainty of the %s is of an unknown type: not used", what)
    elif uncertainty is not None and kind is not None:
        _same_shape(uncertainty.array, shape, f"the uncertainty of the {what}")
        noise = np.broadcast_to(np.asarray(_in_unit(source, uncertainty)), shape)
        companions.append(Companion(kind, ArrayPixels(noise)))
        notes["sigma"] = Fact(kind, "header", f"uncertainty of the {what}")
    if source.mask is not None:
        _same_shape(source.mask, shape, f"the mask of the {what}")
        mask = np.broadcast_to(np.asarray(source.mask, bool), shape)
        companions.append(Companion("quality", ArrayPixels(mask)))
        notes["quality"] = Fact("quality", "header", f"mask of the {what}")
    return tuple(companions), notes


def _in_unit(source: Any, uncertainty: Any) -> Any:
    """The uncertainty in the unit of the data, of which it may be a multiple."""
    if uncertainty.unit is None or source.unit is None:
        return uncertainty.array
    power = {"std": 1, "var": 2, "ivar": -2}[uncertainty.uncertainty_type]
    factor = float(uncertainty.unit.to(source.unit**power))
    return uncertainty.array if factor == 1 else uncertainty.array * factor


def _same_shape(array: Any, shape: tuple[int, ...], what: str) -> None:
    if np.shape(array) not in ((), shape):
        raise InputError(f"{what} has the shape {np.shape(array)}", f"{shape}, as the image")


__all__ = ["ArrayPixels", "open_nddata"]
