"""From the resolution at which scenes are rendered to that of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sciup.errors import OptionError
from sciup.train.sky.stamps import TARGET_FWHM, TARGET_SIGMA

NEXT_FWHM = 2.8
"""The narrowest target wider than that of the scenes, px: right within 0.2 % of a star's peak."""


def at_target(scene: NDArray[np.floating[Any]], fwhm: float) -> NDArray[np.floating[Any]]:
    """A scene at the resolution of a model.

    Parameters
    ----------
    scene : ndarray (..., h, w)
        As rendered, with a target PSF of FWHM 2 output px.
    fwhm : float
        FWHM of the model's target [output px]: 2, or 2.8 and above.

    Raises
    ------
    OptionError
        If the target is sharper than the scenes, or hardly wider: a sampled Gaussian that is
        narrower than 0.8 px has not the width it should have.

    Examples
    --------
    >>> from sciup.train.sky.scenes import add_star
    >>> point = np.zeros((33, 33))
    >>> add_star(point, 16, 16, 1.0)
    >>> wide = at_target(point, 4.0)
    >>> bool(abs(wide.max() - (2 / 4) ** 2 * point.max()) < 1e-3 * point.max())
    True
    """
    if fwhm == TARGET_FWHM:
        return scene
    if fwhm < NEXT_FWHM:
        raise OptionError(
            f"target_fwhm is {fwhm:g} px, but scenes are rendered at {TARGET_FWHM:g} px",
            f"{TARGET_FWHM:g}, or {NEXT_FWHM:g} and above",
        )
    width = TARGET_SIGMA * np.sqrt((fwhm / TARGET_FWHM) ** 2 - 1)
    wide = gaussian_filter(scene, width, mode="nearest", truncate=6, axes=(-2, -1))
    return np.asarray(wide, scene.dtype)
