"""Everything about one output pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciup_napari.cache import Cache, Maps
from sciup_napari.frame_risk import limit_at
from sciup_napari.lens_state import LensState
from sciup_napari.messages import Opened
from sciup_napari.readout import Judge


def pixel_at(
    world: Any, matrix: Any, facts: Opened, cache: Cache, lens: LensState, judge: Judge
) -> dict[str, Any] | None:
    """What is known at a position in the world; None if no window is there with all its draws.

    Beside `pixel_facts`, ``place`` is its middle (y, x) in pixels of what ``of`` names.

    Parameters
    ----------
    world : sequence of float
        Its last two values are y and x.
    matrix : ndarray (3, 3)
        From output pixels of the plane to the world.
    facts, cache, lens, judge
        Of the live view.
    """
    fine = np.linalg.inv(matrix) @ [*world[-2:], 1.0]
    y, x = (int(v) for v in np.floor(fine[:2] + 0.5))
    height, width = (n * facts.scale for n in facts.plane_shape)
    step = facts.scale * facts.core
    core = (y // step * facts.core, x // step * facts.core)
    maps = cache.get(facts.token, core)
    if maps is None or not cache.has(facts.token, core):
        return None
    if not (0 <= y < height and 0 <= x < width):
        return None
    known = pixel_facts(maps, y % step, x % step, lens, judge, facts.tolerance)
    middle = ((v + 0.5) / facts.scale - 0.5 for v in (y, x))
    return known | {"place": tuple(middle), "of": facts.of}


def pixel_facts(
    maps: Maps, i: int, j: int, lens: LensState, judge: Judge, ordered: str
) -> dict[str, Any]:
    """Everything about one output pixel of a window; NaN where a map is missing.

    Parameters
    ----------
    maps : mapping
        Of the window.
    i, j : int
        Row and column in it.
    lens, judge
        How it is looked at.
    ordered : str
        The tolerance for which the engine found the risk.
    """
    near = tuple(slice(max(k - 1, 0), k + 2) for k in (i, j))
    draws = np.ascontiguousarray(maps["draws"][:, *near])
    tolerance = lens.tolerance_or(ordered)

    def at(name: str) -> float:
        return float(maps[name][i, j]) if name in maps else float("nan")

    with np.errstate(invalid="ignore"):
        means = draws.mean((1, 2))
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
    if lens.show == "mean" and tolerance == ordered and "risk_mean" in maps:
        unknown = dict.fromkeys(("invented", "missed", "bound"), float("nan"))
        mean = float(maps["mean"][near].mean())
        known = {"risk": at("risk_mean"), "shown": mean, "certified": True, "of_mean": True}
        return facts | unknown | known
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
    limit = limit_at(maps["tolerance"][near], tolerance, ordered)
    strange = np.full(limit.shape, facts["ood"], np.float32)
    found = judge.risk(draws, lens.draw, limit, tolerance, maps["snr"][near], strange)
    one = (min(i, 1), min(j, 1))
    return facts | {
        "tolerance_value": float(limit[one]),
        "risk": float(found.risk[one]),
        "invented": float(found.invented[one]),
        "missed": float(found.missed[one]),
        "bound": float("nan") if lens.chosen else float(found.bound[one]),
        "certified": found.certified and not lens.chosen,
    }
