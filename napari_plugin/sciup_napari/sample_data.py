"""Images to try things on, without a download.

Pictures of scikit-image as an instrument would have seen them, simulated cells, and a simulated
mosaic of the sky that is too large to be held in memory. Where the truth is known, it comes along
as a hidden layer, exactly on the image.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import erf

from sciup.image import PixelGrid
from sciup.testing.toy_images import SIGMA_TO_FWHM, cells
from sciup_napari.fits_layers import LayerData
from sciup_napari.fits_place import place_keywords
from sciup_napari.lazy import robust_limits

Values = NDArray[np.float64]

SIDE = 20_000
CHUNK = 512
PIXEL = 0.2
SEEING = 2.6
SKY, NOISE = 100.0, 5.0
READ_NOISE = 2.0
STEPS = (1, 2, 4, 8, 16, 32)


def hubble() -> list[LayerData]:
    """The Hubble Deep Field as a coarser telescope would see it, and the truth."""
    from skimage.data import hubble_deep_field

    shown = hubble_deep_field().astype(float).mean(-1) / 255
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    truth = 4000 * binned(linear, 2) + 60  # stars of the picture are 4 px wide: to 2 px
    grid = PixelGrid((PIXEL, PIXEL), "arcsec")
    return _pair("Hubble Deep Field", truth, 2, grid, "night-sky", blur=4.2, target=2.0)


def cell() -> list[LayerData]:
    """A cell in saline as a coarse camera would count its photons, and the truth."""
    from skimage.data import cell as picture

    truth = 1.5 * picture().astype(float)[:660, :548] + 10
    grid = PixelGrid((0.4, 0.4), "micrometer")
    return _pair("Cell in saline", truth, 4, grid, "fluorescence", blur=8.0, target=2.0)


def two_channels() -> list[LayerData]:
    """Simulated cells in two colours, three planes deep."""
    place = place_keywords(PixelGrid((0.2, 0.2), "micrometer"), "zyx", {"z": Z_AXIS})
    layers: list[LayerData] = []
    for i, (name, color) in enumerate((("nuclei", "#56B4E9"), ("actin", "#E69F00"))):
        stack = np.stack([cells((400, 500), seed=10 * i + z) for z in range(3)])
        about = _about("fluorescence", {"gain": 1.0, "read_noise": 1.0})
        keywords = {
            "name": f"Simulated {name}",
            "colormap": color,
            "blending": "additive",
            "contrast_limits": robust_limits(stack),
            "metadata": about,
        }
        layers.append((stack, keywords | place, "image"))
    return layers


Z_AXIS = {"name": "z", "scale": 0.5, "unit": "micrometer"}


def mosaic() -> list[LayerData]:
    """A simulated mosaic of the sky of 20,000 x 20,000 pixels; only what is shown is made."""
    header = sky_header((SIDE, SIDE), PIXEL)
    levels = mosaic_levels()
    about = _about("night-sky", {"gain": 1.0, "psf_fwhm": SEEING}, header)
    keywords = {
        "name": "Simulated sky, 20,000 × 20,000",
        "contrast_limits": (SKY - 2 * NOISE, SKY + 20 * NOISE),
        "multiscale": True,
        "metadata": about,
        **place_keywords(PixelGrid((PIXEL, PIXEL), "arcsec"), "yx"),
    }
    layers: list[LayerData] = [(levels, keywords, "image")]
    _prepare(layers)
    return layers


def mosaic_levels(side: int = SIDE, seed: int = 0) -> list[Any]:
    """All levels of the mosaic as dask arrays; every block is a function of its place and the seed.

    Examples
    --------
    >>> [level.shape[0] for level in mosaic_levels(2048)]
    [2048, 1024, 512, 256, 128, 64]
    """
    import dask.array as da

    def level(step: int) -> Any:
        size = -(-side // step)
        chunk = (*(CHUNK,) * (size // CHUNK), *((size % CHUNK,) if size % CHUNK else ()))
        make = functools.partial(sky_block, side=side, step=step, seed=seed)
        return da.map_blocks(
            _numbered(make), dtype=np.float32, chunks=(chunk, chunk), meta=np.empty((0, 0), "f4"),
            name=f"sciup-sky-{side}-{step}-{seed}",
        )  # fmt: skip

    return [level(step) for step in STEPS]


def _numbered(make: Any) -> Any:
    def block(block_info: Any = None) -> NDArray[np.float32]:
        (y0, y1), (x0, x1) = block_info[None]["array-location"]
        made: NDArray[np.float32] = make(y0, x0, (y1 - y0, x1 - x0))
        return made

    return block


def sky_block(
    y: int, x: int, shape: tuple[int, int], *, side: int = SIDE, step: int = 1, seed: int = 0
) -> NDArray[np.float32]:
    """A block of the mosaic: stars, galaxies, sky and noise.

    Parameters
    ----------
    y, x : int
        Its first pixel on this level.
    shape : (int, int)
    side : int
        Side of the mosaic in pixels of level 0.
    step : int
        Pixels of level 0 per pixel of this level; values are means over them.
    seed : int
    """
    image = np.full(shape, SKY)
    rows, cols, flux, fwhm = catalogue(side, seed)
    for wide in (False, True):
        pick = (fwhm > SEEING) == wide
        width = float(fwhm[pick].max(initial=SEEING)) / step
        half = int(np.ceil(2.2 * width)) + 1
        # Positions on this level; centres of pixels have whole numbers.
        v = (rows[pick] + 0.5) / step - 0.5 - y
        u = (cols[pick] + 0.5) / step - 0.5 - x
        near = (v > -half) & (v < shape[0] + half) & (u > -half) & (u < shape[1] + half)
        add_stars(
            image, v[near], u[near], flux[pick][near] / step**2, fwhm[pick][near] / step, half
        )
    rng = np.random.default_rng((seed, step, y, x))
    return (image + rng.normal(0, NOISE / step, shape)).astype(np.float32)


@functools.cache
def catalogue(side: int, seed: int) -> tuple[Values, Values, Values, Values]:
    """Row, column, flux and FWHM of all sources; one of 25 is a galaxy."""
    rng = np.random.default_rng(seed)
    count = side * side // 1500
    flux = 200.0 * rng.pareto(0.9, count).clip(0, 1500) + 150
    wide = rng.random(count) < 1 / 25
    fwhm = np.where(wide, SEEING * rng.uniform(1.5, 5, count), SEEING)
    places = rng.uniform(0, side, (2, count))
    # Half of all sources stand in clusters, so that the whole has something to zoom into.
    many = max(1, side // 400)
    centres = rng.uniform(0, side, (2, many))
    spread = side / 20_000 * rng.uniform(100, 900, many)
    member = rng.integers(0, 2 * many, count)
    inside = member < many
    home = member[inside]
    places[:, inside] = centres[:, home] + spread[home] * rng.normal(0, 1, (2, home.size))
    return places[0], places[1], flux * fwhm / SEEING, fwhm


def add_stars(image: Values, v: Values, u: Values, flux: Values, fwhm: Values, half: int) -> None:
    """Add Gaussian sources, integrated over the pixels, to an image."""
    around = np.arange(-half, half + 1)
    parts = []
    for centre in (v, u):
        whole = np.round(centre).astype(int)
        edges = np.arange(-half, half + 2)[None] - 0.5 - (centre - whole)[:, None]
        scaled = edges * (SIGMA_TO_FWHM / 2**0.5) / fwhm[:, None]
        parts.append((whole[:, None] + around, np.diff(erf(scaled), axis=1) / 2))
    (rows, down), (cols, across) = parts
    light = flux[:, None, None] * down[:, :, None] * across[:, None, :]
    inside = ((rows >= 0) & (rows < image.shape[0]))[:, :, None] & (
        (cols >= 0) & (cols < image.shape[1])
    )[:, None, :]
    index = (rows[:, :, None] * image.shape[1] + cols[:, None, :])[inside]
    image += np.bincount(index, light[inside], image.size).reshape(image.shape)


def binned(values: Values, step: int) -> Values:
    """Means of blocks of `step` x `step` pixels."""
    height, width = (n // step for n in values.shape)
    part = values[: height * step, : width * step]
    return np.asarray(part.reshape(height, step, width, step).mean((1, 3)))


def sky_header(shape: tuple[int, int], pixel: float) -> Any:
    """A FITS header with a tangential projection about the middle of an image, north up."""
    from astropy.io import fits

    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = 189.205, 62.216
    header["CRPIX1"], header["CRPIX2"] = ((n + 1) / 2 for n in shape[::-1])
    header["CDELT1"], header["CDELT2"] = -pixel / 3600, pixel / 3600
    header["BUNIT"], header["RADESYS"] = "electron", "ICRS"
    return header


def _pair(
    name: str,
    truth: Values,
    scale: int,
    grid: PixelGrid,
    domain: str,
    *,
    blur: float,
    target: float,
) -> list[LayerData]:
    """What is seen through a blur, with coarse pixels and noise; and the hidden truth."""
    rng = np.random.default_rng(2026)
    mean = binned(gaussian_filter(truth, blur / SIGMA_TO_FWHM, mode="reflect"), scale)
    seen = (rng.poisson(mean) + rng.normal(0, READ_NOISE, mean.shape)).astype(np.float32)
    given = {
        "gain": 1.0,
        "read_noise": READ_NOISE,
        "psf_fwhm": float(np.hypot(blur, target) / scale),
    }
    header = sky_header((seen.shape[0], seen.shape[1]), grid.size[0]) if (
        domain == "night-sky" and grid.size
    ) else None  # fmt: skip
    limits = robust_limits(truth)
    top: dict[str, Any] = {"contrast_limits": limits, "metadata": _about(domain, given, header)}
    below = {"contrast_limits": limits, "visible": False, "metadata": {"sciup": {"role": "truth"}}}
    layers: list[LayerData] = [
        (
            truth.astype(np.float32),
            {"name": f"{name}: truth", **below, **place_keywords(grid.scaled(scale), "yx")},
            "image",
        ),
        (seen, {"name": name, **top, **place_keywords(grid, "yx")}, "image"),
    ]
    _prepare(layers)
    return layers


def _about(domain: str, given: dict[str, float], header: Any = None) -> dict[str, Any]:
    """Metadata of a made image: what is known of its instrument is known exactly."""
    from sciup_napari.fits_place import sky_of

    ours = {
        "role": "input",
        "domain": domain,
        "unit": "electron",
        "given": given,
        "notes": ["simulated"],
    }
    return {"sciup": ours, "header": header, "wcs": sky_of(header, "sample data")}


def _prepare(layers: list[LayerData]) -> None:
    from sciup_napari.reader import prepare_viewer

    prepare_viewer(layers, fits=False)


__all__ = ["cell", "hubble", "mosaic", "mosaic_levels", "sky_block", "two_channels"]
