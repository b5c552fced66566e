"""An image whose damaged parts are masked, so that a bad chunk costs its own pixels only."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from threading import Lock
from typing import Any

import numpy as np

from sciup.errors import InputError
from sciup.geometry import Box, iterate
from sciup.image import Bool, Float, Image, Plane

log = logging.getLogger(__name__)

PIECE = 128
"""Side of the squares, counted from the first pixel, that are tried one by one."""

NO_ACCESS = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ESTALE),
    *(errno.EMFILE, errno.ENFILE, errno.ENOTCONN, errno.ETIMEDOUT),
)

STORES = ("aiohttp", "botocore")
"""Libraries that speak with stores, whose errors, which are no OSErrors, Dask passes on."""

Part = tuple[Plane, Box]


def about(image: Image) -> dict[str, Any]:
    """Everything that an image says of itself, for a wrapper around it."""
    return {f.name: getattr(image, f.name) for f in fields(Image)}


@dataclass(eq=False)
class Salvaged(Image):
    """An image that masks what cannot be read, and remembers it.

    Attributes
    ----------
    base : Image
    unreadable : set of (plane, Box)
        Parts that could not be read so far, in this process.
    """

    base: Image = field(kw_only=True)
    unreadable: set[Part] = field(default_factory=set, kw_only=True)
    _lock: Any = field(default_factory=Lock, kw_only=True)

    @classmethod
    def of(cls, base: Image) -> Salvaged:
        """Wrap an image."""
        return cls(**about(base), base=base)

    def __getstate__(self) -> dict[str, Any]:
        """Other processes start without a memory."""
        return self.__dict__ | {"unreadable": set(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Locks do not travel."""
        self.__dict__.update(state | {"_lock": Lock()})

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Like the image's own, with NaN and no footprint where it cannot be read."""
        try:
            return self.base.load(plane, box)
        except InputError as error:
            _check_access(error)
        values = np.full(box.shape, np.nan, np.float32)
        footprint = np.zeros(box.shape, bool)
        for part, at, whole in self._pieces(box):
            try:
                values[at], footprint[at] = self.base.load(plane, part)
            except InputError as error:
                _check_access(error)
                self._note(plane, whole, error)
        return values, footprint

    def load_sigma(self, plane: Plane, box: Box) -> Float | None:
        """Noise of the file; NaN where it cannot be read."""
        try:
            return self.base.load_sigma(plane, box)
        except InputError as error:
            _check_access(error)
        values = np.full(box.shape, np.nan, np.float32)
        for part, at, whole in self._pieces(box):
            try:
                found = self.base.load_sigma(plane, part)
            except InputError as error:
                _check_access(error)
                self._note(plane, whole, error)
                continue
            if found is not None:
                values[at] = found
        return values

    def _pieces(self, box: Box) -> Iterator[tuple[Box, tuple[slice, ...], Box]]:
        """Parts of a box, where they lie in it, and the whole squares that they belong to."""
        image = Box.of_shape(self.plane_shape)
        for index in iterate(box.coarsened(PIECE)):
            whole = Box(index, tuple(i + 1 for i in index)).scaled(PIECE).intersect(image)
            part = whole.intersect(box)
            yield part, part.relative_to(box).slices, whole

    def _note(self, plane: Plane, box: Box, error: InputError) -> None:
        with self._lock:
            if (plane, box) not in self.unreadable:
                log.warning("cannot be read, and does not count: %s: %s", box, error.what)
            self.unreadable.add((plane, box))

    def forget(self) -> None:
        """Start anew: the file may have been repaired."""
        with self._lock:
            self.unreadable.clear()

    def unreadable_in(self, plane: Plane, box: Box) -> list[Part]:
        """Parts that could not be read and touch a box."""
        with self._lock:
            parts = sorted(self.unreadable, key=lambda part: (part[0], part[1].start))
        return [part for part in parts if part[0] == plane and part[1].intersect(box).size]


def _check_access(error: InputError) -> None:
    """A file that is not there or nobody may open, or a store that is down, is no damaged chunk."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in NO_ACCESS:
            raise error
        status = getattr(cause, "status", None)
        if isinstance(status, int) and status >= 500:
            raise error
        if type(cause).__module__.partition(".")[0] in STORES:
            raise error
        cause = cause.__cause__
