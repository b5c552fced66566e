"""Windows of a file as lazy arrays for napari, coarser levels of them, and limits from a few.

napari slices on the thread that draws, so nothing is computed here: pixels are read, no more than
are shown. Files without a pyramid get coarser levels that show every n-th pixel.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.geometry import Box

Read = Callable[[tuple[int, ...], Box], NDArray[Any]]
"""Values (h, w) of a box inside one plane."""

CHUNK = 512
LARGE = 2048 * 2048
"""Planes of more pixels get coarser levels."""
SMALLEST = 1024
"""Coarser levels end where a plane fits in this many pixels."""
BLOCKS, BLOCK = 4, 96
PERCENTILES = (0.5, 99.7)


@dataclass(frozen=True)
class Windows:
    """An array that reads what is asked of it, for `dask.array.from_array`.

    Attributes
    ----------
    read : callable
        Reads a box of a plane of the full resolution.
    full : tuple of int
        Shape of the full resolution.
    step : int
        Every `step`-th pixel along y and x is shown.
    dtype : numpy.dtype
        Of what `read` gives.
    band : int
        Rows that are cheap to read together: those of a stored chunk, one in a plain file.

    Examples
    --------
    >>> grid = np.arange(48.0).reshape(6, 8)
    >>> coarse = Windows(lambda plane, box: grid[box.slices], (6, 8), 2)
    >>> coarse.shape, coarse[1:3, 0:2].tolist()
    ((3, 4), [[25.0, 27.0], [41.0, 43.0]])
    """

    read: Read
    full: tuple[int, ...]
    step: int = 1
    dtype: np.dtype[Any] = np.dtype(np.float32)  # noqa: RUF009 - dtypes cannot change
    band: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of this level."""
        return (*self.full[:-2], *(-(-n // self.step) for n in self.full[-2:]))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.full)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        index = index if isinstance(index, tuple) else (index,)
        index += (slice(None),) * (self.ndim - len(index))
        ranges = [
            range(n)[i] if isinstance(i, slice) else range(n)[i : i + 1 or None]
            for i, n in zip(index, self.shape, strict=True)
        ]
        out = np.empty([len(r) for r in ranges], self.dtype)
        for at in np.ndindex(out.shape[:-2]):
            plane = tuple(r[i] for r, i in zip(ranges[:-2], at, strict=True))
            out[at] = self._plane(plane, ranges[-2], ranges[-1])
        return out[tuple(slice(None) if isinstance(i, slice) else 0 for i in index)]

    def _plane(self, plane: tuple[int, ...], rows: range, cols: range) -> NDArray[Any]:
        if not len(rows) or not len(cols):
            return np.empty((len(rows), len(cols)), self.dtype)
        ys, xs = (
            np.minimum(np.asarray(r) * self.step + self.step // 2, n - 1)
            for r, n in zip((rows, cols), self.full[-2:], strict=True)
        )
        left, right = int(xs.min()), int(xs.max()) + 1
        if self.step * abs(rows.step) == 1:
            top, bottom = int(ys.min()), int(ys.max()) + 1
            block = self.read(plane, Box((top, left), (bottom, right)))
            return block[np.ix_(ys - top, xs - left)]
        out = np.empty((len(ys), len(xs)), self.dtype)
        for band in np.unique(ys // self.band).tolist():  # only rows that are shown are read
            mine = ys // self.band == band
            top, bottom = int(ys[mine].min()), int(ys[mine].max()) + 1
            block = self.read(plane, Box((top, left), (bottom, right)))
            out[mine] = block[np.ix_(ys[mine] - top, xs - left)]
        return out


def lazy(windows: Windows, name: str) -> Any:
    """A dask array of windows in chunks of one plane; nothing is read.

    Parameters
    ----------
    windows : Windows
    name : str
        Unique for these pixels: napari keeps chunks in its cache by name.
    """
    import dask.array as da

    chunks = (*(1,) * (windows.ndim - 2), *(min(CHUNK, n) for n in windows.shape[-2:]))
    return da.from_array(windows, chunks=chunks, name=name, asarray=True, meta=_empty(windows))


def _empty(windows: Windows) -> NDArray[Any]:
    return np.empty((0,) * windows.ndim, windows.dtype)


def pyramid(
    read: Read, shape: Sequence[int], name: str, *, dtype: Any = np.float32, band: int = 1
) -> list[Any]:
    """Level 0, and coarser levels of every second, fourth, ... pixel where a plane is large."""
    full, kind = tuple(int(n) for n in shape), np.dtype(dtype)
    levels = [lazy(Windows(read, full, 1, kind), name)]
    step = 1
    while math.prod(full[-2:]) > LARGE and max(full[-2:]) > SMALLEST * step:
        step *= 2
        windows = Windows(read, full, step, kind, band)
        levels.append(lazy(windows, f"{name}-every-{step}"))
        if band > 1:
            _slow[levels[-1].name] = windows
    return levels


_slow: weakref.WeakValueDictionary[str, Windows] = weakref.WeakValueDictionary()


def windows_of(level: Any) -> Windows | None:
    """What a coarse level that is slow to read is made of; None for all others."""
    return _slow.get(str(getattr(level, "name", "")))


def data_of(levels: list[Any]) -> dict[str, Any]:
    """The keyword ``multiscale`` for levels, and the data that goes with it."""
    several = len(levels) > 1
    return {"data": levels if several else levels[0], "multiscale": several}


def token(path: str, *more: object) -> str:
    """A name for the pixels of a file that changes when the file does."""
    from pathlib import Path

    from dask.base import tokenize

    stat = Path(path).stat()
    return f"sciup-{tokenize(str(Path(path).resolve()), stat.st_mtime_ns, stat.st_size, *more)}"


def few(read: Read, shape: Sequence[int]) -> NDArray[np.float64]:
    """Finite values of a few blocks of the middle plane, spread over it."""
    plane = tuple(n // 2 for n in shape[:-2])
    height, width = shape[-2:]
    if height * width <= (BLOCKS * BLOCK) ** 2:
        parts = [read(plane, Box((0, 0), (height, width)))]
    else:
        corners = [np.linspace(0, max(n - BLOCK, 0), BLOCKS + 1).astype(int) for n in shape[-2:]]
        parts = [
            read(plane, Box((y, x), (min(y + BLOCK, height), min(x + BLOCK, width))))
            for y in corners[0].tolist()
            for x in corners[1].tolist()
        ]
    values = np.concatenate([np.ravel(p) for p in parts]).astype(np.float64)
    return np.asarray(values[np.isfinite(values)])


def robust_limits(values: NDArray[Any]) -> tuple[float, float]:
    """Contrast limits that a few bright or broken pixels do not decide.

    Examples
    --------
    >>> robust_limits(np.r_[np.linspace(0, 10, 1000), 1e9])
    (0.05, 9.98)
    """
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = (round_to(float(v), values) for v in np.percentile(values, PERCENTILES))
    if not high > low:
        low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)


def round_to(value: float, values: NDArray[Any]) -> float:
    """Three digits of the range: long numbers are hard to read beside the slider."""
    spread = float(np.ptp(np.percentile(values, PERCENTILES)))
    if not spread > 0 or not math.isfinite(spread):
        return value
    return round(value, 2 - math.floor(math.log10(spread))) + 0.0  # never -0.0


__all__ = [
    "Read",
    "Windows",
    "data_of",
    "few",
    "lazy",
    "pyramid",
    "robust_limits",
    "token",
    "windows_of",
]
