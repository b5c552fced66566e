"""Cut out what a catalogue names, upscaled: thousands of stamps in one file."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result, upscale
from sciup.engine.cutouts import CutoutJob
from sciup.engine.job import Job
from sciup.engine.run import Progress, run
from sciup.errors import InputError, OptionError
from sciup.io._writer import SHARD
from sciup.science.cutouts.table import add_table, make_table
from sciup.science.measure.frame import LENGTHS, Frame
from sciup.science.measure.roi import OnImage
from sciup.science.measure.tables import NOWHERE, catalogue, read_table

if TYPE_CHECKING:
    from astropy.table import Table

FAR = (-1e6, 1e9)
"""Where positions outside of the image are put at most, input px."""

logger = logging.getLogger("sciup")


@dataclass(frozen=True)
class Cutouts:
    """Lazy stamps: nothing is computed before `save`.

    Attributes
    ----------
    job : CutoutJob
        What will be computed; ``job.size`` is the side of a stamp in input pixels.
    table : astropy.table.Table
        One row for each stamp, in the order of the catalogue: ``id``, position ``y``, ``x`` and
        first pixel ``y0``, ``x0`` in input px from 0, ``flag``; with a celestial WCS also ``ra``,
        ``dec`` and ``crpix1``, ``crpix2``.
    """

    job: CutoutJob
    table: Table

    @property
    def result(self) -> Result:
        """The stacks as a result, for what is told of it."""
        return Result(self.job)

    def save(
        self,
        path: str | Path,
        *,
        resume: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> Path:
        """Compute all stamps and write them as FITS or OME-Zarr, by the suffix of `path`.

        Every map is a stack with the axes (stamp, …, y, x); the table is the extension CUTOUTS, or
        the file ``cutouts.ecsv`` in the folder.

        Parameters
        ----------
        path : str or Path
        resume : bool
            Start, go on after an interruption, or return at once if complete.
        overwrite : bool
            Replace an existing output.
        progress : callable, optional
            Called with the number of windows done and in all.
        """
        return run(self.job, Path(path), resume=resume, overwrite=overwrite, progress=progress)


def cutouts(image: Any, positions: Any, size: int | str, **options: Any) -> Cutouts:
    """Stamps around the positions of a catalogue, with the pixels of the whole result.

    Parameters
    ----------
    image : path, array or Image
        As for `sciup.upscale`.
    positions : path, table, dict or pairs
        CSV, ECSV or FITS, a table of astropy or pandas, or a dict, with the columns ``ra``,
        ``dec`` (degrees, ICRS) or ``y``, ``x`` (input px from 0), and perhaps ``id``; or pairs
        (y, x).
    size : int or str
        Side of the stamps in input px, or with a unit: ``5arcsec``, rounded up to whole pixels. The
        position lies in the pixel in the middle, or, where the number is even, in one of the two:
        the same pixels as those of `astropy.nddata.Cutout2D`.
    **options
        As for `sciup.upscale`, but for ``roi``.

    Returns
    -------
    Cutouts

    Raises
    ------
    SciupError
        With what was wrong, what is allowed and how to fix it.

    Examples
    --------
    >>> import numpy as np, sciup
    >>> from astropy.table import Table
    >>> image = np.random.default_rng(0).poisson(20.0, (64, 64)).astype("float32")
    >>> image[10:20, 10:30] += 100
    >>> places = Table({"y": [15.0, 2.0], "x": [20.0, 60.0]})
    >>> stamps = sciup.cutouts(image, places, 16, samples=1, psf_fwhm=2.0)
    >>> stamps.result.shape, stamps.table["flag"].tolist()
    ((2, 64, 64), ['', 'rim'])
    """
    if options.get("roi") is not None:
        raise OptionError("a roi was given with positions", "one of them")
    named = isinstance(positions, str | Path)
    name = str(positions) if named else "the catalogue"
    rows = read_table(Path(positions)) if named else _table(positions)
    result = upscale(image, **options)
    frame = Frame(OnImage.of(result.job.image))
    side = _side(size, frame, result.job.model.scale)
    ids, centres = _places(rows, frame, name)
    corners = first_pixels(centres, side)
    table = make_table(result, ids, centres, corners, side)
    _tell(name, table, side, size)
    given = {f.name: getattr(result.job, f.name) for f in fields(Job)}
    job = CutoutJob(**given, size=side, corners=tuple(corners), finish=partial(add_table, table))
    return Cutouts(job, table)


def _table(positions: Any) -> Table:
    """A table as it is; columns by name, or pairs (y, x), as one."""
    from astropy.table import Table

    if isinstance(positions, Table):
        return positions
    try:
        if isinstance(positions, Mapping):
            return Table(positions)
        if hasattr(positions, "columns"):  # a data frame: names decide, not their order
            return Table({name: np.asarray(positions[name]) for name in positions.columns})
        pairs = np.asarray(positions, np.float64)
        got = f"shape {pairs.shape}"
    except (TypeError, ValueError) as error:
        pairs, got = np.empty(0), str(error)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise InputError(
            f"no places can be read out of {type(positions).__name__}: {got}",
            "a path, a table, a dict of columns (ra, dec or y, x), or pairs (y, x) in input px",
        )
    return Table(pairs, names=("y", "x"))


def first_pixels(centres: NDArray[np.float64], side: int) -> list[tuple[int, int]]:
    """First input pixels (y, x) of stamps around centres (n, 2), as of astropy's `Cutout2D`.

    Examples
    --------
    >>> first_pixels(np.array([[10.0, 10.2], [np.nan, 3.0]]), 4)
    [(8, 9), (-1000002, -1000002)]
    """
    known = np.isfinite(centres).all(1, keepdims=True)
    centres = np.where(known, np.clip(centres, *FAR), NOWHERE)
    return [(y, x) for y, x in np.ceil(centres - side / 2).astype(int).tolist()]


def _side(size: int | str, frame: Frame, scale: int) -> int:
    """Side of the stamps in input px."""
    try:
        found = frame.radius(size)
    except OptionError as error:
        raise OptionError(error.what.replace("--radius", "--size"), error.allowed) from None
    side = math.ceil(round(found or 0, 6))
    most = SHARD // scale
    if side > most:
        raise OptionError(
            f"--size {size} is {side} input px", f"up to {most} px at this scale; {LENGTHS}",
            "make larger parts one by one with sciup upscale --roi",
        )  # fmt: skip
    return side


def _places(rows: Table, frame: Frame, name: str) -> tuple[list[str], Any]:
    """Names and input px (n, 2), NaN where there is no place."""
    regions: list[Any] = catalogue(rows, frame, name, 1.0)
    if not regions:
        raise InputError(f"{name} holds no positions", "one row or more")
    centres = np.array([region.shape.centre for region in regions])
    centres[(centres == NOWHERE).all(1)] = np.nan
    return [region.id for region in regions], centres


def _tell(name: str, table: Table, side: int, size: int | str) -> None:
    """What was assumed, and which stamps will not be whole."""
    flags = Counter(table["flag"].tolist())
    if not flags[""] + flags["rim"]:
        raise InputError(
            f"none of the {len(table)} positions of {name} is on the image",
            "positions on the image; columns ra, dec in degrees, or y, x in input px from 0",
        )
    logger.info("--size %s: stamps of %d x %d input px", size, side, side)
    words = {
        "rim": "stick out of the image and are filled with NaN",
        "outside": "are outside of it",
        "no position": "have no position",
    }
    for flag, what in words.items():
        if flags[flag]:
            logger.warning("%d of %d stamps %s: flag '%s'", flags[flag], len(table), what, flag)


__all__ = ["Cutouts", "cutouts"]
