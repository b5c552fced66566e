"""Tables for night-sky samplers on simulated fields, where the truth is known.

A field is a truth scene (flux per fine pixel at the target resolution, noise 1 per input pixel),
blurred with a relative kernel, summed over blocks, with Poisson noise of 30 electrons per sky sigma
and sky noise 1.

**Apertures.** Mean and truth have the same PSF, a Gaussian of FWHM 2 fine px, so one aperture
serves both without any correction: radius 3 fine px = 1.5 FWHM, which holds ``1 - 2^-9`` = 99.8 %
of a point source and little sky; the median of a ring of 8 to 12 px is subtracted. Bicubic has the
PSF of the instrument: it gets the same aperture, and a correction measured on a noise-free star,
hence is shown for stars only.

**S/N** is that of the truth's aperture flux F in optimal photometry of the input:
``F / sqrt(N + F / 30)`` with N = 1 / sum(p^2) for the PSF p on input pixels (King 1983, PASP 95,
163).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal.windows import tukey

from sciup.api import Result, upscale
from sciup.errors import InputError
from sciup.evaluate import metrics
from sciup.evaluate.baselines import bicubic, total_kernel
from sciup.evaluate.draws import blur, draw_samples, measurement, predict
from sciup.evaluate.photometry import (
    aperture_fluxes,
    catalogue,
    isolated,
    to_input,
    windowed_centroid,
)
from sciup.evaluate.tables import Table
from sciup.generators.registry import ModelFacts
from sciup.io._array import open_array
from sciup.physics import psf as shapes
from sciup.physics.projection import kernel_side
from sciup.stretch import AsinhStretch

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

DRAWS = 16
SIDE = 128
"""Input pixels per side of a field."""
ELECTRONS = 30.0
"""Electrons per sky sigma."""
FWHMS = (1.8, 2.3, 2.8)
"""Total PSF before pixel integration, input px."""
MOFFAT_BETA = 3.5
RADIUS = 1.5
"""Of the aperture, in FWHM of the target."""
RING = (8.0, 12.0)
LONELY = 14.0
"""No neighbour of a tenth of the flux within this many fine px."""
CLASSES = ((3, 7), (7, 15), (15, 20), (20, 40), (40, np.inf))
BLOCKS = (1, 4, 16)


@dataclass(frozen=True)
class Field:
    """One simulated field.

    Attributes
    ----------
    name, shape : str
        Number of the scene; ``gaussian`` or ``moffat``.
    truth : ndarray (s n, s n)
        Flux per fine pixel.
    observed : ndarray (n, n)
        Flux per input pixel.
    places, fluxes, stars : ndarray
        Catalogue on the fine grid of `truth`.
    kernel : ndarray
        Relative kernel, fine grid.
    fwhm : float
        Of the total PSF, input px.
    total : ndarray
        Total PSF, fine grid.
    psf : ndarray
        The same with pixel integration, sampled at the input pixel.
    """

    name: str
    shape: str
    truth: Array
    observed: NDArray[np.float32]
    places: Array
    fluxes: Array
    stars: NDArray[np.bool_]
    kernel: Array
    fwhm: float
    total: Array
    psf: Array


def relative_kernel(shape: str, fwhm: float, target: float, scale: int) -> Array:
    """Kernel from the target to a PSF whose width is `fwhm` [input px] in quadrature."""
    rest = float(np.sqrt((fwhm * scale) ** 2 - target**2))
    side = kernel_side(scale)
    return (
        shapes.gaussian(side, rest)
        if shape == "gaussian"
        else shapes.moffat(side, rest, MOFFAT_BETA)
    )


def observe(truth: Array, kernel: Array, scale: int, rng: np.random.Generator) -> Array:
    """Blur, block sum, Poisson and sky noise."""
    light = np.maximum(metrics.block_mean(blur(truth, kernel), scale) * scale**2, 0)
    noisy = rng.poisson(light * ELECTRONS) / ELECTRONS + rng.standard_normal(light.shape)
    return np.asarray(noisy, float)


def make_field(
    scene: Array, sources: Sequence[dict[str, Any]], number: int, model: ModelFacts
) -> Field:
    """Observe scene `number`: its PSF follows from the number; the middle is cut out."""
    s = model.scale
    rng = np.random.default_rng([number, 0x5C1])
    shape, fwhm = ("gaussian", "moffat")[rng.integers(2)], FWHMS[rng.integers(len(FWHMS))]
    kernel = relative_kernel(shape, fwhm, model.target_fwhm, s)
    seen = observe(scene.astype(float), kernel, s, rng)
    n = min(SIDE, *(m // s for m in scene.shape))
    first = (seen.shape[0] - n) // 2
    middle = np.s_[first : first + n, first : first + n]
    fine = np.s_[first * s : (first + n) * s, first * s : (first + n) * s]
    places, fluxes, stars = catalogue(sources)
    half = kernel.shape[0] // 2
    apron = np.pad(kernel, half)
    total = blur(apron, shapes.gaussian(kernel.shape[0], model.target_fwhm))[half:-half, half:-half]
    return Field(
        name=f"scene {number}",
        shape=shape,
        truth=scene[fine].astype(float),
        observed=seen[middle].astype(np.float32),
        places=places - first * s,
        fluxes=fluxes,
        stars=stars,
        kernel=kernel,
        fwhm=fwhm,
        total=total / total.sum(),
        psf=_sampled(total_kernel(total, s), s),
    )


def _sampled(kernel: Array, step: int) -> Array:
    """Every step-th pixel, the middle one among them."""
    first = kernel.shape[0] // 2 % step
    return kernel[first::step, first::step]


def fields(
    model: ModelFacts, data: Path | None, scenes: Path | None, *, count: int, every: int
) -> Iterator[Field]:
    """Fields from a pack of test scenes, or from scenes rendered anew.

    Parameters
    ----------
    model : ModelFacts
    data : Path or None
        GalSim COSMOS sample, used when there is no pack.
    scenes : Path or None
        ``.npy`` with a catalogue ``.json`` beside it, by `sciup.train.sky_scenes.pack_scenes`.
    count, every : int
        At most so many scenes, and only every n-th.
    """
    if scenes is None:
        from sciup.train.sky_scenes import render_scenes

        drawn = render_scenes(data, count=count, side=2 * SIDE + 96, role="test", seed=1)
        for i, (scene, sources) in enumerate(drawn):
            if i % every == 0:
                yield make_field(scene.astype(float), sources, i, model)
        return
    facts = json.loads(scenes.with_suffix(".json").read_text())
    if facts["role"] != "test":
        raise InputError(f"{scenes} holds scenes for the role {facts['role']!r}", "test")
    pack = np.load(scenes, mmap_mode="r")
    for i in range(0, min(count, len(pack)), every):
        yield make_field(np.asarray(pack[i], float), facts["scenes"][i], i, model)


def run_field(
    field: Field, model: ModelFacts, *, known: bool, precision: str = "auto", seed: int = 0
) -> Result:
    """The lazy result on a field, with the instrument known or only the width of its PSF."""
    image = open_array(field.observed, flux_per_pixel=True, domain="night-sky")
    facts: dict[str, Any] = {"psf_fwhm": field.fwhm}
    if known:
        facts = {"psf": field.psf} if field.shape == "moffat" else facts
        facts |= {"gain": ELECTRONS, "background": 0.0, "noise_sigma": 1.0}
    return upscale(
        image, model=model.folder, samples=DRAWS - 1, precision=precision, seed=seed, **facts
    )


def signal_to_noise(flux: Array, field: Field, scale: int) -> Array:
    """Optimal S/N of a point source of this flux in the input."""
    padded = np.pad(field.total, ((0, scale - 1), (0, scale - 1)))  # an odd side
    pixel = metrics.block_mean(padded, scale) * scale**2
    area = 1 / float((pixel**2).sum())
    return np.asarray(flux / np.sqrt(area + np.maximum(flux, 0) / ELECTRONS))


def bicubic_correction(field: Field, model: ModelFacts) -> float:
    """Share of a noise-free star's flux that the aperture holds after bicubic, over 16 phases."""
    s, n = model.scale, 24
    rng = np.random.default_rng(0)
    shares = []
    for y, x in n * s / 2 + rng.uniform(-1, 1, (16, 2)):
        rows, cols = np.mgrid[: n * s, : n * s].astype(float)
        sigma = model.target_fwhm / shapes.SIGMA_TO_FWHM
        star = np.exp(-0.5 * ((rows - y) ** 2 + (cols - x) ** 2) / sigma**2)
        seen = metrics.block_mean(blur(star / star.sum(), field.kernel), s)
        fine = bicubic(seen, s)
        radius = RADIUS * model.target_fwhm
        shares.append(aperture_fluxes(fine, np.array([[y, x]]), radius, RING)[0])
    return float(np.mean(shares))


