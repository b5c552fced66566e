"""Regions of a label image, on the input or the output grid; it is never held whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.geometry import Box, shards
from sciup.image import Image, Plane
from sciup.io import open_image
from sciup.results.draws import Draws
from sciup.science.measure.shapes import Region

Array = NDArray[np.float64]

SIDE = 2048
"""Pixels per side that are read at a time."""

MOST = 2**24
"""From here on, readers cannot tell labels apart: pixels come as 32-bit floats."""


@dataclass(frozen=True, eq=False)
class Labels:
    """A plane of a label image.

    Attributes
    ----------
    image : Image
    plane : tuple of int
    corner : (int, int)
        First pixel of the result in it.
    factor : int
        Output px per label px.
    plane_shape : (int, int)
        Of the result.
    """

    image: Image
    plane: Plane
    corner: tuple[int, int]
    factor: int
    plane_shape: tuple[int, int]

    def read(self, box: Box) -> NDArray[np.int64]:
        """Labels of a box in label px of the result."""
        values, footprint = self.image.load(self.plane, box.shifted(self.corner))
        if values.size and np.max(values, where=footprint, initial=0) >= MOST:
            raise InputError(
                f"{self.image.source} has labels of {MOST} and more",
                f"1 to {MOST - 1}",
                "number them again: skimage.segmentation.relabel_sequential",
            )
        return np.where(footprint, values, 0).astype(np.int64)

    def weights(self, box: Box, number: int) -> Array:
        """Where a label is, in a box of output px that may stick out of the result."""
        inside = box.intersect(Box.of_shape(self.plane_shape))
        coarse = inside.coarsened(self.factor)
        mask = (self.read(coarse) == number).astype(np.float64)
        fine = mask.repeat(self.factor, 0).repeat(self.factor, 1)
        fine = fine[inside.relative_to(coarse.scaled(self.factor)).slices]
        out = np.zeros(box.shape)
        out[inside.relative_to(box).slices] = fine
        return out


@dataclass(frozen=True)
class Patch:
    """One label; a `sciup.science.measure.shapes.Shape`."""

    labels: Labels
    number: int
    box: Box
    centre: tuple[float, float]

    def weights(self, box: Box) -> Array:
        """See `Shape`."""
        return self.labels.weights(box, self.number)


def label_regions(source: Any, draws: Draws, plane: Plane) -> list[Region]:
    """One region for each label, in their order.

    Parameters
    ----------
    source : path or ndarray
        TIFF, OME-Zarr, FITS or ``.npy``: whole numbers, 0 for none. One plane for all planes of the
        result, or as many as it has.
    draws : Draws
    plane : tuple of int

    Raises
    ------
    InputError
        If it cannot be read, holds no whole numbers, or lies on neither grid.
    """
    labels = _on_grid(_opened(source), draws, plane)
    f = labels.factor
    shape = (labels.plane_shape[0] // f, labels.plane_shape[1] // f)
    found: dict[int, Array] = {}
    for _, box in shards(shape, SIDE):
        for number, row in _survey(labels.read(box), box):
            found[number] = _joined(found[number], row) if number in found else row
    regions = []
    for number in sorted(found):
        y0, x0, y1, x1, pixels, y, x = found[number].tolist()
        box = Box((int(y0), int(x0)), (int(y1), int(x1))).scaled(f)
        centre = ((y / pixels + 0.5) * f - 0.5, (x / pixels + 0.5) * f - 0.5)
        regions.append(Region(str(number), Patch(labels, number, box, centre)))
    return regions


def _survey(labels: NDArray[np.int64], box: Box) -> list[tuple[int, Array]]:
    """First and last pixels, number of pixels and sums of positions of each label of a block."""
    y, x = np.nonzero(labels)
    numbers, index = np.unique(labels[y, x], return_inverse=True)
    rows = np.zeros((len(numbers), 7))
    y, x = y + box.start[0], x + box.start[1]
    rows[:, :2] = np.inf
    for column, values in enumerate((y, x)):
        np.minimum.at(rows[:, column], index, values)
        np.maximum.at(rows[:, 2 + column], index, values + 1)
        np.add.at(rows[:, 5 + column], index, values)
    np.add.at(rows[:, 4], index, 1)
    return list(zip(numbers.tolist(), rows, strict=True))


def _joined(one: Array, two: Array) -> Array:
    return np.concatenate(
        [np.minimum(one[:2], two[:2]), np.maximum(one[2:4], two[2:4]), one[4:] + two[4:]]
    )


def _opened(source: Any) -> Image:
    if isinstance(source, str | Path) and str(source).lower().endswith(".npy"):
        try:
            source = np.load(source, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{source} cannot be read as .npy: {error}") from None
    image = open_image(source)
    if image.dtype.kind not in "iub":
        raise InputError(
            f"the label image {image.source} holds {image.dtype} values",
            "whole numbers: 0 where there is nothing, else the number of the object",
        )
    return image


def _on_grid(image: Image, draws: Draws, plane: Plane) -> Labels:
    """The label image where it lies on the result, by its shape."""
    region, shape = draws.region, image.plane_shape
    grids = {
        ("the result", draws.plane_shape, (0, 0), 1),
        ("the part of the input that was upscaled", region.shape, (0, 0), draws.scale),
        ("the input", draws.input_shape, tuple(region.start), draws.scale),
    }
    fits = {(corner, factor): name for name, s, corner, factor in sorted(grids) if s == shape}
    if not fits:
        shapes = dict.fromkeys(s for _, s, _, _ in sorted(grids, reverse=True))
        raise InputError(
            f"the label image {image.source} has {shape[0]} x {shape[1]} px",
            " or ".join(f"{s[0]} x {s[1]}" for s in shapes) + " px: those of result or input",
        )
    if len(fits) > 1:
        raise InputError(
            f"the label image {image.source} has {shape[0]} x {shape[1]} px, which are those of"
            f" {' and of '.join(fits.values())}: where it lies is ambiguous",
            "a label image that can lie on one grid only",
            "cut it to the part of the input that was upscaled, or measure a result of all of it",
        )
    ((corner, factor),) = fits
    planes = list(image.planes)
    if len(planes) > 1 and len(planes) != len(draws.planes):
        raise InputError(
            f"the label image {image.source} has {len(planes)} planes", f"1 or {len(draws.planes)}"
        )
    number = draws.planes.index(plane) if len(planes) > 1 else 0
    return Labels(image, planes[number], (corner[0], corner[1]), factor, draws.plane_shape)


__all__ = ["Labels", "Patch", "label_regions"]
