"""Scores of one case: what an estimate is worth, and how honest its draws are.

Names that begin with ``p_`` are of perturbed draws: they have noise of the truth's own level, so
that they do not look too sure where only the truth's noise separates them from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sciup.evaluate import ensembles, metrics, pyramid, spectra
from sciup.evaluate.fluorescence.protocol import RIM, Case, reference

Array = NDArray[np.float64]

BLOCKS = (1, 4, 16, 64)
LEAST_BLOCKS = 3
"""Fewer blocks per side than this say nothing about their size."""
TOLERANCE = 0.05
LEVELS = (50, 80, 90)
"""Per cent of the central intervals."""
FREQUENCIES = np.linspace(0.0125, 0.5, 40)
"""Of the curves, cycles per pixel."""


@dataclass(frozen=True)
class Estimate:
    """Draws of a case; one draw is a plain image.

    Attributes
    ----------
    linear, stretched : ndarray (P, h, w)
        On the grid of the truth, in its units and in those of the scores.
    linear_mean, stretched_mean : ndarray (h, w)
        What is offered as their mean.
    """

    linear: Array
    stretched: Array
    linear_mean: Array
    stretched_mean: Array

    @classmethod
    def of(cls, case: Case, draws: Array, mean: Array | None = None) -> Estimate:
        """From draws (P, s h, s w) in the units of the input, and their mean unless it is plain."""
        every = draws if mean is None else np.concatenate([draws, mean[None]])
        linear = matched(case, metrics.block_mean(every.astype(float), case.bins), len(draws))
        return cls._split(linear, case.light.forward(linear), len(draws))

    @classmethod
    def _split(cls, linear: Array, stretched: Array, count: int) -> Estimate:
        """From `count` draws and perhaps their mean behind them."""
        pairs = [
            (x[:count], x[count] if len(x) > count else x.mean(0)) for x in (linear, stretched)
        ]
        return cls(pairs[0][0], pairs[1][0], pairs[0][1], pairs[1][1])

    @classmethod
    def of_stretched(cls, case: Case, draws: Array) -> Estimate:
        """From draws in the units of scores, which stay as they are where nothing is fitted."""
        if case.matched or case.bins > 1:
            return cls.of(case, case.light.inverse(draws))
        return cls._split(case.light.inverse(draws), draws, len(draws))


def matched(case: Case, draws: Array, count: int) -> Array:
    """After the line that fits the mean of `count` draws to the truth, where the case wants it."""
    if not case.matched:
        return draws
    x, y = (v[RIM:-RIM, RIM:-RIM].ravel() for v in (draws[:count].mean(0), case.truth))
    slope, offset = np.polyfit(x, y, 1)
    return np.asarray(slope * draws + offset)


@dataclass
class Scored:
    """Numbers and curves of one estimate of one case, by name."""

    numbers: dict[str, float] = field(default_factory=dict)
    curves: dict[str, Array] = field(default_factory=dict)


def score(estimate: Estimate, case: Case, seed: int = 0) -> Scored:
    """All scores of an estimate.

    Parameters
    ----------
    estimate : Estimate
    case : Case
    seed : int
        Of the noise that draws are given.

    Returns
    -------
    Scored
        Numbers: see `GLOSSARY`.
    """
    inner = np.s_[..., RIM:-RIM, RIM:-RIM]
    base = Estimate.of_stretched(case, reference(case)[None])
    d, b = (np.ascontiguousarray(e.stretched[inner]) for e in (estimate, base))
    m, mean = estimate.stretched_mean[inner], estimate.linear_mean[inner]
    t = np.ascontiguousarray(case.light.forward(case.truth)[inner])
    linear, truth = estimate.linear[inner], case.truth[inner]
    out = Scored()
    out.numbers |= _quality(d, m, t, b[0])
    background = case.light.values(np.array(case.light.background))
    out.numbers["flux"] = metrics.flux_ratio(mean, truth, float(background))
    noise = case.noise
    _spectra(out, noise, linear, mean, truth, base.linear[0][inner])
    if len(d) > 1:
        p = ensembles.perturbed(linear, noise, [seed, 0xE5])
        _honesty(out, d, case.light.forward(p), t)
        _patterns(out, case, d, t)
    return out


def _quality(d: Array, mean: Array, t: Array, b: Array) -> dict[str, float]:
    """Scores of the reference protocol, and of plain images."""

    def gain(x: Array) -> float:
        return 10 * float(np.log10(metrics.mse(b, t) / metrics.mse(x, t)))

    gains = {"gain_mean": mean, "gain_average": d.mean(0), "gain_draw": d[0]}
    out = {name: gain(x) for name, x in gains.items()} | {"crps": metrics.crps(d, t)}
    functions: dict[str, Callable[[Array, Array, int], float]] = {
        "skill": metrics.spread_skill,
        "cover": metrics.range_coverage,
    }
    for block in BLOCKS[:3]:
        out |= {f"{name}{block}": function(d, t, block) for name, function in functions.items()}
    out["ece"] = metrics.vote_error(d, t, TOLERANCE)
    out |= {"ssim": metrics.ssim(mean, t), "ssim_draw": metrics.ssim(d[0], t)}
    return out | {"nrmse": metrics.nrmse_affine(mean, t)}


def _spectra(
    out: Scored, noise: float, linear: Array, mean: Array, truth: Array, base: Array
) -> None:
    """Spectra and Fourier ring correlations, in the units of the image; `noise` of the truth."""
    out.numbers["frc"] = metrics.frc_resolution(*metrics.frc(linear[0], truth))
    out.numbers["lsd_mean"] = spectra.log_spectral_distance(mean, truth, noise)
    out.numbers["pyramid_mean"] = pyramid.pyramid_distance(mean, truth, noise)
    images = {"mean": mean}
    if len(linear) > 1:
        out.numbers["pyramid_draw"] = pyramid.pyramid_distance(linear[0], truth, noise)
        out.numbers["lsd_draw"] = spectra.log_spectral_distance(linear[0], truth, noise)
        images |= {"draw": linear[0], "bicubic": base, "truth": truth}
        pairs = {"draw, draw": (linear[0], linear[1]), "draw, truth": (linear[0], truth)}
        pairs |= {"mean, truth": (mean, truth), "bicubic, truth": (base, truth)}
        for name, (first, second) in pairs.items():
            out.curves[f"frc {name}"] = _curve(*metrics.frc(first, second))
        scale = truth.var() or 1.0
        for name, image in images.items():
            out.curves[f"power {name}"] = np.log10(_curve(*spectra.ring_power(image / scale**0.5)))
        level = np.log10(max(noise**2 / scale, 1e-12))
        out.curves["power noise of the truth"] = np.full(len(FREQUENCIES), level)


def _curve(frequency: Array, values: Array) -> Array:
    """Values on the common frequencies."""
    return np.interp(FREQUENCIES, frequency, values)


def _honesty(out: Scored, d: Array, p: Array, t: Array) -> None:
    """Scores of perturbed draws; d without and p with the noise of the truth."""
    n = out.numbers
    n["p_crps"], n["p_energy"] = metrics.crps(p, t), ensembles.energy_score(p, t)
    for block in BLOCKS:
        if min(t.shape) < LEAST_BLOCKS * block:
            continue
        n[f"p_spread{block}"], n[f"p_error{block}"] = ensembles.spread_and_error(p, t, block)
        n[f"p_skill{block}"] = float(np.sqrt(n[f"p_spread{block}"] / n[f"p_error{block}"]))
        n[f"p_cover{block}"] = metrics.range_coverage(p, t, block)
        out.curves[f"rank {block}"] = ensembles.rank_histogram(p, t, block)
    ordered = np.sort(p, axis=0)
    for level in LEVELS:
        low, high = ensembles.interval(ordered, level / 100)
        n[f"p_inside{level}"] = float(((low <= t) & (t <= high)).mean())
        n[f"p_length{level}"] = float((high - low).mean())
    said, wrong = ensembles.votes(d[0], p[1:], t, TOLERANCE)
    out.curves["reliability"] = table = ensembles.reliability(said, wrong)
    n["p_ece"], n["wrong"] = ensembles.calibration_error(table), float(wrong.mean())
    n["brier"], n["auroc"] = ensembles.brier(said, wrong), ensembles.auroc(said, wrong)
    n["ause"] = ensembles.ause(d.std(0, ddof=1), d.mean(0) - t)


def _patterns(out: Scored, case: Case, d: Array, t: Array) -> None:
    """Imprint of the upsampling grid on spread, a draw and, to compare, the truth."""
    images = {"std": d.std(0, ddof=1), "draw": d[0], "truth": t}
    for name, image in images.items():
        found = spectra.imprint(image, case.scale // case.bins)
        out.numbers |= {f"imprint_{name} {key}": value for key, value in found.items()}
        if found:
            out.numbers[f"imprint_{name}"] = float(np.mean(list(found.values())))


GLOSSARY = [
    "gain_mean, gain_draw: dB over bicubic in Anscombe units, of the map `mean` and of one draw; "
    "gain_average: of the average of the draws, as in the reference protocol. crps: fair; for a "
    "single image the mean absolute error. skillB, coverB: spread/skill and range coverage of "
    "means over B x B px, 1 is right. ece: of the raw vote of draw 0.",
    "p_: of draws with fresh noise of the truth's own level (robust_noise). p_skillB: root of the "
    "ratio of the variances and squared errors summed over images. p_insideL, p_lengthL: share of "
    "pixels in the central L % interval and its mean length. energy: of 12 px patches.",
    "brier, auroc: of the raw vote at tolerance 0.05; wrong: how often it happens. ause: area "
    "between sparsification curves over the rms error. frc: px at which draw and truth cease to "
    "correlate (1/7). lsd: log-spectral distance to the truth, dB, where its power is above 3 x "
    "its noise. pyramid: distance of the statistics of a steerable pyramid. flux: total over "
    "that of the truth, above background.",
    "keypoints: F1 of spots, nuclei, forks and ends of filaments within half an input pixel of the "
    "truth's, by one detector in the mean and in a draw, and in the sampler's own heatmaps.",
    "imprint: power at the multiples of 1/scale over what neighbouring frequencies let expect, "
    "geometric means; 1 is clean. Intervals: 95 %, bootstrap over units. 'mean of sets': every "
    "set weighs the same.",
]
