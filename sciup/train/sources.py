"""From the sources of a recipe to truth images: data sets, own files, simulated scenes."""

from __future__ import annotations

import glob
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError, SciupError
from sciup.train.data import Pairs, Split, Truths
from sciup.train.recipe import Recipe
from sciup.train.recipe_parts import Scenes, Source
from sciup.train.truths import QUANTUM, SkipError, Truth, binned, frame, micrograph

log = logging.getLogger("sciup")

SUFFIXES = (".tif", ".tiff", ".fits", ".fit", ".fits.gz", ".fits.fz", ".zarr")

MASKED = 0.01
"""Largest share of masked pixels of a truth; they are filled with its median."""

USED, KEPT = "train", "held out"

HELD_OUT = "held_out"
"""Folder of a run with links to what it did not train on; never a source."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What became of one file: `USED`, `KEPT`, or why it was skipped.

    `planes` are the digests of those that are used, see `sciup.physics.estimate.Probe`.
    """

    source: str
    file: str
    unit: str
    fate: str
    note: str = ""
    planes: str = ""


@dataclass(frozen=True)
class Loaded:
    """Truths, and what became of every file."""

    truths: Truths
    files: list[Listed]
    pairs: Pairs | None = None


def load_truths(recipe: Recipe, folder: Path, cache: Path, split: Split = "train") -> Loaded:
    """The truth images of a recipe.

    Parameters
    ----------
    recipe : Recipe
        Names the data sets, the own files, or the scenes to simulate.
    folder : Path
        Own files lie below it. Data sets: a folder with ``MANIFEST.tsv`` and
        ``SPLIT/DATASET/IMAGE.tif``. Scenes: the folder of the GalSim COSMOS sample.
    cache : Path
        Rendered scenes are kept here.
    split : {"train", "calibrate", "test"}
        Which part of the units; of own files, all but ``train`` is what was held out.

    Raises
    ------
    InputError
        If a source has no usable image.
    """
    groups: list[tuple[list[Truth], float, int]] = []
    files: list[Listed] = []
    for number, source in enumerate(recipe.sources):
        truths, listed = _load(recipe, source, folder, split)
        files += listed
        small = [y for x in truths if (y := binned(recipe, x)) is not None]
        part = recipe.binned_share if small else 0.0
        log.info("%s", _told(source, truths, small if part else [], listed))
        groups += [(truths, source.share * (1 - part), number)]
        groups += [(small, source.share * part, number)] if part else []
    if recipe.scenes is not None:
        rest = 1 - sum(source.share for source in recipe.sources)
        scenes = _scenes(recipe, recipe.scenes, folder, cache, split)
        groups.append((scenes, rest, len(recipe.sources)))
    if recipe.pairs:
        from sciup.train.pairs import load_pairs

        pairs, listed = load_pairs(recipe, folder)
        files += listed
    else:
        pairs = None
    if not groups and pairs is None:
        raise InputError(
            f"the recipe of {recipe.name!r} names nothing to train on", "sources, scenes or pairs"
        )
    return Loaded(_together(recipe, groups), files, pairs)


def load_held_out(recipe: Recipe, folder: Path) -> Truths | None:
    """Truths of the own files that are not trained on; None where there are none."""
    groups = []
    for number, source in enumerate(s for s in recipe.sources if s.path):
        try:
            truths, _ = _load(recipe, source, folder, "test")
        except InputError:
            continue  # nothing was held out, or nothing that can be used
        groups.append((truths, source.share, number))
    return _together(recipe, groups) if groups else None


def _together(recipe: Recipe, groups: list[tuple[list[Truth], float, int]]) -> Truths:
    """All groups in one; within a group large images are picked more often."""
    images = [x for truths, _, _ in groups for x, _ in truths]
    noise = [n for truths, _, _ in groups for _, n in truths]
    share, owner = [], []
    for truths, weight, number in groups:
        area = np.array([x.size for x, _ in truths], np.float64)
        share += list(weight * area / area.sum())
        owner += [number] * len(truths)
    return Truths(
        images,
        np.array(noise),
        np.array(share) / max(sum(share), 1e-9),
        QUANTUM if recipe.domain == "fluorescence" else 1.0,
        np.array(owner, int),
    )


def _load(
    recipe: Recipe, source: Source, folder: Path, split: Split
) -> tuple[list[Truth], list[Listed]]:
    """Truths of one source; a damaged or useless file is skipped and listed."""
    truths, listed = [], []
    for file, unit, wanted in _files(recipe, source, folder, split):
        fate, planes = KEPT if split == "train" else USED, ""
        if wanted:
            found, fate, planes = _read(recipe, source, file)
            truths += found
        listed.append(Listed(source.name, str(file), unit, fate, planes=planes))
    if not truths:
        raise _nothing(source, listed, folder, split)
    return truths, listed


