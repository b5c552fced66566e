"""Maps in fewer bits: what is lost, and how to come back to the values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import OptionError
from sciup.image import Float
from sciup.results.contents import Contents

DTYPES = ("float32", "uint16", "float16")

STEPS = 65534
"""Numbers of uint16 besides 0, which is masked, less one."""

HALF = 2.0**15
"""The largest number that is stored as float16, half of what it holds."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the values of a map are stored: ``value = offset + step * stored``.

    Attributes
    ----------
    dtype : str
        One of `DTYPES`.
    offset, step : float
        0 and 1 for float32. As uint16, 0 is masked, and the step is the same everywhere. As float16
        the error is 2^-11 of the distance from the offset: for images with a wide range.

    Examples
    --------
    >>> code = Encoding.of("uint16", 2.0, 65536.0)
    >>> code.stored(np.array([2, 3, np.nan], np.float32)).tolist(), code.offset, code.step
    ([1, 2, 0], 1.0, 1.0)
    """

    dtype: str = "float32"
    offset: float = 0.0
    step: float = 1.0

    @classmethod
    def of(cls, dtype: str, low: float, high: float, middle: float | None = None) -> Encoding:
        """For values from `low` to `high`, as float16 most exact about `middle`."""
        if dtype == "float16":
            offset = low if middle is None else middle
            far = max(high - offset, offset - low) / HALF
            return cls(dtype, offset, 2.0 ** np.ceil(np.log2(far)) if far else 1.0)
        if dtype != "uint16":
            return cls(dtype)
        step = (high - low) / STEPS if high > low else 1.0
        return cls(dtype, low - step, step)

    @property
    def masked(self) -> float:
        """What is stored where there is no value."""
        return 0 if self.dtype == "uint16" else float("nan")

    def stored(self, values: Float) -> NDArray[Any]:
        """Values as they are stored."""
        if self.dtype == "float32":
            return values.astype(self.dtype)
        if self.dtype == "float16":
            return ((values.astype(np.float64) - self.offset) / self.step).astype(np.float16)
        steps = np.rint((values.astype(np.float64) - self.offset) / self.step)
        return np.where(np.isfinite(values), np.clip(steps, 1, STEPS + 1), 0).astype(np.uint16)

    def as_json(self) -> dict[str, Any]:
        """What a reader must know."""
        masked = 0 if self.dtype == "uint16" else "NaN"
        return {"dtype": self.dtype, "offset": self.offset, "step": self.step, "masked": masked}

    def words(self, name: str, unit: str | None) -> str:
        """What is lost, in words."""
        scale = f"{name}: value = {self.offset:.9g} + {self.step:.9g} * stored, error up to"
        if self.dtype == "float16":
            return f"{scale} 0.05 % of the distance from {self.offset:.3g} {unit or ''}".rstrip()
        return f"{scale} {self.step / 2:.3g} {unit or ''}; 0 is masked".replace(" ;", ";")


def encodings(contents: Contents, dtype: str) -> dict[str, Encoding]:
    """The encoding of every map; for other types than float32 all values are read."""
    names = contents.layout.names
    if dtype not in DTYPES:
        raise OptionError(f"--dtype {dtype}", ", ".join(DTYPES))
    if dtype == "float32":
        return dict.fromkeys(names, Encoding())
    low, high = dict.fromkeys(names, np.inf), dict.fromkeys(names, -np.inf)
    middles: dict[str, list[float]] = {name: [] for name in names}
    for name, _, _, values, _ in contents.shards():
        finite = values[np.isfinite(values)]
        if finite.size:
            low[name] = min(low[name], float(finite.min()))
            high[name] = max(high[name], float(finite.max()))
            middles[name].append(float(np.median(finite)))
    return {
        n: Encoding.of(dtype, low[n], high[n], float(np.median(middles[n])))
        if middles[n]
        else Encoding.of(dtype, 0.0, 1.0)
        for n in names
    }


__all__ = ["DTYPES", "Encoding", "encodings"]
