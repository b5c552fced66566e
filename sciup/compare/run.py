"""From images to a folder with pictures, tables, and a study for blind raters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import choose_models, upscale
from sciup.compare.choice import choose
from sciup.compare.figure import draw
from sciup.compare.methods import Entry
from sciup.compare.place import check_place, place, told
from sciup.compare.scores import NOTES, Row, score
from sciup.compare.seen import Seen
from sciup.errors import InputError, OptionError
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
        See `sciup.compare.choice.choose`: the usual ones unless given.
    truths : sequence of Path
        One for each image, on the output grid: of the whole image or of the region.
    roi : str, Box or sequence, optional
        ``Y0:Y1,X0:X1`` in input px, or ``RA DEC SIZE``; or one for each image. The middle `SIDE` x
        `SIDE` px unless given.
    overwrite : bool
        Write into a folder that is there already.
    progress : callable
        Gets the image and what is computed of it next: the usual methods, then every other.
    **options
        For `sciup.upscale`: model, psf_fwhm, samples, ...

    Returns
    -------
    Table
        One row per image and picture.

    Raises
    ------
    InputError, OptionError
    """
    regions = [roi] * len(images) if roi is None or isinstance(roi, str | Box) else roi
    _check(images, truths, regions)
    check_place(out, overwrite, [*(image.source for _, image in images), *truths])
    boxes = [_region(image, part) for (_, image), part in zip(images, regions, strict=True)]
    model, scale = options.get("model"), options.get("scale")
    chosen = [
        choose(methods, choose_models(image, model, scale)[0], box.shape)
        for (_, image), box in zip(images, boxes, strict=True)
    ]
    rows: list[Row] = []
    with place(out) as work:
        for i, (name, image) in enumerate(images):
            again = partial(upscale, image, **options | {"roi": boxes[i]})
            seen = Seen.of(again())
            truth = _truth(truths[i], seen) if truths else None
            made = chosen[i].entries(seen, again, partial(progress, name))
            scored = [score(entry, seen, truth) for entry in made]
            with told(out):
                _write(work, name, seen, made, truth)
                draw(seen, made, scored, truth, _title(name, seen), work / f"{name}.png")
            rows += [{"image": name} | row for row in scored]
        table = Table("comparison", "Methods side by side, on the same pixels.", rows, NOTES)
        with told(out):
            table.write(work)
    return table


def _check(
    images: Sequence[tuple[str, Image]], truths: Sequence[Path], regions: Sequence[Roi]
) -> None:
    """As many truths and regions as images, which have names of their own."""
    if truths and len(truths) != len(images):
        raise OptionError(
            f"{len(truths)} truths for {len(images)} images", "one --truth for each image"
        )
    if len(regions) != len(images):
        raise OptionError(
            f"{len(regions)} regions for {len(images)} images", "one for each, or one"
        )
    names = [name for name, _ in images]
    if len(set(names)) < len(names):
        raise InputError("two images have the same name", "files of different names")


def _region(image: Image, roi: Roi) -> Box:
    """The region that is compared, in input px."""
    if any(n != 1 for n in image.shape[:-2]):
        raise InputError(
            f"several planes: {image.axes} = {image.shape}",
            "one plane",
            "choose one with --channel, --time, --z",
        )
    region = find_roi(roi, image) if isinstance(roi, str) else roi or _middle(image)
    if max(region.shape) > LARGEST or min(region.shape) < 16:
        raise OptionError(f"a region of {region.shape} px", f"16 to {LARGEST} px per side")
    return region


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
    pictures = [(entry.folder, entry.values) for entry in made]
    pictures += [("truth", truth)] if truth is not None else []
    save = _fits if seen.night_sky else _tiff
    for folder, values in pictures:
        (out / folder).mkdir(parents=True, exist_ok=True)
        save(out / folder / name, values.astype(np.float32), seen)


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
