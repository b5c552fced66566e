"""Lazy reader of OME-Zarr 0.4 and 0.5 images, and of plain Zarr arrays."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from sciup.errors import InputError
from sciup.geometry import Box, iterate
from sciup.image import Bool, Float, Image, Plane
from sciup.io._check import AXES, check_pixels, default_axes, index_of, input_errors
from sciup.io._detect import Url
from sciup.io._ome_optics import add_optics
from sciup.io._ome_placement import placed
from sciup.io._remote import open_node
from sciup.io._units import is_flux_per_pixel
from sciup.io._zarr_groups import Place, attributes_of, member, read_node

logger = logging.getLogger(__name__)

AXIS_OF_TYPE = {"time": "t", "channel": "c"}
DAMAGED = "the data may be truncated or written by an unknown codec: copy or export it again"


class OmeZarrImage(Image):
    """An image over one Zarr array, the full resolution of a multiscale image.

    Parameters
    ----------
    path : Path or Url
        Folder of the Zarr array, or its address in a store.
    **about
        Fields of `Image`.
    """

    def __init__(self, path: Place, **about: Any) -> None:
        super().__init__(format="ome-zarr", **about)
        self.path = path
        self.encoding: tuple[float, float] | None = None
        """Offset and step of values that a copy holds as integers, where 0 is masked."""
        self._array: zarr.Array[Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Workers open the array on their own: an open store belongs to one event loop.
        return {**self.__dict__, "_array": None}

    def load(self, plane: Plane, box: Box) -> tuple[Float, Bool]:
        """Values and footprint of a box inside the image, shape (h, w)."""
        if self._array is None:
            self._array = _open_array(self.path)
        index = index_of(plane, box)
        with input_errors(f"{self.path} cannot be read at plane {plane}, {box}", DAMAGED):
            if self._array.shards is not None and isinstance(self.path, Path):
                _refuse_empty_shards(self.path, self._array, plane, box)
            part = np.asarray(self._array[index])
        if self.encoding is not None:
            offset, step = self.encoding
            values = (offset + step * part.astype(np.float64)).astype(np.float32)
            return values, part != 0 if part.dtype.kind == "u" else np.isfinite(values)
        with np.errstate(over="ignore"):
            values = part.astype(np.float32)
        return values, np.isfinite(values)

    def decode(self, ours: Any) -> None:
        """Take over the encoding that a copy by `sciup convert --dtype` states."""
        code = (ours if isinstance(ours, Mapping) else {}).get("encoding") or {}
        if code.get("dtype") not in ("uint16", "float16"):
            return
        self.encoding, self.dtype = (float(code["offset"]), float(code["step"])), np.dtype("f4")
        words = "%s: value = %.9g + %.9g * stored, %s is masked"
        logger.info(words, self.source, *self.encoding, code.get("masked", 0))


def open_ome_zarr(path: str | Place) -> OmeZarrImage:
    """Open an OME-Zarr image, a container of images, or a plain Zarr array.

    A container (``bioformats2raw.layout``) opens at its first image, a result of sciup at its map
    ``sample``, a group without OME metadata at its only array. A plain array gets the axes that its
    dimension names tell, else the last letters of ``tczyx``.

    Parameters
    ----------
    path : str, Path, Url or Zipped
        Folder of the image group, the container, or an array; its address in a store; or its place
        in a zip file.

    Returns
    -------
    OmeZarrImage
        Lazy; nothing but metadata is read here.

    Raises
    ------
    InputError
        If there is no image at the path, the metadata cannot be read, it is a plate or a well
        with several fields, or the values are not real numbers.
    """
    path = Path(path) if isinstance(path, str) and not isinstance(path, Url) else path
    node = read_node(path)
    if isinstance(node, zarr.Array):
        return _from_array(path, node)
    attributes = attributes_of(node)
    if "multiscales" in attributes:
        return _from_multiscale(path, attributes, node.attrs.get("sciup"))
    return open_ome_zarr(member(path, node, attributes))


def _refuse_empty_shards(path: Path, array: zarr.Array[Any], plane: Plane, box: Box) -> None:
    """Zarr takes a shard of no bytes, left by a full disk or a broken copy, for an empty one."""
    first = Box((*plane, *box.start), (*(i + 1 for i in plane), *box.stop))
    sides = array.shards or array.chunks
    begin = (a // n for a, n in zip(first.start, sides, strict=True))
    end = (-(-b // n) for b, n in zip(first.stop, sides, strict=True))
    for index in iterate(Box(tuple(begin), tuple(end))):
        shard = path / array.metadata.encode_chunk_key(index)
        if shard.is_file() and shard.stat().st_size == 0:
            raise InputError(f"{shard} is cut off: it holds no bytes", "", DAMAGED)


def _open_array(path: Place) -> zarr.Array[Any]:
    node = read_node(path)
    if not isinstance(node, zarr.Array):
        raise InputError(f"{path} is a Zarr group", "a Zarr array")
    return node


def _from_multiscale(path: Place, attributes: Mapping[str, Any], ours: Any) -> OmeZarrImage:
    what = f"the OME metadata of {path} cannot be understood"
    with input_errors(what, "check 'multiscales' with ome-zarr-models validate"):
        multiscale = attributes["multiscales"][0]
        dataset = multiscale["datasets"][0]
        array = _open_array(path / str(dataset["path"]))
        image = _described(path, path / str(dataset["path"]), array, multiscale, dataset)
        image.decode(ours)
        ours = ours if isinstance(ours, Mapping) else {}
        # Our labels name the map too, for viewers; the source's own names are beside them.
        listed = ours.get("channels") or (attributes.get("omero") or {}).get("channels") or []
        channels = [
            {"label": str(c.get("label", "")), "color": str(c.get("color", ""))} for c in listed
        ]
        if len(channels) == (image.shape[image.axes.index("c")] if "c" in image.axes else 1):
            image.metadata = {**image.metadata, "channels": channels}
        if isinstance(ours.get("unit"), str):
            image.unit = ours["unit"]
            image.flux_per_pixel = is_flux_per_pixel(image.unit, image.domain)
    if not ours:
        add_optics(image, path)
    return image


def _described(
    source: Place, path: Place, array: zarr.Array[Any], multiscale: Any, dataset: Any
) -> OmeZarrImage:
    """The image that a dataset of a multiscale describes."""
    named = multiscale.get("axes") or [{"name": a} for a in default_axes(array.ndim, str(source))]
    named = [{"name": a} if isinstance(a, str) else a for a in named]
    if len(named) != array.ndim:
        raise InputError(f"{source} names {len(named)} axes for an array of {array.ndim}")
    check_pixels(array.shape, array.dtype, str(source))
    axes = _letters(named, source)
    grid, leading = placed(multiscale, dataset, axes, named, str(source))
    return OmeZarrImage(
        path,
        axes=axes,
        shape=tuple(array.shape),
        dtype=array.dtype,
        source=str(source),
        grid=grid,
        metadata={"axes": leading},
    )


def _letters(named: list[dict[str, Any]], source: Place) -> str:
    """One letter per axis in the order ``tczyx``; an axis of another type gets a letter of its own.

    Types say what an axis is; names are free in OME-Zarr, so they only help where types are
    missing.
    """
    letters = ""
    space = [i for i, a in enumerate(named) if a.get("type", "space") == "space"][-3:]
    for i, axis in enumerate(named):
        name, kind = str(axis.get("name", "")).lower(), axis.get("type")
        if kind in AXIS_OF_TYPE or (kind is None and name in ("t", "c")):
            letter = AXIS_OF_TYPE.get(str(kind), name)
        elif i in space:
            letter = "zyx"[3 - (len(named) - i)] if i >= len(named) - 3 else "?"
        else:
            free = [a for a in name + "abdefghijklmnopqrsuvw" if a.isalpha() and a not in AXES]
            letter = next(a for a in free if a not in letters)
        letters += letter
    order = [AXES.index(a) for a in letters if a in AXES]
    transposed = str(named[-1].get("name")).lower() == "y"
    if not letters.endswith("yx") or "?" in letters or order != sorted(set(order)) or transposed:
        names = [a.get("name") for a in named]
        raise InputError(
            f"{source} has axes {names}", "t, c, z, y, x in this order; y and x are needed",
            "transpose the image",
        )  # fmt: skip
    return letters


def _from_array(path: Place, array: zarr.Array[Any]) -> OmeZarrImage:
    """A plain array; if it is a level of an image, the image's metadata describe it."""
    try:
        parent = open_node(path.parent)
        attributes = attributes_of(parent)
        for dataset in attributes["multiscales"][0]["datasets"]:
            if str(dataset["path"]) == path.name:
                image = _described(path, path, array, attributes["multiscales"][0], dataset)
                image.decode(parent.attrs.get("sciup"))
                return image
    except InputError:
        raise
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        if isinstance(error, TimeoutError):  # not absent, but silent
            raise InputError(f"{path.parent} cannot be read ({error})") from error
        # No readable parent: the array stands for itself.
        logger.debug("%s is not part of an image: %s", path, error)
    check_pixels(array.shape, array.dtype, str(path))
    names = getattr(array.metadata, "dimension_names", None) or ()
    letters = "".join(str(n).lower() for n in names if n)
    order = [AXES.find(a) for a in letters]
    told = len(letters) == array.ndim and letters.endswith("yx") and order == sorted(set(order))
    told = told and -1 not in order
    axes = letters if told else default_axes(array.ndim, str(path))
    why = "named by the array" if told else "by their number"
    logger.info("%s is a plain array: axes %s (%s), pixel size unknown", path, axes, why)
    return OmeZarrImage(
        path,
        axes=axes,
        shape=tuple(array.shape),
        dtype=array.dtype,
        source=str(path),
    )


__all__ = ["OmeZarrImage", "open_ome_zarr"]
