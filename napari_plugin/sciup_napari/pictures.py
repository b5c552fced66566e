"""What the lens shows, as arrays: the image, its overlays and the line around what is flagged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sciup_napari.cache import Maps
from sciup_napari.lens_state import LensState
from sciup_napari.looks import look
from sciup_napari.messages import Core
from sciup_napari.mosaic import Frame, Values
from sciup_napari.readout import Risk, blend

OVERLAYS = {
    "risk": ("risk",),
    "invented and missed": ("risk_invented", "risk_missed"),
    "std": ("std",),
    "support": ("support",),
}
"""Maps of each overlay of the lens."""

Windows = list[tuple[Core, Maps]]


@dataclass(frozen=True)
class Picture:
    """The values of one layer.

    Attributes
    ----------
    name : str
        Of the map, see `sciup_napari.looks.LOOKS`.
    title : str
        Of the layer.
    values : ndarray (h, w)
    """

    name: str
    title: str
    values: Any


def pictures(
    frame: Frame,
    windows: Windows,
    lens: LensState,
    risk: Risk | None,
    alarm: float,
    swiped: int,
) -> list[Picture]:
    """Everything that the lens shows, the image first; what is not known yet is left out.

    Parameters
    ----------
    frame : Frame
    windows : list of (Core, Maps)
    lens : LensState
    risk : Risk, optional
        Of what is shown, where it is known.
    alarm : float
        Risk from which a pixel is flagged.
    swiped : int
        Columns, from the left, where nothing is shown and the input is seen.
    """
    made = [Picture("sample", f"live: {title(lens)}", image(frame, windows, lens, risk))]
    for name in OVERLAYS.get(lens.overlay, ()):
        values = overlay(frame, windows, name, risk)
        if values is not None:
            made.append(Picture(name, f"live: {overlay_title(name, risk)}", values))
    hidden = np.s_[:, :swiped]
    for one in made:
        one.values[hidden] = np.nan
    if lens.contour and risk is not None:
        flagged = flags(risk, alarm)
        flagged[hidden] = 0
        made.append(Picture("alarm", "live: alarm", flagged))
    return made


def title(lens: LensState) -> str:
    """What is shown, in words that hide nothing."""
    if lens.show == "mean":
        return "mean of all draws"
    if lens.show == "blend":
        return f"blend of draw {lens.draw}"
    if lens.show == "mix":
        return f"{100 * lens.mix:.0f} % draw {lens.draw}, rest mean (not calibrated)"
    how = lens.chosen or ("delivered" if lens.draw == 0 else "")
    mark = ", chosen" if lens.chosen else ""
    return f"draw {lens.draw}" + (f" ({how}{mark})" if how else "")


def overlay_title(name: str, risk: Risk | None) -> str:
    """Name of an overlay: a vote that is not certified is not called risk."""
    of_mean = name == "risk" and risk is not None and risk.of_mean
    known = str(look("risk_mean" if of_mean else name)["name"])
    if not name.startswith("risk") or risk is None or risk.certified:
        return known
    return "vote, not certified" if name == "risk" else f"{known} (vote, not certified)"


def image(frame: Frame, windows: Windows, lens: LensState, risk: Risk | None) -> Values:
    """The image that the lens asks for."""
    if lens.show == "mean":
        return frame.fill(windows, lambda maps: maps.get("mean"))
    sample = frame.fill(windows, lambda maps: _draw_of(maps, lens.draw))
    if lens.show == "sample":
        return sample
    mean = frame.fill(windows, lambda maps: maps.get("mean"))
    if lens.show == "mix":
        return np.asarray(mean + np.float32(lens.mix) * (sample - mean))
    return mean if risk is None else blend(sample, mean, risk.risk).astype(np.float32)


def overlay(frame: Frame, windows: Windows, name: str, risk: Risk | None) -> Values | None:
    """The values of an overlay; None if they are not known."""
    if name in ("std", "support"):
        return frame.fill(windows, lambda maps: maps.get(name))
    if risk is None:
        return None
    found = {"risk": risk.risk, "risk_invented": risk.invented, "risk_missed": risk.missed}[name]
    return found.copy()


def flags(risk: Risk, alarm: float) -> Any:
    """1 where the risk reaches the alarm."""
    with np.errstate(invalid="ignore"):
        return (risk.risk >= alarm).astype(np.uint8)


def _draw_of(maps: Maps, number: int) -> Values | None:
    """A draw of a window, if it has come already."""
    draws: Values = maps["draws"]
    return draws[number] if number < len(draws) else None
