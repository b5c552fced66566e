"""The answers of one rater: a CSV file that is on the disk before the next picture is shown.

One row per event. ``back`` takes the answer before it away; nothing is ever overwritten.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sciup.errors import InputError, OptionError, OutputError, ResumeError
from sciup_napari.rating.plan import TASKS, Task, Trial, fingerprint
from sciup_napari.rating.study import RATINGS, Study

COLUMNS = (
    "time", "rater", "task", "seed", "truth", "plan", "trial", "of", "event",
    "image", "method", "truth_side", "repeat", "answer", "seconds",
)  # fmt: skip
ANSWERS: Mapping[Task, tuple[str, ...]] = {
    "scores": ("1", "2", "3", "4", "5"),
    "choice": ("left", "right"),
}
NAME = re.compile(r"\w[\w .-]{0,39}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a rater said of a trial.

    Attributes
    ----------
    given : str
        ``1`` to ``5``, or the side that was taken for the truth.
    seconds : float
        Time for which the picture was in view.
    """

    trial: Trial
    given: str
    seconds: float

    @property
    def value(self) -> float:
        """The score; of a choice 1 if the method was taken for the truth, else 0."""
        if self.trial.truth_side:
            return float(self.given != self.trial.truth_side)
        return float(self.given)


@dataclass(frozen=True)
class Ratings:
    """All answers of one rater to one task that still count, and how often one was taken back."""

    rater: str
    task: Task
    seed: int
    truth: str
    plan: str
    planned: int
    answers: tuple[Answer, ...]
    backs: int
    last: str


class Log:
    """The open file of a rater; it goes on where it was left.

    Parameters
    ----------
    study : Study
    rater : str
        Letters, digits, spaces, dots, hyphens.
    task : {"scores", "choice"}

    Raises
    ------
    OptionError
        If the name cannot be the name of a file.
    ResumeError
        If the file was begun with other images, methods, truth or seed.
    """

    def __init__(self, study: Study, rater: str, task: Task) -> None:
        self.study, self.rater, self.task = study, " ".join(rater.split()), task
        self.path = path_of(study.folder, rater, task)
        self.trials = study.trials(self.rater, task)
        self.plan = fingerprint(self.trials)
        self.answers: list[Answer] = []
        self._last = ""
        if self.path.exists():
            self._resume()
        self._size = self.path.stat().st_size if self.path.exists() else 0

    @property
    def position(self) -> int:
        """Number of trials that are answered, which is the index of the next."""
        return len(self.answers)

    @property
    def finished(self) -> bool:
        """No trial is left."""
        return self.position >= len(self.trials)

    @property
    def can_go_back(self) -> bool:
        """One step, and not twice in a row: going further back would be comparing."""
        return self._last == "answer"

    def answer(self, given: str, seconds: float) -> None:
        """Write the answer to the present trial; it is on the disk when this returns."""
        if given not in ANSWERS[self.task]:
            raise OptionError(f"answer {given!r}", ", ".join(ANSWERS[self.task]))
        new = Answer(self.trials[self.position], given, round(seconds, 3))
        self._append("answer", new)
        self.answers.append(new)

    def back(self) -> None:
        """Take the last answer away; the file keeps it, and that it was taken away."""
        if not self.can_go_back:
            raise OptionError("there is no answer to go back to", "one step back after an answer")
        self._append("back", self.answers[-1])
        self.answers.pop()

    def _append(self, event: str, answer: Answer) -> None:
        trial, back = answer.trial, event == "back"
        row = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "rater": self.rater, "task": self.task, "seed": self.study.seed,
            "truth": self.study.truth or "", "plan": self.plan,
            "trial": self.position + (0 if back else 1), "of": len(self.trials), "event": event,
            "image": trial.image, "method": trial.method, "truth_side": trial.truth_side,
            "repeat": int(trial.repeat), "answer": answer.given, "seconds": answer.seconds,
        }  # fmt: skip
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        if not self._size:
            writer.writeheader()
        writer.writerow(row)
        self._write(text.getvalue().encode())
        self._last = event

    def _write(self, data: bytes) -> None:
        """Append and force to the disk; an answer of another window is never written over."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                if file.tell() != self._size:
                    raise ResumeError(
                        f"{self.path} was changed by another program",
                        "one window per rater",
                        "close the other window and start again: your answers are kept",
                    )
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):  # half a row would spoil the file
                os.truncate(self.path, self._size)
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}",
                "a folder that can be written to",
                "free the disk or mend the permissions, then answer again",
            ) from None
        self._size += len(data)

    def _resume(self) -> None:
        cut_torn_line(self.path)
        found = read_ratings(self.path)
        if found is None:
            return
        if found.plan != self.plan or found.rater.casefold() != self.rater.casefold():
            raise ResumeError(
                f"{self.path} was begun by {found.rater} with seed {found.seed} and truth "
                f"{found.truth or 'none'}, and does not fit this study",
                "the same images, methods, truth, seed and rater",
                "choose these again, or another name to begin anew",
            )
        self.rater, self._last = found.rater, found.last
        self.answers = list(found.answers)


def path_of(folder: Path, rater: str, task: Task) -> Path:
    """The file of a rater.

    Examples
    --------
    >>> path_of(Path("study"), "Ann  Lee", "scores").as_posix()
    'study/ratings/scores_ann_lee.csv'
    """
    name = " ".join(rater.split())
    if not NAME.fullmatch(name):
        raise OptionError(
            f"{rater!r} is no name for a rater" if name else "the rater has no name",
            "up to 40 letters, digits, spaces, dots and hyphens",
            "type your name or initials",
        )
    return folder / RATINGS / f"{task}_{name.casefold().replace(' ', '_')}.csv"


def cut_torn_line(path: Path) -> None:
    """Remove a last line that was cut off when the machine went down."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)


