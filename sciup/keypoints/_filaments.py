"""Forks and ends of filaments."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label, maximum_filter

from sciup.keypoints._maxima import apart, maxima
from sciup.keypoints._places import Array, Found, Index
from sciup.keypoints._waves import TINY, Waves

RAY, RAYS = 8, 24
"""Length [px] and number of the straight rays that look for the arms of a filament."""

ARM, GONE = 0.5, 0.2
"""Ridge all along an arm, and somewhere along a ray that is none, relative to its start."""


def filaments(waves: Waves, noise: float, fwhm: float, spread: Array) -> Found:
    """Forks and ends of ridges, by the number of straight arms that leave a pixel of the crest."""
    ridge, height = _ridges(waves, noise, fwhm, spread)
    at = np.flatnonzero(height)
    far = np.minimum(_ray(ridge, at, RAY // 2), _ray(ridge, at, RAY))
    sides = ((far > ARM) != np.roll(far > ARM, 1, axis=1)).sum(1)
    # most pixels have two arms, or none; the rest is worth a closer look
    odd = (sides != 0) & (sides != 4)
    at, far = at[odd], far[odd]
    near = np.stack([_ray(ridge, at, r) for r in (RAY // 4, RAY // 2)])
    low = np.minimum(np.minimum(far, near[0]), _ray(ridge, at, 3 * RAY // 4))
    arms = np.where((low > ARM) & (low == maximum_filter(low, (1, 7), mode="wrap")), low, 0)
    number = (arms > 0).sum(1)
    third = np.partition(arms, -3, axis=1)[:, -3]
    turn = (np.arange(RAYS) - low.argmax(1)[:, None]) % RAYS
    behind = (turn > RAYS / 5) & (turn < RAYS * 4 / 5)
    end = (number == 1) & (np.where(behind, near.min(0), 0).max(1) < GONE)
    free = low.max(1) - np.where(behind, near.mean(0), 0).max(1)
    found = []
    for chosen, score in ((number >= 3, third), (end, free)):
        field = np.zeros(ridge.shape)
        field.ravel()[at[chosen]] = np.maximum(score[chosen], 1e-6)
        y, x = maxima(field)
        found.append((_centroid(field, y, x), field[y, x] * height[y, x]))
    place, strength = (np.concatenate(both) for both in zip(*found, strict=True))
    return apart(place, strength, np.full(len(place), 5.0))


def _ridges(waves: Waves, noise: float, fwhm: float, spread: Array) -> tuple[Array, Array]:
    """Ridge, 0 off filaments, and its height in units of the least where it has a crest."""
    ridge, gain = waves.ridge(0.6 * fwhm)
    ridge = np.maximum(ridge, 0)
    square = waves.near(ridge**2, 8 * fwhm)[0]
    level = np.sqrt(np.maximum(square, (ridge**2).mean()))
    least = np.maximum(np.maximum(1.5 * level, 0.25 * spread), 5 * noise * gain + TINY)
    weak, strong = ridge > least / 3, ridge > least
    part, count = label(weak, np.ones((3, 3)))
    size, seeds = (np.bincount(part[on], minlength=count + 1) for on in (weak, strong))
    # length of a straight part from its second moments: L^2 / 12
    y, x = np.nonzero(weak)
    length = np.zeros(count + 1)
    for i in (y, x):
        mean, square = (
            np.bincount(part[y, x], i**p, count + 1) / np.maximum(size, 1) for p in (1, 2)
        )
        length += 12 * (square - mean**2)
    good = (seeds > RAY) & (length > (2 * RAY) ** 2)
    ridge = np.where(good[part], ridge, 0)
    rim = RAY + 1
    inner = np.zeros(ridge.shape, bool)
    inner[rim:-rim, rim:-rim] = True
    h, w = ridge.shape
    padded = np.pad(ridge, 1)
    crest = np.zeros(ridge.shape, bool)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        sides = (padded[1 + s * dy :, 1 + s * dx :][:h, :w] for s in (-1, 1))
        crest |= ridge >= np.maximum(*sides)
    return ridge, np.where(crest & inner & strong, ridge / least, 0)


def _ray(ridge: Array, at: Index, radius: int) -> Array:
    """Ridge (N, RAYS) at `radius` px from pixels (by flat index), relative to their own."""
    angles = (np.arange(RAYS) + 0.5) * 2 * np.pi / RAYS
    offset = radius * np.stack([np.sin(angles), np.cos(angles)])
    start = np.floor(offset).astype(np.intp)
    part, flat = offset - start, ridge.ravel()
    out = np.zeros((len(at), RAYS))
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.abs(1 - dy - part[0]) * np.abs(1 - dx - part[1])
        move = (start[0] + dy) * ridge.shape[1] + start[1] + dx
        out += flat[at[:, None] + move] * weight
    return out / flat[at, None]


def _centroid(field: Array, y: Index, x: Index) -> Array:
    """Mean place within 3 px of pixels, weighted by the field."""
    step = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 2, indexing="ij")).reshape(2, -1)
    weight = field[y[:, None] + step[0], x[:, None] + step[1]]
    return np.asarray(np.stack([y, x], axis=-1) + weight @ step.T / weight.sum(1, keepdims=True))
