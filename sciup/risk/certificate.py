"""What is certified of each bin, group by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError, ModelError
from sciup.risk.betting import bin_bounds
from sciup.risk.folds import DELTA
from sciup.risk.plain import checked, jsonable, numbers

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Certificate:
    """Upper bounds of the share of wrong pixels, per group and bin.

    The bounds of one group hold together with probability ``1 - delta`` over the choice of its
    calibration units; each group is a statement of its own.

    Attributes
    ----------
    delta : float
        Probability that any bound of a group is too low.
    units : dict of str to int
        Independent units per group.
    bounds : dict of str to tuple of float
        Per bin, NaN where nothing was seen.
    """

    delta: float
    units: dict[str, int]
    bounds: dict[str, tuple[float, ...]]

    def bound(self, group: str | None = None) -> tuple[float, ...]:
        """Bounds of a group, or per bin the worst of all groups for one that was not calibrated.

        The worst is a fallback to be shown with its name: no theorem covers an unseen group.
        """
        if group in self.bounds:
            return self.bounds[group]
        worst = np.fmax.reduce([np.asarray(row) for row in self.bounds.values()])
        return tuple(worst.tolist())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; NaN becomes None."""
        bounds = {group: jsonable(row) for group, row in self.bounds.items()}
        return {"delta": self.delta, "units": dict(self.units), "bounds": bounds}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Certificate:
        """Read what `to_dict` wrote.

        Raises
        ------
        ModelError
            For unknown or missing keys, groups or values out of range.
        """
        found = checked(data, ("delta", "units", "bounds"), "certificate")
        delta = numbers([found["delta"]], "delta", 0, 1)[0]
        groups = list(checked(found["bounds"], found["units"], "table of bounds"))
        bounds = {g: tuple(numbers(found["bounds"][g], f"bounds of {g}", 0, 1)) for g in groups}
        if len({len(row) for row in bounds.values()}) != 1:
            raise ModelError("groups of the certificate differ in bins", "the same bins in all")
        units = {g: int(numbers([found["units"][g]], f"units of {g}", 1)[0]) for g in groups}
        return cls(delta, units, bounds)


def certify(shares: Mapping[str, tuple[Array, Array]], delta: float = DELTA) -> Certificate:
    """Certify every bin of every group from the units of fold 2.

    Parameters
    ----------
    shares : mapping of str to (ndarray (n, bins), ndarray (n, bins))
        Per group (modality and structure) the shares of wrong pixels and of all pixels, one row
        per unit, from `sciup.risk.folds.field_shares` and `sciup.risk.folds.by_unit`.
    delta : float
        Probability that any bound of a group is too low.

    Raises
    ------
    InputError
        If there is no group, or a group without units.

    Examples
    --------
    >>> weight = np.tile([0.9, 0.1], (60, 1))
    >>> found = certify({"nuclei": (weight * [0.0, 0.3], weight)})
    >>> [round(x, 2) for x in found.bound("nuclei")]
    [0.06, 0.34]
    """
    if not shares:
        raise InputError("there is no group to certify", "one or more")
    bounds = {g: tuple(bin_bounds(h, w, delta).tolist()) for g, (h, w) in shares.items()}
    return Certificate(delta, {g: len(h) for g, (h, _) in shares.items()}, bounds)
