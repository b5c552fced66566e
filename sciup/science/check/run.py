"""A finished result against a repeated exposure, or against a sharper image of the same field."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result
from sciup.errors import InputError, OptionError
from sciup.evaluate.baselines import bicubic
from sciup.evaluate.draws import blur, measurement, predict
from sciup.evaluate.metrics import frc, frc_resolution
from sciup.geometry import Box
from sciup.image import Image
from sciup.io import open_image
from sciup.physics.estimate import probe
from sciup.physics.given import Given
from sciup.physics.psf import gaussian
from sciup.physics.resolve import resolve
from sciup.report.cutout import choose
from sciup.results.again import Opener, find_facts, find_input, on, result_of
from sciup.results.draws import Draws
from sciup.results.finished import Finished
from sciup.science.check.agree import agreement
from sciup.science.check.align import Fit, fit
from sciup.train.data import robust_noise

Array = NDArray[np.float64]

SHARPER = 0.2
"""Difference of FWHM in px below which two PSFs count as the same."""


@dataclass
class Check:
    """What was found.

    Attributes
    ----------
    kind : {"repeat", "reference"}
    region : Box
        Input pixels that were looked at.
    fit : Fit
        Shift in px of the grid that is compared on, gain and level of the other image.
    rows : list of dict
        See `agreement`.
    resolution : dict of str to float
        Where the Fourier ring correlation with a reference falls below 1/7, output px: of the
        mean, sample 0 and bicubic.
    pictures : dict of str to ndarray
        ``ours``, ``other`` and ``z``, on the grid that is compared on.
    notes : list of str
    night_sky : bool
        Whether pictures need a stretch.
    """

    kind: str
    region: Box
    fit: Fit
    rows: list[dict[str, Any]]
    resolution: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, Array] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    night_sky: bool = False

    def as_json(self) -> dict[str, Any]:
        """Without pictures."""
        (y0, x0), (y1, x1) = self.region.start, self.region.stop
        return {
            "kind": self.kind,
            "region": f"{y0}:{y1},{x0}:{x1}",
            "shift_px": list(self.fit.shift),
            "gain": self.fit.gain,
            "gain_error": self.fit.gain_error,
            "level": self.fit.level,
            "agreement": self.rows,
            "frc_resolution_px": self.resolution,
            "notes": self.notes,
        }


def check(
    result: str | Path,
    *,
    repeat: str | Path | None = None,
    reference: str | Path | None = None,
    reference_fwhm: float | None = None,
    roi: str | None = None,
    model: str | None = None,
    source: str | None = None,
    opener: Opener = open_image,
) -> Check:
    """Compare the draws of a finished result with an image that had no part in it.

    Parameters
    ----------
    result : path
    repeat : path, optional
        Another exposure of the same field on the same grid as the input: what the instrument
        would measure of every draw is compared with it. It tests noise, PSF and calibration of the
        brightness, and says nothing about detail finer than the input.
    reference : path, optional
        A sharper image of the same field on the grid of the result, all of it or of its region.
    reference_fwhm : float, optional
        FWHM of the reference's PSF in output px; needed with `reference`.
    roi : str, optional
        ``Y0:Y1,X0:X1`` in input px, ``RA DEC SIZE``, or a region file of DS9; at most 512 x 512
        px; the middle unless given.
    model, source : str, optional
        Model folder and place of the input, where what is recorded is not enough.
    opener : callable
        Opens input and repeat.

    Raises
    ------
    InputError
        If the other image does not fit, or the draws cannot be had.
    OptionError
        If both or none of `repeat` and `reference` are given.
    """
    if (repeat is None) == (reference is None):
        raise OptionError("a check needs one other image", "either --repeat or --reference")
    if reference is not None and not (reference_fwhm and reference_fwhm > 0):
        raise OptionError(
            "--reference needs the width of its PSF", "--reference-fwhm, output px, above 0"
        )
    done = Finished.open(result)
    draws = Draws.open(result, source=source, model=model, opener=opener)
    region = choose(done, roi)
    again = result_of(done, find_facts(done, model), find_input(done, opener, source))
    if isinstance(again, str):
        raise InputError(f"the run cannot be repeated: {again}")
    fine = region.shifted(tuple(-a for a in done.region.start)).scaled(done.scale)
    drawn = draws.window(done.planes[0], fine)
    if repeat is not None:
        return _repeat(on(again, region), drawn, opener(str(repeat)))
    shown: dict[tuple[int, ...], Box | None] = {done.plane_shape: fine}
    path, fwhm = Path(str(reference)), float(reference_fwhm or 0)
    return _reference(on(again, region), drawn, path, fwhm, shown)


def _repeat(result: Result, drawn: Array, other: Image) -> Check:
    """What every draw predicts, beside what was measured again."""
    job = result.job
    if other.plane_shape != job.image.plane_shape:
        raise InputError(
            f"the repeat has {other.plane_shape} px", f"{job.image.plane_shape}, as the input"
        )
    plane = next(other.planes)
    believed = resolve(other, plane, _domain(result), Given(psf_fwhm=_fwhm(result)))
    if believed.pixels == probe(job.image, next(job.image.planes)).pixels:
        raise InputError("the repeat has the very pixels of the input", "another exposure")
    second = Result(
        replace(job, image=other, instruments=(believed.instrument,), digests=(believed.digest,))
    )
    seen = measurement(second)
    values = np.where(seen.footprint, seen.values, np.nan)
    predicted = np.stack([predict(result, d) for d in drawn])
    rim = int(np.ceil(1.5 * _fwhm(result))) + 1
    return _compared("repeat", result, predicted, values, seen.sigma, rim)


def _reference(
    result: Result, drawn: Array, path: Path, fwhm: float, shown: dict[tuple[int, ...], Box | None]
) -> Check:
    """The draws beside an image that is as sharp or sharper; `shown`: box of the result's grid."""
    scale, target = result.job.model.scale, result.job.model.target_fwhm
    image = open_image(path)
    region = result.job.region
    whole = Box.of_shape(result.job.image.plane_shape)
    shapes: dict[tuple[int, ...], Box | None] = {region.scaled(scale).shape: None}
    shapes |= {whole.scaled(scale).shape: region.scaled(scale), **shown}
    if image.plane_shape not in shapes:
        raise InputError(
            f"the reference has {image.plane_shape} px", f"{' or '.join(map(str, shapes))}",
            "resample it to the grid of the result first",
        )  # fmt: skip
    part = shapes[image.plane_shape] or Box.of_shape(image.plane_shape)
    values, footprint = image.read(next(image.planes), part)
    other = np.where(footprint, values, np.nan).astype(np.float64)
    notes = []
    if abs(fwhm - target) > SHARPER:
        rest = float(np.sqrt(abs(fwhm**2 - target**2)))
        kernel = gaussian(4 * int(np.ceil(rest)) + 1, rest)
        ours = fwhm > target
        notes.append(
            f"{'the draws were' if ours else 'the reference was'} blurred by a Gaussian of"
            f" {rest:.2f} output px, to the same PSF"
        )
        if ours:
            drawn = np.stack([blur(d, kernel) for d in drawn])
        else:
            other = np.where(np.isfinite(other), blur(other, kernel), np.nan)
    sigma = np.full(other.shape, robust_noise(np.nan_to_num(other, nan=float(np.nanmedian(other)))))
    found = _compared("reference", result, drawn, other, sigma, 2 * scale)
    found.notes = notes + found.notes
    found.resolution = _resolutions(result, drawn, other, found.fit)
    return found


