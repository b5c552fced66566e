"""FITS files as napari layers: every image extension, lazily, in its place on the sky."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sciup.errors import InputError
from sciup.image import Image
from sciup.io._fits import ALL_BITS, FitsImage, fits_image
from sciup.io._fits_files import Hdu, describe, local_file, scan
from sciup.io._fits_pixels import PlainPixels, pixels_of, stored_dtype
from sciup_napari.fits_place import celestial, place_beside
from sciup_napari.lazy import data_of, few, pyramid, robust_limits, token

logger = logging.getLogger("sciup")

LayerData = tuple[Any, dict[str, Any], str]

COMPANIONS = frozenset(
    ("ERR", "ERROR", "SIGMA", "RMS", "VAR", "VARIANCE", "VAR_POISSON", "VAR_RNOISE", "VAR_FLAT",
     "IVAR", "INVVAR", "WHT", "WEIGHT", "DQ", "MASK", "CON", "CTX", "PSF", "WCSDVARR", "D2IMARR",
     "AREA", "SAMP", "TIME")
)  # fmt: skip
"""Extensions that say something of another one: hidden at first."""

COMPRESSED_ROWS = 256
SKIPPING = "coarse levels show every n-th pixel; zoom in for all of them"


def hdus_of(path: str | Path) -> list[Hdu]:
    """All HDUs of a file; packed files are unpacked first."""
    return scan(local_file(path, None), str(path))


def is_result(hdus: Sequence[Hdu]) -> bool:
    """Whether sciup wrote the file."""
    return "SCIMAPS" in hdus[0].header and any(h.name == "PROVENANCE" for h in hdus)


def read_fits(path: str | Path, hdus: Sequence[Hdu] | None = None) -> list[LayerData]:
    """Every image of a file as one lazy layer.

    Parameters
    ----------
    path : path
    hdus : sequence of Hdu, optional
        If the file was scanned already.

    Raises
    ------
    InputError
        If it is damaged or holds no image.
    """
    hdus = hdus_of(path) if hdus is None else hdus
    images = images_of(path, hdus)
    layers = [layer_of(image, images) for image in images]
    layers[0][1]["visible"] = True
    return layers


def images_of(path: str | Path, hdus: Sequence[Hdu]) -> list[FitsImage]:
    """The images that can be shown, in the order of the file."""
    found = []
    for hdu in hdus:
        if hdu.usable:
            try:
                # one scan of the file serves all its extensions
                pixels, dtype = pixels_of(hdu), stored_dtype(hdu.header)
                found.append(fits_image(hdus, hdu, (), {}, ALL_BITS, str(path), pixels, dtype))
            except (InputError, KeyError, ValueError, TypeError) as error:
                logger.warning("%s: extension %s is left out: %s", path, hdu, error)
    if not found:
        raise InputError(
            f"{path} holds no image that can be shown",
            "image extensions with two or more axes",
            f"give another file; this one has HDUs {describe(hdus)}",
        )
    return found


def layer_of(image: FitsImage, images: Sequence[FitsImage]) -> LayerData:
    """One extension as a layer, placed beside the first of the images of its file."""
    about = image.metadata
    owner = owner_of(image, images)
    sky = celestial(owner)
    place = place_beside(owner, images[0], sky)
    levels = levels_of(image)
    notes = [note for note in (place.note, SKIPPING if len(levels) > 1 else "") if note]
    keywords: dict[str, Any] = {
        "name": name_of(image, alone=len(images) == 1),
        "colormap": "gray",
        "contrast_limits": robust_limits(few(image.pixels.values, image.shape)),
        "visible": str(about["extname"]) not in COMPANIONS and not place.note,
        "metadata": {
            "header": image.header,
            "wcs": sky,
            "sciup": {
                "role": "input",
                "source": source_of(image, {"hdu": int(about["hdu"])}),
                "unit": image.unit,
                "notes": notes,
            },
        },
        **place.keywords(image.axes),
    }
    made = data_of(levels)
    return made.pop("data"), keywords | made, "image"


def source_of(image: Image, options: Mapping[str, Any]) -> dict[str, Any]:
    """How another process opens the image of a layer.

    Returns
    -------
    dict
        ``path``, ``options`` of `sciup.io.open_image`, ``axes`` of the layer before ``yx``,
        ``plane`` (indices of axes that the layer has not), ``domain``.
    """
    return {
        "path": str(Path(image.source).absolute()),
        "options": dict(options),
        "axes": image.axes[:-2].replace("c", ""),
        "plane": {},
        "domain": image.domain,
    }


def owner_of(image: FitsImage, images: Sequence[FitsImage]) -> FitsImage:
    """The image that an error, a weight or a flag belongs to: pixel by pixel, whatever its WCS."""
    about = image.metadata
    if about["extname"] not in COMPANIONS:
        return image
    for other in images:
        same = (
            other.plane_shape == image.plane_shape and other.metadata["extver"] == about["extver"]
        )
        if same and other.metadata["extname"] not in COMPANIONS:
            return other
    return image


def levels_of(image: FitsImage) -> list[Any]:
    """Lazy levels of an image; values as stored, NaN where blank."""
    name = token(image.source, image.metadata["hdu"])
    band = 1 if isinstance(image.pixels, PlainPixels) else COMPRESSED_ROWS
    return pyramid(image.pixels.values, image.shape, name, band=band)


def name_of(image: Image, *, alone: bool) -> str:
    """File, and extension where there are several."""
    stem = Path(image.source).name.removesuffix(".gz").removesuffix(".fz").removesuffix(".fits")
    if alone:
        return stem
    about = image.metadata
    version = f",{about['extver']}" if int(about["extver"]) > 1 else ""
    return f"{stem} [{about['hdu']} {about['extname']}{version}]".replace(" ]", "]")


__all__ = [
    "LayerData",
    "hdus_of",
    "images_of",
    "is_result",
    "layer_of",
    "levels_of",
    "read_fits",
    "source_of",
]