def measure_sources(field: Field, draws: Array, model: ModelFacts) -> list[dict[str, Any]]:
    """Photometry and positions of all isolated sources of a field."""
    s, target = model.scale, model.target_fwhm
    radius = RADIUS * target
    edge = RING[1] + 2
    inside = ((field.places > edge) & (field.places < len(field.truth) - 1 - edge)).all(1)
    lonely = isolated(field.places, field.fluxes, LONELY)
    chosen = inside & lonely
    places = field.places[chosen]
    truth = aperture_fluxes(field.truth, places, radius, RING)
    each = np.array([aperture_fluxes(d, places, radius, RING) for d in draws])
    wide = [aperture_fluxes(x, places, 2 * radius, RING) for x in (draws.mean(0), field.truth)]
    plain = aperture_fluxes(bicubic(field.observed.astype(float), s) / s**2, places, radius, RING)
    correction = bicubic_correction(field, model)
    mean, width = draws.mean(0), max(field.fwhm, 2.0)
    rows = []
    for i, snr in enumerate(signal_to_noise(truth, field, s)):
        row: dict[str, Any] = {
            "field": field.name,
            "psf": field.shape,
            "star": bool(field.stars[chosen][i]),
            "snr": float(snr),
            "flux": float(truth[i]),
            "mean": float(each[:, i].mean()),
            "spread": float(each[:, i].std(ddof=1)),
            "wide": float(wide[0][i] / wide[1][i]),
            "bicubic": float(plain[i] / correction) if field.stars[chosen][i] else float("nan"),
        }
        if snr > 20:
            y, x = places[i]
            fine = windowed_centroid(mean, y, x, width * s)
            iy, ix = (float(v) for v in to_input(places[i], s))
            coarse = windowed_centroid(field.observed.astype(float), iy, ix, width)
            true = windowed_centroid(field.truth, y, x, width * s)
            for axis, k in (("y", 0), ("x", 1)):
                here = float(to_input(np.array(fine[k]), s))
                row[f"shift_{axis}"] = here - coarse[k]
                row[f"error_{axis}"] = here - float(to_input(np.array(true[k]), s))
        rows.append(row)
    return rows