def _compared(
    kind: str, result: Result, ours: Array, other: Array, sigma: Array, rim: int
) -> Check:
    """Fit, agreement and pictures, away from the edges, where images are mirrored."""
    mean = ours.mean(0)
    if not np.isfinite(mean).all():
        other = np.where(np.isfinite(mean), other, np.nan)
        ours = np.nan_to_num(ours, nan=float(np.nanmedian(mean)))
        mean = ours.mean(0)
    found = fit(mean, other, sigma)
    shown = np.stack([found.apply(o) for o in ours])
    inner = np.s_[rim:-rim, rim:-rim]
    if min(other[inner].shape) < 16:
        raise InputError("the region is too small to compare", f"more than {2 * rim + 16} px")
    spread = (1 + 1 / len(shown)) * shown.var(0, ddof=1)
    z = (other - shown.mean(0)) / np.sqrt(spread + sigma**2)
    notes = []
    if max(map(abs, found.shift)) > 0.1:
        notes.append(f"the other image is shifted by {found.shift[0]:.2f}, {found.shift[1]:.2f} px")
    pictures = {"ours": shown.mean(0)[inner], "other": other[inner], "z": z[inner]}
    rows = agreement(shown[:, *inner], other[inner], sigma[inner])
    sky = _domain(result) == "night-sky"
    return Check(
        kind, result.job.region, found, rows, pictures=pictures, notes=notes, night_sky=sky
    )


def _resolutions(result: Result, drawn: Array, other: Array, found: Fit) -> dict[str, float]:
    seen = measurement(result)
    filled = np.where(seen.footprint, seen.values, np.median(seen.values[seen.footprint]))
    images = {
        "mean": drawn.mean(0),
        "sample 0": drawn[0],
        "bicubic": bicubic(filled, result.job.model.scale),
    }
    truth = np.where(np.isfinite(other), other, np.nanmedian(other))
    return {name: frc_resolution(*frc(found.apply(x), truth)) for name, x in images.items()}


def _fwhm(result: Result) -> float:
    return float(result.instrument.psf_fwhm.value)


def _domain(result: Result) -> Any:
    return result.job.model.domain


__all__ = ["Check", "check"]
