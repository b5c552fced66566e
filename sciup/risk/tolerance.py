"""The tolerance: how far an image may be from the truth without being called wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sciup.errors import OptionError
from sciup.risk.votes import tolerance_percent


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far the delivered image may be from the truth without being called wrong.

    Attributes
    ----------
    value : float
        Number of noise sigmas of the input pixel, or per cent.
    unit : {"sigma", "%"}
        ``sigma``: of the *input* noise. ``%``: of the local 5 px mean above background, and at
        least one sigma, so that empty sky does not get a tolerance of 0.
    """

    value: float = 3.0
    unit: Literal["sigma", "%"] = "sigma"

    @classmethod
    def parse(cls, text: str) -> Tolerance:
        """Read ``3sigma`` or ``5%``.

        Examples
        --------
        >>> Tolerance.parse("5%")
        Tolerance(value=5.0, unit='%')
        """
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(sigma|%)\s*", text)
        if match is None or not 0 < float(match[1]) < 1000:
            raise OptionError(f"--tolerance {text!r} cannot be read", "for example 3sigma or 5%")
        return cls(float(match[1]), "sigma" if match[2] == "sigma" else "%")

    def __str__(self) -> str:
        return f"{self.value:g}{self.unit}"

    @property
    def words(self) -> str:
        """For captions.

        Examples
        --------
        >>> Tolerance.parse("5%").words
        '5 % of the local level (and 1 sigma of the input noise)'
        """
        if self.unit == "sigma":
            return f"{self.value:g} sigma of the input noise"
        return f"{self.value:g} % of the local level (and 1 sigma of the input noise)"

    def limit(self, image: ArrayLike, level: ArrayLike, sigma: ArrayLike) -> NDArray[np.float64]:
        """Tau per pixel of the delivered image, in its unit.

        Parameters
        ----------
        image : array_like (h, w)
            Delivered image, NaN where masked.
        level, sigma : array_like (h, w) or scalar
            Background and noise of the input pixel, in the unit of the image, on its grid.
        """
        if self.unit == "sigma":
            return self.value * np.broadcast_to(np.asarray(sigma, np.float64), np.shape(image))
        return tolerance_percent(image, level, sigma, self.value)
