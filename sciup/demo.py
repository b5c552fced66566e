"""The demonstration: two real images made coarse and noisy, upscaled, shown beside the truth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.ndimage import convolve, zoom

from sciup import api, show
from sciup.geometry import Box
from sciup.physics.psf import gaussian

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A real image and the instrument that is pretended.

    Attributes
    ----------
    name, title : str
        File stem; heading of the figure.
    truth : ndarray (h, w)
        Electrons per coarse pixel: the block mean of a fine region is the coarse intensity.
    scale : int
    kernel_fwhm : float
        Blur that is applied, FWHM in fine px.
    target_fwhm : float
        Declared output PSF of the model, fine px.
    pixel : float
        Coarse pixel size: arcsec for the sky, micrometer for the micrograph.
    zoom : tuple
        Fine pixels shown enlarged: y, x, side.
    """

    name: str
    title: str
    truth: Values
    scale: int
    kernel_fwhm: float
    target_fwhm: float
    pixel: float
    zoom: tuple[int, int, int]

    @property
    def psf_fwhm(self) -> float:
        """Total PSF in input px: blur and declared output PSF in quadrature."""
        return float(np.hypot(self.kernel_fwhm, self.target_fwhm) / self.scale)

    def observe(self, seed: int) -> NDArray[np.float32]:
        """What the instrument records: blur, binning, Poisson and read noise."""
        kernel = gaussian(4 * int(np.ceil(self.kernel_fwhm)) + 1, self.kernel_fwhm)
        s, rng = self.scale, np.random.default_rng(seed)
        blurred = convolve(self.truth, kernel, mode="reflect")
        h, w = (n // s for n in blurred.shape)
        mean = blurred.reshape(h, s, w, s).mean((1, 3))
        return np.asarray(rng.poisson(mean) + rng.normal(0, 2, mean.shape), np.float32)


def hubble() -> Case:
    """The Hubble Deep Field picture, decoded to linear light and binned to a resolution of 2 px.

    The picture is display-stretched (sRGB) and its stars are about 4 px wide: taken as it is, it
    would not be a scene at the declared output resolution of 2 px.
    """
    from skimage.data import hubble_deep_field

    shown = hubble_deep_field().astype(float).mean(-1) / 255
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    binned = linear.reshape(436, 2, 500, 2).mean((1, 3))
    return Case(
        "hubble", "Hubble Deep Field, 2x", 4000 * binned + 60, 2, 4.2, 2.0, 0.2, (160, 270, 110)
    )


def cell() -> Case:
    """A cell floating in saline, a quantitative phase image, as if its photons had been counted."""
    from skimage.data import cell as picture

    light = picture().astype(float)[:660, :548]
    return Case("cell", "Cell in saline, 4x", 1.5 * light + 10, 4, 8.0, 2.0, 0.4, (250, 306, 240))


def write_fits(case: Case, data: NDArray[np.float32], path: Path) -> None:
    """The coarse image as FITS with a WCS and a unit."""
    from astropy.io import fits

    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = 189.205, 62.216
    header["CRPIX1"], header["CRPIX2"] = (n / 2 + 0.5 for n in data.shape[::-1])
    header["CDELT1"], header["CDELT2"] = -case.pixel / 3600, case.pixel / 3600
    header["BUNIT"], header["RDNOISE"] = "electron", 2.0
    fits.PrimaryHDU(data, header).writeto(path, overwrite=True)


def write_ome_zarr(case: Case, data: NDArray[np.float32], path: Path) -> None:
    """The coarse image as OME-Zarr 0.5 with a pixel size."""
    import zarr

    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]
    scale = [{"type": "scale", "scale": [case.pixel, case.pixel]}]
    level = {"path": "0", "coordinateTransformations": scale}
    ome: Any = {
        "version": "0.5",
        "multiscales": [{"axes": axes, "datasets": [level], "name": case.name}],
    }
    group = zarr.open_group(str(path), mode="w", zarr_format=3, attributes={"ome": ome})
    group.create_array("0", data=data, chunks=(128, 128), dimension_names=["y", "x"])


def bicubic(data: NDArray[np.float32], scale: int) -> Values:
    """Bicubic interpolation: the baseline."""
    return np.asarray(zoom(data.astype(float), scale, order=3, mode="grid-mirror", grid_mode=True))


def psnr(image: Values, truth: Values) -> float:
    """Peak signal-to-noise ratio in dB; the peak is the range of the truth."""
    return float(10 * np.log10(np.ptp(truth) ** 2 / np.mean((image - truth) ** 2)))


