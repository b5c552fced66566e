"""Files as pictures on a screen: the same field and the same stretch for all methods."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.image import Image
from sciup.io import open_image
from sciup.stretch import AsinhStretch

Array = NDArray[np.float32]

FIELD = 384
"""Side of the field that is shown of a larger image, in pixels: two fit on a screen about 1:1."""

ENDS = (0.5, 99.8)
"""Percentiles of the reference that are shown black and white."""

SUFFIX = re.compile(r"\.((ome\.)?(tiff?|zarr)|fits?|fts|png)(\.(gz|bz2|xz|fz))?$", re.IGNORECASE)


def stem(path: Path) -> str | None:
    """Name of an image without suffix, None if it is not an image.

    Examples
    --------
    >>> stem(Path("a.1.ome.tif")), stem(Path("notes.txt")), stem(Path("field.fits.gz"))
    ('a.1', None, 'field')
    """
    found = SUFFIX.search(path.name)
    if found is None or path.name.startswith("."):
        return None
    return path.name[: found.start()] or None


@dataclass(frozen=True)
class Picture:
    """A file that can be shown, opened but not read: one plane, or three colours.

    Attributes
    ----------
    shape : tuple of int
        Height and width, and 3 for colours.
    night_sky : bool
        Shown with the stretch of the sky.
    """

    source: Image | Array
    shape: tuple[int, ...]
    night_sky: bool

    def read(self, box: Box) -> Array:
        """Values of a field, float32; NaN where masked."""
        if isinstance(self.source, Image):
            return self.source.read((0,) * (len(self.source.shape) - 2), box)[0]
        return self.source[box.slices]


def open_picture(path: Path) -> Picture:
    """Open a FITS, TIFF, OME-Zarr or PNG file of one plane.

    Raises
    ------
    InputError
        If it cannot be read or holds several planes.
    """
    if path.suffix.lower() == ".png":
        values = _png(path)
        return Picture(values, values.shape, night_sky=False)
    image = open_image(path)
    if any(n != 1 for n in image.shape[:-2]):
        raise InputError(
            f"{path} holds several planes: {image.axes} = {image.shape}",
            "one plane per file",
            "save the channel, time or z to be judged as a file of its own",
        )
    return Picture(image, image.plane_shape, image.domain == "night-sky")


def _png(path: Path) -> Array:
    """Grey or colour values; what is transparent is left opaque."""
    from skimage.io import imread

    try:
        values = np.asarray(imread(path), np.float32)
    except (OSError, ValueError, SyntaxError) as error:  # pillow says SyntaxError of broken chunks
        raise InputError(f"{path} cannot be read ({error})", "", "save it again") from None
    if values.ndim == 3:
        values = values[..., :3] if values.shape[-1] > 2 else values[..., 0]
    return values


def field_of(shape: tuple[int, ...], rng: np.random.Generator) -> Box:
    """The part of an image that is shown: all of it, or a random field of a large one.

    Examples
    --------
    >>> field_of((100, 900), np.random.default_rng(0)).shape
    (100, 384)
    """
    sides = [min(FIELD, n) for n in shape[:2]]
    start = tuple(int(rng.integers(n - s + 1)) for n, s in zip(shape[:2], sides, strict=True))
    return Box(start, tuple(a + s for a, s in zip(start, sides, strict=True)))


def as_shown(values: Mapping[str, Array], reference: str | None, *, sky: bool) -> dict[str, Array]:
    """Grey values from 0 to 1, with one stretch for all methods and the same masked pixels.

    Black and white are percentiles of the reference, or of all methods together where there is
    none. An own stretch for each picture would hide wrong fluxes, and give methods away.

    Parameters
    ----------
    values : mapping of str to array
        One field by method.
    reference : str or None
        The method from which the stretch is taken.
    sky : bool
        asinh of the deviations of the sky (Lupton, Gunn & Szalay 1999, AJ 118, 1406,
        doi:10.1086/301004) instead of a linear stretch.

    Examples
    --------
    >>> ramp = np.linspace(0, 1, 101, dtype=np.float32)[None]
    >>> shown = as_shown({"truth": ramp, "dim": ramp / 2}, "truth", sky=False)
    >>> round(float(shown["dim"].max()), 2)
    0.5
    """
    good = np.logical_and.reduce([np.isfinite(v) for v in values.values()])
    chosen = [values[reference]] if reference is not None else list(values.values())
    sample = np.concatenate([v[good] for v in chosen])
    if not sample.size:
        return {method: np.zeros_like(v) for method, v in values.items()}
    level, sigma = _sky(sample) if sky else (0.0, 1.0)

    def stretched(v: Array) -> Array:
        return np.asarray(AsinhStretch().forward((v - level) / sigma), np.float32) if sky else v

    low, high = (float(x) for x in np.percentile(stretched(sample), ENDS))
    width = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-30)
    return {
        method: np.where(good, np.clip((stretched(v) - low) / width, 0, 1), 0).astype(np.float32)
        for method, v in values.items()
    }


def _sky(sample: Array) -> tuple[float, float]:
    """Median and robust deviation; a truth without noise keeps a knee above its faintest light."""
    level = float(np.median(sample))
    spread = 1.4826 * float(np.median(np.abs(sample - level)))
    return level, max(spread, 1e-3 * float(np.percentile(sample, ENDS[1]) - level), 1e-30)
