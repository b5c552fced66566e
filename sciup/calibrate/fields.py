"""Fields with a known truth, in both domains, as runs that know what a user's run would know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result
from sciup.engine.provenance import METHOD
from sciup.errors import InputError, OptionError
from sciup.generators.facts import ModelFacts

if TYPE_CHECKING:
    from sciup.evaluate.fluorescence.protocol import Case

Array = NDArray[np.float64]
Told = Literal["nothing", "all"]
"""What a run is told of the instrument: nothing, so that it finds out itself, or everything."""

CONDITIONS = {
    8: ("4:200", "8:50", "6:1000"),
    4: ("2:200", "4:50", "3:1000"),
    2: ("1:200", "2:50", "1.5:1000"),
    1: ("1:200", "2:50", "1.5:1000"),
}
"""Blur and light of the fields of micrographs, SIGMA:PEAK, by scale."""

SKY = "simulated"
"""The one condition of the night sky: PSFs and depths are drawn field by field."""

SCENES = 160
"""Simulated scenes, at most."""

PIECES, PIECE = 64, 2**16
"""Of a large file, what tells it from another: their number, and their bytes."""


@dataclass(frozen=True)
class KnownField:
    """A run whose truth is known.

    Attributes
    ----------
    result : Result
    truth : ndarray (s h, s w)
        In output units.
    truth_noise : float
        One-sigma noise of the truth itself.
    labels : dict
        unit, group, field, condition.
    """

    result: Result
    truth: Array
    truth_noise: float
    labels: dict[str, str]


def name_of(one: KnownField) -> str:
    """What a field is called, in the way it was degraded."""
    return f"{one.labels['field']} {one.labels['condition']}"


@dataclass(frozen=True)
class Source:
    """Where fields come from.

    Attributes
    ----------
    model : ModelFacts
    data : Path or None
        Folder of micrographs, or GalSim COSMOS sample.
    scenes : Path or None
        Night sky: a pack of rendered scenes.
    samples : int
        K.
    every : int
        Take every n-th image.
    precision, seed
        See `sciup.upscale`.
    """

    model: ModelFacts
    data: Path | None
    scenes: Path | None = None
    samples: int = 16
    every: int = 1
    precision: str = "auto"
    seed: int = 0

    @property
    def conditions(self) -> tuple[str, ...]:
        """How fields are degraded: each in one of these ways, in the one that its name decides."""
        return (SKY,) if self.model.domain == "night-sky" else CONDITIONS[self.model.scale]

    @property
    def words(self) -> str:
        """Where the fields come from, without the folders of this machine."""
        place = self.scenes or self.data
        return place.name if place else "scenes rendered anew"

    def digest(self, *more: object) -> str:
        """Of all that decides what fields show: program, model, files, options, and `more`."""
        decides = [
            *(METHOD, self.model.key, self.every, self.seed),
            *(self.precision, *map(_files, (self.data, self.scenes)), *more),
        ]
        return sha256(repr(decides).encode()).hexdigest()[:16]

    def fields(
        self,
        condition: str,
        split: str = "calibrate",
        told: Told = "nothing",
        skipped: Callable[[str], None] = lambda _: None,
    ) -> Iterator[KnownField]:
        """The fields of one condition and split, or night sky: role."""
        if self.model.domain == "night-sky":
            yield from self._sky(split, told)
        else:
            yield from self._micrographs(condition, split, told, skipped)

    def cases(
        self, condition: str, split: str, skipped: Callable[[str], None] = lambda _: None
    ) -> Iterator[Case]:
        """Degraded micrographs of one condition: those that have their names in it."""
        from sciup.evaluate.fluorescence.data import has_manifest, items
        from sciup.evaluate.fluorescence.protocol import Condition, degraded

        if self.data is None:
            raise OptionError("DATA is missing", "a folder of images")
        whole = has_manifest(self.data)
        turn = self.conditions.index(condition)
        mine = [
            item
            for item in items(self.data, split, self.every)
            # by name: in order, channels of a field would get a condition each
            if crc32(f"{item.dataset}/{item.name}".encode()) % len(self.conditions) == turn
            and (whole or _own_split(item.unit, split))
        ]
        chosen = Condition.parse(condition, self.model.scale)
        yield from degraded(
            mine, chosen, lambda item, why: skipped(f"{item.dataset}/{item.name}: {why}")
        )

    def _micrographs(
        self, condition: str, split: str, told: Told, skipped: Callable[[str], None]
    ) -> Iterator[KnownField]:
        from sciup.evaluate.fluorescence import methods

        options = methods.Options(self.samples + 1, self.seed, self.precision)
        for case in self.cases(condition, split, skipped):
            belief: Literal["known", "nothing"] = "known" if told == "all" else "nothing"
            labels = {
                "unit": f"{case.dataset}/{case.unit}",
                "group": case.dataset,
                "field": f"{case.dataset}/{case.name}",
                "condition": condition,
            }
            lazy = methods.result(case, self.model, options, belief)
            yield KnownField(lazy, case.truth, case.noise, labels)

    def _sky(self, role: str, told: Told) -> Iterator[KnownField]:
        from sciup.evaluate.sky.fields import fields, run_field

        pack = self.scenes if role != "train" else None
        found = fields(self.model, self.data, pack, count=SCENES, every=self.every, role=role)
        for field in found:
            lazy = run_field(
                field,
                self.model,
                told,
                precision=self.precision,
                seed=self.seed,
                samples=self.samples,
            )
            labels = {"unit": field.name, "group": SKY, "field": field.name, "condition": SKY}
            yield KnownField(lazy, field.truth, 0.0, labels)


def none_left(split: str) -> InputError:
    """For a split of which no field can be used."""
    return InputError(
        f"no field of the split {split!r} can be used", "one or more", "check DATA and --split"
    )


def _files(place: Path | None) -> list[tuple[str, int, str]]:
    """Names, sizes and digests of a file or of all files of a folder.

    Neither times nor where the folder is: a copy, or a disk mounted anew, has the same data.
    """
    if place is None:
        return []
    whole = place.expanduser().resolve()
    found = sorted(whole.rglob("*")) if whole.is_dir() else [whole]
    stats = [(p, p.stat()) for p in found if p.is_file()]
    names = [p.relative_to(whole.parent).as_posix() for p, _ in stats]
    kept = [_content(p, s.st_size, s.st_mtime_ns) for p, s in stats]
    sizes = [s.st_size for _, s in stats]
    return [(whole.name, 0, ""), *zip(names, sizes, kept, strict=True)]


@cache
def _content(path: Path, size: int, _changed: int) -> str:
    """Digest of a file up to 4 MiB; of a larger one, of `PIECES` spread evenly over it."""
    state, last = blake2b(digest_size=16), max(size - PIECE, 0)
    pieces = min(PIECES, -(-size // PIECE))
    with path.open("rb") as file:
        for i in range(pieces):
            file.seek(i * last // max(pieces - 1, 1))
            state.update(file.read(PIECE))
    return state.hexdigest()


def _own_split(unit: str, split: str) -> bool:
    """Whether an own image has this part: a quarter says what is familiar, the rest calibrates.

    For any other split all count: they come from a folder of their own.
    """
    familiar = crc32(f"split {unit}".encode()) % 4 == 0
    return {"train": familiar, "calibrate": not familiar}.get(split, True)
