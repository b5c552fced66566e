"""Votes of the draws, and their spread, gathered as they come."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciup.risk.score import tail

Values = NDArray[np.floating[Any]]


class Tally(NamedTuple):
    """What draws say about an image: numbers of votes, and `sciup.risk.score.tail`, (h, w) each."""

    invented: Values
    missed: Values
    tail_invented: Values
    tail_missed: Values


class Votes:
    """How far draws are from an image, in means over 3 px, and how often by more than allowed.

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
        self._sum, self._squares = torch.zeros_like(limit), torch.zeros_like(limit)
        self._count = 0
        self._kept = [torch.zeros_like(limit)] if keep else []

    def add(self, moved: Tensor) -> None:
        """One more draw: sums over 3 x 3 px of it less the image."""
        # counts are floats: a comparison into float is quicker than the sum of bool and float
        self.missed += torch.gt(moved, self.limit, out=self._vote)
        self.invented += torch.lt(moved, self._lower, out=self._vote)
        self._sum += moved
        self._squares.addcmul_(moved, moved)
        self._count += 1
        if self._kept:
            self._kept.append(moved)

    def share(self) -> Values:
        """Votes over draws and the image itself, half a vote more: the risk without calibration."""
        counted = (self.missed + self.invented + 0.5) / (self._count + 1)
        return np.asarray(counted[0, 0].cpu().numpy())

    def on_image(self) -> Tally:
        """Of the draws that were added."""
        return self._tally(self.invented, self.missed, self._count)

    def on_another(self, shift: Tensor) -> Tally:
        """Of these and the image itself, on another image: `shift` is its sums less the image's."""
        low, high = (torch.zeros_like(self.limit) for _ in range(2))
        for moved in self._kept:
            away = moved - shift
            low += torch.lt(away, self._lower, out=self._vote)
            high += torch.gt(away, self.limit, out=self._vote)
        return self._tally(low, high, self._count + 1, shift)

    def _tally(
        self, invented: Tensor, missed: Tensor, voters: int, shift: Tensor | None = None
    ) -> Tally:
        mean = self._sum / voters
        # of one voter there is no spread, and none is asked for
        variance = (self._squares - self._sum * mean).clamp_(min=0) / max(voters - 1, 1)
        if shift is not None:
            mean -= shift
        moved, std, limit, low, high = (
            x[0, 0].cpu().numpy() for x in (-mean, variance.sqrt_(), self.limit, invented, missed)
        )
        return Tally(low, high, *tail(moved, std, limit, voters))
