"""Power spectra of images: by ring, their distance, and the imprint of an upsampling grid."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.signal.windows import hann

Array = NDArray[np.float64]

ABOVE = 3.0
"""Rings count where the truth has this many times the power of its own noise."""
LOWEST = 2
"""First ring that counts: the window spreads the mean over those below."""
SEGMENT = 64
NEAR = (2, 4)
"""Neighbours of a frequency: this many steps away; a Hann window reaches one step."""


def ring_power(image: Array) -> tuple[Array, Array]:
    """Mean power by ring of spatial frequency; white noise of deviation 1 has power 1.

    Returns
    -------
    frequency, power : ndarray
        Cycles per pixel up to 0.5, rings one step of the shorter side wide, without ring 0.
    """
    h, w = image.shape
    window = np.outer(hann(h, sym=False), hann(w, sym=False))
    mean = (image * window).sum() / window.sum()
    power = np.abs(np.fft.fft2((image - mean) * window)) ** 2 / (window**2).sum()
    side = min(h, w)
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None, :])
    ring = np.round(radius * side).astype(int).ravel()
    count = side // 2 + 1
    total = np.bincount(ring, power.ravel(), count)[:count] / np.bincount(ring)[:count]
    return np.arange(1, count) / side, np.asarray(total[1:])


def log_spectral_distance(estimate: Array, truth: Array, noise: float) -> float:
    """Root mean square over rings of ``10 log10`` of the ratio of two powers, dB.

    Parameters
    ----------
    estimate : ndarray (h, w)
        An image without the noise of the truth: the power of that noise is added.
    truth : ndarray (h, w)
    noise : float
        Deviation of the truth's own white noise. Rings where the truth's power is at most `ABOVE`
        times that of the noise do not count.
    """
    _, p = ring_power(estimate)
    _, t = ring_power(truth)
    good = t > ABOVE * noise**2
    good[: LOWEST - 1] = False
    if not good.any():
        return float("nan")
    ratio = (p[good] + noise**2) / t[good]
    return float(np.sqrt((np.log10(np.maximum(ratio, 1e-30)) ** 2).mean()) * 10)


def welch(image: Array, side: int = SEGMENT) -> Array:
    """Power spectrum (side, side), averaged over half-overlapping segments with a Hann window.

    References
    ----------
    Welch (1967), IEEE Trans. Audio Electroacoust. 15, 70, in two dimensions.
    """
    parts = sliding_window_view(image, (side, side))[:: side // 2, :: side // 2]
    window = np.outer(hann(side, sym=False), hann(side, sym=False))
    parts = parts - parts.mean((-1, -2), keepdims=True)
    return np.asarray((np.abs(np.fft.fft2(parts * window)) ** 2).mean((0, 1)))


def imprint(image: Array, scale: int) -> dict[str, float]:
    """Logarithm of the power at multiples of 1/s of the sampling frequency, over that near it.

    A network that upsamples by pixel shuffle can leave a pattern of that period. What the
    neighbourhood lets expect is a parabola fitted to the logarithms 2 to 4 steps away, so that a
    smooth spectrum gives 0 on average over images.

    Returns
    -------
    dict
        By ``Y/s,X/s``, one of each pair of opposite frequencies; empty at scale 1 and for images
        smaller than a segment.
    """
    side = SEGMENT if min(image.shape) >= SEGMENT else SEGMENT // 2
    if scale == 1 or min(image.shape) < side:
        return {}
    power = np.log(np.maximum(welch(image, side), 1e-300))
    step = np.arange(-NEAR[1], NEAR[1] + 1)
    weights = _expectation(step)
    found = {}
    for k in range(scale):
        for m in range(scale):
            if (k, m) == (0, 0) or (k, m) > (-k % scale, -m % scale):
                continue
            rows, cols = (n * side // scale + step for n in (k, m))
            square = power[np.ix_(rows % side, cols % side)]
            expected = float((weights * square).sum())
            found[f"{k}/{scale},{m}/{scale}"] = float(square[NEAR[1], NEAR[1]]) - expected
    return found


def _expectation(step: NDArray[np.intp]) -> Array:
    """Weights of the square around a frequency that give its value from the ring: least squares."""
    y, x = (v.ravel() for v in np.meshgrid(step, step, indexing="ij"))
    near = np.maximum(np.abs(y), np.abs(x)) >= NEAR[0]
    terms = np.stack([np.ones(y.size), y, x, y * y, x * y, x * x], axis=1)
    weights = np.zeros(y.size)
    weights[near] = np.linalg.pinv(terms[near])[0]
    return weights.reshape(step.size, step.size)
