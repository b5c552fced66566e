"""Gain, pedestal and noise of a micrograph's camera: given > header > estimated > assumed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sciup.image import Fact, Image, Origin
from sciup.physics.estimate import PhotonTransfer
from sciup.physics.given import Given
from sciup.physics.resolve_psf import first

ASSUMED_READ_NOISE, LEAST_READ_NOISE = 1.0, 0.5
"""Electrons; the generators were trained with 0.5 and more."""
LEAST_ELECTRONS, MOST_ELECTRONS = 10.0, 5000.0
"""At the bright end: what is noisier or cleaner is treated as such. Training went to 2000."""


class Camera(NamedTuple):
    """What is believed of a camera; in electrons per unit, electrons, and twice input units."""

    gain: Fact
    read_noise: Fact
    pedestal: Fact
    sigma: Fact


def micrograph_camera(
    image: Image,
    given: Given,
    line: PhotonTransfer | None,
    ends: tuple[float, float],
    least: float,
) -> Camera:
    """The camera of a micrograph.

    The noise of the darkest patches, stated or measured, is made of photons above the pedestal and
    of read noise: two of the three say the third.

    Parameters
    ----------
    image, given
        See `sciup.physics.resolve.resolve`.
    line : PhotonTransfer or None
        Of the noise.
    ends : (float, float)
        Dark and bright end, input units.
    least : float
        Smallest sampled value, input units.
    """
    dark, bright = ends
    gain = first(given.electrons_per_unit, image, "electrons_per_unit", "--gain")
    gain = gain or _gain(line, bright - dark)
    e, darkest = float(gain.value), dark if line is None else line.dark
    seen = None if line is None else e**2 * line.variance(darkest)
    if given.noise_sigma is not None:
        seen = (e * given.noise_sigma) ** 2
    pedestal = first(given.background, image, "pedestal", "--background")
    read = first(given.read_noise, image, "read_noise", "--read-noise")
    photons = None if pedestal is None else e * max(darkest - float(pedestal.value), 0.0)
    if given.noise_sigma is not None and photons is not None:
        read = _rest((e * given.noise_sigma) ** 2 - photons, "given", "from --noise-sigma")
    read = read or _read_noise(seen, photons)
    pedestal = pedestal or _pedestal(seen, read, e, dark, darkest, least)
    variance = e * max(darkest - float(pedestal.value), 0.0) + float(read.value) ** 2
    stated = given.noise_sigma is not None
    sigma = Fact(float(np.sqrt(variance)) / e, "given" if stated else "estimated",
                 "--noise-sigma" if stated else "where it is darkest")  # fmt: skip
    return Camera(gain, read, pedestal, sigma)


def _gain(line: PhotonTransfer | None, span: float) -> Fact:
    """Electrons per unit from the noise, kept within what the generators know."""
    least, most = LEAST_ELECTRONS / span, MOST_ELECTRONS / span
    if line is None:
        return Fact(0.1 * most, "assumed", "noise cannot be seen: 500 electrons at the bright end")
    note = "noise variance against mean (photon transfer)"
    if line.gain > most:
        note = f"cleaner than {MOST_ELECTRONS:g} electrons: treated as such"
    if line.gain < least:
        note = f"noisier than {LEAST_ELECTRONS:g} electrons: treated as such"
    return Fact(float(np.clip(line.gain, least, most)), "estimated", note)


def _read_noise(seen: float | None, photons: float | None) -> Fact:
    """From the variance of the darkest patches, electrons, and the photons there if they are known.

    If they are not: what is usual for a camera, or less where less is seen.
    """
    if seen is not None and photons is not None:
        return _rest(seen - photons, "estimated", "noise where it is dark, but for photons")
    if seen is None or seen >= ASSUMED_READ_NOISE**2:
        return Fact(ASSUMED_READ_NOISE, "assumed", "electrons")
    return _rest(seen, "estimated", "all noise where it is dark")


def _rest(variance: float, origin: Origin, note: str) -> Fact:
    """Read noise of a variance, no less than generators know."""
    return Fact(max(float(np.sqrt(max(variance, 0.0))), LEAST_READ_NOISE), origin, note)


def _pedestal(
    seen: float | None, read: Fact, gain: float, dark: float, darkest: float, least: float
) -> Fact:
    """Level without light that gives the darkest patches the noise they have."""
    if seen is None:
        return Fact(min(least, dark), "estimated", "smallest sampled value")
    photons = max(seen - float(read.value) ** 2, 0.0)
    level = min(darkest - photons / gain, dark)
    return Fact(level, "estimated", "from the noise where it is dark")


__all__ = ["Camera", "micrograph_camera"]
