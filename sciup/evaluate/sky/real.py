"""Tables for night-sky samplers on real images, where only the input can be asked.

The mean is sent through the instrument that the run believed in, A, and compared with the input y.
Both have the same PSF, so one aperture serves both: one PSF FWHM in radius, at least 2 input px.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from sciup.api import Result, open_image, upscale
from sciup.errors import InputError
from sciup.evaluate import metrics
from sciup.evaluate.draws import Measurement, draw_samples, measurement, predict
from sciup.evaluate.sky.photometry import (
    aperture_fluxes,
    isolated,
    peaks,
    to_fine,
    to_input,
    total_flux,
    windowed_centroid,
)
from sciup.evaluate.sky.sources import CLASSES, centroid_rows, median, over_fields
from sciup.evaluate.tables import Table
from sciup.generators.registry import ModelFacts
from sciup.geometry import Box
from sciup.image import Image

Array = NDArray[np.float64]

DRAWS = 8
SIDE = 256
"""Images larger than this are cut to their middle: input px."""
EDGE = 12
"""Sources this close to the edge of what was run are left out: input px."""
SETS = ("hst_lenses", "jwst_nircam_cosmos", "hst_wfpc2")


@dataclass(frozen=True)
class Run:
    """One real image, run: what was measured, and the mean of the draws on the fine grid."""

    name: str
    dataset: str
    result: Result
    seen: Measurement
    mean: Array


def files(folder: Path, sets: Sequence[str] = SETS, every: int = 1) -> list[Path]:
    """FITS files of the sets below a folder, every n-th of each set."""
    found = []
    for name in sets:
        images = sorted((folder / name).glob("*.fits*"))
        found += images[::every]
    if not found:
        raise InputError(f"no FITS files in {', '.join(sets)} below {folder}")
    return found


def middle(image: Image, side: int = SIDE) -> Box:
    """The middle of an image, or all of it, cut at multiples of half a window."""
    start = [max(0, (n - side) // 2 // 64 * 64) for n in image.plane_shape]
    stop = [min(n, a + side) for n, a in zip(image.plane_shape, start, strict=True)]
    return Box(tuple(start), tuple(stop))


def run_files(
    paths: Sequence[Path], model: ModelFacts, *, precision: str = "auto", seed: int = 0
) -> Iterator[Run]:
    """Run real images with what their files say of the instrument."""
    for path in paths:
        image = open_image(path)
        result = upscale(
            image,
            model=model.folder,
            samples=DRAWS - 1,
            roi=middle(image),
            precision=precision,
            seed=seed,
        )
        mean = draw_samples(result, DRAWS).mean
        name = path.name.removesuffix(".gz").removesuffix(".fits")
        yield Run(name, path.parent.name, result, measurement(result), mean)


def correlated_error(radius: float, correlation: float) -> float:
    """Noise of an aperture sum over what it would be with independent pixels.

    The noise is white noise through the filter (a, 1, a) along each axis, as in
    `sciup.generators.noise.correlate`; ``2 a / (1 + 2 a^2)`` is its correlation at lag 1.
    """
    if correlation <= 0:
        return 1.0
    rho = min(correlation, 0.7)
    a = (1 - np.sqrt(1 - 2 * rho**2)) / (2 * rho)
    taps = np.array([a, 1, a]) / np.sqrt(1 + 2 * a**2)
    reach = int(np.ceil(radius)) + 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (np.hypot(y, x) <= radius).astype(float)
    seen = convolve1d(convolve1d(disc, taps, 0), taps, 1)
    return float(np.sqrt((seen**2).sum() / disc.sum()))


def measure_sources(run: Run) -> list[dict[str, Any]]:
    """Apertures and positions of the isolated sources of an image."""
    seen, scale = run.seen, run.result.job.model.scale
    fwhm = float(run.result.instrument.psf_fwhm.value)
    radius = max(fwhm, 2.0)
    flux_factor = scale**2 if run.result.job.image.flux_per_pixel else 1
    fine_level = seen.level.repeat(scale, 0).repeat(scale, 1) / flux_factor
    y = np.where(seen.footprint, seen.values - seen.level, 0.0)
    mean = np.where(np.isfinite(run.mean), run.mean - fine_level, 0.0)
    model = predict(run.result, mean)
    places = peaks(y, seen.sigma)
    fluxes = aperture_fluxes(y, places, radius)
    correlation = float(run.result.instrument.correlation.value or 0)
    errors = np.sqrt(aperture_fluxes(seen.sigma**2, places, radius))
    errors = errors * correlated_error(radius, correlation)
    other = aperture_fluxes(model, places, radius)
    holes = aperture_fluxes((~seen.footprint).astype(float), places, radius + 2)
    inside = ((places >= EDGE) & (places < np.array(y.shape) - EDGE)).all(1)
    good = inside & (holes == 0) & isolated(places, fluxes, 2.5 * radius + 2)
    rows = []
    for i in np.flatnonzero(good):
        row: dict[str, Any] = {
            "image": run.name,
            "field": run.name.split("_F")[0],  # bands of one pointing are one unit
            "set": run.dataset,
            "snr": float(fluxes[i] / errors[i]),
            "bias": float(other[i] / fluxes[i] - 1),
            "pull": float((other[i] - fluxes[i]) / errors[i]),
        }
        if row["snr"] > 20:
            width = max(fwhm, 2.0)
            here = windowed_centroid(y, *_pair(places[i]), width)
            there = windowed_centroid(mean, *_pair(to_fine(places[i], scale)), width * scale)
            back = windowed_centroid(model, *_pair(places[i]), width)
            for k, axis in enumerate("yx"):
                row[f"shift_{axis}"] = float(to_input(np.array(there[k]), scale)) - here[k]
                row[f"error_{axis}"] = back[k] - here[k]
        rows.append(row)
    return rows


def _pair(place: Array) -> tuple[float, float]:
    return float(place[0]), float(place[1])


def score_run(run: Run) -> dict[str, Any]:
    """Residual, total flux and pattern of an image."""
    seen = run.seen
    inner = np.s_[EDGE:-EDGE, EDGE:-EDGE]
    residual = seen.values - predict(run.result, run.mean)
    footprint = seen.footprint[inner]
    z = (residual / seen.sigma)[inner]
    background = np.where(seen.footprint, seen.values - seen.level, np.nan)
    bright = footprint & (background[inner] > 5 * seen.sigma[inner])
    scale = run.result.job.model.scale
    flux = scale**2 if run.result.job.image.flux_per_pixel else 1
    fine_level = seen.level.repeat(scale, 0).repeat(scale, 1) / flux
    out: dict[str, Any] = {"set": run.dataset, "image": run.name}
    out["psf_fwhm"] = float(run.result.instrument.psf_fwhm.value)
    out["correlation"] = float(run.result.instrument.correlation.value or 0)
    out["chi2"] = metrics.chi2(z, 1.0, footprint)
    out["chi2_sky"] = metrics.chi2(z, 1.0, footprint & ~bright)
    out["chi2_sources"] = metrics.chi2(z, 1.0, bright) if bright.any() else float("nan")
    out |= total_flux(background, (run.mean - fine_level) * (flux / scale**2), seen.sigma)
    out["grid"] = metrics.grid_excess(np.nan_to_num(run.mean), scale)
    return out


def evaluate(
    model: ModelFacts,
    data: Path,
    *,
    sets: Sequence[str] = SETS,
    every: int = 1,
    precision: str = "auto",
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Table]:
    """Apertures, positions, total flux and residuals on real images.

    Parameters
    ----------
    model : ModelFacts
        A night-sky model.
    data : Path
        Folder that holds the folders of `sets`.
    sets : sequence of str
        Folders of FITS files.
    every : int
        Take every n-th file of each set.
    precision, seed
        See `sciup.upscale`.
    progress : callable
        Gets the number of images done and of all.
    """
    paths = files(data, sets, every)
    sources: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for done, run in enumerate(run_files(paths, model, precision=precision, seed=seed)):
        progress(done + 1, len(paths))
        sources += measure_sources(run)
        images.append(score_run(run))
    return tables(sources, images, model)


def tables(
    sources: Sequence[dict[str, Any]], images: Sequence[dict[str, Any]], model: ModelFacts
) -> list[Table]:
    """The tables of measured sources and images."""
    about = f"{model.name} (weights {model.weights[:12]}), {DRAWS} draws"
    present = list(dict.fromkeys(r["set"] for r in images))
    rows, centres, means = [], [], []
    for name in ["all", *present]:
        part = [r for r in sources if name in ("all", r["set"])]
        rows += [_class_row(part, name, low, high) for low, high in CLASSES]
        centres += centroid_rows(part, {"fields": name, "instrument": "from the file"})
        chosen = [r for r in images if name in ("all", r["set"])]
        means.append(_image_row(chosen, name))
    for row in centres:
        row["difference"] = row["difference"].replace("mean - truth", "A mean - input")
    return [
        Table(
            "sky_real_photometry",
            f"Apertures of A(mean) against the input, isolated sources of real images, {about}.",
            rows,
            [
                "bias: median of A(mean) / y - 1 with its 95 % bootstrap interval over "
                "pointings; pull: in sigmas."
            ],
        ),
        Table("sky_real_centroids", "Positions of isolated sources with S/N > 20.", centres),
        Table(
            "sky_real_scores",
            f"Residuals and total flux of real images, {about}.",
            means,
            [
                "chi2: of input minus A mean, over sky, and over pixels 5 sigma above it. flux: "
                "median of |total of mean / total of input - 1|. flux_ok: images within 0.5 % or 2 "
                "sigma."
            ],
        ),
        Table("sky_real_images", "Every real image.", images),
    ]


def _class_row(
    rows: Sequence[dict[str, Any]], name: str, low: float, high: float
) -> dict[str, Any]:
    part = [r for r in rows if low <= r["snr"] < high]
    bias, pull = (np.array([r[k] for r in part], float) for k in ("bias", "pull"))
    middle_, lower, upper = over_fields(bias, [r["field"] for r in part], median)
    return {
        "set": name,
        "S/N": f"{low:g}-{high:g}" if np.isfinite(high) else f">{low:g}",
        "n": len(part),
        "bias_%": 100 * middle_,
        "ci_low": 100 * lower,
        "ci_high": 100 * upper,
        "scatter_%": 100 * metrics.robust_scatter(bias),
        "pull": metrics.robust_scatter(pull),
        "ok": "yes" if abs(middle_) < 0.01 or lower <= 0 <= upper else "no",
    }


def _image_row(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    def typical(key: str) -> float:
        values = np.array([r[key] for r in rows], float)
        values = values[np.isfinite(values)]
        return float(np.median(np.abs(values))) if values.size else float("nan")

    good = [abs(r["flux_difference"]) < 0.005 or abs(r["flux_sigmas"]) < 2 for r in rows]
    keys = ("psf_fwhm", "correlation", "chi2", "chi2_sky", "chi2_sources", "grid")
    return {
        "set": name,
        "images": len(rows),
        **{key: typical(key) for key in keys},
        "flux_%": 100 * typical("flux_difference"),
        "flux_sigmas": typical("flux_sigmas"),
        "flux_ok": f"{sum(good)}/{len(good)}",
    }
