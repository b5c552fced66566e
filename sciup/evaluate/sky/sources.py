"""Fluxes and positions of isolated sources in simulated fields.

**Apertures.** Mean and truth have the same PSF, a Gaussian of FWHM 2 fine px, so one aperture
serves both without any correction: radius 3 fine px = 1.5 FWHM, which holds ``1 - 2^-9`` = 99.8 %
of a point source and little sky; the median of a ring of 8 to 12 px is subtracted. Bicubic has the
PSF of the instrument: it gets the same aperture, and a correction measured on a noise-free star,
hence is shown for stars only.

**S/N** is that of the truth's aperture flux in optimal photometry of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.evaluate import metrics
from sciup.evaluate.baselines import bicubic
from sciup.evaluate.draws import blur
from sciup.evaluate.sky.fields import Field, signal_to_noise
from sciup.evaluate.sky.photometry import aperture_fluxes, isolated, to_input, windowed_centroid
from sciup.evaluate.tables import Table
from sciup.generators.registry import ModelFacts
from sciup.physics import psf as shapes

Array = NDArray[np.float64]
Row = dict[str, Any]

RADIUS = 1.5
"""Of the aperture, in FWHM of the target."""
RING = (8.0, 12.0)
LONELY, SHARE = 8.0, 0.3
"""No neighbour of this share of the flux within this many fine px; truth holds its light too."""
CLASSES = ((3, 5), (5, 10), (10, 20), (20, 50), (50, np.inf))
CENTRED = 10.0
"""Least S/N of a source whose position is measured."""
REPEATS = 1000


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
        radius = RADIUS * model.target_fwhm
        shares.append(aperture_fluxes(bicubic(seen, s), np.array([[y, x]]), radius, RING)[0])
    return float(np.mean(shares))


def measure_sources(field: Field, draws: Array, model: ModelFacts) -> list[Row]:
    """Photometry and positions of all isolated sources of a field.

    Each row has ``field``, ``psf``, ``star``, ``snr``, and fluxes: of the truth (``flux``), the
    mean of the draws (``mean``), their deviation (``spread``), bicubic, and the mean in twice the
    radius over the truth's (``wide``); above S/N 10 also errors of position (`_positions`).
    """
    s, radius = model.scale, RADIUS * model.target_fwhm
    edge = RING[1] + 2
    inside = ((field.places > edge) & (field.places < len(field.truth) - 1 - edge)).all(1)
    chosen = inside & isolated(field.places, field.fluxes, LONELY, SHARE)
    places, stars, mean = field.places[chosen], field.stars[chosen], draws.mean(0)
    truth = aperture_fluxes(field.truth, places, radius, RING)
    snr = signal_to_noise(truth, field)
    bright = snr > CLASSES[0][0]
    places, stars, truth, snr = places[bright], stars[bright], truth[bright], snr[bright]
    each = np.array([aperture_fluxes(d, places, radius, RING) for d in draws])
    wide = [aperture_fluxes(x, places, 2 * radius, RING) for x in (mean, field.truth)]
    fine = bicubic(field.observed.astype(float), s) / s**2
    plain = aperture_fluxes(fine, places, radius, RING) / bicubic_correction(field, model)
    rows = []
    for i, place in enumerate(places):
        row: Row = {"field": field.name, "psf": field.shape, "star": bool(stars[i])}
        row |= {"snr": float(snr[i]), "flux": float(truth[i])}
        row |= {"mean": float(each[:, i].mean()), "spread": float(each[:, i].std(ddof=1))}
        row["wide"] = float(wide[0][i] / wide[1][i])
        row["bicubic"] = float(plain[i]) if stars[i] else float("nan")
        if snr[i] > CENTRED:
            row |= _positions(place, (mean, field.truth, fine), max(field.fwhm, 2.0) * s, s)
        rows.append(row)
    return rows


def _positions(place: Array, images: tuple[Array, Array, Array], width: float, s: int) -> Row:
    """Centroids of mean and bicubic minus the truth's, and of mean minus bicubic, input px."""
    y, x = float(place[0]), float(place[1])
    mean, true, plain = (
        to_input(np.array(windowed_centroid(image, y, x, width)), s) for image in images
    )
    out = {}
    for k, axis in enumerate("yx"):
        out[f"error_{axis}"] = float(mean[k] - true[k])
        out[f"bicubic_{axis}"] = float(plain[k] - true[k])
        out[f"shift_{axis}"] = float(mean[k] - plain[k])
    return out


def over_fields(
    values: Array, units: Sequence[str], statistic: Callable[[Array], float]
) -> tuple[float, float, float]:
    """A statistic with its 95 % percentile bootstrap interval over whole fields.

    References
    ----------
    Davison & Hinkley (1997), Bootstrap Methods and their Application, ch. 3.8 (clusters).

    Examples
    --------
    >>> over_fields(np.array([1.0, 2.0, 3.0]), ["a", "a", "a"], lambda v: float(np.median(v)))
    (2.0, 2.0, 2.0)
    """
    if not len(values):
        return (float("nan"),) * 3
    names, index = np.unique(np.asarray(units), return_inverse=True)
    groups = [values[index == i] for i in range(len(names))]
    rng = np.random.default_rng(0)
    found = [
        statistic(np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))]))
        for _ in range(REPEATS)
    ]
    low, high = np.quantile(found, [0.025, 0.975])
    return statistic(values), float(low), float(high)


