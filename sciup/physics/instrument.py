"""What is believed about the instrument, value by value, with the origin of each.

given > header > estimated from the pixels > assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from sciup.errors import InputError, OptionError
from sciup.image import Domain, Fact, Image, Plane
from sciup.physics import estimate
from sciup.physics.given import Given
from sciup.physics.mesh import Mesh, block_sky
from sciup.physics.packed import packed, unpacked
from sciup.physics.psf import (
    ASSUMED_BETA,
    SHARPEST,
    Kernel,
    image_fwhm,
    moffat,
    relative_analytic,
    relative_gaussian,
    relative_measured,
)
from sciup.physics.psf_source import PsfImage
from sciup.physics.sharpness import blur_fwhm
from sciup.physics.stars import StarPsf, star_psf

ASSUMED_FWHM = {"night-sky": 2.2, "fluorescence": 2.2}
SPACE_BETA = 2.1
"""Moffat exponent of telescopes in space: fits the PSF images of NIRCam F444W (2.12 to 2.14)."""
SPACE = ("HST", "JWST", "EUCLID", "SPITZER", "GALEX", "CHEOPS", "GAIA", "KEPLER", "TESS")
ASSUMED_ELECTRONS_PER_SIGMA = 50.0
ASSUMED_READ_NOISE = 1.0
NARROWEST, WIDEST = 0.5, 4.0
"""Limits of an estimated PSF of a micrograph, input px: what the generators were trained on."""

MOST_ELECTRONS = 5000.0
"""Cleaner images than this peak signal are treated as if they had it: training went to 2000."""


DISAGREE = 1.15
"""Factor between a stated FWHM and that of the stars.

