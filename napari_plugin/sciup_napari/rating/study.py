"""A study: a folder with one subfolder per method and the same images in each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from sciup.errors import InputError, OptionError
from sciup_napari.rating.pictures import Array, as_shown, field_of, open_picture, stem
from sciup_napari.rating.plan import Task, Trial, generator, plan

RATINGS = "ratings"
"""Subfolder of the answers; never taken for a method."""

TRUTHS = ("truth", "ground_truth", "gt")
KEPT = 4
"""Fields that are kept: the one shown, the next, and two to go back to."""

LAYOUT = "one folder per method, with images of the same names in each"


@dataclass
class Study:
    """Methods and images of a folder, and what is shown of them.

    Attributes
    ----------
    folder : Path
    methods, images : tuple of str
        Sorted; `methods` includes the truth.
    truth : str or None
        The method that is the truth.
    files : mapping
        The path of each (method, image).
    seed : int
        Decides the order for every rater and, for all raters alike, the field of large images.
    """

    folder: Path
    methods: tuple[str, ...]
    images: tuple[str, ...]
    truth: str | None
    files: Mapping[tuple[str, str], Path]
    seed: int = 0
    _fields: OrderedDict[str, dict[str, Array]] = field(default_factory=OrderedDict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def trials(self, rater: str, task: Task) -> tuple[Trial, ...]:
        """The plan of one rater; see `sciup_napari.rating.plan.plan`."""
        return plan(self.images, self.methods, self.truth, task=task, seed=self.seed, rater=rater)

    def check(self, *, pixels: bool = False) -> Iterator[str]:
        """Open every file, and say the image that was found to be whole.

        Parameters
        ----------
        pixels : bool
            Also read what will be shown.

        Raises
        ------
        InputError
            At the first file that is damaged or not of the same size in all methods.
        """
        for image in self.images:
            shapes = {m: open_picture(self.files[m, image]).shape for m in self.methods}
            first = shapes[self.methods[0]]
            for method, shape in shapes.items():
                if shape != first:
                    raise InputError(
                        f"{self.files[method, image]} is {_size(shape)}, but "
                        f"{self.files[self.methods[0], image]} is {_size(first)}",
                        "the same size and colours in all methods",
                        "crop or resample them to one grid",
                    )
            if pixels:
                self.field(image)
            yield image

    def pictures(self, trial: Trial) -> tuple[Array, ...]:
        """What is shown in a trial, from left to right: grey values or colours from 0 to 1."""
        shown = self.field(trial.image)
        if not trial.truth_side or self.truth is None:
            return (shown[trial.method],)
        pair = shown[self.truth], shown[trial.method]
        return pair if trial.truth_side == "left" else pair[::-1]

    def field(self, image: str) -> dict[str, Array]:
        """One image by method, as it is shown; kept for a while."""
        with self._lock:
            if image in self._fields:
                self._fields.move_to_end(image)
                return self._fields[image]
        opened = {method: open_picture(self.files[method, image]) for method in self.methods}
        box = field_of(opened[self.methods[0]].shape, generator(self.seed, image))
        shown = as_shown(
            {method: picture.read(box) for method, picture in opened.items()},
            self.truth,
            sky=any(picture.night_sky for picture in opened.values()),
        )
        with self._lock:
            self._fields[image] = shown
            while len(self._fields) > KEPT:
                self._fields.popitem(last=False)
        return shown


def open_study(folder: str | Path, *, truth: str | None = "auto", seed: int = 0) -> Study:
    """Find methods and images; no file is opened.

    Parameters
    ----------
    folder : path
        One subfolder per method.
    truth : str or None
        Subfolder of the truth, None for none, ``auto`` for one that is called so.
    seed : int
        Of the order and of the fields.

    Raises
    ------
    InputError
        If the folder is not a study.
    OptionError
        If there is no such truth.

    Examples
    --------
    >>> open_study("/nowhere")
    Traceback (most recent call last):
    sciup.errors.InputError: there is no folder /nowhere. Allowed: one folder per method, ...
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", LAYOUT, "check the path")
    found = {path.name: _images(path) for path in _methods(folder)}
    if len(found) < 2:
        raise InputError(
            f"{folder} holds {'one method only' if found else 'no folders'}",
            f"{LAYOUT}; at least two, the truth may be one of them",
            "choose the folder above those of the methods",
        )
    images = _common(folder, found)
    if truth == "auto":
        truth = next((m for m in found if m.casefold() in TRUTHS), None)
    elif truth is not None and truth not in found:
        raise OptionError(f"there is no folder {truth!r} in {folder}", ", ".join(found))
    files = {(m, image): found[m][image] for m in found for image in images}
    return Study(folder, tuple(found), images, truth, files, seed)


def _methods(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir()
        and path.name != RATINGS
        and not path.name.startswith((".", "_"))
        and stem(path) is None  # an OME-Zarr image is a folder, too
    )


def _images(folder: Path) -> dict[str, Path]:
    """The path of each image in the folder of a method."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = stem(path)
        if name is None:
            continue
        if name in found:
            raise InputError(
                f"{found[name]} and {path} are both called {name!r}",
                "one file per image",
                "remove or rename one of them",
            )
        found[name] = path
    return found


def _common(folder: Path, found: Mapping[str, Mapping[str, Path]]) -> tuple[str, ...]:
    """Names of the images, which must be the same in all folders."""
    names = sorted(set().union(*found.values()))
    if not names:
        raise InputError(
            f"there are no images in the folders of {folder}",
            "FITS, TIFF, OME-Zarr and PNG",
            "put the same images, one file each, into the folder of every method",
        )
    for method, images in found.items():
        missing = [name for name in names if name not in images]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise InputError(
                f"{folder / method} lacks {', '.join(missing[:3])}{more}",
                LAYOUT,
                "add the missing images, or remove them from the other folders",
            )
    return tuple(names)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]} px" + (" in colour" if len(shape) > 2 else "")
