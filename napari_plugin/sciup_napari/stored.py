"""Windows of a finished result: read, where the engine would compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from sciup.errors import InputError, SciupError
from sciup.geometry import Box
from sciup.image import Plane
from sciup.results.finished import Finished
from sciup.risk.calibration import FILE, Calibration
from sciup_napari.messages import Core, Opened, Source

SIDE = 512
"""Side of the windows in output pixels: the chunk of results."""

LENS = (
    "mean", "std", "support", "tolerance", "snr", "ood", "alarm",
    "risk", "risk_raw", "risk_bound", "risk_invented", "risk_missed", "risk_mean",
)  # fmt: skip
"""Maps that the trust lens uses where they are stored."""


class Stored:
    """One plane of a result, window by window; its pixels are output pixels.

    Parameters
    ----------
    source : Source
        Of kind ``result``; its `plane` are indices on the leading axes, by letter.

    Raises
    ------
    InputError
        If no draw is stored in the result, or it is none.
    """

    threads = 1

    def __init__(self, source: Source) -> None:
        self.done = Finished.open(source.path)
        if not any(n == "sample" or n.startswith("samples") for n in self.done.maps):
            raise InputError(
                f"the result {self.done.path} holds no draw, only {', '.join(self.done.maps)}",
                "results with the map 'sample'",
                "make it again with 'sample' among --maps",
            )
        leading = self.done.image.axes[:-2]
        self.plane: Plane = tuple(source.plane.get(axis, 0) for axis in leading)
        self.maps = tuple(name for name in LENS if name in self.done.maps)
        self.draws = max(int(self.done.settings["keep"]), 1)
        self._thread = ThreadPoolExecutor(1, "sciup-stored")

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Call a function in the thread that reads."""
        return self._thread.submit(function, *arguments)

    def make(self, core: Core) -> dict[str, Any]:
        """The maps of a window and its draws, NaN outside the image."""
        whole = Box(core, (core[0] + SIDE, core[1] + SIDE))
        part = whole.intersect(Box.of_shape(self.done.plane_shape))
        at = part.relative_to(whole).slices

        def put(values: Any) -> Any:
            out = np.full(whole.shape, np.nan, np.float32)
            out[at] = values
            return out

        maps = {name: put(self.done.read(name, self.plane, part)) for name in self.maps}
        draws = [self.done.sample(k, self.plane, part) for k in range(self.draws)]
        return maps | {"draws": np.stack([put(draw) for draw in draws if draw is not None])}

    def quick(self, core: Core) -> None:
        """Reading all is as quick as reading a part."""

    @property
    def countable(self) -> bool:
        """Whether votes can be counted anew: all draws are there, tolerance and S/N."""
        full = self.draws == int(self.done.settings["samples"]) + 1
        return full and {"tolerance", "snr"} <= set(self.maps)

    def describe(self, number: int) -> Opened:
        """What the viewer needs to know."""
        facts = self.done.facts
        instrument = self.done.instruments[self.done.planes.index(self.plane)]
        return Opened(
            number=number,
            token=f"{self.done.path}{self.done.path.stat().st_mtime_ns}{self.plane}",
            model=str(facts["model"]),
            scale=1,
            core=SIDE,
            plane_shape=self.done.plane_shape,
            flux=1,
            samples=self.draws - 1,
            instrument=tuple(
                (name, value, "", origin, note) for name, value, origin, note in instrument.rows()
            ),
            warnings=(),
            calibrated=bool(facts["risk"].get("calibrated")),
            words=str(facts["risk"].get("words", "")),
            calibration=calibration_of(facts),
            tolerance=str(self.done.tolerance),
            countable=self.countable,
            alarm=alarm_of(facts),
            of="result",
        )


def alarm_of(facts: Mapping[str, Any]) -> float | None:
    """The risk from which a result flags, by its provenance; None if it is not calibrated."""
    told = facts["risk"]
    return float(told["alarm"]["threshold"]) if told.get("calibrated") else None


def calibration_of(facts: Mapping[str, Any]) -> str | None:
    """Path of the calibration of a result's model; None unless it is here and holds for the result.

    Parameters
    ----------
    facts : mapping
        The provenance. What was not calibrated when it was made does not become so here.
    """
    from sciup.resources import find_model

    if not facts["risk"].get("calibrated"):
        return None
    try:
        path = Path(find_model(str(facts["model"]))) / FILE
        found = Calibration.read(path) if path.is_file() else None
    except SciupError:
        return None
    # a model that was calibrated again promises something else
    same = found is not None and found.digest == facts["fingerprint"].get("calibration")
    return str(path) if same else None
