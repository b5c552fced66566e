"""What is asked, checked."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sciup.errors import OptionError
from sciup.explorer.flux import TURNS, Aperture
from sciup.explorer.goals import GOALS
from sciup.explorer.search import REACH

STEPS = 100
ANSWERS = 4
MOST_ANSWERS = 32


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes
    ----------
    goal : str
        One of `GOALS`.
    answers : int
        Images to look for; two for a flux and for one-or-two, which have two ends.
    aperture : Aperture
        Of the flux; its place is that of the object of one-or-two.
    sketch : ndarray (s h, s w), optional
        A drawing of the region, in any unit.
    steps : int
        Evaluations of every search.
    reach : float
        See `sciup.explorer.search.search`.
    """

    goal: str
    answers: int = ANSWERS
    aperture: Aperture = field(default_factory=Aperture)
    sketch: NDArray[np.float32] | None = None
    steps: int = STEPS
    reach: float = REACH

    def __post_init__(self) -> None:
        if self.goal not in GOALS:
            raise OptionError(f"--goal {self.goal!r}", ", ".join(GOALS))
        least = 2 if self.goal == "distinct" else 1
        if not least <= self.answers <= MOST_ANSWERS:
            raise OptionError(f"--answers {self.answers}", f"{least} to {MOST_ANSWERS}")
        if not 1 <= self.steps <= 10_000:
            raise OptionError(f"--steps {self.steps}", "1 to 10000")
        if not 0.1 <= self.reach <= 1000:
            raise OptionError(f"--reach {self.reach:g}", "0.1 to 1000 standard deviations")
        self._check_place()

    def _check_place(self) -> None:
        at, radius = self.aperture.at, self.aperture.radius
        if radius is not None and not (np.isfinite(radius) and radius > 0):
            raise OptionError(f"--radius {radius:g}", "a number of input px above 0")
        if self.goal in ("brightest", "faintest") and (at is None) != (radius is None):
            raise OptionError(
                "of --at and --radius only one was given", "both, or none for the whole region"
            )
        if self.goal == "one-or-two" and at is None:
            raise OptionError("--goal one-or-two needs a place", fix="give --at Y,X in input px")
        if (self.goal == "sketch") != (self.sketch is not None):
            raise OptionError(
                "--goal sketch and --sketch FILE belong together", fix="give both or none"
            )

    def work(self) -> int:
        """Evaluations that one region takes, at most."""
        if self.goal in ("brightest", "faintest"):
            return 1 + 2 * TURNS + self.steps
        return self.steps * (2 if self.goal == "one-or-two" else 1)


__all__ = ["ANSWERS", "MOST_ANSWERS", "STEPS", "Question"]
