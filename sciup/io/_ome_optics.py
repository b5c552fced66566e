"""What the OME-XML beside an OME-Zarr image says of the optics."""

from __future__ import annotations

import logging
from pathlib import Path
from xml.etree import ElementTree

from sciup.image import Image
from sciup.io._tiff_metadata import from_ome

logger = logging.getLogger(__name__)

PLACE = Path("OME", "METADATA.ome.xml")
"""Where bioformats2raw keeps what the microscope wrote, beside the images 0, 1, ..."""


def add_optics(image: Image, path: object) -> None:
    """Add the width of the PSF that follows from wavelength and aperture, by channel.

    Only of a local folder: over a network it would cost every image a request that mostly fails.

    Parameters
    ----------
    image : Image
        Of OME-Zarr; changed.
    path : Path or another place
        Folder of the multiscale image.
    """
    if not isinstance(path, Path) or not path.name.isdecimal():
        return
    file = path.absolute().parent / PLACE
    try:
        about = from_ome(file.read_text("utf-8"), int(path.name))
    except (OSError, UnicodeDecodeError, ElementTree.ParseError) as error:
        logger.debug("no optics of %s: %s", path, error)
        return
    count = image.shape[image.axes.index("c")] if "c" in image.axes else 1
    if len(about.channels) != count:
        return
    known = image.metadata.get("channels") or [{}] * count
    channels = [
        told | {key: value for key, value in mine.items() if value}
        for told, mine in zip(about.channels, known, strict=True)
    ]
    image.metadata = {**image.metadata, "channels": channels}
    image.facts = {**image.facts, **about.facts}


__all__ = ["add_optics"]
