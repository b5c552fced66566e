"""Risk of a frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciup_napari.cache import Maps
from sciup_napari.messages import Core
from sciup_napari.mosaic import Frame
from sciup_napari.readout import Judge, Risk

MEAN = "risk_mean"


def has_risk_of_mean(windows: list[tuple[Core, Maps]]) -> bool:
    """Whether the engine found the risk of the mean in all windows."""
    return all(MEAN in maps for _, maps in windows)


def risk_of_mean(frame: Frame, windows: list[tuple[Core, Maps]]) -> Risk:
    """Risk of the mean as the engine found it, which is calibrated or not there."""
    nothing = np.full((1, 1), np.nan, np.float32)
    risk = frame.fill(windows, lambda maps: maps[MEAN])
    return Risk(risk, nothing, nothing, nothing, certified=True, of_mean=True)


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
    limit = limit_at(frame.fill(windows, lambda maps: maps["tolerance"]), tolerance, ordered)
    snr = frame.fill(windows, lambda maps: maps["snr"])
    strange = frame.fill(windows, lambda maps: maps.get("ood", np.zeros_like(maps["snr"])))
    return judge.risk(frame.draws(windows), draw, limit, tolerance, snr, strange)


def limit_at(limit: Any, tolerance: str, ordered: str) -> Any:
    """The map of an ordered tolerance, at another one."""
    if tolerance == ordered:
        return limit
    new, old = (float(words.removesuffix("sigma")) for words in (tolerance, ordered))
    return limit * np.float32(new / old)
