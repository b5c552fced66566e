"""What a rater sees, and in which order: blind, balanced, the same whenever it is planned again.

Scores follow absolute category rating with a hidden reference: one picture at a time, the truth
among them unannounced. A session is cut into as many blocks as there are methods. Every block shows
every image once, each with another method of a Latin square, so that each method is seen equally
often early and late, and an image comes back only after all the others.

References
----------
ITU-T P.910 (10/2023), Subjective video quality assessment methods, 8.1 (absolute category rating),
random order for each rater, repeated stimuli as a check of consistency.
Fisher (1935), The Design of Experiments, ch. 5 (Latin squares).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Literal, get_args

import numpy as np

from sciup.errors import OptionError

Task = Literal["scores", "choice"]
Side = Literal["", "left", "right"]
TASKS: tuple[Task, ...] = get_args(Task)

REPEATED = 0.1
"""Share of the trials that are shown twice, to see whether a rater agrees with herself."""

FEWEST = 6
"""In a shorter session a repeated picture would be recognised."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing to judge.

    Attributes
    ----------
    image, method : str
        What is shown; with a choice it stands beside the truth.
    truth_side : {"", "left", "right"}
        Where the truth is; empty for scores.
    repeat : bool
        True for the second showing, which counts for consistency only.
    """

    image: str
    method: str
    truth_side: Side = ""
    repeat: bool = False


def plan(
    images: Sequence[str],
    methods: Sequence[str],
    truth: str | None,
    *,
    task: Task,
    seed: int,
    rater: str,
) -> tuple[Trial, ...]:
    """All trials of one rater in order.

    Parameters
    ----------
    images, methods : sequence of str
        Names; `methods` includes the truth, if there is one.
    truth : str or None
        The method that is the truth.
    task : {"scores", "choice"}
        One picture to score from 1 to 5, or two of which one is the truth.
    seed : int
        Of the study.
    rater : str
        Each rater gets another order.

    Raises
    ------
    OptionError
        If a choice is asked for and there is no truth.

    Examples
    --------
    >>> trials = plan(["a", "b"], ["bicubic", "truth"], "truth", task="choice", seed=0, rater="Ann")
    >>> sorted((t.image, t.method) for t in trials)
    [('a', 'bicubic'), ('b', 'bicubic')]
    """
    if task == "choice" and truth is None:
        raise OptionError(
            "which one is the truth cannot be asked without a truth",
            "a study with a truth",
            "add a folder 'truth', choose one of the folders as the truth, or ask for scores",
        )
    rng = generator(seed, rater.casefold(), task)
    judged = [m for m in methods if task == "scores" or m != truth]
    trials = _blocks(images, judged, rng)
    if task == "choice":
        trials = _with_sides(trials, rng)
    return tuple(_with_repeats(trials, rng))


def generator(*key: object) -> np.random.Generator:
    """Random numbers that depend on nothing but the key.

    Examples
    --------
    >>> int(generator(0, "Ann").integers(100)) == int(generator(0, "Ann").integers(100))
    True
    """
    digest = hashlib.sha256("\0".join(str(part) for part in key).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def fingerprint(trials: Sequence[Trial]) -> str:
    """Short name of a plan: another order, image or method gives another one."""
    text = "\n".join("\t".join(map(str, astuple(trial))) for trial in trials)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _blocks(images: Sequence[str], methods: Sequence[str], rng: np.random.Generator) -> list[Trial]:
    """Every image with every method; see the head of this file."""
    count = len(methods)
    first = rng.permutation(len(images)) % count
    shuffled = rng.permutation(count)
    trials: list[Trial] = []
    for turn in range(count):
        block = [
            Trial(image, methods[shuffled[(start + turn) % count]])
            for image, start in zip(images, first, strict=True)
        ]
        order = [block[i] for i in rng.permutation(len(block))]
        if trials and len(order) > 1 and order[0].image == trials[-1].image:
            other = int(rng.integers(1, len(order)))  # an image never follows itself
            order[0], order[other] = order[other], order[0]
        trials += order
    return trials


def _with_sides(trials: Sequence[Trial], rng: np.random.Generator) -> list[Trial]:
    """The truth on the left for half of the trials of each method."""
    sides: dict[str, list[Side]] = {}
    for method in dict.fromkeys(trial.method for trial in trials):
        number = sum(trial.method == method for trial in trials)
        halves = (np.arange(number) + rng.integers(2)) % 2
        sides[method] = ["left" if half else "right" for half in rng.permutation(halves)]
    return [replace(trial, truth_side=sides[trial.method].pop()) for trial in trials]


def _with_repeats(trials: Sequence[Trial], rng: np.random.Generator) -> list[Trial]:
    """Some trials of the first third come again in the last one, a choice with sides exchanged."""
    shown = list(trials)
    if len(shown) < FEWEST:
        return shown
    third = len(shown) // 3
    number = min(third, max(1, round(REPEATED * len(shown))))
    exchanged: dict[Side, Side] = {"": "", "left": "right", "right": "left"}
    for pick in rng.choice(third, number, replace=False):
        old = trials[pick]
        again = replace(old, repeat=True, truth_side=exchanged[old.truth_side])
        free = [
            place
            for place in range(len(trials) - third, len(shown) + 1)
            if all(near.image != old.image for near in shown[place - 1 : place + 1])
        ]
        shown.insert(int(rng.choice(free)) if free else len(shown), again)
    return shown
