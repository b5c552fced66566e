"""What makes windows, in the child process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sciup_napari.messages import QUICK, Core

FIRST_DRAWS = 3
"""Draws of the windows in the middle, before all draws of any window."""


class Windows(Protocol):
    """What makes windows: the engine, or a stored result."""

    @property
    def threads(self) -> int:
        """Windows that are made at a time."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call a function in one of its threads."""

    def make(self, core: Core) -> dict[str, Any]:
        """All maps of a window, and ``draws``."""

    def quick(self, core: Core) -> dict[str, Any] | None:
        """A few draws of a window and their mean; None if all are as quick."""


@dataclass(frozen=True)
class Computed:
    """Windows that the engine computes."""

    worker: Any  # sciup.engine.job.Worker
    sampler: Any  # sciup.engine.block.PlaneSampler

    @property
    def threads(self) -> int:
        """As many as the engine has."""
        return int(self.worker.threads)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call a function in the engine's threads."""
        future: Future[Any] = self.worker.submit(function, *arguments)
        return future

    def tile(self, core: Core) -> Any:
        """The window of a core."""
        from sciup.engine.margins import CORE
        from sciup.geometry import Box

        (tile,) = self.worker.tiles(Box(core, (core[0] + CORE, core[1] + CORE)))
        return tile

    def quick(self, core: Core) -> dict[str, Any]:
        """The first draws, and their mean."""
        found = self.sampler.maps(self.tile(core), range(FIRST_DRAWS))
        draws = np.stack([found[f"sample_{k}"] for k in range(FIRST_DRAWS)])
        return {QUICK: True, "draws": draws, "mean": draws.mean(0)}

    def make(self, core: Core) -> dict[str, Any]:
        """All maps of one window and its strangeness."""
        maps: dict[str, Any] = self.sampler.maps(self.tile(core))
        draws = [maps.pop(f"samples_{k}") for k in range(self.sampler.settings.samples + 1)]
        del maps["sample"]  # the first of the draws
        return maps | {"draws": np.stack(draws)}


def computed(job: Any) -> Computed:
    """Load the network for a job."""
    from sciup.engine.job import Worker

    worker = Worker(job)
    return Computed(worker, worker.sampler(0, next(job.image.planes)))