def run(out: Path, *, samples: int, device: str, console: Console) -> None:
    """Make, upscale, compare and draw both cases in the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    table = Table(title="PSNR against the truth", title_justify="left", box=None)
    for column in ("image", "bicubic", "one sample", "mean", "gain of the mean"):
        table.add_column(column)
    began = time.perf_counter()
    for make, suffix, write in (
        (hubble, ".fits", write_fits),
        (cell, ".ome.zarr", write_ome_zarr),
    ):
        case = make()
        data = case.observe(seed=2026)
        source, target = out / f"{case.name}_input{suffix}", out / f"{case.name}{suffix}"
        write(case, data, source)
        result = api.upscale(
            api.open_image(source),
            scale=case.scale,
            samples=samples,
            psf_fwhm=case.psf_fwhm,
            device=device,
        )
        console.rule(case.title)
        show.beliefs(console, result, "domain and scale")
        with show.progress(console) as progress:
            result.save(target, overwrite=True, progress=progress)
        maps = read_maps(target, result.job.maps)
        scores = _scores(case, data, maps, result.job.image.flux_per_pixel)
        table.add_row(case.name, *scores)
        figure = draw(
            case, data, maps, out / f"demo_{case.name}.png", result.job.image.flux_per_pixel
        )
        console.print(f"[green]figure[/green]  {figure}")
    console.print(table)
    console.print(f"{time.perf_counter() - began:.0f} s in all")


def read_maps(path: Path, names: Sequence[str]) -> dict[str, Values]:
    """Maps of a finished result."""
    from sciup.io import open_image

    maps = {}
    for name in names:
        image = (
            open_image(path, hdu=name.upper())
            if path.suffix == ".fits"
            else open_image(path / name)
        )
        values, _ = image.read(next(image.planes), Box.of_shape(image.plane_shape))
        maps[name] = values.astype(float)
    return maps


def _risk(maps: dict[str, Values], cut: tuple[slice, slice]) -> tuple[str, Any, dict[str, Any]]:
    """The risk panel, calibrated where it can be."""
    name, words = ("risk", "calibrated") if "risk" in maps else ("risk_raw", "raw vote")
    return f"risk ({words}, 3 sigma)", maps[name][cut], {"cmap": "inferno"}


def _scores(
    case: Case, data: NDArray[np.float32], maps: dict[str, Values], flux: bool
) -> tuple[str, str, str, str]:
    factor = case.scale**2 if flux else 1
    base = psnr(bicubic(data, case.scale), case.truth)
    sample, mean = (psnr(maps[m] * factor, case.truth) for m in ("sample", "mean"))
    return f"{base:.2f} dB", f"{sample:.2f} dB", f"{mean:.2f} dB", f"{mean - base:+.2f} dB"


def draw(
    case: Case, data: NDArray[np.float32], maps: dict[str, Values], path: Path, flux: bool
) -> Path:
    """One figure: the whole truth with a box, and the box in every map at one stretch."""
    from matplotlib.figure import Figure

    factor = case.scale**2 if flux else 1
    y, x, side = case.zoom
    s = case.scale
    low, high = np.percentile(case.truth, [0.5, 99.7])

    def stretched(image: Values) -> Values:
        z = np.clip((image - low) / (high - low), 0, 1)
        return np.asarray(np.arcsinh(20 * z) / np.arcsinh(20)) if flux else z

    cut = np.s_[y : y + side, x : x + side]
    coarse = data[y // s : (y + side) // s, x // s : (x + side) // s].astype(float)
    db = f"{psnr(bicubic(data, s), case.truth):.1f} dB"
    panels: list[tuple[str, Any, dict[str, Any]]] = [
        ("truth, whole field", stretched(case.truth), {}),
        (f"input ({case.scale}x coarser, noisy)", stretched(coarse), {}),
        (f"bicubic, {db}", stretched(bicubic(data, s)[cut]), {}),
        ("truth", stretched(case.truth[cut]), {}),
        (
            f"sharp sample, {psnr(maps['sample'] * factor, case.truth):.1f} dB",
            stretched(maps["sample"][cut] * factor),
            {},
        ),
        (
            f"mean, {psnr(maps['mean'] * factor, case.truth):.1f} dB",
            stretched(maps["mean"][cut] * factor),
            {},
        ),
        (
            "std of the samples",
            maps["std"][cut] * factor,
            {"cmap": "magma", "vmin": 0, "vmax": None},
        ),
        _risk(maps, cut),
    ]
    figure = Figure(figsize=(15, 8), layout="constrained")
    axes = figure.subplots(2, 4).ravel()
    for ax, (title, image, extra) in zip(axes, panels, strict=True):
        options = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "nearest"} | extra
        shown = ax.imshow(image, origin="lower" if flux else "upper", **options)
        ax.set_title(title, fontsize=11)
        ax.set_xticks([])
        ax.set_yticks([])
        if extra:
            figure.colorbar(shown, ax=ax, shrink=0.8)
    from matplotlib.patches import Rectangle

    axes[0].add_patch(Rectangle((x, y), side, side, fill=False, edgecolor="tab:orange", lw=1.5))
    unit = "electron per coarse pixel"
    figure.suptitle(f"{case.title}: real image made coarse and noisy ({unit})", fontsize=13)
    figure.savefig(path, dpi=80)
    return path


__all__ = ["Case", "cell", "hubble", "run"]
