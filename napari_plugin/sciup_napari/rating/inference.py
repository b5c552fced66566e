"""Intervals and tests for answers that share raters and images.

Answers to one image, and those of one rater, resemble each other. Taking them for independent makes
intervals too narrow, so raters and images are both drawn anew: the pigeonhole bootstrap.

References
----------
Owen (2007), The pigeonhole bootstrap, Ann. Appl. Stat. 1, 386, doi:10.1214/07-AOAS122.
Hesterberg (2015), What teachers should know about the bootstrap, Am. Stat. 69, 371, sec. 3.2,
doi:10.1080/00031305.2015.1089789 (percentiles widened for few units).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sciup.evaluate.intervals import LEVEL, REPEATS, Estimated

Array = NDArray[np.float64]

FEW = 13
"""Up to here the test goes through all signs itself: scipy does so too, but takes seconds."""


def two_way(values: Array, seed: int = 0) -> tuple[Estimated, float, float]:
    """Mean of a table of raters by images, with an interval for other raters and other images.

    With one rater only images are drawn, and the interval speaks for this rater alone.

    Parameters
    ----------
    values : ndarray of shape (raters, images)
        NaN where there is no answer.
    seed : int
        The same seed draws the same raters and images.

    Returns
    -------
    estimated : Estimated
        Mean and replicates.
    low, high : float
        Ends of the interval; NaN where there is nothing to draw.

    Examples
    --------
    >>> found, low, high = two_way(np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]))
    >>> found.value, low < 2.5 < high
    (2.5, True)
    """
    known = np.isfinite(values)
    if not known.any():
        return Estimated(math.nan, np.empty(0)), math.nan, math.nan
    values, known = (x[known.any(1)][:, known.any(0)] for x in (values, known))
    filled, number = np.where(known, values, 0.0), known.astype(float)
    rng = np.random.default_rng(seed)
    raters, images = (
        rng.multinomial(n, np.full(n, 1 / n), REPEATS).astype(float) for n in values.shape
    )
    with np.errstate(invalid="ignore"):
        drawn = ((raters @ filled) * images).sum(1) / ((raters @ number) * images).sum(1)
    found = Estimated(float(filled.sum() / number.sum()), drawn[np.isfinite(drawn)])
    units = min((n for n in values.shape if n > 1), default=1)
    if units < 2:
        return found, math.nan, math.nan
    tail = _tail(units)
    low, high = np.quantile(found.replicates, [tail, 1 - tail])
    return found, float(low), float(high)


def _tail(units: int) -> float:
    """Percentile of the interval's end: a bootstrap of n units is too narrow by about t(n-1)."""
    from scipy import stats

    width = math.sqrt(units / (units - 1)) * stats.t.ppf((1 + LEVEL) / 2, units - 1)
    return float(stats.norm.cdf(-width))


def signed_rank(differences: Array) -> float:
    """Two-sided p of the Wilcoxon signed-rank test that differences are symmetric about 0.

    References
    ----------
    Wilcoxon (1945), Biometrics Bulletin 1, 80, doi:10.2307/3001968; zeros as of Pratt (1959),
    J. Am. Stat. Assoc. 54, 655, doi:10.1080/01621459.1959.10501526.

    Examples
    --------
    >>> round(signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])), 5)
    0.03125
    """
    from scipy import stats

    known = differences[np.isfinite(differences)]
    if not known.size:
        return math.nan
    known = known.round(9)  # means of equal scores differ in the last digit
    if not known.any():
        return 1.0
    if known.size > FEW:
        return float(stats.wilcoxon(known, zero_method="pratt").pvalue)
    ranks = (np.sign(known) * stats.rankdata(abs(known)))[known != 0]
    signs = np.array(list(product((-1, 1), repeat=ranks.size)))
    return float(np.mean(abs(signs @ abs(ranks)) >= abs(ranks.sum()) - 1e-9))


def against_half(count: int, number: int) -> tuple[float, float, float]:
    """Clopper-Pearson interval of a share, and p of the exact test against one half.

    References
    ----------
    Clopper & Pearson (1934), Biometrika 26, 404, doi:10.1093/biomet/26.4.404.

    Examples
    --------
    >>> [round(x, 3) for x in against_half(5, 20)]
    [0.087, 0.491, 0.041]
    """
    from scipy import stats

    test = stats.binomtest(count, number, 0.5)
    low, high = test.proportion_ci(LEVEL, method="exact")
    return float(low), float(high), float(test.pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """Holm's correction for several tests; NaN stays and does not count.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6, 65,
    https://www.jstor.org/stable/4615733.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(values, float)
    out = np.full(p.shape, np.nan)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    steps = p[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(x) for x in out]
