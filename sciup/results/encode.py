"""Maps in fewer bits: what is lost, and how to come back to the values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import OptionError
from sciup.image import Float
from sciup.results.contents import Contents

DTYPES = ("float32", "uint16")

STEPS = 65534
"""Numbers of uint16 besides 0, which is masked, less one."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the values of a map are stored: ``value = offset + step * stored``.

    Attributes
    ----------
    dtype : str
        One of `DTYPES`.
    offset, step : float
        0 and 1 for floating point. As uint16, 0 is masked.

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
    def of(cls, dtype: str, low: float, high: float) -> Encoding:
        """For values from `low` to `high`."""
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
        if self.dtype != "uint16":
            return values.astype(self.dtype)
        steps = np.rint((values.astype(np.float64) - self.offset) / self.step)
        return np.where(np.isfinite(values), np.clip(steps, 1, STEPS + 1), 0).astype(np.uint16)

    def as_json(self) -> dict[str, Any]:
        """What a reader must know."""
        masked = 0 if self.dtype == "uint16" else "NaN"
        return {"dtype": self.dtype, "offset": self.offset, "step": self.step, "masked": masked}

    def words(self, name: str, unit: str | None) -> str:
        """What is lost, in words."""
        return (
            f"{name}: value = {self.offset:.9g} + {self.step:.9g} * stored, error up to"
            f" {self.step / 2:.3g} {unit or ''}; 0 is masked".replace(" ;", ";")
        )


def encodings(contents: Contents, dtype: str) -> dict[str, Encoding]:
    """The encoding of every map; for other types than float32 all values are read."""
    names = contents.layout.names
    if dtype not in DTYPES:
        raise OptionError(f"--dtype {dtype}", ", ".join(DTYPES))
    if dtype == "float32":
        return dict.fromkeys(names, Encoding())
    low, high = dict.fromkeys(names, np.inf), dict.fromkeys(names, -np.inf)
    for name, _, _, values, _ in contents.shards():
        finite = values[np.isfinite(values)]
        if finite.size:
            low[name] = min(low[name], float(finite.min()))
            high[name] = max(high[name], float(finite.max()))
    seen = {n: (low[n], high[n]) if high[n] >= low[n] else (0.0, 1.0) for n in names}
    return {name: Encoding.of(dtype, *ends) for name, ends in seen.items()}


__all__ = ["DTYPES", "Encoding", "encodings"]
