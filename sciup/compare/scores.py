"""What can be said of a picture, with and without the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.compare.methods import Entry
from sciup.compare.seen import Seen
from sciup.evaluate import metrics, spectra
from sciup.evaluate.draws import predict
from sciup.train.data import robust_noise

Array = NDArray[np.float64]
Row = dict[str, Any]

RIM = 4
"""Input px along the edges that scores leave out: beyond them nothing is known."""

NOTES = (
    "chi2: mean square of (input - A x) / sigma, with the PSF and noise that are believed; 1 agrees"
    " with the data, much less repeats their noise. flux: total of A x above background over the"
    " input's. Both leave out pixels to which a masked pixel or the edge could have given light.",
    "psnr: the peak is the range of the truth. lsd: log-spectral distance to the truth in dB, where"
    " its power is above 3 x its noise. frc: px at which picture and truth stop correlating (1/7).",
    "kind: what a picture is. An illustration was made to look measured, and nothing says how wrong"
    " it is; what is possible, not probable was searched for, and is no draw; rejected: the"
    " search found nothing that agrees with them (sciup explore says why). moved_sigma: how far the"
    " noise of a draw was moved for it.",
)


def score(entry: Entry, seen: Seen, truth: Array | None) -> Row:
    """One row of the table; `truth` (s h, s w) in output units."""
    rim = np.s_[RIM:-RIM, RIM:-RIM]
    m, predicted = seen.measured, predict(seen.result, entry.values)
    known = seen.unspoilt[rim]
    y, back, model = (x[rim][known] for x in (m.values, m.level, predicted))
    row: Row = {
        "method": entry.method,
        "kind": entry.kind,
        "chi2": metrics.chi2(y - model, m.sigma[rim][known]),
        "flux": _ratio(model - back, y - back),
    }
    if truth is not None:
        row |= against(entry.values, truth, seen.scale)
    if entry.moved_sigma is not None:
        row["moved_sigma"] = entry.moved_sigma
    return row | {"seconds": entry.seconds, "settings": entry.settings}


def _ratio(above: Array, below: Array) -> float:
    return float(above.sum() / below.sum()) if above.size else float("nan")


def against(values: Array, truth: Array, scale: int) -> Row:
    """Scores against the truth, away from the edges; masked pixels count as right."""
    edge = RIM * scale
    rim = np.s_[edge:-edge, edge:-edge]
    t, v = truth[rim], values[rim]
    t = np.where(np.isfinite(t), t, np.nanmedian(t))
    v = np.where(np.isfinite(v), v, t)
    span = float(np.ptp(t)) or 1.0
    return {
        "psnr": metrics.psnr(v, t, span),
        "ssim": metrics.ssim(v, t, span),
        "nrmse": metrics.nrmse_affine(v, t),
        "lsd": spectra.log_spectral_distance(v, t, robust_noise(t)),
        "frc": metrics.frc_resolution(*metrics.frc(v, t)),
    }
