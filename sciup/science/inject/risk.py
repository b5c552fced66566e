"""What the risk maps of a run say at some places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result
from sciup.engine.job import Worker

Array = NDArray[np.float64]


def maps_of(result: Result) -> tuple[str, ...]:
    """Names of the maps: calibrated ones where the model has them for these options."""
    return ("risk", "risk_invented") if result.job.calibrated else ("risk_raw",)


def risk_at(result: Result, places: Array) -> dict[str, Array]:
    """Values (n,) of the maps at the output pixels that hold places (n, 2) in input px."""
    names, s = maps_of(result), result.job.model.scale
    job = replace(result.job, settings=replace(result.job.settings, maps=names))
    at = np.rint((places - np.array(job.region.start) + 0.5) * s - 0.5).astype(np.intp)
    at = np.clip(at, 0, np.array(job.layout.plane_shape) - 1)
    out = {name: np.full(len(places), np.nan) for name in names}
    worker = Worker(job)
    for task in job.tasks():
        here = ((at >= task.box.start) & (at < task.box.stop)).all(1)
        if here.any():
            made = worker.compute(task)
            y, x = (at[here] - np.array(task.box.start)).T
            for name in names:
                out[name][here] = made[name][y, x]
    return out


__all__ = ["maps_of", "risk_at"]
