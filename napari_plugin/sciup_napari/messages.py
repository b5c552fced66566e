"""What the viewer and its child process say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Core = tuple[int, int]
"""First input pixel (y, x) of the core of a window."""

QUICK = "quick"
"""Key of a window that has a few draws and their mean only, because it was wanted at once."""

WINDOW, CHILD = -1, -2
"""Numbers of a `Failed` that is about a window, and about the child itself."""


@dataclass(frozen=True)
class Source:
    """Where the pixels of a layer are.

    Attributes
    ----------
    path : str
        File or folder.
    kind : {"file", "npy", "zarr", "dask", "result"}
        What `sciup.open_image` knows; an array on disk; a Zarr array; a pickled Dask array; a
        result of sciup, whose windows are read and not computed.
    options : mapping
        Of `open_image`: ``hdu``, ``channel``.
    plane : mapping of str to int
        Index on the leading axes, by letter.
    pixel_size : float, optional
        Where the file does not say: micrometer, or arcsec for the sky.
    moved : str, optional
        Where the input of a result is now, if it was moved.
    """

    path: str
    kind: str = "file"
    options: Mapping[str, Any] = field(default_factory=dict)
    plane: Mapping[str, int] = field(default_factory=dict)
    pixel_size: float | None = None
    moved: str | None = None


@dataclass(frozen=True)
class Order:
    """What is to be drawn.

    Attributes
    ----------
    source : Source
    model : str, optional
        Name or folder; by domain unless given.
    samples, seed, tolerance, device
        See `sciup.upscale`.
    instrument : mapping of str to float
        What the user states: ``psf_fwhm``, ``gain``, ``read_noise``, ``background``,
        ``noise_sigma``.
    """

    source: Source
    model: str | None = None
    samples: int = 16
    seed: int = 0
    tolerance: str = "3sigma"
    instrument: Mapping[str, float] = field(default_factory=dict)
    device: str = "auto"


@dataclass(frozen=True)
class Open:
    """To the child: get ready to make windows of this."""

    number: int
    order: Order


@dataclass(frozen=True)
class Wish:
    """To the child: make these windows, in this order; earlier wishes are void.

    Attributes
    ----------
    token : str
    cores : tuple of Core
    quick : tuple of Core
        Those of which a few draws are wanted before all others.
    """

    token: str
    cores: tuple[Core, ...]
    quick: tuple[Core, ...] = ()


@dataclass(frozen=True)
class Got:
    """To the child: this window has come. Until then it is on its way, and is not made again."""

    token: str
    core: Core
    quick: bool


@dataclass(frozen=True)
class Run:
    """To the child: make a whole result.

    Attributes
    ----------
    order : Order
    output : str
    roi : str, optional
        ``Y0:Y1,X0:X1`` in input pixels.
    plane_only : bool
        The plane of the source instead of all planes of its channel.
    machines : mapping
        ``workers``, ``scheduler`` or ``cluster``: who computes, as on the command line.
    keep : bool
        Store all draws, and what the trust lens needs to count votes anew.
    resume, overwrite : bool
    """

    number: int
    order: Order
    output: str
    roi: str | None = None
    plane_only: bool = True
    machines: Mapping[str, Any] = field(default_factory=dict)
    keep: bool = False
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Explore:
    """To the child: look for images of a region that the data permit; earlier questions are void.

    Attributes
    ----------
    order : Order
        Its samples and tolerance do not matter.
    question : mapping
        Keyword arguments of `sciup.explore`: ``roi``, ``goal``, ``answers``, ``at`` and so on.
    """

    number: int
    order: Order
    question: Mapping[str, Any]


@dataclass(frozen=True)
class Stop:
    """To the child: end the run and leave it resumable, or end the search."""


@dataclass(frozen=True)
class Opened:
    """From the child: ready, and what is believed.

    Attributes
    ----------
    number : int
        Of the order.
    token : str
        Digest of all that decides the pixels.
    model, scale, core, plane_shape
        What windows are like: name of the model, output pixels per input pixel, side of a core in
        input pixels, height and width of the plane in input pixels.
    flux : int
        Values of the output are those of the input divided by this: scale squared where a value is
        a flux per pixel, else 1.
    samples : int
        K; K + 1 draws are made.
    instrument : tuple of (name, value, unit, origin, note)
    warnings : tuple of str
    calibrated : bool
    words : str
        What the risk means, or why it is not calibrated.
    calibration : str, optional
        Path of ``calibration.json``.
    tolerance : str
    countable : bool
        Whether votes can be counted anew, at another tolerance or about another draw.
    alarm : float, optional
        Risk of a draw from which pixels were flagged, at this tolerance, when a result was made.
    of : {"input", "result"}
        Whose pixels those of the plane are: a result is shown as it is, at scale 1.
    """

    number: int
    token: str
    model: str
    scale: int
    core: int
    plane_shape: tuple[int, int]
    flux: int
    samples: int
    instrument: tuple[tuple[str, str, str, str, str], ...]
    warnings: tuple[str, ...]
    calibrated: bool
    words: str
    calibration: str | None
    tolerance: str
    countable: bool = True
    alarm: float | None = None
    of: str = "input"


@dataclass(frozen=True)
class Made:
    """From the child: a window; maps by name, (s core, s core), NaN outside the image."""

    token: str
    core: Core
    maps: Mapping[str, Any]

    @property
    def quick(self) -> bool:
        """Whether it has a few draws only."""
        return bool(self.maps.get(QUICK, False))


@dataclass(frozen=True)
class Explored:
    """From the child: what was found.

    Attributes
    ----------
    number : int
    region : sciup.explorer.answers.Region
    scale, flux, instrument, warnings
        As in `Opened`.
    meaning : str
        What an answer is worth.
    """

    number: int
    region: Any
    scale: int
    flux: int
    instrument: tuple[tuple[str, str, str, str, str], ...]
    warnings: tuple[str, ...]
    meaning: str


@dataclass(frozen=True)
class Progress:
    """From the child: windows done of a run, or steps of a search, and in all."""

    number: int
    done: int
    total: int


@dataclass(frozen=True)
class Done:
    """From the child: a run is finished."""

    number: int
    output: str


@dataclass(frozen=True)
class Failed:
    """From the child: why something cannot be done, in the user's words.

    Attributes
    ----------
    number : int
        Of the order; `WINDOW` or `CHILD`.
    text : str
    details : str
        Traceback, where it was not foreseen.
    """

    number: int
    text: str
    details: str = ""
