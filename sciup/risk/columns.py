"""Rows in equally long arrays, kept in files so that a stopped calibration goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike

from sciup.errors import InputError


class Columns:
    """Base of dataclasses whose every field is an array with one row for each of n things.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Stars(Columns):
    ...     name: np.ndarray
    ...     flux: np.ndarray
    >>> two = Stars(np.array(["a", "b"]), np.array([3.0, 5.0]))
    >>> Stars.join([two, two]).take([1, 2]).flux.tolist()
    [5.0, 3.0]
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @classmethod
    def names(cls) -> list[str]:
        """Of the arrays."""
        return [f.name for f in fields(cls)]

    def __len__(self) -> int:
        return len(getattr(self, self.names()[0]))

    def take(self, which: ArrayLike) -> Self:
        """Some of the rows, by index or by mask."""
        index = np.asarray(which)
        return type(self)(*(getattr(self, name)[index] for name in self.names()))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """All rows of one or more parts."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.names()))

    def save(self, path: Path) -> None:
        """Write all arrays as ``.npz``: all or nothing."""
        part = path.with_name(path.name + ".part.npz")
        np.savez_compressed(part, **{name: getattr(self, name) for name in self.names()})
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            For anything else.
        """
        try:
            # opened here: numpy leaves open what it cannot read
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                found = cls(*(stored[name] for name in cls.names()))
            if len({len(getattr(found, name)) for name in cls.names()}) > 1:
                raise ValueError("its arrays differ in length")
            return found
        except Exception as error:  # noqa: BLE001 - numpy, zipfile and zlib have errors of their own
            raise InputError(
                f"{path} is no table of {cls.__name__}: {error}",
                "what the same command wrote",
                "remove it: it is made again",
            ) from None


C = TypeVar("C", bound=Columns)
T = TypeVar("T")


def kept(path: Path, kind: type[C], make: Callable[[], C]) -> C:
    """What an earlier run left in a file, or what is made now and left there."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        make().save(path)
    return kind.load(path)


def kept_each(
    folder: Path,
    kind: type[C],
    things: Iterable[T],
    make: Callable[[T], C],
    done: Callable[[int], None] = lambda _: None,
    name: Callable[[T], str] = str,
) -> list[C]:
    """`kept` of each of some things, by number and name: a stopped run goes on behind the last.

    Parameters
    ----------
    folder : Path
        Its name holds all else that decides what is made.
    kind, make
        As for `kept`; what is there already is not made.
    things : iterable
        In the same order in every run; what was skipped once may be there the next time.
    done : callable
        Called with the number of things that are there.
    name : callable
        What a thing is called: a file of another one is not taken for its own.
    """
    parts: list[C] = []
    for number, thing in enumerate(things):
        path = folder / f"{number:05d}_{crc32(name(thing).encode()):08x}.npz"
        parts.append(kept(path, kind, partial(make, thing)))
        done(len(parts))
    return parts


__all__ = ["Columns", "kept", "kept_each"]
