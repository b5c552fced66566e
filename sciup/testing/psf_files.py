"""Small made PSF files: by PSFEx, by STPSF, and images of beads. All PSFs in them are Gaussians.

Examples
--------
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     write_psfex(Path(folder) / "a.psf").name
'a.psf'
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

Array = NDArray[np.float64]

SIGMA = 1 / (2 * np.sqrt(2 * np.log(2)))
"""Of a FWHM of 1."""


def gaussian_pixels(
    shape: tuple[int, int], at: tuple[float, float], fwhm: float, step: float = 1, pixel: float = 1
) -> Array:
    """A Gaussian of sum 1, integrated over pixels of side `pixel` that lie `step` apart.

    `at` counts steps; `fwhm` is in the unit of `step` and `pixel`.
    """
    lines = []
    for n, centre in zip(shape, at, strict=True):
        d = (np.arange(n) - centre) * step
        edges = [(d + s * pixel / 2) / (fwhm * SIGMA * np.sqrt(2)) for s in (-1, 1)]
        lines.append((erf(edges[1]) - erf(edges[0])) / 2 * step / pixel)
    return np.asarray(np.outer(*lines), np.float64)


def write_psfex(
    path: Path,
    fwhm: float = 2.4,
    slope: float = 0.0,
    *,
    step: float = 0.4,
    degree: int = 1,
    size: int = 31,
    field: tuple[int, int] = (256, 256),
    append: bool = False,
    **cards: Any,
) -> Path:
    """A table as PSFEx writes it: `fwhm` [input px] in the middle of the field.

    At its right rim the PSF has the light of one that is `slope` wider in half of a mixture. With
    `append` it goes behind those that the file has: PSFEx writes one for each extension.
    """
    from astropy.io import fits

    middle = (size // 2, size // 2)
    terms = np.zeros(((degree + 1) * (degree + 2) // 2, size, size), np.float32)
    terms[0] = gaussian_pixels((size, size), middle, fwhm, step, 1)
    if degree and slope:
        terms[1] = gaussian_pixels((size, size), middle, fwhm + slope, step, 1) - terms[0]
    column = fits.Column(
        "PSF_MASK", f"{terms.size}E", dim=str(terms.shape[::-1]), array=terms[None]
    )
    table = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    known: dict[str, Any] = {"POLNAXIS": 0}
    if degree:
        known = {"POLNAXIS": 2, "POLNGRP": 1, "POLDEG1": degree}
    for i, n in enumerate(field[::-1] if degree else ()):
        known |= {f"POLGRP{i + 1}": 1, f"POLNAME{i + 1}": f"{'XY'[i]}_IMAGE",
                  f"POLZERO{i + 1}": (n + 1) / 2, f"POLSCAL{i + 1}": n - 1}  # fmt: skip
    known |= {"PSF_SAMP": step, "PSFNAXIS": 3, "PSFAXIS1": size, "PSFAXIS2": size,
              "PSFAXIS3": len(terms)} | cards  # fmt: skip
    for key, value in known.items():
        table.header[key] = value
    if append:
        fits.append(path, table.data, table.header)
    else:
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
    return path


def write_stpsf(
    path: Path, fwhm: float = 0.062, *, pixel: float = 0.031, oversample: int = 4, side: int = 25
) -> Path:
    """The four images that STPSF writes: with and without what the detector does, fine and coarse.

    `fwhm` and `pixel` in arcsec, without and with distortion: the latter are 10 % wider.
    """
    from astropy.io import fits

    hdus: list[Any] = []
    for name, width in (("OVERSAMP", fwhm), ("OVERDIST", 1.1 * fwhm)):
        n, small = side * oversample, pixel / oversample
        fine = gaussian_pixels((n, n), ((n - 1) / 2,) * 2, width, small, small)
        coarse = fine.reshape(side, oversample, side, oversample).sum((1, 3))
        detected = (name.replace("OVER", "DET_"), coarse, pixel, 1)
        for ext, data, size, samples in ((name, fine, small, oversample), detected):
            hdu = (fits.ImageHDU if hdus else fits.PrimaryHDU)(data.astype(np.float32))
            hdu.header["EXTNAME"], hdu.header["PIXELSCL"] = ext, size
            hdu.header["OVERSAMP"], hdu.header["DET_SAMP"] = samples, oversample
            hdus.append(hdu)
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def write_psf_grid(
    path: Path,
    ys: Sequence[float],
    xs: Sequence[float],
    widths: NDArray[np.float64],
    *,
    oversample: int = 4,
    side: int = 25,
    version: str | None = None,
) -> Path:
    """A cube with Gaussians of FWHM `widths` [input px] at places of a grid, as STPSF writes it.

    Of a `version` cards go by x, then y, as in its files; images, too, up to WebbPSF 1.2; from 1.3
    on they go by y, then x. Tried with the code that writes grids in WebbPSF 1.2.1 and STPSF 2.2.
    """
    from astropy.io import fits

    n = side * oversample | 1
    places = [(y, x) for y in ys for x in xs]
    flat = np.asarray(widths, float).ravel()
    if version is not None:
        by_x = sorted(range(len(places)), key=lambda i: places[i][::-1])
        places = [places[i] for i in by_x]
        flat = flat[by_x] if version < "1.3" else flat
    cube = [gaussian_pixels((n, n), (n // 2,) * 2, w, 1 / oversample, 1) for w in flat]
    hdu = fits.PrimaryHDU(np.asarray(cube, np.float32))
    hdu.header["OVERSAMP"] = oversample
    if version is not None:
        hdu.header["VERSION"] = version
    for i, (y, x) in enumerate(places):
        hdu.header[f"DET_YX{i}"] = str((float(y), float(x)))
    hdu.writeto(path, overwrite=True)
    return path


def bead_stack(
    widths: Sequence[float],
    places: Sequence[tuple[float, float]] = ((20.0, 20.0),),
    shape: tuple[int, int] = (41, 41),
    *,
    light: float = 2e5,
    level: float = 100.0,
) -> NDArray[np.float32]:
    """Planes with beads at the same places, as wide as `widths` [px] says, and noise of photons."""
    rng = np.random.default_rng(3)
    planes = [
        rng.poisson(level + light * sum(gaussian_pixels(shape, p, w) for p in places))
        for w in widths
    ]
    return np.asarray(planes, np.float32)


__all__ = ["bead_stack", "gaussian_pixels", "write_psf_grid", "write_psfex", "write_stpsf"]
