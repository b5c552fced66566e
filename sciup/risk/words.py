"""What a bin of the risk map means, in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def percent(value: float) -> str:
    """A share in per cent, rounded up: a promise is never rounded in its own favour.

    Examples
    --------
    >>> percent(0.2), percent(0.123), percent(0.0041)
    ('20 %', '13 %', '0.5 %')
    """
    if math.isnan(value):
        return "unknown"
    shown = 100 * value
    # 1e-9: 100 * 0.29 is a little more than 29
    return (
        f"{math.ceil(shown - 1e-9)} %" if shown > 1 else f"{math.ceil(10 * shown - 1e-9) / 10:g} %"
    )


def sentence(bound: float, delta: float) -> str:
    """The meaning of a certified bound, with what it does not promise.

    Parameters
    ----------
    bound : float
        Certified share of wrong pixels of the bin; NaN where nothing was seen.
    delta : float
        Probability that a bound is too low, over the choice of calibration fields.

    Examples
    --------
    >>> print(sentence(0.2, 0.1))
    In fields like the calibration fields at most about 20 % of pixels painted this colour differ
    from the truth by more than the tolerance, on average over the fields that show the colour, with
    90 % confidence over the choice of calibration fields. It is no promise for a single field or
    pixel, and it does not hold for other instruments, PSFs or objects; the out-of-domain badge says
    when.
    """
    if math.isnan(bound):
        return "No pixel of the calibration fields was painted this colour: nothing is certified."
    if bound >= 1:
        return (
            "The calibration fields are too few, or have too few pixels painted this colour, to"
            " certify anything about it."
        )
    return _promise(f"at most about {percent(bound)}", delta)


def meaning(delta: float) -> str:
    """What the values of `risk_bound` mean, all together.

    Examples
    --------
    >>> print(meaning(0.1))
    In fields like the calibration fields at most about the share in risk_bound of pixels painted
    this colour differ from the truth by more than the tolerance, on average over the fields that
    show the colour, with 90 % confidence over the choice of calibration fields. It is no promise
    for a single field or pixel, and it does not hold for other instruments, PSFs or objects; the
    out-of-domain badge says when.
    """
    return _promise("at most about the share in risk_bound", delta)


def widths(calibrated: bool) -> str:
    """What must be said where samples were drawn with several widths of the PSF.

    Examples
    --------
    >>> print(widths(False))
    The samples were drawn with three widths of the PSF, as far apart as its stated error.
    """
    drawn = "The samples were drawn with three widths of the PSF, as far apart as its stated error"
    if not calibrated:
        return f"{drawn}."
    return (
        f"{drawn}; the calibration was learned with one. Risk and intervals are wider for it, and"
        " what they promise is no longer what was measured."
    )


def together(abouts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of what fields several calibrations were made, in the words for one.

    Examples
    --------
    >>> together([{"units": 24, "data": "cells"}, {"units": 30, "data": "cells"}])
    {'units': '24 + 30', 'data': 'cells'}
    """
    found = {
        key: dict.fromkeys(str(about.get(key, "?")) for about in abouts)
        for key in ("units", "data")
    }
    return {key: " + ".join(values) for key, values in found.items()}


def _promise(share: str, delta: float) -> str:
    return (
        f"In fields like the calibration fields {share} of pixels painted this colour differ from"
        " the truth by more than the tolerance, on average over the fields that show the colour,"
        f" with {100 * (1 - delta):.3g} % confidence over the choice of calibration fields. It is"
        " no promise for a single field or pixel, and it does not hold for other instruments, PSFs"
        " or objects; the out-of-domain badge says when."
    )
