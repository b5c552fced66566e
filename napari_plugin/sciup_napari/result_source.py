"""The image that a result was made of, if it is still there and still the same."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sciup.errors import SciupError
from sciup.image import Image, PixelGrid
from sciup.io import detect_format, open_image
from sciup.io._fits import FitsImage
from sciup.io._ome_zarr import OmeZarrImage
from sciup.io._wcs import scale_header
from sciup.results.finished import Finished
from sciup_napari.fits_layers import hdus_of, images_of, levels_of, source_of
from sciup_napari.fits_place import celestial, own_grid, place_beside, place_keywords
from sciup_napari.lazy import pyramid, token

logger = logging.getLogger("sciup")


@dataclass(frozen=True)
class Source:
    """The source of a result.

    Attributes
    ----------
    path : Path or None
    levels : list of dask arrays, or None
        Pixels, with the axes of the result; None if there is no source to show.
    grid : PixelGrid or None
        Its pixels in napari's world.
    leading : mapping
        What is known of the axes before ``yx``.
    place : mapping
        Keywords of its layer.
    source : mapping
        How another process opens it, see `sciup_napari.fits_layers.source_of`.
    header, wcs : Any
        FITS header and celestial WCS, if any.
    notes : tuple of str
        For people.
    """

    path: Path | None = None
    levels: list[Any] | None = None
    grid: PixelGrid | None = None
    leading: Mapping[str, Any] = field(default_factory=dict)
    place: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    header: Any = None
    wcs: Any = None
    notes: tuple[str, ...] = ()


def find_source(done: Finished, moved: str | None = None) -> Source:
    """The source of a result; without pixels and with the reason if it cannot be shown.

    Parameters
    ----------
    done : Finished
    moved : str, optional
        Where it is now; else the recorded place, and then beside the result.
    """
    told = moved or str(done.facts["source"])
    beside = () if moved else (done.path.absolute().parent / Path(told).name,)
    places = (Path(told).expanduser(), *beside)
    path = next((p for p in places if p.exists()), None)
    if path is None:
        return Source(notes=(f"the input {told} is not there",))
    try:
        found = _fits(path, done) if detect_format(path) == "fits" else _other(path, done)
    except (SciupError, OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("the input %s of %s is not shown: %s", path, done.path, error)
        return Source(notes=(f"the input {path} cannot be shown: {error}",))
    return found


def _stale(path: Path, done: Finished) -> tuple[str, ...]:
    """A word if the file is not as it was when the result was made."""
    prints = done.facts["fingerprint"]
    if not path.is_file() or prints.get("input_size") is None:
        return ()
    stat = path.stat()
    if stat.st_size != prints["input_size"]:
        return (f"the input {path} has changed since the result was made",)
    if stat.st_mtime_ns != prints.get("input_modified"):
        return (f"the input {path} was written again since the result was made",)
    return ()


def _fits(path: Path, done: Finished) -> Source:
    images = images_of(path, hdus_of(path))
    shape = tuple(done.facts["fingerprint"]["shape"])
    fitting = [i for i in images if i.shape == shape]
    image = next((i for i in fitting if _predicts(i, done)), None)
    if image is None:
        return Source(notes=(f"no extension of the input {path} is the one that was used",))
    sky = celestial(image)
    place = place_beside(image, images[0], sky)
    return Source(
        path=path.absolute(),
        levels=levels_of(image),
        grid=place.grid,
        place=place.keywords(image.axes),
        source=source_of(image, {"hdu": int(image.metadata["hdu"])}),
        header=image.header,
        wcs=sky,
        notes=(*_stale(path, done), *((place.note,) if place.note else ())),
    )


def _predicts(image: FitsImage, done: Finished) -> bool:
    """Whether the result's coordinates are those of this extension on the finer grid."""
    header = done.image.header
    if header is None or "CRPIX1" not in header or "CRPIX1" not in image.header:
        return True
    start = done.region.start
    finer = scale_header(image.header, done.scale, (start[-2], start[-1]), tables=True)
    cards = ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2")
    return all(
        np.isclose(float(finer.get(c, 0)), float(header.get(c, 0)), rtol=1e-12, atol=1e-9)
        for c in cards
    )


def _other(path: Path, done: Finished) -> Source:
    shape = tuple(done.facts["fingerprint"]["shape"])
    image = open_image(path)
    picked = {a: _index(a, image, done) for a in _narrowed(image, shape)}
    if image.shape != shape:
        options: dict[str, Any] = {_OPTIONS[axis]: index for axis, index in picked.items()}
        image = open_image(path, **options)
    if image.shape != shape:
        return Source(notes=(f"the input {path} has another shape than the result was made of",))
    whole = _levels(path, image, picked)
    leading = image.metadata.get("axes") or {}
    letters = image.axes.replace("c", "")
    grid = own_grid(image)
    return Source(
        path=path.absolute(),
        levels=whole,
        grid=grid,
        leading=leading,
        place=place_keywords(grid, letters, leading),
        source=source_of(image, {_OPTIONS[axis]: index for axis, index in picked.items()}),
        notes=_stale(path, done),
    )


_OPTIONS = {"c": "channel", "t": "time", "z": "z"}


def _narrowed(image: Image, shape: Sequence[int]) -> list[str]:
    """Axes of which the result keeps one index."""
    if len(image.shape) != len(shape):
        return []
    return [a for a, n, m in zip(image.axes, image.shape, shape, strict=True) if n != m == 1]


def _index(axis: str, image: Image, done: Finished) -> int:
    """Index on the source's axis that a result of one index was made of."""
    if axis == "c":
        labels = [str(c.get("label", "")) for c in image.metadata.get("channels") or []]
        mine = [str(c.get("label", "")) for c in done.image.metadata.get("channels") or []]
        if len(mine) == 1 and labels.count(mine[0]) == 1:
            return labels.index(mine[0])
        raise ValueError("it does not say which channel it was made of")
    source, result = ((i.metadata.get("axes") or {}).get(axis) for i in (image, done.image))
    if source is None or result is None:
        raise ValueError(f"it does not say at which {axis} it was made")
    step = float(source.get("scale", 1.0))
    return round((float(result["translation"]) - float(source["translation"])) / step)


def _levels(path: Path, image: Image, picked: Mapping[str, int]) -> list[Any]:
    """Lazy levels with the axes of the result."""
    base = getattr(image, "base", image)
    if isinstance(base, OmeZarrImage):
        from sciup_napari.zarr_layers import attributes_of
        from sciup_napari.zarr_layers import levels_of as levels_of_zarr

        index = tuple(
            slice(picked[a], picked[a] + 1) if a in picked else slice(None) for a in base.axes
        )
        about = attributes_of(Path(base.source))
        return [level[index] for level in levels_of_zarr(base, about)]
    name = token(str(path), sorted(picked.items()))
    return pyramid(lambda plane, box: image.load(plane, box)[0], image.shape, name)


__all__ = ["Source", "find_source"]
