"""Find out what is believed about the instrument: given > header > estimated > assumed."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sciup.errors import InputError
from sciup.image import Domain, Fact, Image, Plane
from sciup.physics import estimate
from sciup.physics.given import Given
from sciup.physics.instrument import NONE, Instrument
from sciup.physics.lone import without_lone
from sciup.physics.mesh import block_sky
from sciup.physics.psf_source import PsfImage
from sciup.physics.resolve_camera import micrograph_camera
from sciup.physics.resolve_psf import first, micrograph_psf, psf_step, sky_psf

ASSUMED_ELECTRONS_PER_SIGMA = 50.0


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
    if not valid.max() > valid.min():
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
    sample = replace(sample, blocks=[without_lone(block) for block in sample.blocks])
    dark, bright = estimate.levels(sample)
    if not bright > dark:
        raise InputError(f"{image.source}: the image has no contrast above single pixels")
    line = estimate.photon_transfer(sample)
    fwhm, psf = micrograph_psf(image, given, sample, line)
    camera = micrograph_camera(image, given, line, (dark, bright), float(sample.valid.min()))
    return Instrument(
        psf_fwhm=fwhm,
        psf=psf,
        electrons_per_unit=camera.gain,
        read_noise=camera.read_noise,
        background=camera.pedestal,
        noise_sigma=camera.sigma,
        correlation=Fact(0.0, "assumed", "camera pixels are independent"),
        dark=Fact(dark, "estimated", "1st percentile of 3 x 3 means"),
        bright=Fact(bright, "estimated", "99.9th percentile of 3 x 3 means"),
        psf_step=psf_step(given),
    )


__all__ = ["Believed", "resolve"]
