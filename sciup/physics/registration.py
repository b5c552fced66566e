"""How far one image is shifted against another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]


def shift_between(still: Array, moving: Array) -> Array:
    """How far `moving` must be moved, (y, x) in px, to lie on `still`; both (h, w).

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64]
    >>> still = np.exp(-((y - 30) ** 2 + (x - 33) ** 2) / 20)
    >>> moving = np.exp(-((y - 29) ** 2 + (x - 34) ** 2) / 20)
    >>> shift_between(still, moving).round(1).tolist()
    [1.0, -1.0]

    References
    ----------
    Guizar-Sicairos, Thurman & Fienup (2008), Opt. Lett. 33, 156, as in scikit-image.
    """
    from skimage.registration import phase_cross_correlation

    window = np.outer(*(np.hanning(n) for n in still.shape))
    a, b = ((g - g.mean()) * window for g in (gaussian_filter(x, 1.0) for x in (still, moving)))
    # not whitened: these images are blurred, so that most frequencies hold noise only
    return np.asarray(phase_cross_correlation(a, b, upsample_factor=20, normalization=None)[0])


__all__ = ["shift_between"]
