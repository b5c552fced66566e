"""What the viewer and its child process say to each other about measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sciup_napari.messages import Order

Cell = float | int | str


@dataclass(frozen=True)
class Outline:
    """A region in input pixels, (y, x) from 0, pixel centres at integers.

    Attributes
    ----------
    kind : str
        A kind of shape of napari, or ``point``.
    corners : tuple of (float, float)
        As napari has them: four around an ellipse; one of a point.
    radius : float
        Of the disc around a point.
    """

    kind: str
    corners: tuple[tuple[float, float], ...]
    radius: float = 0.0


@dataclass(frozen=True)
class MadeBy:
    """How a finished result was made, where this viewer knows: it is then made again like that.

    Attributes
    ----------
    order : Order
    whole : bool
        Of all planes of the source, or of the one that the order names.
    """

    order: Order
    whole: bool


@dataclass(frozen=True)
class Measure:
    """To the child: measure in these regions; earlier wishes are void.

    Attributes
    ----------
    number : int
    order : Order
        A finished result (its source is of kind ``result``), or a layer that is drawn as needed.
    asked : mapping
        Keyword arguments of `sciup.measure`: ``with_``, ``samples``, ``background``.
    outlines : tuple of Outline
    made_by : MadeBy, optional
    """

    number: int
    order: Order
    asked: Mapping[str, Any]
    outlines: tuple[Outline, ...]
    made_by: MadeBy | None = None


@dataclass(frozen=True)
class Detect:
    """To the child: look for sources or structures; earlier wishes are void.

    Attributes
    ----------
    number, order, made_by
        As in `Measure`.
    asked : mapping
        Keyword arguments of `sciup.detect`: ``kind``, ``limit``, ``samples``, ``roi``.
    """

    number: int
    order: Order
    asked: Mapping[str, Any]
    made_by: MadeBy | None = None


@dataclass(frozen=True)
class Head:
    """Unit and meaning of a column."""

    unit: str
    words: str


@dataclass(frozen=True)
class Catalogue:
    """A table as plain data.

    Attributes
    ----------
    heads : mapping of str to Head
        Columns, in their order.
    columns : mapping of str to list
    meta : mapping
        How it was made.
    """

    heads: Mapping[str, Head] = field(default_factory=dict)
    columns: Mapping[str, list[Cell]] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """From the child: what was measured in a region.

    Attributes
    ----------
    number : int
    outline : Outline
    row : Catalogue
        Of one row; empty where nothing can be measured.
    flag : str
        What is wrong, in words.
    told : tuple of str
        Warnings.
    """

    number: int
    outline: Outline
    row: Catalogue
    flag: str
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Detected:
    """From the child: the candidates.

    Attributes
    ----------
    number : int
    found : Catalogue
    words : (str, str)
        How many there are, and whether their chances are calibrated.
    """

    number: int
    found: Catalogue
    words: tuple[str, str]
