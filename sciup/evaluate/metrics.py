"""Scores of images and of sets of draws: pure functions of arrays.

Draws have the shape (P, h, w), a truth (h, w). The truth is one more draw from the same
distribution when the model is right, and all scores are corrected for finite P accordingly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Array = NDArray[np.float64]


def block_mean(x: Array, side: int) -> Array:
    """Means over blocks of side x side pixels; rows and columns that do not fill one are cut.

    Examples
    --------
    >>> block_mean(np.arange(16.0).reshape(4, 4), 2).tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    h, w = (n // side for n in x.shape[-2:])
    cut = x[..., : h * side, : w * side]
    return np.asarray(cut.reshape(*x.shape[:-2], h, side, w, side).mean((-3, -1)))


def mse(estimate: Array, truth: Array) -> float:
    """Mean squared error."""
    return float(np.mean((estimate - truth) ** 2))


def psnr(estimate: Array, truth: Array, data_range: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB, ``10 log10(data_range^2 / mse)``.

    Examples
    --------
    >>> round(psnr(np.full((4, 4), 0.1), np.zeros((4, 4))), 6)
    20.0
    """
    return float(10 * np.log10(data_range**2 / mse(estimate, truth)))


def ssim(estimate: Array, truth: Array, data_range: float = 1.0) -> float:
    """Structural similarity with the Gaussian window of its paper.

    References
    ----------
    Wang, Bovik, Sheikh & Simoncelli (2004), IEEE TIP 13, 600.
    """
    from skimage.metrics import structural_similarity

    return float(
        structural_similarity(
            truth,
            estimate,
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def nrmse_affine(estimate: Array, truth: Array) -> float:
    """Root mean square error after the best ``a estimate + b``, over the truth's deviation.

    It is ``sqrt(1 - r^2)`` with the correlation r, so 0 is perfect and 1 is no better than a
    constant; gain and offset of the two images do not matter.

    Examples
    --------
    >>> x = np.arange(9.0).reshape(3, 3)
    >>> round(nrmse_affine(5 - 2 * x, x), 6)
    0.0
    """
    e, t = estimate - estimate.mean(), truth - truth.mean()
    energy = float((e * e).mean() * (t * t).mean())
    if energy == 0:
        return 1.0
    r2 = float((e * t).mean()) ** 2 / energy
    return float(np.sqrt(max(1 - r2, 0)))


def crps(draws: Array, truth: Array) -> float:
    """Mean fair CRPS; the mean absolute error where there is one draw.

    ``mean |x_j - t| - sum_{j<k} |x_j - x_k| / (P (P - 1))``: its expectation is the same for all P.

    References
    ----------
    Ferro (2014), Q. J. R. Meteorol. Soc. 140, 1917 (fair scores for ensembles).

    Examples
    --------
    >>> crps(np.array([[[0.0]], [[2.0]]]), np.array([[1.0]]))
    0.0
    """
    count = len(draws)
    error = float(np.abs(draws - truth).mean())
    if count == 1:
        return error
    # sum of |x_j - x_k| over pairs, from the order statistics
    weight = (2 * np.arange(1, count + 1) - count - 1).reshape(-1, *([1] * truth.ndim))
    pairs = (weight * np.sort(draws, axis=0)).sum(0)
    return error - float(pairs.mean()) / (count * (count - 1))


def spread_skill(draws: Array, truth: Array, side: int = 1) -> float:
    """Spread of the draws over the error of their mean, both of block means; 1 when right.

    ``sqrt((P + 1) / P * mean variance / mean squared error)``; below 1 the draws are too sure.

    References
    ----------
    Fortin, Abaza, Anctil & Turcotte (2014), J. Hydrometeorol. 15, 1708, eq. 15.
    """
    if len(draws) < 2:
        return float("nan")
    q, u = block_mean(draws, side), block_mean(truth, side)
    error, count = mse(q.mean(0), u), len(draws)
    return float(np.sqrt((count + 1) / count * q.var(axis=0, ddof=1).mean() / error))


def range_coverage(draws: Array, truth: Array, side: int = 1) -> float:
    """How often block means of the truth lie between those of the lowest and highest draw.

    Divided by the ``(P - 1) / (P + 1)`` that is due when truth and draws are exchangeable, so that
    1 is right; below 1 the draws are too sure.
    """
    count = len(draws)
    if count < 2:
        return float("nan")
    q, u = block_mean(draws, side), block_mean(truth, side)
    inside = (u >= q.min(0)) & (u <= q.max(0))
    return float(inside.mean()) * (count + 1) / (count - 1)


def vote(draws: Array, tolerance: float) -> Array:
    """Share of draws 1.. that differ from draw 0 by more than the tolerance in a 3 px mean."""
    smooth = uniform_filter(draws, (0, 3, 3))
    return np.asarray((np.abs(smooth[0] - smooth[1:]) > tolerance).mean(0))


def vote_error(draws: Array, truth: Array, tolerance: float, bins: int = 10) -> float:
    """Expected calibration error of the raw vote: how far it is from the share of real errors.

    Pixels are binned by the vote; the error is the mean over pixels of
    ``|mean vote - share of pixels where draw 0 is wrong|`` of their bin.

    References
    ----------
    Naeini, Cooper & Hauskrecht (2015), AAAI, 2901.
    """
    if len(draws) < 2:
        return float("nan")
    said = vote(draws, tolerance)
    wrong = np.abs(uniform_filter(draws[0], 3) - uniform_filter(truth, 3)) > tolerance
    index = np.minimum((said * bins).astype(int), bins - 1).ravel()
    count, said_sum, wrong_sum = (
        np.bincount(index, weights, bins) for weights in (None, said.ravel(), 1.0 * wrong.ravel())
    )
    del count
    return float(np.abs(said_sum - wrong_sum).sum() / index.size)


def chi2(
    residual: Array, sigma: Array | float, footprint: NDArray[np.bool_] | None = None
) -> float:
    """Mean of ``(residual / sigma)^2`` over the footprint."""
    z = (residual / sigma) ** 2
    return float(z.mean() if footprint is None else z[footprint].mean())


def flux_ratio(estimate: Array, truth: Array, background: float = 0.0) -> float:
    """Total of an image above background over that of the truth; needs the same scale."""
    return float((estimate - background).sum() / (truth - background).sum())


def frc(first: Array, second: Array) -> tuple[Array, Array]:
    """Fourier ring correlation of two images of one field.

    A Hann window keeps the edges from correlating. Rings are one frequency step of the shorter
    side wide.

    Returns
    -------
    frequency, correlation : ndarray
        Cycles per pixel of the middle of each ring, up to 0.5, and its correlation.

    References
    ----------
    Saxton & Baumeister (1982), J. Microsc. 127, 127; Banterle et al. (2013), J. Struct. Biol. 183,
    363; Nieuwenhuizen et al. (2013), Nat. Methods 10, 557.
    """
    h, w = first.shape
    window = np.outer(np.hanning(h), np.hanning(w))
    a, b = (np.fft.fft2((x - x.mean()) * window) for x in (first, second))
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.fftfreq(w)[None, :])
    side = min(h, w)
    ring = np.round(radius * side).astype(int).ravel()
    rings = side // 2 + 1
    cross, power_a, power_b = (
        np.bincount(ring, p.ravel(), rings)[:rings]
        for p in ((a * np.conj(b)).real, np.abs(a) ** 2, np.abs(b) ** 2)
    )
    correlation = cross / np.sqrt(np.maximum(power_a * power_b, 1e-300))
    return np.arange(rings)[1:] / side, correlation[1:]


def frc_resolution(frequency: Array, correlation: Array, threshold: float = 1 / 7) -> float:
    """Resolution in pixels where the smoothed correlation first falls below the threshold.

    2 (the finest that pixels can hold) where it never does; infinite where it starts below.
    """
    smooth = np.convolve(np.pad(correlation, 1, mode="edge"), np.ones(3) / 3, "valid")
    below = np.flatnonzero(smooth < threshold)
    if below.size == 0:
        return float(1 / frequency[-1])
    if below[0] == 0:
        return float("inf")
    i = int(below[0])
    share = (smooth[i - 1] - threshold) / (smooth[i - 1] - smooth[i])
    return float(1 / (frequency[i - 1] + share * (frequency[i] - frequency[i - 1])))


def grid_excess(image: Array, scale: int) -> float:
    """Power at the sampling frequency of the input, over that of its neighbourhood; 1 if clean.

    A network that upsamples by pixel shuffle can leave a pattern with a period of `scale` output
    pixels. The largest of the three ratios at (1/s, 0), (0, 1/s) and (1/s, 1/s) cycles per pixel;
    for an image without a pattern it is of the order of 1 (largest of three exponential variates).
    """
    h, w = (n // scale * scale for n in image.shape)
    x = image[:h, :w]
    power = np.abs(np.fft.fft2((x - x.mean()) * np.outer(np.hanning(h), np.hanning(w)))) ** 2
    fy, fx = h // scale, w // scale
    return max(_excess(power, y, x) for y, x in ((fy, 0), (0, fx), (fy, fx)))


def _excess(power: Array, y: int, x: int) -> float:
    """Power at one frequency over the median between 3 and 8 steps away from it."""
    step = np.arange(-8, 9)
    near = power[np.ix_((y + step) % power.shape[0], (x + step) % power.shape[1])]
    ring = np.maximum(np.abs(step)[:, None], np.abs(step)[None, :]) >= 3
    # the median of an exponential variate is ln 2 of its mean
    return float(near[8, 8] / max(float(np.median(near[ring])) / np.log(2), 1e-300))


def bootstrap_median(
    values: Array, *, level: float = 0.95, repeats: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Median and its percentile bootstrap confidence interval.

    References
    ----------
    Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13.
    """
    values = np.asarray(values, float)
    if values.size == 0:
        return (float("nan"),) * 3
    rng = np.random.default_rng(seed)
    picks = values[rng.integers(0, values.size, (repeats, values.size))]
    low, high = np.quantile(np.median(picks, axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(np.median(values)), float(low), float(high)


def robust_scatter(values: Array) -> float:
    """Standard deviation of a Gaussian with the same median absolute deviation."""
    values = np.asarray(values, float)
    return float(1.4826 * np.median(np.abs(values - np.median(values)))) if values.size else np.nan


def mean_of(rows: list[dict[str, Any]], keys: list[str]) -> dict[str, float]:
    """Mean over rows of every key, over the rows where it is a number; NaN where it never is."""
    out = {}
    for key in keys:
        found = np.array([r[key] for r in rows if key in r and np.isfinite(r[key])], float)
        out[key] = float(found.mean()) if found.size else float("nan")
    return out
