"""Pairs of images that a user measured: registered, compared, and used in place of simulated ones.

Fluorescence only. What is measured of a pair: the shift between both (phase correlation), how much
that shift differs between the quadrants (another magnification, a rotation), the blur that carries
the high image to the low one (a Gaussian, by trial), and the line between their intensities. Gain
and noise are those that `sciup inspect` finds in the low image, since these are told in use, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import fourier_shift, gaussian_filter

from sciup.engine.units import LEAST_NOISE, Electrons
from sciup.errors import InputError, SciupError
from sciup.geometry import Box
from sciup.image import Image
from sciup.io import open_image
from sciup.physics.estimate import probe
from sciup.physics.given import Given
from sciup.physics.projection import kernel_side
from sciup.physics.psf import SIGMA_TO_FWHM, moments, relative_gaussian
from sciup.physics.registration import shift_between
from sciup.physics.resolve import resolve
from sciup.train.data import Pairs
from sciup.train.kernels import Kernels
from sciup.train.recipe import Recipe
from sciup.train.recipe_parts import Pair
from sciup.train.sources import KEPT, USED, Listed, below, held_out, own_files
from sciup.train.truths import QUANTUM, SkipError, micrograph

Array = NDArray[np.float64]

FARTHEST = 8.0
"""Largest shift [input px] that is corrected."""

WARPED = 0.5
"""Largest difference [input px] of the shifts of the quadrants."""

ALIKE = 0.7
"""Least correlation of the low image with the blurred high one."""

WIDTHS = np.array([0.0, 0.4, 0.7, 1.0, 1.3, 1.6, 2.0, 2.4, 2.8, 3.3, 3.8])
"""Blurs tried: FWHM beyond the high image, input px."""


@dataclass(frozen=True)
class Checked:
    """A pair that can be used.

    Attributes
    ----------
    low : ndarray (h, w), float32
        Electrons above the pedestal.
    high : ndarray (s h, s w), uint16
        As `sciup.train.truths.micrograph`; electrons = slope * value + offset.
    facts : ndarray (6,)
        Slope, offset, dark and bright end and read noise of the low image [electrons], noise of
        the high image.
    fwhm : float
        Relative kernel, input px.
    note : str
        What was measured, for people.
    """

    low: NDArray[np.float32]
    high: NDArray[np.uint16]
    facts: Array
    fwhm: float
    note: str


def load_pairs(recipe: Recipe, folder: Path) -> tuple[Pairs | None, list[Listed]]:
    """All pairs of a recipe that agree, and what became of every one.

    Raises
    ------
    InputError
        If the numbers of low and high images differ, or no pair can be used.
    """
    checked: list[Checked] = []
    share: list[float] = []
    listed: list[Listed] = []
    for pair in recipe.pairs:
        found = list(_read_all(recipe, pair, folder))
        good = [c for c, _ in found if c is not None]
        listed += [entry for _, entry in found]
        if not good:
            reasons = "; ".join(sorted({e.fate for _, e in found})) or "no files"
            raise InputError(f"no pair of {pair.low!r} and {pair.high!r} can be used: {reasons}")
        checked += good
        share += [pair.share / len(good)] * len(good)
    if not checked:
        return None, listed
    rest = sum(source.share for source in recipe.sources)
    return Pairs(
        [c.low for c in checked],
        [c.high for c in checked],
        np.array([c.facts for c in checked]),
        np.array([c.fwhm for c in checked]),
        np.array(share) / (sum(share) + rest),
    ), listed


def _read_all(recipe: Recipe, pair: Pair, folder: Path) -> Iterator[tuple[Checked | None, Listed]]:
    lows, highs = own_files(folder, pair.low), own_files(folder, pair.high)
    if len(lows) != len(highs):
        raise InputError(
            f"{pair.low!r} names {len(lows)} images, {pair.high!r} names {len(highs)}",
            "as many low as high images, in the same order of names",
        )
    names = [below(low, folder) for low in lows]
    kept = held_out(names, recipe.held_out)
    for low, high, name in zip(lows, highs, names, strict=True):
        entry = (f"pairs {pair.low}", str(high), name)
        if name in kept:
            yield None, Listed(*entry, KEPT)
            continue
        try:
            done = check_pair(recipe, pair, low, high)
            yield done, Listed(*entry, USED, done.note, _digest(low, pair.channel))
        except (SkipError, SciupError, OSError, ValueError) as reason:
            yield None, Listed(*entry, str(reason).splitlines()[0])


def _digest(file: Path, channel: int | str | None) -> str:
    """Of the plane that is used, see `sciup.physics.estimate.Probe`."""
    image = open_image(file, channel=channel)
    return probe(image, next(image.planes)).pixels


def _open(file: Path, channel: int | str | None) -> tuple[Image, Array]:
    """The first plane of an image without masked pixels."""
    image = open_image(file, channel=channel)
    values, footprint = image.read(next(image.planes), Box.of_shape(image.plane_shape))
    if not footprint.all():
        raise SkipError(f"{file} has masked pixels")
    return image, values.astype(np.float64)


def check_pair(recipe: Recipe, pair: Pair, low_file: Path, high_file: Path) -> Checked:
    """Register and compare both images of a pair.

    Raises
    ------
    SkipError
        If sizes, place, magnification or content do not fit.
    """
    s = recipe.scale
    image, low = _open(low_file, pair.channel)
    _, high = _open(high_file, pair.channel)
    if any(abs(b / a - s) > 0.5 / a * s + 1e-9 for a, b in zip(low.shape, high.shape, strict=True)):
        raise SkipError(f"low is {low.shape} px, high {high.shape} px: not {s} times larger")
    instrument = resolve(image, next(image.planes), "fluorescence", Given()).instrument
    units = Electrons(image, next(image.planes), instrument)
    v = units.forward(low.astype(np.float32), Box.of_shape(image.plane_shape)).astype(np.float64)
    v, high = _common(v, high, s)
    move = shift_between(v, _blocks(high, s))
    if np.abs(move).max() > FARTHEST:
        raise SkipError(f"shifted by {_pixels(move)} input px, more than {FARTHEST:g}")
    v, high = _moved(v, high, np.rint(move * s).astype(int), s)
    high = _nudged(high, s * shift_between(v, _blocks(high, s)))
    rest = shift_between(v, _blocks(high, s))
    warp = _warp(v, _blocks(high, s))
    if max(np.abs(rest).max(), warp) > WARPED:
        raise SkipError(
            f"not registered: {_pixels(rest)} input px after a shift of {_pixels(move)}, "
            f"quadrants differ by {warp:.2f}"
        )
    stored, noise = micrograph(recipe, high)
    fwhm, slope, offset, alike, variance = _fit(v, stored * QUANTUM, s)
    if alike < ALIKE:
        raise SkipError(f"the images hardly correlate: {alike:.2f}, at least {ALIKE:g} is needed")
    if not slope > 0:
        raise SkipError("where the high image is bright, the low one is dark")
    read = max(units.read_noise, LEAST_NOISE)
    bright = (float(instrument.bright.value) - units.pedestal) * units.gain
    chi = variance / float(np.mean(read**2 + np.clip(v, 0, None)))
    facts = np.array([slope, offset, units.background, bright, read, noise])
    note = (
        f"shift {_pixels(move)} input px corrected to {_pixels(rest)}, quadrants differ by "
        f"{warp:.2f}, blur {fwhm:.1f} input px, low = {slope / units.gain:.4g} x high + "
        f"{offset / units.gain + units.pedestal:.4g}, residual {chi:.2f} of the noise"
    )
    return Checked(v.astype(np.float32), stored, facts, fwhm, note)


def _pixels(move: Array) -> str:
    return f"({move[0]:.2f}, {move[1]:.2f})"


def _blocks(fine: Array, scale: int) -> Array:
    h, w = (n // scale for n in fine.shape)
    return np.asarray(fine.reshape(h, scale, w, scale).mean((1, 3)))


def _common(low: Array, high: Array, scale: int) -> tuple[Array, Array]:
    h, w = (min(a, b // scale) for a, b in zip(low.shape, high.shape, strict=True))
    return low[:h, :w], high[: h * scale, : w * scale]


def _moved(low: Array, high: Array, move: Any, scale: int) -> tuple[Array, Array]:
    """Move the high image by whole pixels, and cut off what has no partner."""
    rim = int(np.ceil(np.abs(move).max() / scale))
    if rim == 0:
        return low, high
    rolled = np.roll(high, tuple(move), (0, 1))
    return low[rim:-rim, rim:-rim], rolled[rim * scale : -rim * scale, rim * scale : -rim * scale]


def _nudged(high: Array, move: Array) -> Array:
    """Move by a part of a pixel, in Fourier space: that keeps resolution and noise."""
    rim = 16
    padded = np.fft.fftn(np.pad(high, rim, mode="reflect"))
    return np.asarray(np.fft.ifftn(fourier_shift(padded, move)).real[rim:-rim, rim:-rim])


def _warp(still: Array, moving: Array) -> float:
    """Largest shift [px] left in a quadrant that has content enough to tell."""
    halves = [(slice(None, n // 2), slice(n // 2, None)) for n in still.shape]
    left = 0.0
    for part in ((y, x) for y in halves[0] for x in halves[1]):
        a, b = gaussian_filter(still[part], 1.0), gaussian_filter(moving[part], 1.0)
        if min(a.shape) >= 32 and np.corrcoef(a.ravel(), b.ravel())[0, 1] > ALIKE:
            left = max(left, float(np.abs(shift_between(still[part], moving[part])).max()))
    return left


def _fit(v: Array, high: Array, scale: int) -> tuple[float, float, float, float, float]:
    """Blur and line that carry high to low: (FWHM, slope, offset, correlation, residual)."""
    best: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, np.inf)
    for fwhm in WIDTHS:
        seen = _blocks(gaussian_filter(high, fwhm * scale / SIGMA_TO_FWHM), scale)
        slope, offset = np.polyfit(seen.ravel(), v.ravel(), 1)
        variance = float(np.var(v - slope * seen - offset))
        if variance < best[4]:
            # noise must not decide whether both show the same
            pair = [gaussian_filter(x, 2.0).ravel() for x in (v, seen)]
            best = (float(fwhm), slope, offset, float(np.corrcoef(*pair)[0, 1]), variance)
    return best[0], best[1], best[2], best[3], best[4]


def with_pairs(kernels: Kernels, pairs: Pairs, scale: int) -> Kernels:
    """The bank with one more kernel for every pair, at its end."""
    own = [relative_gaussian(kernel_side(scale), fwhm * scale, 0.0) for fwhm in pairs.fwhm]
    facts = [moments(kernel) for kernel in own]
    psf = np.array([(fwhm / scale, e1, e2) for fwhm, e1, e2 in facts], np.float32)
    stack = np.array(own, np.float32)
    return Kernels(
        np.concatenate([kernels.true, stack]),
        np.concatenate([kernels.told, stack]),
        np.concatenate([kernels.psf, psf]),
    )
