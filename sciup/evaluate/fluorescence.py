"""Tables for fluorescence samplers: the reference protocol, with baselines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import upscale
from sciup.evaluate import baselines
from sciup.evaluate.draws import draw_samples, measurement, predict
from sciup.evaluate.metrics import chi2, mean_of
from sciup.evaluate.protocol import READ_NOISE, Case, Condition, cases, listed, scores
from sciup.evaluate.tables import Table
from sciup.generators.registry import ModelFacts
from sciup.physics.projection import kernel_side
from sciup.physics.psf import relative_gaussian

Array = NDArray[np.float64]
Method = Callable[[Case], dict[str, float]]

DRAWS = 8
CONDITIONS = ("2:200", "4:200", "4:1000")
TUNED = {(2, 200): (2, 10.0), (4, 200): (5, 10.0), (4, 1000): (10, 2.0)}
"""Iterations of Richardson-Lucy and balance of Wiener by (sigma, peak): the best gains of 2, 3, 5,
10, 20 iterations and of 0.1, 0.5, 2, 10, 50, 250 on images of the training split."""


def _sampler(model: ModelFacts, known: bool, precision: str, seed: int) -> Method:
    """The sampler with the instrument known, or with only its PSF known."""

    def run(case: Case) -> dict[str, float]:
        condition = case.condition
        # the protocol's blur is relative to its truth; the engine wants the total
        total = float(np.hypot(condition.fwhm, model.target_fwhm / model.scale))
        facts: dict[str, Any] = (
            {"gain": 1.0, "read_noise": READ_NOISE, "background": 0.0} if known else {}
        )
        result = upscale(
            case.observed,
            model=model.folder,
            samples=DRAWS - 1,
            psf_fwhm=total,
            precision=precision,
            seed=seed,
            **facts,
        )
        draws = draw_samples(result, DRAWS)
        seen = measurement(result)
        rim = np.s_[4:-4, 4:-4]
        residual = (seen.values - predict(result, draws.mean(0)))[rim]
        return scores(draws, case) | {"chi2": chi2(residual, seen.sigma[rim])}

    return run


def _plain(method: Callable[[Array, int], Array]) -> Method:
    """An interpolation, in stretched units like the reference."""

    def run(case: Case) -> dict[str, float]:
        condition = case.condition
        fine = method(condition.forward(case.observed.astype(float)), condition.scale)
        return scores(fine[None], case, stretched=True)

    return run


def _deconvolved(which: int) -> Method:
    """A deconvolution of electrons with the known kernel."""

    def run(case: Case) -> dict[str, float]:
        condition = case.condition
        s = condition.scale
        kernel = relative_gaussian(kernel_side(s), condition.fwhm * s, 0.0)
        iterations, balance = TUNED.get((int(condition.sigma), int(condition.peak)), (5, 5.0))
        y = case.observed.astype(float)
        if which == 0:
            fine = baselines.richardson_lucy(y, s, kernel, iterations)
        else:
            fine = baselines.wiener(y, s, kernel, balance)
        return scores(fine[None], case)

    return run


def methods(model: ModelFacts, precision: str = "auto", seed: int = 0) -> dict[str, Method]:
    """Everything that is compared, by name."""
    return {
        f"{model.name}, instrument known": _sampler(model, True, precision, seed),
        f"{model.name}, instrument estimated": _sampler(model, False, precision, seed),
        "nearest": _plain(baselines.nearest),
        "bicubic": _plain(baselines.bicubic),
        "lanczos": _plain(baselines.lanczos),
        "bicubic + Richardson-Lucy": _deconvolved(0),
        "bicubic + Wiener": _deconvolved(1),
    }


def evaluate(
    model: ModelFacts,
    data: Path,
    *,
    conditions: Sequence[Condition],
    split: str = "test",
    every: int = 1,
    precision: str = "auto",
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[Table]:
    """Run the protocol.

    Parameters
    ----------
    model : ModelFacts
        A fluorescence model.
    data : Path
        Folder with ``MANIFEST.tsv`` and ``SPLIT/DATASET/NAME.tif``.
    conditions : sequence of Condition
        Blur and peak signal.
    split : str
        ``test`` to report; anything else to develop.
    every : int
        Take every n-th image.
    precision, seed
        See `sciup.upscale`.
    progress : callable
        Gets the number of cases done and of all.

    Returns
    -------
    list of Table
        ``fluorescence``: means over data sets and over all images; ``fluorescence_images``: every
        score of every image.
    """
    total = len(conditions) * len(listed(data, split, every))
    rows: list[dict[str, Any]] = []
    done = 0
    for condition in conditions:
        for case in cases(data, condition, split=split, every=every):
            for name, method in methods(model, precision, seed).items():
                start = time.perf_counter()
                found = method(case)
                about: dict[str, Any] = {
                    "condition": str(condition),
                    "method": name,
                    "set": case.dataset,
                    "image": case.name,
                }
                rows.append(about | found | {"seconds": time.perf_counter() - start})
            done += 1
            progress(done, total)
    progress(total, total)
    return [_summary(rows, model, split), Table("fluorescence_images", "Every image.", rows)]


def _summary(rows: Sequence[dict[str, Any]], model: ModelFacts, split: str) -> Table:
    """Means over the images of each data set and over all images."""
    keys = list(dict.fromkeys(k for r in rows for k in r if isinstance(r[k], float)))
    out = []
    for condition in _unique(r["condition"] for r in rows):
        for name in ["all", *sorted(_unique(r["set"] for r in rows))]:
            for method in _unique(r["method"] for r in rows):
                part = [
                    r
                    for r in rows
                    if (r["condition"], r["method"]) == (condition, method)
                    and name in ("all", r["set"])
                ]
                if part:
                    about = {"condition": condition, "set": name, "method": method}
                    out.append(about | {"images": len(part)} | mean_of(part, keys))
    return Table(
        "fluorescence",
        f"Reference protocol, {model.name} (weights {model.weights[:12]}), {split} images, "
        f"{DRAWS} draws.",
        out,
        [
            "gain_mean, gain_draw: dB over bicubic in Anscombe units, of the mean and of one draw. "
            "crps: fair, for a single image the mean absolute error. skillB, coverB: spread/skill "
            "and range coverage of means over B x B px, 1 is right. ece: of the raw vote. frc: px "
            "at which draw 0 and truth cease to correlate (1/7). chi2: of input minus A mean.",
        ],
    )


def _unique(values: Iterable[object]) -> list[str]:
    return list(dict.fromkeys(str(v) for v in values))
