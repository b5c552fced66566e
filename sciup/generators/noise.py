"""Noise that belongs to the sky, not to the tile.

Every normal number is a pure function of (seed, image digest, sample, plane, absolute pixel,
channel): Philox4x32-10 counters, no state. Integer arithmetic and one table give the same bits on
every machine, in any tile, region or order.

References
----------
Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3, SC'11,
doi:10.1145/2063384.2063405.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sciup.geometry import Box

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_OFFSET = 1 << 31  # halo pixels have negative coordinates

COARSE_STEP = 8
"""Distance of the nodes of the coarse noise, in input pixels."""

Counter = tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]
Words = NDArray[np.uint64]


def philox(counter: Counter, key: tuple[int, int]) -> Counter:
    """Philox4x32-10: four counter words to four random words, elementwise.

    Counters that broadcast against each other spare the work of the first rounds, in which not
    every word depends on all of them.

    Examples
    --------
    The known answer of the reference implementation for counter and key 0:

    >>> zero = np.zeros(1, np.uint32)
    >>> [hex(int(w[0])) for w in philox((zero, zero, zero, zero), (0, 0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    a, b, c, d = (w.astype(np.uint32) for w in _philox(counter, key))
    return a, b, c, d


def _philox(counter: Counter, key: tuple[int, int]) -> list[Words]:
    """`philox`, its words in 64 bits each, as the products that they come from."""
    c0, c1, c2, c3 = (c.astype(np.uint64) for c in counter)
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c2 = _upper(p1, c1, k0, c0), _upper(p0, c3, k1, c2)
        p0 &= _LOW
        p1 &= _LOW
        c1, c3 = p1, p0
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def _upper(product: Words, word: Words, key: int, old: Words) -> Words:
    """Upper half of a product, mixed with a word and the key; `word` and `old` are used up."""
    word ^= np.uint64(key)
    if not product.shape == word.shape == old.shape:  # the first rounds, which broadcast
        return (product >> _SHIFT) ^ word
    np.right_shift(product, _SHIFT, out=old)
    old ^= word
    return old


@cache
def quantiles() -> NDArray[np.float32]:
    """Normal quantiles at the middles of 2^16 equal probabilities."""
    from scipy.special import ndtri  # training, which draws otherwise, does without scipy

    return np.asarray(ndtri((np.arange(65536) + 0.5) / 65536), np.float32)


def noise_key(seed: int, digest: str, sample: int) -> tuple[int, int]:
    """Key of one sample of one image: two images never share their noise."""
    text = f"sciup-noise-1|{seed}|{digest}|{sample}".encode()
    value = hashlib.blake2b(text, digest_size=8).digest()
    return int.from_bytes(value[:4], "little"), int.from_bytes(value[4:], "little")


def ranks(key: tuple[int, int], plane: int, box: Box, channels: int) -> NDArray[np.uint16]:
    """Which of the `quantiles` every number of `normal_field` is, (h, w, channels).

    The channel is the fastest axis, as the networks want it.
    """
    (y0, x0), (y1, x1) = box.start, box.stop
    y = ((np.arange(y0, y1) + _OFFSET) & 0xFFFFFFFF).astype(np.uint32)[:, None]
    x = ((np.arange(x0, x1) + _OFFSET) & 0xFFFFFFFF).astype(np.uint32)[None, :]
    words: list[Words] = []
    for group in range(-(-channels // 8)):
        words += _philox(
            (y, x, np.full((1, 1), plane, np.uint32), np.full((1, 1), group, np.uint32)), key
        )
    # two numbers from each word, the lower half first; two words are stored as one
    pairs = np.empty((*box.shape, -(-channels // 4)), "<u8")
    for i in range(pairs.shape[-1]):
        lower, upper = words[2 * i : 2 * i + 2]
        upper <<= _SHIFT
        np.bitwise_or(lower, upper, out=pairs[..., i])
    return pairs.view("<u2")[..., :channels]


def normal_field(key: tuple[int, int], plane: int, box: Box, channels: int) -> NDArray[np.float32]:
    """Independent standard normal numbers for every pixel of a box.

    Parameters
    ----------
    key : (int, int)
        From `noise_key`.
    plane : int
        Number of the plane (row-major over the leading axes), below 2^24.
    box : Box
        Absolute pixels (y, x); may be negative.
    channels : int
        Numbers per pixel; a longer request begins with the same channels.

    Returns
    -------
    ndarray of shape (channels, h, w), float32
    """
    return np.moveaxis(quantiles().take(ranks(key, plane, box, channels)), -1, 0)


def coarse_field(key: tuple[int, int], plane: int, box: Box) -> NDArray[np.float32]:
    """Noise that varies over `COARSE_STEP` input pixels: nodes joined bilinearly, unit variance.

    Returns
    -------
    ndarray of shape box.shape, float32
    """
    nodes = Box(
        tuple(a // COARSE_STEP for a in box.start), tuple(b // COARSE_STEP + 2 for b in box.stop)
    )
    values = normal_field(key, plane + (1 << 24), nodes, 1)[0]
    for axis in (0, 1):
        position = np.arange(box.start[axis], box.stop[axis])
        left = position // COARSE_STEP - nodes.start[axis]
        weight = ((position % COARSE_STEP + 0.5) / COARSE_STEP).astype(np.float32)
        # keep the variance at 1 between the nodes too
        norm = np.sqrt(weight**2 + (1 - weight) ** 2)
        lower, upper = (1 - weight) / norm, weight / norm
        shape = (-1, 1) if axis == 0 else (1, -1)
        values = values.take(left, axis) * lower.reshape(shape) + values.take(
            left + 1, axis
        ) * upper.reshape(shape)
    return np.asarray(values, np.float32)


def correlate(white: NDArray[np.float32], neighbour: float) -> NDArray[np.float32]:
    """Give white noise a correlation with its four nearest neighbours; loses 1 pixel a side.

    The filter is (a, 1, a) along each axis, of unit variance: its correlation at lag 1 is
    2 a / (1 + 2 a^2), which reaches 0.707.
    """
    if neighbour <= 0:
        return white[..., 1:-1, 1:-1]
    a = _tap(neighbour)
    taps = (np.array([a, 1, a]) / np.sqrt(1 + 2 * a**2)).astype(np.float32)
    rows = sum(t * white[..., i : white.shape[-2] - 2 + i, :] for i, t in enumerate(taps))
    out = sum(t * rows[..., i : white.shape[-1] - 2 + i] for i, t in enumerate(taps))
    return np.asarray(out, np.float32)


def second_lag(neighbour: float) -> float:
    """Correlation at lag 2 that `correlate` gives with this one at lag 1.

    Examples
    --------
    >>> round(second_lag(0.5), 3)
    0.073
    """
    a = _tap(neighbour)
    return a * a / (1 + 2 * a * a)


def _tap(neighbour: float) -> float:
    """The a of the filter (a, 1, a)."""
    rho = min(neighbour, 0.7)
    return float((1 - np.sqrt(1 - 2 * rho**2)) / (2 * rho)) if rho > 0 else 0.0
