"""Keypoints as heatmaps, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.image import Domain
from sciup.keypoints._maxima import APART, apart, maxima, vertex
from sciup.keypoints._places import KINDS, Keypoints, gaussians, joined, kinds_of


def heatmap(
    points: Keypoints, domain: Domain, shape: tuple[int, int], sigma: float = 1.5
) -> NDArray[np.float32]:
    """Per kind, the highest of the Gaussians of height 1 about its keypoints.

    Parameters
    ----------
    points : Keypoints
        Places in px; their strengths do not matter.
    domain : {"fluorescence", "night-sky"}
        Says which kinds there are.
    shape : (int, int)
        Height and width of the image, px.
    sigma : float
        Of the Gaussians, px; their values below 4e-5 are 0.

    Returns
    -------
    ndarray (C, h, w) of float32
        From 0 to 1.

    Raises
    ------
    OptionError
        If `domain` is unknown.

    Examples
    --------
    >>> one = Keypoints(np.array([1]), np.array([[3.0, 4.0]]), np.array([9.0]))
    >>> heatmap(one, "night-sky", (8, 8))[:, 3, 4].tolist()
    [0.0, 1.0]
    """
    out = np.zeros((len(kinds_of(domain)), *shape), np.float32)
    y, x, height = gaussians(points.place, shape, sigma)
    kind = np.broadcast_to(points.kind[:, None, None], height.shape)
    np.maximum.at(out, (kind, y, x), height.astype(np.float32))
    return out


def peaks(heat: NDArray[np.floating], domain: Domain, threshold: float) -> Keypoints:
    """Local maxima of a heatmap, `APART` px from any higher one.

    Parameters
    ----------
    heat : ndarray (C, h, w)
        One channel per kind.
    domain : {"fluorescence", "night-sky"}
        Says which kinds there are.
    threshold : float
        Least height; above 0.

    Returns
    -------
    Keypoints
        Between pixels, by parabolas; the strength is their height.

    Raises
    ------
    InputError
        If the heatmap has another number of channels.
    OptionError
        If `domain` is unknown.

    Examples
    --------
    >>> one = Keypoints(np.array([0]), np.array([[30.0, 40.0]]), np.array([1.0]))
    >>> peaks(heatmap(one, "night-sky", (64, 64)), "night-sky", 0.5).place.tolist()
    [[30.0, 40.0]]
    """
    if heat.ndim != 3 or len(heat) != len(kinds_of(domain)):
        raise InputError(f"a heatmap of shape {heat.shape}", f"{len(KINDS[domain])} channels, y, x")
    found = []
    for channel in np.asarray(heat, np.float64):
        y, x = maxima(np.where(channel >= threshold, channel, 0))
        place, height = vertex(channel, (y, x))
        found.append(apart(place, height, np.full(len(place), APART)))
    return joined(found)
