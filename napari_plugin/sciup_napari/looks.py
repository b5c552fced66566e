"""How each map looks in napari: one table for opened results, live layers and screenshots.

The table needs neither napari nor torch. Colours can be told apart with every common colour
vision: grey for light, inferno for risk, and orange, sky blue and cyan beside it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Limits = tuple[float, float]
Kind = Literal["image", "labels"]

INVENTED = "#E69F00"
MISSED = "#56B4E9"
ALARM = "#00FFFF"
OUTSIDE = "#CC79A7"
FRACTION: Limits = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Look:
    """How one map is shown.

    Attributes
    ----------
    title : str
        Name of the layer.
    meaning : str
        What it says, in plain words.
    colormap : str
        A colormap of napari or matplotlib, or a colour as ``#RRGGBB``.
    veil : bool
        Whether small values are transparent, so that the image below stays legible.
    limits : (float, float) or None
        Fixed contrast limits; None where they are those of the light in the image.
    opacity : float
    visible : bool
        Whether it is shown at first.
    contour : int
        Width of the outline in screen-sized pixels for labels; 0 fills them.
    kind : {"image", "labels"}
        Type of the layer.
    """

    title: str
    meaning: str
    colormap: str = "gray"
    veil: bool = False
    limits: Limits | None = None
    opacity: float = 1.0
    visible: bool = False
    contour: int = 0
    kind: Kind = "image"


LOOKS: dict[str, Look] = {
    # The one with the most axes first: napari 0.7 stumbles if one is added to layers with fewer.
    "samples": Look(
        "All kept samples", "Every kept draw, one per step of the slider: blink through them."
    ),
    "input": Look("Input", "What was measured: the source that was given."),
    "mean": Look(
        "Mean", "Mean of all draws: the smallest error, but smooth where the data do not decide."
    ),
    "lower": Look("Lower end", "Lower end of an interval about the mean that holds 90 %."),
    "upper": Look("Upper end", "Upper end of an interval about the mean that holds 90 %."),
    "std": Look("Spread (std)", "Spread of one pixel over the draws.", "viridis"),
    "tolerance": Look("Tolerance", "How far off a value must be to count as wrong.", "viridis"),
    "snr": Look("Signal to noise", "Signal of the input over its noise.", "viridis"),
    "step_2x": Look("Step 2x", "What the network takes for the mean at 2x."),
    "step_4x": Look("Step 4x", "What the network takes for the mean at 4x."),
    **{
        f"keypoints_{kind}": Look(
            f"Keypoints: {kind}",
            "Where a keypoint is expected: near 1 where it is certain and well placed.",
            "#F0E442",
            veil=True,
            limits=(0.0, 0.5),
        )
        for kind in ("spot", "nucleus", "filament", "point", "extended")
    },
    "support": Look(
        "Support",
        "Share of the local detail that was measured above the noise: 1 is measured, 0 is drawn.",
        "viridis",
        limits=FRACTION,
    ),
    "sample": Look(
        "Sample 0",
        "One sharp image that agrees with the data. Fine detail can be invented: see the risk.",
        visible=True,
    ),
    "answer": Look("Answer", "An image that the data permit: possible, not probable."),
    "residual": Look(
        "Residual",
        "What an image leaves of the data: (y - A x) / sigma, red above and blue below.",
        "RdBu_r",
        limits=(-4.0, 4.0),
    ),
    "ood": Look(
        "Unfamiliar blocks",
        "Blocks that look unlike the calibration's fields: its promises do not hold there.",
        OUTSIDE,
        opacity=0.35,
        kind="labels",
    ),
    "risk_bound": Look(
        "Risk bound",
        "Certified bound of the risk; empty where the image is out of domain.",
        "inferno",
        veil=True,
        limits=FRACTION,
    ),
    "risk_invented": Look(
        "Risk: invented",
        "How often detail like this is brighter than the truth by more than the tolerance.",
        INVENTED,
        veil=True,
        limits=FRACTION,
    ),
    "risk_missed": Look(
        "Risk: missed",
        "How often detail like this is fainter than the truth by more than the tolerance.",
        MISSED,
        veil=True,
        limits=FRACTION,
    ),
    "risk_mean": Look(
        "Risk of the mean",
        "Share of pixels whose mean of all draws is wrong by more than the tolerance.",
        "inferno",
        veil=True,
        limits=FRACTION,
    ),
    "risk_raw": Look(
        "Vote (not calibrated)",
        "Share of the other draws that differ from the shown one. It promises nothing.",
        "inferno",
        veil=True,
        limits=FRACTION,
        visible=True,
    ),
    "risk": Look(
        "Risk",
        "Share of pixels that look like this one and are wrong by more than the tolerance.",
        "inferno",
        veil=True,
        limits=FRACTION,
        visible=True,
    ),
    "alarm": Look(
        "Alarm",
        "Outline of the places whose risk reaches the calibrated threshold.",
        ALARM,
        contour=2,
        kind="labels",
    ),
}
"""Every map, from the bottom of the layer list to its top."""

LIGHT = ("input", "sample", "mean", "samples", "lower", "upper")
"""Maps that show light: they share their contrast limits."""


def look_of(name: str) -> Look:
    """The entry of a map; of one that is not known, a plain hidden grey one.

    Examples
    --------
    >>> look_of("risk").limits
    (0.0, 1.0)
    """
    return LOOKS.get(name) or Look(name, "A map of another version of sciup.")


def look(name: str, values_range: Sequence[float] | None = None) -> dict[str, Any]:
    """Keyword arguments for `viewer.add_image`, or `viewer.add_labels` where `kind_of` says so.

    Parameters
    ----------
    name : str
        Name of a map, see `LOOKS`.
    values_range : (float, float), optional
        Contrast limits for maps without fixed ones; napari looks for itself without.

    Returns
    -------
    dict
        Plain values only: importing napari is not needed.

    Examples
    --------
    >>> made = look("mean", (0, 50))
    >>> made["name"], made["colormap"], made["contrast_limits"], made["visible"]
    ('Mean', 'gray', (0.0, 50.0), False)
    >>> look("risk")["contrast_limits"]
    (0.0, 1.0)
    """
    entry = look_of(name)
    made: dict[str, Any] = {
        "name": entry.title,
        "opacity": entry.opacity,
        "visible": entry.visible,
        "blending": "translucent",
    }
    if entry.kind == "labels":
        return made | {"colormap": {None: "transparent", 0: "transparent", 1: entry.colormap}}
    made["colormap"] = ramp(entry.colormap) if entry.veil else entry.colormap
    limits = entry.limits or values_range
    if limits is not None:
        low, high = (float(v) for v in limits)
        made["contrast_limits"] = (low, high if high > low else low + 1.0)
    return made


def kind_of(name: str) -> Kind:
    """Type of the layer of a map."""
    return look_of(name).kind


def meaning(name: str) -> str:
    """What a map says, in plain words."""
    return look_of(name).meaning


def after(name: str) -> dict[str, Any]:
    """Attributes of the layer that can only be set once it exists.

    Examples
    --------
    >>> after("alarm"), after("risk")
    ({'contour': 2, 'editable': False}, {})
    """
    entry = look_of(name)
    if entry.kind != "labels":
        return {}
    return {"contour": entry.contour, "editable": False}


def ramp(color: str, steps: int = 51, most: float = 0.9) -> dict[str, Any]:
    """A colormap that is transparent at 0, as the plain values of `napari.utils.Colormap`.

    Parameters
    ----------
    color : str
        A colour as ``#RRGGBB``, or the name of a colormap of matplotlib. Its dark beginning is
        left out: dark on a dark image cannot be seen.
    steps : int
        Control points.
    most : float
        Opacity at 1.

    Returns
    -------
    dict
        ``name``, ``colors`` (steps, 4) and ``interpolation``.

    Examples
    --------
    >>> made = ramp("#E69F00")
    >>> made["colors"].shape, float(made["colors"][0, 3])
    ((51, 4), 0.0)
    """
    colors = _ramp(color, steps).copy()
    colors[:, 3] *= most
    return {"name": f"sciup {color}", "colors": colors, "interpolation": "linear"}


@functools.cache
def _ramp(color: str, steps: int) -> Any:
    at = np.linspace(0, 1, steps)
    if color.startswith("#"):
        rgb = np.tile([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)], (steps, 1))
    else:
        from matplotlib import colormaps

        rgb = colormaps[color](0.3 + 0.68 * at)[:, :3]
    # A few per cent are everywhere and must not tint the image; one half covers most of it.
    alpha = np.clip((at - 0.02) / 0.5, 0, 1) ** 1.2
    return np.column_stack([rgb, alpha]).astype(np.float32)


__all__ = [
    "LIGHT",
    "LOOKS",
    "Kind",
    "Limits",
    "Look",
    "after",
    "kind_of",
    "look",
    "look_of",
    "meaning",
    "ramp",
]