def score_field(field: Field, draws: Array, result: Result) -> dict[str, Any]:
    """Image scores of a field, in units of the sky noise of an input pixel."""
    s = result.job.model.scale
    rim = np.s_[..., 4 * s : -4 * s, 4 * s : -4 * s]
    linear = draws[rim] * s**2, field.truth[rim] * s**2
    curve = AsinhStretch()
    curved = curve.forward(linear[0]), curve.forward(linear[1])
    base = curve.forward(bicubic(field.observed.astype(float), s)[rim])
    out: dict[str, Any] = {"field": field.name, "psf": field.shape, "fwhm": field.fwhm}
    out["gain_mean"] = 10 * np.log10(
        metrics.mse(base, curved[1]) / metrics.mse(curve.forward(linear[0].mean(0)), curved[1])
    )
    out["gain_draw"] = 10 * np.log10(
        metrics.mse(base, curved[1]) / metrics.mse(curved[0][0], curved[1])
    )
    out["crps"] = metrics.crps(*curved)
    for name, pair in (("asinh", curved), ("linear", linear)):
        for block in BLOCKS:
            out[f"skill{block}_{name}"] = metrics.spread_skill(pair[0], pair[1], block)
            out[f"cover{block}_{name}"] = metrics.range_coverage(pair[0], pair[1], block)
    mean = draws.mean(0)
    seen = measurement(result)
    inner = np.s_[8:-8, 8:-8]
    out["chi2"] = metrics.chi2((seen.values - predict(result, mean))[inner], seen.sigma[inner])
    out["chi2_true"] = metrics.chi2(
        (seen.values - _exact(field, mean, s))[inner], seen.sigma[inner]
    )
    out |= total_flux(seen.values, mean, seen.sigma)
    out["grid"] = metrics.grid_excess(mean, s)
    out["grid_truth"] = metrics.grid_excess(field.truth, s)
    return out


