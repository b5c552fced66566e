"""Risk of a frame, and of one pixel of a window."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciup_napari.cache import Maps
from sciup_napari.lens_state import LensState
from sciup_napari.messages import Core
from sciup_napari.mosaic import Frame
from sciup_napari.readout import Judge, Risk


def stored_risk(
    frame: Frame, windows: list[tuple[Core, Maps]], calibrated: bool, *, both: bool
) -> Risk:
    """Risk as the engine found it; invented and missed only where `both` are shown."""

    def whole(name: str) -> Any:
        return frame.fill(windows, lambda maps: maps.get(name))

    risk = whole("risk" if calibrated else "risk_raw")
    nothing = np.full((1, 1), np.nan, np.float32)
    parts = [whole(n) if both else nothing for n in ("risk_invented", "risk_missed")]
    return Risk(risk, parts[0], parts[1], nothing, certified=calibrated)


def counted_risk(
    frame: Frame,
    windows: list[tuple[Core, Maps]],
    judge: Judge,
    draw: int,
    tolerance: str,
    ordered: str,
) -> Risk:
    """Risk of another draw, or at another tolerance in sigmas."""
    limit = frame.fill(windows, lambda maps: maps["tolerance"])
    if tolerance != ordered:
        limit = limit * np.float32(sigmas(tolerance) / sigmas(ordered))
    snr = frame.fill(windows, lambda maps: maps["snr"])
    strange = frame.fill(windows, lambda maps: maps.get("ood", np.zeros_like(maps["snr"])))
    return judge.risk(frame.draws(windows), draw, limit, tolerance, snr, strange)


def sigmas(tolerance: str) -> float:
    """Number of sigmas of a tolerance."""
    return float(tolerance.removesuffix("sigma"))


def pixel_facts(
    maps: Maps, i: int, j: int, lens: LensState, judge: Judge, tolerance: str, ordered: str
) -> dict[str, Any]:
    """Everything about one output pixel of a window; NaN where a map is missing."""
    rows, cols = (slice(max(k - 1, 0), k + 2) for k in (i, j))
    draws = np.ascontiguousarray(maps["draws"][:, rows, cols])
    with np.errstate(invalid="ignore"):
        means = draws.mean((1, 2))

    def at(name: str) -> float:
        return float(maps[name][i, j]) if name in maps else float("nan")

    scores = maps.get("scores")
    facts = {
        "draws": means,
        "shown": float(means[lens.draw]),
        "tolerance_value": at("tolerance"),
        "tolerance": tolerance.replace("sigma", " sigma of the input noise"),
        "ood": max(at("ood"), 0.0) if "ood" in maps else 0.0,
        "support": at("support"),
        "std": at("std"),
        "snr": at("snr"),
        "chi_squared": None if scores is None else float(scores[0]),
    }
    if lens.draw == 0 and not lens.chosen and tolerance == ordered:  # as the engine found it
        return facts | {
            "risk": at("risk" if "risk" in maps else "risk_raw"),
            "invented": at("risk_invented"),
            "missed": at("risk_missed"),
            "bound": at("risk_bound"),
            "certified": "risk" in maps,
        }
    if not {"tolerance", "snr"} <= set(maps):
        nothing = dict.fromkeys(("risk", "invented", "missed", "bound"), float("nan"))
        return facts | nothing | {"certified": False}
    limit = maps["tolerance"][rows, cols]
    if tolerance != ordered:
        limit = limit * np.float32(sigmas(tolerance) / sigmas(ordered))
    strange = np.full(limit.shape, facts["ood"], np.float32)
    found = judge.risk(draws, lens.draw, limit, tolerance, maps["snr"][rows, cols], strange)
    one = (min(i, 1), min(j, 1))
    return facts | {
        "tolerance_value": float(limit[one]),
        "risk": float(found.risk[one]),
        "invented": float(found.invented[one]),
        "missed": float(found.missed[one]),
        "bound": float("nan") if lens.chosen else float(found.bound[one]),
        "certified": found.certified and not lens.chosen,
    }
