"""Tables for night-sky samplers on simulated fields, where the truth is known.

Rows of the tables ``sky_sources_*`` (fluxes of every source, for plots of pulls) and
``sky_candidates`` (P(exists) and whether it does, for plots of reliability) are the data of plots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result
from sciup.evaluate import metrics, spectra
from sciup.evaluate.baselines import bicubic
from sciup.evaluate.draws import Drawn, blur, draw_samples, measurement, predict
from sciup.evaluate.intervals import ratio
from sciup.evaluate.sky import detect, plots, progressive
from sciup.evaluate.sky.fields import DRAWS, SHAPES, Field, Told, fields, run_field
from sciup.evaluate.sky.photometry import total_flux
from sciup.evaluate.sky.sources import (
    astrometry_table,
    centroid_rows,
    measure_sources,
    photometry_table,
)
from sciup.evaluate.tables import Table
from sciup.generators.registry import ModelFacts
from sciup.stretch import AsinhStretch

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
Row = dict[str, Any]

BLOCKS = (1, 4, 16, 64)
OTHERS = 4
WORDS: dict[Told, str] = {"all": "known", "width": "width given", "nothing": "estimated"}


def score_field(field: Field, drawn: Drawn, result: Result) -> Row:
    """Image scores of a field, in units of the sky noise of an input pixel."""
    s = result.job.model.scale
    rim = np.s_[..., 4 * s : -4 * s, 4 * s : -4 * s]
    linear = drawn.samples[rim] * s**2, field.truth[rim] * s**2
    curve = AsinhStretch()
    curved = curve.forward(linear[0]), curve.forward(linear[1])
    base = curve.forward(bicubic(field.observed.astype(float), s)[rim])
    out: Row = {"field": field.name, "psf": field.shape, "fwhm": field.fwhm}
    plain = metrics.mse(base, curved[1])
    mean = curve.forward(drawn.mean[rim] * s**2)
    out["gain_mean"] = 10 * np.log10(plain / metrics.mse(mean, curved[1]))
    out["gain_draw"] = 10 * np.log10(plain / metrics.mse(curved[0][0], curved[1]))
    out["crps"] = metrics.crps(*curved)
    for name, pair in (("asinh", curved), ("linear", linear)):
        for block in BLOCKS:
            q, u = (metrics.block_mean(x, block) for x in pair)
            out[f"variance{block}_{name}"] = float(q.var(0, ddof=1).mean()) * (1 + 1 / len(q))
            out[f"error{block}_{name}"] = metrics.mse(q.mean(0), u)
            out[f"cover{block}_{name}"] = metrics.range_coverage(pair[0], pair[1], block)
    out |= _residuals(field, drawn.mean, result)
    for name, image in (("std", curved[0].std(0)), ("sample", curved[0][0]), ("truth", curved[1])):
        out |= {f"imprint_{name} {k}": v for k, v in spectra.imprint(image, s).items()}
    return out


def _residuals(field: Field, mean: Array, result: Result) -> Row:
    """Chi-squared of the mean, with the instrument believed in and the real one; total flux."""
    seen, s = measurement(result), result.job.model.scale
    inner = np.s_[8:-8, 8:-8]
    exact = metrics.block_mean(blur(mean, field.kernel), s) * s**2
    out: Row = {}
    for name, model in (("chi2", predict(result, mean)), ("chi2_true", exact)):
        out[name] = metrics.chi2((seen.values - model)[inner], seen.sigma[inner])
    return out | total_flux(seen.values, mean, seen.sigma)


def evaluate(
    model: ModelFacts,
    data: Path | None,
    *,
    scenes: Path | None = None,
    count: int = 60,
    every: int = 1,
    told: Sequence[Told] = ("all", "width", "nothing"),
    precision: str = "auto",
    seed: int = 0,
    role: str = "test",
    progress: Progress = lambda _done, _all: None,
) -> tuple[list[Table], dict[str, Any]]:
    """Photometry, positions, detections and honesty of the draws on simulated fields.

    Parameters
    ----------
    model : ModelFacts
        A night-sky model.
    data, scenes, count, every, role
        See `fields`.
    told : sequence of str
        What the runs are told of the instrument; the first is for all fields and detections, the
        others for every `OTHERS`-th field.
    precision, seed
        See `sciup.upscale`.
    progress : callable
        Gets the number of fields done and of all.

    Returns
    -------
    tables : list of Table
    figures : dict of str to matplotlib Figure
        By file name.
    """
    scored: list[Row] = []
    found: tuple[list[Row], list[Row], list[Row]] = ([], [], [])
    rows: dict[Told, list[Row]] = {k: [] for k in told}
    shown: list[tuple[Field, Array]] = []
    beside = progressive.Comparison(model, precision, seed)
    total = -(-count // every)
    chosen = fields(model, data, scenes, count=count, every=every, role=role)
    for done, field in enumerate(chosen):
        progress(done, total)
        for k in told if done % OTHERS == 0 else told[:1]:
            result = run_field(field, model, k, precision=precision, seed=seed)
            drawn = draw_samples(result, DRAWS)
            draws = drawn.samples
            rows[k] += measure_sources(field, draws, model)
            scored.append({"instrument": WORDS[k]} | score_field(field, drawn, result))
            if k == told[0]:
                candidates, sources, invented = detect.detect(field, draws, model)
                found[0].extend(candidates)
                found[1].extend(sources)
                found[2].append(invented)
                if len(shown) < plots.SHOWN:
                    shown.append((field, draws))
                if model.architecture == "progressive":
                    beside.add(field, drawn)
    progress(total, total)
    about = f"simulated fields, {model.name} (weights {model.weights[:12]}), {DRAWS} draws"
    tables = [*_source_tables(rows, about), *_detection_tables(found, about), *_scores(scored)]
    figures = {"sky_sheet": plots.sheet(shown, model.scale)} | plots.figures(tables)
    return beside.tables(about) + tables, figures | beside.figures()


def _source_tables(rows: dict[Told, list[Row]], about: str) -> list[Table]:
    tables, centres = [], []
    for k, part in rows.items():
        word = WORDS[k].replace(" ", "_")
        about_k = f"{about}, instrument {WORDS[k]}"
        title = f"Aperture photometry of isolated sources, {about_k}."
        tables.append(photometry_table(part, DRAWS, f"sky_photometry_{word}", title))
        title = f"Positions against the truth's, {about_k}."
        tables.append(astrometry_table(part, f"sky_astrometry_{word}", title))
        tables.append(Table(f"sky_sources_{word}", f"Every isolated source, {about_k}.", part))
        centres += centroid_rows(part, {"fields": "simulated", "instrument": WORDS[k]})
    title = "Positions of isolated sources with S/N > 20, input px."
    return [*tables, Table("sky_centroids", title, centres)]


def _detection_tables(found: tuple[list[Row], list[Row], list[Row]], about: str) -> list[Table]:
    candidates, sources, invented = found
    return [
        detect.reliability_table(candidates, "sky_existence", f"P(exists), {about}."),
        detect.completeness_table(
            candidates, sources, "sky_completeness", f"Completeness and purity, {about}."
        ),
        detect.false_table(invented, "sky_false", f"Invented sources, {about}."),
        Table("sky_candidates", f"Every candidate, {about}.", candidates),
    ]


def _scores(rows: Sequence[Row]) -> list[Table]:
    """Means over fields by instrument and PSF, and the rows of all fields."""
    out = []
    for instrument in dict.fromkeys(r["instrument"] for r in rows):
        for shape in ("all", *SHAPES):
            part = [r for r in rows if r["instrument"] == instrument and shape in ("all", r["psf"])]
            if part:
                out.append({"instrument": instrument, "psf": shape} | _score_row(part))
    notes = [
        "skill: spread of the draws over the error of their mean, of block means, over all fields. "
        "flux_ok: fields whose total of mean is within 0.5 % or 2 sigma of the input's. chi2: of "
        "input minus A mean with the instrument believed in, chi2_true with the real one. imprint: "
        "power at the frequencies of the input grid over that near them, the largest; 1 is none."
    ]
    title = "Scores of draws on simulated fields, in asinh units (knee 3 sigma) and linear flux."
    return [
        Table("sky_scores", title, out, notes),
        Table("sky_fields", "Every simulated field.", rows),
    ]


def _score_row(part: Sequence[Row]) -> Row:
    units = [r["field"] for r in part]
    good = [abs(r["flux_difference"]) < 0.005 or abs(r["flux_sigmas"]) < 2 for r in part]
    keys = ["gain_mean", "gain_draw", "crps", "chi2", "chi2_true"]
    row: Row = {"fields": len(part)} | metrics.mean_of(list(part), keys)
    for name in ("asinh", "linear"):
        for block in BLOCKS:
            sums = [[r[f"{what}{block}_{name}"] for r in part] for what in ("variance", "error")]
            skill = ratio(sums[0], sums[1], units).mapped(np.sqrt)
            row[f"skill{block}_{name}"] = skill.value
            row[f"cover{block}_{name}"] = metrics.mean_of(list(part), [f"cover{block}_{name}"])[
                f"cover{block}_{name}"
            ]
    for name in ("std", "sample", "truth"):
        found = [k for k in part[0] if k.startswith(f"imprint_{name} ")]
        powers = [np.exp(np.mean([r[k] for r in part])) for k in found]
        row[f"imprint_{name}"] = float(max(powers, default=np.nan))
    return row | {"flux_ok": f"{sum(good)}/{len(good)}"}
