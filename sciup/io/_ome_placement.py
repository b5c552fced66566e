"""Where the pixels of an OME-Zarr image are: the transformations of a data set and of the whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from sciup.image import PixelGrid
from sciup.io._coordinate_systems import affine_of, chosen, is_named, unit_of, warn_of
from sciup.io._lengths import convert

logger = logging.getLogger(__name__)

Axes = list[dict[str, Any]]


def placed(
    multiscale: Any, dataset: Any, letters: str, named: Axes, source: str
) -> tuple[PixelGrid, dict[str, dict[str, Any]]]:
    """Pixel grid of (y, x), and what is known of the axes before them.

    Parameters
    ----------
    multiscale, dataset : mapping
        Of the OME metadata.
    letters, named
        Axes in our letters, and as the metadata describe them.
    source : str
        What messages name.

    Raises
    ------
    ValueError, TypeError, KeyError
        If the transformations cannot be understood.
    """
    steps = multiscale.get("coordinateTransformations")
    own = dataset.get("coordinateTransformations")
    told = bool(own)
    scale, translation = _placement([own, None if is_named(steps) else steps], len(named))
    if is_named(steps):
        told, named, scale, translation = _in_system(steps, named, scale, translation, source)
    grid = _grid(named[-2:], scale[-2:], translation[-2:]) if told else PixelGrid()
    return grid, _other_axes(letters, named, scale, translation)


def _in_system(
    steps: list[Any],
    named: Axes,
    scale: list[float],
    translation: list[float],
    source: str,
) -> tuple[bool, Axes, list[float], list[float]]:
    """Whether pixels have a size in a coordinate system, and the axes, scale and origin there."""
    ways = [s for s in steps if isinstance(s.get("output"), Mapping)]
    names, units = [str(w["output"].get("name")) for w in ways], [unit_of(w) for w in ways]
    number = chosen(names, units, source)
    way = affine_of(ways[number], [str(a.get("name")) for a in named])
    found = [way.along(str(a.get("name"))) for a in named]
    plain = [{k: v for k, v in a.items() if k != "unit"} for a in named]
    if None in found[-2:]:
        warn_of(names[number], source)
        return False, plain, scale, translation
    unit = {"unit": units[number]} if units[number] else {}
    for i, along in enumerate(found):
        if named[i].get("type", "space") == "space" and along is not None:
            plain[i] |= unit
            # Systems begin at the corner of the first pixel, grids at its centre.
            translation[i] = along[0] * (translation[i] + scale[i] / 2) + along[1]
            scale[i] *= along[0]
    return True, plain, scale, translation


def _placement(levels: list[Any], ndim: int) -> tuple[list[float], list[float]]:
    """Scale and translation of every axis; the dataset's are applied first, then the image's."""
    scale, translation = np.ones(ndim), np.zeros(ndim)
    for transformations in levels:
        for step in transformations or []:
            if "scale" in step:
                factor = np.asarray(step["scale"], float)
                scale, translation = scale * factor, translation * factor
            elif "translation" in step:
                translation = translation + np.asarray(step["translation"], float)
    if scale.shape != (ndim,) or translation.shape != (ndim,) or not (scale > 0).all():
        raise ValueError(f"scale {scale} and translation {translation} for {ndim} axes")
    return scale.tolist(), translation.tolist()


def _grid(named: Axes, scale: list[float], translation: list[float]) -> PixelGrid:
    """Pixel grid of (y, x), in the unit of the y axis."""
    units = [a.get("unit") for a in named]
    unit = str(units[0]) if units[0] else None
    factor = 1.0
    if units[1] != units[0]:
        known = convert(1.0, units[1], units[0])
        if known is None:
            logger.warning("axes y and x have units %s that do not compare: size ignored", units)
            return PixelGrid()
        factor = known
    return PixelGrid((scale[0], scale[1] * factor), unit, (translation[0], translation[1] * factor))


def _other_axes(
    letters: str, named: Axes, scale: list[float], translation: list[float]
) -> dict[str, dict[str, Any]]:
    """What is known of the axes before ``yx``, so that a writer can carry it along."""
    out: dict[str, dict[str, Any]] = {}
    for i, letter in enumerate(letters[:-2]):
        out[letter] = {key: named[i][key] for key in ("name", "type", "unit") if named[i].get(key)}
        out[letter] |= {"scale": scale[i], "translation": translation[i]}
    return out


__all__ = ["placed"]
