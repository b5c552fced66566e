"""Whether an OME-TIFF result is whole: its OME-XML, its tiles, and the levels above them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np

from sciup.errors import InputError
from sciup.geometry import Box, shards
from sciup.image import Float
from sciup.io._check import input_errors
from sciup.io._provenance import read_provenance
from sciup.io._pyramid import halve, level_shapes
from sciup.io._tiff_note import note_is_whole
from sciup.io._tiff_note import was_noted as was_result
from sciup.io._tiff_order import Address, MapOrder
from sciup.io._tiff_pages import Pages
from sciup.io._tiff_result import TiffPixels, map_order, open_tiff_result, page_order
from sciup.io._writer import SHARD
from sciup.results.verify import Damage, Verdict, check_map, place, unlisted

XML = "OME-XML"


def check(path: Path, verdict: Verdict, progress: Callable[[int, int], None]) -> Iterator[Damage]:
    """All that is wrong with it."""
    maps = yield from around(path, verdict)
    facts = read_provenance(path)
    order, stated = map_order(facts), facts.get("checksums", {})
    for done, (name, pixels) in enumerate(maps.items()):
        progress(done, len(maps))
        found = list(check_map(name, pixels.shape, pixels.values, stated, verdict))
        yield from found
        yield from () if found else _levels(path, order, name)


def around(path: Path, verdict: Verdict) -> Generator[Damage, None, dict[str, TiffPixels]]:
    """What is wrong with all but the pixels; returns the maps that can be read."""
    facts = read_provenance(path)
    if not note_is_whole(path):
        yield Damage(XML, "its metadata are not those that were written")
    verdict.maps = list(facts["image"]["units"])
    stated = facts.get("checksums", {})
    verdict.stated = bool(stated)
    yield from unlisted(verdict.maps, stated)
    try:
        return open_tiff_result(path)[1]
    except InputError as error:
        yield Damage("pages", error.what)
    return {}


def _levels(path: Path, order: MapOrder, name: str) -> Iterator[Damage]:
    """Coarser levels of a map follow from the one before, bit for bit; the first wrong is told."""
    shapes = level_shapes((order.shape[-2], order.shape[-1]))
    leading = (order.samples, *order.shape[:-2]) if name == "samples" else order.shape[:-2]
    fine = Level(path, order, 0)
    for number in range(1, len(shapes)):
        try:
            level, damaged = Level(path, order, number), False
        except InputError as error:
            yield Damage(f"{name}, level {number}", error.what)
            return
        for plane in np.ndindex(leading):
            page = order.page(name, plane)
            for _, box in shards(shapes[number], SHARD // 2):
                if what := _differs(fine, level, page, box):
                    damaged = True
                    yield Damage(place(f"{name}, level {number}", plane, box), what)
        if damaged:
            return
        fine = level


class Level:
    """A level of all pages.

    Parameters
    ----------
    path : Path
    order : MapOrder
    number : int
        Of the level, 0 is the finest.
    """

    def __init__(self, path: Path, order: MapOrder, number: int) -> None:
        self.shape = level_shapes((order.shape[-2], order.shape[-1]))[number]
        with input_errors("the level is missing or cannot be opened"):
            self._pages = Pages(path, page_order(order, self.shape), number)

    def read(self, page: Address, box: Box) -> Float:
        """A window of a page."""
        with input_errors("it cannot be read"):
            values, footprint = self._pages.read(page, box)
            if footprint is not None and not footprint.all():
                raise InputError("a tile is missing")
            return np.asarray(values, np.float32)


def _differs(fine: Level, level: Level, page: Address, box: Box) -> str:
    """Why a window does not follow from the level before; nothing if it does."""
    before = box.scaled(2).intersect(Box.of_shape(fine.shape))
    try:
        same = np.array_equal(level.read(page, box), halve(fine.read(page, before)), equal_nan=True)
    except InputError as error:
        return error.what
    return "" if same else "it does not follow from the level before"


__all__ = ["around", "check", "was_result"]
