"""What can be compared as well: other models, one model after another, the explorer's answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sciup.api import Result
from sciup.compare.methods import MEAN, SAMPLE, Entry
from sciup.compare.seen import Seen
from sciup.errors import InputError
from sciup.evaluate.draws import draw_samples, draw_texture
from sciup.explorer.question import STEPS, Question
from sciup.generators.facts import ModelFacts, TextureFacts

Again = Callable[..., Result]
"""The same region with the same options by another model; takes those of `sciup.upscale`."""

ILLUSTRATION = "illustration"
POSSIBLE = "possible, not probable"
REJECTED = "rejected by the data"

EXPLORE = "explore:"
GOALS = ("brightest", "faintest", "farthest")
"""Goals whose answer is one picture, and which need no place and no drawing."""


class Other(Protocol):
    """A method beyond the usual ones."""

    @property
    def name(self) -> str:
        """As it is shown."""

    def entries(self, seen: Seen, again: Again) -> list[Entry]:
        """What it makes of the region."""


@dataclass(frozen=True)
class Texture:
    """The one picture of a texture model, on the sampler that it stands on."""

    facts: TextureFacts
    sampler: Path

    @property
    def name(self) -> str:
        """Of the model."""
        return self.facts.name

    def entries(self, seen: Seen, again: Again) -> list[Entry]:
        """An illustration: made to look measured, not to be measured on."""
        began = time.perf_counter()
        values = draw_texture(again(model=self.sampler, scale=None, texture=self.facts.folder))
        words = f"on {self.facts.sampler}, do not measure on it"
        return [Entry(self.name, values, time.perf_counter() - began, words, ILLUSTRATION)]


@dataclass(frozen=True)
class Sampler:
    """Mean and sample 0 of another sampler, or of several of which each draws on the one before."""

    stages: tuple[ModelFacts, ...]

    @property
    def name(self) -> str:
        """Names of the stages, joined as they were asked for."""
        return "+".join(stage.name for stage in self.stages)

    def entries(self, seen: Seen, again: Again) -> list[Entry]:
        """Of several stages the mean is the plain average of as many draws."""
        began = time.perf_counter()
        result = again(model=self.stages[0].folder, scale=None)
        count = result.job.settings.samples + 1
        if len(self.stages) == 1:
            drawn = draw_samples(result, 1)
            sample, mean = drawn.samples[0], drawn.mean
        else:
            from sciup.explorer.cascade import Cascade, sharpen_all

            drawn = draw_samples(result, count)
            draws = sharpen_all(drawn.samples, Cascade(self.stages), result)
            sample, mean = draws[0], draws.mean(0)
        seconds, words = time.perf_counter() - began, f"{self.name}, {count} draws"
        return [
            Entry(f"{self.name}-mean", seen.masked(mean), seconds, words, MEAN),
            Entry(f"{self.name}-sample", seen.masked(sample), seconds, words, SAMPLE),
        ]


@dataclass(frozen=True)
class Explored:
    """The image that `sciup explore` finds in the region for a goal."""

    goal: str
    steps: int = STEPS

    @property
    def name(self) -> str:
        """As it was asked for."""
        return EXPLORE + self.goal

    def entries(self, seen: Seen, again: Again) -> list[Entry]:
        """The first answer to the goal, by the search of `sciup explore` with its usual effort."""
        from sciup.explorer.ask import Asker
        from sciup.explorer.run import open_stamp

        began, job = time.perf_counter(), seen.result.job
        stamp = open_stamp(seen.result, job.region)
        found = Asker(stamp, Question(self.goal, steps=self.steps), lambda: None).region()
        if not found.answers:
            raise InputError(f"{self.name} of {found.roi}: {found.failure}")
        # a flux has two ends, of which the one asked for need not come first
        answer = next((a for a in found.answers if a.title.startswith(self.goal)), found.answers[0])
        return [
            Entry(
                self.name,
                answer.image.astype(float),
                time.perf_counter() - began,
                f"{job.model.name}, {answer.title}",
                POSSIBLE if answer.accepted else REJECTED,
                answer.facts["typicality"]["moved_sigma"],
            )
        ]
