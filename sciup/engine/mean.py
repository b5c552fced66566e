"""The map `mean`: an average of few draws, and what the mean head knows of finer details."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from sciup.engine.margins import SEEN

if TYPE_CHECKING:
    from sciup.engine.block import Window

ERRORS = 2.0
"""Standard errors of the average within which the mean head is believed."""


class Moments:
    """Average and variance of draws as they come; memory does not depend on their number.

    Parameters
    ----------
    first : Tensor
        The first draw, from which the others are told as differences: that keeps the digits.
    """

    def __init__(self, first: Tensor) -> None:
        self.first, self.count = first, 1
        self.total, self.squares = torch.zeros_like(first), torch.zeros_like(first)

    def add(self, difference: Tensor) -> None:
        """One more draw, less the first."""
        self.total += difference
        self.squares.addcmul_(difference, difference)
        self.count += 1

    @property
    def average(self) -> Tensor:
        """Of the draws."""
        return self.first + self.total / self.count

    @property
    def variance(self) -> Tensor:
        """Of the draws, unbiased."""
        about = self.squares - self.total * self.total / self.count
        return (about / (self.count - 1)).clamp_(min=0)


def steadied(window: Window, draws: Moments) -> Tensor:
    r"""The mean of all draws that could be made, from the average of a few.

    An average a of n draws of variance V has the squared error of the mean and V / n more: 0.25 dB
    with 17 draws of a calibrated sampler, 0.8 dB with 5. The mean head h was trained for the mean
    itself, but nothing keeps its flux. So it corrects details only, within what n draws leave open,
    and not where fluxes are locked to the data (weight w of the data in `lock_flux`):

    .. math:: m = a + c - B c, \quad c = (1 - w)\,\mathrm{clip}(h - a, \pm 2 \sqrt{V / n}),

    with B the mean over a square that reaches `SEEN` input pixels, less one fine pixel. h is the
    mean head in working units: the mean of the stretch is taken to the mean of the values by the
    second-order term.

    Parameters
    ----------
    window : Window
    draws : Moments
        Of at least two draws (1, 1, s n, s n) in working units on `Window.inner`.

    Returns
    -------
    Tensor
        Of the shape of a draw; exact on the core and one fine pixel around it.

    Notes
    -----
    Measured in docs/design/0021-mean.md. V / n: the variance of a mean; the second-order term:
    Casella & Berger (2002), Statistical Inference, 5.5.4.
    """
    s = window.sampler
    stretch, scale = s.units.stretch, s.net.spec.scale
    average, variance = draws.average, draws.variance
    head = stretch.inverse(window.inner(window.features.mean))
    head = head + stretch.bend(head) * variance / 2
    open_ = ERRORS * (variance / draws.count).sqrt()
    change = torch.clamp(head - average, -open_, open_)
    if s.net.spec.trust.rounds:
        change = change * (1 - window.fine(window.lock))
    reach = SEEN * scale - 1
    side = 2 * reach + 1
    smooth = F.avg_pool2d(F.avg_pool2d(change, (side, 1), stride=1), (1, side), stride=1)
    return average + change - F.pad(smooth, (reach,) * 4)
