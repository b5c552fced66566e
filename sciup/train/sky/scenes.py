"""Night-sky truth scenes: galaxies, stars, clusters, lenses and haze, without noise or background.

**What a pixel is.** A scene is the sky convolved with the target PSF (a circular Gaussian of FWHM
2 output pixels) and *sampled* at pixel centres, as flux per pixel. There is no integration over
the output pixel; the block sum over s x s output pixels plays the part of the integration over an
input pixel. The sampled Gaussian sums to its flux within 1e-6, since its transform at one cycle
per pixel is exp(-2 pi^2 sigma^2) = 7e-7.

A model whose target is wider gets the same scene blurred by what is missing
(`sciup.train.sky.target`), for Gaussians add in quadrature.

**What a flux is.** The unit is the noise sigma of one input pixel, which covers 2 x 2 output
pixels, at a typical depth; a trainer that draws another sky sigma makes the same scene deeper or
shallower. For a point source under a Gaussian PSF of FWHM w input pixels in white noise, the
optimal S/N is F / sqrt(4 pi (w / 2.355)^2), which is F / 3.0 at w = 2. The faintest sources have
F = 0.5, so that also a scene made 4 times deeper goes on below the noise, and the brightest have
F = 1e5, where photon noise and not the sky limits them. Of those above F = 2, about 15 % lie at S/N
3 to 7 (F = 9 to 21).

**How many.** Cumulative counts are power laws, N(>F) ~ F^-2.5 b with b = dlogN/dm, one b per
scene: 0.30 to 0.42 for galaxies (Tyson 1988 found 0.34 in I), 0.20 to 0.30 for stars. The number
above flux 2 in 512 x 512 output pixels is log-uniform, 40 to 500 galaxies and 20 to 500 stars, and
up to 3000 stars in crowded fields and star clusters. These are more stars than at high galactic
latitude: faint point sources would else be too rare to learn, and a sampler judges the density of
a field by what it sees there. Half-light radii before the PSF follow
r = r100 (F / 100)^0.3 with a scatter of 0.25 dex and one r100 of 1.4 to 5 px per scene: an
assumption that makes faint galaxies small, not a fit. On top of the counts come about 1.2 nearby
galaxies per 512 x 512 px, 3 to 30 px large, without which structure would be too rare to learn.

**At 8x** an input pixel covers four times as many output pixels as at 4x. The same scenes would be
four times as crowded there, with galaxies half as large beside the PSF: no survey sees such a sky.
So they are zoomed by 2 (`zoom_for`): the same numbers over four times the area, twice as large.

References
----------
Tyson (1988), AJ 96, 1: counts of faint galaxies.
Plummer (1911), MNRAS 71, 460: surface density of a cluster ~ (1 + r^2 / a^2)^-2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import OptionError, OutputError
from sciup.train.sky.contents import (
    FLUX_RANGE,
    Recipe,
    deeper,
    draw_fluxes,
    draw_recipe,
    log_uniform,
    neighbour,
    place,
    plummer,
)
from sciup.train.sky.diffuse import haze, nebula
from sciup.train.sky.stamps import ROLES, TARGET_FWHM, TARGET_SIGMA, Role, Stamp, build_library

Array = NDArray[np.float64]
Source = dict[str, Any]
Library = tuple[list[Stamp], list[Stamp]]

STAR_RADIUS = 8


def add_star(image: Array, y: float, x: float, flux: float) -> None:
    """Add a point source seen through the target PSF, exact at any sub-pixel position."""
    rows = np.arange(round(y) - STAR_RADIUS, round(y) + STAR_RADIUS + 1)
    cols = np.arange(round(x) - STAR_RADIUS, round(x) + STAR_RADIUS + 1)
    rows = rows[(rows >= 0) & (rows < image.shape[0])]
    cols = cols[(cols >= 0) & (cols < image.shape[1])]
    norm = flux / (2.0 * np.pi * TARGET_SIGMA**2)
    along_y = np.exp(-0.5 * ((rows - y) / TARGET_SIGMA) ** 2)
    along_x = np.exp(-0.5 * ((cols - x) / TARGET_SIGMA) ** 2)
    image[np.ix_(rows, cols)] += norm * np.outer(along_y, along_x)


def add_stamp(image: Array, stamp: Stamp, y: float, x: float, flux: float) -> tuple[float, float]:
    """Add a galaxy near (y, x), at its own sub-pixel phase; tell where its centre came to lie."""
    top, left = round(y - stamp.y), round(x - stamp.x)
    n, (height, width) = stamp.pixels.shape[0], image.shape
    y0, y1, x0, x1 = max(top, 0), min(top + n, height), max(left, 0), min(left + n, width)
    if y0 < y1 and x0 < x1:
        image[y0:y1, x0:x1] += flux * stamp.pixels[y0 - top : y1 - top, x0 - left : x1 - left]
    return top + stamp.y, left + stamp.x


class _Canvas:
    """One scene while it is filled, and its catalogue."""

    def __init__(self, side: int, rng: np.random.Generator) -> None:
        self.image: Array = np.zeros((side, side))
        self.sources: list[Source] = []
        self.rng = rng

    def star(self, y: float, x: float, flux: float) -> None:
        add_star(self.image, y, x, flux)
        self._note(kind="star", y=y, x=x, flux=flux, hlr=0.0)

    def galaxy(self, stamp: Stamp, y: float, x: float, flux: float) -> None:
        stamp = stamp.turned(int(self.rng.integers(4)), bool(self.rng.integers(2)))
        y, x = add_stamp(self.image, stamp, y, x, flux)
        self._note(kind="galaxy", y=y, x=x, flux=flux, hlr=stamp.hlr, morphology=stamp.morphology)

    def _note(self, **source: Any) -> None:
        side = self.image.shape[0]
        if -0.5 <= source["y"] < side - 0.5 and -0.5 <= source["x"] < side - 0.5:
            self.sources.append(
                {k: round(v, 4) if isinstance(v, float) else v for k, v in source.items()}
            )


def _add_stars(canvas: _Canvas, recipe: Recipe, side: int) -> None:
    rng = canvas.rng
    places = place(rng, recipe.stars, side)
    if recipe.kind == "star-cluster":
        bright = log_uniform(rng, 300, 2500) * min(1.0, (side / 512 / recipe.zoom) ** 2)
        members = int(bright * deeper(recipe.star_slope))
        scale = side * float(rng.uniform(0.06, 0.3))
        places = np.concatenate([places, plummer(rng, members, side, scale)])
    fluxes = draw_fluxes(rng, len(places), recipe.star_slope)
    for (y, x), flux in zip(places.tolist(), fluxes.tolist(), strict=True):
        canvas.star(y, x, flux)
        if rng.uniform() < 0.06:
            canvas.star(*neighbour(rng, y, x, recipe.zoom), flux * log_uniform(rng, 0.1, 1.0))
    if rng.uniform() < 0.15:
        y, x = rng.uniform(0, side - 1, 2).tolist()
        canvas.star(y, x, log_uniform(rng, 1e4, 1e5))


def _add_galaxies(canvas: _Canvas, recipe: Recipe, side: int, stamps: list[Stamp]) -> None:
    rng = canvas.rng
    places = place(rng, recipe.galaxies, side)
    fluxes = draw_fluxes(rng, recipe.galaxies, recipe.galaxy_slope)
    if recipe.kind == "galaxy-cluster" and recipe.galaxies > 1:
        members = recipe.galaxies // 2
        places[:members] = plummer(rng, members, side, side * float(rng.uniform(0.08, 0.25)))
        # The brightest galaxy of a cluster sits near its middle.
        bright = int(np.argmax(fluxes))
        fluxes[bright] = max(fluxes[bright], log_uniform(rng, 2e3, 4e4))
        places[bright] = np.median(places[:members], axis=0)
    sizes = np.log([stamp.hlr for stamp in stamps])
    for (y, x), flux in zip(places.tolist(), fluxes.tolist(), strict=True):
        hlr = recipe.r100 * (flux / 100.0) ** 0.3 * 10.0 ** rng.normal(0.0, 0.25)
        canvas.galaxy(_of_size(rng, stamps, sizes, hlr), y, x, flux)
        chance = rng.uniform()
        if chance < 0.03:
            canvas.star(*neighbour(rng, y, x, recipe.zoom), flux * log_uniform(rng, 0.1, 1.0))
        elif chance < 0.06:
            stamp = _of_size(rng, stamps, sizes, 0.7 * hlr)
            canvas.galaxy(
                stamp, *neighbour(rng, y, x, recipe.zoom), flux * log_uniform(rng, 0.1, 1.0)
            )


def _of_size(rng: np.random.Generator, stamps: list[Stamp], sizes: Array, hlr: float) -> Stamp:
    """One of the few per cent of the library that come nearest in size."""
    window = max(1, len(stamps) // 16)
    start = int(np.searchsorted(sizes, np.log(hlr))) - window // 2
    start = min(max(start, 0), len(stamps) - window)
    return stamps[start + int(rng.integers(window))]


def _add_large(canvas: _Canvas, recipe: Recipe, side: int, library: Library) -> None:
    """Add nearby galaxies and lenses, large enough to show what they are made of."""
    rng, (stamps, lenses) = canvas.rng, library
    sizes = np.log([stamp.hlr for stamp in stamps])
    wanted = [log_uniform(rng, 3.0 * recipe.zoom, stamps[-1].hlr) for _ in range(recipe.nearby)]
    picks = [_of_size(rng, stamps, sizes, hlr) for hlr in wanted]
    chosen = rng.integers(len(lenses), size=recipe.lenses).tolist() if lenses else []
    for stamp in picks + [lenses[i] for i in chosen]:
        y, x = rng.uniform(0.0, side - 1.0, 2).tolist()
        # By surface brightness, or else small ones would be dazzling and wide ones invisible.
        area = (stamp.hlr / recipe.zoom) ** 2
        canvas.galaxy(stamp, y, x, min(log_uniform(rng, 1.5, 80.0) * area, FLUX_RANGE[1]))


def render_scene(
    library: Library, *, side: int, role: Role, seed: int, index: int, zoom: float = 1.0
) -> tuple[NDArray[np.float32], list[Source]]:
    """Render one scene; `render_scenes` does this for many with one library."""
    rng = np.random.default_rng([seed, list(ROLES).index(role), index, 0x5CE4E])
    recipe = draw_recipe(rng, side, zoom)
    canvas = _Canvas(side, rng)
    if recipe.haze:
        canvas.image += haze(rng, side, zoom)
    if recipe.kind == "nebula":
        canvas.image += nebula(rng, side, zoom)
    _add_galaxies(canvas, recipe, side, library[0])
    _add_large(canvas, recipe, side, library)
    _add_stars(canvas, recipe, side)
    return canvas.image.astype(np.float32), canvas.sources


def render_scenes(
    folder: Path | None,
    *,
    count: int,
    side: int = 512,
    role: Role,
    seed: int,
    start: int = 0,
    stamps: int = 400,
    cache: Path | None = None,
    zoom: float = 1.0,
) -> Iterator[tuple[NDArray[np.float32], list[Source]]]:
    """Render night-sky truth scenes at the target resolution.

    Scene i depends on (seed, role, i), the side and the library of stamps, and on nothing else:
    ``start=5, count=1`` gives the sixth scene of ``count=10``.

    Parameters
    ----------
    folder : Path or None
        A GalSim COSMOS sample; None for random morphologies only.
    count : int
        Number of scenes.
    side : int
        Height and width in output pixels.
    role : {"train", "calibrate", "test"}
        Roles share no galaxy and no random number.
    seed : int
        Seed of the library and of the scenes.
    start : int
        Index of the first scene.
    stamps : int
        Number of galaxies in the library, which is rendered first: 0.1 s each.
    cache : Path, optional
        Folder where the library is kept for the next time.
    zoom : float
        Magnification of all lengths but that of the target PSF; see `zoom_for`.

    Yields
    ------
    scene : ndarray of shape (side, side), float32
        Flux per pixel, no noise, no background, never negative.
    sources : list of dict
        ``kind`` ("star" or "galaxy"), ``y``, ``x`` (0-based, pixel centres), ``flux`` (all of it,
        also where it leaves the scene), ``hlr`` (0 for a star; see `Stamp`), and ``morphology``
        for galaxies. Sources centred outside the scene, haze and nebulae are not listed.
    """
    if count < 0 or side < 16 or start < 0 or stamps < 1:
        raise OptionError(
            f"count {count}, side {side}, start {start}, stamps {stamps}",
            "count and start from 0, side from 16, stamps from 1",
        )
    lenses = -(-stamps // 25)
    library = build_library(folder, role, seed, count=stamps, lenses=lenses, cache=cache)
    for index in range(start, start + count):
        yield render_scene(library, side=side, role=role, seed=seed, index=index, zoom=zoom)


def pack_scenes(
    folder: Path | None,
    out: Path,
    *,
    count: int,
    side: int,
    role: Role,
    seed: int,
    stamps: int = 400,
    cache: Path | None = None,
    zoom: float = 1.0,
) -> None:
    """Write scenes as one memory-mappable ``.npy`` and their catalogues as a ``.json`` next to it.

    Parameters
    ----------
    folder, count, side, role, seed, stamps, cache, zoom
        See `render_scenes`.
    out : Path
        Ends in ``.npy``: float32 of shape (count, side, side), for ``np.load(mmap_mode="r")``.
        The JSON beside it has ``role``, ``seed``, ``side``, ``target_fwhm_px``, ``zoom`` and
        ``scenes``, a list of sources for each scene. Both appear only when they are complete.
    """
    from rich.progress import track

    catalogue = out.with_suffix(".json")
    if out.suffix != ".npy":
        raise OptionError(f"{str(out)!r} is no name for a pack of scenes", "a name in .npy")
    for path in (out, catalogue):
        if path.exists():
            raise OutputError(f"{str(path)!r} exists", fix="remove it or choose another name")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    pack = np.lib.format.open_memmap(
        partial, mode="w+", dtype=np.float32, shape=(count, side, side)
    )
    scenes = render_scenes(
        folder,
        count=count,
        side=side,
        role=role,
        seed=seed,
        stamps=stamps,
        cache=cache,
        zoom=zoom,
    )
    sources: list[list[Source]] = []
    for i, (scene, listed) in enumerate(track(scenes, f"{role} scenes", total=count)):
        pack[i] = scene
        sources.append(listed)
    pack.flush()
    facts = {"role": role, "seed": seed, "side": side, "target_fwhm_px": TARGET_FWHM, "zoom": zoom}
    catalogue.write_text(json.dumps({**facts, "scenes": sources}))
    partial.replace(out)
