r"""A PSF that is poorly known: three instruments in the place of one, and who draws with which.

The logarithm of the width has the standard deviation s about what is believed. An average over it
is an average over three widths, exact for polynomials of degree five (Gauss-Hermite rule of three
nodes: Abramowitz & Stegun, Handbook of Mathematical Functions, 25.4.46 and table 25.10):

.. math:: \tfrac16 f(w\,e^{-\sqrt3 s}) + \tfrac23 f(w) + \tfrac16 f(w\,e^{\sqrt3 s}).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciup.errors import OptionError
from sciup.image import Fact
from sciup.physics.psf_image import fine_psf

if TYPE_CHECKING:
    from sciup.physics.instrument import Instrument

Array = NDArray[np.float64]

TURN = (0, 0, -1, 0, 0, 1)
"""Nodes of samples 0, 1, 2, ..., again and again: the weights are met after every six."""

FINE = 4
"""Samples per input px of an image that is stretched; what `image_fwhm` takes, too."""

LARGEST = 41
"""Input px of such an image: more than any kernel holds."""


def node_of(k: int) -> int:
    """Node of sample k: -1 narrow, 0 believed, 1 wide; sample 0 has the believed PSF.

    Examples
    --------
    >>> [node_of(k) for k in range(8)]
    [0, 0, -1, 0, 0, 1, 0, 0]
    """
    return TURN[k % len(TURN)]


def at_node(instrument: Instrument, node: int) -> Instrument:
    """The instrument with the PSF of a node; as it is where the width counts as known."""
    error = float(instrument.psf_error.value or 0)
    if not node * error:
        return instrument
    return wider(instrument, math.exp(node * math.sqrt(3) * error))


def wider(instrument: Instrument, factor: float) -> Instrument:
    """An instrument whose PSF is so many times as wide.

    An image keeps its pixels and gets another step, `psf_step`; one on the input grid is brought to
    a finer grid first, as for the kernel.
    """
    note = f"{factor:.4g} times what was believed"

    def told(value: object) -> Fact:
        return Fact(value, "assumed", note)

    width = told(float(instrument.psf_fwhm.value) * factor)
    if instrument.psf.value is None:
        return replace(instrument, psf_fwhm=width)
    image, step = fine(np.asarray(instrument.psf.value), float(instrument.psf_step.value or 1))
    return replace(instrument, psf_fwhm=width, psf=told(image), psf_step=told(step * factor))


def fine(psf: Array, step: float) -> tuple[Array, float]:
    """A PSF image that can be sampled anywhere, and its step; one off the grid can already.

    Examples
    --------
    >>> pixels = np.exp(-((np.mgrid[-8:9, -8:9] / 1.2) ** 2).sum(0))
    >>> image, step = fine(pixels, 1.0)
    >>> image.shape, step
    ((69, 69), 0.25)
    """
    if step != 1:
        return psf, step
    side = FINE * min(LARGEST, max(psf.shape)) | 1
    return fine_psf(psf, FINE, side), 1 / FINE


def parse_error(text: float | str | None) -> float | None:
    """The relative error of a width: ``0.1`` or ``10%``.

    Raises
    ------
    OptionError
        If it is no number.

    Examples
    --------
    >>> parse_error("10%"), parse_error(0.1), parse_error(None)
    (0.1, 0.1, None)
    """
    if text is None or isinstance(text, float | int):
        return None if text is None else float(text)
    number, percent, rest = text.strip().partition("%")
    try:
        if rest.strip():
            raise ValueError(rest)
        return float(number) / (100 if percent else 1)
    except ValueError:
        raise OptionError(f"--psf-error {text!r}", "a share of the width, such as 10%") from None


__all__ = ["at_node", "fine", "node_of", "parse_error", "wider"]
