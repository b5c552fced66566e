"""PSFEx files: a PSF image whose pixels are polynomials of the place in the field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.io._check import input_errors

Array = NDArray[np.float64]

TABLE, COLUMN = "PSF_DATA", "PSF_MASK"

OUTSIDE = 0.6
"""Where the stars of the fit lie, coordinates of the polynomial go from -0.5 to 0.5."""


@dataclass(frozen=True, slots=True)
class Psfex:
    """The PSF of a field by PSFEx (Bertin 2011, ASP Conf. Ser. 442, 435).

    Its images include the integration over the input pixel. With x' = (X - POLZERO1) / POLSCAL1,
    y' alike, and X, Y counted from 1, the image is the sum of the planes of PSF_MASK times 1, x',
    x'^2, ..., y', x' y', ..., up to the degree POLDEG1 (PSFEx manual, "Managing PSF variations").

    Attributes
    ----------
    terms : ndarray (K, M, N)
        One image per term of the polynomial.
    step : float
        Input px per pixel of the images (PSF_SAMP).
    degree : int
        Of the polynomial.
    zero, scale : (float, float)
        Along (y, x), input px, counted from 1.
    """

    terms: Array
    step: float
    degree: int
    zero: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)

    kind = "PSFEx"

    @property
    def varies(self) -> bool:
        """Whether it has another PSF at another place."""
        return self.degree > 0

    def far(self, y: float, x: float) -> bool:
        """Whether a place in input px lies far from the stars of the fit."""
        return self.varies and max(map(abs, self.place(y, x))) > OUTSIDE

    @staticmethod
    def fits(hdu: Any) -> bool:
        """Whether an HDU of astropy is such a table."""
        return bool(hdu.name == TABLE and hdu.header.get("XTENSION") == "BINTABLE")

    @classmethod
    def read(cls, table: Any, source: str) -> Psfex:
        """From the HDU that astropy makes of the table.

        Raises
        ------
        InputError
            If it is damaged, or the PSF varies with anything but the place in the image.
        """
        with input_errors(f"the PSFEx table of {source} is damaged", "run PSFEx again"):
            header = table.header
            terms = np.array(table.data[COLUMN][0], np.float64)
            terms = terms.reshape(-1, *terms.shape[-2:])
            step, axes = float(header["PSF_SAMP"]), int(header.get("POLNAXIS", 0))
            names = [str(header[f"POLNAME{i + 1}"]).strip() for i in range(axes)]
            degree = int(header["POLDEG1"]) if axes else 0
            zero, scale = (
                [float(header[f"{key}{i + 1}"]) for i in range(axes)]
                for key in ("POLZERO", "POLSCAL")
            )
            groups = int(header.get("POLNGRP", 1)) if axes else 1
        place = [name[:1] for name in names if name[1:] in ("_IMAGE", "WIN_IMAGE")]
        if axes and (place != ["X", "Y"] or len(names) != 2 or groups != 1):
            raise InputError(
                f"the PSF of {source} varies with {', '.join(names)}",
                "PSFEx files that vary with X_IMAGE and Y_IMAGE, or not at all",
                "set PSFVAR_KEYS X_IMAGE,Y_IMAGE and run PSFEx again",
            )
        wanted = (degree + 1) * (degree + 2) // 2
        if len(terms) != wanted or not (step > 0 and all(scale) and np.isfinite(terms).all()):
            raise InputError(
                f"the PSFEx table of {source} has {len(terms)} images, PSF_SAMP {step:g} and scales"
                f" {scale}", f"{wanted} images for degree {degree}, finite numbers above 0",
                "run PSFEx again",
            )  # fmt: skip
        if not axes:
            return cls(terms, step, 0)
        return cls(terms, step, degree, (zero[1], zero[0]), (scale[1], scale[0]))

    def place(self, y: float, x: float) -> tuple[float, float]:
        """Coordinates of the polynomial of a place in input px, counted from 0."""
        first, second = (
            (c + 1 - z) / s for c, z, s in zip((y, x), self.zero, self.scale, strict=True)
        )
        return first, second

    def at(self, y: float, x: float) -> Array:
        """PSF image at a place in input px, counted from 0.

        Examples
        --------
        >>> model = Psfex(np.ones((3, 5, 5)), 0.5, 1, (1.0, 1.0), (100.0, 100.0))
        >>> float(model.at(10.0, 20.0)[0, 0])
        1.3
        """
        v, u = self.place(y, x)
        powers = [u**i * v**j for j in range(self.degree + 1) for i in range(self.degree + 1 - j)]
        return np.asarray(np.tensordot(powers, self.terms, 1))


__all__ = ["OUTSIDE", "Psfex"]
