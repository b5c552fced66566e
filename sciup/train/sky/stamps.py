"""A library of galaxy stamps at the target resolution of the night-sky models.

A stamp is a galaxy convolved with the target PSF (a circular Gaussian of FWHM 2 output pixels)
and *sampled* at pixel centres: there is no extra integration over the output pixel, so the block
sum over s x s output pixels plays the part of the integration over an input pixel. Stamps sum to
1, are never negative, and are exactly 0 from an inscribed circle on: a stamp that stops short of
zero would show its box, and a network trained on boxes paints boxes.

Lengths are in output ("HR") pixels throughout.

References
----------
Rowe et al. (2015), Astronomy and Computing 10, 121: GalSim.
Mandelbaum et al. (2012), MNRAS 420, 1518: the COSMOS galaxy sample of GalSim.
Sersic (1963), Boletin de la Asociacion Argentina de Astronomia 6, 41: the profile of galaxies.
Hubble (1926), ApJ 64, 321: axis ratio of an inclined disc, q^2 = cos^2 i + q0^2 sin^2 i.
Schneider, Ehlers & Falco (1992), Gravitational Lenses: the singular isothermal sphere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sciup.errors import InputError, MissingPackageError, OptionError

Role = Literal["train", "calibrate", "test"]
Array = NDArray[np.float64]

TARGET_FWHM = 2.0
TARGET_SIGMA = TARGET_FWHM / (2.0 * np.sqrt(2.0 * np.log(2.0)))
ROLES: dict[Role, tuple[int, ...]] = {"train": (0, 1, 2), "calibrate": (3,), "test": (4,)}
"""Catalogue index mod 5 of the COSMOS galaxies of each role: no galaxy serves two roles."""

HLR_RANGE = (0.3, 30.0)
OVERSAMPLING = 4
MAX_RADIUS = 300
VERSION = 2  # raise it when stamps change: it is part of the name of a cached library


@dataclass(frozen=True, slots=True)
class Stamp:
    """One galaxy of unit flux.

    Attributes
    ----------
    pixels : ndarray of shape (n, n), float32
        Sum 1, zero outside the inscribed circle.
    y, x : float
        Centre of the profile, 0-based, with a random sub-pixel part.
    hlr : float
        Nominal half-light radius before the target PSF; the Einstein radius for a lens.
    morphology : str
        ``cosmos``, ``sersic``, ``bulge-disc``, ``knots``, ``clumps``, ``spiral`` or ``lens``.
    """

    pixels: NDArray[np.float32]
    y: float
    x: float
    hlr: float
    morphology: str

    def turned(self, quarter_turns: int, mirrored: bool) -> Stamp:
        """Mirror left to right (or not), then turn; the centre moves along."""
        pixels, y, x, last = self.pixels, self.y, self.x, self.pixels.shape[0] - 1
        if mirrored:
            pixels, x = pixels[:, ::-1], last - x
        for _ in range(quarter_turns % 4):
            y, x = last - x, y
        return Stamp(np.rot90(pixels, quarter_turns), y, x, self.hlr, self.morphology)


def import_galsim() -> Any:
    """GalSim, or an error that says how to get it."""
    try:
        import galsim
    except ImportError:
        what = "simulating night-sky scenes needs the package galsim"
        raise MissingPackageError(what, fix="run pip install sciup[train]") from None
    return galsim


def _radius(hlr: float, concentrated: bool) -> int:
    """Half a stamp: where an exponential has 1e-4 of its flux left, and further for steep cores."""
    return int(np.clip(np.ceil((12.0 if concentrated else 6.5) * hlr + 8.0), 12, MAX_RADIUS))


def _taper(side: int, y: float, x: float) -> Array:
    """Window of radius: 1 inside, a quintic step with two smooth derivatives, 0 at the edge.

    It starts at half the radius: a wide taper looks like a galaxy's end, a narrow one like a cut.
    """
    edge = min(y, x, side - 1 - y, side - 1 - x)
    r = np.hypot(np.arange(side)[:, None] - y, np.arange(side) - x) / edge
    t = np.clip((1.0 - r) / 0.5, 0.0, 1.0)
    return np.asarray(t**3 * (10.0 - 15.0 * t + 6.0 * t**2), dtype=np.float64)


def _finish(image: Array, offset: tuple[float, float], hlr: float, morphology: str) -> Stamp:
    """Taper, remove the negative ripples of the FFT (1e-6 of the peak), norm to unit flux."""
    y, x = (image.shape[0] // 2 + shift for shift in offset)
    image = np.maximum(image, 0.0) * _taper(image.shape[0], y, x)
    total = float(image.sum())
    if not np.isfinite(total) or total <= 0.0:
        raise InputError(f"a {morphology} galaxy of half-light radius {hlr:.3g} px has no flux")
    return Stamp((image / total).astype(np.float32), y, x, hlr, morphology)


def _draw(profile: Any, radius: int, offset: tuple[float, float]) -> Array:
    """Convolve a GalSim profile (lengths in px) with the target PSF; sample at pixel centres.

    The folding threshold is coarse on purpose: a Sersic profile of index 6 would otherwise ask
    for an FFT of tens of gigabytes, and what folds back is smooth, faint and tapered.
    """
    galsim = import_galsim()
    params = galsim.GSParams(
        folding_threshold=0.02, maxk_threshold=1e-5, kvalue_accuracy=1e-6, maximum_fft_size=8192
    )
    both = galsim.Convolve([profile, galsim.Gaussian(sigma=TARGET_SIGMA)], gsparams=params)
    size = {"nx": 2 * radius + 1, "ny": 2 * radius + 1, "scale": 1.0, "dtype": float}
    image = both.drawImage(method="no_pixel", offset=offset[::-1], **size)
    return np.asarray(image.array, dtype=np.float64)


def _grid(radius: int, offset: tuple[float, float]) -> tuple[Array, Array]:
    """Coordinates (y, x) about the centre on a grid that is finer than the stamp."""
    fine = np.arange(2 * radius * OVERSAMPLING + 1) / OVERSAMPLING - radius
    y, x = np.meshgrid(fine - offset[0], fine - offset[1], indexing="ij")
    return y, x


def _sample(fine: Array) -> Array:
    """Convolve a finely sampled picture with the target PSF and keep the pixel centres."""
    smooth = gaussian_filter(fine, TARGET_SIGMA * OVERSAMPLING, truncate=6.0, mode="constant")
    return np.asarray(smooth[::OVERSAMPLING, ::OVERSAMPLING], dtype=np.float64)


def _disc_axis_ratio(rng: np.random.Generator) -> float:
    """Axis ratio of a disc of thickness 0.2 seen from a random direction (Hubble 1926)."""
    cos2 = rng.uniform() ** 2
    return float(np.sqrt(cos2 + 0.04 * (1.0 - cos2)))


def _shear(profile: Any, q: float, angle: float) -> Any:
    galsim = import_galsim()
    return profile.shear(q=max(q, 0.1), beta=angle * galsim.radians)


def _sersic(rng: np.random.Generator, hlr: float, offset: tuple[float, float]) -> Stamp:
    galsim = import_galsim()
    disc = rng.uniform() < 0.65
    n = rng.uniform(0.5, 1.6) if disc else rng.uniform(1.6, 5.0)
    q = _disc_axis_ratio(rng) if disc else rng.uniform(0.5, 1.0)
    profile = _shear(galsim.Sersic(n, half_light_radius=hlr), q, rng.uniform(0, np.pi))
    radius = _radius(hlr / np.sqrt(q), n > 1.6)
    return _finish(_draw(profile, radius, offset), offset, hlr, "sersic")


def _bulge_disc(rng: np.random.Generator, hlr: float, offset: tuple[float, float]) -> Stamp:
    galsim = import_galsim()
    q, angle, share = _disc_axis_ratio(rng), rng.uniform(0, np.pi), rng.uniform(0.05, 0.6)
    bulge = galsim.Sersic(rng.uniform(2.0, 4.0), half_light_radius=hlr * rng.uniform(0.15, 0.4))
    disc = galsim.Exponential(half_light_radius=hlr)
    profile = _shear(bulge, 0.5 * (1.0 + q), angle) * share + _shear(disc, q, angle) * (1 - share)
    radius = _radius(hlr / np.sqrt(q), False)
    return _finish(_draw(profile, radius, offset), offset, hlr, "bulge-disc")


def _knots(rng: np.random.Generator, hlr: float, offset: tuple[float, float]) -> Stamp:
    galsim = import_galsim()
    q, angle = max(_disc_axis_ratio(rng), 0.3), rng.uniform(0, np.pi)
    smooth = galsim.Exponential(half_light_radius=hlr)
    number, seed = int(rng.integers(4, 60)), int(rng.integers(1, 2**31))
    knots = galsim.RandomKnots(number, profile=smooth, rng=galsim.BaseDeviate(seed))
    share = rng.uniform(0.05, 0.45)
    profile = _shear(smooth * (1 - share) + knots * share, q, angle)
    radius = _radius(hlr / np.sqrt(q), False)
    return _finish(_draw(profile, radius, offset), offset, hlr, "knots")


def _clumps(rng: np.random.Generator, hlr: float, offset: tuple[float, float]) -> Stamp:
    """Make an irregular or merging galaxy: a few Sersic clumps thrown together."""
    galsim = import_galsim()
    parts = []
    for size in hlr * rng.uniform(0.2, 0.8, int(rng.integers(2, 6))):
        part = galsim.Sersic(rng.uniform(0.5, 2.0), half_light_radius=size)
        part = _shear(part, rng.uniform(0.35, 1.0), rng.uniform(0, np.pi))
        dx, dy = rng.normal(0.0, 0.6 * hlr, 2)
        parts.append(part.shift(dx, dy) * rng.uniform(0.2, 1.0))
    radius = _radius(1.4 * hlr, False)
    return _finish(_draw(galsim.Add(parts), radius, offset), offset, hlr, "clumps")


def _spiral(rng: np.random.Generator, hlr: float, offset: tuple[float, float]) -> Stamp:
    """Exponential disc with logarithmic arms, a small bulge and bright knots along the arms."""
    h, arms = hlr / 1.678, int(rng.choice([2, 2, 3, 4]))
    pitch, phase = np.deg2rad(rng.uniform(12, 32)), rng.uniform(0, 2 * np.pi)
    q, angle, hand = max(_disc_axis_ratio(rng), 0.3), rng.uniform(0, np.pi), rng.choice([-1, 1])
    radius = _radius(hlr / np.sqrt(q), False)
    y, x = _grid(radius, offset)
    u = (x * np.cos(angle) + y * np.sin(angle)) * np.sqrt(q)
    v = (-x * np.sin(angle) + y * np.cos(angle)) / np.sqrt(q)
    r, theta = np.sqrt(u**2 + v**2 + 0.1), hand * np.arctan2(v, u)
    wave = np.cos(arms * (theta - np.log(r / h) / np.tan(pitch)) + phase)
    fade = 1.0 - np.exp(-((r / (0.6 * h)) ** 2))
    crest = np.exp(rng.uniform(1.0, 2.5) * (wave - 1.0))
    image = np.exp(-r / h) * (1.0 - fade * 0.7 * (1.0 - crest))
    image += rng.uniform(1.0, 8.0) * np.exp(-r / (0.15 * h))
    weight = (np.exp(-r / (1.3 * h)) * fade * crest**2).ravel()
    picks = rng.choice(weight.size, int(rng.integers(0, 50)), p=weight / weight.sum())
    # A knot is a point: its flux lands on one fine pixel and the target PSF does the rest.
    share = rng.uniform(0.02, 0.2) * image.sum() / max(len(picks), 1)
    np.add.at(image.reshape(-1), picks, share * rng.exponential(size=len(picks)))
    return _finish(_sample(image), offset, hlr, "spiral")


def _lens(rng: np.random.Generator, hlr: float, offset: tuple[float, float]) -> Stamp:
    """Make an elliptical galaxy and the arcs that it makes of a small source behind it.

    Rays are traced through a singular isothermal sphere with external shear:
    beta = theta - theta_E theta / |theta| - Gamma theta. `hlr` is theta_E.
    """
    galsim = import_galsim()
    radius = _radius(0.7 * hlr, True)
    y, x = _grid(radius, offset)
    stretch = 1.0 - hlr / np.sqrt(x**2 + y**2 + 0.01)
    gamma, phi = rng.uniform(0.0, 0.1), rng.uniform(0, 2 * np.pi)
    g1, g2 = gamma * np.cos(phi), gamma * np.sin(phi)
    bx, by = x * stretch - g1 * x - g2 * y, y * stretch - g2 * x + g1 * y
    size, away, where = hlr * rng.uniform(0.03, 0.15), rng.uniform(0.05, 0.9), rng.uniform(0, 6.28)
    bx, by = bx - hlr * away * np.cos(where), by - hlr * away * np.sin(where)
    q, tilt = rng.uniform(0.4, 1.0), rng.uniform(0, np.pi)
    u = (bx * np.cos(tilt) + by * np.sin(tilt)) * np.sqrt(q)
    v = (-bx * np.sin(tilt) + by * np.cos(tilt)) / np.sqrt(q)
    source = np.exp(-np.hypot(u, v) / size)
    for _ in range(int(rng.integers(0, 4))):
        du, dv = rng.normal(0.0, size, 2)
        source += rng.uniform(0.3, 2.0) * np.exp(-((u - du) ** 2 + (v - dv) ** 2) * 8 / size**2)
    arcs = _sample(source)
    galaxy = galsim.Sersic(rng.uniform(2.5, 4.0), half_light_radius=hlr * rng.uniform(0.3, 0.7))
    galaxy = _shear(galaxy, rng.uniform(0.6, 1.0), rng.uniform(0, np.pi))
    share = rng.uniform(0.1, 0.7)
    image = share * arcs / arcs.sum() + (1 - share) * _draw(galaxy, radius, offset)
    return _finish(image, offset, hlr, "lens")


class Cosmos:
    """The parametric fits of a GalSim COSMOS sample that belong to one role.

    Parameters
    ----------
    folder : Path
        Holds ``real_galaxy_catalog_*.fits`` and the ``*_fits.fits`` next to it.
    role : {"train", "calibrate", "test"}
        Catalogue indices with ``index % 5`` in `ROLES` of this role.
    """

    def __init__(self, folder: Path, role: Role) -> None:
        galsim = import_galsim()
        for path in sorted(folder.glob("real_galaxy_catalog_*_fits.fits")):
            name = path.name.replace("_fits.fits", ".fits")
            options = {"use_real": False, "exclusion_level": "none"}
            catalog = galsim.COSMOSCatalog(name, dir=str(folder), **options)
            # The deep extension ships a table without fits under the same kind of name.
            if "bulgefit" in (catalog.param_cat.dtype.names or ()):
                original = np.asarray(catalog.orig_index)
                self.catalog = catalog
                self.index = np.flatnonzero(np.isin(original % 5, ROLES[role]))
                return
        raise InputError(
            f"no COSMOS catalogue with parametric fits in {str(folder)!r}",
            "a folder with real_galaxy_catalog_*_fits.fits",
            "download one with galsim_download_cosmos, or give no folder",
        )

    def stamp(self, rng: np.random.Generator, hlr: float, offset: tuple[float, float]) -> Stamp:
        """Pick a galaxy of the role, turn it at random and scale it to a half-light radius."""
        galsim = import_galsim()
        i = int(rng.choice(self.index))
        # calculateHLR() of steep profiles asks for a huge FFT: take the catalogue's number.
        single, _, disc = (float(value) for value in self.catalog.param_cat["hlr"][i])
        galaxy = self.catalog.makeGalaxy(i, gal_type="parametric")
        galaxy = (galaxy / galaxy.flux).dilate(hlr / (single if single > 0 else disc))
        galaxy = galaxy.rotate(rng.uniform(0, 2 * np.pi) * galsim.radians)
        radius = _radius(1.2 * hlr, True)
        return _finish(_draw(galaxy, radius, offset), offset, hlr, "cosmos")


_Maker = Callable[[np.random.Generator, float, tuple[float, float]], Stamp]


def _maker(rng: np.random.Generator, hlr: float, cosmos: Cosmos | None) -> _Maker:
    """Pick a morphology; arms, knots and clumps only where there are pixels for them."""
    table: list[tuple[_Maker, float]] = [(_sersic, 0.25), (_bulge_disc, 0.15)]
    if cosmos is not None:
        table.append((cosmos.stamp, 0.3))
    if hlr > 1.5:
        table += [(_knots, 0.15), (_clumps, 0.1)]
    if hlr > 4.0:
        table.append((_spiral, 0.25))
    weight = np.array([share for _, share in table])
    return table[int(rng.choice(len(table), p=weight / weight.sum()))][0]


def build_library(
    folder: Path | None,
    role: Role,
    seed: int,
    *,
    count: int = 400,
    lenses: int = 24,
    cache: Path | None = None,
) -> tuple[list[Stamp], list[Stamp]]:
    """Render the galaxies and the lenses of a role once; read them back where they are cached.

    Parameters
    ----------
    folder : Path or None
        A GalSim COSMOS sample; None for random morphologies only.
    role : {"train", "calibrate", "test"}
        Which COSMOS galaxies may be used; also part of the random seed.
    seed : int
        Another seed gives other stamps.
    count, lenses : int
        Number of galaxies (half-light radius log-uniform in `HLR_RANGE`) and of lenses.
    cache : Path, optional
        Folder where the library is kept as one ``.npz``, named by what went into it.

    Returns
    -------
    galaxies, lenses : list of Stamp
        Galaxies in order of size.
    """
    if role not in ROLES:
        raise OptionError(f"unknown role {role!r}", ", ".join(ROLES))
    path = None if cache is None else cache / _cache_name(folder, role, seed, count, lenses)
    if path is not None and path.exists():
        stamps = _load(path)
    else:
        cosmos = None if folder is None else Cosmos(folder, role)
        stamps = _render(cosmos, role, seed, count, lenses)
        if path is not None:
            _save(path, stamps)
    galaxies = [stamp for stamp in stamps if stamp.morphology != "lens"]
    return sorted(galaxies, key=lambda s: s.hlr), [s for s in stamps if s.morphology == "lens"]


def _render(cosmos: Cosmos | None, role: Role, seed: int, count: int, lenses: int) -> list[Stamp]:
    stamps = []
    for i in range(count + lenses):
        rng = np.random.default_rng([seed, list(ROLES).index(role), i, 0x57A4])
        offset = (float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.5, 0.5)))
        if i >= count:
            stamps.append(_lens(rng, float(np.exp(rng.uniform(np.log(4), np.log(25)))), offset))
            continue
        # Stratified, so that even a small library has every size.
        low, high = np.log(HLR_RANGE)
        hlr = float(np.exp(low + (high - low) * (i + rng.uniform()) / count))
        stamps.append(_maker(rng, hlr, cosmos)(rng, hlr, offset))
    return stamps


def _cache_name(folder: Path | None, role: Role, seed: int, count: int, lenses: int) -> str:
    files = [] if folder is None else sorted((p.name, p.stat().st_size) for p in folder.iterdir())
    key = json.dumps([VERSION, role, seed, count, lenses, files])
    return f"sky-stamps-{role}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"


def _save(path: Path, stamps: list[Stamp]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under another name until complete: two processes may build the same library at once.
    temporary = path.with_name(f"{path.stem}.{np.random.SeedSequence().entropy}.partial.npz")
    np.savez_compressed(
        temporary,
        pixels=np.concatenate([s.pixels.ravel() for s in stamps]),
        side=np.array([s.pixels.shape[0] for s in stamps]),
        place=np.array([(s.y, s.x, s.hlr) for s in stamps]),
        morphology=np.array([s.morphology for s in stamps]),
    )
    temporary.replace(path)


def _load(path: Path) -> list[Stamp]:
    with np.load(path, allow_pickle=False) as data:
        side, place, names = data["side"], data["place"], data["morphology"]
        flat = np.split(data["pixels"], np.cumsum(side**2)[:-1])
    return [
        Stamp(pixels.reshape(n, n), float(y), float(x), float(hlr), str(name))
        for pixels, n, (y, x, hlr), name in zip(flat, side, place, names, strict=True)
    ]
