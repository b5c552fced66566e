"""All that training needs in one file: `sciup pack` writes it, `python -m sciup.train` reads it.

Reading needs torch, numpy and safetensors only, so that a GPU machine needs no reader of images.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sciup.errors import InputError, ModelError
from sciup.train.data import Pairs, Truths
from sciup.train.files import write
from sciup.train.kernels import Kernels
from sciup.train.recipe import Recipe

VERSION = "sciup-pack 1"

TILE = 512
"""Side [px] of the squares into which large truths are cut before some are left out."""

STANDS_ON = "sampler."
"""Beginning of the names, among the weights to start from, of those that stay as they are."""

SHOWN = 4
"""Held-out squares that are kept for the sheets of samples."""

MIB = 2**20

Tile = tuple[NDArray[Any], float, float, int]
"""Pixels, noise, share and group of a part of a truth."""


@dataclass(frozen=True)
class Pack:
    """A training run before it starts.

    Attributes
    ----------
    recipe : Recipe
    truths : Truths
    kernels : Kernels
    start : dict of ndarray
        Weights to start from, where names and shapes fit.
    text : str
        The recipe as its author wrote it.
    files : list of dict
        What became of every file, as `sciup.train.sources.Listed`.
    pairs : Pairs, optional
        Measured pairs; their kernels are the last ones.
    shown : Truths, optional
        A few squares of held-out images, for the sheets of samples.
    """

    recipe: Recipe
    truths: Truths
    kernels: Kernels
    start: dict[str, NDArray[Any]] = field(default_factory=dict)
    text: str = ""
    files: list[dict[str, str]] = field(default_factory=list)
    pairs: Pairs | None = None
    shown: Truths | None = None

    @property
    def digest(self) -> str:
        """Names the data, so that a resumed run goes on with the same."""
        state = hashlib.blake2b(digest_size=16)
        arrays = [*self.truths.images, self.truths.noise, self.truths.share]
        for image in [*arrays, *_flat(self.pairs).values()]:
            state.update(np.ascontiguousarray(image).tobytes())
        return state.hexdigest()

    def with_batch(self, batch: int | None) -> Pack:
        """The same with another batch size; None changes nothing."""
        if batch is None:
            return self
        return dataclasses.replace(self, recipe=dataclasses.replace(self.recipe, batch=batch))

    def save(self, path: Path) -> int:
        """Write one safetensors file; returns its size in bytes.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        t, k = self.truths, self.kernels
        tensors: dict[str, NDArray[Any]] = {
            "noise": t.noise,
            "share": t.share,
            "kernels.true": k.true,
            "kernels.told": k.told,
            "kernels.psf": k.psf,
        }
        tensors |= {f"truth.{i:06d}": np.ascontiguousarray(x) for i, x in enumerate(t.images)}
        tensors |= _flat(self.pairs)
        if self.shown is not None:
            tensors |= {f"shown.{i}": x.copy() for i, x in enumerate(self.shown.images)}
            tensors["shown.noise"] = self.shown.noise
        tensors |= {f"start.{name}": value for name, value in self.start.items()}
        meta = {
            "version": VERSION,
            "recipe": json.dumps(self.recipe.as_plain()),
            "quantum": repr(t.quantum),
            "text": self.text,
            "files": json.dumps(self.files),
        }
        write(path, lambda part: save_file(tensors, part, metadata=meta))
        return path.stat().st_size

    @classmethod
    def load(cls, path: Path) -> Pack:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is missing, damaged or something else.
        """
        try:
            with safe_open(path, "np") as file:
                meta = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} cannot be read: {error}", "a file of `sciup pack`") from None
        if meta.get("version") != VERSION:
            raise InputError(
                f"{path} is no pack, or one of another version: {meta.get('version')!r}",
                VERSION,
                "write it again with `sciup pack`",
            )
        images = [tensors[name] for name in sorted(tensors) if name.startswith("truth.")]
        truths = Truths(images, tensors["noise"], tensors["share"], float(meta["quantum"]))
        kernels = Kernels(*(tensors[f"kernels.{name}"] for name in ("true", "told", "psf")))
        start = {k.removeprefix("start."): v for k, v in tensors.items() if k.startswith("start.")}
        recipe = Recipe.of_plain(json.loads(meta["recipe"]))
        files = json.loads(meta["files"])
        shown = _shown_of(tensors, truths.quantum)
        return cls(recipe, truths, kernels, start, meta["text"], files, _pairs_of(tensors), shown)


def _flat(pairs: Pairs | None) -> dict[str, NDArray[Any]]:
    """Tensors of the pairs by name."""
    if pairs is None:
        return {}
    named = {f"pairs.{k}": getattr(pairs, k) for k in ("facts", "fwhm", "share")}
    lists = {
        f"pairs.{k}.{i:06d}": x for k in ("low", "high") for i, x in enumerate(getattr(pairs, k))
    }
    return {name: np.ascontiguousarray(x) for name, x in (named | lists).items()}


def _shown_of(tensors: dict[str, NDArray[Any]], quantum: float) -> Truths | None:
    """The held-out squares of a pack."""
    if "shown.noise" not in tensors:
        return None
    count = len(tensors["shown.noise"])
    images = [tensors[f"shown.{i}"] for i in range(count)]
    return Truths(images, tensors["shown.noise"], np.full(count, 1 / count), quantum)


def few(truths: Truths, recipe: Recipe) -> Truths:
    """Some squares of some images, chosen by the seed."""
    rng, side = np.random.default_rng([recipe.seed, 79]), tile_side(recipe)
    chosen = rng.choice(len(truths.images), SHOWN, p=truths.share)
    tiles = [_tiles(truths.images[i], side) for i in chosen]
    images = [own[int(rng.integers(len(own)))] for own in tiles]
    return Truths(images, truths.noise[chosen], np.full(SHOWN, 1 / SHOWN), truths.quantum)


def tile_side(recipe: Recipe) -> int:
    """Side of the squares into which large truths are cut, output px."""
    return max(TILE, (recipe.core + 2) * recipe.scale)


def _pairs_of(tensors: dict[str, NDArray[Any]]) -> Pairs | None:
    """Inverse of `_flat`."""
    if "pairs.facts" not in tensors:
        return None
    low, high = (
        [tensors[name] for name in sorted(tensors) if name.startswith(f"pairs.{k}.")]
        for k in ("low", "high")
    )
    return Pairs(low, high, *(tensors[f"pairs.{k}"] for k in ("facts", "fwhm", "share")))


def make_pack(recipe: Recipe, data: Path, cache: Path, text: str = "") -> Pack:
    """Read everything that a recipe names.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    data : Path
        Folder of the training images.
    cache : Path
        Rendered scenes are kept here.
    text : str
        The recipe as it was written.
    """
    from sciup.train.sources import load_held_out, load_truths

    text = text or recipe_text(recipe)
    start = _start(recipe)
    if recipe.architecture == "texture":
        from sciup.train.standing import standing

        recipe, text, below = standing(recipe, text)
        start |= below
    loaded = load_truths(recipe, data, cache)
    files = [{k: getattr(f, k) for k in f.__slots__} for f in loaded.files]
    kernels = Kernels.draw(recipe)
    if loaded.pairs is not None:
        from sciup.train.pairs import with_pairs

        kernels = with_pairs(kernels, loaded.pairs, recipe.scale)
    kept = load_held_out(recipe, data)
    shown = few(kept, recipe) if kept is not None else None
    return Pack(recipe, loaded.truths, kernels, start, text, files, loaded.pairs, shown)


def recipe_text(recipe: Recipe) -> str:
    """A recipe as JSON, which is YAML too."""
    return json.dumps(recipe.as_plain(), indent=2)


def _start(recipe: Recipe) -> dict[str, NDArray[Any]]:
    if recipe.start is None:
        return {}
    path = Path(recipe.start) / "weights.safetensors"
    try:
        with safe_open(path, "np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"start: {path} cannot be read: {error}", "a model folder with weights.safetensors"
        ) from None


def thinned(pack: Pack, limit: float) -> Pack:
    """Leave out squares at random, from the seed, until the file fits.

    Every source keeps its share of the crops, and at least one square.

    Parameters
    ----------
    pack : Pack
        All data.
    limit : float
        MiB.

    Raises
    ------
    InputError
        If not even one square of every source fits.
    """
    t, rng = pack.truths, np.random.default_rng([pack.recipe.seed, 78])
    k = pack.kernels
    fixed = (
        sum(
            a.nbytes
            for a in (k.true, k.told, k.psf, *pack.start.values(), *_flat(pack.pairs).values())
        )
        + MIB // 4
    )
    fixed += pack.shown.nbytes if pack.shown is not None else 0
    room = limit * MIB - fixed
    if t.nbytes <= room:
        return pack
    group = np.zeros(len(t.images), int) if t.group is None else t.group
    tiles = [
        (tile, t.noise[i], t.share[i] * tile.size / x.size, int(group[i]))
        for i, x in enumerate(t.images)
        for tile in _tiles(x, tile_side(pack.recipe))
    ]
    kept: list[Tile] = []
    for number in sorted(set(group.tolist())):
        own = [tile for tile in tiles if tile[3] == number]
        weight = sum(tile[2] for tile in own)
        size = weight * room
        chosen: list[Tile] = []
        for i in rng.permutation(len(own)):
            if not chosen or own[i][0].nbytes <= size:
                chosen.append(own[i])
                size -= own[i][0].nbytes
        total = sum(tile[2] for tile in chosen)
        kept += [(x, n, share * weight / total, g) for x, n, share, g in chosen]
    truths = dataclasses.replace(
        t,
        images=[tile[0] for tile in kept],
        noise=np.array([tile[1] for tile in kept]),
        share=np.array([tile[2] for tile in kept]),
        group=np.array([tile[3] for tile in kept]),
    )
    if truths.nbytes > room:
        needed = (truths.nbytes + fixed) / MIB
        raise InputError(
            f"--limit {limit:g} MiB is too little", f"{needed:.1f} MiB or more for this recipe"
        )
    return dataclasses.replace(pack, truths=truths)


def _tiles(image: NDArray[Any], side: int) -> list[NDArray[Any]]:
    """Cut into equal parts of at least `side` px, or not at all."""
    rows = np.array_split(np.arange(image.shape[0]), max(image.shape[0] // side, 1))
    cols = np.array_split(np.arange(image.shape[1]), max(image.shape[1] // side, 1))
    return [image[r[0] : r[-1] + 1, c[0] : c[-1] + 1] for r in rows for c in cols]
