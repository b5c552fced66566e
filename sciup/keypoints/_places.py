"""Places in an image, by kind; and the Gaussians about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sciup.errors import OptionError
from sciup.image import KEYPOINT_KINDS, Domain

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Found = tuple[Array, Array]
"""Places (N, 2) and strengths (N,) of one kind."""

KINDS = KEYPOINT_KINDS
"""Names of the kinds, in the order of the channels of a heatmap."""


@dataclass(frozen=True)
class Keypoints:
    """Places in an image.

    Attributes
    ----------
    kind : ndarray (N,) of intp
        Index into ``KINDS[domain]``.
    place : ndarray (N, 2) of float64
        y, x in px; 0 is the centre of the first pixel.
    strength : ndarray (N,) of float64
        Micrographs: contrast relative to what is around. Night sky: estimate of the flux. Heatmaps:
        height. To be compared within a kind only.
    """

    kind: Index
    place: Array
    strength: Array

    def __len__(self) -> int:
        return len(self.kind)

    def of(self, kind: int) -> Keypoints:
        """Those of one kind, by its index."""
        keep = self.kind == kind
        return Keypoints(self.kind[keep], self.place[keep], self.strength[keep])


def joined(lists: list[Found]) -> Keypoints:
    """What was found of each kind, in the order of the kinds, as one."""
    kind = np.repeat(np.arange(len(lists)), [len(strength) for _, strength in lists])
    place, strength = (np.concatenate(parts) for parts in zip(*lists, strict=True))
    return Keypoints(kind, place.reshape(-1, 2), strength)


def kinds_of(domain: Domain) -> tuple[str, ...]:
    """Names of the kinds of a domain that may be unknown."""
    if domain not in KINDS:
        raise OptionError(f"domain {domain!r} was asked for", " or ".join(KINDS))
    return KINDS[domain]


def gaussians(place: Array, shape: tuple[int, ...], sigma: float) -> tuple[Index, Index, Array]:
    """Rows, columns and values (N, k, k) of Gaussians of height 1; beyond the image they are 0."""
    steps = np.arange(-int(4.5 * sigma) - 1, int(4.5 * sigma) + 2)
    sides, parts = [], []
    for along, n in zip(place.T, shape, strict=True):
        index = np.rint(along).astype(np.intp)[:, None] + steps
        part = np.exp(-0.5 * ((index - along[:, None]) / sigma) ** 2)
        parts.append(np.where((index >= 0) & (index < n), part, 0))
        sides.append(np.clip(index, 0, n - 1))
    y, x = np.broadcast_arrays(sides[0][:, :, None], sides[1][:, None, :])
    return y, x, parts[0][:, :, None] * parts[1][:, None, :]
