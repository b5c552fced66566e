r"""The instrument as a linear operator A, and the projection that keeps draws true to the data.

``A x`` is the block mean of ``K * x`` (K: relative kernel, fine grid). Given a pre-draw x, the
measurement y and a fresh noise field e of the instrument, the projected draw is

.. math:: x' = x + U_w r + U_s\, w\, (r - A U_w r), \qquad r = m\,(y - e - A x)

with :math:`U = S A^T (A S A^T + \sigma^2)^{-1}` as a finite filter on the pixel grid: the linear
minimum-variance update for a Gaussian error of spectrum S (e.g. Tarantola 2005, Inverse Problem
Theory, eq. 3.37) with the noise drawn afresh for each sample, so that the update samples instead of
averages (randomise-then-optimise: Bardsley et al. 2014, SIAM J. Sci. Comput. 36, A1895).
U_w assumes that the pre-draw errs as much as the noise at a quarter of the sampling frequency; U_s
trusts the data nearly fully and acts, by the weight w, only where the signal is many times the
noise. Before both, bright sources are multiplied by the local ratio of measured to predicted flux
(`Projection.lock_flux`), with the same weight. m is the footprint. Both filters have gain 1 at
frequency 0: flux is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from sciup.physics.psf import Kernel  # which needs scipy; training alone does not

REACH_A = 8
"""Reach of A in input pixels: kernel and pixel integration stay within it."""

REACH_U = 7
"""Reach of the update filters in input pixels."""

LOCK = 0.1
"""Relative error that a pre-draw is assumed to have where it is bright."""

EPSILON = 1.0
"""Signal [working units: a sigma, an electron] below which no ratio of fluxes is taken."""

LEAST_RATIO = -0.8
"""Smallest relative correction of a bright source."""

TURNING_RATIO = 2.0
"""Relative correction above which less and less of it is applied by a factor."""

SHARPNESS = 10.0
"""Of the bend above a floor."""

FLOOR = 1 / 16
"""Frequency [cycles per input px] below which the error spectrum of a pre-draw is flat."""

WIENER, STRONG = 1.0, 10.0


@dataclass(frozen=True, slots=True)
class Trust:
    """How far the data overrule a pre-draw; part of a model, which is trained through it.

    Attributes
    ----------
    wiener, strong : float
        Assumed variance ratio of pre-draw error, before A, to noise at 0.25 cycles per input px, of
        the filter that acts everywhere and of the one that acts on bright sources.
    lock : float
        Relative error that a pre-draw is assumed to have where it is bright.
    rounds : int
        Times that bright sources are multiplied by their flux ratio.
    floor : float, optional
        Value above the background [working units] that draws stay above after the linear update,
        which can dig holes beside bright sources; then bright sources are multiplied once more.
    """

    wiener: float = WIENER
    strong: float = STRONG
    lock: float = LOCK
    rounds: int = 1
    floor: float | None = None


def bend(x: Tensor, floor: float) -> Tensor:
    """What lies below a floor is bent smoothly above it; half a unit above nothing is changed.

    Examples
    --------
    >>> bend(torch.tensor([-9.0, 1.0]), -1.0)
    tensor([-1.,  1.])
    """
    bent: Tensor = floor + F.softplus(x - floor, beta=SHARPNESS)
    return bent


def kernel_side(scale: int) -> int:
    """Largest odd side, in fine pixels, of a relative kernel that stays within `REACH_A`."""
    return 2 * (REACH_A - 1) * scale + 1


def _place(kernel: NDArray[np.float64], offset: int, side: int) -> NDArray[np.float64]:
    """Put a kernel whose first pixel has index `offset` on a circular grid."""
    grid = np.zeros((side, side))
    index = np.arange(offset, offset + kernel.shape[0]) % side
    np.add.at(grid, (index[:, None], index[None, :]), kernel)
    return grid


def forward_kernel(kernel: Kernel, scale: int) -> NDArray[np.float64]:
    """Relative kernel and pixel integration in one; first index is -(side // 2)."""
    # y[i] = mean over the block of (K * x): x[s i + j] has weight sum over the block of K[b - j]
    ends = [(i, scale - 1 - i) for i in range(scale)]
    rows = np.sum([np.pad(kernel[::-1, ::-1], (end, (0, 0))) for end in ends], axis=0)
    both = np.sum([np.pad(rows, ((0, 0), end)) for end in ends], axis=0)
    return np.asarray(both / scale**2)


def update_kernel(kernel: Kernel, scale: int, trust: float) -> NDArray[np.float64]:
    """Finite update filter U on the fine grid, (2 REACH_U s + s) px, first index -REACH_U s.

    Parameters
    ----------
    kernel : ndarray
        Relative kernel on the fine grid.
    scale : int
        Fine pixels per input pixel.
    trust : float
        Assumed variance ratio of pre-draw error, before A, to noise at 0.25 cycles per input px.
    """
    coarse = 64
    side = coarse * scale
    a = np.conj(np.fft.fft2(_place(forward_kernel(kernel, scale), -(kernel.shape[0] // 2), side)))
    f = np.fft.fftfreq(side) * scale  # cycles per input pixel
    prior = 1 / (f[:, None] ** 2 + f[None, :] ** 2 + FLOOR**2)
    fold = (np.abs(a) ** 2 * prior).reshape(scale, coarse, scale, coarse).sum((0, 2)) / scale**2
    noise = 1 / (0.25**2 + FLOOR**2) / (scale**2 * trust)
    gain = np.tile(1 / (fold + noise), (scale, scale))
    full = np.fft.ifft2(prior * np.conj(a) * gain).real
    reach = REACH_U * scale
    index = np.arange(-reach, reach + scale) % side
    cut = full[np.ix_(index, index)]
    distance = np.abs(np.arange(-reach, reach + scale) - (scale - 1) / 2) / (reach + scale / 2)
    taper = np.clip((1 - distance) / 0.4, 0, 1)
    taper = taper * taper * (3 - 2 * taper)
    cut = cut * taper[:, None] * taper[None, :]
    # every phase sums to 1, so that a constant residual is corrected by that constant everywhere
    n = cut.shape[0] // scale
    phases = cut.reshape(n, scale, n, scale)
    return np.asarray((phases / phases.sum((0, 2), keepdims=True)).reshape(cut.shape))


@dataclass(frozen=True)
class Projection:
    """A, U_w and U_s as spectra for one window side (or a batch of them).

    Attributes
    ----------
    scale, side : int
        Fine pixels per input pixel; window side in input pixels.
    a, wiener, strong : Tensor (B, 1, s side, s side // 2 + 1), complex64
        Spectra on the fine grid.
    """

    scale: int
    side: int
    a: Tensor
    wiener: Tensor
    strong: Tensor
    trust: Trust = Trust()

    @classmethod
    def build(
        cls, kernels: list[Kernel], scale: int, side: int, trust: Trust | None = None
    ) -> Projection:
        """Spectra for a list of relative kernels, one per batch entry."""
        trust = trust or Trust()

        def spectra(parts: list[NDArray[np.float64]], offsets: list[int]) -> Tensor:
            grids = [_place(p, o, side * scale) for p, o in zip(parts, offsets, strict=True)]
            full: Tensor = torch.fft.rfft2(torch.from_numpy(np.stack(grids)))
            return full[:, None].to(torch.complex64)

        a = spectra(
            [forward_kernel(k, scale) for k in kernels], [-(k.shape[0] // 2) for k in kernels]
        ).conj()
        update = [
            spectra(
                [update_kernel(k, scale, t) for k in kernels], [-REACH_U * scale] * len(kernels)
            )
            for t in (trust.wiener, trust.strong)
        ]
        return cls(scale, side, a.resolve_conj(), update[0], update[1], trust)

    def to(self, device: torch.device) -> Projection:
        """The same on another device."""
        a, wiener, strong = (t.to(device) for t in (self.a, self.wiener, self.strong))
        return Projection(self.scale, self.side, a, wiener, strong, self.trust)

    def observe(self, x: Tensor) -> Tensor:
        """A x: (B, C, s n, s n) to (B, C, n, n); the outer `REACH_A` pixels wrap around."""
        return self._fold(torch.fft.rfft2(x), self.a)

    def _fold(self, spectrum: Tensor, response: Tensor) -> Tensor:
        """Inverse transform of the product of two fine spectra, kept only at every s-th pixel."""
        n, s = self.side, self.scale
        # every s-th row: aliases add up, one at a time, so that the sum stays in the cache
        parts = zip(self._aliases(spectrum), self._aliases(response), strict=True)
        first, factor = next(parts)
        rows = first * factor
        for part, factor in parts:
            rows.addcmul_(part, factor)
        columns: Tensor = torch.fft.irfft2(rows.div_(s), s=(n, n * s))
        return columns[..., ::s]

    def _aliases(self, spectrum: Tensor) -> tuple[Tensor, ...]:
        """The rows of a fine spectrum that fall on the same rows of the input grid's."""
        aliases: tuple[Tensor, ...] = spectrum.unflatten(-2, (self.scale, self.side)).unbind(-3)
        return aliases

    def _spread(self, spectrum: Tensor) -> Tensor:
        """Fine spectrum of an input-grid field set between zeros, (B, K, 1, n, s n // 2 + 1).

        It is the same for all s aliases of a row, which broadcast.
        """
        n, s = self.side, self.scale
        whole, rest = divmod(n * s // 2 + 1, n)
        return torch.cat([spectrum] * whole + [spectrum[..., :rest]], -1).unsqueeze(-3)

    @cached_property
    def _seen(self) -> Tensor:
        """Spectrum of A U_w on the input grid, where it is a filter of its own."""
        with torch.inference_mode(False):  # it is kept, and training may be the next to use it
            spectrum: Tensor = torch.fft.fft2(self._fold(self.wiener, self.a))
        return spectrum

    def project(self, x: Tensor, y: Tensor, mask: Tensor, lock: Tensor | None) -> Tensor:
        """The linear update: U_w everywhere, then U_s with the weight `lock`.

        Parameters
        ----------
        x : Tensor (B, K, s n, s n), float32
            Pre-draws in working units.
        y : Tensor (B, K or 1, n, n), float32
            Measurement minus the noise field of each draw.
        mask : Tensor (B, 1, n, n)
            1 where the residual counts, 0 outside the footprint and in the wrapped rim.
        lock : Tensor (B, 1, n, n) or None
            Weight w of the strong update; None for 1 everywhere (noise-free data).
        """
        residual = mask * (y - self.observe(x))
        first = torch.fft.fft2(residual)
        rest = mask * (residual - torch.fft.ifft2(first * self._seen).real)
        second = torch.fft.fft2(rest if lock is None else lock * rest)
        wiener, strong = (t.unflatten(-2, (self.scale, -1)) for t in (self.wiener, self.strong))
        change = (self._spread(first) * wiener).addcmul_(self._spread(second), strong)
        fine: Tensor = torch.fft.irfft2(change.flatten(-3, -2), s=x.shape[-2:])
        return fine.add_(x)

    def agree(
        self, x: Tensor, y: Tensor, mask: Tensor, lock: Tensor, background: Tensor | float
    ) -> Tensor:
        """Pre-draws as draws: fluxes, linear update, and the floor if there is one.

        Arguments as in `project`; `background` (B, 1, 1, 1) or a number, working units.
        """
        x = self.lock_flux(x, y, mask, lock, background)
        x = self.project(x, y, mask, lock)
        if self.trust.floor is None:
            return x
        x = background + bend(x - background, self.trust.floor)
        return self.lock_flux(x, y, mask, lock, background)

    def lock_flux(
        self, x: Tensor, y: Tensor, mask: Tensor, lock: Tensor, background: Tensor | float
    ) -> Tensor:
        """Multiply bright sources by the local ratio of measured to predicted flux.

        Bright pre-draws err in proportion to their flux. Removing such an error with a band-limited
        filter would ring; a smooth factor does not, and keeps positive what is positive. The ratio
        is that of sums over 3 x 3 input pixels, and acts by `lock`. Arguments as in `project`.
        """
        for _ in range(self.trust.rounds):
            predicted = self.observe(x)
            signal = (predicted - background).clamp(min=0)
            excess = _smooth(mask * lock * (y - predicted))
            ratio = (excess / (_smooth(signal) + EPSILON)).clamp(min=LEAST_RATIO)
            # a source that the pre-draw lacks cannot be made by a factor: its noise would be
            # blown up into a false one; that is left to the filters
            ratio = ratio / (1 + (ratio / TURNING_RATIO) ** 2)
            factor = F.interpolate(ratio, scale_factor=self.scale, mode="bilinear")
            x = x + (x - background) * factor
        return x


def _smooth(x: Tensor) -> Tensor:
    """Binomial 3 x 3 mean, the same at the rim by repetition."""
    shape = x.shape
    padded = F.pad(x.reshape(-1, 1, *shape[-2:]), (1, 1, 1, 1), mode="replicate")
    rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
    both = rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]
    return (both / 16).reshape(shape)


def lock_weight(signal: Tensor, sigma: Tensor, error: float = LOCK) -> Tensor:
    """Weight of the strong update: prior error ``error * signal`` against the noise ``sigma``."""
    q = (error * signal.clamp(min=0) / sigma) ** 2
    return q / (1 + q)
