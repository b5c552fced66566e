"""Arrays that know their axes: xarray, SpatialData, layers of napari, quantities of astropy."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sciup.errors import InputError
from sciup.image import Domain, Image, PixelGrid
from sciup.io._array import open_array
from sciup.io._check import AXES, default_axes
from sciup.io._coordinate_systems import affine_of_object, chosen, warn_of
from sciup.io._lengths import convert, unit_name
from sciup.io._units import is_flux_per_pixel, normalise_unit

logger = logging.getLogger("sciup")

NAMES = {"time": "t", "channel": "c", "channels": "c", "depth": "z", "row": "y", "column": "x"}
SKY = {"deg": 3600.0, "degree": 3600.0, "arcmin": 60.0, "arcsec": 1.0, "arcsecond": 1.0}
EVEN = 1e-3
"""Largest relative difference of the steps of coordinates that count as even."""


def open_labelled(source: Any) -> Image | None:
    """Look at an object of another library as an image; None if it is not one that is known.

    The libraries are not imported: what the object can do tells what it is.

    Raises
    ------
    InputError
        If the object holds no image or several, or its last axes are not y and x.
    """
    if _has(source, "data", "mask", "uncertainty", "wcs"):
        from sciup.io._nddata import open_nddata

        return open_nddata(source)
    if _has(source, "children", "to_dataset"):
        return open_labelled(_finest(source))
    if _has(source, "data_vars", "coords"):
        return open_labelled(_only_variable(source))
    if _has(source, "dims", "coords", "isel"):
        return _open_xarray(source)
    if type(source).__module__.startswith("napari.layers"):
        return _open_layer(source)
    if _has(source, "images", "labels", "coordinate_systems"):
        names = ", ".join(f"sdata.images[{name!r}]" for name in source.images)
        raise InputError("a SpatialData object was given", "one image", f"give one of {names}")
    if _has(source, "unit", "to_value", "value"):
        unit = normalise_unit(str(source.unit))
        flux = is_flux_per_pixel(unit, "fluorescence")
        return open_array(source.value, unit=unit, flux_per_pixel=flux)
    return None


def _has(source: Any, *names: str) -> bool:
    return all(hasattr(type(source), name) for name in names)


# -- xarray ------------------------------------------------------------------------------------


def _finest(tree: Any) -> Any:
    """The data of the finest scale of a multiscale image: its first child, or the tree's own."""
    children = dict(tree.children)
    if children:
        first = "scale0" if "scale0" in children else next(iter(children))
        if len(children) > 1:
            logger.info("of the scales %s the first is taken: %s", ", ".join(children), first)
        return children[first].to_dataset()
    return tree.to_dataset()


def _only_variable(dataset: Any) -> Any:
    images = {name: v for name, v in dataset.data_vars.items() if v.ndim >= 2}
    if len(images) == 1:
        return next(iter(images.values()))
    names = ", ".join(f"dataset[{name!r}] {v.shape}" for name, v in images.items())
    raise InputError(
        f"an xarray Dataset with {len(images)} images was given", "one image",
        f"give one of {names}" if names else "give a DataArray of two or more axes",
    )  # fmt: skip


def _open_xarray(array: Any) -> Image:
    """A DataArray: axes from the names of its dimensions, pixel size from even coordinates."""
    dims = [str(d) for d in array.dims]
    axes = _letters(dims)
    if not axes.endswith("yx") or len(set(axes)) != len(axes):
        raise InputError(
            f"the DataArray has the dimensions {', '.join(dims)}", "dimensions that end in y, x",
            "use .rename and .transpose(..., 'y', 'x')",
        )  # fmt: skip
    places = {a: _coordinates(array, d) for a, d in zip(axes, dims, strict=True)}
    system = _in_system(array, axes, dims, places)
    grid, sky = system or _grid(places["y"], places["x"], array.shape[-2])
    told = str(getattr(array, "name", None) or "")
    domain: Domain = "night-sky" if sky else "fluorescence"
    unit = normalise_unit(array.attrs.get("units") or array.attrs.get("unit"))
    image = open_array(
        array, axes=axes, pixel_size=grid, domain=domain, unit=unit,
        flux_per_pixel=is_flux_per_pixel(unit, domain),
    )  # fmt: skip
    image.source = f"DataArray {told}".strip()
    names = dict(zip(axes, dims, strict=True)).get("c")
    labels = [str(v) for v in np.asarray(array.coords[names])] if names in array.coords else []
    image.metadata = _metadata(axes[:-2], places, labels)
    return image


def _letters(dims: list[str]) -> str:
    """One letter per dimension; those with other names get one that is free."""
    letters = [NAMES.get(d.lower(), d.lower()) for d in dims]
    free = list("abdefghijklmnopqrsuvw")
    return "".join(a if a in AXES else free.pop(0) for a in letters)


def _coordinates(array: Any, dim: str) -> tuple[float, float, str | None] | None:
    """First value, step and unit of even coordinates of a dimension."""
    if dim not in array.coords or array.coords[dim].size < 2:
        return None
    values = np.asarray(array.coords[dim])
    if values.dtype.kind not in "iuf":
        return None
    steps = np.diff(values.astype(float))
    step = float(np.mean(steps))
    if not step or not np.allclose(steps, step, rtol=EVEN, atol=0):
        logger.warning("the coordinates of %s are not even: no size is taken from them", dim)
        return None
    unit = array.coords[dim].attrs.get("units", array.coords[dim].attrs.get("unit"))
    return float(values[0]), step, None if unit is None else str(unit)


