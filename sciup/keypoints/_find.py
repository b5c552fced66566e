"""Keypoints of an image, by fixed rules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError, OptionError
from sciup.image import Domain
from sciup.keypoints._micrographs import micrograph
from sciup.keypoints._places import Keypoints, joined, kinds_of
from sciup.keypoints._sky import night_sky
from sciup.keypoints._waves import Waves


def find(image: NDArray[np.floating], domain: Domain, noise: float, fwhm: float) -> Keypoints:
    """The keypoints of an image, by fixed rules.

    Turning or mirroring the image turns and mirrors them; a positive factor on image and noise, or
    an offset, changes nothing but the unit of the flux.

    Parameters
    ----------
    image : ndarray (h, w)
        Finite, in any linear unit.
    domain : {"fluorescence", "night-sky"}
        Which rules. Fluorescence: spots as small as the resolution; middles of nuclei of 8 to 22 px
        radius; forks and ends of filaments. Night sky: points, and sources wider than them.
    noise : float
        Standard deviation of a pixel, in the unit of the image; 0 for a noise-free image.
    fwhm : float
        Resolution of the image, px.

    Raises
    ------
    InputError
        If the image is not a finite 2-D array.
    OptionError
        If `domain` is unknown, `noise` negative or `fwhm` not positive.

    Examples
    --------
    >>> from sciup.keypoints import KINDS
    >>> y, x = np.mgrid[:64, :64]
    >>> image = np.exp(-((y - 20.3) ** 2 + (x - 41) ** 2) / 2 / 0.85**2)
    >>> spots = find(image, "fluorescence", noise=0.01, fwhm=2.0)
    >>> [KINDS["fluorescence"][k] for k in spots.kind], spots.place.round().tolist()
    (['spot'], [[20.0, 41.0]])
    """
    kinds_of(domain)
    values = np.asarray(image, np.float64)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise InputError(f"an image of shape {values.shape}", "finite values of shape (h, w)")
    if not (noise >= 0 and fwhm > 0):
        raise OptionError(f"noise {noise} and fwhm {fwhm}", "noise >= 0 and fwhm > 0")
    # the rounding of numbers in the file is noise, too
    noise = max(noise, 1e-7 * float(np.abs(values).max()))
    rules = night_sky if domain == "night-sky" else micrograph
    return joined(rules(Waves(values - values.mean()), noise, fwhm))