def read_ratings(path: Path) -> Ratings | None:
    """Read a file of answers; None if it holds none yet. A torn last line does not count.

    Raises
    ------
    InputError
        If a line is damaged, with its number.
    """
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", "a CSV file in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    if reader.fieldnames is None:
        return None
    if tuple(reader.fieldnames) != COLUMNS:
        raise InputError(
            f"{path} is no file of answers: its columns are {', '.join(reader.fieldnames)}",
            ", ".join(COLUMNS),
            "move it out of the folder",
        )
    return _replayed(path, list(reader))


def _replayed(path: Path, rows: Sequence[Mapping[str, Any]]) -> Ratings | None:
    """The answers that still count, after all steps back."""
    answers: list[Answer] = []
    backs = 0
    for number, row in enumerate(rows, 2):
        try:
            backs += _replay(row, rows[0], answers)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise InputError(
                f"line {number} of {path} is damaged ({error})",
                "the rows as they were written",
                "take the file from a backup, or move it out of the folder",
            ) from None
    if not rows:
        return None
    head = rows[0]
    return Ratings(
        head["rater"], head["task"], int(head["seed"]), head["truth"], head["plan"],
        int(head["of"]), tuple(answers), backs, rows[-1]["event"],
    )  # fmt: skip


def _replay(row: Mapping[str, Any], head: Mapping[str, Any], answers: list[Answer]) -> int:
    """Do what a row says; 1 if it is a step back."""
    if any(row[key] != head[key] for key in ("rater", "task", "seed", "truth", "plan", "of")):
        raise ValueError("it belongs to another session")
    if row["task"] not in TASKS or row["answer"] not in ANSWERS[row["task"]]:
        raise ValueError(f"answer {row['answer']!r}")
    side = row["truth_side"]
    if (side in ("left", "right")) != (row["task"] == "choice"):
        raise ValueError(f"truth_side {side!r}")
    back = row["event"] == "back"
    if int(row["trial"]) != len(answers) + (0 if back else 1):
        raise ValueError(f"trial {row['trial']} is out of turn")
    if back:
        answers.pop()
        return 1
    if row["event"] != "answer":
        raise ValueError(f"event {row['event']!r}")
    trial = Trial(row["image"], row["method"], side, row["repeat"] == "1")
    answers.append(Answer(trial, row["answer"], float(row["seconds"])))
    return 0
