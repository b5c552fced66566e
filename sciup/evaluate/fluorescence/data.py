"""The images to evaluate on: a development folder with ``MANIFEST.tsv``, or anybody's own folder.

Own images lie in the folder, or in its subfolders, which then count as data sets of their own. Each
file is one unit: its planes are never treated as independent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError, OptionError
from sciup.train.sources import SUFFIXES

Array = NDArray[np.float64]

MANIFEST = "MANIFEST.tsv"
COLUMNS = ("split", "dataset", "image", "unit")
PLANES = 4
"""At most so many planes of a file, spread evenly: the others hardly say anything new."""
SINGLE_FRAMES = "w2s_single_frame"
REPEATED = "fmd_bpae_b"
"""A set of single noisy frames with their means, whose names end in ``MEAN``."""
MEAN = "mean50"


@dataclass(frozen=True, slots=True)
class Item:
    """One image; `plane` is None where the file has only one."""

    dataset: str
    name: str
    unit: str
    path: Path
    plane: tuple[int, ...] | None = None


def has_manifest(folder: Path) -> bool:
    """Whether the folder says itself what belongs to which split."""
    return (folder / MANIFEST).is_file()


def manifest(folder: Path, split: str) -> list[Item]:
    """Every image of a split, noisy frames too, in the order of the sorted manifest.

    Raises
    ------
    InputError
        If the manifest cannot be read.
    OptionError
        If there is no such split.
    """
    path = folder / MANIFEST
    try:
        head, *lines = [line.split("\t") for line in path.read_text().splitlines() if line]
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", "a table with tabs") from None
    if missing := [c for c in COLUMNS if c not in head]:
        raise InputError(f"{path} lacks {', '.join(missing)}", f"columns {', '.join(COLUMNS)}")
    place = [head.index(c) for c in COLUMNS]
    if short := next((line for line in lines if len(line) <= max(place)), None):
        raise InputError(f"{path} has a line of {len(short)} columns: {short[0]}", str(len(head)))
    rows = [[line[i] for i in place] for line in sorted(lines)]
    splits = sorted({row[0] for row in rows})
    if split not in splits:
        raise OptionError(f"--split {split}: {path} has no such split", ", ".join(splits))
    return [
        Item(dataset, name, unit, folder / split / dataset / f"{name}.tif")
        for which, dataset, name, unit in rows
        if which == split
    ]


def is_truth(item: Item) -> bool:
    """Whether an image is clean enough to be a truth: single noisy frames are not."""
    return item.dataset != SINGLE_FRAMES and (item.dataset != REPEATED or item.name.endswith(MEAN))


def own_images(folder: Path) -> Iterator[Item]:
    """Every image of a folder without a manifest; files that cannot be opened come too."""
    from sciup.io import open_image

    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if not path.name.lower().endswith(SUFFIXES) or ".zarr" in path.parent.name:
            continue
        unit = path.relative_to(folder).as_posix()
        dataset = path.parent.name if path.parent != folder else folder.resolve().name
        try:
            planes = list(open_image(path).planes)
        except InputError:
            planes = []
        if len(planes) <= 1:
            yield Item(dataset, path.name, unit, path)
            continue
        for plane in planes[:: -(-len(planes) // PLANES)]:
            yield Item(dataset, f"{path.name} {plane}", unit, path, plane)


def items(folder: Path, split: str = "test", every: int = 1) -> list[Item]:
    """The truths of a folder, every n-th of them.

    Raises
    ------
    InputError
        If there is no folder, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", "a folder of images")
    if has_manifest(folder):
        found = [item for item in manifest(folder, split) if is_truth(item)]
    else:
        found = list(own_images(folder))
    if not found:
        raise InputError(
            f"{folder} holds no image",
            f"files that end in {', '.join(SUFFIXES)}, or {MANIFEST}",
            "give the folder that holds the images or one level of subfolders",
        )
    return found[::every]


def read(item: Item) -> Array:
    """Pixels of one plane.

    Raises
    ------
    InputError
        If the file cannot be read or has masked pixels.
    """
    from sciup.geometry import Box
    from sciup.io import open_image

    image = open_image(item.path)
    plane = item.plane or next(iter(image.planes))
    values, footprint = image.read(plane, Box.of_shape(image.plane_shape))
    if not footprint.all():
        share = 100 * (1 - footprint.mean())
        raise InputError(f"{item.path} has {share:.2g} % masked pixels", "images without any")
    return values.astype(np.float64)
