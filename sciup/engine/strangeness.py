"""How unlike the fields of the calibration a window is: the statistics of the badge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sciup.engine.margins import RIM
from sciup.generators.noise import second_lag
from sciup.generators.posterior import crop
from sciup.risk.outside import block_scores

if TYPE_CHECKING:
    from sciup.engine.block import Window

Array = NDArray[np.float64]

LEAST = 1e-3
"""Of a standard deviation of features: some channels are dead."""


def statistics(window: Window) -> tuple[Array, Array]:
    """Misfit and whiteness (2,), and the trunk's features (2 channels,), of the core of a window.

    The innovation is what the data have that the network's mean does not explain: after the
    projection it would be small by construction. Features are the mean of each channel and the
    logarithm of its standard deviation. NaN with too few pixels.
    """
    sampler = window.sampler
    net, rho = sampler.net, sampler.correlation
    fine = sampler.units.stretch.inverse(window.features.mean)
    innovation = window.measured - sampler.projection.observe(fine)
    y, sigma = (np.asarray(crop(x, RIM)[0, 0].cpu().numpy()) for x in (innovation, window.sigma))
    found = block_scores(y, sigma, window.core_footprint, (rho, second_lag(rho)))
    shared = crop(window.features.shared.float(), RIM + net.head_margin - 1)[0].cpu().numpy()
    inside = shared[:, window.core_footprint].astype(np.float64)
    if np.isnan(found).all():
        return found, np.full(2 * len(inside), np.nan)
    return found, np.concatenate([inside.mean(1), np.log(inside.std(1) + LEAST)])
