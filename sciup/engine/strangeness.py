"""How unlike the fields of the calibration a window is: the statistics of the badge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciup.engine.margins import RIM
from sciup.generators.noise import second_lag
from sciup.generators.posterior import crop
from sciup.risk.appearance import appearance
from sciup.risk.innovation import block_scores

if TYPE_CHECKING:
    from sciup.engine.block import Window

Array = NDArray[np.float64]

LEAST = 1e-3
"""Of a standard deviation of features: some channels are dead."""


def statistics(window: Window) -> Array:
    """Raw statistics of the core of a window, as `sciup.risk.familiar.Familiar` wants them.

    The innovation is what the data have that the network's mean does not explain: after the
    projection it would be small by construction. Features are the mean of each channel of the
    trunk and the logarithm of its standard deviation. NaN with too few pixels.
    """
    sampler, good = window.sampler, window.core_footprint
    net, rho = sampler.net, sampler.correlation
    fine = sampler.units.stretch.inverse_(window.features.mean.clone())
    innovation = window.measured - window.optics().projection.observe(fine)
    y, sigma, snr, v = (
        np.asarray(crop(x, RIM)[0, 0].cpu().numpy())
        for x in (innovation, window.sigma, window.snr, window.measured)
    )
    found = [block_scores(y, sigma, good, snr, (rho, second_lag(rho))), appearance(v, sigma, good)]
    shared = crop(window.features.shared.float(), RIM + net.head_margin - 1)[0].cpu().numpy()
    inside = shared[:, good].astype(np.float64)
    if np.isnan(np.concatenate(found)).any():
        return np.full(sum(map(len, found)) + 2 * len(inside), np.nan)
    return np.concatenate([*found, inside.mean(1), np.log(inside.std(1) + LEAST)])
