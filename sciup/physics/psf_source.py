"""Where a PSF image comes from: an array, an image file, beads, STPSF or PSFEx."""

from __future__ import annotations

import logging
import math
import os
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.image import Image, PixelGrid
from sciup.physics.beads import bead_psf, sharpest
from sciup.physics.psf import image_fwhm, over_pixel
from sciup.physics.psf_cells import PsfCells
from sciup.physics.psf_error import fine
from sciup.physics.psf_gridded import GriddedPsf
from sciup.physics.psfex import Psfex

logger = logging.getLogger("sciup")
Array = NDArray[np.float64]

STPSF = ("OVERDIST", "DET_DIST", "OVERSAMP", "DET_SAMP")
"""Extensions of files by STPSF and WebbPSF, the best first: those with distortion and the effects
of the detector, and of them the finely sampled one."""

SAME = 0.02
"""Pixel sizes that differ by less are one: headers round them, and distortion changes them."""

DRIZZLED = 0.1
"""A detector whose pixels are larger than those of the image by more was drizzled."""

REACH = 16
"""Input px around the core that are kept of a finely sampled image; no kernel reaches beyond 7."""

SAMPLES = 2.4
"""Samples per FWHM of an image off the grid of the input below which its Fourier series is wrong by
more than 3 to 6 % (Gaussian and Moffat profiles)."""


@dataclass(frozen=True, slots=True)
class PsfImage:
    """A PSF image, integrated over the input pixel.

    Attributes
    ----------
    values : ndarray (M, N)
        Not necessarily normalised; centred anywhere.
    step : float
        Input px per pixel of `values`.
    note : str
        For people: where it comes from, and what was taken for granted.
    cells : PsfCells, optional
        Of a PSF that varies over the image, of which `values` is one place.
    """

    values: Any
    step: float = 1.0
    note: str = "--psf"
    cells: PsfCells | None = None


def read_psf(source: Any, image: Image, region: Box | None = None) -> PsfImage | None:
    """The PSF image that a user states for an image.

    Parameters
    ----------
    source : ndarray, PsfImage, path or None
        An array on the input grid; or ``FILE``, ``FILE[HDU]`` of FITS, ``FILE[Z]`` of a stack,
        which may be a PSF image, beads, a file or a grid by STPSF or WebbPSF, or one by PSFEx.
    image : Image
        What it is for.
    region : Box, optional
        Part of the image; where the PSF varies `values` is that in its middle, and `cells` holds
        those of the whole image.

    Raises
    ------
    InputError
        If the file is missing, damaged or nothing of the kind.
    OptionError
        If its sampling contradicts that of the image, or one of several planes must be named.

    Examples
    --------
    >>> from sciup.io import open_image
    >>> read_psf(np.ones((3, 3)), open_image(np.zeros((8, 8)))).step
    1.0
    """
    if source is None or isinstance(source, PsfImage):
        return source
    if not isinstance(source, str | os.PathLike):
        return PsfImage(source)
    found = _of_file(os.fspath(source), image, region or Box.of_shape(image.plane_shape))
    if found.step != 1:
        _check_samples(found)
    return found


def _check_samples(psf: PsfImage) -> None:
    """Warn of an image whose pixels are too coarse to say what is between them."""
    samples = image_fwhm(psf.values, psf.step) / psf.step
    if 0 < samples < SAMPLES:
        logger.warning(
            "the PSF image has %.2g samples per FWHM (%s), and its shape between them is a guess:"
            " give one with %g or more", samples, psf.note, SAMPLES
        )  # fmt: skip


def _of_file(source: str, image: Image, region: Box) -> PsfImage:
    from sciup.io import detect_format, open_image

    path, part = _named(source)
    fits = detect_format(path) == "fits"
    if not fits:
        return _of_image(open_image(path), part, image, None)
    model, names = _fits_contents(path, part)
    if model is not None:
        return _varying(model, Path(path).name, image, region)
    hdu = part or next((name for name in STPSF if name in names), None)
    opened = open_image(path, hdu=int(hdu) if hdu and hdu.isdigit() else hdu)
    return _of_image(opened, None, image, _detector(opened))


def _named(text: str) -> tuple[str, str | None]:
    """``FILE[PART]`` in two."""
    found = None if Path(text).exists() else re.fullmatch(r"(.+)\[([^\[\]]+)\]", text)
    return (found[1], found[2]) if found else (text, None)


def _fits_contents(path: str, part: str | None) -> tuple[Psfex | GriddedPsf | None, set[str]]:
    """The PSF of a field that a FITS file may hold, and the names of its HDUs."""
    from astropy.io import fits

    from sciup.io._check import input_errors
    from sciup.io._fits_clean import quiet
    from sciup.io._fits_files import local_file

    with (
        input_errors(f"{path} is damaged"),
        quiet(path),
        fits.open(local_file(path, None), memmap=False) as hdus,
    ):
        names = {hdu.name for hdu in hdus}
        hdu = _of_a_field(hdus, part, path)
        if hdu is None:
            return None, names
        return (Psfex if Psfex.fits(hdu) else GriddedPsf).read(hdu, path), names


def _of_a_field(hdus: Any, part: str | None, source: str) -> Any | None:
    """The HDU, by number or name, with the PSF of a field; None of other files.

    PSFEx writes one for each extension of the image.
    """
    fields = {n: h for n, h in enumerate(hdus) if Psfex.fits(h) or GriddedPsf.fits(h)}
    meant = [h for n, h in fields.items() if part is None or part.upper() in (str(n), h.name)]
    if fields and len(meant) != 1:
        raise OptionError(
            f"the PSF file {source} has {'several PSFs' if meant else f'no PSF in HDU {part}'}",
            f"HDU {', '.join(map(str, fields))}",
            f"for example --psf {source}[{next(iter(fields))}]",
        )
    return meant[0] if meant else None