def _grid(y: Any, x: Any, rows: int) -> tuple[PixelGrid, bool]:
    """Pixel size and origin from the coordinates along y and x, and whether they are angles."""
    if y is None or x is None:
        logger.info("pixel size unknown: the DataArray has no even coordinates of y and x")
        return PixelGrid(), False
    if y[2] in SKY and x[2] in SKY:
        return _sky_grid(y, x, rows), True
    unit = unit_name(y[2])
    other = convert(1.0, x[2], unit)
    if unit is None or other is None:
        logger.info("pixel size unknown: the coordinates have the units %s and %s", y[2], x[2])
        return PixelGrid(), False
    if min(y[1], x[1]) < 0:
        logger.warning("the coordinates of the DataArray fall: the origin is not kept")
        return PixelGrid((abs(y[1]), abs(x[1]) * other), unit), False
    return PixelGrid((y[1], x[1] * other), unit, (y[0], x[0] * other)), False


def _in_system(
    array: Any, axes: str, dims: list[str], places: dict[str, Any]
) -> tuple[PixelGrid, bool] | None:
    """The grid in a coordinate system of SpatialData; None if the array has no transformations."""
    ways = array.attrs.get("transform")
    if not isinstance(ways, Mapping) or not all(_has(w, "to_affine_matrix") for w in ways.values()):
        return None
    names = [str(name) for name in ways]
    if not names:
        return None
    number = chosen(names, [None] * len(names), "the DataArray")
    space = [d for a, d in zip(axes, dims, strict=True) if a in "zyx"]
    try:
        way = affine_of_object(list(ways.values())[number], space)
        y, x = (way.along(d) for d in space[-2:])
    except (ValueError, TypeError, KeyError, IndexError, NotImplementedError) as error:
        logger.debug("no matrix of %s: %s", names[number], error)
        y = x = None
    if y is None or x is None:
        warn_of(names[number], "the DataArray")
        return PixelGrid(), False
    # Without coordinates pixels count from the corner of the first one.
    (top, down), (left, right) = ((places[a] or (0.5, 1.0))[:2] for a in "yx")
    origin = y[0] * top + y[1], x[0] * left + x[1]
    return PixelGrid((y[0] * abs(down), x[0] * abs(right)), None, origin), False


def _sky_grid(y: Any, x: Any, rows: int) -> PixelGrid:
    """Pixel size from right ascension and declination, or from offsets, where cos(dec) is 1."""
    middle = (y[0] + y[1] * (rows - 1) / 2) * SKY[y[2]] / 3600
    if abs(middle) >= 90:
        logger.warning("pixel size unknown: %g degrees along y are no declination", middle)
        return PixelGrid()
    shrink = math.cos(math.radians(middle))
    logger.info(
        "steps along x are taken for right ascension: times cos(%g deg) = %.4g, the declination of "
        "the middle", middle, shrink,
    )  # fmt: skip
    return PixelGrid((abs(y[1]) * SKY[y[2]], abs(x[1]) * SKY[x[2]] * shrink), "arcsec")


def _metadata(leading: str, places: dict[str, Any], labels: list[str]) -> dict[str, Any]:
    """Scales of the axes before y and x, and names of channels."""
    out: dict[str, Any] = {"axes": {}}
    for axis in leading:
        if places[axis] is not None and axis in "tz":
            first, step, unit = places[axis]
            known = {"scale": step, "translation": first}
            out["axes"][axis] = known | ({"unit": unit} if unit else {})
    if labels:
        out["channels"] = [{"label": label, "color": ""} for label in labels]
    return out


# -- napari ------------------------------------------------------------------------------------


def _open_layer(layer: Any) -> Image:
    """An image layer: the finest level of its data, its scale, units and names of axes."""
    kind = type(layer).__name__
    if kind != "Image" or getattr(layer, "rgb", False):
        what = "an RGB image layer" if kind == "Image" else f"a layer of type {kind}"
        raise InputError(
            f"{what} of napari was given", "an Image layer of intensities",
            "give one colour: layer.data[..., 1]" if kind == "Image" else "",
        )  # fmt: skip
    data = layer.data[0] if layer.multiscale else layer.data
    names = [str(name) for name in layer.axis_labels]
    letters = _letters(names)
    told = letters.endswith("yx") and len(set(letters)) == len(letters) == data.ndim
    axes = letters if told else default_axes(data.ndim, f"the layer {layer.name!r}")
    grid = _layer_grid(layer)
    if not told:
        logger.info("the layer %r names its axes %s: taken for %s", layer.name, names, axes)
    image = open_array(data, axes=axes, pixel_size=grid)
    image.source = f"layer {layer.name}"
    return image


def _layer_grid(layer: Any) -> PixelGrid:
    """Scale and place of a layer, if its units are lengths."""
    units = [unit_name(str(unit)) for unit in layer.units[-2:]]
    factor = convert(1.0, units[1], units[0])
    if units[0] is None or factor is None:
        logger.info("the layer %r has no unit of length: pixel size unknown", layer.name)
        return PixelGrid()
    (sy, sx), (ty, tx) = (tuple(map(float, v[-2:])) for v in (layer.scale, layer.translate))
    return PixelGrid((sy, sx * factor), units[0], (ty, tx * factor))


__all__ = ["open_labelled"]
