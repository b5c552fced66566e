"""Transformations to named coordinate systems, as SpatialData keeps them with every image.

They lead from pixels, whose first *corner* is the origin, to coordinates of a system. What is
parallel to the axes becomes pixel size and origin; anything else is not applied, which is said.

References
----------
SpatialData: Marconato et al. (2025), Nature Methods 22, 58. Transformations by name: the proposal
RFC-5 of OME-NGFF.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.io._lengths import unit_name

logger = logging.getLogger("sciup")

USUAL = "global"
"""The system that SpatialData makes where nobody names one."""


@dataclass(frozen=True)
class Affine:
    """Coordinates from coordinates: `matrix` has a row per axis of `out`, `shift` is added.

    Attributes
    ----------
    axes, out : tuple of str
        Names of the axes of what goes in and of what comes out.
    matrix : ndarray of shape (len(out), len(axes))
    shift : ndarray of shape (len(out),)
    """

    axes: tuple[str, ...]
    out: tuple[str, ...]
    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]

    def then(self, other: Affine) -> Affine:
        """Both, one after the other; axes go by their names."""
        rows = [self.out.index(axis) for axis in other.axes]
        matrix = other.matrix @ self.matrix[rows]
        return Affine(self.axes, other.out, matrix, other.matrix @ self.shift[rows] + other.shift)

    def along(self, axis: str) -> tuple[float, float] | None:
        """Scale and shift along an axis; None if other axes have a part in it."""
        if axis not in self.axes or axis not in self.out:
            return None
        row, column = self.out.index(axis), self.axes.index(axis)
        scale, shift = float(self.matrix[row, column]), float(self.shift[row])
        others = np.delete(self.matrix[row], column)
        if not (0 < scale < np.inf and np.isfinite(shift)):
            return None
        return (scale, shift) if np.all(np.abs(others) <= 1e-9 * scale) else None


def is_named(steps: Any) -> bool:
    """Whether transformations lead to coordinate systems, one each; else they follow each other."""
    some = steps if isinstance(steps, list) else []
    return any(isinstance(s, Mapping) and isinstance(s.get("output"), Mapping) for s in some)


def affine_of(step: Mapping[str, Any], axes: Sequence[str]) -> Affine:
    """A transformation as metadata tell it.

    Parameters
    ----------
    step : mapping
        With ``type``, and ``input`` and ``output`` where axes have names of their own.
    axes : sequence of str
        Names of the axes where `step` names none.

    Raises
    ------
    ValueError, TypeError, KeyError
        If it cannot be understood.

    Examples
    --------
    >>> affine_of({"type": "scale", "scale": [2.0, 3.0]}, "yx").along("x")
    (3.0, 0.0)
    """
    names = _names(step.get("input"), axes)
    count, kind = len(names), step["type"]
    if kind == "sequence":
        found = Affine(names, names, np.eye(count), np.zeros(count))
        for part in step["transformations"]:
            found = found.then(affine_of(part, found.out))
        return found
    if kind == "mapAxis":
        out = tuple(step["mapAxis"])
        picked = [names.index(name) for name in step["mapAxis"].values()]
        return Affine(names, out, np.eye(count)[picked], np.zeros(len(out)))
    if kind == "affine":
        whole = np.asarray(step["affine"], float)
        out = _names(step.get("output"), names)
        return _checked(Affine(names, out, whole[:, :-1], whole[:, -1]))
    matrix, shift = np.eye(count), np.zeros(count)
    if kind == "scale":
        matrix = np.diag(np.asarray(step["scale"], float))
    elif kind == "translation":
        shift = np.asarray(step["translation"], float)
    elif kind == "rotation":
        matrix = np.reshape(np.asarray(step["rotation"], float), (count, count))
    elif kind != "identity":
        raise ValueError(f"transformations of the type {kind!r} are not known")
    return _checked(Affine(names, names, matrix, shift))


def affine_of_object(way: Any, axes: Sequence[str]) -> Affine:
    """A transformation of the package spatialdata, by what it can do.

    Raises
    ------
    Exception
        Whatever it raises where it has no matrix for the axes.
    """
    names = tuple(axes)
    whole = np.asarray(way.to_affine_matrix(input_axes=names, output_axes=names), float)
    return _checked(Affine(names, names, whole[:-1, :-1], whole[:-1, -1]))


def _names(system: Any, others: Sequence[str]) -> tuple[str, ...]:
    """Names of the axes of a coordinate system, where it is told."""
    if isinstance(system, Mapping) and system.get("axes"):
        return tuple(str(axis["name"]) for axis in system["axes"])
    return tuple(others)


def _checked(found: Affine) -> Affine:
    shape = len(found.out), len(found.axes)
    if found.matrix.shape != shape or found.shift.shape != shape[:1]:
        raise ValueError(f"a transformation of {found.axes} to {found.out} has another shape")
    return found


def unit_of(step: Mapping[str, Any]) -> str | None:
    """The unit of y and x in the system that a transformation leads to, if it is a length."""
    axes = {str(a.get("name")): a.get("unit") for a in step["output"].get("axes") or []}
    units = {unit_name(None if axes.get(a) is None else str(axes[a])) for a in "yx"}
    return units.pop() if len(units) == 1 else None


def chosen(names: Sequence[str], units: Sequence[str | None], where: str) -> int:
    """Number of the system that is taken: one with a unit, else the usual one, else the first."""
    order = sorted(range(len(names)), key=lambda i: (units[i] is None, names[i] != USUAL, i))
    if len(names) > 1:
        told = ", ".join(repr(n) for n in names)
        logger.info("%s: of the coordinate systems %s %r is taken", where, told, names[order[0]])
    return order[0]


def warn_of(name: str, where: str) -> None:
    """Say that a transformation is not applied."""
    logger.warning(
        "%s: the transformation to %r turns, shears or mirrors y and x; it is not applied, the "
        "pixels stay as they are and their size is unknown", where, name,
    )  # fmt: skip


__all__ = ["Affine", "affine_of", "affine_of_object", "chosen", "is_named", "unit_of", "warn_of"]
