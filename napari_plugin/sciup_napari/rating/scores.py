"""What the raters said: mean opinion scores, fooling rates, tests, and how steady raters are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.evaluate.tables import Table
from sciup_napari.rating.inference import against_half, holm, signed_rank, two_way
from sciup_napari.rating.record import Answer, Ratings, read_ratings
from sciup_napari.rating.study import RATINGS

Array = NDArray[np.float64]
Row = dict[str, Any]

INTERVAL = (
    "Intervals are of 95 %. They draw raters and images anew, both at once (pigeonhole bootstrap, "
    "Owen 2007), and are widened for few of them (Hesterberg 2015)."
)


def results(folder: str | Path) -> list[Table]:
    """All tables of a study.

    Parameters
    ----------
    folder : path
        The study, or a folder with files of answers that were brought together.

    Raises
    ------
    InputError
        If there are no answers, or a file is damaged.
    """
    every = collect(folder)
    tables: list[Table] = []
    scores = [r for r in every if r.task == "scores"]
    choices = [r for r in every if r.task == "choice"]
    if scores:
        tables += [opinions(scores), pairs(scores)]
    if choices:
        tables.append(fooled(choices))
    return [*tables, raters(every)]


def collect(folder: str | Path) -> list[Ratings]:
    """The files of answers of a study, sorted by rater."""
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", "the folder of a study", "check the path")
    inside = folder / RATINGS
    place = inside if inside.is_dir() else folder
    found = [read_ratings(path) for path in sorted(place.glob("*.csv"))]
    every = [ratings for ratings in found if ratings is not None and ratings.answers]
    if not every:
        raise InputError(
            f"there are no answers in {place}",
            f"files of answers in the subfolder {RATINGS!r}",
            "rate some images first: in napari, Plugins > Blind rating",
        )
    for n, one in enumerate(every):
        twin = next((o for o in every[:n] if _same(o, one)), None)
        if twin is not None:
            raise InputError(
                f"{place} holds two files of {one.rater} for the task {one.task!r}",
                "one file per rater and task",
                "remove the copy; if they are two people, change the name within one file",
            )
    return every


def _same(a: Ratings, b: Ratings) -> bool:
    return (a.rater.casefold(), a.task) == (b.rater.casefold(), b.task)


def opinions(every: Sequence[Ratings]) -> Table:
    """Mean opinion score of each method."""
    names, cube = _cube(every)
    rows: list[Row] = []
    for method, values in zip(names, cube, strict=True):
        found, low, high = two_way(values)
        known = np.isfinite(values)
        rows.append(
            {
                "method": method,
                "score": found.value,
                "low": low,
                "high": high,
                "raters": int(known.any(1).sum()),
                "images": int(known.any(0).sum()),
                "answers": int(known.sum()),
            }
        )
    rows.sort(key=lambda row: -row["score"])
    truths = sorted({r.truth for r in every if r.truth})
    notes = [INTERVAL, *_warnings(every)]
    if truths:
        notes.insert(0, f"The truth ({', '.join(truths)}) was shown unannounced among the others.")
    return Table(
        "opinions",
        "Mean opinion score: 1 bad, 2 poor, 3 fair, 4 good, 5 excellent (ITU-T P.910).",
        rows,
        notes,
    )


def pairs(every: Sequence[Ratings]) -> Table:
    """Differences of the scores of every two methods, paired by image."""
    names, cube = _cube(every)
    rows: list[Row] = []
    for a, b in combinations(range(len(names)), 2):
        difference = cube[a] - cube[b]
        found, low, high = two_way(difference)
        per_image = _means(difference)
        rows.append(
            {
                "method": names[a],
                "against": names[b],
                "difference": found.value,
                "low": low,
                "high": high,
                "images": int(np.isfinite(per_image).sum()),
                "p": signed_rank(per_image),
            }
        )
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p
    return Table(
        "pairs",
        "Differences of scores, and Wilcoxon's signed-rank test of the means per image.",
        rows,
        [
            "`p_holm` is corrected for the number of pairs (Holm 1979). The test asks what other "
            "images would show to these raters; the interval, also what other raters would say."
        ],
    )


def fooled(every: Sequence[Ratings]) -> Table:
    """How often each method was taken for the truth."""
    names, cube = _cube(every)
    rows: list[Row] = []
    for method, values in zip(names, cube, strict=True):
        known = values[np.isfinite(values)]
        low, high, p = against_half(int(known.sum()), known.size)
        _, two_low, two_high = two_way(values)
        rows.append(
            {
                "method": method,
                "fooled": float(known.mean()),
                "low": low,
                "high": high,
                "low_2way": two_low,
                "high_2way": two_high,
                "answers": known.size,
                "p": p,
            }
        )
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p
    rows.sort(key=lambda row: -row["fooled"])
    return Table(
        "fooled",
        "How often a method beside the truth was taken for it. One half: nobody could tell.",
        rows,
        [
            "`low`, `high` (Clopper & Pearson 1934) and `p`, against one half, take answers for "
            "independent. `2way` draws raters and images anew: where it is wider, believe it.",
            *_warnings(every),
        ],
    )


def raters(every: Sequence[Ratings]) -> Table:
    """How steady each rater is, and how much like the others."""
    alike = _like_others([one for one in every if one.task == "scores"])
    rows = [
        {
            "rater": one.rater,
            "task": one.task,
            "done": len(one.answers),
            "of": one.planned,
            "twice": len(twice),
            "same": _mean(float(a == b) for a, b in twice),
            "apart": _mean(abs(a - b) for a, b in twice) if one.task == "scores" else math.nan,
            "alike": alike.get(one.rater, math.nan) if one.task == "scores" else math.nan,
            "left": _left(one),
            "seconds": float(np.median([answer.seconds for answer in one.answers])),
            "back": one.backs,
        }
        for one in every
        for twice in [_twice(one)]
    ]
    return Table(
        "raters",
        "How steady the raters are, and how much alike.",
        rows,
        [
            "`twice`: trials that were shown twice, which count here only; `same`: share of them "
            "with the same answer; `apart`: mean distance of the two scores. `alike`: correlation "
            "of scores with the mean of the other raters. `left`: share of choices of the left "
            "picture, near one half. `seconds`: median time per answer. `back`: answers taken back."
        ],
    )


def _cube(every: Iterable[Ratings]) -> tuple[list[str], Array]:
    """Methods, and the values by method, rater and image; NaN where there is none."""
    every = list(every)
    first = [[a for a in one.answers if not a.trial.repeat] for one in every]
    methods = sorted({a.trial.method for one in first for a in one})
    images = sorted({a.trial.image for one in first for a in one})
    cube = np.full((len(methods), len(every), len(images)), np.nan)
    place = {name: i for i, name in enumerate(images)}
    for r, one in enumerate(first):
        for a in one:
            cube[methods.index(a.trial.method), r, place[a.trial.image]] = a.value
    return methods, cube


def _means(table: Array) -> Array:
    """Mean over raters of each image; NaN where nobody answered."""
    known = np.isfinite(table)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, table, 0).sum(0) / known.sum(0), np.float64)


def _twice(one: Ratings) -> list[tuple[float, float]]:
    """Values of the trials that were shown twice."""
    values = {_key(a): a.value for a in one.answers if not a.trial.repeat}
    return [(values[_key(a)], a.value) for a in one.answers if a.trial.repeat]


def _key(answer: Answer) -> tuple[str, str]:
    return answer.trial.image, answer.trial.method


def _like_others(every: Sequence[Ratings]) -> dict[str, float]:
    """Correlation of each rater with the mean of the others; without those who share too little."""
    _, cube = _cube(every)
    found: dict[str, float] = {}
    for r, one in enumerate(every):
        mine = cube[:, r].ravel()
        theirs = np.ravel([_means(np.delete(table, r, axis=0)) for table in cube])
        both = np.isfinite(mine) & np.isfinite(theirs)
        if both.sum() > 2 and mine[both].std() and theirs[both].std():
            found[one.rater] = float(np.corrcoef(mine[both], theirs[both])[0, 1])
    return found


def _left(one: Ratings) -> float:
    if one.task == "scores":
        return math.nan
    return _mean(float(a.given == "left") for a in one.answers)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else math.nan


def _warnings(every: Sequence[Ratings]) -> list[str]:
    """What a reader must know before believing the numbers."""
    out = []
    if len(every) == 1:
        out.append("One rater only: the intervals say nothing of what others would answer.")
    unfinished = [one.rater for one in every if len(one.answers) < one.planned]
    if unfinished:
        out.append(f"Not finished: {', '.join(unfinished)}.")
    if len({one.seed for one in every}) > 1:
        out.append("The seeds differ: of large images the raters saw different fields.")
    if len({one.truth for one in every}) > 1:
        out.append("The raters had different truths.")
    return out
