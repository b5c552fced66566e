"""What goes wrong in practice, done to fields on purpose.

Each function takes a `Scene` and random numbers and returns a `Spoilt` field: false statements
about the instrument, defects of the detector, damage by software, and structures that are unlike
anything in the training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from sciup.calibrate.scenes import Rng, Scene
from sciup.generators.noise import correlate
from sciup.physics.psf import SIGMA_TO_FWHM

Array = NDArray[np.float64]

SITES = 12
"""Defects or structures per field."""
RIM = 24
"""Input px along the edges without any."""
STRUCTURE_SNR = (4.0, 30.0)
"""Peak of a structure in the blurred image over the noise there."""
DEFECT_SNR = (10.0, 100.0)
SHARPEST = 1.0
"""Output px: structures are as wide and as sharp as the target PSF, and no sharper than this."""


@dataclass(frozen=True)
class Spoilt:
    """A field with something wrong.

    Attributes
    ----------
    truth : ndarray (s h, s w)
    observed : ndarray (h, w)
    facts : dict
        What the run is told.
    sites : list of ndarray of bool (s h, s w)
        Where something was put, one mask each.
    """

    truth: Array
    observed: Array
    facts: dict[str, Any] = field(default_factory=dict)
    sites: list[NDArray[np.bool_]] = field(default_factory=list)


Spoil = Callable[[Scene, Rng], Spoilt]


def nothing(scene: Scene, rng: Rng) -> Spoilt:
    """As in a calibration."""
    return Spoilt(scene.truth, scene.observe(scene.truth, rng))


def wrong_psf(factor: float, scene: Scene, rng: Rng) -> Spoilt:
    """State a FWHM that is wrong by a factor."""
    observed = scene.observe(scene.truth, rng)
    return Spoilt(scene.truth, observed, {"psf_fwhm": factor * scene.fwhm})


def wrong_noise(factor: float, scene: Scene, rng: Rng) -> Spoilt:
    """State gain and read noise that make the noise wrong by a factor."""
    facts: dict[str, float] = {"gain": scene.gain / factor**2}
    if scene.sky:
        facts["noise_sigma"] = factor * scene.read_noise
    else:
        # in electrons, of which there are fewer
        facts["read_noise"] = scene.read_noise * scene.gain / factor
    return Spoilt(scene.truth, scene.observe(scene.truth, rng), facts)


def correlated(neighbour: float, scene: Scene, rng: Rng) -> Spoilt:
    """Noise that resampling has correlated, with its variance unchanged."""
    light = scene.light(scene.truth)
    white = rng.standard_normal(tuple(n + 2 for n in light.shape)).astype(np.float32)
    return Spoilt(scene.truth, light + scene.sigma(light) * correlate(white, neighbour))


def jpeg(scene: Scene, rng: Rng) -> Spoilt:
    """Eight bits, JPEG of quality 10."""
    from PIL import Image

    observed = scene.observe(scene.truth, rng)
    low, high = np.quantile(observed, [0.001, 0.999])
    eight = np.clip((observed - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(eight).save(buffer, "JPEG", quality=10)
    back = np.asarray(Image.open(buffer), np.float64)
    return Spoilt(scene.truth, back / 255 * (high - low) + low)


def saturated(scene: Scene, rng: Rng) -> Spoilt:
    """A detector whose full well is the 90th percentile of this field."""
    observed = scene.observe(scene.truth, rng)
    return Spoilt(scene.truth, np.minimum(observed, np.quantile(observed, 0.9)))


def hot_pixels(scene: Scene, rng: Rng) -> Spoilt:
    """Single pixels with 10 to 100 sigma too much."""
    return _defects(scene, rng, lambda: np.zeros((1, 2), int))


def cosmic_rays(scene: Scene, rng: Rng) -> Spoilt:
    """Straight tracks, 3 to 10 px long."""

    def track() -> NDArray[np.int64]:
        angle, length = rng.uniform(0, np.pi), int(rng.integers(3, 11))
        along = np.arange(length)[:, None] * [np.sin(angle), np.cos(angle)]
        return np.rint(along).astype(int)

    return _defects(scene, rng, track)


def _defects(scene: Scene, rng: Rng, shape: Callable[[], NDArray[np.int64]]) -> Spoilt:
    observed = scene.observe(scene.truth, rng)
    sigma = scene.sigma(scene.light(scene.truth))
    sites = []
    for y, x in _places(observed.shape, rng):
        pixels = np.add(shape(), (y, x))
        pixels = pixels[(pixels < observed.shape).all(1)]
        at = tuple(pixels.T)
        observed[at] += sigma[at] * _log_uniform(rng, DEFECT_SNR)
        mask = np.zeros(observed.shape, bool)
        mask[at] = True
        sites.append(_fine(binary_dilation(mask), scene.scale))
    return Spoilt(scene.truth, observed, {}, sites)


def _fine(mask: NDArray[np.bool_], scale: int) -> NDArray[np.bool_]:
    return mask.repeat(scale, 0).repeat(scale, 1)


def _places(shape: tuple[int, ...], rng: Rng) -> NDArray[np.int64]:
    rim = min(RIM, min(shape) // 4)
    return rng.integers(rim, np.array(shape) - rim, (SITES, 2))


def _log_uniform(rng: Rng, ends: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(ends))))


def arcs(scene: Scene, rng: Rng) -> Spoilt:
    """Thin quarter circles, as of a lens."""

    def arc(y: Array, x: Array, width: float) -> Array:
        radius, ahead = rng.uniform(4, 8) * width, rng.uniform(0, 2 * np.pi)
        turned = (np.arctan2(y, x) - ahead + np.pi) % (2 * np.pi) - np.pi
        line = np.exp(-0.5 * ((np.hypot(y, x) - radius) / (width / 2)) ** 2)
        return np.asarray(line * (np.abs(turned) < np.pi / 4))

    return _structures(scene, rng, arc)


def gaps(scene: Scene, rng: Rng) -> Spoilt:
    """Filaments with a gap as wide as the PSF of the input."""

    def filament(y: Array, x: Array, width: float) -> Array:
        angle = rng.uniform(0, np.pi)
        along = y * np.sin(angle) + x * np.cos(angle)
        across = y * np.cos(angle) - x * np.sin(angle)
        line = np.exp(-0.5 * (across / (width / 2)) ** 2)
        gap = scene.fwhm * scene.scale
        return np.asarray(line * (np.abs(along) < 12 * width) * (np.abs(along) > gap / 2))

    return _structures(scene, rng, filament)


def doubles(scene: Scene, rng: Rng) -> Spoilt:
    """Two points, half to one and a half of the input's FWHM apart."""

    def double(y: Array, x: Array, width: float) -> Array:
        angle = rng.uniform(0, 2 * np.pi)
        half = rng.uniform(0.25, 0.75) * scene.fwhm * scene.scale
        at = half * np.array([np.sin(angle), np.cos(angle)])
        points = [np.hypot(y - sign * at[0], x - sign * at[1]) for sign in (1, -1)]
        return np.asarray(sum(np.exp(-0.5 * (r / (width / 2)) ** 2) for r in points))

    return _structures(scene, rng, double)