Of 78 simulated fields none had more where the statement was right, and all had where it was off by
30 %.
"""

_NONE = Fact(None, "assumed")


@dataclass(frozen=True, slots=True)
class Instrument:
    """Facts about the instrument of one plane of one image; unused ones have the value None.

    Attributes
    ----------
    psf_fwhm, psf : Fact
        FWHM in input px (total, before pixel integration) and the PSF image.
    electrons_per_unit, read_noise : Fact
        Electrons per unit; electrons.
    background : Fact
        Pedestal (fluorescence) or typical sky level, input units.
    noise_sigma : Fact
        Noise of the dark background, input units.
    correlation : Fact
        Correlation of neighbouring pixels' noise.
    dark, bright : Fact
        Ends of the stretch, input units (fluorescence).
    psf_beta : Fact
        Moffat exponent of a PSF of which only the FWHM is known (night sky); None: Gaussian.
    star_fwhm : Fact
        FWHM of the stars in the image where another one was stated (night sky), input px.
    noise_factor : Fact
        Factor on the noise of a mesh or of a file's noise map, where a variation asks for one.
    psf_step : Fact
        Input px per pixel of the PSF image where that is not on the input grid.
    psf_error : Fact
        Standard deviation of the logarithm of the width of the PSF, where samples are to be drawn
        with different widths (`sciup.physics.psf_error`); None: the width counts as known.
    psf_cells, psf_cell : Fact
        Images (rows, columns, M, N) of a PSF that varies, on a grid of cells from pixel 0 on,
        sampled like `psf`, which is that of one place; side of a cell, input px
        (`sciup.physics.psf_cells`).
    """

    psf_fwhm: Fact
    psf: Fact
    electrons_per_unit: Fact
    read_noise: Fact
    background: Fact
    noise_sigma: Fact
    correlation: Fact
    dark: Fact
    bright: Fact
    psf_beta: Fact = _NONE
    star_fwhm: Fact = _NONE
    noise_factor: Fact = _NONE
    psf_step: Fact = _NONE
    psf_error: Fact = _NONE
    psf_cells: Fact = _NONE
    psf_cell: Fact = _NONE

    @property
    def contradiction(self) -> str:
        """What the image says against what was stated; empty if it agrees or cannot tell.

        Examples
        --------
        >>> facts = {f.name: _NONE for f in fields(Instrument)}
        >>> said, seen = Fact(3.0, "given", "--psf-fwhm"), Fact(2.3, "estimated", "24 stars")
        >>> Instrument(**facts | {"psf_fwhm": said, "star_fwhm": seen}).contradiction
        'the PSF is stated as 3 input px wide (--psf-fwhm), but 24 stars say 2.3'
        """
        said, seen = self.psf_fwhm.value, self.star_fwhm.value
        if said is None or seen is None or 1 / DISAGREE < seen / said < DISAGREE:
            return ""
        return (
            f"the PSF is stated as {said:.3g} input px wide ({self.psf_fwhm.note}), but"
            f" {self.star_fwhm.note} say {seen:.3g}"
        )

    def rows(self) -> list[tuple[str, str, str, str]]:
        """(name, value, origin, note) of every value in use, for a table."""
        out = []
        for f in fields(self):
            fact: Fact = getattr(self, f.name)
            if fact.value is None:
                continue
            out.append((f.name, _shown(fact.value), str(fact.origin), fact.note))
        return out

    def as_json(self) -> dict[str, Any]:
        """JSON-ready, exact enough to resume from."""
        facts = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: {"value": packed(fact.value), "origin": fact.origin, "note": fact.note}
            for name, fact in facts.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Mapping[str, Any]]) -> Instrument:
        """Inverse of `as_json`."""
        return cls(
            **{
                name: Fact(unpacked(item["value"]), item["origin"], item["note"])
                for name, item in data.items()
            }
        )

    def relative_kernel(self, scale: int, target_fwhm: float, side: int) -> Kernel:
        """Kernel from the declared output PSF to this instrument, on the fine grid."""
        if self.psf.value is not None:
            step = float(self.psf_step.value or 1)
            return relative_measured(side, self.psf.value, scale, target_fwhm, step)
        fwhm = float(self.psf_fwhm.value) * scale
        if self.psf_beta.value is None:
            return relative_gaussian(side, fwhm, target_fwhm)
        width = max(fwhm, SHARPEST * target_fwhm)
        total = moffat(4 * side + 1, width, float(self.psf_beta.value))
        return relative_analytic(total, side, target_fwhm)


def _shown(value: Any) -> str:
    """A value in a table."""
    if not isinstance(value, np.ndarray):
        return f"{value:.5g}"
    count, size = value.shape[:-2], " x ".join(map(str, value.shape[-2:]))
    return f"{' x '.join(map(str, count))} images of {size} px" if count else f"image {size} px"


def _first(given: float | None, image: Image, key: str, option: str) -> Fact | None:
    if given is not None:
        return Fact(float(given), "given", option)
    return image.facts.get(key)


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


def _picture(image: Image, given: Given) -> tuple[Fact, Fact] | None:
    """FWHM and image of a PSF that is given, or that the file brings; None without one."""
    picture, step = None, 1.0
    if given.psf is not None:
        told = given.psf if isinstance(given.psf, PsfImage) else PsfImage(given.psf)
        picture, step = Fact(told.values, "given", told.note), told.step
    elif given.psf_fwhm is None:
        picture = image.facts.get("psf")
    if picture is None:
        return None
    value = np.asarray(picture.value, np.float64)
    if value.ndim != 2 or min(value.shape) < 3 or not value.sum() > 0:
        raise OptionError(f"the PSF image has shape {value.shape}", "2D with a positive sum")
    fwhm = image_fwhm(value, step) if np.isfinite(value).all() else 0.0
    if not 0.3 < fwhm < 30:
        raise OptionError(
            f"the PSF image has a core of FWHM {fwhm:.3g} px",
            "0.3 to 30 px",
            "subtract its background, and cut it out around one bright star or bead",
        )
    width = Fact(fwhm, picture.origin, "measured on the PSF image")
    return width, Fact(value, picture.origin, picture.note)


def _step(given: Given) -> Fact:
    """Sampling of a stated PSF image, where it is not that of the input."""
    if not isinstance(given.psf, PsfImage) or given.psf.step == 1:
        return _NONE
    return Fact(given.psf.step, "given", "of the PSF image")


def _width(image: Image, given: Given, estimated: Fact | None, domain: Domain) -> Fact:
    """FWHM of a PSF without an image: given > header > estimated > assumed."""
    return (
        _first(given.psf_fwhm, image, "psf_fwhm", "--psf-fwhm")
        or estimated
        or Fact(ASSUMED_FWHM[domain], "assumed", "input px; give --psf-fwhm or --psf if you know")
    )


def _sky_psf(image: Image, given: Given, sample: estimate.Probe) -> tuple[Fact, Fact, Fact, Fact]:
    """FWHM, image and Moffat exponent of the PSF of a night-sky image; FWHM of its stars."""
    picture = _picture(image, given)
    if picture is not None:
        return *picture, _NONE, _NONE
    found = star_psf(sample.blocks)
    if found is not None:
        return _of_stars(image, given, found)
    telescope = str((image.header or {}).get("TELESCOP", "")).upper()
    space = telescope.startswith(SPACE)
    beta = SPACE_BETA if space else ASSUMED_BETA
    where = "wings of NIRCam F444W" if space else "usual seeing"
    note = f"too few stars: {where}; give --psf if you know"
    return _width(image, given, None, "night-sky"), _NONE, Fact(beta, "assumed", note), _NONE


def _of_stars(image: Image, given: Given, found: StarPsf) -> tuple[Fact, Fact, Fact, Fact]:
    """The same where there are stars: their shape, as wide as was stated or as they are."""
    note = f"Moffat fit to {found.stars} stars"
    if found.lacks is not None:
        note = f"{note}, with rings or elongation that they show"
    estimated = Fact(found.fwhm, "estimated", note)
    width = _width(image, given, estimated, "night-sky")
    stated = width is not estimated
    stars = Fact(found.fwhm, "estimated", f"{found.stars} stars") if stated else _NONE
    picture = found.image(float(width.value) if stated else None)
    if picture is not None:
        return width, Fact(picture, "estimated", note), _NONE, stars
    return width, _NONE, Fact(found.beta, "estimated", note), stars


def _blur(sample: estimate.Probe) -> Fact | None:
    """PSF of a micrograph from its power spectrum; None where noise hides it."""
    line = estimate.photon_transfer(sample)
    if line is None:
        return None
    noise = max(line[0] * float(sample.valid.mean()) + line[1], 0.0)
    found = blur_fwhm(sample.blocks, noise, ASSUMED_FWHM["fluorescence"])
    if found is None:
        return None
    note = "fall of the power spectrum, about +- 0.4 px; give --psf-fwhm if you know"
    return Fact(float(np.clip(found, NARROWEST, WIDEST)), "estimated", note)


def _night_sky(image: Image, given: Given, sample: estimate.Probe) -> Instrument:
    fwhm, psf, beta, stars = _sky_psf(image, given, sample)
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
    electrons = _first(given.electrons_per_unit, image, "electrons_per_unit", "--gain")
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
        read_noise=_first(given.read_noise, image, "read_noise", "--read-noise") or _NONE,
        background=background,
        noise_sigma=noise,
        correlation=correlation,
        dark=_NONE,
        bright=_NONE,
        psf_beta=beta,
        star_fwhm=stars,
        psf_step=_step(given),
    )


def _fluorescence(image: Image, given: Given, sample: estimate.Probe) -> Instrument:
    fwhm, psf = _picture(image, given) or (
        _width(image, given, _blur(sample), "fluorescence"),
        _NONE,
    )
    dark, bright = estimate.levels(sample)
    if not bright > dark:
        raise InputError(f"{image.source}: the image has no contrast above single pixels")
    read = _first(given.read_noise, image, "read_noise", "--read-noise") or Fact(
        ASSUMED_READ_NOISE, "assumed", "electrons"
    )
    electrons = _first(given.electrons_per_unit, image, "electrons_per_unit", "--gain")
    pedestal = _first(given.background, image, "pedestal", "--background")
    line = estimate.photon_transfer(sample)
    if electrons is None:
        electrons = _gain(line, dark, bright)
    if pedestal is None:
        pedestal = _pedestal(line, electrons.value, read.value, dark, float(sample.valid.min()))
    if given.noise_sigma is not None:
        # the stated noise at the dark end fixes what photons do not explain
        photons = max(dark - pedestal.value, 0) * electrons.value
        rest = (given.noise_sigma * electrons.value) ** 2 - photons
        read = Fact(float(np.sqrt(max(rest, 0.01))), "given", "from --noise-sigma")
    variance = max(dark - pedestal.value, 0) * electrons.value + read.value**2
    return Instrument(
        psf_fwhm=fwhm,
        psf=psf,
        electrons_per_unit=electrons,
        read_noise=read,
        background=pedestal,
        noise_sigma=Fact(
            float(np.sqrt(variance)) / electrons.value, "estimated", "at the dark end"
        ),
        correlation=Fact(0.0, "assumed", "camera pixels are independent"),
        dark=Fact(dark, "estimated", "1st percentile of 3 x 3 means"),
        bright=Fact(bright, "estimated", "99.9th percentile of 3 x 3 means"),
        psf_step=_step(given),
    )


def _gain(line: tuple[float, float] | None, dark: float, bright: float) -> Fact:
    """Electrons per unit from the noise, kept within what the generators know."""
    most = MOST_ELECTRONS / (bright - dark)
    if line is None or line[0] <= 0:
        value = 0.1 * most
        return Fact(
            value, "assumed", "noise does not grow with signal: 500 electrons at the bright end"
        )
    value, note = 1 / line[0], "noise variance against mean (photon transfer)"
    if value > most:
        value, note = most, f"cleaner than {MOST_ELECTRONS:g} electrons: treated as such"
    if value < 10 / (bright - dark):
        value, note = 10 / (bright - dark), "noisier than 10 electrons: treated as such"
    return Fact(float(value), "estimated", note)


def _pedestal(
    line: tuple[float, float] | None, electrons: float, read: float, dark: float, least: float
) -> Fact:
    """Level without light: where the photon-transfer line reaches the read noise."""
    if line is not None and line[0] > 0:
        value = ((read / electrons) ** 2 - line[1]) / line[0]
        if least <= value <= dark:
            return Fact(float(value), "estimated", "photon-transfer line at the read noise")
    low = min(least, dark)
    return Fact(float(low), "estimated", "smallest sampled value")


__all__ = ["Given", "Instrument", "Mesh", "resolve"]
