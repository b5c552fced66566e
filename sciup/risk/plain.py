"""Calibrations as plain data: read strictly, so that a misspelt key is never ignored."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sciup.errors import ModelError


def checked(data: object, keys: Iterable[str], name: str) -> Mapping[str, Any]:
    """The mapping itself, if it has exactly these keys.

    Raises
    ------
    ModelError
        For anything but a mapping, and for unknown or missing keys.

    Examples
    --------
    >>> checked({"edges": [], "colour": 1}, ["edges"], "risk map")
    Traceback (most recent call last):
        ...
    sciup.errors.ModelError: the risk map has the unknown key 'colour'. Allowed: edges. ...
    """
    allowed = list(keys)
    fix = "write it again with this version of sciup"
    if not isinstance(data, Mapping):
        kind = type(data).__name__
        raise ModelError(f"the {name} is a {kind}, not a mapping", ", ".join(allowed), fix)
    for word, wrong in (
        ("unknown", sorted(map(str, set(data) - set(allowed)))),
        ("missing", [k for k in allowed if k not in data]),
    ):
        if wrong:
            verb = "has the unknown" if word == "unknown" else "lacks the"
            raise ModelError(f"the {name} {verb} key {wrong[0]!r}", ", ".join(allowed), fix)
    return data


def numbers(
    values: object, name: str, low: float = -math.inf, high: float = math.inf
) -> list[float]:
    """A list of numbers within limits; None stands for NaN.

    Raises
    ------
    ModelError
        For anything else.

    Examples
    --------
    >>> numbers([0.5, None], "bounds", 0, 1)
    [0.5, nan]
    """
    if isinstance(values, Sequence) and not isinstance(values, str):
        found = [math.nan if v is None else v for v in values]
        if all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and not (v < low or v > high)
            for v in found
        ):
            return [float(v) for v in found]
    raise ModelError(f"{name} is {values!r}", f"a list of numbers from {low:g} to {high:g}")


def jsonable(values: Iterable[float]) -> list[float | None]:
    """Numbers as JSON has them: NaN, which it lacks, becomes None.

    Examples
    --------
    >>> jsonable([0.5, float("nan")])
    [0.5, None]
    """
    return [None if math.isnan(v) else float(v) for v in values]
