"""Votes of the draws, counted as they come."""

from __future__ import annotations

import torch
from torch import Tensor


class Votes:
    """How many draws differ by more than the tolerance from an image, in means over 3 px.

    Parameters
    ----------
    limit : Tensor
        Tolerance of a sum over 3 x 3 px, on the core.
    keep : bool
        Whether the sums are kept, to count the votes on another image, too.
    """

    def __init__(self, limit: Tensor, keep: bool = False) -> None:
        self.limit, self._lower, self._vote = limit, -limit, torch.empty_like(limit)
        self.missed, self.invented = torch.zeros_like(limit), torch.zeros_like(limit)
        self._kept = [torch.zeros_like(limit)] if keep else []

    def add(self, moved: Tensor) -> None:
        """One more draw: sums over 3 x 3 px of it less the image."""
        # counts are floats: a comparison into float is quicker than the sum of bool and float
        self.missed += torch.gt(moved, self.limit, out=self._vote)
        self.invented += torch.lt(moved, self._lower, out=self._vote)
        if self._kept:
            self._kept.append(moved)

    def counts(self, shift: Tensor | None) -> dict[str, Tensor]:
        """By kind; with `shift`, the sums of another image less this one, of that image, too."""
        found = {"invented": self.invented, "missed": self.missed}
        if shift is not None and self._kept:
            away = ((moved - shift).abs_() > self.limit for moved in self._kept)
            found["mean"] = torch.stack(list(away)).sum(0)
        return found
