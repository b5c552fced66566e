"""Simulated night-sky fields, where the truth is known, and runs on them.

A field is a truth scene (flux per fine pixel at the target resolution, noise 1 per input pixel),
blurred with what the PSF has beyond the target, summed over blocks, with Poisson noise of 30
electrons per sky sigma and sky noise 1. Each field gets 20 stars more, of S/N 5 to 200, uniform in
its logarithm: published counts give few sources that are bright enough for a bias of 1 %.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result, upscale
from sciup.errors import InputError, OptionError
from sciup.evaluate import metrics
from sciup.evaluate.baselines import total_kernel
from sciup.evaluate.draws import blur
from sciup.evaluate.sky.photometry import catalogue
from sciup.generators.registry import ModelFacts
from sciup.io._array import open_array
from sciup.physics import psf as shapes
from sciup.physics.projection import kernel_side
from sciup.train.sky.contents import zoom_for
from sciup.train.sky.scenes import add_star, render_scenes
from sciup.train.sky.stamps import ROLES
from sciup.train.sky.target import at_target

Array = NDArray[np.float64]
Told = Literal["all", "width", "nothing"]
"""What a run is told of the instrument: PSF image, gain, sky and noise; the FWHM; nothing."""

DRAWS = 16
SIDE = 192
"""Input pixels per side of a field, at most."""
ELECTRONS = 30.0
"""Electrons per sky sigma."""
FWHMS = (1.8, 2.3, 2.8)
"""Total PSF before pixel integration, input px."""
ADDED, ADDED_SNR = 20, (5.0, 200.0)
"""Number of stars put into each field, and the range of their S/N."""
ROOM = 10.0
"""No source of a fifth of its flux was within this many fine px of an added star."""
SHAPES = ("gaussian", "moffat 2.5", "moffat 4", "airy")


@dataclass(frozen=True)
class Field:
    """One simulated field.

    Attributes
    ----------
    name, shape : str
        Number of the scene; one of `SHAPES`.
    truth : ndarray (s n, s n)
        Flux per fine pixel.
    observed : ndarray (n, n)
        Flux per input pixel.
    places, fluxes, stars : ndarray
        Catalogue on the fine grid of `truth`.
    kernel : ndarray
        Relative kernel, fine grid.
    fwhm : float
        Of the total PSF, input px.
    total : ndarray
        Total PSF, fine grid.
    psf : ndarray
        The same with pixel integration, sampled at the input pixel.
    """

    name: str
    shape: str
    truth: Array
    observed: NDArray[np.float32]
    places: Array
    fluxes: Array
    stars: NDArray[np.bool_]
    kernel: Array
    fwhm: float
    total: Array
    psf: Array


def total_psf(shape: str, side: int, fwhm: float) -> Array:
    """PSF of one of `SHAPES` on a grid of an odd side; FWHM in its pixels."""
    name, _, beta = shape.partition(" ")
    if name == "moffat":
        return shapes.moffat(side, fwhm, float(beta))
    return (shapes.gaussian if name == "gaussian" else shapes.airy)(side, fwhm)


def relative_kernel(shape: str, fwhm: float, target: float, scale: int) -> Array:
    """Kernel from the target to a PSF of `fwhm` [input px]."""
    side = kernel_side(scale)
    wide = total_psf(shape, 4 * side + 1, max(fwhm * scale, shapes.SHARPEST * target))
    return shapes.relative_analytic(wide, side, target)


def observe_light(truth: Array, kernel: Array, scale: int) -> Array:
    """Blur and block sum."""
    return np.maximum(metrics.block_mean(blur(truth, kernel), scale) * scale**2, 0)


def observe(truth: Array, kernel: Array, scale: int, rng: np.random.Generator) -> Array:
    """The same with Poisson and sky noise."""
    light = observe_light(truth, kernel, scale)
    noisy = rng.poisson(light * ELECTRONS) / ELECTRONS + rng.standard_normal(light.shape)
    return np.asarray(noisy, float)


def make_field(
    scene: Array,
    sources: Sequence[dict[str, Any]],
    number: int,
    model: ModelFacts,
    added: int = ADDED,
) -> Field:
    """Observe scene `number`: its PSF follows from the number; the middle is cut out."""
    s = model.scale
    rng = np.random.default_rng([number, 0x5C1])
    shape, fwhm = SHAPES[rng.integers(len(SHAPES))], FWHMS[rng.integers(len(FWHMS))]
    kernel = relative_kernel(shape, fwhm, model.target_fwhm, s)
    half = kernel.shape[0] // 2
    apron = np.pad(kernel, half)
    total = blur(apron, shapes.gaussian(kernel.shape[0], model.target_fwhm))[half:-half, half:-half]
    total /= total.sum()
    seen_psf = pixel_psf(total, s)
    scene, *known = scene.astype(float), *catalogue(sources)
    scene, places, fluxes, stars = _with_stars(scene, known, seen_psf, added, rng)
    scene = np.asarray(at_target(scene, model.target_fwhm), float)
    seen = observe(scene, kernel, s, rng)
    n = min(SIDE, *(m // s for m in scene.shape))
    first = (seen.shape[0] - n) // 2
    middle = np.s_[first : first + n, first : first + n]
    fine = np.s_[first * s : (first + n) * s, first * s : (first + n) * s]
    return Field(
        name=f"scene {number}",
        shape=shape,
        truth=scene[fine],
        observed=seen[middle].astype(np.float32),
        places=places - first * s,
        fluxes=fluxes,
        stars=stars,
        kernel=kernel,
        fwhm=fwhm,
        total=total,
        psf=seen_psf,
    )


def _with_stars(
    scene: Array, known: Sequence[Any], psf: Array, added: int, rng: np.random.Generator
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """Add stars where there is room, to a scene in place and to its catalogue."""
    places, fluxes, stars = known
    low, high = np.log(ADDED_SNR)
    for snr in np.exp(rng.uniform(low, high, added)):
        flux = _flux_of(float(snr), psf)
        for place in rng.uniform(20, np.array(scene.shape) - 21, (20, 2)):
            near = np.hypot(*(places - place).T) < ROOM
            if not (fluxes[near] > 0.2 * flux).any():
                add_star(scene, float(place[0]), float(place[1]), flux)
                places = np.concatenate([places, place[None]])
                fluxes, stars = np.append(fluxes, flux), np.append(stars, True)
                break
    return scene, places, fluxes, stars


def pixel_psf(total: Array, scale: int) -> Array:
    """A PSF of the fine grid with pixel integration, sampled at the input pixel, odd, sum 1."""
    full = total_kernel(total, scale)
    first = full.shape[0] // 2 % scale
    sampled = full[first::scale, first::scale]
    return np.asarray(sampled / sampled.sum())


def fields(
    model: ModelFacts,
    data: Path | None,
    scenes: Path | None,
    *,
    count: int,
    every: int,
    role: str = "test",
) -> Iterator[Field]:
    """Fields from a pack of scenes, or from test scenes rendered anew.

    Parameters
    ----------
    model : ModelFacts
    data : Path or None
        GalSim COSMOS sample, used when there is no pack.
    scenes : Path or None
        ``.npy`` with a catalogue ``.json`` beside it, by `sciup.train.sky.scenes.pack_scenes`.
    count, every : int
        At most so many scenes, and only every n-th.
    role : str
        Role that the galaxies of a pack must have.
    """
    if scenes is None:
        known = next((r for r in ROLES if r == role), None)
        if known is None:
            raise OptionError(f"there are no galaxies for the role {role!r}", ", ".join(ROLES))
        zoom = zoom_for(model.scale)
        side = round(2 * SIDE * zoom)
        drawn = render_scenes(data, count=count, side=side, role=known, seed=1, zoom=zoom)
        for i, (scene, sources) in enumerate(drawn):
            if i % every == 0:
                yield make_field(scene.astype(float), sources, i, model)
        return
    facts = json.loads(scenes.with_suffix(".json").read_text())
    if facts["role"] != role:
        raise InputError(f"{scenes} holds scenes for the role {facts['role']!r}", role)
    pack = np.load(scenes, mmap_mode="r")
    for i in range(0, min(count, len(pack)), every):
        yield make_field(np.asarray(pack[i], float), facts["scenes"][i], i, model)


def run_field(
    field: Field,
    model: ModelFacts,
    told: Told,
    *,
    precision: str = "auto",
    seed: int = 0,
    samples: int = DRAWS - 1,
    texture: bool | Path = False,
) -> Result:
    """The lazy result on a field."""
    image = open_array(field.observed, flux_per_pixel=True, domain="night-sky")
    facts: dict[str, Any] = {}
    if told == "width":
        facts = {"psf_fwhm": field.fwhm}
    elif told == "all":
        facts = {"psf": field.psf, "gain": ELECTRONS, "background": 0.0, "noise_sigma": 1.0}
    return upscale(
        image,
        model=model.folder,
        samples=samples,
        precision=precision,
        seed=seed,
        texture=texture,
        **facts,
    )


def signal_to_noise(flux: Array | float, field: Field) -> Array:
    """Optimal S/N of a point source of this flux in the input.

    ``F / sqrt(N + F / 30)`` with N = 1 / sum(p^2) for the PSF p on input pixels (King 1983, PASP
    95, 163).
    """
    light = np.asarray(flux, float)
    return np.asarray(light / np.sqrt(_noise_area(field) + np.maximum(light, 0) / ELECTRONS))


def flux_of(snr: float, field: Field) -> float:
    """Inverse of `signal_to_noise`."""
    return _flux_of(snr, field.psf)


def _flux_of(snr: float, psf: Array) -> float:
    photons = snr**2 / ELECTRONS
    return float(photons / 2 + np.sqrt(photons**2 / 4 + snr**2 / float((psf**2).sum())))


def _noise_area(field: Field) -> float:
    return 1 / float((field.psf**2).sum())
