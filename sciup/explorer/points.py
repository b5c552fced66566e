"""One point source or two? Fits of both to the measurement, through the instrument."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares, nnls

from sciup.errors import OptionError
from sciup.explorer.fit import ALLOWED, inflation
from sciup.explorer.latents import Stamp
from sciup.physics.psf import SIGMA_TO_FWHM

Array = NDArray[np.float64]

NEEDED = 11.3
"""Fall of chi^2 by which a second source is needed: 99 % of chi^2 for its three parameters."""

ANGLES = 4
"""Directions in which two sources are tried first."""


LEAST = 16
"""Pixels to be fitted at least: two sources and the background have 7 parameters."""


@dataclass(frozen=True)
class PointFit:
    """Point sources on a flat background, fitted inside a circle.

    Attributes
    ----------
    places : ndarray (n, 2)
        (y, x) in input px of the image, pixel centres at integers.
    fluxes : ndarray (n,)
        Working units times input px.
    background : float
        Working units.
    chi2 : float
    freedom : int
        Pixels less parameters.
    tolerance : float
        Chi^2 above `freedom` by more than this is too much.
    image : Tensor (1, 1, s n, s n)
        Of the window at the output resolution, working units.
    """

    places: Array
    fluxes: Array
    background: float
    chi2: float
    freedom: int
    tolerance: float
    image: torch.Tensor

    @property
    def fits(self) -> bool:
        """Whether it leaves no more than the noise."""
        return self.chi2 <= self.freedom + self.tolerance


class Points:
    """Fits of point sources near a place.

    Parameters
    ----------
    stamp : Stamp
    at : (float, float)
        (y, x) in input px of the image.
    radius : float
        Input px; pixels whose centres are closer are fitted.

    Raises
    ------
    OptionError
        If these are too few to tell one source from two.
    """

    def __init__(self, stamp: Stamp, at: tuple[float, float], radius: float) -> None:
        self.stamp, self.at, self.radius = stamp, np.asarray(at, float), radius
        w = stamp.window
        rows, cols = np.mgrid[: w.box.shape[0], : w.box.shape[1]]
        distance = np.hypot(rows + w.box.start[0] - self.at[0], cols + w.box.start[1] - self.at[1])
        self.use = (distance <= radius) & (w.mask[0, 0].cpu().numpy() > 0)
        if (used := int(self.use.sum())) < LEAST:
            raise OptionError(
                f"--radius {radius:g} at {at[0]:g},{at[1]:g} has {used} pixels with data",
                f"{LEAST} or more",
                "give a larger --radius",
            )
        self.sigma = w.sigma[0, 0].cpu().numpy()[self.use].astype(float)
        self.data = w.measured[0, 0].cpu().numpy()[self.use].astype(float) / self.sigma

    def fit(self, count: int) -> PointFit:
        """Best fit of `count` point sources, 1 or 2."""
        one = self._refine(self.at[None])
        if count == 1:
            return self._result(one.reshape(1, 2))
        middle, step = one.reshape(2), max(0.4 * self._width, 0.4)
        tries = []
        for angle in np.arange(ANGLES) * np.pi / ANGLES:
            move = step * np.array([np.sin(angle), np.cos(angle)])
            places = self._refine(np.stack([middle - move, middle + move])).reshape(2, 2)
            tries.append((self._solve(places)[1], places))
        return self._result(min(tries, key=lambda pair: pair[0])[1])

    @property
    def _width(self) -> float:
        """FWHM of the instrument, input px."""
        return float(self.stamp.sampler.instrument.psf_fwhm.value)

    def _refine(self, places: Array) -> Array:
        """Positions of the smallest chi^2 near these; fluxes and background follow from them."""
        room = max(self.radius, 1.0)
        low, high = np.tile(self.at - room, len(places)), np.tile(self.at + room, len(places))
        found = least_squares(
            lambda p: self._residual(p.reshape(-1, 2)),
            np.clip(places.ravel(), low + 1e-3, high - 1e-3),
            bounds=(low, high),
            diff_step=1e-3,
            max_nfev=30,
        )
        return np.asarray(found.x, float)

    def _design(self, places: Array) -> tuple[Array, torch.Tensor]:
        """What the sources, of flux 1, and the background add to every datum; their images."""
        images = torch.stack([self._source(y, x) for y, x in places])[:, None]
        with torch.no_grad():
            seen = self.stamp.sampler.projection.observe(images)[:, 0].cpu().numpy()
        columns = [s[self.use] / self.sigma for s in seen]
        return np.stack([*columns, 1 / self.sigma], 1), images

    def _source(self, y: float, x: float) -> torch.Tensor:
        """A source at the output resolution on the window's fine grid, flux 1 per input px."""
        s, spec = self.stamp.scale, self.stamp.sampler.net.spec
        box = self.stamp.window.box.scaled(s)
        sigma = max(spec.target_fwhm, 1.0) / SIGMA_TO_FWHM
        parts = []
        for centre, start, n in zip((y, x), box.start, box.shape, strict=True):
            d = np.arange(n) + start - (s * (centre + 0.5) - 0.5)
            part = np.exp(-0.5 * (d / sigma) ** 2)
            parts.append(part / part.sum())
        values = np.outer(*parts).astype(np.float32) * s * s
        return torch.from_numpy(values).to(self.stamp.sampler.device)

    def _solve(self, places: Array) -> tuple[Array, float]:
        """Amplitudes (fluxes not negative) and chi^2 of sources at these places."""
        design, _ = self._design(places)
        signed = np.concatenate([design, -design[:, -1:]], 1)  # the background has any sign
        amplitudes, norm = nnls(signed, self.data)
        return amplitudes, float(norm) ** 2

    def _residual(self, places: Array) -> Array:
        design, _ = self._design(places)
        signed = np.concatenate([design, -design[:, -1:]], 1)
        amplitudes, _ = nnls(signed, self.data)
        return np.asarray(self.data - signed @ amplitudes, float)

    def _result(self, places: Array) -> PointFit:
        amplitudes, chi2 = self._solve(places)
        _, images = self._design(places)
        fluxes, level = amplitudes[:-2], float(amplitudes[-2] - amplitudes[-1])
        scaled = torch.from_numpy(fluxes.astype(np.float32)).to(images).view(-1, 1, 1, 1)
        freedom = int(self.use.sum()) - 3 * len(places) - 1
        factor = inflation(self.stamp.sampler.correlation)
        tolerance = ALLOWED * float(np.sqrt(2 * factor * max(freedom, 1)))
        image = (images * scaled).sum(0, keepdim=True) + level
        return PointFit(places, fluxes, level, chi2, freedom, tolerance, image)


def verdict(one: PointFit, two: PointFit) -> str:
    """Which of the two is permitted, in words."""
    gain = one.chi2 - two.chi2
    better = f"a second point source lowers chi^2 by {gain:.1f}"
    if gain > NEEDED:
        if two.fits:
            return f"two point sources are needed: {better} (needed: above {NEEDED})"
        return f"neither one nor two point sources: {better}, but both leave more than the noise"
    if one.fits:
        return f"one point source is enough: {better} only; two are permitted, too"
    return "neither one nor two point sources: both leave more than the noise"


__all__ = ["NEEDED", "PointFit", "Points", "verdict"]