def _structures(scene: Scene, rng: Rng, shape: Callable[[Array, Array, float], Array]) -> Spoilt:
    """Paint structures as sharp as the truth into it; S/N is that of the blurred peak."""
    truth = scene.truth.copy()
    sigma = scene.sigma(scene.light(scene.truth))
    width = max(scene.target_fwhm, SHARPEST)
    y, x = np.indices(truth.shape, float)
    sites = []
    for place in _places(sigma.shape, rng):
        centre = scene.scale * (place + 0.5)
        one = shape(y - centre[0], x - centre[1], width)
        one = gaussian_filter(one, width / SIGMA_TO_FWHM)
        peak = max(float(scene.light(one).max()), 1e-9)
        noise = float(sigma[tuple(place)])
        truth += one * (noise * _log_uniform(rng, STRUCTURE_SNR) / peak)
        extent = binary_dilation(one > 0.1 * one.max(), iterations=2 * scene.scale)
        sites.append(extent)
    return Spoilt(truth, scene.observe(truth, rng), {}, sites)


FACTORS_PSF = (0.5, 0.7, 0.9, 1.1, 1.3, 1.5)
FACTORS_NOISE = (1 / 3, 1 / 2, 1 / 1.5, 1 / 1.2, 1.2, 1.5, 2.0, 3.0)
NEIGHBOURS = (0.2, 0.4, 0.6)

SPOILS: dict[str, Spoil] = {
    "nothing": nothing,
    **{f"PSF x {f:.2g}": partial(wrong_psf, f) for f in FACTORS_PSF},
    **{f"noise x {f:.2g}": partial(wrong_noise, f) for f in FACTORS_NOISE},
    **{f"noise correlation {r:g}": partial(correlated, r) for r in NEIGHBOURS},
    "JPEG": jpeg,
    "saturated": saturated,
    "hot pixels": hot_pixels,
    "cosmic rays": cosmic_rays,
    "arcs": arcs,
    "gaps": gaps,
    "doubles": doubles,
}
