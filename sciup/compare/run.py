"""From images to a folder with pictures, tables, and a study for blind raters."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result, upscale
from sciup.compare.figure import draw
from sciup.compare.methods import METHODS, Entry, choose, entries
from sciup.compare.scores import NOTES, Row, score
from sciup.compare.seen import Seen
from sciup.errors import InputError, OptionError, OutputError
from sciup.evaluate.tables import Table
from sciup.geometry import Box
from sciup.image import Image
from sciup.io import open_image
from sciup.io._fits_cards import carried_header, map_header
from sciup.io._sky_roi import find_roi
from sciup.io._writer import Layout

Array = NDArray[np.float64]
Progress = Callable[[str, str], None]
Roi = str | Box | None

SIDE = 128
"""Input px per side of the region that is compared unless another is asked for."""

LARGEST = 1024
"""Input px per side: all methods hold the whole region in memory."""


def compare(
    images: Sequence[tuple[str, Image]],
    out: Path,
    *,
    methods: Sequence[str] | None = None,
    truths: Sequence[Path] = (),
    roi: Roi | Sequence[Roi] = None,
    overwrite: bool = False,
    progress: Progress = lambda _image, _method: None,
    **options: Any,
) -> Table:
    """Upscale images with several methods and put the results side by side.

    Parameters
    ----------
    images : sequence of (str, Image)
        Name and image of one plane each.
    out : Path
        Folder that gets ``comparison.md``, ``.csv``, ``.json``, a figure ``NAME.png`` for each
        image, and the pictures as ``METHOD/NAME``, as the blind rating wants them.
    methods : sequence of str, optional
        From `sciup.compare.methods.METHODS`; all unless given.
    truths : sequence of Path
        One for each image, on the output grid: of the whole image or of the region.
    roi : str, Box or sequence, optional
        ``Y0:Y1,X0:X1`` in input px, or ``RA DEC SIZE``; or one for each image. The middle `SIDE` x
        `SIDE` px unless given.
    overwrite : bool
        Write into a folder that is there already.
    progress : callable
        Gets image and method before each is computed.
    **options
        For `sciup.upscale`: model, psf_fwhm, samples, ...

    Returns
    -------
    Table
        One row per image and method.

    Raises
    ------
    InputError, OptionError, OutputError
    """
    chosen = choose(methods)
    if truths and len(truths) != len(images):
        raise OptionError(
            f"{len(truths)} truths for {len(images)} images", "one --truth for each image"
        )
    regions = [roi] * len(images) if roi is None or isinstance(roi, str | Box) else roi
    if len(regions) != len(images):
        raise OptionError(
            f"{len(regions)} regions for {len(images)} images", "one for each, or one"
        )
    names = [name for name, _ in images]
    if len(set(names)) < len(names):
        raise InputError("two images have the same name", "files of different names")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not overwrite)):
        raise OutputError(f"{out} exists already", fix="use --overwrite or another --out")
    for folder in (*METHODS, "truth"):  # pictures of another run would join the study
        shutil.rmtree(out / folder, ignore_errors=True)
    rows: list[Row] = []
    for i, (name, image) in enumerate(images):
        progress(name, ", ".join(chosen))
        seen = Seen.of(_result(image, regions[i], options))
        truth = _truth(truths[i], seen) if truths else None
        made = entries(seen, chosen)
        scored = [score(entry, seen, truth) for entry in made]
        _write(out, name, seen, made, truth)
        draw(seen, made, scored, truth, _title(name, seen), out / f"{name}.png")
        rows += [{"image": name} | row for row in scored]
    table = Table("comparison", "Methods side by side, on the same pixels.", rows, NOTES)
    table.write(out)
    return table


def _result(image: Image, roi: Roi, options: dict[str, Any]) -> Result:
    """The lazy run of the sampler on the region; also tells what the instrument is."""
    if any(n != 1 for n in image.shape[:-2]):
        raise InputError(
            f"several planes: {image.axes} = {image.shape}",
            "one plane",
            "choose one with --channel, --time, --z",
        )
    region = find_roi(roi, image) if isinstance(roi, str) else roi or _middle(image)
    if max(region.shape) > LARGEST or min(region.shape) < 16:
        raise OptionError(f"a region of {region.shape} px", f"16 to {LARGEST} px per side")
    return upscale(image, roi=region, **options)


def _middle(image: Image) -> Box:
    start = [max(0, (n - SIDE) // 2) for n in image.plane_shape]
    stop = [min(n, a + SIDE) for n, a in zip(image.plane_shape, start, strict=True)]
    return Box(tuple(start), tuple(stop))


def _truth(path: Path, seen: Seen) -> Array:
    """The truth on the region, (s h, s w)."""
    image, region = open_image(path), seen.result.job.region
    whole = Box.of_shape(seen.result.job.image.plane_shape).scaled(seen.scale)
    part = region.scaled(seen.scale)
    if image.plane_shape == part.shape and image.plane_shape != whole.shape:
        part = Box.of_shape(part.shape)
    elif image.plane_shape != whole.shape:
        raise InputError(
            f"the truth {path} has {image.plane_shape} px",
            f"{whole.shape} for the image, or {part.shape} for the region",
        )
    values, footprint = image.read(next(image.planes), part)
    return np.where(footprint, values, np.nan).astype(float)


def _title(name: str, seen: Seen) -> str:
    job, i = seen.result.job, seen.result.instrument
    (y0, x0), (y1, x1) = job.region.start, job.region.stop
    fwhm = f"PSF {float(i.psf_fwhm.value):.2f} px ({i.psf_fwhm.origin})"
    return f"{name}  [{y0}:{y1}, {x0}:{x1}], {seen.scale}x, {fwhm}"


def _write(out: Path, name: str, seen: Seen, made: list[Entry], truth: Array | None) -> None:
    """Pictures by method: FITS for the night sky, OME-TIFF for micrographs."""
    pictures = [(entry.method, entry.values) for entry in made]
    pictures += [("truth", truth)] if truth is not None else []
    try:
        for method, values in pictures:
            folder = out / method
            folder.mkdir(parents=True, exist_ok=True)
            save = _fits if seen.night_sky else _tiff
            save(folder / name, values.astype(np.float32), seen)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}") from None


def _fits(stem: Path, values: NDArray[np.float32], seen: Seen) -> None:
    from astropy.io import fits

    job = seen.result.job
    layout = Layout(job.image, job.region, seen.scale, ("sample",), {"sample": job.image.unit})
    header = map_header(layout, "sample", carried_header(layout))
    for key in ("XTENSION", "PCOUNT", "GCOUNT", "EXTNAME"):
        header.remove(key, ignore_missing=True)
    fits.PrimaryHDU(values, header).writeto(stem.with_name(f"{stem.name}.fits"), overwrite=True)


def _tiff(stem: Path, values: NDArray[np.float32], seen: Seen) -> None:
    import tifffile

    grid = seen.result.job.image.grid
    about: dict[str, Any] = {"axes": "YX"}
    if grid.size is not None and grid.unit == "micrometer":
        y, x = (size / seen.scale for size in grid.size)
        about |= {"PhysicalSizeY": y, "PhysicalSizeX": x}
        about |= {"PhysicalSizeYUnit": "µm", "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(stem.with_name(f"{stem.name}.ome.tif"), values, metadata=about)
