"""How ordinary the noise is from which an answer was made: possible is not probable."""

from __future__ import annotations

import numpy as np

from sciup.explorer.latents import Latents

ORDINARY = 4.0
"""Statistics of white noise that are off by more of their deviations are told."""


def typicality(z: Latents) -> dict[str, float | bool]:
    """Statistics of one image's noise against white noise, in their expected deviations.

    Parameters
    ----------
    z : Latents
        Of one image.

    Returns
    -------
    dict
        For the draw head's noise and the instrument's (``error_``): ``norm`` (chi^2 of the
        numbers), ``mean``, ``neighbours`` (the larger correlation at lag 1), ``kurtosis``; then
        ``largest`` of their absolute values, and whether all are `ordinary`.
    """
    out: dict[str, float | bool] = {}
    for prefix, site in (("", z.fine), ("error_", z.error)):
        x = site.detach().cpu().double().numpy()
        n = x.size
        lags = [
            float((x[..., 1:, :] * x[..., :-1, :]).sum() / np.sqrt(x[..., 1:, :].size)),
            float((x[..., 1:] * x[..., :-1]).sum() / np.sqrt(x[..., 1:].size)),
        ]
        out[f"{prefix}norm"] = float(((x**2).sum() - n) / np.sqrt(2 * n))
        out[f"{prefix}mean"] = float(x.sum() / np.sqrt(n))
        out[f"{prefix}neighbours"] = max(lags, key=abs)
        out[f"{prefix}kurtosis"] = float(((x**4).mean() - 3) / np.sqrt(96 / n))
    largest = max(abs(v) for v in out.values())
    return out | {"largest": largest, "ordinary": largest <= ORDINARY}