def _read(recipe: Recipe, source: Source, file: Path) -> tuple[list[Truth], str, str]:
    """Truths of all planes of a file, its fate, and digests: one bad plane spoils no other."""
    from sciup.geometry import Box
    from sciup.io import open_image
    from sciup.physics.estimate import probe

    truths, reasons, digests = [], [], []
    try:
        image = open_image(file, channel=source.channel)
        for plane in image.planes:
            values, footprint = image.read(plane, Box.of_shape(image.plane_shape))
            if footprint.mean() < 1 - MASKED:
                reasons.append(f"{100 * (1 - footprint.mean()):.0f} % of the pixels are masked")
                continue
            filled = np.where(footprint, values, np.median(values[footprint]))
            try:
                if recipe.domain == "fluorescence":
                    truths.append(micrograph(recipe, filled))
                else:
                    truths.append(frame(recipe, filled, image, plane))
                digests.append(probe(image, plane).pixels)
            except SkipError as reason:
                reasons.append(str(reason))
    except (SciupError, OSError, ValueError, MemoryError) as error:
        reasons.append(str(error).splitlines()[0])
    return truths, USED if truths else reasons[0], " ".join(digests)


def _files(
    recipe: Recipe, source: Source, folder: Path, split: Split
) -> Iterator[tuple[Path, str, bool]]:
    """(file, unit, whether it belongs to the split) of a source."""
    if source.dataset:
        yield from ((file, unit, True) for file, unit in _manifest(folder, source.dataset, split))
        return
    files = own_files(folder, source.path)
    units = [str(f if source.unit == "file" else f.parent) for f in files]
    names = [below(Path(unit), folder) for unit in units]
    kept = held_out(names, recipe.held_out)
    for file, name in zip(files, names, strict=True):
        yield file, name, (name in kept) != (split == "train")


def below(path: Path, folder: Path) -> str:
    """Name of a unit, the same wherever the folder lies."""
    return Path(os.path.relpath(path, folder)).as_posix()


def own_files(folder: Path, path: str) -> list[Path]:
    """Image files of a folder (and those below it), a file or a glob, sorted."""
    place = folder / path
    if place.is_dir() and not place.name.endswith(".zarr"):
        found = place.rglob("*")
    else:
        found = (Path(name) for name in glob.glob(str(place), recursive=True))  # noqa: PTH207
    return sorted(
        p
        for p in found
        if p.name.lower().endswith(SUFFIXES)
        and not any(part.name.endswith(".zarr") or part.name == HELD_OUT for part in p.parents)
    )


def held_out(names: list[str], share: float) -> set[str]:
    """The units that are not trained on: those whose names have the smallest hashes, never all.

    Examples
    --------
    >>> sorted(held_out([f"{i}.tif" for i in range(10)], 0.2)) == sorted(
    ...     held_out([f"{i}.tif" for i in reversed(range(10))], 0.2)
    ... )
    True
    """
    units = sorted(set(names), key=lambda n: hashlib.blake2b(n.encode()).digest())
    return set(units[: min(int(share * len(units) + 0.5), len(units) - 1)])


def _manifest(folder: Path, dataset: str, split: str) -> list[tuple[Path, str]]:
    path = folder / "MANIFEST.tsv"
    if not path.is_file():
        raise InputError(
            f"{folder} has no MANIFEST.tsv, which the data set {dataset!r} needs",
            fix="point --data at the training folder, or name own files by `path:`",
        )
    head, *rows = [line.split("\t") for line in path.read_text().splitlines() if line]
    return [
        (folder / split / dataset / f"{row[2]}.tif", row[3] if len(head) > 3 else row[2])
        for row in rows
        if row[0] == split and row[1] == dataset
    ]


def _nothing(source: Source, listed: list[Listed], folder: Path, split: Split) -> InputError:
    """Why there is nothing to train on."""
    reasons = Counter(f.fate for f in listed if f.fate not in (USED, KEPT))
    if reasons:
        often = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
        what = f"{source.name!r} has no usable image among {len(listed)} files: {often}"
        return InputError(what, fix="give larger or complete images, or a smaller `core`")
    what = f"{source.name!r} names no {split} image in {folder}"
    return InputError(
        what, f"files that end in {', '.join(SUFFIXES)}", "check --data and the names under sources"
    )


def _told(source: Source, truths: list[Truth], small: list[Truth], listed: list[Listed]) -> str:
    """One line on a source."""
    skipped = [f for f in listed if f.fate not in (USED, KEPT)]
    parts = [f"{source.name}: {len(truths)} images of {len(listed)} files"]
    parts += [f"{len(small)} of them binned too"] if small else []
    kept = sum(f.fate == KEPT for f in listed)
    parts += [f"{kept} files held out"] if kept else []
    if skipped:
        parts.append(f"{len(skipped)} skipped, first {Path(skipped[0].file).name}")
        parts.append(skipped[0].fate)
    return ", ".join(parts)


def _scenes(recipe: Recipe, scenes: Scenes, folder: Path, cache: Path, split: Split) -> list[Truth]:
    from sciup.train.sky.contents import zoom_for
    from sciup.train.sky.scenes import pack_scenes
    from sciup.train.sky.target import at_target

    at_target(np.zeros((1, 1)), recipe.target_fwhm)  # refused before an hour is spent
    path = cache / f"scenes_{split}.npy"
    if not path.is_file():
        log.info("rendering %d scenes of %d px once", scenes.count, scenes.side)
        pack_scenes(
            folder,
            path,
            count=scenes.count,
            side=scenes.side,
            role=split,
            seed=recipe.seed,
            zoom=zoom_for(recipe.scale),
        )
    stack: NDArray[Any] = np.load(path, mmap_mode="r")
    sharp = (at_target(scene, recipe.target_fwhm) for scene in stack)
    return [(np.clip(scene, -6e4, 6e4).astype(np.float16), 0.0) for scene in sharp]