def _varying(model: Psfex | GriddedPsf, name: str, image: Image, region: Box) -> PsfImage:
    """The PSF in the middle of a region, and in cells of the whole image where it varies."""
    y, x = ((a + b - 1) / 2 for a, b in zip(region.start, region.stop, strict=True))
    rims = [(a, b - 1) for a, b in zip(region.start, region.stop, strict=True)]
    if any(model.far(*corner) for corner in product(*rims)):
        logger.warning(
            "%s: the stars of the %s lie elsewhere: is it of this image, and is this a part with"
            " coordinates of its own?", image.source, f"{model.kind} {name}"
        )  # fmt: skip
    cells = PsfCells.of(model, image.plane_shape) if model.varies else None
    if cells is None:
        return PsfImage(model.at(y, x), model.step, f"{model.kind} {name}, the same everywhere")
    values, step = fine(model.at(y, x), model.step)
    note = f"{model.kind} {name}, at y {y:g}, x {x:g}, where one PSF must do"
    return PsfImage(values, step, note, cells)


def _detector(opened: Image) -> float | None:
    """Pixel size [arcsec] of the detector that an image by STPSF is for."""
    header, size = opened.header, opened.grid.size
    if size is None or header.get("EXTNAME") not in STPSF:
        return None
    fine = str(header["EXTNAME"]).startswith("OVER")
    samples = header.get("DET_SAMP", 1) if fine else 1
    if not (isinstance(samples, int | float) and 0 < samples < math.inf):
        raise InputError(f"the PSF file {opened.source} has DET_SAMP {samples!r}",
                         "a number above 0", "make it again with STPSF")  # fmt: skip
    return math.sqrt(size[0] * size[1]) * samples


def _of_image(opened: Image, part: str | None, image: Image, detector: float | None) -> PsfImage:
    values, notes = _plane(opened, part)
    if not detector:
        values, done = bead_psf(values)
        notes += done
    if image.domain == "fluorescence":
        notes.append("the size of the bead, if it is one, is part of it")
    about = f"HDU {opened.header['EXTNAME']}" if detector else "PSF image"
    return _sampled(values, opened, image, detector, [about, Path(opened.source).name, *notes])


def _plane(opened: Image, part: str | None) -> tuple[Array, list[str]]:
    """The plane that is named, or the sharpest of a stack along z."""
    planes = list(opened.planes)
    stack = "z" in opened.axes and opened.format != "fits"
    count = opened.shape[opened.axes.index("z")] if stack else 1
    if len(planes) > count:
        raise OptionError(
            f"the PSF file {opened.source} has {opened.axes} {opened.shape}",
            "one image, or one stack along z", "save the one that is meant to a file of its own"
        )  # fmt: skip
    if part is not None and not (part.isdigit() and int(part) < len(planes)):
        raise OptionError(f"the PSF file {opened.source} has no plane {part!r}",
                          f"0 to {len(planes) - 1}")  # fmt: skip
    box = Box.of_shape(opened.plane_shape)
    if part is not None or len(planes) == 1:
        index, how = int(part or 0), "as asked"
        values = opened.read(planes[index], box)[0].astype(np.float64)
    else:
        all_ = [opened.read(plane, box)[0].astype(np.float64) for plane in planes]
        index, how = sharpest(all_), "the sharpest"
        values = all_[index]
    if not np.isfinite(values).all():
        raise InputError(f"the PSF file {opened.source} has pixels without a number",
                         "finite values", "cut the PSF out, or mend these pixels")  # fmt: skip
    return values, [f"plane {index} of {len(planes)} ({how})"] if len(planes) > 1 else []


def _sampled(
    values: Array, opened: Image, image: Image, detector: float | None, notes: list[str]
) -> PsfImage:
    """The image with its sampling in input px; of a finer one, integrated over the input pixel."""
    own, wanted = opened.grid, image.grid
    if detector and not wanted.size:
        wanted = PixelGrid((detector, detector), "arcsec")
        notes = [*notes, f"the input states no pixel size, taken to be the {detector:.4g} arcsec of"
                 " the detector"]  # fmt: skip
    if not own.size or not wanted.size:
        return PsfImage(values, 1.0, "; ".join([*notes, "sampling taken to be the input's"]))
    size, pixel = (math.sqrt(g.size[0] * g.size[1]) for g in (own, wanted) if g.size)
    step = size / pixel
    if own.unit != wanted.unit or step > 1 + SAME:
        raise OptionError(
            f"the PSF image {opened.source} has pixels of {size:.4g} {own.unit}, the input of"
            f" {pixel:.4g} {wanted.unit}",
            "the same pixel size, or smaller ones",
            "give a PSF image on the grid of the input or finer; mend a wrong pixel size of the"
            " input with --pixel-size",
        )
    if step > 1 - SAME:
        return PsfImage(values, 1.0, "; ".join([*notes, "sampled as the input"]))
    width, how = pixel, "integrated over its own pixels, then over that of the input"
    if detector and detector > (1 + DRIZZLED) * pixel:
        width = detector
        how = f"integrated over the {detector:.4g} arcsec of the detector, without drizzling"
    fine = _core(over_pixel(values, width / size), round(REACH / step))
    return PsfImage(fine, step, "; ".join([*notes, how, f"{1 / step:.3g} samples per input px"]))


def _core(values: Array, reach: int) -> Array:
    """The part around the brightest pixel."""
    y, x = (int(i) for i in np.unravel_index(int(values.argmax()), values.shape))
    return values[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]


__all__ = ["PsfImage", "read_psf"]
