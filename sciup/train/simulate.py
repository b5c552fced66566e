"""Pairs of measured image and truth, as training sees them, in files for people and tests."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import OptionError
from sciup.generators.posterior import PosteriorSampler
from sciup.train.degrade import Batch, Degrader
from sciup.train.files import write
from sciup.train.kernels import RIM, Kernels
from sciup.train.pack import make_pack
from sciup.train.recipe import Recipe

Image = NDArray[np.float32]


def simulate(recipe: Recipe, data: Path, out: Path, count: int, side: int) -> list[Path]:
    """Write pairs, a function of the recipe's seed and the images.

    Pair i is ``i_input``, ``i_truth`` and ``i_psf`` (TIFF, electrons per input pixel), or for the
    night sky ``i_input`` with extensions ERR, PSF and, where pixels are masked, DQ, and ``i_truth``
    (FITS, electrons per pixel); and ``i.json``, which says what was drawn.

    Parameters
    ----------
    recipe : Recipe
        What to simulate.
    data : Path
        Folder of the truths.
    out : Path
        Folder to write to.
    count : int
        Number of pairs.
    side : int
        Side of an input image, pixels.

    Raises
    ------
    OptionError
        If `count` or `side` is not possible.
    InputError
        If a source has no image that is large enough.
    OutputError
        If the folder cannot be written.
    """
    if count < 1:
        raise OptionError(f"--count {count}", "1 or more")
    if side < max(16, 16 // recipe.scale):
        raise OptionError(f"--side {side}", "16 input px or more")
    # measured pairs need no simulation
    recipe = dataclasses.replace(recipe, core=side, batch=1, pairs=())
    pack = make_pack(recipe, data, out)
    degrader = Degrader(recipe, pack.truths, pack.kernels, _margin(recipe))
    paths: list[Path] = []
    for i in range(count):
        batch = degrader.batch(i)
        drawn = _drawn(recipe, pack.kernels, batch, i)
        psf = _input_psf(recipe, pack.kernels.true[batch.kernel[0]])
        stem = out / f"{i:04d}"
        if recipe.domain == "night-sky":
            paths += _save_sky(recipe, batch, psf, drawn["electrons_per_sigma"], stem)
        else:
            paths += _save_micrograph(batch, psf, stem)
        write(out / f"{i:04d}.json", partial(_save_json, drawn))
    return paths


def _margin(recipe: Recipe) -> int:
    """Any will do: the frame around the loss region is cut off again."""
    net = PosteriorSampler("", recipe.scale, recipe.domain, 0.0, channels=1, blocks=1)
    return net.spec.margin


def _drawn(recipe: Recipe, kernels: Kernels, batch: Batch, i: int) -> dict[str, Any]:
    """What an instrument would have to be told, in electrons and input pixels."""
    k = int(batch.kernel[0])
    floor, per_signal = (float(np.ravel(x)[0]) for x in (batch.noise.floor, batch.noise.per_signal))
    electrons = 1 / per_signal if recipe.domain == "night-sky" else 1.0
    told = [float(x) for x in kernels.psf[k]]
    same = bool(np.array_equal(kernels.true[k], kernels.told[k]))
    return {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "number": i,
        "scale": recipe.scale,
        "target_fwhm_output_px": recipe.target_fwhm,
        "electrons_per_unit": 1.0,
        "background": float(batch.background) * electrons,
        "dark_noise_electrons": floor * electrons,
        "noise_correlation": float(batch.correlation),
        "truth_noise_electrons": float(batch.truth_noise) * electrons,
        "relative_psf_fwhm_input_px": told[0],
        "relative_psf_ellipticity": told[1:],
        "relative_psf_is_a_guess": not same,
        "masked_pixels": int((1 - _cut(batch, "mask")).sum()),
        "electrons_per_sigma": electrons if recipe.domain == "night-sky" else None,
    }


def _cut(batch: Batch, name: str) -> Image:
    """A map of the input image alone."""
    whole: Image = getattr(batch, name)[0, 0].numpy()
    return whole[RIM:-RIM, RIM:-RIM]


def _input_psf(recipe: Recipe, kernel: Image) -> Image:
    """The whole PSF on the input grid, pixel included: target, relative kernel, block mean."""
    from scipy.ndimage import shift
    from scipy.signal import fftconvolve

    from sciup.physics.psf import gaussian

    s, fine = recipe.scale, kernel.astype(np.float64)
    if recipe.target_fwhm > 0:
        fine = fftconvolve(fine, gaussian(kernel.shape[0], recipe.target_fwhm), mode="same")
    half = (fine.shape[0] // 2) // s
    need = (2 * half + 1) * s
    # the middle of the middle block is the middle of the kernel
    padded = np.pad(fine, s)
    centre, middle = (padded.shape[0] - 1) / 2, (need - 1) / 2
    start = int(np.floor(centre - middle))
    moved = shift(padded, middle + start - centre, order=3)[
        start : start + need, start : start + need
    ]
    blocks = moved.reshape(2 * half + 1, s, 2 * half + 1, s).sum((1, 3)).clip(min=0)
    return np.asarray(blocks / blocks.sum(), np.float32)


def _save_json(drawn: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(drawn, indent=2))


def _save_micrograph(batch: Batch, psf: Image, stem: Path) -> list[Path]:
    """TIFF files; masked pixels, which TIFF cannot say, hold the background."""
    import tifffile

    pictures = {
        "input": _cut(batch, "measured"),
        "truth": batch.truth[0, 0].numpy(),
        "psf": psf,
    }
    paths = []
    for kind, pixels in pictures.items():
        path = stem.with_name(f"{stem.name}_{kind}.tif")
        write(path, partial(tifffile.imwrite, data=pixels, compression="zlib"))
        paths.append(path)
    return paths


def _save_sky(recipe: Recipe, batch: Batch, psf: Image, e: float, stem: Path) -> list[Path]:
    """FITS files; the sky is subtracted."""
    from astropy.io import fits

    header = fits.Header({"BUNIT": "electron", "GAIN": 1.0})
    header["HISTORY"] = (
        f"sciup simulate, recipe {recipe.name}, seed {recipe.seed}, pair {stem.name}"
    )
    measured = fits.HDUList(
        [
            fits.PrimaryHDU(_cut(batch, "measured") * e, header),
            fits.ImageHDU(_cut(batch, "sigma") * e, name="ERR"),
            fits.ImageHDU(psf, name="PSF"),
            fits.ImageHDU((_cut(batch, "mask") == 0).astype(np.int16), name="DQ"),
        ]
    )
    truth = batch.truth[0, 0].numpy() * (e / recipe.scale**2)
    paths = [stem.with_name(f"{stem.name}_{kind}.fits") for kind in ("input", "truth")]
    write(paths[0], lambda part: measured.writeto(part, overwrite=True))
    write(paths[1], lambda part: fits.PrimaryHDU(truth, header).writeto(part, overwrite=True))
    return paths