def median(values: Array) -> float:
    """Median as a plain number."""
    return float(np.median(values))


def photometry_table(rows: Sequence[Row], draws: int, name: str, title: str) -> Table:
    """Bias, scatter and pull by class of S/N."""
    out = []
    for kind in ("all", "stars", "galaxies"):
        part = [r for r in rows if kind == "all" or r["star"] == (kind == "stars")]
        out += [_class_row(part, draws, kind, low, high) for low, high in CLASSES]
    return Table(
        name,
        title,
        out,
        [
            "bias: median of (aperture flux of mean - of truth) / of truth, with its 95 % "
            "bootstrap interval over fields. scatter: robust, of the same. pull: standard "
            "deviation and robust width of that difference over the spread of the draws, corrected "
            "for their number (Student's t); 1 is right. wide: the bias in an aperture of twice "
            "the radius, which a difference in sharpness hardly touches. ok: |bias| < 1 % or 0 "
            "within the interval.",
        ],
    )


def pulls(rows: Sequence[Row], draws: int) -> Array:
    """(mean - truth) / spread of every source, of deviation 1 where the draws are honest.

    The truth is one more draw: its difference from the mean has 1 + 1/K times their variance. With
    a variance estimated from K draws the ratio is Student's t with K - 1 degrees of freedom, whose
    variance (K - 1) / (K - 3) is divided out.
    """
    mean, truth, spread = (
        np.array([r[k] for r in rows], float) for k in ("mean", "flux", "spread")
    )
    t = (mean - truth) / np.maximum(spread * np.sqrt(1 + 1 / draws), 1e-12)
    return np.asarray(t * np.sqrt((draws - 3) / (draws - 1)) if draws > 3 else t)


def _class_row(rows: Sequence[Row], draws: int, kind: str, low: float, high: float) -> Row:
    part = [r for r in rows if low <= r["snr"] < high]
    units = [r["field"] for r in part]
    truth, mean, plain, wide = (
        np.array([r[k] for r in part], float) for k in ("flux", "mean", "bicubic", "wide")
    )
    error, known = mean / truth - 1, np.isfinite(plain)
    bias = over_fields(error, units, median)
    wider = over_fields(wide - 1, units, median)
    other = over_fields((plain / truth - 1)[known], list(np.array(units)[known]), median)
    pull = pulls(part, draws)
    return {
        "sources": kind,
        "S/N": f"{low:g}-{high:g}" if np.isfinite(high) else f">{low:g}",
        "n": len(part),
        "bias_%": 100 * bias[0],
        "ci_low": 100 * bias[1],
        "ci_high": 100 * bias[2],
        "scatter_%": 100 * metrics.robust_scatter(error),
        "pull_std": float(pull.std()) if part else float("nan"),
        "pull": metrics.robust_scatter(pull),
        "wide_bias_%": 100 * wider[0],
        "wide_ci_low": 100 * wider[1],
        "wide_ci_high": 100 * wider[2],
        "bicubic_bias_%": 100 * other[0],
        "bicubic_scatter_%": 100 * metrics.robust_scatter((plain / truth - 1)[known]),
        "ok": "yes" if abs(bias[0]) < 0.01 or bias[1] <= 0 <= bias[2] else "no",
    }


def astrometry_table(rows: Sequence[Row], name: str, title: str) -> Table:
    """Scatter of positions about the truth's, of mean and bicubic, along one axis."""
    out = []
    for low, high in CLASSES:
        part = [r for r in rows if low <= r["snr"] < high and "error_y" in r]
        if not part:
            continue
        pairs = {
            key: np.array([r[f"{key}_{axis}"] for axis in "yx" for r in part], float)
            for key in ("error", "bicubic")
        }
        good = np.isfinite(pairs["error"]) & np.isfinite(pairs["bicubic"])
        mean, plain = (metrics.robust_scatter(pairs[k][good]) for k in ("error", "bicubic"))
        label = f"{low:g}-{high:g}" if np.isfinite(high) else f">{low:g}"
        row: Row = {"S/N": label, "n": int(good.sum()) // 2, "mean_px": mean, "bicubic_px": plain}
        out.append(row | {"ok": "yes" if mean <= plain else "no"})
    return Table(name, title, out, ["Robust scatter along one axis, input px."])


def centroid_rows(rows: Sequence[Row], about: Row) -> list[Row]:
    """Median shifts along y and x of sources with S/N > 20, input px, with intervals."""
    out = []
    for what, note in (("shift", "mean - input"), ("error", "mean - truth")):
        for axis in "yx":
            known = [
                r for r in rows if r["snr"] > 20 and np.isfinite(r.get(f"{what}_{axis}", np.nan))
            ]
            if not known:
                continue
            values = np.array([r[f"{what}_{axis}"] for r in known], float)
            units = [str(r.get("field", r.get("image"))) for r in known]
            middle, low, high = over_fields(values, units, median)
            row = {"difference": note, "axis": axis, "n": values.size, "median_px": middle}
            row |= {"ci_low": low, "ci_high": high, "scatter_px": metrics.robust_scatter(values)}
            out.append(about | row | {"ok": "yes" if abs(middle) < 0.02 else "no"})
    return out
