"""Invertible intensity transforms that bring science images into a range a network can learn.

They work on *working units*: electrons above the pedestal for fluorescence, sky sigmas above the
background for the night sky. Arrays may be numpy or torch; the result is of the same kind.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = Any
"""numpy ndarray or torch Tensor; parameters may be numbers or arrays that broadcast against it."""


def namespace(x: Array) -> Any:
    """The module, numpy or torch, whose functions take `x`."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, torch.Tensor) else np


class Stretch(Protocol):
    """Monotone map from working units to network units, with exact inverse and slope."""

    def forward(self, v: Array) -> Array:
        """Network units."""

    def inverse(self, u: Array) -> Array:
        """Working units."""

    def inverse_(self, u: Any) -> Any:
        """The same bits, of a torch Tensor that may be overwritten: a third of the time."""

    def slope(self, v: Array) -> Array:
        """Derivative of `forward` at `v`; noise in network units is slope times noise."""

    def bend(self, v: Array) -> Array:
        """``-forward'' / forward'`` at `v`.

        Where network units have the mean ``forward(v)`` and working units the variance V, working
        units have the mean ``v + bend(v) V / 2`` to second order.
        """


@dataclass(frozen=True, slots=True)
class AsinhStretch:
    """``u = asinh(v / knee)``: linear near the sky, logarithmic for bright sources.

    References
    ----------
    Lupton, Gunn & Szalay (1999), AJ 118, 1406.

    Examples
    --------
    >>> s = AsinhStretch()
    >>> bool(abs(s.inverse(s.forward(np.float64(1e4))) - 1e4) < 1e-6)
    True
    """

    knee: float = 3.0
    ceiling: float = 16.0  # sinh(16) = 4e6: far above any source, far below overflow

    def forward(self, v: Array) -> Array:
        """Network units."""
        return namespace(v).arcsinh(v / self.knee)

    def inverse(self, u: Array) -> Array:
        """Working units."""
        xp = namespace(u)
        return self.knee * xp.sinh(xp.clip(u, -self.ceiling, self.ceiling))

    def inverse_(self, u: Any) -> Any:
        """Working units, in place."""
        return u.clamp_(-self.ceiling, self.ceiling).sinh_().mul_(self.knee)

    def slope(self, v: Array) -> Array:
        """Derivative of `forward`."""
        return 1 / namespace(v).sqrt(v * v + self.knee**2)

    def bend(self, v: Array) -> Array:
        """``-forward'' / forward'``."""
        return v / (v * v + self.knee**2)


@dataclass(frozen=True, slots=True)
class AnscombeStretch:
    """Generalised Anscombe transform, shifted and divided so that structures span about 0 to 1.

    For v >= 0 electrons ``g(v) = 2 sqrt(v + c)`` with ``c = 3/8 + read_noise**2``; below 0, where
    the noise no longer falls, g goes on as its tangent, which keeps it invertible for all v.
    Then ``u = (g(v) - low) / span``; noise has a standard deviation near 1 / span everywhere.

    References
    ----------
    Starck, Murtagh & Bijaoui (1998), Image Processing and Data Analysis, eq. 2.19 (gain 1).

    Examples
    --------
    >>> s = AnscombeStretch.between(0.0, 100.0, read_noise=1.0)
    >>> v = np.array([-3.0, 0.0, 50.0, 100.0])
    >>> bool(np.allclose(s.inverse(s.forward(v)), v)), float(s.forward(v)[-1])
    (True, 1.0)
    """

    read_noise: Array
    low: Array
    span: Array

    @classmethod
    def between(cls, dark: Array, bright: Array, read_noise: Array) -> AnscombeStretch:
        """The stretch that sends `dark` electrons to 0 and `bright` electrons to 1."""
        plain = cls(read_noise, 0.0, 1.0)
        low = plain.forward(dark)
        return cls(read_noise, low, plain.forward(bright) - low)

    @property
    def _c(self) -> Array:
        return 0.375 + self.read_noise**2

    def forward(self, v: Array) -> Array:
        """Network units."""
        v = v if hasattr(v, "dtype") else np.asarray(v, float)
        xp, c = namespace(v), self._c
        positive = 2 * xp.sqrt(xp.clip(v, 0, None) + c)
        return (positive + xp.clip(v, None, 0) / c**0.5 - self.low) / self.span

    def inverse(self, u: Array) -> Array:
        """Working units."""
        # with h = g - 2 sqrt(c), (g / 2)^2 - c is sqrt(c) h + h^2 / 4: the tangent and a square
        root = self._c**0.5
        h = u * self.span + (self.low - 2 * root)
        bow = namespace(u).clip(h, 0, None) / 2
        return bow * bow + root * h

    def inverse_(self, u: Any) -> Any:
        """Working units, in place."""
        root = self._c**0.5
        h = u.mul_(self.span).add_(self.low - 2 * root)
        bow = h.clamp(min=0).div_(2)
        return bow.mul_(bow).add_(h.mul_(root))

    def slope(self, v: Array) -> Array:
        """Derivative of `forward`."""
        xp = namespace(v)
        return 1 / (xp.sqrt(xp.clip(v, 0, None) + self._c) * self.span)

    def bend(self, v: Array) -> Array:
        """``-forward'' / forward'``; 0 on the tangent."""
        return (v >= 0) / (2 * (namespace(v).clip(v, 0, None) + self._c))
