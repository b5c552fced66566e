"""What is there without any source: the sky as the run believed it, or the pedestal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.engine.job import Job
from sciup.engine.units import SkySigmas, working_units
from sciup.geometry import Box
from sciup.image import Plane
from sciup.results.draws import Draws

Array = NDArray[np.float64]


@dataclass
class Level:
    """The level of one plane of the draws.

    Attributes
    ----------
    draws : Draws
    plane : tuple of int
    words : str
        For people: which level this is.
    """

    draws: Draws
    plane: Plane
    words: str = "pedestal of the camera"
    _mesh: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.draws.night_sky:
            return
        job, number = self.draws._job, self.draws.planes.index(self.plane)
        if not isinstance(job, Job):
            self.words = "typical sky, the same everywhere: the input is not there"
            return
        units = working_units(job.image, self.plane, job.model.domain, job.instruments[number])
        self._mesh = units.mesh if isinstance(units, SkySigmas) else None
        self.words = "sky as the run believed it, in blocks of 256 input px"

    def window(self, box: Box) -> Array | float:
        """Level per output pixel of a box of output pixels."""
        if self._mesh is None:
            return self.draws.background(self.plane)
        s = self.draws.scale
        level, _ = self._mesh.fields(box.shifted(self.draws.region.scaled(s).start), s)
        return level / self.draws.flux  # type: ignore[no-any-return]


__all__ = ["Level"]
