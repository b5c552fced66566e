"""Find out what is believed about the instrument: given > header > estimated > assumed."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sciup.errors import InputError
from sciup.image import Domain, Fact, Image, Plane
from sciup.physics import estimate
from sciup.physics.estimate import PhotonTransfer
from sciup.physics.given import Given
from sciup.physics.instrument import NONE, Instrument
from sciup.physics.mesh import block_sky
from sciup.physics.psf_source import PsfImage
from sciup.physics.resolve_psf import first, micrograph_psf, psf_step, sky_psf

ASSUMED_ELECTRONS_PER_SIGMA = 50.0
ASSUMED_READ_NOISE, LEAST_READ_NOISE = 1.0, 0.5
"""Electrons; the generators were trained with 0.5 and more."""
LEAST_ELECTRONS, MOST_ELECTRONS = 10.0, 5000.0
"""At the bright end: what is noisier or cleaner is treated as such. Training went to 2000."""


class Believed(NamedTuple):
    """Instrument of a plane, and digests of the pixels that were looked at; see `Probe`."""

    instrument: Instrument
    digest: str
    pixels: str


def resolve(image: Image, plane: Plane, domain: Domain, given: Given) -> Believed:
    """What is believed about the instrument of a plane.

    Raises
    ------
    InputError
        If the plane has no pixels with data, or all have the same value.
    """
    sample = estimate.probe(image, plane)
    valid = sample.valid
    if valid.size == 0:
        raise InputError(
            f"{image.source}: no sampled pixel of plane {plane or '()'} has data",
            "an image with finite, unmasked pixels",
            "check --hdu, --channel, --time, --z and the masks",
        )
    if not float(np.ptp(valid)) > 0:
        raise InputError(
            f"{image.source}: all pixels have the same value, {float(valid[0]):g}",
            "an image with contrast",
            "choose another HDU, channel or plane",
        )
    make = _night_sky if domain == "night-sky" else _fluorescence
    found = make(image, given, sample)
    if given.psf_error:
        found = replace(found, psf_error=Fact(float(given.psf_error), "given", "--psf-error"))
    cells = given.psf.cells if isinstance(given.psf, PsfImage) else None
    if cells is not None:
        images = Fact(cells.images, "given", cells.note)
        side = Fact(cells.side, "given", "side of these cells")
        found = replace(found, psf_cells=images, psf_cell=side)
    return Believed(found, sample.digest, sample.pixels)


def _night_sky(image: Image, given: Given, sample: estimate.Probe) -> Instrument:
    fwhm, psf, beta, stars = sky_psf(image, given, sample)
    # a typical block, not all pixels at once: gradients would count as noise
    blocks = [block_sky(b) for b in sample.blocks if np.isfinite(b).sum() >= 16]
    level, sigma = (float(v) for v in np.median([b for b in blocks if b[1] > 0] or [(0, 1)], 0))
    background = Fact(
        level, "estimated", "median of a mesh of 256 px blocks, which is what is used"
    )
    noise = Fact(sigma, "estimated", "median of a mesh of 256 px blocks, which is what is used")
    if given.background is not None:
        background = Fact(float(given.background), "given", "--background")
    if given.noise_sigma is not None:
        noise = Fact(float(given.noise_sigma), "given", "--noise-sigma")
    electrons = first(given.electrons_per_unit, image, "electrons_per_unit", "--gain")
    if electrons is None:
        electrons = Fact(
            ASSUMED_ELECTRONS_PER_SIGMA / noise.value,
            "assumed",
            f"{ASSUMED_ELECTRONS_PER_SIGMA:g} electrons per sigma of the sky",
        )
    correlation = Fact(estimate.noise_correlation(sample), "estimated", "blank sky, lag 1")
    return Instrument(
        psf_fwhm=fwhm,
        psf=psf,
        electrons_per_unit=electrons,
        read_noise=first(given.read_noise, image, "read_noise", "--read-noise") or NONE,
        background=background,
        noise_sigma=noise,
        correlation=correlation,
        dark=NONE,
        bright=NONE,
        psf_beta=beta,
        star_fwhm=stars,
        psf_step=psf_step(given),
    )


def _fluorescence(image: Image, given: Given, sample: estimate.Probe) -> Instrument:
    fwhm, psf = micrograph_psf(image, given, sample)
    dark, bright = estimate.levels(sample)
    if not bright > dark:
        raise InputError(f"{image.source}: the image has no contrast above single pixels")
    electrons = first(given.electrons_per_unit, image, "electrons_per_unit", "--gain")
    pedestal = first(given.background, image, "pedestal", "--background")
    line = estimate.photon_transfer(sample)
    if electrons is None:
        electrons = _gain(line, dark, bright)
    read = first(given.read_noise, image, "read_noise", "--read-noise")
    if read is None:
        read = _read_noise(line, electrons.value)
    if pedestal is None:
        pedestal = _pedestal(line, electrons.value, read.value, dark, float(sample.valid.min()))
    darkest = dark if line is None else line.dark
    if given.noise_sigma is not None:
        # the stated noise where it is darkest fixes what photons do not explain
        photons = max(darkest - pedestal.value, 0) * electrons.value
        rest = (given.noise_sigma * electrons.value) ** 2 - photons
        read = Fact(float(np.sqrt(max(rest, 0.01))), "given", "from --noise-sigma")
    variance = max(darkest - pedestal.value, 0) * electrons.value + read.value**2
    return Instrument(
        psf_fwhm=fwhm,
        psf=psf,
        electrons_per_unit=electrons,
        read_noise=read,
        background=pedestal,
        noise_sigma=Fact(
            float(np.sqrt(variance)) / electrons.value, "estimated", "where it is darkest"
        ),
        correlation=Fact(0.0, "assumed", "camera pixels are independent"),
        dark=Fact(dark, "estimated", "1st percentile of 3 x 3 means"),
        bright=Fact(bright, "estimated", "99.9th percentile of 3 x 3 means"),
        psf_step=psf_step(given),
    )


def _gain(line: PhotonTransfer | None, dark: float, bright: float) -> Fact:
    """Electrons per unit from the noise, kept within what the generators know."""
    most, least = MOST_ELECTRONS / (bright - dark), LEAST_ELECTRONS / (bright - dark)
    if line is None:
        return Fact(0.1 * most, "assumed", "noise cannot be seen: 500 electrons at the bright end")
    note = "noise variance against mean (photon transfer)"
    if line.gain > most:
        note = f"cleaner than {MOST_ELECTRONS:g} electrons: treated as such"
    if line.gain < least:
        note = f"noisier than {LEAST_ELECTRONS:g} electrons: treated as such"
    return Fact(float(np.clip(line.gain, least, most)), "estimated", note)


def _read_noise(line: PhotonTransfer | None, electrons: float) -> Fact:
    """What is usual for a camera, or less where the darkest patches have less noise than that."""
    seen = np.inf if line is None else electrons * float(np.sqrt(line.variance(line.dark)))
    if seen >= ASSUMED_READ_NOISE:
        return Fact(ASSUMED_READ_NOISE, "assumed", "electrons")
    return Fact(max(seen, LEAST_READ_NOISE), "estimated", "electrons, all noise where it is dark")


def _pedestal(
    line: PhotonTransfer | None, electrons: float, read: float, dark: float, least: float
) -> Fact:
    """Level without light that gives the darkest patches the noise they have."""
    if line is None:
        return Fact(min(least, dark), "estimated", "smallest sampled value")
    photons = max(electrons**2 * line.variance(line.dark) - read**2, 0.0)
    level = min(line.dark - photons / electrons, dark)
    return Fact(level, "estimated", "from the noise where it is dark")


__all__ = ["Believed", "resolve"]
