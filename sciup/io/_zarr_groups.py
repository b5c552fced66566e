"""Zarr groups that are not an image themselves: which of their members is opened."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import zarr

from sciup.errors import InputError
from sciup.io._check import input_errors
from sciup.io._detect import Url
from sciup.io._remote import open_node
from sciup.io._stores import OutOfReachError, store_fix
from sciup.io._zipped import Zipped

logger = logging.getLogger("sciup")

Place = Path | Url | Zipped
MOST = 8
"""Names in a message."""

OTHERS = "spatialdata_attrs"
"""What SpatialData writes into every one of its images."""

FIX = "check zarr.json or .zattrs, or export the plate again"


def read_node(place: Place) -> zarr.Group | zarr.Array[Any]:
    """The group or array at a place; what cannot be read is an `InputError`."""
    if isinstance(place, Url):
        return _read_remote(place)
    with input_errors(f"the Zarr metadata of {place} cannot be read", "check zarr.json or .zarray"):
        return open_node(place)


def _read_remote(place: Url) -> zarr.Group | zarr.Array[Any]:
    fix = "check the address; of files that are neither FITS nor OME-Zarr download a copy"
    with input_errors(f"the Zarr metadata of {place} cannot be read", fix):
        try:
            return open_node(place)
        except FileNotFoundError as error:
            what = f"there is neither a file nor a Zarr image at {place}"
            raise InputError(what, "FITS or OME-Zarr at an address", fix) from error
        except (PermissionError, OutOfReachError) as error:
            what = f"{place} cannot be read ({error.strerror or error})"
            raise InputError(what, "", store_fix(place, error) or fix) from error


def attributes_of(group: zarr.Group | zarr.Array[Any]) -> dict[str, Any]:
    """The OME attributes: under ``ome`` since 0.5, at the top before."""
    attributes = dict(group.attrs)
    inner = attributes.get("ome")
    if isinstance(inner, Mapping):
        return {**attributes, **inner}
    return attributes


def member(place: Place, group: zarr.Group, attributes: Mapping[str, Any]) -> Place:
    """The member that stands for a group: its first image, its only field, image or array.

    Raises
    ------
    InputError
        If it is a plate, holds several fields or arrays, or no image.
    """
    if "plate" in attributes:
        raise _plate_error(place, attributes["plate"])
    if "well" in attributes:
        return _field(place, attributes["well"])
    if "bioformats2raw.layout" in attributes:
        return _first_image(place, group)
    with input_errors(f"the members of {place} cannot be read", "give the image in it"):
        images = group.get("images", None)
    if isinstance(images, zarr.Group):  # a SpatialData object
        place, group = place / "images", images
    return _only_image(place, group) or _only_array(place, group)


def fields_of(place: Place) -> list[str] | None:
    """Fields of view of a plate, ``ROW/COLUMN/FIELD``; None if there is no plate at the place.

    Raises
    ------
    InputError
        If there is no Zarr, its metadata are damaged, or no well has a field.
    """
    node = read_node(place)
    plate = attributes_of(node).get("plate") if isinstance(node, zarr.Group) else None
    if plate is None:
        return None
    found = list(_fields(place, plate))
    if not found:
        raise InputError(f"{place} is a plate without fields", "wells with images", FIX)
    return found


def _fields(place: Place, plate: Any) -> Iterator[str]:
    """Fields in the order of the plate; wells that were never written are left out."""
    for well in _wells(place, plate):
        try:
            node = read_node(place / well)
        except InputError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                logger.warning("%s: the well %s is listed, but not there", place, well)
                continue
            raise
        about = attributes_of(node).get("well") if isinstance(node, zarr.Group) else None
        yield from (f"{well}/{name}" for name in _images(place / well, about))


def _wells(place: Place, plate: Any) -> list[str]:
    with input_errors(f"the list of wells in {place} cannot be read", FIX):
        return [_inside(place, well["path"]) for well in plate["wells"]]


def _images(place: Place, well: Any) -> list[str]:
    with input_errors(f"the list of fields in {place} cannot be read", FIX):
        return [_inside(place, image["path"]) for image in well["images"]]


def _inside(place: Place, name: object) -> str:
    """A path of the metadata, which names results too, so it must not lead out of its group."""
    path = PurePosixPath(str(name))
    if path.is_absolute() or ".." in path.parts or "\\" in str(name):
        raise InputError(f"{place} lists {str(name)!r}", "paths inside it, such as A/1 or 0", FIX)
    return str(name)


def _plate_error(place: Place, plate: Any) -> InputError:
    wells = _wells(place, plate)
    some = [str(place / field) for field in islice(_fields(place, plate), MOST + 1)]
    return InputError(
        f"{place} is a plate with {len(wells)} wells ({_some(wells)})", "one image",
        f"give one field of one well: {', '.join(some[:MOST])}"
        f"{', ...' if len(some) > MOST else ''}; or upscale all with `sciup batch "
        f"{place}`",
    )  # fmt: skip


def _field(place: Place, well: Any) -> Place:
    fields = _images(place, well)
    if len(fields) == 1:
        return place / fields[0]
    raise InputError(
        f"{place} is a well with {len(fields)} fields", "one image",
        "give one of them: " + _some([str(place / name) for name in fields]),
    )  # fmt: skip


def _first_image(place: Place, group: zarr.Group) -> Place:
    """The first image of a container; the map ``sample`` of a result of sciup."""
    with input_errors(f"the list of images in {place} cannot be read"):
        series = _series(group)
    if not series:
        raise _nothing_error(place, group)
    first = "sample" if "sciup" in group.attrs and "sample" in series else series[0]
    others = [name for name in series if name != first]
    if others:
        logger.info("%s: opening %r; other images: %s", place, first, ", ".join(others))
    return place / first


def _series(group: zarr.Group) -> list[str]:
    """Names of the images of a container, as listed in OME, else numbered from 0."""
    if "OME" in group:
        ome = group["OME"]
        listed = attributes_of(ome).get("series") if isinstance(ome, zarr.Group) else None
        if listed:
            return [str(name) for name in listed]
    return sorted((name for name, _ in group.groups() if name.isdecimal()), key=int)


def _only_image(place: Place, group: zarr.Group) -> Place | None:
    """The image of a group of SpatialData, if it is the only one; None if there are none."""
    with input_errors(f"the members of {place} cannot be listed", "give the image in it"):
        names = sorted(
            n for n, g in group.groups() if {"multiscales", OTHERS} <= {*attributes_of(g)}
        )
    if len(names) > 1:
        raise InputError(
            f"{place} is a Zarr group with {len(names)} images", "one image",
            "give one of them: " + _some([str(place / name) for name in names]),
        )  # fmt: skip
    if names:
        logger.info("%s: opening its only image %r", place, names[0])
    return place / names[0] if names else None


def _only_array(place: Place, group: zarr.Group) -> Place:
    """The array of a group without OME metadata, if it is the only one with two or more axes."""
    with input_errors(f"the members of {place} cannot be listed", "give the array in it"):
        arrays = dict(group.arrays())
    images = {name: array for name, array in arrays.items() if array.ndim >= 2}
    if not images:
        raise _nothing_error(place, group)
    if len(images) > 1:
        told = [f"{place / name} {array.shape}" for name, array in sorted(images.items())]
        raise InputError(
            f"{place} is a Zarr group without OME image metadata and with {len(images)} arrays",
            "one image", "give one of them: " + _some(told),
        )  # fmt: skip
    name = next(iter(images))
    logger.warning("%s has no OME image metadata: its only array %r is taken", place, name)
    return place / name


def _nothing_error(place: Place, group: zarr.Group) -> InputError:
    """Say what is in a group that is not an image."""
    with input_errors(f"the members of {place} cannot be listed", "give the image in it"):
        inside = [str(place / name) for name, _ in group.members()]
    fix = f"give one of {_some(inside)}" if inside else "check the path"
    return InputError(
        f"{place} is a Zarr group without OME image metadata, perhaps not finished",
        "an OME-Zarr image (0.4 or 0.5) or a Zarr array",
        fix,
    )


def _some(names: list[str]) -> str:
    """The first names, and how many there are more."""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


__all__ = ["Place", "attributes_of", "fields_of", "member", "read_node"]
