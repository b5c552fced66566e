"""Truth images to train on: whole images in memory, crops by importance, all from (seed, step)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve

from sciup.errors import InputError
from sciup.image import mirror
from sciup.train.recipe import Recipe, Scenes

log = logging.getLogger("sciup")

Float = NDArray[np.float32]
Split = Literal["train", "calibrate", "test"]
Rng = np.random.Generator


@dataclass(frozen=True)
class Truths:
    """Truth images with the probability of each to be picked.

    Attributes
    ----------
    images : list of ndarray (h, w), float32
        Fluorescence: 0 at the 1st, 1 at the 99.9th percentile. Night sky: flux per fine pixel in
        units in which the noise of an input pixel is about 1.
    noise : ndarray (N,)
        One-sigma noise of each truth, in its units.
    share : ndarray (N,)
        Probability that a crop comes from this image.
    """

    images: list[Float]
    noise: NDArray[np.float64]
    share: NDArray[np.float64]

    def crop(
        self, rng: Rng, side: int, inner: int, step: int
    ) -> tuple[Float, NDArray[np.bool_], int]:
        """A random square of `side` px whose middle `inner` px lie in the image.

        Outside the image it is mirrored at an edge that falls on a multiple of `step` px of the
        square, as the edges of an input image do. Returns the square, where it is real, and the
        index of its image.
        """
        i = int(rng.choice(len(self.images), p=self.share))
        image = self.images[i]
        trim = rng.integers(0, step, 2)
        height, width = ((n - t) // step * step for n, t in zip(image.shape, trim, strict=True))
        image = image[trim[0] : trim[0] + height, trim[1] : trim[1] + width]
        border = (side - inner) // 2
        index, inside = [], []
        for n in (height, width):
            start = int(rng.integers(0, (n - inner) // step + 1)) * step - border
            index.append(mirror(start, start + side, n))
            inside.append(
                (np.arange(start, start + side) >= 0) & (np.arange(start, start + side) < n)
            )
        square = image[np.ix_(*index)]
        real = np.outer(*inside).astype(bool)
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        square, real = np.rot90(square, turns), np.rot90(real, turns)
        if flip:
            square, real = square[:, ::-1], real[:, ::-1]
        return np.ascontiguousarray(square), np.ascontiguousarray(real), i


def robust_noise(image: NDArray[Any]) -> float:
    """Standard deviation of white noise in an image, from the median of its second differences.

    References
    ----------
    Immerkaer (1996), CVIU 64, 300 (mask), with the median in place of the mean.
    """
    mask = np.outer([1, -2, 1], [1, -2, 1]) / 6.0
    return float(np.median(np.abs(convolve(np.asarray(image, np.float64), mask))) / 0.6745)


def load_truths(recipe: Recipe, folder: Path, run: Path, split: Split = "train") -> Truths:
    """The truth images of a recipe.

    Parameters
    ----------
    recipe : Recipe
        Names the data sets, or the scenes to simulate.
    folder : Path
        Fluorescence: a folder with ``MANIFEST.tsv`` and ``SPLIT/DATASET/IMAGE.tif``. Night sky: the
        folder of the GalSim COSMOS sample.
    run : Path
        Rendered scenes are kept here.
    """
    least = recipe.core * recipe.scale + recipe.scale
    if recipe.scenes is not None:
        return _scenes(recipe, recipe.scenes, folder, run, split)
    images, noise, share = [], [], []
    for source in recipe.sources:
        raw = _images(folder, source.dataset, split)
        loaded, binned = _usable(raw, least), _usable([_bin(x) for x in raw], least)
        if not loaded:
            raise InputError(
                f"data set {source.dataset!r} has no {split} image of {least} px in {folder}",
                fix="check --data and the names under sources",
            )
        part = recipe.binned_share if binned else 0.0
        for group, weight in ((loaded, 1 - part), (binned, part)):
            area = np.array([x.size for x in group], np.float64)
            images += group
            noise += [robust_noise(x) for x in group]
            share += list(source.share * weight * area / max(area.sum(), 1))
        log.info("%s: %d images, %d of them binned too", source.dataset, len(loaded), len(binned))
    return Truths(images, np.array(noise), np.array(share) / np.sum(share))


def _images(folder: Path, dataset: str, split: str) -> list[NDArray[Any]]:
    import tifffile

    manifest = Path(folder) / "MANIFEST.tsv"
    if not manifest.is_file():
        raise InputError(f"{folder} has no MANIFEST.tsv", fix="point --data at the training folder")
    rows = [line.split("\t") for line in manifest.read_text().splitlines()[1:]]
    return [
        tifffile.imread(Path(folder) / split / dataset / f"{row[2]}.tif")
        for row in rows
        if row[0] == split and row[1] == dataset
    ]


def _bin(image: NDArray[Any]) -> NDArray[Any]:
    """Mean of 2 x 2 pixels: finer structure, and less noise."""
    h, w = (n // 2 * 2 for n in image.shape)
    whole = image[:h, :w].astype(np.float32)
    return np.asarray(whole.reshape(h // 2, 2, w // 2, 2).mean((1, 3)))


def _usable(images: list[NDArray[Any]], least: int) -> list[Float]:
    """Normalised images that have contrast and are large enough."""
    scaled = [_normalise(x) for x in images if min(x.shape) >= least]
    return [x for x in scaled if x is not None]


def _normalise(image: NDArray[Any]) -> Float | None:
    """0 at the 1st and 1 at the 99.9th percentile; None for an image without contrast."""
    low, high = np.percentile(image, [1, 99.9])
    if not high > low:
        return None
    return np.asarray(np.clip((image.astype(np.float32) - low) / (high - low), 0, 3), np.float32)


def _scenes(recipe: Recipe, scenes: Scenes, folder: Path, run: Path, split: Split) -> Truths:
    from sciup.train.sky_scenes import pack_scenes

    path = run / f"scenes_{split}.npy"
    if not path.is_file():
        log.info("rendering %d scenes of %d px once", scenes.count, scenes.side)
        pack_scenes(
            folder,
            path,
            count=scenes.count,
            side=scenes.side,
            role=split,
            seed=recipe.seed,
        )
    stack = np.load(path, mmap_mode="r")
    count = len(stack)
    return Truths(list(stack), np.zeros(count), np.full(count, 1 / count))
