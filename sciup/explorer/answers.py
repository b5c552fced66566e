"""What an exploration found, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.geometry import Box

Values = NDArray[np.float32]

POSSIBLE = (
    "Answers are images that the data permit. They are possible, not probable: nothing here says"
    " how likely one is, and what they share may still be wrong."
)


@dataclass(frozen=True)
class Answer:
    """One image that was looked for.

    Attributes
    ----------
    name : str
        Of its map: ``answer_1``, or ``rejected_1`` if it does not agree with the data.
    title : str
        What it is, in a few words.
    image : ndarray (s h, s w), float32
        Output units; NaN where masked.
    residual : ndarray (h, w), float32
        ``(y - A x) / sigma``; NaN where masked.
    facts : mapping
        chi2, blocks, typicality, the value of what was asked; JSON-ready.
    """

    name: str
    title: str
    image: Values
    residual: Values
    facts: Mapping[str, Any]

    @property
    def accepted(self) -> bool:
        """Whether it agrees with the data."""
        return bool(self.facts["accepted"])


@dataclass(frozen=True)
class Region:
    """The answers for one region.

    Attributes
    ----------
    box : Box
        Input pixels.
    goal : str
    words : str
        The result as one sentence or two.
    answers : tuple of Answer
        Accepted ones first.
    measured : ndarray (h, w), float32
        The input; NaN where masked.
    shown : ndarray (s h, s w), float32
        Sample 0 of the same seed, as the engine draws it.
    shown_residual : ndarray (h, w), float32
        Of sample 0.
    shown_facts : mapping
        Agreement of sample 0.
    failure : str
        Why nothing was found; empty if something was.
    drawing : Answer, optional
        The user's sketch, its level and contrast fitted; not an answer.
    facts : mapping
        What was asked and found; JSON-ready.
    """

    box: Box
    goal: str
    words: str
    answers: tuple[Answer, ...]
    measured: Values
    shown: Values
    shown_residual: Values
    shown_facts: Mapping[str, Any]
    failure: str = ""
    drawing: Answer | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def found(self) -> bool:
        """Whether there is an answer that agrees with the data."""
        return any(a.accepted for a in self.answers)

    @property
    def roi(self) -> str:
        """The region as the command line takes it."""
        (y0, x0), (y1, x1) = self.box.start, self.box.stop
        return f"{y0}:{y1},{x0}:{x1}"

    def as_json(self) -> dict[str, Any]:
        """JSON-ready, without pixels."""
        return {
            "roi": self.roi,
            "goal": self.goal,
            "found": self.found,
            "words": self.words,
            "failure": self.failure or None,
            "sample_0": dict(self.shown_facts),
            **self.facts,
            "answers": [{"map": a.name, "title": a.title, **a.facts} for a in self.answers],
        }


__all__ = ["POSSIBLE", "Answer", "Region"]