def _exact(field: Field, mean: Array, scale: int) -> Array:
    """The mean through the instrument that really observed the field."""
    return metrics.block_mean(blur(mean, field.kernel), scale) * scale**2


def total_flux(values: Array, mean: Array, sigma: Array) -> dict[str, float]:
    """Total of mean against that of the input: relative difference, and in sigmas of the sum.

    Sharpening moves light across the edges of an image. A weight that falls to 0 there over a
    quarter of each side leaves that out.
    """
    scale = mean.shape[0] // values.shape[0]
    coarse = metrics.block_mean(mean, scale) * scale**2
    weight = np.outer(*(tukey(n, 0.5) for n in values.shape))
    weight = np.where(np.isfinite(values) & np.isfinite(coarse), weight, 0)
    total = float((weight * np.nan_to_num(values)).sum())
    difference = float((weight * np.nan_to_num(coarse - values)).sum())
    return {
        "flux_difference": difference / total,
        "flux_sigmas": difference / float(np.sqrt(((weight * sigma) ** 2).sum())),
    }


def photometry_table(rows: Sequence[dict[str, Any]], name: str, title: str) -> Table:
    """Bias, scatter and pull by class of S/N."""
    out = []
    for kind in ("all", "stars", "galaxies"):
        part = [r for r in rows if kind == "all" or r["star"] == (kind == "stars")]
        out += [_class_row(part, kind, low, high) for low, high in CLASSES]
    return Table(
        name,
        title,
        out,
        [
            "bias: median of (aperture flux of mean - of truth) / of truth, with its 95 % "
            "bootstrap interval. scatter: robust, of the same. pull: robust width of that "
            "difference over the spread of the draws; 1 is right. wide: the bias in an aperture of "
            "twice the radius, which a difference in sharpness hardly touches. ok: |bias| < 1 % "
            "or 0 within the interval.",
        ],
    )


def _class_row(
    rows: Sequence[dict[str, Any]], kind: str, low: float, high: float
) -> dict[str, Any]:
    part = [r for r in rows if low <= r["snr"] < high]
    truth, mean, spread, plain = (
        np.array([r[k] for r in part], float) for k in ("flux", "mean", "spread", "bicubic")
    )
    error = mean / truth - 1
    bias, lower, upper = metrics.bootstrap_median(error)
    pull = (mean - truth) / np.maximum(spread * np.sqrt(1 + 1 / DRAWS), 1e-12)
    wide = metrics.bootstrap_median(np.array([r["wide"] - 1 for r in part], float))
    known = np.isfinite(plain)
    other = metrics.bootstrap_median((plain / truth - 1)[known])
    return {
        "sources": kind,
        "S/N": f"{low:g}-{high:g}" if np.isfinite(high) else f">{low:g}",
        "n": len(part),
        "bias_%": 100 * bias,
        "ci_low": 100 * lower,
        "ci_high": 100 * upper,
        "scatter_%": 100 * metrics.robust_scatter(error),
        "pull": metrics.robust_scatter(pull),
        "wide_bias_%": 100 * wide[0],
        "wide_ci_low": 100 * wide[1],
        "wide_ci_high": 100 * wide[2],
        "bicubic_bias_%": 100 * other[0],
        "bicubic_ci_low": 100 * other[1],
        "bicubic_ci_high": 100 * other[2],
        "bicubic_scatter_%": 100 * metrics.robust_scatter((plain / truth - 1)[known]),
        "ok": "yes" if abs(bias) < 0.01 or lower <= 0 <= upper else "no",
    }


