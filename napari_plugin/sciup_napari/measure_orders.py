"""What is measured and detected, with the library; in the child process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sciup.errors import InputError
from sciup_napari.kept_draws import KeptDraws
from sciup_napari.measure_messages import (
    Catalogue,
    Cell,
    Detect,
    Detected,
    Head,
    MadeBy,
    Measure,
    Measured,
    Outline,
)
from sciup_napari.messages import Order
from sciup_napari.orders import image_of, result_of, warnings_told

OPEN = 2
"""Orders whose draws are kept: going back to the last layer costs nothing."""


ALONG = (
    "Lines and paths have no area, and nothing is measured along them. Draw a polygon around what"
    " is meant: length finds the filaments in it and follows them."
)
"""Said of a line."""


class Opened:
    """The draws of the last few orders."""

    def __init__(self) -> None:
        self._draws: OrderedDict[str, KeptDraws] = OrderedDict()

    def draws(self, message: Measure | Detect) -> KeptDraws:
        """The draws that a message is about."""
        path = Path(message.order.source.path)
        written = path.stat().st_mtime_ns if path.exists() else 0
        key = f"{message.order}{message.made_by}{written}"
        if key not in self._draws:
            self._draws[key] = _open(message.order, message.made_by)
        self._draws.move_to_end(key)
        while len(self._draws) > OPEN:
            self._draws.popitem(last=False)
        return self._draws[key]


def _open(order: Order, made_by: MadeBy | None) -> KeptDraws:
    if order.source.kind != "result":
        return KeptDraws.of_result(result_of(order, image_of(order)))  # type: ignore[return-value]
    path, moved = order.source.path, order.source.moved
    if made_by is None or moved is not None:  # what is stated by hand goes first
        return KeptDraws.open(  # type: ignore[return-value]
            path, source=moved, model=order.model, opener=_opener(path, moved)
        )
    image = image_of(made_by.order, whole=made_by.whole)
    return KeptDraws.open(  # type: ignore[return-value]
        path, source=made_by.order.source.path, model=made_by.order.model, opener=lambda _: image
    )


def _opener(path: str, moved: str | None) -> Callable[[str], Any]:
    """Opens the input with the options that fit the result: HDU, channel and so on."""
    from sciup.io import open_image
    from sciup.results.finished import Finished
    from sciup_napari.result_source import find_source

    options = find_source(Finished.open(path), moved).source.get("options", {})
    return lambda place: open_image(place, **options)


def _plane(draws: KeptDraws, order: Order) -> tuple[int, ...]:
    """Index of the plane: a finished result may hold many, a layer's draws are of one."""
    if order.source.kind != "result" or draws._done is None:
        return draws.planes[0]
    axes = draws._done.image.axes[:-2]
    return tuple(order.source.plane.get(axis, 0) for axis in axes)


def measured(message: Measure, outline: Outline, draws: KeptDraws) -> Measured:
    """What `sciup.measure` says of one region."""
    import sciup
    from sciup.science.measure.shapes import Region

    try:
        shape = _shape(outline, draws)
    except InputError as error:
        return Measured(message.number, outline, Catalogue(), error.what, _helped(outline))
    regions, plane = [Region("1", shape)], _plane(draws, message.order)
    with warnings_told() as told:
        row = plain(sciup.measure(draws, **message.asked, regions=regions, plane=plane))
    flag = str(row.columns["flag"][0])
    return Measured(message.number, outline, row, flag, tuple(dict.fromkeys(told)))


def _helped(outline: Outline) -> tuple[str, ...]:
    """What to do about a shape that cannot be measured, if it is a line."""
    return (ALONG,) if outline.kind in ("line", "path") else ()


def _shape(outline: Outline, draws: KeptDraws) -> Any:
    """Exactly as `sciup measure` takes shapes and points of napari."""
    from sciup.science.measure.frame import Frame
    from sciup.science.measure.shapes import Ellipse
    from sciup.science.measure.tables import shape_of

    frame = Frame(draws)
    corners = frame.from_input(outline.corners)
    if outline.kind != "point":
        return shape_of(outline.kind, corners, "it")
    radius = frame.length(outline.radius)
    return Ellipse((float(corners[0, 0]), float(corners[0, 1])), radius, radius)


def detected(message: Detect, draws: KeptDraws, progress: Callable[[int, int], None]) -> Detected:
    """What `sciup.detect` finds; what `progress` raises ends it."""
    import sciup
    from sciup.science.detect.rows import words_of

    plane = ",".join(map(str, _plane(draws, message.order))) if len(draws.planes) > 1 else None
    table = sciup.detect(draws, **message.asked, plane=plane, progress=progress)
    return Detected(message.number, plain(table), words_of(table))


def plain(table: Any) -> Catalogue:
    """A table as plain data.

    Examples
    --------
    >>> from astropy.table import Table
    >>> made = plain(Table({"flux": [1.5]}, units={"flux": "electron"}, meta={"seed": 3}))
    >>> made.columns, made.heads["flux"].unit, made.meta
    ({'flux': [1.5]}, 'electron', {'seed': 3})
    """
    heads, columns = {}, {}
    for name in table.colnames:
        column = table[name]
        heads[name] = Head(str(column.unit or ""), column.description or "")
        values: list[Cell] = column.tolist()
        columns[name] = values
    return Catalogue(heads, columns, dict(table.meta))


__all__ = ["Opened", "detected", "measured", "plain"]