def centroid_rows(rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> list[dict[str, Any]]:
    """Median shifts along y and x, input px, with confidence intervals."""
    out = []
    for what, note in (("shift", "mean - input"), ("error", "mean - truth")):
        for axis in "yx":
            values = np.array([r.get(f"{what}_{axis}", np.nan) for r in rows], float)
            values = values[np.isfinite(values)]
            if values.size == 0:
                continue
            middle, low, high = metrics.bootstrap_median(values)
            row = {"difference": note, "axis": axis, "n": values.size, "median_px": middle}
            row |= {"ci_low": low, "ci_high": high, "scatter_px": metrics.robust_scatter(values)}
            out.append(about | row | {"ok": "yes" if abs(middle) < 0.02 else "no"})
    return out


def evaluate(
    model: ModelFacts,
    data: Path | None,
    *,
    scenes: Path | None = None,
    count: int = 60,
    every: int = 1,
    known: Sequence[bool] = (True, False),
    precision: str = "auto",
    seed: int = 0,
    progress: Progress = lambda _done, _all: None,
) -> list[Table]:
    """Photometry, positions, total flux and honesty of the draws on simulated fields.

    Parameters
    ----------
    model : ModelFacts
        A night-sky model.
    data, scenes, count, every
        See `fields`.
    known : sequence of bool
        Which to run: instrument known, and only the PSF's width known.
    precision, seed
        See `sciup.upscale`.
    progress : callable
        Gets the number of fields done and of all.
    """
    tables: list[Table] = []
    scored: list[dict[str, Any]] = []
    centres: list[dict[str, Any]] = []
    runs: dict[bool, list[dict[str, Any]]] = {k: [] for k in known}
    total = -(-count // every)
    for done, field in enumerate(fields(model, data, scenes, count=count, every=every)):
        progress(done, total)
        for k in known:
            result = run_field(field, model, known=k, precision=precision, seed=seed)
            draws = draw_samples(result, DRAWS)
            runs[k] += measure_sources(field, draws, model)
            scored.append({"instrument": _word(k)} | score_field(field, draws, result))
    progress(total, total)
    for k, rows in runs.items():
        title = (
            f"Aperture photometry of isolated sources, simulated fields, {model.name} (weights "
            f"{model.weights[:12]}), instrument {_word(k)}, {DRAWS} draws."
        )
        tables.append(photometry_table(rows, f"sky_photometry_{_word(k)}", title))
        centres += centroid_rows(rows, {"fields": "simulated", "instrument": _word(k)})
    return [
        *tables,
        Table("sky_centroids", "Positions of isolated sources with S/N > 20, input px.", centres),
        _summary(scored),
        Table("sky_fields", "Every simulated field.", scored),
    ]


def _word(known: bool) -> str:
    return "known" if known else "estimated"


def _summary(rows: Sequence[dict[str, Any]]) -> Table:
    """Means over fields by instrument and PSF."""
    keys = [k for k, v in rows[0].items() if isinstance(v, float) and k != "fwhm"]
    out = []
    for instrument in dict.fromkeys(r["instrument"] for r in rows):
        for shape in ("all", "gaussian", "moffat"):
            part = [r for r in rows if r["instrument"] == instrument and shape in ("all", r["psf"])]
            if not part:
                continue
            good = [abs(r["flux_difference"]) < 0.005 or abs(r["flux_sigmas"]) < 2 for r in part]
            about = {"instrument": instrument, "psf": shape, "fields": len(part)}
            out.append(
                about | metrics.mean_of(part, keys) | {"flux_ok": f"{sum(good)}/{len(good)}"}
            )
    return Table(
        "sky_scores",
        "Scores of draws on simulated fields, in asinh units (knee 3 sigma) and linear flux.",
        out,
        [
            "flux_ok: fields whose total of mean is within 0.5 % or 2 sigma of the input's. "
            "chi2: of input minus A mean with the instrument believed in, chi2_true with the real "
            "one. grid: power at the input's sampling frequency over its neighbourhood.",
        ],
    )
